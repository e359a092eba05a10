"""Limits, each at the limit and one beyond; slow, halting and half-closed clients."""
import socket
import time

from harness import JPEG, Server, b64, check, model, new_home, read, same

MIB = 1 << 20


def raw(server, sent, timeout=60):
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as s:
        s.sendall(sent)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while data := s.recv(65536):
            answer += data
        return answer


def body_of(n):
    """A prediction request of n bytes: blanks are JSON, too."""
    text = b'{"instances":["' + b64(read(JPEG)).encode() + b'"]}'
    return text[:-1] + b" " * (n - len(text)) + b"}"


with Server(new_home()) as server:
    server.deploy(model("three"), "m", "v1", project="default")
    for path in ("/v1/projects/default/models/m:predict", "/v1/models/m:predict"):
        same(server.call("POST", path, body_of(32 * MIB)).code, 200, f"{path}: a body of 32 MiB")
        connection = server.connect()
        try:
            answer = server.call("POST", path, body_of(32 * MIB + 1), connection=connection)
        except (BrokenPipeError, ConnectionResetError):
            # Refused before all of it was sent, which is allowed: the answer is read anyway.
            answer = raw(server, b"POST " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 33554433\r\n\r\n")
            same(answer[:12], b"HTTP/1.1 413", "32 MiB + 1, refused by the header")
        else:
            same(answer.code, 413, f"{path}: a body of 32 MiB + 1: {answer}")
            check(answer.json["error"], "in the family's shape")
    # Chunked: no length is told before.
    chunk = b"100000\r\n" + b" " * MIB + b"\r\n"
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
        try:
            s.sendall(b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(33):
                s.sendall(chunk)
            s.sendall(b"0\r\n\r\n")
            answer = s.recv(4096)
        except (BrokenPipeError, ConnectionResetError):
            answer = b"HTTP/1.1 413"
    same(answer[:12], b"HTTP/1.1 413", "33 MiB in chunks")

    for n, code in ((20 << 10, b"200"), (40 << 10, b"431")):
        answer = raw(server, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: " + b"a" * n + b"\r\n\r\n")
        same(answer[9:12], code, f"a header of {n} bytes: {answer[:100]}")
    answer = raw(server, b"GET /livez?" + b"a" * (40 << 10) + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    check(answer[9:12] in (b"414", b"431"), f"a long request line: {answer[:100]}")

    tiny = b64(read(JPEG))
    many = [tiny] * 1024
    same(server.predict(many, project="default").code, 200, "1024 instances")
    same(server.predict(many + [tiny], project="default").code, 400, "1025 instances")

    # A client that sends one byte at a time, one that stops in the middle, one that closes its side: others are served meanwhile.
    text = b'{"instances":["' + tiny.encode() + b'"]}'
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(text)
    halting = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for s in halting:
        s.sendall(head + text[:100])
    slow = socket.create_connection(("127.0.0.1", server.port))
    for i in range(0, len(head)):
        slow.sendall(head[i:i + 1])
    same(server.predict([tiny], project="default").code, 200, "served beside halting clients")
    slow.sendall(text)
    same(slow.recv(12), b"HTTP/1.1 200", "the slow one")
    answer = raw(server, head + text)
    same(answer[:12], b"HTTP/1.1 200", "one that closed its sending side")
    for s in halting:
        s.close()
    # Gone before the answer: nobody notices.
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(head + text)
    same(server.predict([tiny], project="default").code, 200, "after clients that left")

    # Keep-alive, and two requests in one packet.
    connection = server.connect()
    for _ in range(20):
        same(server.get("/livez", connection=connection).code, 200, "keep-alive")
    connection.close()
    pair = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    same(raw(server, pair).count(b"HTTP/1.1 200"), 2, "two requests in one packet")

with Server(server.home, "--read-timeout", "1", "--max-body", "2000") as server:
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        s.sendall(b"GET /livez HT")
        check(s.recv(1000)[:12] in (b"", b"HTTP/1.1 408"), "a silent connection is closed")
    check(time.monotonic() - start < 20, "and soon")
    same(server.call("POST", "/v1/models/m:predict", b" " * 2000).code, 400, "a body of --max-body")
    same(server.call("POST", "/v1/models/m:predict", b" " * 2001).code, 413, "and one more")
