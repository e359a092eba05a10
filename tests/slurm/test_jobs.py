"""What `graft job` does on the nodes of a real Slurm, started by the runner: programs of users, a search, batch prediction over an
array with a node that is lost in the middle."""
import collections
import glob
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../http")]
import cluster  # noqa: E402
import harness  # noqa: E402
from cluster import wait_for  # noqa: E402

DRIVER = os.environ.get("GRAFT_SLURM_DRIVER") or sys.exit("GRAFT_SLURM_DRIVER is not set; run make test")
KEEPER = os.environ["GRAFT_SLURM_KEEPER"]
SLURM = None

TASK = """
import argparse, json, os, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("what")
parser.add_argument("--job-dir")
parser.add_argument("--lr", type=float)
options = parser.parse_args()
print("on", os.environ["SLURMD_NODENAME"], flush=True)
out = options.job_dir.replace("gs:/", os.environ["GRAFT_BUCKETS"])
if options.what == "fail":
    raise ValueError("no such opera")
while options.what == "hold" and not os.path.exists(out + "/go"):
    open(out + "/up", "a").write(os.environ["SLURMD_NODENAME"] + "\\n")
    time.sleep(0.2)
if options.what == "search":
    with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "a") as file:
        file.write(json.dumps({"timestamp": time.time(), "trial": os.environ.get("CLOUD_ML_TRIAL_ID", ""), "accuracy": 1 - abs(options.lr - 0.5),
                               "global_step": "1"}) + "\\n")
"""


def setUpModule():
    global SLURM
    SLURM = cluster.Cluster()
    SLURM.__enter__()
    unittest.addModuleCleanup(SLURM.__exit__, None)


def write_package(path):
    files = {"op-1.0/setup.py": "from setuptools import setup\nsetup(name='op', version='1.0', packages=['op'])\n",
             "op-1.0/op/__init__.py": "", "op-1.0/op/task.py": TASK}
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))


class Jobs(unittest.TestCase):
    n_jobs = 0

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="graft-slurm-jobs-")
        self.addCleanup(folder.cleanup)
        self.home = harness.new_home(folder.name)
        self.bucket = f"{self.home}/buckets/bucket"
        os.makedirs(self.bucket)
        self.addCleanup(self.clear)

    def clear(self):
        for number in {job[0] for job in SLURM.jobs() if job[2] in ("PENDING", "RUNNING")}:
            SLURM.run("scancel", number, check=False)
        wait_for(lambda: not SLURM.run("squeue", "-h"), "an empty queue")

    def start(self, kind, work, **spec):
        """What the keeper writes, and what it asks the runner for."""
        Jobs.n_jobs += 1
        self.job, self.dir, self.n_shards = Jobs.n_jobs, f"{self.home}/jobs/{Jobs.n_jobs}", spec.get("nShards", 1)
        os.makedirs(self.dir)
        document = {"format": 1, "name": f"projects/p/jobs/j{self.job}", "kind": kind, "home": self.home, "buckets": f"{self.home}/buckets",
                    "program": harness.GRAFT, "nCpus": 1, "maxRunningS": 600, "graceMs": 2000, "nShards": 1, kind: work, **spec}
        harness.write(f"{self.dir}/spec.json", json.dumps(document).encode())
        self.place = self.call("start")
        self.assertRegex(self.place, r"^[0-9]+(\+[0-9]+)?$")

    def call(self, call):
        done = subprocess.run([DRIVER, self.home, harness.GRAFT, call, str(self.job), "1", "--shards", str(self.n_shards),
                               "--place", getattr(self, "place", ""), "--seconds", "600"],
                              env=SLURM.environment, timeout=120, stdout=subprocess.PIPE, encoding="utf-8", check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout.strip()

    def end(self, limit_s=180):
        """The result, once no process is left."""
        wait_for(lambda: self.call("look").startswith("ENDED"), f"the end of {self.place}", limit_s)
        try:
            return json.loads(harness.read(f"{self.dir}/result.json"))
        except FileNotFoundError:
            left = "".join(harness.read(path).decode() for path in glob.glob(f"{self.dir}/slurm-*.out"))
            raise AssertionError(f"no result; {self.call('look')}; {left}") from None

    def log(self):
        return [json.loads(line)["message"] for line in harness.read(f"{self.dir}/log").splitlines()[1:]]

    def start_package(self, *args, **more):
        write_package(f"{self.bucket}/op-1.0.tar.gz")
        self.job_dir = f"{self.bucket}/out"
        os.makedirs(self.job_dir, exist_ok=True)
        self.start("training", {"pythonModule": "op.task", "args": list(args), "jobDir": f"{self.bucket}/out",
                                "packageUris": ["gs://bucket/op-1.0.tar.gz"], "packages": [f"{self.bucket}/op-1.0.tar.gz"], **more})

    def test_a_package_succeeds(self):
        self.start_package("succeed")
        result = self.end()
        self.assertEqual(result["state"], "SUCCEEDED", result)
        self.assertTrue({f"on {node}" for node in cluster.NODES} & set(self.log()))

    def test_a_package_fails(self):
        self.start_package("fail")
        result = self.end()
        self.assertEqual(result["state"], "FAILED", result)
        self.assertIn("no such opera", result["errorMessage"])

    def test_a_package_is_cancelled(self):
        self.start_package("hold")
        wait_for(lambda: os.path.exists(f"{self.job_dir}/up"), "it runs")
        self.call("stop")
        self.assertEqual(self.end()["state"], "CANCELLED")

    def test_an_attempt_runs_again_when_its_node_was_lost(self):
        self.start_package("hold")
        node = wait_for(lambda: os.path.exists(f"{self.job_dir}/up") and harness.read(f"{self.job_dir}/up").split(), "it runs")[0].decode()
        SLURM.kill_node(node)
        try:
            wait_for(lambda: self.call("look") and len(set(harness.read(f"{self.job_dir}/up").split())) == 2, "it runs elsewhere")
            harness.write(f"{self.job_dir}/go", b"")
            result = self.end()
        finally:
            SLURM.start_node(node)
        self.assertEqual((result["state"], result["attempt"]), ("SUCCEEDED", 1), result)

    def test_an_attempt_runs_again_when_slurm_wants_its_node(self):
        """Preempted: asked to end, and queued again. Nobody has cancelled the job."""
        self.start_package("hold")
        wait_for(lambda: os.path.exists(f"{self.job_dir}/up"), "it runs")
        os.unlink(f"{self.job_dir}/up")  # before it may be made again
        SLURM.run("scontrol", "requeue", self.place)
        try:
            wait_for(lambda: self.call("look") and os.path.exists(f"{self.job_dir}/up"), "it runs again")
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.call('look')}; {SLURM.run('scontrol', 'show', 'job', '-o', self.place)}") from None
        harness.write(f"{self.job_dir}/go", b"")
        self.assertEqual(self.end()["state"], "SUCCEEDED")

    def test_a_search(self):
        self.start_package("search", hyperparameters={
            "goal": "MAXIMIZE", "hyperparameterMetricTag": "accuracy", "maxTrials": 4, "maxParallelTrials": 2, "algorithm": "RANDOM_SEARCH",
            "params": [{"parameterName": "lr", "type": "DOUBLE", "minValue": 0.1, "maxValue": 0.9}]})
        result = self.end()
        self.assertEqual(result["state"], "SUCCEEDED", result)
        trials = result["output"]["trials"]
        self.assertEqual(sorted(trial["trialId"] for trial in trials), ["1", "2", "3", "4"])
        values = [trial["finalMetric"]["objectiveValue"] for trial in trials]
        self.assertEqual(values, sorted(values, reverse=True))

    # ---- batch prediction ----

    def start_batch(self, model, n_shards, n_pictures):
        found = [path for kind in harness.KINDS for path in harness.pictures(kind)]
        for folder in ("in", "out"):
            shutil.rmtree(f"{self.bucket}/{folder}", ignore_errors=True)
        os.mkdir(f"{self.bucket}/in")
        for i in range(n_pictures):
            shutil.copy(found[i % len(found)], f"{self.bucket}/in/{i:04}.png")
        self.place = ""
        self.start("prediction", {"dataFormat": "JSON", "inputPaths": ["gs://bucket/in/*"], "outputPath": "gs://bucket/out", "model": model},
                   nShards=n_shards)
        return self.place.split("+")[0]

    def hold_half_done(self, array):
        """(task, node) of a shard that is in the middle of its work, and held there; () where all were done before."""
        def is_half_done(task):
            notes = f"{self.dir}/shards/{task}.notes"
            return os.path.exists(notes) and os.path.getsize(notes) > 0 and not os.path.exists(f"{self.dir}/shards/{task}.json")

        def look():
            for number, task, state, node, _ in SLURM.jobs():
                if number == array and state == "RUNNING" and is_half_done(task):
                    held = cluster.processes(f"SLURM_CONF={SLURM.conf}", f"SLURMD_NODENAME={node}")
                    for pid in held:
                        harness.send(pid, signal.SIGSTOP)
                    if is_half_done(task):
                        return [(task, node)]
                    for pid in held:
                        harness.send(pid, signal.SIGCONT)
            return [()] if self.call("look").startswith("ENDED") else None
        return wait_for(look, "a shard in the middle of its work")[0]

    def test_batch_prediction_survives_the_loss_of_a_node(self):
        n_shards, model, held = 6, harness.stamps(), ()
        for n_pictures in (180, 720, 2880):  # a busy machine may look when a short one is over
            array = self.start_batch(model, n_shards, n_pictures)
            held = self.hold_half_done(array)
            if held:
                break
        task, node = held
        SLURM.kill_node(node)
        try:
            self.assertFalse(os.path.exists(f"{self.dir}/shards/{task}.json"), "it was lost before it was done")
            result = self.end()
        finally:
            SLURM.start_node(node)
        self.assertEqual(result["state"], "SUCCEEDED", result)
        self.assertEqual((result["output"]["predictionCount"], result["output"]["errorCount"]), (str(n_pictures), "0"))
        shards = sorted(os.path.basename(path) for path in glob.glob(f"{self.bucket}/out/prediction.results-*"))
        self.assertEqual(shards, [f"prediction.results-{k:05}-of-{n_shards:05}" for k in range(n_shards)])
        lines = [json.loads(line) for name in shards for line in harness.read(f"{self.bucket}/out/{name}").splitlines()]
        items = collections.Counter(line["item"] for line in lines)
        self.assertEqual(items, collections.Counter(f"gs://bucket/in/{i:04}.png" for i in range(n_pictures)))
        scores = {line["item"]: line["outputs"] for line in lines}
        for i in (0, 91, n_pictures - 1):
            (expected,) = harness.expected_scores(model, f"{self.bucket}/in/{i:04}.png")
            for got, want in zip(scores[f"gs://bucket/in/{i:04}.png"], expected):
                self.assertAlmostEqual(got, want, places=4)
        self.assertIn("Restarts=1", SLURM.run("scontrol", "show", "job", "-o", f"{array}_{task}"))

    # ---- with the keeper ----

    def keep(self, *jobs):
        """A keeper that creates these and works until all have ended; kept_end() says how."""
        paths = [harness.write(f"{self.home}/job-{job['jobId']}.json", json.dumps(job).encode()) for job in jobs]
        keeper = subprocess.Popen([KEEPER, self.home, harness.GRAFT, "run", *paths], env=SLURM.environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, encoding="utf-8")
        self.addCleanup(keeper.stdout.close)
        self.addCleanup(keeper.wait)
        self.addCleanup(keeper.kill)
        return keeper

    def kept_end(self, keeper):
        said, _ = keeper.communicate(timeout=180)
        self.assertEqual(keeper.returncode, 0, said)
        return {job["jobId"]: job for job in json.loads(said)["jobs"]}

    def package_job(self, name, *args):
        write_package(f"{self.bucket}/op-1.0.tar.gz")
        return {"jobId": name, "trainingInput": {"pythonModule": "op.task", "args": list(args), "jobDir": f"gs://bucket/{name}",
                                                 "packageUris": ["gs://bucket/op-1.0.tar.gz"], "region": "local"}}

    def n_submitted(self):
        return len([job for job in SLURM.jobs() if job[0] not in self.before])

    def test_a_keeper_that_is_killed_finds_its_job_again(self):
        self.before = {job[0] for job in SLURM.jobs()}
        keeper = self.keep(self.package_job("held", "hold"), self.package_job("failing", "fail"))
        wait_for(lambda: os.path.exists(f"{self.bucket}/held/up"), "it runs")
        keeper.kill()
        keeper.wait()
        again = self.keep()
        harness.write(f"{self.bucket}/held/go", b"")
        jobs = self.kept_end(again)
        self.assertEqual((jobs["held"]["state"], jobs["failing"]["state"]), ("SUCCEEDED", "FAILED"), jobs)
        self.assertIn("no such opera", jobs["failing"]["errorMessage"])
        self.assertEqual(self.n_submitted(), 2, "nothing was submitted twice")

    def test_jobs_are_cancelled_in_the_queue_and_when_they_run(self):
        keeper = self.keep(self.package_job("runs", "hold"))
        wait_for(lambda: os.path.exists(f"{self.bucket}/runs/up"), "it runs")
        SLURM.run(KEEPER, self.home, harness.GRAFT, "cancel", "projects/p/jobs/runs")
        self.assertEqual(self.kept_end(keeper)["runs"]["state"], "CANCELLED")
        SLURM.run("scontrol", "update", "partitionname=main", "state=down")
        try:
            keeper = self.keep(self.package_job("waits", "succeed"))
            wait_for(lambda: any(job[2] == "PENDING" for job in SLURM.jobs()), "it waits")
            SLURM.run(KEEPER, self.home, harness.GRAFT, "cancel", "projects/p/jobs/waits")
            self.assertEqual(self.kept_end(keeper)["waits"]["state"], "CANCELLED")
        finally:
            SLURM.run("scontrol", "update", "partitionname=main", "state=up")

    def test_a_cancel_reaches_a_job_whose_submission_was_believed_to_have_failed(self):
        os.mkdir(f"{self.home}/bin")
        with open(f"{self.home}/bin/sbatch", "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
            file.write(f"""#!/bin/sh
PATH='{os.environ["PATH"]}' sbatch "$@"
case "$*" in *--version*) exit 0 ;; esac
echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2; exit 1
""")
        path, SLURM.environment["PATH"] = SLURM.environment["PATH"], f"{self.home}/bin:{os.environ['PATH']}"
        try:
            keeper = self.keep(self.package_job("unsure", "hold"))
        finally:
            SLURM.environment["PATH"] = path
        wait_for(lambda: any(job[2] in ("PENDING", "RUNNING") for job in SLURM.jobs()), "it is submitted")
        SLURM.run(KEEPER, self.home, harness.GRAFT, "cancel", "projects/p/jobs/unsure")
        self.assertEqual(self.kept_end(keeper)["unsure"]["state"], "CANCELLED")
        self.assertEqual([job for job in SLURM.jobs() if job[2] in ("PENDING", "RUNNING", "COMPLETING")], [], "nothing is left of it")

    def test_a_server_that_is_killed_goes_on_with_its_jobs(self):
        self.before = {job[0] for job in SLURM.jobs()}
        server = harness.Server(self.home, "--runner", "slurm", "--slurm-partition", "main", env={"SLURM_CONF": SLURM.conf})
        self.addCleanup(server.stop)
        created = server.ask("POST", "/v1/projects/default/jobs", self.package_job("served", "hold"))
        self.assertEqual(created.code, 200, created)
        wait_for(lambda: os.path.exists(f"{self.bucket}/served/up"), "it runs")
        server.kill()
        server.start()
        harness.write(f"{self.bucket}/served/go", b"")

        def ended():
            job = server.ask("GET", "/v1/projects/default/jobs/served").json
            return job if job["state"] in ("SUCCEEDED", "FAILED", "CANCELLED") else None
        self.assertEqual(wait_for(ended, "its end")["state"], "SUCCEEDED")
        self.assertEqual(self.n_submitted(), 1, "submitted once")

    def test_features_are_shared_out_over_an_array(self):
        for kind in harness.KINDS:
            os.makedirs(f"{self.bucket}/set/{kind}")
            for picture in harness.pictures(kind)[:8]:
                shutil.copy(picture, f"{self.bucket}/set/{kind}")
        self.before = {job[0] for job in SLURM.jobs()}
        arguments = ["--layer", "mixed0", "--precision", "f32"]
        keeper = self.keep({"jobId": "features", "trainingInput": {
            "pythonModule": "graft.features", "args": ["gs://bucket/set", *arguments, "--output", "gs://bucket/features.npz"],
            "scaleTier": "CUSTOM", "masterType": "n1-standard-1", "workerType": "n1-standard-1", "workerCount": "2", "region": "local"}})
        jobs = self.kept_end(keeper)
        self.assertEqual(jobs["features"]["state"], "SUCCEEDED", jobs)
        self.assertEqual(self.n_submitted(), 4, "three shards and the merging")
        with tempfile.TemporaryDirectory(prefix="graft-slurm-alone-") as folder:
            harness.run_graft(harness.new_home(folder), "features", f"{self.bucket}/set", *arguments, "--output", f"{folder}/features.npz")
            self.assertEqual(harness.read(f"{self.bucket}/features.npz"), harness.read(f"{folder}/features.npz"), "as those of one process")


if __name__ == "__main__":
    unittest.main(verbosity=2)
