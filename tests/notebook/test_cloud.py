"""%%ml_run cloud in a real kernel against a real server: the log comes while the job runs,
interrupting the cell cancels the job, a program that fails says why, a project's token is enough.
"""

import json
import os
import queue
import subprocess
import sys
import time
import unittest

from scene import PYTHON_DIR, harness
from jupyter_client.manager import KernelManager

from graft import cloud
from graft.client import ApiError, Client

INIT = "%load_ext graft\n%ml_init -projectId p -bucket job-bucket"


class Kernel:
    """A kernel of Debian's Python, and what its cells print."""

    def __init__(self, folder, env):
        names = ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")
        for name in names:
            os.environ[name] = os.path.join(folder, name)
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=env, cwd=folder)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=harness.DEADLINE_S)

    def start(self, source):
        """Sends a cell; what read() and finish() then wait for."""
        self.text = ""
        self.request = self.client.execute(source)

    def _take(self, end):
        """One message of the cell into text; False where it was the last one."""
        try:
            message = self.client.get_iopub_msg(timeout=max(0.01, end - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"the cell does not go on: {self.text}") from None
        if message["parent_header"].get("msg_id") != self.request:
            return True
        content, kind = message["content"], message["header"]["msg_type"]
        if kind == "stream":
            self.text += content["text"]
        elif kind in ("execute_result", "display_data"):
            self.text += content["data"].get("text/plain", "")
        elif kind == "error":
            self.text += f"\n{content['ename']}: {content['evalue']}\n"
            self.traceback = "\n".join(content["traceback"])
        return not (kind == "status" and content["execution_state"] == "idle")

    def read_until(self, words, timeout_s=harness.DEADLINE_S):
        end = time.monotonic() + timeout_s
        while words not in self.text:
            if not self._take(end):
                raise AssertionError(f"the cell ended without {words!r}: {self.text}")

    def finish(self, timeout_s=harness.DEADLINE_S):
        """All that the cell printed, once it has ended."""
        end = time.monotonic() + timeout_s
        while self._take(end):
            pass
        return self.text

    def run(self, source):
        self.start(source)
        return self.finish()

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


class Cloud(harness.ServerCase):
    models = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = Client(cls.server.url, project="p")
        cls.kernel = cls.new_kernel(GRAFT_SERVER=cls.server.url)
        cls.kernel.run(INIT)

    @classmethod
    def new_kernel(cls, **variables):
        env = dict(harness.environment(cls.home), PYTHONPATH=PYTHON_DIR, **variables)
        return Kernel(cls.folder, env)

    @classmethod
    def tearDownClass(cls):
        cls.kernel.stop()
        super().tearDownClass()

    def setUp(self):
        self.kernel.run("%ml_reset")

    def job_of(self, text):
        job_id = text.split("job ")[1].split(":")[0].split()[0]
        return self.client.jobs.get(job_id)

    def wait_for_process(self, mark, is_there):
        def look():
            found = subprocess.run(["pgrep", "-f", mark], capture_output=True, check=False)
            return (found.returncode == 0) == is_there

        harness.wait_for(look, f"process {mark} {'to be there' if is_there else 'to be gone'}")

    def test_the_program_runs_with_its_cells_args_and_job_dir(self):
        self.kernel.run("%%ml_code\nword = 'from the first cell'")
        self.kernel.run("%ml_code\nimport sys, os\n")
        text = self.kernel.run(
            "%%ml_run cloud -args '--epochs 3'\n"
            "print(word)\nprint('args', sys.argv[1:])\nprint('complaint', file=sys.stderr)\n"
            "print('Grüße', __name__)\n"
            "from graft.paths import prepare_parent\n"
            "open(prepare_parent('gs://job-bucket/p/out.txt'), 'w').write('made')"
        )
        job = self.job_of(text)
        self.assertEqual(job["state"], "SUCCEEDED", text)
        for said in ("from the first cell\n", "complaint\n", "Grüße __main__\n"):
            self.assertIn(said, text)
        self.assertIn("'--epochs', '3'", text)
        self.assertIn(f"'gs://job-bucket/p/{job['jobId']}'", text)
        self.assertIn("gs://job-bucket/p/out.txt: 4 bytes", text)
        self.assertNotIn("trainer-0.0.0.tar.gz", text)
        self.assertEqual(self.client.buckets.get("gs://job-bucket/p/out.txt"), b"made")
        self.assertIn("SUCCEEDED", self.kernel.run("print(ml_job.state)"))

    def test_the_log_comes_while_the_job_runs_and_an_interrupt_cancels_it(self):
        mark = f"endless_{os.getpid()}"
        self.kernel.start(
            "%%ml_run cloud -args " + mark + "\nimport time\nprint('it has begun', flush=True)\n"
            "while True:\n    time.sleep(0.1)"
        )
        self.kernel.read_until("it has begun")
        self.wait_for_process(mark, True)
        self.kernel.manager.interrupt_kernel()
        text = self.kernel.finish()
        job = self.job_of(text)
        self.assertEqual(job["state"], "CANCELLED", text)
        self.assertIn(f"interrupted: cancelling job {job['jobId']}", text)
        self.assertIn(f"JobInterrupted: job {job['jobId']} is CANCELLED", text)
        self.assertNotIn("Traceback", self.kernel.traceback)
        self.wait_for_process(mark, False)
        self.assertEqual(self.kernel.run("print(6 * 7)"), "42\n")

    def test_a_program_that_fails_says_why(self):
        text = self.kernel.run("%%ml_run cloud\nraise ValueError('broken on purpose')")
        job = self.job_of(text)
        self.assertEqual(job["state"], "FAILED")
        self.assertIn(f"JobFailed: job {job['jobId']} is FAILED: ", text)
        self.assertIn("ValueError: broken on purpose", text.split("JobFailed")[1])
        self.assertNotIn("magics.py", self.kernel.traceback)

    def test_a_time_limit_ends_a_loop(self):
        self.kernel.run("%ml_init -projectId p -bucket job-bucket -maxRunningTime 1s")
        self.addCleanup(self.kernel.run, "%ml_init -projectId p -bucket job-bucket")
        text = self.kernel.run("%%ml_run cloud\nwhile True:\n    pass")
        self.assertIn("JobFailed", text)
        self.assertEqual(self.job_of(text)["state"], "FAILED")

    def test_a_detached_job_goes_on_alone(self):
        text = self.kernel.run("%%ml_run cloud detach -jobId alone\nprint('done alone')")
        self.assertIn("job alone was created", text)
        self.assertEqual(self.client.jobs.wait("alone", harness.DEADLINE_S)["state"], "SUCCEEDED")
        messages = [
            event.data["message"]
            for event in self.client.jobs.stream_logs("alone")
            if event.kind == "log" and event.data["stream"] == "stdout"
        ]
        self.assertEqual(messages, ["done alone"])
        text = self.kernel.run("%%ml_run cloud detach -jobId alone\nprint('again')")
        self.assertIn("JobFailed: 409 ALREADY_EXISTS", text)

    def test_a_project_s_own_token_is_enough(self):
        home = harness.new_home(self.scratch())
        said = harness.run_graft(home, "token", "create", "--role", "deploy", "--project", "p")
        token = next(word for word in said.stdout.split() if word.startswith("graft_"))
        server = harness.Server(home, "--require-tokens")
        self.addCleanup(server.stop)
        with self.assertRaises(ApiError) as refused:
            Client(server.url, project="p").jobs.list()
        self.assertEqual(refused.exception.code, 401)
        init = f"%ml_init -projectId p -bucket job-bucket -server {server.url} -token"
        self.addCleanup(self.kernel.run, "%ml_init -projectId p -bucket job-bucket")
        self.kernel.run(f"{init} {token}")
        text = self.kernel.run("%%ml_run cloud\nprint('with a token')")
        self.assertIn("with a token\n", text)
        self.assertIn("state: SUCCEEDED", text)
        self.kernel.run(f"{init} graft_wrong")
        self.assertIn("JobFailed: 401", self.kernel.run("%%ml_run cloud\nprint(1)"))

    def test_a_bad_requirement_is_told_with_the_job(self):
        self.kernel.run(
            "%%ml_init -projectId p -bucket job-bucket\n"
            "install_requires = ['no-such-package @ file:///no/such/place']"
        )
        self.addCleanup(self.kernel.run, "%ml_init -projectId p -bucket job-bucket")
        text = self.kernel.run("%%ml_run cloud\nprint('never')")
        self.assertIn("JobFailed", text)
        self.assertIn("/no/such/place", text.split("JobFailed")[1])
        self.assertNotIn("never\n", text)


class RelativeHome(harness.Case):
    """A server whose home was given relative to its folder: jobs run in folders of their own."""

    def test_packages_and_models_are_found(self):
        home = harness.new_home(self.scratch())
        server = harness.Server(os.path.relpath(home))
        self.addCleanup(server.stop)
        client = Client(server.url, project="p")
        run = cloud.submit(client, cloud.sdist("print('here')"), "job-bucket")
        self.assertEqual(client.jobs.wait(run.job_id, harness.DEADLINE_S)["state"], "SUCCEEDED")
        server.deploy("iris", "v1", harness.iris(), project="p")
        row = json.dumps(harness.iris_row(1, 2)).encode()
        client.buckets.put(row + b"\n", "gs://job-bucket/p/rows.jsonl")
        wanted = {
            "dataFormat": "JSON",
            "inputPaths": ["gs://job-bucket/p/rows.jsonl"],
            "outputPath": "gs://job-bucket/p/scores/",
            "region": "here",
            "modelName": "projects/p/models/iris",
        }
        client.jobs.create("scores", prediction_input=wanted)
        job = client.jobs.wait("scores", harness.DEADLINE_S)
        self.assertEqual(job["state"], "SUCCEEDED", job)
        self.assertEqual(job["predictionOutput"]["predictionCount"], "1")


if __name__ == "__main__":
    sys.exit(unittest.main())
