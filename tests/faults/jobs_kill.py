"""Jobs whose server, process or program is killed: each ends in the right state, once, and nothing of it is left."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../http"))
import harness  # noqa: E402
import jobs  # noqa: E402
from harness import wait_for, write  # noqa: E402

# Notes each start of its own, then waits for its second argument to appear.
COUNTS = """
import os, sys, time
with open(sys.argv[2], "a") as file:
    file.write(f"{os.getpid()}\\n")
print("begun", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
print("done", flush=True)
"""


class Kill(harness.HomeCase):
    def setUp(self):
        super().setUp()
        self.go, self.starts = os.path.join(self.folder, "go"), os.path.join(self.folder, "starts")
        self.addCleanup(self.end_all)

    def end_all(self):
        for pid in jobs.processes(self.home):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def begin(self, server, job="j"):
        jobs.create(server, job, COUNTS, self.go, self.starts)
        wait_for(lambda: os.path.exists(self.starts), "the program to begin")
        jobs.wait_said(server, job, "begun")

    def program(self):
        """The process that the program runs in."""
        return int(harness.read(self.starts).split()[-1])

    def n_starts(self):
        return len(harness.read(self.starts).split())

    def runner(self):
        """The job's own process, graft job DIR ATTEMPT."""
        def find():
            for pid in jobs.processes(self.home):
                try:
                    words = harness.read(f"/proc/{pid}/cmdline").split(b"\0")
                except OSError:
                    continue  # gone meanwhile
                if len(words) > 1 and words[1] == b"job":
                    return pid
            return None
        return wait_for(find, "the job's process")

    def test_the_server_is_killed_while_one_runs_and_one_waits(self):
        server = self.serve("--job-cpus", "1")
        self.begin(server)
        jobs.create(server, "waits", "print('I ran')\n")
        self.assertEqual(jobs.state(server, "waits"), "QUEUED")
        server.kill()
        self.assertTrue(os.path.exists(f"/proc/{self.program()}"), "the program goes on")
        server.start()
        self.assertEqual(jobs.state(server, "j"), "RUNNING")
        write(self.go, b"")
        jobs.wait_state(server, "j", "SUCCEEDED")
        jobs.wait_state(server, "waits", "SUCCEEDED")
        self.assertEqual(self.n_starts(), 1, "nothing runs twice")
        self.assertEqual(jobs.log_of(server, "j").count("done"), 1)
        self.assertIn("I ran", jobs.log_of(server, "waits"))
        jobs.wait_no_process(self.home)

    def test_a_job_ends_while_no_server_is_there(self):
        server = self.serve()
        self.begin(server)
        server.kill()
        write(self.go, b"")
        jobs.wait_no_process(self.home)
        server.start()
        jobs.wait_state(server, "j", "SUCCEEDED")
        self.assertEqual(self.n_starts(), 1)

    def test_servers_are_killed_again_and_again(self):
        server = self.serve("--job-cpus", "1")
        self.begin(server)
        for i in range(5):
            jobs.create(server, f"more_{i}", "print('I ran')\n")
            server.kill()
            server.start()
        write(self.go, b"")
        jobs.wait_state(server, "j", "SUCCEEDED")
        for i in range(5):
            jobs.wait_state(server, f"more_{i}", "SUCCEEDED")
            self.assertEqual(jobs.log_of(server, f"more_{i}").count("I ran"), 1)
        self.assertEqual(self.n_starts(), 1)
        jobs.wait_no_process(self.home)

    def test_the_jobs_process_is_killed(self):
        """It is begun again, and its program with it; the killed one's program is not left behind."""
        server = self.serve()
        self.begin(server)
        first = self.program()
        os.kill(self.runner(), signal.SIGKILL)
        wait_for(lambda: self.n_starts() == 2, "a second attempt")
        wait_for(lambda: not os.path.exists(f"/proc/{first}"), "the first program to be gone")
        write(self.go, b"")
        jobs.wait_state(server, "j", "SUCCEEDED")
        jobs.wait_no_process(self.home)

    def test_a_job_whose_process_is_killed_each_time_fails(self):
        server = self.serve()
        self.begin(server)
        n = 1
        while jobs.state(server, "j") not in jobs.ENDS and n <= 3:
            os.kill(self.runner(), signal.SIGKILL)
            wait_for(lambda: self.n_starts() > n or jobs.state(server, "j") in jobs.ENDS, "the next attempt")
            n = self.n_starts()
        ended = jobs.wait_state(server, "j", "FAILED")
        self.assertIn("signal 9", ended["errorMessage"])
        self.assertEqual(self.n_starts(), 3)
        jobs.wait_no_process(self.home)

    def test_the_program_is_killed(self):
        server = self.serve()
        self.begin(server)
        os.kill(self.program(), signal.SIGKILL)
        ended = jobs.wait_state(server, "j", "FAILED")
        self.assertIn("signal 9", ended["errorMessage"])
        self.assertIn("begun", ended["errorMessage"], "the log's tail")
        self.assertEqual(self.n_starts(), 1, "a program that fails is not run again")
        jobs.wait_no_process(self.home)

    def test_a_cancelled_job_is_cancelled_by_the_next_server(self):
        server = self.serve()
        self.begin(server)
        jobs.cancel(server, "j")
        server.kill()
        server.start()
        jobs.wait_state(server, "j", "CANCELLED")
        jobs.wait_no_process(self.home)


if __name__ == "__main__":
    harness.main()
