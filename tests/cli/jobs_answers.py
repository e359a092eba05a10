"""A web server for jobs.sh: keeps what is uploaded and asked, tells of jobs, and streams logs over connections that break.

Prints its port once it listens; writes every request into the file `requests` and uploads into `uploads/`; ends with its standard input."""
import http.server
import json
import os
import re
import sys
import threading
import urllib.parse

JOBS = "/v1/projects/p/jobs"
# What lies in the bucket from before: the wheel of jobs.sh, for a job "refused".
BEFORE = ["refused/1f148121b804b2d30f7b87856b0840eba32af90607328a5756802771f8dbff57/more-1.0-py3-none-any.whl"]
streams = {}


def event(name, data, number=None):
    lines = ([f"id: {number}"] if number else []) + [f"event: {name}", f"data: {json.dumps(data)}"]
    return "\n".join(lines) + "\n\n"


def line(message, stream="stdout", **more):
    return dict({"time": "2026-01-02T03:04:05.678Z", "stream": stream}, **more, message=message)


def job(name, state, **more):
    return dict({"jobId": name, "state": state, "createTime": "2026-01-02T03:04:05Z"}, **more)


BEGIN = event("state", {"state": "QUEUED"}) + event("state", {"state": "RUNNING"})


def stream(name, since):
    """(whether the connection is kept, the text) of the next connection for a job's log; None: 503."""
    n = streams[name] = streams.get(name, 0) + 1
    if name == "good":
        return {1: (False, BEGIN + event("log", line("one"), 10) + event("log", line("two", "stderr"), 20) + "id: 30\nevent: log\nda"),
                2: None,
                3: (True, ": nothing new\n\n" + event("closing", {"reason": "the server ends"})),
                4: (True, event("state", {"state": "RUNNING"}) + event("log", line(f"since {since}", trialId="3"), 30) +
                    event("state", {"state": "SUCCEEDED"}) + event("end", job(name, "SUCCEEDED")))}[n]
    if name == "lines":
        return True, event("log", line("a\nb"), 5) + event("end", job(name, "SUCCEEDED"))
    if name == "failed":
        return True, BEGIN + event("end", job(name, "FAILED", errorMessage="the program ended with exit status 1\nTraceback:\n  ValueError: bad"))
    if name == "cancelled":
        return True, event("end", job(name, "CANCELLED", errorMessage="cancelled"))
    return False, None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_upload = self.command == "PUT"
        since = self.headers.get("Last-Event-ID")
        with open("requests", "a", encoding="utf-8") as file:
            file.write(" ".join(filter(None, [self.command, self.path, "" if is_upload else body.decode(), since and "since " + since])) + "\n")
        if is_upload:
            os.makedirs("uploads", exist_ok=True)
            with open("uploads/" + os.path.basename(path), "wb") as file:
                file.write(body)
            return self.send(200, {})
        if path.endswith(":streamLogs"):
            return self.stream(path.rsplit("/", 1)[1].split(":")[0], since)
        if path.startswith("/graft/v1/buckets/"):
            return self.send(200, {"items": [{"name": name} for name in BEFORE if name.startswith(urllib.parse.parse_qs(query).get("prefix", ["-"])[0])]})
        if path == JOBS and self.command == "POST" and json.loads(body)["jobId"] == "refused":
            return self.send(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "trainingInput.scaleTier: expected another"}})
        if path == JOBS and self.command == "POST":
            return self.send(200, dict(json.loads(body), state="QUEUED"))
        if path == JOBS:
            first = "pageToken" not in urllib.parse.parse_qs(query)
            page = {"jobs": [job("b", "RUNNING"), job("a_longer_name", "SUCCEEDED")] if first else [job("c", "FAILED")]}
            return self.send(200, dict(page, nextPageToken="t") if first else page)
        if path.endswith(":cancel"):
            return self.send(200, {})
        if self.command == "GET" and re.fullmatch(JOBS + r"/(j\d|refused)", path):
            return self.send(404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "no such job"}})
        if path.endswith("/nobody"):
            return self.send(404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "projects/p/jobs/nobody: no such job"}})
        return self.send(200, job(path.rsplit("/", 1)[1], "FAILED", errorMessage="it went wrong", trainingInput={"args": ["--a", "b"]}))

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = respond

    def send(self, code, document):
        data = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, name, since):
        if name == "endless":
            self.begin_stream()
            self.chunk(BEGIN)
            gone.wait()
            return None
        if name == "nobody":
            return self.send(404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "projects/p/jobs/nobody: no such job"}})
        found = stream(name, since)
        if found is None:
            return self.send(503, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "starting"}})
        is_kept, text = found
        self.begin_stream()
        for i in range(0, len(text), 7):  # events do not come in one piece
            self.chunk(text[i:i + 7])
        if is_kept:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True
        return None

    def begin_stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, text):
        self.wfile.write(f"{len(text.encode()):x}\r\n{text}\r\n".encode())

    def log_message(self, *ignored):
        pass


gone = threading.Event()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
