"""Limits, each at the limit and one beyond: bodies, heads, instances, uploads, connections, a queue."""
import json
import socket

import harness
from harness import PICTURE, b64

MIB = 1 << 20
PATHS = ("/v1/models/{}:predict", "/v1/projects/default/models/{}:predict")


def sized(n_bytes):
    """A well-formed request of exactly n_bytes, for a model that is not there."""
    frame = json.dumps({"instances": [""]}).encode()
    return frame.replace(b'""', b'"' + b"A" * (n_bytes - len(frame)) + b'"')


def padded(n_bytes):
    """A request of exactly n_bytes that is answered: blanks are JSON, too."""
    text = json.dumps({"instances": [b64(PICTURE)]}).encode()
    return text[:-1] + b" " * (n_bytes - len(text)) + b"}"


def raw(server, *parts):
    """All that the server says to these bytes before it closes."""
    with socket.create_connection(("127.0.0.1", server.port), harness.DEADLINE_S) as client:
        for part in parts:
            client.sendall(part)
        answer = b""
        while more := client.recv(65536):
            answer += more
        return answer


class ByDefault(harness.ServerCase):
    models = {"stamps": harness.stamps, "iris": harness.iris}

    def test_a_body_of_32_mib_is_answered_and_one_byte_more_is_not(self):
        for path in PATHS:
            self.check_code(self.ask("POST", path.format("stamps"), padded(32 * MIB)), 200)
            answer = self.check_code(self.ask("POST", path.format("stamps"), padded(32 * MIB + 1)), 413)
            self.assertIn(str(32 * MIB), str(answer.json["error"]))
        # Refused by what is announced, before any of it is sent.
        head = b"POST /v1/models/stamps:predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 33554433\r\n\r\n"
        self.assertEqual(raw(self.server, head)[:12], b"HTTP/1.1 413")

    def test_a_body_in_chunks_tells_no_length_before(self):
        head = b"POST /v1/models/stamps:predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

        def chunks(body):
            return b"".join(b"%x\r\n" % len(part) + part + b"\r\n" for part in (body[i:i + MIB] for i in range(0, len(body), MIB))) + b"0\r\n\r\n"
        self.assertEqual(raw(self.server, head, chunks(padded(32 * MIB)))[:12], b"HTTP/1.1 200")
        self.assertEqual(raw(self.server, head, chunks(padded(32 * MIB + 1)))[:12], b"HTTP/1.1 413")

    def test_a_head_of_32_kib_is_taken_and_one_byte_more_is_not(self):
        def head(n_bytes, line=b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: %s\r\n\r\n"):
            return line % (b"a" * (n_bytes - len(line) + 2))
        for n_bytes, code in ((20 << 10, b"200"), (32 << 10, b"200"), ((32 << 10) + 1, b"431"), (40 << 10, b"431"), (1 << 20, b"431")):
            for line in ((), (b"GET /livez?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",)):
                with self.subTest(n_bytes=n_bytes, line=line):
                    sent = head(n_bytes, *line)
                    self.assertEqual(len(sent), n_bytes)
                    answer = raw(self.server, sent)
                    self.assertIn(answer[9:12], (code, b"414") if code == b"431" and line else (code,), answer[:200])

    def test_1024_instances_are_answered_and_one_more_is_not(self):
        rows = [harness.iris_row(i, i % 3) for i in range(1025)]
        for path in PATHS:
            answer = self.check_code(self.ask("POST", path.format("iris"), {"instances": rows[:1024]}), 200)
            self.assertEqual(len(answer.json["predictions"]), 1024)
            answer = self.check_code(self.ask("POST", path.format("iris"), {"instances": rows}), 400)
            self.assertIn("1024", str(answer.json["error"]))


class ByOptions(harness.ServerCase):
    LIMIT = 1 << 20
    options = ("--max-body", LIMIT, "--max-instances", 4, "--max-headers", 4096, "--max-upload", 1 << 21)

    def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not(self):
        for path in PATHS:
            self.check_code(self.ask("POST", path.format("nobody"), sized(self.LIMIT)), 404)
            answer = self.check_code(self.ask("POST", path.format("nobody"), sized(self.LIMIT + 1)), 413)
            self.assertIn(str(self.LIMIT), str(answer.json["error"]))
        self.assertEqual(answer.json["error"]["code"], 413)

    def test_instances_of_the_limit_are_taken_and_one_more_is_not(self):
        self.check_code(self.ask("POST", "/v1/models/stamps:predict", {"instances": [b64(PICTURE)] * 4}), 200)
        answer = self.check_code(self.ask("POST", "/v1/models/stamps:predict", {"instances": [b64(PICTURE)] * 5}), 400)
        self.assertIn("4", answer.json["error"])

    def test_a_head_of_the_limit_is_taken_and_one_byte_more_is_not(self):
        frame = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: \r\n\r\n"
        for n_bytes, code in ((4096, b"200"), (4097, b"431")):
            answer = raw(self.server, frame[:-4] + b"a" * (n_bytes - len(frame)) + b"\r\n\r\n")
            self.assertEqual(answer[9:12], code, answer[:200])

    def test_an_upload_of_the_limit_is_kept_and_one_byte_more_is_not(self):
        url = "/graft/v1/buckets/limits/objects/"
        self.check_code(self.ask("PUT", url + "at", bytes(1 << 21)), 200)
        self.check_code(self.ask("PUT", url + "beyond", bytes((1 << 21) + 1)), 413)
        self.assertEqual(len(self.check_code(self.ask("GET", url + "at"), 200).body), 1 << 21)
        self.check_code(self.ask("GET", url + "beyond"), 404)


if __name__ == "__main__":
    harness.main()
