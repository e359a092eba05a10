"""A home on a disk that is full, and files that may not grow: uploads, versions and the registry say so, leave nothing half-written, and
the server lives, answers, and writes again once there is room."""
import os
import resource
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../http"))
import harness  # noqa: E402
from harness import JPEG, JPEG_PATH, read  # noqa: E402

MODELS = "/v1/projects/default/models"
OBJECT = "/graft/v1/buckets/bucket/objects/new/model.safetensors"


class NoRoom(harness.HomeCase):
    """What both ways of running out of room have in common."""

    def setUp(self):
        super().setUp()
        self.wanted = harness.expected_scores(harness.other(), JPEG_PATH)[0]

    def start(self):
        self.server = self.serve()
        self.server.deploy("stamps", "v1", harness.other())
        self.server.upload("gs://bucket/there/model.safetensors", read(harness.stamps()))
        self.before = self.registry()

    def registry(self):
        return [self.server.ask("GET", path).json for path in (MODELS, f"{MODELS}/stamps/versions", "/v1/projects/default/operations", "/graft/v1/tokens",
                                                               "/graft/v1/buckets/bucket/objects")]

    def files(self, under):
        return [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(self.home, under)) for name in names]

    def check_whole(self):
        """Nothing half-written anywhere, and the registry as it was."""
        self.assertEqual(self.files("uploads"), [])
        for path in self.files("blobs"):
            done = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
            self.assertEqual(path.removeprefix(os.path.join(self.home, "blobs")).replace("/", ""), done.stdout.split()[0])
        self.assertEqual(self.registry(), self.before)

    def check_answers(self):
        self.check_code(self.server.ask("GET", "/livez"), 200)
        self.check_code(self.server.ask("GET", "/readyz"), 200)
        self.check_scores(harness.scores_of(self.check_code(self.server.predict("stamps", JPEG), 200))[0], self.wanted)

    def writes(self, name):
        """Everything that writes."""
        ask = self.server.ask
        yield ask("PUT", OBJECT, read(harness.stamps()))
        yield ask("POST", MODELS, {"name": "model_" + name})
        yield ask("POST", f"{MODELS}/stamps/versions", {"name": name, "deploymentUri": "gs://bucket/there/"})
        yield ask("PATCH", f"{MODELS}/stamps?updateMask=description", {"description": name})
        yield ask("POST", "/graft/v1/tokens", {"role": "predict"})

    def check_refused(self, said):
        for answer in self.writes("refused"):
            error = self.check_code(answer, 500).json["error"]
            self.assertRegex(error["message"], said)
            self.assertNotIn("\n", error["message"])
        command = self.server.graft("versions", "create", "v2", "--model", "stamps", "--origin", harness.stamps(), check=False)
        self.assertEqual((command.returncode, command.stdout), (1, ""))
        self.assertRegex(command.stderr.splitlines()[-1], "^graft: versions create: .*" + said)
        self.check_answers()
        self.check_whole()

    def check_works_again(self):
        for answer in self.writes("again"):
            self.check_code(answer, 200)
            if "/operations/" in answer.json.get("name", ""):
                self.server.finish(answer.json["name"])
        self.server.graft("versions", "create", "v2", "--model", "stamps", "--origin", harness.stamps())
        self.check_answers()
        self.assertEqual(len(self.files("blobs")), 2)
        self.server.kill()
        self.server.start()
        self.check_answers()
        self.check_code(self.server.predict("stamps/versions/again", JPEG), 200)


class FilesThatMayNotGrow(NoRoom):
    def test_each_write_is_refused_and_works_again(self):
        self.start()
        _, hard = resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (0, hard))
        self.check_refused(r"(File too large|I/O error)")
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        self.check_works_again()


    def test_an_operation_whose_end_could_not_be_noted_ends_once_it_can(self):
        """The registry's log may grow a little further each time: somewhere between the start of an operation and its end it may not."""
        self.start()
        log = os.path.join(self.home, "registry.db-wal")
        _, hard = resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE)
        n_refused = n_late = 0
        for n_bytes in range(4096, 96 << 10, 4096):
            name = f"more_{n_bytes}"
            resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (os.path.getsize(log) + n_bytes, hard))
            answer = self.server.ask("POST", f"{MODELS}/stamps/versions", {"name": name, "deploymentUri": "gs://bucket/there/"})
            if answer.code != 200:
                n_refused += self.check_code(answer, 500).code == 500
                self.check_code(self.server.ask("GET", f"{MODELS}/stamps/versions/{name}"), 404)
                operation = None
            else:
                operation = answer.json["name"]
                end = time.monotonic() + 0.3
                while time.monotonic() < end and not self.server.ask("GET", "/v1/" + operation).json.get("done"):
                    time.sleep(0.02)
                n_late += not self.server.ask("GET", "/v1/" + operation).json.get("done")
            self.check_answers()
            resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
            if operation:
                done = self.server.end_of(operation)
                state = self.server.ask("GET", f"{MODELS}/stamps/versions/{name}").json["state"]
                self.assertEqual(state, "READY" if "response" in done else "FAILED", done)
        self.assertGreater(n_refused, 0)
        self.assertGreater(n_late, 0)


class AFullDisk(NoRoom):
    """A disk of 6 MB where one may be mounted; elsewhere a file that may not grow takes its place, and the same is compared."""
    SAID = r"(the disk is full; free some space and try again)"

    def setUp(self):
        super().setUp()
        self.disk = os.path.join(self.folder, "disk")
        os.mkdir(self.disk)
        self.is_disk = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", self.disk], capture_output=True, check=False).returncode == 0
        if self.is_disk:
            self.addCleanup(subprocess.run, ["umount", "-l", self.disk], check=True)
            self.home = harness.new_home(self.disk)

    def fill(self, n_left_bytes=0):
        if not self.is_disk:
            # The registry's own log is short after a start, and may grow a little more than the disk would let it.
            self.server.signal(harness.signal.SIGTERM)
            self.assertEqual(self.server.wait(), 0)
            self.server.start()
            self.check_answers()
            hard = resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (n_left_bytes, hard))
            return
        with open(os.path.join(self.disk, "filler"), "ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                filler.truncate(os.path.getsize(filler.name) - n_left_bytes)

    def free(self):
        if self.is_disk:
            os.remove(os.path.join(self.disk, "filler"))
        else:
            hard = resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def said(self):
        return self.SAID if self.is_disk else r"(File too large|I/O error)"

    def test_each_write_is_refused_and_works_again(self):
        self.start()
        self.fill()
        self.check_refused(self.said())
        self.free()
        self.check_works_again()

    def test_a_disk_that_fills_while_a_version_is_made(self):
        """The registry has room, the copy of the file has none: the operation fails with the reason."""
        self.start()
        n_bytes = os.path.getsize(harness.stamps())
        self.fill(n_bytes - 40960)
        operation = self.server.end_of(self.server.create_version("stamps", "half", "gs://bucket/there/"))
        self.assertRegex(operation["error"]["message"], self.said())
        version = self.server.ask("GET", f"{MODELS}/stamps/versions/half").json
        self.assertEqual(version["state"], "FAILED")
        self.assertRegex(version["errorMessage"], self.said())
        self.check_answers()
        self.before = self.registry()
        self.check_whole()
        self.assertEqual(len(self.files("blobs")), 1)
        self.free()
        self.server.finish(self.check_code(self.server.ask("DELETE", f"{MODELS}/stamps/versions/half"), 200).json["name"])
        self.check_works_again()

    def test_a_disk_that_fills_while_a_file_is_uploaded(self):
        self.start()
        self.fill(65536)
        for path in (OBJECT, OBJECT.replace("new", "other")):
            answer = self.check_code(self.server.ask("PUT", path, read(harness.stamps())), 500)
            self.assertRegex(answer.json["error"]["message"], self.said())
        self.check_answers()
        self.check_whole()
        self.free()
        self.check_code(self.server.ask("PUT", OBJECT, read(harness.stamps())), 200)


if __name__ == "__main__":
    harness.main()
