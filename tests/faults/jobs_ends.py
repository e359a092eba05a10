"""Jobs that cannot end well: bad packages, missing modules, programs without end, cancelled ones, a disk that is full. The state, the
errorMessage with the log's tail, and no process that is left."""
import os
import resource
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../http"))
import harness  # noqa: E402
import jobs  # noqa: E402

ENDLESS = """
import signal, subprocess, sys, time
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time\\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\\ntime.sleep(1000)"],
                         start_new_session="away" in sys.argv)
print("begun", child.pid, flush=True)
while True:
    time.sleep(0.1)
"""


class Ends(harness.ServerCase):
    models = {}
    options = ("--job-grace", "1")

    def fails(self, job, *words):
        ended = jobs.wait_state(self.server, job, "FAILED")
        for word in words:
            self.assertIn(word, ended["errorMessage"])
        self.assertIn("endTime", ended)
        jobs.wait_no_process(self.home)
        return ended

    def test_a_package_that_is_none(self):
        jobs.create(self.server, "no_package", "", package=b"this is no archive")
        self.fails("no_package", "trainer-0.0.0.tar.gz")

    def test_half_a_package(self):
        jobs.create(self.server, "half_package", "", package=jobs.sdist("print(1)\n" * 5000)[:200])
        self.fails("half_package", "trainer-0.0.0.tar.gz")

    def test_a_package_that_is_not_there(self):
        answer = self.ask("POST", jobs.JOBS, {"jobId": "gone", "trainingInput": {
            "scaleTier": "BASIC", "region": "r", "packageUris": ["gs://jobs/nowhere/x-0.0.0.tar.gz"], "pythonModule": "trainer.task"}})
        if answer.code == 200:
            self.fails("gone", "gs://jobs/nowhere/x-0.0.0.tar.gz")
        else:
            self.assertIn("gs://jobs/nowhere/x-0.0.0.tar.gz", self.check_code(answer, 400).json["error"]["message"])

    def test_a_module_that_is_not_in_it(self):
        jobs.create(self.server, "no_module", "print(1)\n", module="trainer.other")
        self.fails("no_module", "trainer.other")

    def test_a_program_that_python_cannot_read(self):
        jobs.create(self.server, "no_program", "def f(:\n")
        self.fails("no_program", "SyntaxError")

    def check_time(self, job, *args):
        """On a busy machine a short time is over before the program has begun: it gets a longer one."""
        for seconds in (1, 4, 16, 64):
            jobs.create(self.server, f"{job}_{seconds}", ENDLESS, *args, scheduling={"maxRunningTime": f"{seconds}s"})
            ended = self.fails(f"{job}_{seconds}", f"maxRunningTime ({seconds}s)")
            if "begun" in ended["errorMessage"]:
                return
        self.fail("none has begun")

    def test_a_program_without_end_has_its_time(self):
        self.check_time("endless")

    def test_a_deaf_program_without_end_has_its_time_too(self):
        self.check_time("deaf_endless", "deaf")

    def cancelled(self, job, *args):
        jobs.create(self.server, job, ENDLESS, *args)
        jobs.wait_said(self.server, job, "begun")
        child = next(int(line.split()[1]) for line in jobs.log_of(self.server, job) if line.startswith("begun"))
        jobs.cancel(self.server, job)
        ended = jobs.wait_state(self.server, job, "CANCELLED")
        self.assertTrue(ended["errorMessage"])
        jobs.wait_no_process(self.home)
        harness.wait_for(lambda: not os.path.exists(f"/proc/{child}"), "the program's child to be gone")

    def test_cancelled(self):
        self.cancelled("cancelled")

    def test_cancelled_and_deaf(self):
        self.cancelled("cancelled_deaf", "deaf")

    def test_cancelled_with_a_child_that_went_away(self):
        self.cancelled("cancelled_away", "deaf", "away")

    def test_many_cancelled_at_once(self):
        """Some wait, some are being begun, some run."""
        names = [f"many_{i}" for i in range(12)]
        for name in names:
            jobs.create(self.server, name, ENDLESS)
        harness.in_parallel(len(names), lambda i: jobs.cancel(self.server, names[i]))
        for name in names:
            jobs.wait_state(self.server, name, "CANCELLED")
        jobs.wait_no_process(self.home)


class NoRoom(harness.HomeCase):
    """Files that may not grow, as on a disk that is full: jobs inherit the limit from the server."""

    def test_a_job_that_cannot_write_fails_and_the_next_one_runs(self):
        server = self.serve()
        package = jobs.sdist("import sys\nfor i in range(1000):\n    print('line', i)\n")
        jobs.create(server, "before", "", package=package)
        jobs.wait_state(server, "before", "SUCCEEDED")
        fills = "open('big', 'wb').write(bytes(1 << 22))\n"
        jobs.create(server, "warm", "print(1)\n")
        jobs.wait_state(server, "warm", "SUCCEEDED")
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1 << 20, hard))
        jobs.create(server, "fills", fills)
        ended = jobs.wait_state(server, "fills", "FAILED")
        self.assertRegex(ended["errorMessage"], "File too large|signal 25")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        jobs.create(server, "after", fills)
        jobs.wait_state(server, "after", "SUCCEEDED")
        jobs.wait_no_process(self.home)


class AFullDisk(harness.HomeCase):
    """The home on a disk that a job fills, where one may be mounted."""

    def setUp(self):
        super().setUp()
        self.disk = os.path.join(self.folder, "disk")
        os.mkdir(self.disk)
        mounted = harness.subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", self.disk], capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("no disk may be mounted here; NoRoom has a limit in its place")
        self.addCleanup(harness.subprocess.run, ["umount", "-l", self.disk], check=True)
        self.home = harness.new_home(self.disk)

    def big(self):
        """What the job has written, wherever it is."""
        return [os.path.join(folder, "big") for folder, _, names in os.walk(os.path.join(self.home, "jobs")) if "big" in names]

    def test_a_job_that_fills_the_disk_ends_once_there_is_room(self):
        """Its end cannot be noted while there is none; the server answers all the while, and the job is not lost."""
        server = self.serve()
        jobs.create(server, "fills", "open('big', 'wb').write(bytes(64 << 20))\n")
        harness.wait_for(lambda: self.big() and os.statvfs(self.disk).f_bavail == 0, "the disk to be full")
        self.check_code(server.ask("GET", "/livez"), 200)
        self.assertNotIn(jobs.state(server, "fills"), jobs.ENDS)
        for path in self.big():
            os.remove(path)
        ended = jobs.wait_state(server, "fills", "FAILED")
        self.assertIn("No space left on device", ended["errorMessage"])
        jobs.wait_no_process(self.home)
        jobs.create(server, "after", "print('room again')\n")
        jobs.wait_state(server, "after", "SUCCEEDED")
        self.assertIn("room again", jobs.log_of(server, "after"))


if __name__ == "__main__":
    harness.main()
