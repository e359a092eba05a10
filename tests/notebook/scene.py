"""What the notebook tests share: the server of tests/http/harness.py and graft's Python package."""

import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PYTHON_DIR = os.path.join(ROOT, "python")
for _folder in (PYTHON_DIR, os.path.join(os.path.dirname(HERE), "http")):
    sys.path.insert(0, _folder)

# Jobs run the python3 of the server's path, kernels Debian's: the one that has numpy. Both load the
# library of the build under test.
os.environ["PATH"] = os.pathsep.join(["/usr/bin", "/bin", os.environ.get("PATH", "")])
os.environ.setdefault(
    "GRAFT_LIBRARY",
    os.path.join(os.path.dirname(os.path.realpath(os.environ.get("GRAFT", "."))), "libgraft.so"),
)

import harness  # noqa: E402  pylint: disable=wrong-import-position,unused-import
