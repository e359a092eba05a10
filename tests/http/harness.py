"""A real `graft serve` on a home of its own, and the few words that tests of the server are written in.

    class Article(harness.ServerCase):
        def test_predicts(self):
            answer = self.ask("POST", "/v1/models/stamps:predict", {"instances": [harness.b64(PICTURE)]})

Used by tests/http, tests/faults/serve_*.py and tests/interop. Standard library only. The program is $GRAFT, the trunk comes from
$GRAFT_TEST_HOME, pictures from $GRAFT_TEST_PICTURES (tools/test.sh sets them). Models are trained once for a build and kept in
$GRAFT_HTTP_DIR.
"""
import base64
import fcntl
import glob
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
import unittest
import urllib.parse


def variable(name):
    return os.environ.get(name) or sys.exit(f"{name} is not set; run make test")


GRAFT = os.path.realpath(variable("GRAFT"))
TEST_HOME = variable("GRAFT_TEST_HOME")
PICTURES = variable("GRAFT_TEST_PICTURES")
KEPT = variable("GRAFT_HTTP_DIR")
TESTS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
DEADLINE_S = 120  # for what must happen; nothing waits this long unless it is broken


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)
    return path


def b64(content):
    return base64.b64encode(content).decode()


def article_b64(content):
    """As the article sends it: URL-safe, here without padding."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def wait_for(condition, what, timeout_s=DEADLINE_S):
    """The condition's first true value."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {timeout_s} s for {what}")


def send(pid, number):
    """A signal to a process that may have gone by itself."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


# ---- the program, homes, models -----------------------------------------------------------------------------------

def environment(home):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("GRAFT_SERVER", "GRAFT_PROJECT", "GRAFT_TOKEN", "AIP_")) and name != "PORT"}
    return dict(kept, GRAFT_HOME=home)


def run_graft(home, *arguments, check=True):
    done = subprocess.run([GRAFT, *map(str, arguments)], env=environment(home), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"graft {' '.join(map(str, arguments))}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def new_home(folder):
    """A home with the trunk; packs are shared with all tests, the registry is its own."""
    home = os.path.join(folder, "home")
    os.makedirs(os.path.join(home, "trunks"))
    os.makedirs(os.path.join(TEST_HOME, "packs"), exist_ok=True)
    for trunk in glob.glob(os.path.join(TEST_HOME, "trunks", "*.safetensors")):
        os.symlink(trunk, os.path.join(home, "trunks", os.path.basename(trunk)))
    os.symlink(os.path.join(TEST_HOME, "packs"), os.path.join(home, "packs"))
    return home


def pictures(kind):
    return sorted(glob.glob(os.path.join(PICTURES, kind, "**", "*.png"), recursive=True))


def trained(name, make_set, *options):
    """Path of a model file; trained again when the program is newer."""
    os.makedirs(KEPT, exist_ok=True)
    path = os.path.join(KEPT, name + ".safetensors")
    with open(os.path.join(KEPT, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path) and os.path.getmtime(path) > os.path.getmtime(GRAFT):
            return path
        with tempfile.TemporaryDirectory(prefix="graft-http-") as folder:
            run_graft(new_home(folder), "train", make_set(folder), *options, "-o", path + ".new", "--quiet")
        os.replace(path + ".new", path)
    return path


def trained_on_pictures(name, kinds, *options):
    """Small, so that tests are quick; f32, so that scores are the same whatever shares a batch."""
    def make_set(folder):
        for kind in kinds:
            os.makedirs(os.path.join(folder, "set", kind))
            for picture in pictures(kind)[:8]:
                shutil.copy(picture, os.path.join(folder, "set", kind))
        return os.path.join(folder, "set")
    return trained(name, make_set, "--precision", "f32", "--epochs", 30, *options)


KINDS = ("animals", "food", "vehicles")


def stamps():
    return trained_on_pictures("stamps", KINDS, "--layer", "mixed0", "--hidden", 64, "--seed", 1)


def other():
    """Other classes, another head on the same cut."""
    return trained_on_pictures("other", ("food", "vehicles"), "--layer", "mixed0", "--hidden", 16, "--seed", 2)


def deep():
    """A head on another cut of the same trunk."""
    return trained_on_pictures("deep", ("animals", "plants"), "--layer", "mixed2", "--hidden", 32, "--seed", 3)


IRIS_COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def iris_row(i, k):
    """A flower of kind k; kinds lie apart."""
    return [round(value, 1) for value in (5 + k + i % 7 / 10, 3 + i % 5 / 10, 1 + 2 * k + i % 3 / 10, 0.2 + k + i % 4 / 10)]


def iris():
    """The article's companion example: a model of Dense layers alone that is fed four numbers."""
    def make_set(folder):
        lines = [",".join(map(str, iris_row(i, k))) + f",kind{k}" for i in range(30) for k in range(3)]
        return write(os.path.join(folder, "iris.csv"), "\n".join([",".join(IRIS_COLUMNS) + ",species", *lines, ""]).encode())
    return trained("iris", make_set, "--epochs", 60, "--hidden", 16, "--lr", "0.01")


def classes_of(model_path):
    with tempfile.TemporaryDirectory(prefix="graft-http-") as folder:
        return json.loads(run_graft(new_home(folder), "info", model_path, "--json").stdout)["classes"]


_said = {}


def expected_scores(model_path, *paths):
    """What the command line says of pictures, a row each in the order of the model's classes: the server must say the same."""
    missing = [path for path in paths if (model_path, path) not in _said]
    if missing:
        classes = classes_of(model_path)
        with tempfile.TemporaryDirectory(prefix="graft-http-") as folder:
            done = run_graft(new_home(folder), "predict", model_path, *missing, "--json", "--top", len(classes))
        for path, item in zip(missing, json.loads(done.stdout)):
            top = {entry["class"]: entry["score"] for entry in item["top"]}
            _said[model_path, path] = [top[name] for name in classes]
    return [_said[model_path, path] for path in paths]


# ---- the server ---------------------------------------------------------------------------------------------------

class Answer:
    def __init__(self, response, body):
        self.code, self.headers, self.body = response.status, response.headers, body

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise AssertionError(f"not JSON: {self!r}") from None

    def __repr__(self):
        return f"{self.code} {self.body[:400]!r}"


class Server:
    """`graft serve` on a free port. With `cafile` it is asked over TLS, and its certificate is verified."""

    def __init__(self, home, *options, env=None, cafile=None, program=GRAFT, limit_files=None):
        self.home, self.options, self.env = home, list(map(str, options)), env or {}
        self.tls = ssl.create_default_context(cafile=cafile) if cafile else None
        self.program, self.limit_files = program, limit_files
        self.folder = tempfile.mkdtemp(prefix="graft-serve-")
        self.start()

    def start(self):
        port_file = os.path.join(self.folder, "port")
        if os.path.exists(port_file):
            os.remove(port_file)
        self.log_path = os.path.join(self.folder, "log")
        with open(self.log_path, "ab") as log:
            limit = ["prlimit", f"--nofile={self.limit_files}"] if self.limit_files else []
            self.process = subprocess.Popen([*limit, self.program, "serve", "--port", "0", "--port-file", port_file, *self.options],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(environment(self.home), **self.env))
        wait_for(lambda: os.path.exists(port_file) or self.process.poll() is not None, "the server to listen")
        if self.process.poll() is not None:
            raise AssertionError(f"graft serve ended with {self.process.returncode}: {self.log_text()}")
        self.port = int(read(port_file))
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def log_text(self):
        return read(self.log_path).decode(errors="replace") if os.path.exists(self.log_path) else ""

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout_s=DEADLINE_S):
        """Its exit status, once it has one."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not end within {timeout_s} s:\n{self.log_text()[-4000:]}") from None

    def kill(self):
        """At once: what kill -9 does."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it in order, and sees that it ended well."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        code, text = self.wait(), self.log_text()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert code in (0, -signal.SIGKILL) and "Sanitizer" not in text, f"graft serve ended with {code}:\n{text[-4000:]}"
        return code

    def connect(self, timeout_s=DEADLINE_S):
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout_s, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)

    def ask(self, method, path, body=None, headers=None, connection=None):
        """body: bytes, or what is sent as JSON."""
        mine = connection or self.connect()
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            mine.request(method, path, body, sent)
            response = mine.getresponse()
            return Answer(response, response.read())
        finally:
            if connection is None:
                mine.close()

    def graft(self, *arguments, check=True):
        return run_graft(self.home, *arguments, "--server", self.url, check=check)

    def workers(self):
        """Process ids of its workers."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid), "-f", "worker"], capture_output=True, text=True, check=False)
        return [int(pid) for pid in found.stdout.split()]

    def pause_workers(self):
        """Those there are now are held where they are, until resume_workers(); process ids."""
        found = self.workers()
        for pid in found:
            send(pid, signal.SIGSTOP)
        return found

    def resume_workers(self):
        for pid in self.workers():
            send(pid, signal.SIGCONT)

    def pools(self):
        return self.ask("GET", "/graft/v1/pools").json.get("pools", [])

    # -- the API

    def upload(self, uri, content):
        """Puts a file where gs:// addresses point."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        answer = self.ask("PUT", f"/graft/v1/buckets/{bucket}/objects/{urllib.parse.quote(name)}", content)
        assert answer.code in (200, 201), f"upload of {uri}: {answer}"
        return uri

    def create_version(self, model, version, uri, project="default", **fields):
        """Asks for it; the name of the operation."""
        started = self.ask("POST", f"/v1/projects/{project}/models/{model}/versions", dict(fields, name=version, deploymentUri=uri))
        assert started.code == 200, f"version {version}: {started}"
        return started.json["name"]

    def deploy(self, model, version, file, project="default", **fields):
        """Creates model and version the long way, by the API, and waits until it is READY."""
        created = self.ask("POST", f"/v1/projects/{project}/models", {"name": model})
        assert created.code in (200, 409), created
        uri = self.upload(f"gs://tests/{model}/{version}/{os.path.basename(file)}", read(file))
        return self.finish(self.create_version(model, version, os.path.dirname(uri) + "/", project, **fields))

    def end_of(self, operation):
        """Polls an operation to its end; all of it."""
        def done():
            answer = self.ask("GET", "/v1/" + operation)
            assert answer.code == 200, f"operation {operation}: {answer}"
            return answer.json if answer.json.get("done") else None
        return wait_for(done, operation)

    def finish(self, operation):
        """Polls an operation to its end; its response, or its error as an AssertionError."""
        done = self.end_of(operation)
        assert "error" not in done, done
        return done["response"]

    def predict(self, model, *contents, project="default", connection=None):
        """The article's way: the answer to pictures, for "MODEL" or "MODEL/versions/VERSION"."""
        instances = [{"inputs": b64(content)} for content in contents]
        return self.ask("POST", f"/v1/projects/{project}/models/{model}:predict", {"instances": instances}, connection=connection)


def scores_of(answer):
    """The scores of an answer of projects/...:predict, whose output keeps its name; a row an instance."""
    return [prediction["outputs"] for prediction in answer.json["predictions"]]


# ---- many clients -------------------------------------------------------------------------------------------------

class Load:
    """Threads that ask over and over until stopped: ask(connection, i) for the i-th thread. Every answer is kept, as (i, answer)."""

    def __init__(self, server, n_threads, ask):
        self.answers, self.failures, self.stopped = [], [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(server, ask, i), daemon=True) for i in range(n_threads)]
        for thread in self.threads:
            thread.start()

    def run(self, server, ask, i):
        connection = server.connect()
        while not self.stopped.is_set():
            try:
                self.answers.append((i, ask(connection, i)))
            except (OSError, http.client.HTTPException) as problem:
                self.failures.append(repr(problem))
                connection.close()
                connection = server.connect()
        connection.close()

    def until(self, n_answers):
        wait_for(lambda: len(self.answers) + len(self.failures) >= n_answers, f"{n_answers} answers")

    def more(self, n_answers):
        self.until(len(self.answers) + len(self.failures) + n_answers)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(DEADLINE_S)
        return self.answers


def in_parallel(n, function):
    """[function(i) for i in range(n)], all at once."""
    results, errors = [None] * n, []

    def run(i):
        try:
            results[i] = function(i)
        except Exception as error:  # pylint: disable=broad-except
            errors.append(error)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


# ---- test cases ---------------------------------------------------------------------------------------------------

class Case(unittest.TestCase):
    def check_code(self, answer, code):
        self.assertEqual(answer.code, code, answer)
        return answer

    def check_scores(self, found, wanted, what="", delta=1e-5):
        self.assertEqual(len(found), len(wanted), what)
        for a, b in zip(found, wanted):
            self.assertAlmostEqual(a, b, delta=delta, msg=f"{what}: {found}, expected {wanted}")

    def scratch(self):
        folder = tempfile.mkdtemp(prefix="graft-http-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder


class ServerCase(Case):
    """One server for all tests of a class."""
    options = ()
    models = {"stamps": stamps}

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="graft-http-")
        cls.home = new_home(cls.folder)
        cls.server = Server(cls.home, *cls.options)
        try:
            for name, make in cls.models.items():
                cls.server.deploy(name, "v1", make())
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            code = cls.server.stop()
            assert code == 0, f"graft serve ended with {code}"
        finally:
            shutil.rmtree(cls.folder, ignore_errors=True)

    def ask(self, method, path, body=None, headers=None):
        return self.server.ask(method, path, body, headers)


class HomeCase(Case):
    """A home of its own for each test, and as many servers as it starts."""

    def setUp(self):
        self.folder = self.scratch()
        self.home = new_home(self.folder)

    def serve(self, *options, **more):
        server = Server(self.home, *options, **more)
        self.addCleanup(server.stop)
        return server

    def refused(self, *options):
        """What `graft serve` says when it does not start."""
        done = run_graft(self.home, "serve", "--port", "0", *options, check=False)
        self.assertIn(done.returncode, (1, 2, 3), done)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.stderr


PICTURE_PATH = pictures("food")[20]
PICTURE = read(PICTURE_PATH)
OTHER_PATH = pictures("vehicles")[3]
OTHER_PICTURE = read(OTHER_PATH)
JPEG_PATH = os.path.join(TESTS, "golden/images/jpeg-444.jpg")
JPEG = read(JPEG_PATH)


def main():
    unittest.main(verbosity=2)
