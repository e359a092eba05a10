"""A real `graft serve` on a home of its own, and the few words the tests of tests/http are written in.

    class Article(harness.ServerCase):
        def test_predicts(self):
            answer = self.ask("POST", "/v1/models/stamps:predict", {"instances": [harness.b64(PICTURE)]})

Standard library only. The program is $GRAFT, the trunk comes from $GRAFT_TEST_HOME, pictures from $GRAFT_TEST_PICTURES (tools/test.sh
sets them). Models are trained once for a build and kept beside its tests.
"""
import base64
import fcntl
import glob
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

GRAFT = os.environ["GRAFT"]
TEST_HOME = os.environ["GRAFT_TEST_HOME"]
PICTURES = os.environ["GRAFT_TEST_PICTURES"]
KEPT = os.environ["GRAFT_HTTP_DIR"]
DEADLINE_S = 60  # for what must happen; nothing waits this long unless it is broken

KINDS = ("animals", "food", "vehicles")
N_OF_A_KIND = 12


def pictures(kind):
    return sorted(glob.glob(os.path.join(PICTURES, kind, "**", "*.png"), recursive=True))


def read(path):
    with open(path, "rb") as file:
        return file.read()


def b64(content):
    return base64.b64encode(content).decode()


def article_b64(content):
    """As the article sends it: URL-safe, here without padding."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def environment(home):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRAFT_SERVER", "AIP_", "GRAFT_TOKEN"))}
    return dict(kept, GRAFT_HOME=home)


def run_graft(home, *arguments, check=True):
    done = subprocess.run([GRAFT, *arguments], env=environment(home), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if check and done.returncode != 0:
        raise AssertionError(f"graft {' '.join(arguments)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
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


def train(name, layer, seed):
    """A model on 36 pictures; made again when the program is newer."""
    os.makedirs(KEPT, exist_ok=True)
    path = os.path.join(KEPT, name + ".safetensors")
    with open(os.path.join(KEPT, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path) and os.path.getmtime(path) > os.path.getmtime(GRAFT):
            return path
        with tempfile.TemporaryDirectory(prefix="graft-http-") as folder:
            for kind in KINDS:
                os.makedirs(os.path.join(folder, "set", kind))
                for picture in pictures(kind)[:N_OF_A_KIND]:
                    shutil.copy(picture, os.path.join(folder, "set", kind))
            run_graft(new_home(folder), "train", os.path.join(folder, "set"), "--layer", layer, "--epochs", "8", "--seed", str(seed),
                      "-o", path, "--quiet")
    return path


def stamps():
    return train("stamps", "mixed1", 1)


def other():
    """The same classes, another head."""
    return train("other", "mixed1", 2)


def deep():
    """A head on another cut of the same trunk."""
    return train("deep", "mixed3", 3)


class Answer:
    def __init__(self, response, body):
        self.code, self.headers, self.body = response.status, response.headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.code} {self.body[:400]!r}"


class Server:
    """`graft serve` on a free port."""

    def __init__(self, home, *options, env=None):
        self.home, self.options, self.env = home, options, env or {}
        self.folder = tempfile.mkdtemp(prefix="graft-serve-")
        self.start()

    def start(self):
        port_file = os.path.join(self.folder, "port")
        if os.path.exists(port_file):
            os.remove(port_file)
        self.log_path = os.path.join(self.folder, "log")
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen([GRAFT, "serve", "--port", "0", "--port-file", port_file, *self.options], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, env=dict(environment(self.home), **self.env))
        wait_for(lambda: os.path.exists(port_file) or self.process.poll() is not None, "the server to listen")
        if self.process.poll() is not None:
            raise AssertionError(f"graft serve ended with {self.process.returncode}: {self.log_text()}")
        self.port = int(read(port_file))

    def log_text(self):
        return read(self.log_path).decode()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout_s=DEADLINE_S):
        self.process.wait(timeout_s)
        self.log.close()
        return self.process.returncode

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        code = self.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        return code

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)

    def ask(self, method, path, body=None, headers=None, connection=None):
        mine = connection or self.connect()
        sent = dict(headers or {})
        if isinstance(body, (dict, list)):
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
        return run_graft(self.home, *arguments, "--server", f"http://127.0.0.1:{self.port}", check=check)

    def workers(self):
        """Process ids of its workers."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid), "-f", "worker"], capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split()]

    def deploy(self, model, version, file, **fields):
        """Creates model and version the long way, by the API, and waits until it is READY."""
        created = self.ask("POST", "/v1/projects/default/models", {"name": model})
        assert created.code in (200, 409), created
        upload = self.ask("PUT", f"/graft/v1/buckets/tests/objects/{model}/{version}/{os.path.basename(file)}", read(file))
        assert upload.code == 200, upload
        started = self.ask("POST", f"/v1/projects/default/models/{model}/versions",
                           dict(fields, name=version, deploymentUri=f"gs://tests/{model}/{version}/"))
        assert started.code == 200, started
        return self.finish(started.json["name"])

    def finish(self, operation):
        """Polls an operation to its end; its response, or its error as an AssertionError."""
        done = wait_for(lambda: (lambda o: o if o.get("done") else None)(self.ask("GET", "/v1/" + operation).json), operation)
        assert "error" not in done, done
        return done["response"]


def wait_for(condition, what, timeout_s=DEADLINE_S):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {timeout_s} s for {what}")


class Load:
    """Threads that ask the same thing over and over until stopped; every answer is kept."""

    def __init__(self, server, n_threads, ask):
        self.answers, self.failures, self.stopped = [], [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(server, ask), daemon=True) for _ in range(n_threads)]
        for thread in self.threads:
            thread.start()

    def run(self, server, ask):
        connection = server.connect()
        while not self.stopped.is_set():
            try:
                self.answers.append(ask(connection))
            except (OSError, http.client.HTTPException) as problem:
                self.failures.append(repr(problem))
                connection.close()
                connection = server.connect()
        connection.close()

    def until(self, n_answers):
        wait_for(lambda: len(self.answers) + len(self.failures) >= n_answers, f"{n_answers} answers")

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(DEADLINE_S)
        return self.answers


class ServerCase(unittest.TestCase):
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
        text = cls.server.log_text()
        code = cls.server.stop()
        shutil.rmtree(cls.folder, ignore_errors=True)
        assert code == 0, f"graft serve ended with {code}:\n{text}"

    def ask(self, method, path, body=None, headers=None):
        return self.server.ask(method, path, body, headers)

    def check_code(self, answer, code):
        self.assertEqual(answer.code, code, answer)
        return answer


PICTURE_PATH = pictures("food")[20]
PICTURE = read(PICTURE_PATH)
OTHER_PICTURE = read(pictures("vehicles")[3])


def expected_scores(model_path, picture_path):
    """What the command line says of a picture: the server must say the same."""
    with tempfile.TemporaryDirectory(prefix="graft-http-") as folder:
        home = new_home(folder)
        said = json.loads(run_graft(home, "predict", model_path, picture_path, "--json").stdout)
    return said


def main():
    unittest.main(verbosity=2)
