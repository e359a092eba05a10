"""What the one who runs the server sees: tokens, TLS, probes, metrics, logs, scaling, the end."""
import json
import os
import signal
import ssl
import subprocess
import unittest

import harness
from harness import PICTURE, Server, b64, new_home, run_graft, wait_for


def predict(server, connection=None, model="stamps"):
    return server.ask("POST", f"/v1/models/{model}:predict", {"instances": [b64(PICTURE)]}, connection=connection)


class WithHome(unittest.TestCase):
    def setUp(self):
        import shutil
        import tempfile
        self.folder = tempfile.mkdtemp(prefix="graft-http-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.home = new_home(self.folder)

    def serve(self, *options, **more):
        server = Server(self.home, *options, **more)
        self.addCleanup(server.stop)
        return server


class Tokens(WithHome):
    def token(self, *options):
        return json.loads(run_graft(self.home, "token", "create", *options, "--json").stdout)

    def bearer(self, token):
        return {"Authorization": "Bearer " + token["token"]}

    def test_an_open_address_is_refused_until_there_is_a_token(self):
        refused = run_graft(self.home, "serve", "--address", "0.0.0.0", "--port", "0", check=False)
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn("graft token create", refused.stderr)
        self.token("--role", "admin")
        server = self.serve("--address", "0.0.0.0")
        self.assertEqual(server.ask("GET", "/v1/models").code, 401)
        self.assertEqual(server.ask("GET", "/livez").code, 200)

    def test_roles_projects_and_revoking(self):
        admin, deploy, guest = (self.token("--role", role) for role in ("admin", "deploy", "predict"))
        elsewhere = self.token("--role", "deploy", "--project", "elsewhere")
        server = self.serve("--require-tokens")
        models = "/v1/projects/default/models"
        for token, code in ((admin, 200), (deploy, 409), (guest, 403), (elsewhere, 403)):
            self.assertEqual(server.ask("POST", models, {"name": "mine"}, self.bearer(token)).code, code)
        self.assertEqual(server.ask("POST", "/v1/projects/elsewhere/models", {"name": "mine"}, self.bearer(elsewhere)).code, 200)
        self.assertEqual(server.ask("GET", "/graft/v1/tokens", headers=self.bearer(deploy)).code, 403)
        self.assertEqual(server.ask("GET", "/v1/models?key=" + guest["token"]).code, 200)
        self.assertEqual(server.ask("GET", "/v1/models", headers={"Authorization": "Bearer graft_wrong"}).code, 401)
        run_graft(self.home, "token", "revoke", guest["name"].split("/")[-1], "--quiet")
        self.assertEqual(server.ask("GET", "/v1/models?key=" + guest["token"]).code, 401)
        self.assertNotIn(admin["token"].encode(), harness.read(os.path.join(self.home, "registry.db")))


class Tls(WithHome):
    def test_https_with_a_certificate_of_ours(self):
        cert, key = os.path.join(self.folder, "cert.pem"), os.path.join(self.folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        server = self.serve("--tls-cert", cert, "--tls-key", key)
        import http.client
        client = http.client.HTTPSConnection("127.0.0.1", server.port, context=ssl.create_default_context(cafile=cert), timeout=60)
        client.request("GET", "/livez")
        self.assertEqual(client.getresponse().status, 200)
        client.close()

    def test_a_certificate_without_its_key_is_refused(self):
        refused = run_graft(self.home, "serve", "--port", "0", "--tls-cert", "/nowhere.pem", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("certificate", refused.stderr)


class Watching(WithHome):
    def test_metrics_count_requests_and_name_versions(self):
        server = self.serve()
        server.deploy("stamps", "v1", harness.stamps())
        for _ in range(3):
            self.assertEqual(predict(server).code, 200)
        text = server.ask("GET", "/metrics").body.decode()
        for name in ("graft_http_requests_total", "graft_cold_start_seconds", "graft_model_load_seconds", "graft_model_resident_bytes"):
            self.assertIn(name, text)
        self.assertIn("nv_inference_request_success", server.ask("GET", "/metrics?aliases=1").body.decode())
        self.assertIn(":tensorflow:serving:request_count", server.ask("GET", "/monitoring/prometheus/metrics").body.decode())

    def test_the_access_log_is_json_carries_ids_hides_keys_and_survives_rotation(self):
        log = os.path.join(self.folder, "access.log")
        server = self.serve("--access-log", log)
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        answer = server.ask("GET", "/v1/models?key=secret", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        lines = wait_for(lambda: harness.read(log).decode().splitlines(), "a line in the access log")
        line = json.loads(lines[-1])
        self.assertEqual(line["trace"], trace)
        self.assertEqual(line["id"], answer.headers["X-Request-Id"])
        self.assertEqual(line["path"], "/v1/models")
        self.assertNotIn("secret", lines[-1])
        os.rename(log, log + ".1")
        server.signal(signal.SIGHUP)
        wait_for(lambda: os.path.exists(log), "a new access log")
        server.ask("GET", "/livez")
        wait_for(lambda: harness.read(log), "a line in the new access log")

    def test_probes(self):
        server = self.serve()
        self.assertEqual((server.ask("GET", "/livez").code, server.ask("GET", "/readyz").code), (200, 200))

    def test_a_second_server_on_the_same_home_is_refused(self):
        self.serve()
        refused = run_graft(self.home, "serve", "--port", "0", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(self.home, refused.stderr)

    def test_a_port_in_use_is_said_so(self):
        server = self.serve()
        import shutil
        import tempfile
        folder = tempfile.mkdtemp(prefix="graft-http-")
        self.addCleanup(shutil.rmtree, folder)
        refused = run_graft(new_home(folder), "serve", "--port", str(server.port), check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(str(server.port), refused.stderr)


class Scaling(WithHome):
    def nodes(self, server):
        return [node for pool in server.ask("GET", "/graft/v1/pools").json.get("pools", []) for node in pool["nodes"]]

    def test_down_to_none_when_idle_and_up_again_on_demand(self):
        server = self.serve("--idle-timeout", "1")
        server.deploy("stamps", "v1", harness.stamps())
        self.assertEqual(predict(server).code, 200)
        self.assertEqual(len(server.workers()), 1)
        wait_for(lambda: not server.workers() and not self.nodes(server), "the worker to go")
        self.assertEqual(predict(server).code, 200)
        decisions = [d["reason"] for pool in server.ask("GET", "/graft/v1/pools").json["pools"] for d in pool["decisions"]]
        self.assertTrue(any("idle" in reason for reason in decisions), decisions)

    def test_a_version_with_min_nodes_keeps_its_worker(self):
        server = self.serve("--idle-timeout", "1")
        server.deploy("stamps", "v1", harness.stamps(), autoScaling={"minNodes": 1})
        wait_for(lambda: any(n["state"].lower() == "ready" and n.get("idleSeconds", 0) > 2 for n in self.nodes(server)), "a worker idle for 2 s")
        self.assertEqual(len(server.workers()), 1)

    def test_a_hundred_versions_share_one_worker(self):
        server = self.serve()
        server.deploy("many", "v0", harness.stamps())
        operations = []
        for i in range(1, 100):
            started = server.ask("POST", "/v1/projects/default/models/many/versions", {"name": f"v{i}", "deploymentUri": "gs://tests/many/v0/"})
            operations.append(started.json["name"])
        for operation in operations:
            server.finish(operation)
        wanted = predict(server, model="many").json
        for i in range(0, 100, 7):
            self.assertEqual(predict(server, model=f"many/versions/v{i}").json, wanted)
        self.assertEqual(len(server.workers()), 1)
        blobs = [name for _, _, names in os.walk(os.path.join(self.home, "blobs")) for name in names]
        self.assertEqual(len(blobs), 1, blobs)


class TheEnd(WithHome):
    def test_sigterm_answers_what_is_in_flight_and_exits_0(self):
        server = self.serve("--drain-delay", "1")
        server.deploy("stamps", "v1", harness.stamps())
        load = harness.Load(server, 4, lambda connection: predict(server, connection))
        load.until(12)
        server.signal(signal.SIGTERM)
        wait_for(lambda: server.ask("GET", "/readyz").code == 503, "readiness to go")
        load.stopped.set()
        answers = load.stop()
        self.assertEqual(server.wait(), 0)
        self.assertEqual({answer.code for answer in answers}, {200})
        self.assertEqual(load.failures, [])

    def test_what_was_acknowledged_is_there_after_the_next_start(self):
        server = self.serve()
        server.deploy("stamps", "v1", harness.stamps())
        wanted = predict(server).json
        server.signal(signal.SIGKILL)
        server.wait()
        server.start()
        self.assertEqual(predict(server).json, wanted)


if __name__ == "__main__":
    harness.main()
