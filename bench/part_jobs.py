"""Jobs: from submitting one to its start, and what sixteen trials cost once features are there."""
import io
import json
import tarfile
import time
import urllib.parse
import urllib.request

from harness import median, row, say
from part_serve import Graft

N_JOBS = 50
N_TRIALS = 16
ROUNDS = 3
JOBS = "/v1/projects/p/jobs"
ENDS = ("SUCCEEDED", "FAILED", "CANCELLED")
PROGRAM = "import time\nprint(time.time())\n"


def package():
    """The smallest program there is."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in (("setup.py", "from setuptools import setup\nsetup(name='trainer', version='0.0.0', packages=['trainer'])\n"),
                           ("trainer/__init__.py", ""), ("trainer/task.py", PROGRAM)):
            info = tarfile.TarInfo("trainer-0.0.0/" + name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


def put(server, name, content):
    server.call("PUT", f"/graft/v1/buckets/bench/objects/{name}", content)
    return f"gs://bench/{name}"


def finish(server, name):
    """The Job once it has ended."""
    while (job := server.call("GET", f"{JOBS}/{name}"))["state"] not in ENDS:
        time.sleep(0.02)
    if job["state"] != "SUCCEEDED":
        raise SystemExit(f"bench: job {name}: {job}")
    return job


def first_said(server, name):
    """When the program was at its first line, by its own clock: the machine's."""
    connection = urllib.request.urlopen(f"http://127.0.0.1:{server.port}{JOBS}/{urllib.parse.quote(name)}:streamLogs?follow=false")
    with connection:
        for line in connection:
            if line.startswith(b"data: ") and (data := json.loads(line[6:])).get("stream") == "stdout":
                return float(data["message"])
    raise SystemExit(f"bench: job {name} said nothing")


def waited_s(server):
    """What all jobs so far have waited for their processes, by the server's own count: a Job's startTime has whole seconds."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as page:
        return next(float(line.split()[1]) for line in page.read().decode().splitlines()
                    if line.startswith("graft_job_submit_to_start_seconds_sum "))


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def rows_of_start(bench):
    say(f"jobs: {N_JOBS} jobs")
    server = Graft(bench, bench.fresh_home("jobs-start"))
    uri = put(server, "trainer-0.0.0.tar.gz", package())
    waits, speaking = [], []
    before = waited_s(server)
    for i in range(N_JOBS):
        submitted = time.time()
        server.call("POST", JOBS, {"jobId": f"j{i}", "trainingInput": {"scaleTier": "BASIC", "region": "local", "packageUris": [uri],
                                                                       "pythonModule": "trainer.task"}})
        finish(server, f"j{i}")
        now = waited_s(server)
        waits.append((now - before) * 1e3)
        before = now
        speaking.append((first_said(server, f"j{i}") - submitted) * 1e3)
    server.stop()
    note = f"{N_JOBS} jobs one after the other, each with a package of its own to unpack"
    return [row("submit to start: p50 until the job's process begins", median(waits), "ms", target=("<=", 200), judged="graft", note=note),
            row("submit to start: p95 until the job's process begins", percentile(waits, 0.95), "ms", target=("<=", 200), judged="graft"),
            row("submit to start: p50 until the program's first line", median(speaking), "ms", note="python3's own start included"),
            row("submit to start: p95 until the program's first line", percentile(speaking, 0.95), "ms")]


def train(server, name, uri, **more):
    """Wall seconds of a training job, from submitting it to its end."""
    begun = time.perf_counter()
    server.call("POST", JOBS, {"jobId": name, "trainingInput": dict({
        "scaleTier": "BASIC", "region": "local", "pythonModule": "graft.train", "jobDir": f"gs://bench/out/{name}",
        "args": [uri, "--epochs", "20"]}, **more)})
    finish(server, name)
    return time.perf_counter() - begun


def rows_of_trials(bench):
    """A round: one training on a home without features, then sixteen trials on the same home with them."""
    search = {"goal": "MAXIMIZE", "hyperparameterMetricTag": "val_accuracy", "maxTrials": N_TRIALS, "maxParallelTrials": 2,
              "params": [{"parameterName": "lr", "type": "DOUBLE", "minValue": 1e-4, "maxValue": 1e-1, "scaleType": "UNIT_LOG_SCALE"}]}
    cold, trials = [], []
    with open(bench.article, "rb") as file:
        pictures = file.read()
    for i in range(ROUNDS):
        say(f"jobs: {N_TRIALS} trials, round {i + 1} of {ROUNDS}")
        server = Graft(bench, bench.fresh_home("jobs-trials"))
        uri = put(server, "article.npz", pictures)
        cold.append(train(server, "cold", uri))
        trials.append(train(server, "trials", uri, hyperparameters=search))
        server.stop()
    return [row("one training job, cold cache", median(cold), "s", note="the article's pictures, 20 epochs"),
            row(f"{N_TRIALS} trials of it, features cached", median(trials), "s", median(cold), "one trial on a cold cache",
                median([a / b for a, b in zip(trials, cold)]), ("<=", 1.5))]


def measure_part(bench, facts):
    return rows_of_start(bench) + rows_of_trials(bench)
