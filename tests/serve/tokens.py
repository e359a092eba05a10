"""Who may ask for what: loopback is open, any other address needs tokens; roles, projects, expiry, revoking, the key= parameter."""
import json
import subprocess
import time

from harness import GRAFT, JPEG, SCRATCH, Server, b64, check, graft, model, new_home, read, same

home = new_home()
done = subprocess.run([GRAFT, "serve", "--home", home, "--address", "0.0.0.0", "--port", "0"], capture_output=True, text=True,
                      timeout=60, check=False)
check(done.returncode not in (0, -9) and "token" in done.stderr, f"0.0.0.0 without tokens is refused: {done}")


def token(role, *more):
    return json.loads(graft("token", "create", "--role", role, *more, "--json", "--home", home))


with Server(home) as server:  # loopback is open
    server.deploy(model("three"), "m", "v1", project="default")
admin, deploy, predict = (token(role) for role in ("admin", "deploy", "predict"))
elsewhere = token("deploy", "--project", "elsewhere")
check(all(secret["token"].encode() not in read(f"{home}/registry.db") for secret in (admin, deploy, predict)), "only hashes are stored")

with Server(home, "--address", "0.0.0.0", "--access-log", f"{SCRATCH}/access") as server:
    def code(method, path, secret=None, body=None, by_key=False):
        if by_key:
            return server.call(method, f"{path}?key={secret}", body).code
        return server.call(method, path, body, {"Authorization": f"Bearer {secret}"} if secret else {}).code
    ask = ("POST", "/v1/projects/default/models/m:predict")
    body = {"instances": [b64(read(JPEG))]}
    same(code(*ask, None, body), 401, "no token")
    for wrong in ("x", "", predict["token"][:-1], predict["token"] + "x", "graft_" + "0" * 40, "a" * 5000):
        same(code(*ask, wrong, body), 401, f"a wrong token {wrong[:20]!r}")
    for secret in (admin, deploy, predict):
        same(code(*ask, secret["token"], body), 200, f"predict as {secret['role']}")
    same(code(*ask, predict["token"], body, by_key=True), 200, "key=")
    same(code(*ask, "wrong", body, by_key=True), 401, "a wrong key=")
    models = "/v1/projects/default/models"
    same([code("POST", models, s["token"], {"name": f"by_{s['role']}"}) for s in (predict, deploy, admin)], [403, 200, 200], "create")
    same([code("GET", "/graft/v1/tokens", s["token"]) for s in (predict, deploy, admin)], [403, 403, 200], "tokens")
    same(code("GET", models, elsewhere["token"]), 403, "another project")
    same(code("GET", "/v1/projects/elsewhere/models", elsewhere["token"]), 200, "its own project")
    same(code("GET", "/livez"), 200, "health is open")
    answer = server.get(models)
    same((answer.code, answer.json["error"]["status"]), (401, "UNAUTHENTICATED"), "the shape")
    # Revoked by another process: seen at once.
    graft("token", "revoke", predict["name"], "--home", home)
    same(code(*ask, predict["token"], body), 401, "revoked")
    brief = server.call("POST", "/graft/v1/tokens", {"role": "predict", "expireTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))},
                        {"Authorization": f"Bearer {admin['token']}"})
    same(brief.code, 200, f"a token over HTTP: {brief}")
    same(code(*ask, brief.json["token"], body), 200, "not yet expired")
    end = time.time() + 20
    while (last := code(*ask, brief.json["token"], body)) == 200 and time.time() < end:
        time.sleep(0.1)
    same(last, 401, "expired")
check(admin["token"] not in read(f"{SCRATCH}/access").decode() and predict["token"] not in read(f"{SCRATCH}/access").decode(), "no secret in the log")
