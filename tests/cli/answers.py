"""A web server for remote.sh that answers what it is told, to see what the commands make of it: pages, operations that take their time,
errors in every shape a server or a proxy before it has.

Prints its port once it listens; writes every request into the file named by its argument; ends with its standard input."""
import http.server
import json
import sys
import threading

polls = {}
MODELS = "/v1/projects/p/models"
OPERATIONS = "/v1/projects/p/operations"


def google(code, status, message):
    return code, {"error": {"code": code, "message": message, "status": status}}


def operation(name):
    """Done at the third look."""
    polls[name] = polls.get(name, 0) + 1
    document = {"name": "projects/p/operations/" + name, "metadata": {"operationType": "CREATE_VERSION"}}
    if name != "endless" and polls[name] >= 3:
        document["done"] = True
        if name == "bad":
            document["error"] = {"code": 9, "message": "self-test of v1: score 0.5, expected 0.7"}
        else:
            document["response"] = {"name": "projects/p/models/m/versions/v1", "state": "READY", "isDefault": True}
    return 200, document


def answer(method, path, query):
    errors = {
        "missing": google(404, "NOT_FOUND", "no model missing in project p"),
        "etag": google(409, "ABORTED", "changed meanwhile"),
        "taken": google(409, "ALREADY_EXISTS", "there is a model taken"),
        "early": google(400, "FAILED_PRECONDITION", "has versions"),
        "text": (404, {"error": "Servable not found"}),
        "stranger": google(401, "UNAUTHENTICATED", "no token"),
        "denied": google(403, "PERMISSION_DENIED", "the token is for another project"),
        "full": google(429, "RESOURCE_EXHAUSTED", "the queue is full"),
        "broken": (500, None),
    }
    name = path.rsplit("/", 1)[1].split(":")[0]
    if name in errors:
        return errors[name]
    if path == MODELS and method == "GET":
        first = "pageToken" not in query
        page = {"models": [{"name": MODELS[4:] + "/" + n, "description": "ein Gärtner" if n == "a" else ""}
                           for n in (["a", "bb"] if first else ["c"])]}
        return 200, dict(page, nextPageToken="x/y+z") if first else page
    if path.startswith(OPERATIONS + "/"):
        return operation(name)
    if path.endswith(":predict"):
        return 200, {"error": "Divide by zero"} if "/zero" in path else {"predictions": [{"outputs": [0.25, 0.75]}, 3, "x"]}
    if method == "PATCH":
        return 200, {"name": "projects/p/operations/patched", "done": True, "response": {}}
    if path.endswith("/versions"):
        return 200, {"name": "projects/p/operations/made", "metadata": {"operationType": "CREATE_VERSION"}}
    return 200, {"name": path[4:]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization")
        requests.write(" ".join(filter(None, [self.command, self.path, body.decode(), token])) + "\n")
        requests.flush()
        code, document = answer(self.command, path, query)
        data = b"<h1>Bad gateway</h1>" if document is None else json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = respond

    def log_message(self, *ignored):
        pass


requests = open(sys.argv[1], "w")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
