"""What the scripts of tests/serve and tests/faults/serve_*.py share: a home of its own, models, a running `graft serve`, requests.

A script is called `SCRIPT.py GRAFT`, talks to the server as a stranger would, and ends with a status other than 0 at the first
thing that is not as it must be. $GRAFT_TEST_HOME holds the trunk, $GRAFT_TEST_PICTURES pictures, one folder a kind.
"""
import atexit
import base64
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

GRAFT = os.path.realpath(sys.argv[1])
TESTS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
PICTURES = os.environ.get("GRAFT_TEST_PICTURES") or sys.exit("GRAFT_TEST_PICTURES is not set; run make test")
TEST_HOME = os.environ.get("GRAFT_TEST_HOME") or sys.exit("GRAFT_TEST_HOME is not set; run make test")
SCRATCH = tempfile.mkdtemp(prefix="graft-http-")
PATIENCE_S = 60  # for what must happen soon; only a failure waits that long
servers = []


@atexit.register
def clean_up():
    for server in servers:
        server.kill()
    shutil.rmtree(SCRATCH, ignore_errors=True)


def fail(text):
    for server in servers:
        print(f"---- server log\n{server.log()[-4000:]}", file=sys.stderr)
    raise SystemExit(f"FAILED: {text}")


def check(condition, text):
    if not condition:
        fail(text)


def same(got, wanted, text):
    if got != wanted:
        fail(f"{text}\n  got    {got!r}\n  wanted {wanted!r}")


def close(got, wanted, text, tolerance=1e-5):
    same(len(got), len(wanted), f"{text}: how many")
    if not all(abs(a - b) <= tolerance for a, b in zip(got, wanted)):
        fail(f"{text}\n  got    {got!r}\n  wanted {wanted!r}")


def wait_for(condition, text, patience_s=PATIENCE_S):
    """The condition's first true value."""
    end = time.monotonic() + patience_s
    while not (value := condition()):
        if time.monotonic() > end:
            fail(f"not within {patience_s} s: {text}")
        time.sleep(0.02)
    return value


# ---- models and pictures ------------------------------------------------------------------------------------------

def pictures(kind, n):
    names = sorted(os.listdir(f"{PICTURES}/{kind}"))
    return [f"{PICTURES}/{kind}/{name}" for name in names[:n]]


def read(path):
    with open(path, "rb") as file:
        return file.read()


JPEG = f"{TESTS}/golden/images/jpeg-444.jpg"


def new_home(name="home"):
    """A home that shares trunk and packed weights with the other tests, and nothing else."""
    home = f"{SCRATCH}/{name}"
    os.makedirs(f"{home}/trunks")
    os.makedirs(f"{TEST_HOME}/packs", exist_ok=True)
    for file in os.listdir(f"{TEST_HOME}/trunks"):
        os.symlink(f"{TEST_HOME}/trunks/{file}", f"{home}/trunks/{file}")
    os.symlink(f"{TEST_HOME}/packs", f"{home}/packs")
    return home


def graft(*words, home=None, status=0, **options):
    """What `graft WORDS` prints."""
    environment = dict(os.environ, GRAFT_HOME=home or f"{SCRATCH}/cli-home")
    if home is None and not os.path.exists(environment["GRAFT_HOME"]):
        new_home("cli-home")
    done = subprocess.run([GRAFT, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=environment, check=False, **options)
    if status is not None and done.returncode != status:
        fail(f"graft {' '.join(map(str, words))}: status {done.returncode}, wanted {status}\n{done.stdout}{done.stderr}")
    return done.stdout


# Real models, small so that tests are quick: f32, that scores are the same whatever shares a batch.
MODELS = {
    "three": (["animals", "food", "vehicles"], ["--layer", "mixed0", "--hidden", 64, "--seed", 1]),
    "other": (["food", "vehicles"], ["--layer", "mixed0", "--hidden", 16, "--seed", 2]),
    "deeper": (["animals", "plants"], ["--layer", "mixed2", "--hidden", 32, "--seed", 3]),
}


def model(name):
    """Path of a trained model file; trained once a build of graft, by whichever script comes first."""
    stamp = os.stat(GRAFT)
    key = hashlib.sha256(f"{GRAFT} {stamp.st_mtime_ns} {stamp.st_size}".encode()).hexdigest()[:16]
    folder = f"{tempfile.gettempdir()}/graft-http-models-{os.getuid()}-{key}"
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = f"{folder}/{name}.safetensors"
    with open(f"{folder}/lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            kinds, options = MODELS[name]
            for kind in kinds:
                os.makedirs(f"{SCRATCH}/set-{name}/{kind}")
                for picture in pictures(kind, 8):
                    shutil.copy(picture, f"{SCRATCH}/set-{name}/{kind}")
            graft("train", f"{SCRATCH}/set-{name}", "--precision", "f32", "--epochs", 30, "--quiet", *options,
                  "-o", f"{SCRATCH}/{name}.safetensors")
            shutil.move(f"{SCRATCH}/{name}.safetensors", path)
    return path


def iris():
    """The article's companion example: a Dense-only model that is fed four numbers."""
    path = f"{SCRATCH}/iris.safetensors"
    rows = [f"{5 + k + i % 7 / 10},{3 + i % 5 / 10},{1 + 2 * k + i % 3 / 10},{0.2 + k + i % 4 / 10},kind{k}"
            for i in range(30) for k in range(3)]
    with open(f"{SCRATCH}/iris.csv", "w", encoding="ascii") as file:
        file.write("sepal_length,sepal_width,petal_length,petal_width,species\n" + "\n".join(rows) + "\n")
    graft("train", f"{SCRATCH}/iris.csv", "--epochs", 60, "--hidden", 16, "--quiet", "-o", path)
    return path


def predict_alone(model_path, *paths):
    """The scores that the program gives by itself, in the order of the model's classes."""
    classes = classes_of(model_path)
    answer = json.loads(graft("predict", model_path, *paths, "--json", "--top", len(classes)))
    tops = [{entry["class"]: entry["score"] for entry in item["top"]} for item in answer]
    return [[top[name] for name in classes] for top in tops]


def classes_of(model_path):
    return json.loads(graft("info", model_path, "--json"))["classes"]


def b64(data, url_safe=False, padded=True):
    text = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(data).decode()
    return text if padded else text.rstrip("=")


# ---- the server ---------------------------------------------------------------------------------------------------

class Answer:
    def __init__(self, code, headers, body):
        self.code, self.headers, self.body = code, headers, body

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            fail(f"not JSON, with status {self.code}: {self.body[:300]!r}")

    def __repr__(self):
        return f"{self.code} {self.body[:400]!r}"


class Server:
    """A `graft serve`. `with Server(home) as server:` ends it and sees that it ended well."""

    def __init__(self, home, *options, is_tls=False, wait=True):
        self.home, self.is_tls = home, is_tls
        self.log_path = f"{SCRATCH}/server-{len(servers)}.log"
        port_file = f"{SCRATCH}/port-{len(servers)}"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [GRAFT, "serve", "--home", home, "--port", "0", "--port-file", port_file, *map(str, options)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        servers.append(self)
        if wait:
            def port():
                if self.process.poll() is not None:
                    fail(f"graft serve ended with status {self.process.returncode}")
                return os.path.exists(port_file) and read(port_file).strip()
            self.port = int(wait_for(port, "the port file"))
            self.url = f"http{'s' if is_tls else ''}://127.0.0.1:{self.port}"

    def log(self):
        return read(self.log_path).decode(errors="replace")

    def connect(self, timeout=120):
        if self.is_tls:
            context = ssl._create_unverified_context()  # self-signed; tls.py verifies it
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method, path, body=None, headers=None, connection=None):
        """body: bytes, or what is sent as JSON."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        own = connection is None
        connection = connection or self.connect()
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            if own:
                connection.close()

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.call("POST", path, body if body is not None else {}, **options)

    def stop(self, sig=signal.SIGTERM):
        """Asks it to end; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            return fail("the server did not end after SIGTERM")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, *ignored):
        if kind is None:
            same(self.stop(), 0, "exit status of graft serve")
        else:
            self.kill()
        check("Sanitizer" not in self.log(), "the server's log tells of a sanitizer")

    # -- the API

    def upload(self, path, uri):
        """Puts a file where gs:// addresses point."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        answer = self.call("PUT", f"/graft/v1/buckets/{bucket}/objects/{urllib.parse.quote(name)}", read(path))
        check(answer.code in (200, 201), f"upload of {uri}: {answer}")
        return uri

    def wait_operation(self, name):
        def done():
            answer = self.get(f"/v1/{name}")
            same(answer.code, 200, f"operation {name}: {answer}")
            return answer.json if answer.json.get("done") else None
        return wait_for(done, f"operation {name}")

    def create_model(self, name, project="p"):
        answer = self.post(f"/v1/projects/{project}/models", {"name": name})
        same(answer.code, 200, f"model {name}: {answer}")
        return answer.json

    def create_version(self, name, model_name, uri, project="p", **fields):
        """The finished operation; a failed one fails the test."""
        answer = self.post(f"/v1/projects/{project}/models/{model_name}/versions",
                           {"name": name, "deploymentUri": uri, **fields})
        same(answer.code, 200, f"version {name}: {answer}")
        operation = self.wait_operation(answer.json["name"])
        check("error" not in operation, f"version {name}: {operation}")
        return operation

    def deploy(self, path, model_name="m", version="v1", project="p", **fields):
        """A model with one version of a model file."""
        uri = self.upload(path, f"gs://bucket/{model_name}/{version}/model.safetensors")
        if self.get(f"/v1/projects/{project}/models/{model_name}").code == 404:
            self.create_model(model_name, project)
        return self.create_version(version, model_name, uri, project, **fields)

    def predict(self, instances, model_name="m", project="p", version=None, **options):
        version = f"/versions/{version}" if version else ""
        return self.post(f"/v1/projects/{project}/models/{model_name}{version}:predict", {"instances": instances}, **options)

    def workers(self):
        """Process ids of all workers, by the pools page."""
        pools = self.get("/graft/v1/pools").json["pools"]
        return [node["pid"] for pool in pools for node in pool["nodes"] if node["pid"] > 0]


def scores_of(predictions):
    """The scores in answers of projects/...:predict, whose output keeps its name."""
    return [item["outputs"] if isinstance(item, dict) else item for item in predictions]


def in_parallel(n, function):
    """[function(i) for i in range(n)], all at once."""
    results, errors = [None] * n, []

    def run(i):
        try:
            results[i] = function(i)
        except BaseException as error:  # also SystemExit of fail()
            errors.append(error)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        fail(f"in a thread: {errors[0]!r}")
    return results


class Load:
    """Clients that ask until told to stop; every answer is kept. `ask(connection, i)` returns an Answer."""

    def __init__(self, server, n_clients, ask):
        self.server, self.ask = server, ask
        self.answers, self.errors, self.is_over = [], [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(n_clients)]
        for thread in self.threads:
            thread.start()

    def run(self, i):
        connection = self.server.connect()
        while not self.is_over.is_set():
            try:
                answer = self.ask(connection, i)
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(error)
                connection.close()
                return
            self.answers.append((i, answer))
            if (answer.headers.get("Connection") or "").lower() == "close":
                connection.close()
        connection.close()

    def wait_for_answers(self, n):
        wait_for(lambda: len(self.answers) >= n or self.errors, f"{n} answers")

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        return self.answers
