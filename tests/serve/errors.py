"""Errors have the exact shape of the family whose path was asked; nothing a client sends ends the server."""
import socket

from harness import Server, check, model, new_home, same

GOOGLE = {400: ("INVALID_ARGUMENT", "FAILED_PRECONDITION"), 404: ("NOT_FOUND",), 405: ("INVALID_ARGUMENT", "UNIMPLEMENTED", "NOT_FOUND"),
          409: ("ALREADY_EXISTS", "ABORTED"), 501: ("UNIMPLEMENTED",)}


def is_google(answer):
    error = answer.json["error"]
    same(error["code"], answer.code, f"code in body and line: {answer}")
    check(error["status"] in GOOGLE[answer.code], f"status of {answer.code}: {error}")
    check(error["message"] and "\n" not in error["message"], f"message: {error}")
    same(set(error) - {"code", "status", "message", "details"}, set(), "members of an error")


with Server(new_home()) as server:
    server.deploy(model("three"), "m", "v1", project="default")
    for method, path, body, code in [
            ("GET", "/v1/projects/p/models/none", None, 404), ("GET", "/v1/projects/p/operations/none", None, 404),
            ("POST", "/v1/projects/p/models", {"name": "9"}, 400), ("POST", "/v1/projects/p/models", b"{", 400),
            ("POST", "/v1/projects/p/models", b"[]", 400), ("POST", "/v1/projects/default/models", {"name": "m"}, 409),
            ("GET", "/v1/projects/p/models?pageSize=-1", None, 400), ("GET", "/v1/projects/p/models?pageToken=%00", None, 400),
            ("GET", "/v1/projects/default/models/m?fields=(", None, 400),
            ("PATCH", "/v1/projects/default/models/m?updateMask=nonsense", {}, 400),
            ("GET", "/graft/v1/nothing", None, 404), ("GET", "/v1/projects/p/nothing", None, 404),
            ("POST", "/v1/projects/p/models/none:predict", {"instances": []}, 404)]:
        answer = server.call(method, path, body)
        same(answer.code, code, f"{method} {path}: {answer}")
        is_google(answer)
    for method, path, body in [("POST", "/v1/models/m:predict", b"\xff"),
                               ("POST", "/v1/models/none:predict", {"instances": [1]})]:
        answer = server.call(method, path, body)
        check(answer.code in (400, 404), f"{method} {path}: {answer}")
        same(list(answer.json), ["error"], f"{path}: one member")
        check(isinstance(answer.json["error"], str), f"{path}: a text")
    check(server.call("DELETE", "/v1/models").code in (404, 405), "another method")
    # Every length of text, nesting and number that parsers trip over.
    for body in (b"[" * 100000, b'{"instances":' + b"[" * 5000, b'{"instances":[1e999]}', b'{"instances":["' + b"A" * 1000000,
                 b'{"instances":[{"b64":"\xed\xa0\x80"}]}', b'{"instances":[{"b64":"\\ud800"}]}', b'{"instances":{}}', b"null", b"0" * 10000,
                 b'{"instances":[{"a":{"b64":""},"b":{"b64":""}}]}', b'{"instances":[' + b"{}," * 1025 + b"{}]}"):
        for path in ("/v1/projects/default/models/m:predict", "/v1/models/m:predict"):
            answer = server.call("POST", path, body)
            same(answer.code, 400, f"{path} {body[:30]!r}: {answer}")
    # Bytes that are no HTTP.
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 1000,
                 b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                 b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
            s.sendall(sent)
            s.shutdown(socket.SHUT_WR)
            answer = s.recv(1000)
            check(answer == b"" or b" 4" in answer[:14] or b" 5" in answer[:14], f"{sent[:30]!r}: {answer[:80]!r}")
    same(server.get("/livez").code, 200, "alive after all of it")
