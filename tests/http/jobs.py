"""What tests of jobs share: small Python packages as jobs, their logs, their ends. Used by tests/http/test_jobs.py and tests/faults/jobs_*.py."""
import io
import json
import os
import tarfile

from harness import wait_for

ENDS = ("SUCCEEDED", "FAILED", "CANCELLED")
JOBS = "/v1/projects/default/jobs"


def sdist(program, setup="from setuptools import setup\nsetup(name='trainer', version='0.0.0', packages=['trainer'])\n", name="trainer", requires=""):
    """The bytes of a package whose module trainer.task is the program."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, text in ((f"{name}-0.0.0/setup.py", setup), (f"{name}-0.0.0/PKG-INFO", f"Metadata-Version: 1.0\nName: {name}\nVersion: 0.0.0\n"),
                           (f"{name}-0.0.0/{name}.egg-info/requires.txt", requires), (f"{name}-0.0.0/{name}/__init__.py", ""), (f"{name}-0.0.0/{name}/task.py", program)):
            info = tarfile.TarInfo(path)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


def create(server, job, program, *args, module="trainer.task", package=None, project="default", **fields):
    """Creates a training job of a program; the Job."""
    uri = server.upload(f"gs://jobs/{project}/{job}/trainer-0.0.0.tar.gz", package or sdist(program))
    answer = server.ask("POST", f"/v1/projects/{project}/jobs", {"jobId": job, "trainingInput": {
        "scaleTier": "BASIC", "region": "local", "packageUris": [uri], "pythonModule": module, "args": list(args), **fields}})
    assert answer.code == 200, answer
    return answer.json


def get(server, job, project="default"):
    answer = server.ask("GET", f"/v1/projects/{project}/jobs/{job}")
    assert answer.code == 200, answer
    return answer.json


def state(server, job):
    return get(server, job)["state"]


def wait_state(server, job, *states):
    """The Job, once it is in one of these states (any end where none is given)."""
    wanted = states or ENDS

    def look():
        found = get(server, job)
        assert found["state"] in wanted or found["state"] not in ENDS, f"{job}, expected {wanted}: {found}\n{log_of(server, job)}"
        return found if found["state"] in wanted else None
    return wait_for(look, f"{job} to be {' or '.join(wanted)}")


def cancel(server, job):
    answer = server.ask("POST", f"{JOBS}/{job}:cancel", {})
    assert (answer.code, answer.json) == (200, {}), answer


def parse(text):
    """[(event, id, data)] of a text of events."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], int(fields.get("id", 0)), json.loads(fields["data"])))
    return found


def events(server, job, query="", headers=None, project="default"):
    """All events of the stream, to its end."""
    answer = server.ask("GET", f"/v1/projects/{project}/jobs/{job}:streamLogs{query}", headers=headers)
    assert answer.code == 200, answer
    assert answer.headers["Content-Type"] == "text/event-stream", answer.headers
    return parse(answer.body.decode())


def log_of(server, job):
    """What the job has said up to now, a line each."""
    return [data["message"] for event, _, data in events(server, job, "?follow=false") if event == "log"]


def wait_said(server, job, text):
    wait_for(lambda: any(text in line for line in log_of(server, job)), f"{job} to say {text}")


def processes(home):
    """Process ids of whatever names the home's jobs: in its arguments, or as its working folder."""
    jobs, found = os.path.realpath(os.path.join(home, "jobs")), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace")
            place = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        if jobs in words or (place + "/").startswith(jobs + "/"):
            found.append(int(pid))
    return found


def wait_no_process(home):
    wait_for(lambda: not processes(home), "the processes of jobs to be gone")


# Says so, and then waits for a file to appear: how tests hold a job where they want it.
WAITS = """
import os, sys, time
print("begun", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
print("done", flush=True)
"""
