"""A program of notebook cells as a package of its own, and the package as a job on a server.

    content = cloud.sdist(program, ["h5py"])         setup.py, trainer/__init__.py, trainer/task.py
    run = cloud.submit(client, content, bucket="mine", job_id="mlmagic__1511280000")
    run.follow()                                     the log line by line, until the job has ended
    run.state, run.artefacts()                       "SUCCEEDED", [("gs://mine/model/...", 123)]

Everything of a job lies below gs://BUCKET/PROJECT/JOB/, which a token of that project may use.
"""

import hashlib
import io
import sys
import tarfile
import time

from .transport import ApiError

PACKAGE, VERSION, MODULE = "trainer", "0.0.0", "trainer.task"

_SETUP = """from setuptools import setup

if __name__ == "__main__":
    setup(
        name={name!r},
        version={version!r},
        packages=[{name!r}],
        install_requires={requires!r},
    )
"""


def check_requires(requires):
    """The requirements, each a line for pip and nothing else; ValueError."""
    if isinstance(requires, str) or not all(isinstance(item, str) for item in requires):
        raise ValueError(f"install_requires is {requires!r}, expected a list as ['keras', 'h5py']")
    for item in requires:
        is_line = all(ord(letter) >= 32 for letter in item)
        if not item.strip() or item.lstrip().startswith("-") or not is_line:
            raise ValueError(f"install_requires: {item!r} names no package, as 'numpy>=1.24' does")
    return list(requires)


def sdist_files(program, requires=()):
    """The files of the package: {path: text}."""
    requires = check_requires(requires)
    info = f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n"
    info += "".join(f"Requires-Dist: {item}\n" for item in requires)
    egg = f"{PACKAGE}.egg-info"
    files = {
        "PKG-INFO": info,
        "setup.cfg": "[egg_info]\ntag_build =\ntag_date = 0\n",
        "setup.py": _SETUP.format(name=PACKAGE, version=VERSION, requires=requires),
        f"{PACKAGE}/__init__.py": "",
        f"{PACKAGE}/task.py": program,
        f"{egg}/PKG-INFO": info,
        f"{egg}/dependency_links.txt": "\n",
        f"{egg}/requires.txt": "".join(item + "\n" for item in requires),
        f"{egg}/top_level.txt": PACKAGE + "\n",
    }
    sources = sorted({*files, f"{egg}/SOURCES.txt"} - {"PKG-INFO"})
    files[f"{egg}/SOURCES.txt"] = "".join(path + "\n" for path in sources)
    return files


def sdist(program, requires=()):
    """The bytes of trainer-0.0.0.tar.gz, as `python3 setup.py sdist` would make it."""
    buffer, now = io.BytesIO(), int(time.time())
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for path, text in sdist_files(program, requires).items():
            content = text.encode()
            entry = tarfile.TarInfo(f"{PACKAGE}-{VERSION}/{path}")
            entry.size, entry.mtime, entry.mode = len(content), now, 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def free_job_id(client):
    """mlmagic__EPOCH, with a number behind it where that one is taken."""
    first = f"mlmagic__{int(time.time())}"
    job_id, n = first, 1
    while True:
        try:
            client.jobs.get(job_id)
        except ApiError as error:
            if error.code == 404:
                return job_id
            raise
        n += 1
        job_id = f"{first}_{n}"


def _objects(client, bucket):
    """{name: (size, updated)} of a bucket; of the project's folder where the token reaches no
    further."""
    for prefix in ("", f"{client.project}/"):
        try:
            found = client.buckets.list(f"gs://{bucket}/{prefix}")
            return {item["name"]: (item["size"], item["updated"]) for item in found}
        except ApiError as error:
            if error.code == 404:
                return {}  # begins to exist with its first object
            if error.code != 403 or prefix:
                raise
    raise AssertionError("unreachable")


class Run:
    """One job that was submitted from here."""

    def __init__(self, client, bucket, job_id, package, before):
        self.client, self.bucket, self.job_id, self.package = client, bucket, job_id, package
        self.job = {"jobId": job_id, "state": "QUEUED"}
        self._before = before

    @property
    def state(self):
        return self.job.get("state", "STATE_UNSPECIFIED")

    def follow(self, write=None):
        """Writes the log and every change of state as they happen, to the end of the job; the job.

        write(stream, text): "stdout", "stderr" of the program, "graft" of the job itself; else
        they are printed.
        """
        write = write or print_line
        write("graft", f"job {self.job_id}: {self.state}")
        for event in self.client.jobs.stream_logs(self.job_id):
            if event.kind == "log":
                trial = f"[trial {event.data['trialId']}] " if event.data.get("trialId") else ""
                write(event.data.get("stream", "stdout"), trial + event.data.get("message", ""))
            elif (
                event.kind in ("state", "end") and event.data.get("state", self.state) != self.state
            ):
                self.job = dict(self.job, **event.data)
                write("graft", f"job {self.job_id}: {self.state}")
        self.job = self.client.jobs.get(self.job_id)
        return self.job

    def cancel(self, timeout_s=60):
        """Asks for it and waits for its end; the job, as it is then."""
        try:
            self.client.jobs.cancel(self.job_id)
        except ApiError as error:
            if error.code == 404:  # interrupted before it was created
                self.job = dict(self.job, state="CANCELLED")
                return self.job
            if error.status != "FAILED_PRECONDITION":  # it has ended by itself meanwhile
                raise
        self.job = self.client.jobs.wait(self.job_id, timeout_s)
        return self.job

    def artefacts(self):
        """What is new or changed in the bucket since before the job, its package aside:
        [(address, bytes)]."""
        found = []
        for name, (size, updated) in sorted(_objects(self.client, self.bucket).items()):
            is_new = self._before.get(name) != (size, updated)
            if is_new and f"gs://{self.bucket}/{name}" != self.package:
                found.append((f"gs://{self.bucket}/{name}", int(size)))
        return found


def print_line(stream, text):
    print(text, file=sys.stderr if stream == "stderr" else sys.stdout, flush=True)


def submit(client, package, bucket, job_id=None, args=(), job_dir=None, **training):
    """Uploads a package's bytes and creates the job; the Run.

    job_id    default: free_job_id().
    training  of the API's trainingInput: scaleTier, region, runtimeVersion ...
    """
    job_id = job_id or free_job_id(client)
    before = _objects(client, bucket)
    folder = f"gs://{bucket}/{client.project}/{job_id}"
    # By its hash: where the id is taken, the package of that job stays what it was.
    digest = hashlib.sha256(package).hexdigest()
    address = client.buckets.put(package, f"{folder}/packages/{digest}/{PACKAGE}-{VERSION}.tar.gz")
    run = Run(client, bucket, job_id, address, before)
    training = {name: value for name, value in training.items() if value}
    training.setdefault("scaleTier", "BASIC")
    training["packageUris"], training["pythonModule"] = [address], MODULE
    training["jobDir"], training["args"] = job_dir or folder + "/", list(args)
    try:
        run.job = client.jobs.create(job_id, training_input=training)
    except KeyboardInterrupt:
        run.cancel()
        raise
    return run
