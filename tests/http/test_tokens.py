"""Who may ask for what: loopback is open, any other address needs tokens; roles, projects, expiry, revoking, the key= parameter."""
import calendar
import json
import os
import time

import harness
from harness import PICTURE, b64, run_graft

MODELS = "/v1/projects/default/models"
BODY = {"instances": [b64(PICTURE)]}


class Tokens(harness.HomeCase):
    def token(self, role, *options):
        return json.loads(run_graft(self.home, "token", "create", "--role", role, *options, "--json").stdout)

    def code(self, server, method, path, token=None, body=None):
        headers = {"Authorization": "Bearer " + token} if token else {}
        return server.ask(method, path, body, headers).code

    def predict(self, server, token=None):
        return self.code(server, "POST", MODELS + "/stamps:predict", token, BODY)

    def test_an_open_address_is_refused_until_there_is_a_token(self):
        self.assertIn("graft token create", self.refused("--address", "0.0.0.0"))
        admin = self.token("admin")
        server = self.serve("--address", "0.0.0.0")
        self.assertEqual(self.code(server, "GET", "/v1/models"), 401)
        self.assertEqual(self.code(server, "GET", "/v1/models", admin["token"]), 200)
        self.assertEqual(self.code(server, "GET", "/livez"), 200)

    def test_roles_projects_and_revoking(self):
        log = os.path.join(self.folder, "access")
        admin, deploy, guest = (self.token(role) for role in ("admin", "deploy", "predict"))
        elsewhere = self.token("deploy", "--project", "elsewhere")
        for one in (admin, deploy, guest):
            self.assertNotIn(one["token"].encode(), harness.read(os.path.join(self.home, "registry.db")), "only hashes are stored")
        server = self.serve()  # loopback is open
        server.deploy("stamps", "v1", harness.stamps())
        self.assertEqual(server.stop(), 0)
        server = self.serve("--require-tokens", "--access-log", log)

        answer = server.ask("POST", MODELS + "/stamps:predict", BODY)
        self.check_code(answer, 401)
        answer = server.ask("GET", MODELS)
        self.assertEqual((answer.code, answer.json["error"]["status"]), (401, "UNAUTHENTICATED"))
        for wrong in ("x", "", guest["token"][:-1], guest["token"] + "x", "graft_" + "0" * 40, "graft_wrong", "a" * 5000):
            self.assertEqual(server.ask("POST", MODELS + "/stamps:predict", BODY, {"Authorization": "Bearer " + wrong}).code, 401, wrong[:20])
            self.assertEqual(self.code(server, "POST", f"{MODELS}/stamps:predict?key={wrong}", None, BODY), 401, wrong[:20])
        for one in (admin, deploy, guest):
            self.assertEqual(self.predict(server, one["token"]), 200)
            self.assertEqual(self.code(server, "POST", f"{MODELS}/stamps:predict?key={one['token']}", None, BODY), 200)
        # What each role may.
        created = [self.code(server, "POST", MODELS, one["token"], {"name": "by_" + one["role"]}) for one in (guest, deploy, admin)]
        self.assertEqual(created, [403, 200, 200])
        self.assertEqual([self.code(server, "GET", "/graft/v1/tokens", one["token"]) for one in (guest, deploy, admin)], [403, 403, 200])
        # Projects.
        self.assertEqual(self.code(server, "GET", MODELS, elsewhere["token"]), 403)
        self.assertEqual(self.code(server, "POST", MODELS, elsewhere["token"], {"name": "mine"}), 403)
        self.assertEqual(self.code(server, "GET", "/v1/projects/elsewhere/models", elsewhere["token"]), 200)
        self.assertEqual(self.code(server, "POST", "/v1/projects/elsewhere/models", elsewhere["token"], {"name": "mine"}), 200)
        # Revoked by another process: seen at once.
        run_graft(self.home, "token", "revoke", guest["name"].split("/")[-1], "--quiet")
        self.assertEqual(self.predict(server, guest["token"]), 401)
        self.assertEqual(self.code(server, "GET", "/v1/models?key=" + guest["token"]), 401)
        run_graft(self.home, "token", "revoke", deploy["name"], "--quiet")
        self.assertEqual(self.predict(server, deploy["token"]), 401)
        self.assertEqual(self.predict(server, admin["token"]), 200)
        self.assertEqual(server.stop(), 0)
        for one in (admin, deploy, guest):
            self.assertNotIn(one["token"].encode(), harness.read(log), "no secret in the log")

    def times_good_until_expired(self, server, made):
        """Asks with a token until it is past its time: 200 before it, 401 after it."""
        end = calendar.timegm(time.strptime(made["expireTime"], "%Y-%m-%dT%H:%M:%SZ"))
        n_good = 0
        while True:
            before = time.time()
            code = self.code(server, "GET", "/v1/models", made["token"])
            if time.time() < end:
                self.assertEqual(code, 200, "before its time")
            elif before >= end:
                self.assertEqual(code, 401, "after its time")
                return n_good
            n_good += code == 200
            time.sleep(0.02)

    def check_end_of_token(self, server, make):
        """make(seconds) makes a token. A busy machine may first ask when a short one has ended: it gets a longer one."""
        for seconds in (3, 6, 12, 24, 48):
            made = make(seconds)
            if self.times_good_until_expired(server, made) > 0:
                return made
        return self.fail("no token was good at any time")

    def test_a_token_is_good_until_its_time_and_no_longer(self):
        admin = self.token("admin")
        server = self.serve("--require-tokens")

        def by_the_api(seconds):
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
            made = server.ask("POST", "/graft/v1/tokens", {"role": "predict", "expireTime": at}, {"Authorization": "Bearer " + admin["token"]})
            self.assertEqual(self.check_code(made, 200).json["expireTime"], at)
            return made.json

        # By the API at a moment, and by the command in seconds from now; both are kept in whole seconds.
        self.check_end_of_token(server, by_the_api)
        brief = self.check_end_of_token(server, lambda seconds: self.token("predict", "--expires", f"{seconds}s"))
        self.assertEqual(self.code(server, "GET", "/v1/models", admin["token"]), 200)
        refused = run_graft(self.home, "models", "list", "--server", server.url, "--token", brief["token"], check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("expired", refused.stderr)

    def test_tokens_are_there_after_a_restart(self):
        tokens = {role: self.token(role) for role in ("admin", "predict")}
        revoked = self.token("admin")
        run_graft(self.home, "token", "revoke", revoked["name"], "--quiet")
        server = self.serve("--require-tokens")
        server.kill()
        server.start()
        self.assertEqual(self.code(server, "GET", "/graft/v1/tokens", tokens["admin"]["token"]), 200)
        self.assertEqual(self.code(server, "GET", "/graft/v1/tokens", tokens["predict"]["token"]), 403)
        self.assertEqual(self.code(server, "GET", "/graft/v1/tokens", revoked["token"]), 401)


if __name__ == "__main__":
    harness.main()
