"""What the one who runs the server sees: TLS, CORS, probes, metrics, logs, request ids, a home that is taken."""
import fcntl
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import warnings

import harness
from harness import JPEG_PATH, PICTURE, b64, run_graft, wait_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


def predict(server, model="stamps", headers=None):
    return server.ask("POST", f"/v1/models/{model}:predict", {"instances": [b64(PICTURE)]}, headers)


def certificate(folder, name):
    cert, key = (os.path.join(folder, f"{name}-{what}.pem") for what in ("cert", "key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    return cert, key


class Tls(harness.HomeCase):
    def test_https_with_a_certificate_of_ours(self):
        cert, key = certificate(self.folder, "a")
        server = self.serve("--tls-cert", cert, "--tls-key", key, cafile=cert)
        self.check_code(server.ask("GET", "/livez"), 200)
        server.deploy("stamps", "v1", harness.stamps())
        self.assertEqual(len(self.check_code(predict(server), 200).json["predictions"][0]), 3)
        self.assertTrue(server.ask("GET", "/$discovery/rest?version=v1").json["rootUrl"].startswith("https://"))
        # Plain HTTP there gets no answer, and hurts nobody.
        plain = harness.http.client.HTTPConnection("127.0.0.1", server.port, timeout=harness.DEADLINE_S)
        self.assertRaises((OSError, harness.http.client.HTTPException), server.ask, "GET", "/livez", connection=plain)
        plain.close()
        self.check_code(server.ask("GET", "/livez"), 200)

    def test_versions_of_tls_that_are_no_more_to_be_used_are_not(self):
        cert, key = certificate(self.folder, "a")
        server = self.serve("--tls-cert", cert, "--tls-key", key, cafile=cert)
        for version, is_spoken in (("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)):
            with self.subTest(version=version), socket.create_connection(("127.0.0.1", server.port), harness.DEADLINE_S) as plain, warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context = ssl.create_default_context(cafile=cert)
                context.set_ciphers("DEFAULT@SECLEVEL=0")
                context.maximum_version = context.minimum_version = ssl.TLSVersion[version]
                try:
                    with context.wrap_socket(plain, server_hostname="localhost") as client:
                        found = client.version()
                except OSError as problem:
                    found = problem
                self.assertEqual(isinstance(found, str), is_spoken, found)

    def test_a_bad_key_or_certificate_is_refused_by_its_name(self):
        cert, key = certificate(self.folder, "a")
        _, other_key = certificate(self.folder, "b")
        empty = harness.write(os.path.join(self.folder, "empty.pem"), b"")
        half = harness.write(os.path.join(self.folder, "half.pem"), harness.read(key)[:300])
        for options, word in ((["--tls-cert", cert], "key"), (["--tls-key", key], "cert"), (["--tls-cert", "/nowhere.pem"], "certificate"),
                              (["--tls-cert", self.folder + "/none.pem", "--tls-key", key], "none.pem"),
                              (["--tls-cert", cert, "--tls-key", self.folder + "/none.pem"], "none.pem"),
                              (["--tls-cert", JPEG_PATH, "--tls-key", key], "PEM"), (["--tls-cert", cert, "--tls-key", JPEG_PATH], "PEM"),
                              (["--tls-cert", cert, "--tls-key", other_key], "belong together"), (["--tls-cert", cert, "--tls-key", half], "PEM"),
                              (["--tls-cert", cert, "--tls-key", empty], "PEM"), (["--tls-cert", key, "--tls-key", cert], "PEM")):
            with self.subTest(options=options):
                self.assertIn(word, self.refused(*options))


class StuckReader(harness.HomeCase):
    def test_a_log_that_nobody_reads_stops_nothing_and_tells_what_it_lost(self):
        path = os.path.join(self.folder, "log")
        os.mkfifo(path)
        reader = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        server = self.serve("--access-log", path)
        lines = []

        def read_lines():
            try:
                lines.extend(map(json.loads, os.read(reader, 1 << 16).splitlines()))
            except BlockingIOError:
                pass
            return lines

        def n_threads():
            return len(os.listdir(f"/proc/{server.process.pid}/task"))
        n_before = n_threads()
        for _ in range(60):
            self.check_code(server.ask("GET", "/livez"), 200)
        wait_for(lambda: n_threads() <= n_before, "connections to end though nobody reads")
        read_lines()

        def told():
            server.ask("GET", "/livez")
            return any("lostLines" in line for line in read_lines())
        wait_for(told, "the number of lines that were lost")
        self.assertGreater(next(line["lostLines"] for line in lines if "lostLines" in line), 10)

        def long_is_there():
            server.ask("GET", "/" + "%01" * 1000 + "long")
            return any(line["path"].startswith("/\1") or line["path"].startswith("/%01") for line in read_lines())
        wait_for(long_is_there, "the line of a long path")
        self.assertLessEqual(max(len(line["path"]) for line in lines), 512)
        self.assertEqual(server.stop(), 0)


class OpenFiles(harness.HomeCase):
    def test_silent_clients_do_not_take_the_files_that_workers_need(self):
        server = self.serve(limit_files=64)
        server.deploy("stamps", "v1", harness.stamps())
        server.deploy("iris", "v1", harness.iris())
        asking = server.connect()
        self.check_code(server.ask("GET", "/livez", connection=asking), 200)
        silent = [socket.create_connection(("127.0.0.1", server.port), harness.DEADLINE_S) for _ in range(100)]
        wait_for(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) >= 32 + 10, "as many connections as there may be")
        for model, instance in (("stamps", b64(PICTURE)), ("iris", [1, 2, 3, 4])):
            for pid in server.workers():
                os.kill(pid, signal.SIGKILL)
            answer = server.ask("POST", f"/v1/models/{model}:predict", {"instances": [instance]}, connection=asking)
            self.check_code(answer, 200)
        for client in silent:
            client.close()
        asking.close()
        self.assertIn("at most 32 connections at a time instead of 1000: only 64 files may be open", server.log_text())


class Cors(harness.HomeCase):
    def allowed(self, server, origin, method="GET"):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        answer = server.ask(method, "/v1/models/nobody:predict" if method == "OPTIONS" else "/v1/models", headers=headers)
        self.assertIn(answer.code, (200, 204))
        return {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith("access-control-") or name == "Vary"}

    def test_off_by_default(self):
        server = self.serve()
        for method in ("GET", "OPTIONS"):
            self.assertEqual(self.allowed(server, "https://page.example", method), {})

    def test_on_for_one_origin(self):
        server = self.serve("--cors-origin", "https://page.example")
        for method in ("GET", "OPTIONS"):
            found = self.allowed(server, "https://page.example", method)
            self.assertEqual((found["access-control-allow-origin"], found["vary"]), ("https://page.example", "Origin"))
            other = self.allowed(server, "https://evil.example", method)
            self.assertNotIn("access-control-allow-origin", other)
            self.assertEqual(other["vary"], "Origin")
        found = self.allowed(server, "https://page.example", "OPTIONS")
        self.assertIn("POST", found["access-control-allow-methods"])
        self.assertIn("Content-Type", found["access-control-allow-headers"])
        # Pages see errors, too.
        answer = server.ask("GET", "/v1/models/nobody", headers={"Origin": "https://page.example"})
        self.assertEqual((answer.code, answer.headers["Access-Control-Allow-Origin"]), (404, "https://page.example"))

    def test_on_for_all(self):
        server = self.serve("--cors-origin", "*")
        self.assertEqual(self.allowed(server, "https://any.example")["access-control-allow-origin"], "*")


class Watching(harness.HomeCase):
    def check_metrics(self, text):
        """promtool knows the text format, and how names should be; of the names of others it may think what it likes."""
        done = subprocess.run([harness.variable("GRAFT_TEST_PROMTOOL"), "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        said = [line for line in (done.stdout + done.stderr).splitlines() if not re.match(r"(nv_|:tensorflow:)\S+ .*(should|help)", line)]
        self.assertEqual(said, [])
        self.assertIn(done.returncode, (0, 3))  # 1 is text that it cannot read
        values = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        self.assertTrue(all(float(value) >= 0 for _, value in values), "every line ends in a number")
        self.assertEqual(len({name for name, _ in values}), len(values), "no line twice")
        return {name: float(value) for name, value in values}

    def test_metrics_of_versions_that_were_asked_please_promtool(self):
        server = self.serve()
        values = self.check_metrics(server.ask("GET", "/metrics").body.decode())
        self.assertEqual(values["graft_ready"], 1, "though nobody has asked for its readiness")
        server.deploy("stamps", "v1", harness.stamps())
        server.deploy("stamps", "v2", harness.deep(), project="else_where")
        server.deploy("iris", "v1", harness.iris())
        for _ in range(3):
            self.check_code(predict(server), 200)
        self.check_code(server.predict("stamps", PICTURE, project="else_where"), 200)
        self.check_code(server.ask("POST", "/v1/models/iris:predict", {"instances": [harness.iris_row(0, 0)]}), 200)
        self.check_code(predict(server, "nobody"), 404)
        answer = server.ask("GET", "/metrics")
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain"))
        text = answer.body.decode()
        values = self.check_metrics(text)
        for name in ("graft_http_requests_total", "graft_cold_start_seconds", "graft_model_load_seconds", "graft_model_resident_bytes"):
            self.assertIn("# TYPE " + name, text)
        self.assertEqual(values['graft_model_instances_total{project="default",model="stamps",version="v1"}'], 3)
        self.assertEqual(values['graft_model_instances_total{project="else_where",model="stamps",version="v2"}'], 1)
        self.assertEqual(values['graft_http_requests_total{family="tensorflow",code="404"}'], 1)
        # The names of others.
        text = server.ask("GET", "/metrics?aliases=1").body.decode()
        self.check_metrics(text)
        self.assertIn("nv_inference_request_success", text)
        text = server.ask("GET", "/monitoring/prometheus/metrics").body.decode()
        self.check_metrics(text)
        self.assertIn(":tensorflow:serving:request_count", text)

    def lines(self, log):
        return [json.loads(line) for line in harness.read(log).splitlines()] if os.path.exists(log) else []

    def test_the_access_log_is_json_carries_ids_hides_keys_and_survives_rotation(self):
        log = os.path.join(self.folder, "access.log")
        server = self.serve("--access-log", log)
        server.deploy("stamps", "v1", harness.stamps())
        answer = server.ask("POST", "/v1/models/stamps:predict?key=secret", {"instances": [b64(PICTURE)]}, dict(PARENT, **{"X-Request-Id": "mine-1"}))
        self.assertEqual((answer.code, answer.headers["X-Request-Id"]), (200, "mine-1"))
        (line,) = wait_for(lambda: [one for one in self.lines(log) if one["id"] == "mine-1"], "a line in the access log")
        self.assertEqual((line["trace"], line["method"], line["code"], line["path"]), (TRACE, "POST", 200, "/v1/models/stamps:predict"))
        self.assertNotIn(b"secret", harness.read(log))
        os.rename(log, log + ".1")
        server.signal(signal.SIGHUP)
        wait_for(lambda: os.path.exists(log), "a new access log")
        server.ask("GET", "/livez", headers={"X-Request-Id": "after"})
        wait_for(lambda: any(one["id"] == "after" for one in self.lines(log)), "a line in the new access log")
        self.check_code(predict(server), 200)

    def test_traceparent_is_honoured_where_it_makes_sense(self):
        log = os.path.join(self.folder, "access.log")
        server = self.serve("--access-log", log)
        answer = server.ask("GET", "/v1/models", headers=PARENT)
        self.assertEqual(answer.headers["X-Request-Id"], TRACE, "the trace id where there is no other")
        wait_for(lambda: any(one["trace"] == TRACE for one in self.lines(log)), "its line")
        made = set()
        for bad in (None, "", "00", f"00-{TRACE[:-1]}-00f067aa0ba902b7-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE.upper()}x-00f067aa0ba902b7-01",
                    f"ff-{TRACE}-00f067aa0ba902b7-01", "x" * 5000):
            answer = self.check_code(server.ask("GET", "/livez", headers={"traceparent": bad} if bad is not None else {}), 200)
            made.add(answer.headers["X-Request-Id"])
        self.assertEqual(len(made), 8, "ids of its own, each another")
        self.assertNotIn(TRACE, made)
        answer = server.ask("GET", "/livez", headers={"X-Request-Id": 'a"b\\' + "c" * 500})
        self.assertLessEqual(len(answer.headers["X-Request-Id"]), 64)
        self.assertNotIn('"', answer.headers["X-Request-Id"])

    def test_probes(self):
        server = self.serve()
        self.assertEqual((server.ask("GET", "/livez").code, server.ask("GET", "/readyz").code), (200, 200))


class TakenPlaces(harness.HomeCase):
    def test_a_second_server_on_the_same_home_is_refused_and_the_first_goes_on(self):
        server = self.serve()
        server.deploy("stamps", "v1", harness.stamps())
        load = harness.Load(server, 2, lambda connection, i: server.predict("stamps", PICTURE, connection=connection))
        for _ in range(3):
            self.assertIn(self.home, self.refused())
        load.more(4)
        self.assertEqual({answer.code for _, answer in load.stop()}, {200})
        self.assertEqual(load.failures, [])
        self.check_code(server.ask("GET", "/readyz"), 200)
        self.check_code(server.ask("POST", "/v1/projects/default/models", {"name": "still_written"}), 200)
        # Once it has ended the home is free.
        self.assertEqual(server.stop(), 0)
        self.check_code(predict(self.serve()), 200)

    def test_a_port_in_use_is_said_so(self):
        server = self.serve()
        refused = run_graft(harness.new_home(self.scratch()), "serve", "--port", server.port, check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(str(server.port), refused.stderr)
        self.check_code(server.ask("GET", "/livez"), 200)


if __name__ == "__main__":
    harness.main()
