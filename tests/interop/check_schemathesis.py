"""Schemathesis makes requests of the document at /openapi.json, good ones and bad: no answer is a 5xx, and the server lives on."""
import os
import subprocess
import sys

sys.argv[1] = f"{sys.argv[1]}/graft"
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../serve"))
from harness import SCRATCH, Server, check, model, new_home, same  # noqa: E402

program = os.path.join(os.path.dirname(sys.executable), "schemathesis")
with Server(new_home()) as server:
    server.deploy(model("three"), "m", "v1", project="default")
    same(server.get("/openapi.json").json["openapi"][:2], "3.", "the document")
    done = subprocess.run([program, "run", f"{server.url}/openapi.json", "--url", server.url, "--checks", "not_a_server_error", "--seed", "7",
                           # What is understood and not served is a 501 by design.
                           "--exclude-path-regex", "(:explain|:regress|IamPolicy|IamPermissions)$",
                           "--max-examples", "20", "--workers", "2", "--request-timeout", "30", "--generation-database", "none"],
                          capture_output=True, text=True, timeout=170, check=False, cwd=SCRATCH)
    same(done.returncode, 0, f"schemathesis: {done.stdout[-3000:]}{done.stderr[-1000:]}")
    same(server.get("/livez").code, 200, "alive after it")
    check("Traceback" not in done.stderr, "it ran to its end")
