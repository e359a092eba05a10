"""A small web server for the scripts beside it: the files of a folder, and addresses that go wrong.

Prints "PORT REFUSED" once it listens: its own port, and one that refuses connections. Ends with its standard input, so with the script.
    /flaky/NAME  503 the first time, then NAME        /moved/NAME  redirected to /NAME
    /cut/NAME    half of NAME, then the line drops    anything else that is no file: 404
"""
import http.server
import os
import socket
import sys
import threading

failed = set()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, _, name = self.path[1:].partition("/")
        if kind not in ("flaky", "moved", "cut"):
            kind, name = "plain", self.path[1:]
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", "/" + name)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if kind == "flaky" and name not in failed:
            failed.add(name)
            return self.send_error(503)
        if not os.path.isfile(name):
            return self.send_error(404)
        with open(name, "rb") as file:
            data = file.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:len(data) // 2] if kind == "cut" else data)

    def log_message(self, *ignored):
        pass


os.chdir(sys.argv[1])
refusing = socket.socket()
refusing.bind(("127.0.0.1", 0))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, refusing.getsockname()[1], flush=True)
sys.stdin.read()
