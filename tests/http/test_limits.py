"""Limits at the limit and one beyond, slow and broken clients, and each family's errors."""
import http.client
import json
import socket
import time

import harness
from harness import PICTURE, b64


class Limits(harness.ServerCase):
    LIMIT = 1 << 20
    options = ("--max-body", str(LIMIT), "--max-instances", "4")

    def sized(self, n_bytes):
        """A well-formed request for a model that is not there, of exactly n_bytes."""
        frame = json.dumps({"instances": [""]}).encode()
        return frame.replace(b'""', b'"' + b"A" * (n_bytes - len(frame)) + b'"')

    def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not(self):
        self.check_code(self.ask("POST", "/v1/models/nobody:predict", self.sized(self.LIMIT)), 404)
        answer = self.check_code(self.ask("POST", "/v1/models/nobody:predict", self.sized(self.LIMIT + 1)), 413)
        self.assertIn(str(self.LIMIT), answer.json["error"])
        answer = self.check_code(self.ask("POST", "/v1/projects/default/models/nobody:predict", self.sized(self.LIMIT + 1)), 413)
        self.assertEqual(answer.json["error"]["code"], 413)

    def test_instances_of_the_limit_are_taken_and_one_more_is_not(self):
        self.check_code(self.ask("POST", "/v1/models/stamps:predict", {"instances": [b64(PICTURE)] * 4}), 200)
        answer = self.check_code(self.ask("POST", "/v1/models/stamps:predict", {"instances": [b64(PICTURE)] * 5}), 400)
        self.assertIn("4", answer.json["error"])

    def test_headers_of_a_sensible_size_are_taken_and_huge_ones_are_not(self):
        self.check_code(self.ask("GET", "/livez", headers={"X-Long": "a" * 20000}), 200)
        answer = self.ask("GET", "/livez", headers={"X-Long": "a" * 40000})
        self.assertIn(answer.code, (400, 431))

    def test_a_client_that_says_half_and_goes_hurts_nobody(self):
        for said in (b"POST /v1/models/stamps:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", b"GET /liv", b"\x16\x03\x01garbage\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", self.server.port)) as client:
                client.sendall(said)
                client.shutdown(socket.SHUT_WR)
                client.settimeout(harness.DEADLINE_S)
                while client.recv(65536):
                    pass
        self.check_code(self.ask("GET", "/livez"), 200)

    def test_errors_have_their_family_s_shape(self):
        for path in ("/v1/projects/default/models/nobody", "/graft/v1/nothing"):
            error = self.check_code(self.ask("GET", path), 404).json["error"]
            self.assertEqual((error["code"], error["status"]), (404, "NOT_FOUND"))
            self.assertTrue(error["message"])
        for path in ("/v1/models/nobody", "/v2/models/nobody"):
            self.assertIsInstance(self.check_code(self.ask("GET", path), 404).json["error"], str)
        self.check_code(self.ask("POST", "/v1/projects/default/models", {"name": "9lives"}), 400)
        self.check_code(self.ask("POST", "/v1/projects/default/models", {"name": "stamps"}), 409)
        answer = self.check_code(self.ask("PUT", "/v1/projects/default/models"), 405)
        self.assertIn("GET", answer.headers["Allow"])

    def test_nonsense_is_a_client_s_error(self):
        for body in (b"", b"[]", b"{}", b"null", b'{"instances": 7}', b'{"instances": []}', b'{"instances": [[[[[[]]]]]]}',
                     b'{"instances": [{"b64": 3}]}', b'{"instances": ["' + b"/9j/" * 100 + b'"]}', b"\xff\xfe{", b'{"instances": [1e999]}'):
            for path in ("/v1/models/stamps:predict", "/v1/projects/default/models/stamps:predict", "/v2/models/stamps/infer"):
                answer = self.ask("POST", path, body)
                self.assertEqual(answer.code, 400, (path, body[:40], answer))


if __name__ == "__main__":
    harness.main()
