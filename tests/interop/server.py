"""tests/http's server for the checks that bring a client: `import server` first, then `harness`. BUILD is the script's first word."""
import os
import sys

os.environ["GRAFT"] = os.path.join(sys.argv[1], "graft")
os.environ["GRAFT_HTTP_DIR"] = os.path.join(sys.argv[1], "tests/http/models")
sys.argv = sys.argv[:1]  # the rest is unittest's
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../http"))
