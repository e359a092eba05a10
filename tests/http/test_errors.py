"""Errors have the exact shape of the family whose path was asked; nothing that a client sends ends the server."""
import json
import os
import signal
import socket

import harness
from harness import b64

GOOGLE = {400: ("INVALID_ARGUMENT", "FAILED_PRECONDITION"), 404: ("NOT_FOUND",), 405: ("INVALID_ARGUMENT", "UNIMPLEMENTED", "NOT_FOUND"),
          409: ("ALREADY_EXISTS", "ABORTED"), 501: ("UNIMPLEMENTED",)}
FAMILIES = ("/v1/models/stamps:predict", "/v1/projects/default/models/stamps:predict", "/v2/models/stamps/infer")


class Errors(harness.ServerCase):
    def test_google_s_shape(self):
        for method, path, body, code in [
                ("GET", "/v1/projects/p/models/none", None, 404), ("GET", "/v1/projects/p/operations/none", None, 404),
                ("GET", "/v1/projects/default/models/none", None, 404), ("POST", "/v1/projects/p/models", {"name": "9lives"}, 400),
                ("POST", "/v1/projects/p/models", b"{", 400), ("POST", "/v1/projects/p/models", b"[]", 400),
                ("POST", "/v1/projects/default/models", {"name": "stamps"}, 409), ("GET", "/v1/projects/p/models?pageSize=-1", None, 400),
                ("GET", "/v1/projects/p/models?pageToken=%00", None, 400), ("GET", "/v1/projects/default/models/stamps?fields=(", None, 400),
                ("PATCH", "/v1/projects/default/models/stamps?updateMask=nonsense", {}, 400), ("GET", "/graft/v1/nothing", None, 404),
                ("GET", "/v1/projects/p/nothing", None, 404), ("POST", "/v1/projects/p/models/none:predict", {"instances": []}, 404),
                ("PUT", "/v1/projects/default/models", None, 405)]:
            with self.subTest(method=method, path=path):
                answer = self.check_code(self.ask(method, path, body), code)
                error = answer.json["error"]
                self.assertEqual(error["code"], code)
                self.assertIn(error["status"], GOOGLE[code])
                self.assertRegex(error["message"], r"^[^\n]+$")
                self.assertLessEqual(set(error), {"code", "status", "message", "details"})
                if code == 405:
                    self.assertIn("GET", answer.headers["Allow"])

    def test_the_others_say_one_text(self):
        for path in ("/v1/models/nobody", "/v2/models/nobody"):
            self.assertIsInstance(self.check_code(self.ask("GET", path), 404).json["error"], str)

    def test_nonsense_is_a_client_s_error_in_every_family(self):
        """Every length of text, nesting and number that parsers trip over."""
        for body in (b"", b"[]", b"{}", b"null", b"0" * 10000, b'{"instances": 7}', b'{"instances": []}', b'{"instances":{}}',
                     b'{"instances": [[[[[[]]]]]]}', b'{"instances": [{"b64": 3}]}', b'{"instances": ["' + b"/9j/" * 100 + b'"]}', b"\xff\xfe{",
                     b'{"instances": [1e999]}', b"[" * 100000, b'{"instances":' + b"[" * 5000, b'{"instances":["' + b"A" * 1000000,
                     b'{"instances":[{"b64":"\xed\xa0\x80"}]}', b'{"instances":[{"b64":"\\ud800"}]}',
                     b'{"instances":[{"a":{"b64":""},"b":{"b64":""}}]}', b'{"instances":[' + b"{}," * 1025 + b"{}]}"):
            for path in FAMILIES:
                with self.subTest(path=path, body=body[:40]):
                    self.check_code(self.ask("POST", path, body), 400)

    def test_bytes_that_are_no_http_hurt_nobody(self):
        post = b"POST /v1/models/stamps:predict HTTP/1.1\r\nHost: x\r\n"
        for sent in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16\x03\x01garbage\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 1000,
                     b"GET /liv", post + b"Content-Length: 100\r\n\r\n{", post + b"Content-Length: -5\r\n\r\n",
                     post + b"Content-Length: 99999999999999999999\r\n\r\n", post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"):
            with self.subTest(sent=sent[:40]), socket.create_connection(("127.0.0.1", self.server.port), harness.DEADLINE_S) as client:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                answer = b""
                while more := client.recv(65536):
                    answer += more
                self.assertTrue(answer == b"" or answer[8:10] in (b" 4", b" 5"), answer[:80])
        self.check_code(self.ask("GET", "/livez"), 200)
        self.check_code(self.ask("POST", FAMILIES[0], {"instances": [b64(harness.PICTURE)]}), 200)

    def sent_raw(self, sent):
        with socket.create_connection(("127.0.0.1", self.server.port), harness.DEADLINE_S) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while more := client.recv(65536):
                answer += more
        return answer

    def test_what_two_readers_would_read_in_two_ways_is_refused_whole(self):
        hidden = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        for header in (b"Content-Length : %d", b"Content-Length\t: %d", b"Transfer-Encoding : chunked", b"X Y: %d"):
            line = header % len(hidden) if b"%" in header else header
            with self.subTest(header=line):
                answer = self.sent_raw(b"POST /v1/models/stamps:predict HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n" + hidden)
                self.assertEqual(answer[9:12], b"400", answer)
                self.assertEqual(answer.count(b"HTTP/1.1 "), 1, "the body was taken for another request")
                self.assertIn(b"is no header's name", answer)

    def test_a_request_names_its_host_once(self):
        for hosts in (b"", b"Host: a\r\nHost: b\r\n"):
            with self.subTest(hosts=hosts):
                answer = self.sent_raw(b"GET /v1/models HTTP/1.1\r\n" + hosts + b"\r\n")
                self.assertEqual(answer[9:12], b"400", answer)
                self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)
                self.assertIn(b"Host headers, expected one", json.loads(answer.partition(b"\r\n\r\n")[2])["error"].encode())
        self.assertEqual(self.sent_raw(b"GET /livez HTTP/1.0\r\n\r\n")[9:12], b"200")


class Damage(harness.HomeCase):
    """What has become of the server's own files is no client's fault, and where they lie is nobody's business."""

    def restarted_workers(self, server):
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)

    def test_a_model_that_is_broken_by_now_is_a_fault_of_the_server(self):
        server = self.serve()
        server.deploy("stamps", "v1", harness.stamps())
        (path,) = [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(self.home, "blobs")) for name in names]
        whole = harness.read(path)
        os.chmod(path, 0o600)
        for damage in (lambda: harness.write(path, whole[:100]), lambda: harness.write(path, b"\0" * len(whole)), lambda: os.remove(path)):
            damage()
            self.restarted_workers(server)
            for url in FAMILIES[:2]:
                answer = self.check_code(server.ask("POST", url, {"instances": [b64(harness.PICTURE)]}), 500)
                self.assertNotIn(self.home.encode(), answer.body)
                self.assertNotIn(b"blobs", answer.body)
            self.assertEqual(answer.json["error"]["status"], "INTERNAL")
            self.assertIn("the model file of projects/default/models/stamps/versions/v1: ", server.log_text())
        harness.write(path, whole)
        self.check_code(server.ask("POST", FAMILIES[0], {"instances": [b64(harness.PICTURE)]}), 200)

    def test_a_trunk_that_is_gone_is_told_with_what_to_do(self):
        server = self.serve()
        server.deploy("stamps", "v1", harness.stamps())
        (trunk,) = [os.path.join(self.home, "trunks", name) for name in os.listdir(os.path.join(self.home, "trunks"))]
        target = os.readlink(trunk)
        os.remove(trunk)
        self.restarted_workers(server)
        said = self.check_code(server.ask("POST", FAMILIES[0], {"instances": [b64(harness.PICTURE)]}), 503).json["error"]
        self.assertIn("not in HOME; get it with graft pull", said)
        pool = server.pools()[0]
        self.assertIn("not in ", pool["failure"])
        self.assertGreaterEqual(pool["failedStarts"], 5)
        self.assertRegex(server.graft("pools").stdout, r"(?m)^  \d+ starts failed, the next in \d+\.\d s: .*get it with graft pull")
        os.symlink(target, trunk)
        harness.wait_for(lambda: server.ask("POST", FAMILIES[0], {"instances": [b64(harness.PICTURE)]}).code == 200, "a worker again")
        self.assertNotIn("failure", server.pools()[0])


if __name__ == "__main__":
    harness.main()
