"""Schemathesis makes requests of the document at /openapi.json, good ones and bad: no answer is a 5xx, and the server lives on."""
import os
import re
import subprocess
import sys

import server  # noqa: F401
import harness

PROGRAM = os.path.join(os.path.dirname(sys.executable), "schemathesis")


class Schemathesis(harness.ServerCase):
    def refused(self):
        """(path, method) of what is understood and not served: a 501 by design, which the document tells."""
        document = self.ask("GET", "/openapi.json").json
        self.assertEqual(document["openapi"][:2], "3.")
        return [(path, method) for path, methods in document["paths"].items() for method in methods
                if method != "parameters" and "501" in methods[method]["responses"]]

    def test_no_request_is_a_server_error(self):
        url, refused = self.server.url, self.refused()
        document = self.ask("GET", "/openapi.json").json
        left_out = [word for path in sorted({path for path, _ in refused}) for word in ("--exclude-path", path)]
        for path in {path for path, _ in refused}:  # nothing that is served is left out with them
            for method in set(document["paths"][path]) - {"parameters"}:
                self.assertIn((path, method), refused)
        done = subprocess.run([PROGRAM, "run", f"{url}/openapi.json", "--url", url, "--checks", "not_a_server_error", "--seed", "7", *left_out,
                               "--max-examples", "20", "--workers", "2", "--request-timeout", "30", "--generation-database", "none"],
                              capture_output=True, text=True, timeout=170, check=False, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stdout[done.stdout.find("= FAILURES ="):][:4000] + done.stderr[-1000:])
        self.assertNotIn("Traceback", done.stderr, "it ran to its end")
        self.check_code(self.ask("GET", "/livez"), 200)

    def test_what_is_not_served_says_so_and_nothing_worse(self):
        for path, method in self.refused():
            for body in (b"{}", b"", b"{", b"[1]", b"\xff\x00", b'{"instances":[{"b64":7}]}'):
                with self.subTest(path=path, method=method, body=body):
                    answer = self.ask(method.upper(), re.sub(r"\{[^}]*\}", "stamps", path), body if method not in ("get", "delete") else None)
                    self.assertIn(answer.code, (400, 404, 501), answer)
                    self.assertTrue(answer.json["error"])


if __name__ == "__main__":
    harness.main()
