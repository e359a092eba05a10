"""graft.Client: a graft server from Python, without anything but the standard library.

    client = graft.Client("http://127.0.0.1:8080")
    client.predict("flowers", ["a.jpg", "b.png"])        -> [[0.997, 0.003], [0.1, 0.9]]
    client.classify("flowers", "a.jpg")                  -> [{"label": "rose", "score": 0.997, ...}]
    client.upload("flowers.safetensors", "gs://mine/flowers/")
    client.models.create("flowers")
    client.versions.create("flowers", "v1", "gs://mine/flowers/")     waits until it is READY
    for event in client.jobs.stream_logs("mlmagic__1511280000"):
        print(event.data)

Resources come and go as the dicts of Cloud ML Engine's API. Every failure is an ApiError with code,
status and message; 429 and 503 are tried again when the server says so. A Client may be shared by
threads.
"""

import collections
import http.client
import json
import os
import time
import urllib.parse

from . import instances as _instances
from . import errors, paths
from .transport import ApiError, Transport, segment

__all__ = ["ApiError", "Client", "LogEvent", "JOB_ENDS", "read"]

DEFAULT_SERVER = "http://127.0.0.1:8080"
JOB_ENDS = ("SUCCEEDED", "FAILED", "CANCELLED")

# kind "log": data is {"time", "stream", "message"} and offset where the next line begins; "state"
# and "end": data is the job.
LogEvent = collections.namedtuple("LogEvent", "kind data offset")


def split_address(address):
    """("BUCKET", "PATH") of gs://BUCKET/PATH; PATH may be ""."""
    bucket, _, path = address.removeprefix("gs://").partition("/")
    if not address.startswith("gs://") or not bucket:
        raise ValueError(f"{address}: expected gs://BUCKET/PATH")
    return bucket, path


def read(address):
    """The bytes of gs://BUCKET/PATH, in a notebook and in a job alike: in a job from the bucket's
    folder, else from the server that $GRAFT_SERVER names."""
    if os.environ.get("GRAFT_BUCKETS"):
        with errors.at(address), open(paths.resolve(address), "rb") as file:
            return file.read()
    return Client().buckets.get(address)


class _Resources:
    def __init__(self, client):
        self.client = client
        self.transport = client.transport

    def _list(self, path, key, filter=None):
        """All pages."""
        found, token = [], None
        while True:
            answer = self.transport.ask(
                "GET", path, query={"filter": filter, "pageSize": 100, "pageToken": token}
            )
            found += answer.get(key, [])
            token = answer.get("nextPageToken")
            if not token:
                return found

    def _name(self, kind, name):
        """Its path, "/v1/projects/P/KIND/NAME"; a full name stays one."""
        if name.startswith("projects/"):
            return "/v1/" + urllib.parse.quote(name)
        return f"{self.client.parent}/{kind}/{segment(name)}"


class Models(_Resources):
    def create(self, name, description=None, labels=None, **fields):
        document = dict(fields, name=name)
        if description is not None:
            document["description"] = description
        if labels is not None:
            document["labels"] = labels
        return self.transport.ask("POST", self.client.parent + "/models", document)

    def get(self, name):
        return self.transport.ask("GET", self._name("models", name))

    def list(self, filter=None):
        return self._list(self.client.parent + "/models", "models", filter)

    def delete(self, name):
        """The model has no versions any more by then."""
        self.client.operations.wait(self.transport.ask("DELETE", self._name("models", name)))


class Versions(_Resources):
    def _versions(self, model):
        return self._name("models", model) + "/versions"

    def create(self, model, version, origin, wait=True, timeout_s=600, **fields):
        """origin: gs://BUCKET/FOLDER/ of the model file. The version, READY; with wait=False the
        operation at once."""
        document = dict(fields, name=version, deploymentUri=origin)
        operation = self.transport.ask("POST", self._versions(model), document)
        return self.client.operations.wait(operation, timeout_s) if wait else operation

    def get(self, model, version):
        return self.transport.ask("GET", f"{self._versions(model)}/{segment(version)}")

    def list(self, model, filter=None):
        return self._list(self._versions(model), "versions", filter)

    def set_default(self, model, version):
        return self.transport.ask(
            "POST", f"{self._versions(model)}/{segment(version)}:setDefault", {}
        )

    def delete(self, model, version, wait=True, timeout_s=600):
        operation = self.transport.ask("DELETE", f"{self._versions(model)}/{segment(version)}")
        return self.client.operations.wait(operation, timeout_s) if wait else operation


class Operations(_Resources):
    def get(self, name):
        return self.transport.ask("GET", self._name("operations", name))

    def list(self, filter=None):
        return self._list(self.client.parent + "/operations", "operations", filter)

    def cancel(self, name):
        self.transport.ask("POST", self._name("operations", name) + ":cancel", {})

    def wait(self, operation, timeout_s=600):
        """The response of an operation (its name or document) that is done; its error is raised."""
        if isinstance(operation, str):
            operation = self.get(operation)
        end, pause_s = time.monotonic() + timeout_s, 0.02
        while not operation.get("done"):
            if time.monotonic() > end:
                raise ApiError(
                    504,
                    "DEADLINE_EXCEEDED",
                    f"{operation['name']} was not done after {timeout_s:g} s",
                )
            time.sleep(pause_s)
            pause_s = min(1.0, pause_s * 1.5)
            operation = self.get(operation["name"])
        if "error" in operation:
            error = operation["error"]
            raise ApiError(
                400, _RPC_NAMES.get(error.get("code"), "UNKNOWN"), error.get("message", "")
            )
        return operation.get("response", {})


_RPC_NAMES = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
}


class Jobs(_Resources):
    def create(self, job_id, training_input=None, prediction_input=None, labels=None):
        """The stored job, QUEUED. The inputs are the API's own dicts: {"scaleTier", "packageUris",
        "pythonModule", ...}."""
        document = {"jobId": job_id}
        for name, value in (
            ("trainingInput", training_input),
            ("predictionInput", prediction_input),
            ("labels", labels),
        ):
            if value is not None:
                document[name] = value
        return self.transport.ask("POST", self.client.parent + "/jobs", document)

    def get(self, job_id):
        return self.transport.ask("GET", self._name("jobs", job_id))

    def list(self, filter=None):
        return self._list(self.client.parent + "/jobs", "jobs", filter)

    def cancel(self, job_id):
        """CANCELLED at once or CANCELLING; stream_logs or wait tell the end of it."""
        self.transport.ask("POST", self._name("jobs", job_id) + ":cancel", {})

    def wait(self, job_id, timeout_s=None):
        """The job once it has ended, however it did."""
        end, pause_s = time.monotonic() + (timeout_s or float("inf")), 0.05
        while True:
            job = self.get(job_id)
            if job.get("state") in JOB_ENDS:
                return job
            if time.monotonic() > end:
                raise ApiError(
                    504,
                    "DEADLINE_EXCEEDED",
                    f"job {job_id} is {job.get('state')} after {timeout_s:g} s",
                )
            time.sleep(pause_s)
            pause_s = min(2.0, pause_s * 1.3)

    def stream_logs(self, job_id, offset=None, retry_for_s=60):
        """LogEvents as they happen, until the job has ended: the last one is of kind "end". A
        connection that breaks is made again where it was (the server may restart meanwhile), for
        retry_for_s seconds without any news.
        """
        path, news = self._name("jobs", job_id) + ":streamLogs", time.monotonic()
        pause_s = 0.1
        while True:
            problem = None
            try:
                for kind, event_id, data in self.transport.events(path, offset):
                    if event_id is not None:
                        offset = event_id
                    news, pause_s = time.monotonic(), 0.1
                    if kind in ("log", "state", "end"):
                        yield LogEvent(kind, json.loads(data), offset)
                    if kind == "end":
                        return
            except ApiError as error:
                if error.code not in (429, 500, 502, 503, 504):
                    raise
                problem = error
            except (OSError, http.client.HTTPException) as error:
                problem = error
            if time.monotonic() - news > retry_for_s:
                raise ApiError(
                    0,
                    "UNAVAILABLE",
                    f"the log of job {job_id} cannot be read on from {self.transport.server}: "
                    f"{problem or 'the connection ends each time'}",
                ) from problem
            time.sleep(pause_s)
            pause_s = min(2.0, pause_s * 2)


class Buckets(_Resources):
    def _object(self, address):
        bucket, path = split_address(address)
        if not path or path.endswith("/"):
            raise ValueError(f"{address}: expected a file, gs://BUCKET/PATH")
        return f"/graft/v1/buckets/{segment(bucket)}/objects/{urllib.parse.quote(path)}"

    def put(self, content, address):
        """Bytes, or a file open for reading bytes, become gs://BUCKET/PATH; the address."""
        headers = {"Content-Type": "application/octet-stream"}
        if not isinstance(content, (bytes, bytearray)):
            content.seek(0, os.SEEK_END)
            headers["Content-Length"] = str(content.tell())
            content.seek(0)
        self.transport.ask("PUT", self._object(address), body=content, headers=headers)
        return address

    def get(self, address):
        """The bytes of gs://BUCKET/PATH."""
        return self.transport.read(self.transport.exchange("GET", self._object(address)))

    def upload(self, path, address):
        """A file, or a folder with all that is below it; an address that ends in "/" keeps a file's
        name. The addresses."""
        path = os.fspath(path)
        if os.path.isdir(path):
            return [
                self.upload(
                    os.path.join(folder, name),
                    "/".join(
                        [
                            address.rstrip("/"),
                            *os.path.relpath(os.path.join(folder, name), path).split(os.sep),
                        ]
                    ),
                )[0]
                for folder, _, names in sorted(os.walk(path))
                for name in sorted(names)
            ]
        if address.endswith("/") or not split_address(address)[1]:
            address = address.rstrip("/") + "/" + os.path.basename(path)
        with open(path, "rb") as file:
            return [self.put(file, address)]

    def download(self, address, path):
        """gs://BUCKET/PATH becomes a file (in a folder that is there: under its own name), whole or
        not at all; its path."""
        path = os.fspath(path)
        if os.path.isdir(path):
            path = os.path.join(path, address.rsplit("/", 1)[-1])
        partial = f"{path}.{os.getpid()}.part"
        try:
            with open(partial, "wb") as file:
                self.transport.read(
                    self.transport.exchange("GET", self._object(address)), into=file
                )
            os.replace(partial, path)
        finally:
            if os.path.exists(partial):
                os.remove(partial)
        return path

    def list(self, address):
        """The objects that begin with gs://BUCKET/PREFIX: dicts of name, bucket, size, updated."""
        bucket, prefix = split_address(address)
        found, token = [], None
        while True:
            answer = self.transport.ask(
                "GET",
                f"/graft/v1/buckets/{segment(bucket)}/objects",
                query={"prefix": prefix or None, "pageToken": token},
            )
            found += answer.get("items", [])
            token = answer.get("nextPageToken")
            if not token:
                return found

    def delete(self, address):
        self.transport.ask("DELETE", self._object(address))


class Client:
    """server, token, project: without them what GRAFT_SERVER, GRAFT_TOKEN and GRAFT_PROJECT say, as
    with the graft command."""

    def __init__(
        self, server=None, token=None, project=None, timeout_s=60.0, max_retries=4, cafile=None
    ):
        server = server or os.environ.get("GRAFT_SERVER") or DEFAULT_SERVER
        token = token or os.environ.get("GRAFT_TOKEN") or None
        self.project = project or os.environ.get("GRAFT_PROJECT") or "default"
        self.transport = Transport(server, token, timeout_s, max_retries, cafile)
        self.parent = "/v1/projects/" + segment(self.project)
        self.models, self.versions, self.operations = Models(self), Versions(self), Operations(self)
        self.jobs, self.buckets = Jobs(self), Buckets(self)

    def close(self):
        """Closes this thread's connection; the next call opens one again."""
        self.transport.close()

    @property
    def server(self):
        return self.transport.server

    def __repr__(self):
        return f"graft.Client({self.server!r}, project={self.project!r})"

    def _model(self, model, version):
        path = f"models/{segment(model)}"
        return path if version is None else f"{path}/versions/{segment(version)}"

    def predict(self, model, inputs, version=None):
        """One prediction for each input, in order: the scores by class, as the model has them.

        inputs  pictures (paths, bytes, (H,W,3) arrays) or rows of numbers; one of them or any
        number. Many go in several
                requests; an array of bytes travels as a PNG, losslessly."""
        found = []
        path = f"{self.parent}/{self._model(model, version)}:predict"
        for batch in _instances.batches(
            _instances.instance_of(value) for value in _instances.as_list(inputs)
        ):
            answer = self.transport.ask("POST", path, {"instances": batch}, is_repeatable=True)
            if "error" in answer:  # a server told to answer so: --ml-v1-errors-200
                raise ApiError(400, "INVALID_ARGUMENT", str(answer["error"]))
            found += [
                item["outputs"] if isinstance(item, dict) and set(item) == {"outputs"} else item
                for item in answer["predictions"]
            ]
        return found

    def classify(self, model, inputs, version=None, top=None):
        """For each picture {"label", "score", "top": [{"label", "score"}, ...], "scores": {label:
        score}}."""
        path = f"/graft/v1/projects/{segment(self.project)}/{self._model(model, version)}:classify"
        found = []
        for value in _instances.as_list(inputs):
            picture = _instances.picture_bytes(value)
            if picture is None:
                raise TypeError(
                    f"classify: a {type(value).__name__} is no picture; expected a path, bytes "
                    "or a (H,W,3) array of bytes; numbers go to predict"
                )
            answer = self.transport.ask(
                "POST",
                path,
                query={"top": top},
                body=picture,
                is_repeatable=True,
                headers={"Content-Type": "application/octet-stream"},
            )
            found += answer["predictions"]
        return found

    def upload(self, path, address):
        return self.buckets.upload(path, address)

    def download(self, address, path):
        return self.buckets.download(address, path)

    def ls(self, address):
        """Addresses of the objects that begin with gs://BUCKET/PREFIX."""
        return [f"gs://{item['bucket']}/{item['name']}" for item in self.buckets.list(address)]
