"""Access log, request ids, traceparent, SIGHUP, metrics, health, a second server, TLS."""
import json
import os
import signal
import ssl
import subprocess
import urllib.request

from harness import GRAFT, JPEG, SCRATCH, Server, b64, check, model, new_home, read, same, wait_for

home, log = new_home(), f"{SCRATCH}/access.log"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def lines():
    return [json.loads(line) for line in read(log).splitlines()]


with Server(home, "--access-log", log) as server:
    server.deploy(model("three"), "m", "v1", project="default")
    instance = [b64(read(JPEG))]
    answer = server.post("/v1/models/m:predict?key=secret", {"instances": instance},
                         headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Request-Id": "mine-1"})
    same((answer.code, answer.headers["X-Request-Id"]), (200, "mine-1"), "the id comes back")
    line = wait_for(lambda: [entry for entry in lines() if entry["id"] == "mine-1"], "the line of mine-1")[0]
    same((line["trace"], line["method"], line["code"]), (TRACE, "POST", 200), "its line")
    check("secret" not in json.dumps(line), "no key in the log")
    answer = server.get("/livez", headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    same(answer.headers["X-Request-Id"], TRACE, "the trace id where there is no other")
    answer = server.get("/livez", headers={"X-Request-Id": 'a"b\\' + "c" * 500})
    check(len(answer.headers["X-Request-Id"]) <= 64 and '"' not in answer.headers["X-Request-Id"], "an id that makes no sense")

    # Rotation.
    os.rename(log, log + ".1")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: os.path.exists(log), "a new log after SIGHUP")
    server.get("/livez", headers={"X-Request-Id": "after"})
    wait_for(lambda: any(entry["id"] == "after" for entry in lines()), "lines in the new log")

    # Metrics: what was asked is counted; promtool, where it is there, finds nothing to say.
    answer = server.get("/metrics")
    same(answer.code, 200, "metrics")
    check(answer.headers["Content-Type"].startswith("text/plain"), "their type")
    text = answer.body.decode()
    check("load_seconds" in text and "cold_start_seconds" in text and "resident_bytes" in text, "the names nobody else has")
    values = [entry.rsplit(" ", 1) for entry in text.splitlines() if entry and not entry.startswith("#")]
    check(all(float(value) >= 0 for _, value in values), "every line ends in a number")
    check(len({name for name, _ in values}) == len(values), "no line twice")
    promtool = os.environ.get("GRAFT_TEST_PROMTOOL")
    if promtool:
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        same(done.returncode, 0, f"promtool: {done.stdout}{done.stderr}")

    # A second one on the same home.
    done = subprocess.run([GRAFT, "serve", "--home", home, "--port", "0"], capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode not in (0, -9) and home in done.stderr, f"a second server is refused: {done}")
    same(server.get("/readyz").code, 200, "and the first goes on")

# TLS
cert, key = f"{SCRATCH}/cert.pem", f"{SCRATCH}/key.pem"
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert, "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], capture_output=True, check=True)
with Server(home, "--tls-cert", cert, "--tls-key", key, is_tls=True) as server:
    context = ssl.create_default_context(cafile=cert)
    with urllib.request.urlopen(f"{server.url}/livez", context=context) as answer:
        same(answer.status, 200, "TLS, verified")
    body = json.dumps({"instances": [b64(read(JPEG))]}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{server.url}/v1/models/m:predict", body), context=context) as answer:
        same(len(json.load(answer)["predictions"][0]), 3, "a prediction over TLS")
for options in (["--tls-cert", cert], ["--tls-cert", JPEG, "--tls-key", key], ["--tls-cert", f"{SCRATCH}/none", "--tls-key", key]):
    done = subprocess.run([GRAFT, "serve", "--home", home, "--port", "0", *options], capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode not in (0, -9) and done.stderr, f"{options}: {done}")
