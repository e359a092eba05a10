"""Does Google's own client deploy and ask a model here as the article did on Cloud ML Engine?

usage: python3 check_googleapi.py BUILD
Trains a head on real pictures, starts `graft serve`, and lets google-api-python-client, built from the discovery document
that the server gives, create a model, create a version from gs://, wait for the operation, predict pictures sent as URL-safe
base64, patch, switch the default and delete. The scores are those of `graft predict`.
"""
import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import googleapiclient
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery, errors

HOME, PICTURES = os.environ["GRAFT_TEST_HOME"], pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
KINDS, PER_KIND = ["animals", "food", "vehicles"], 12
PROJECT, MODEL = "projects/article", "projects/article/models/flowers"
PATIENCE_S = 60
failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"check_googleapi: {what}: {found}", file=sys.stderr)


def refused(what, code, request):
    try:
        check(what, False, request.execute())
    except errors.HttpError as error:
        check(what, error.resp.status == code, error)


def train(program, folder):
    for kind in KINDS:
        (folder / "set" / kind).mkdir(parents=True)
        for path in sorted((PICTURES / kind).iterdir())[:PER_KIND]:
            shutil.copy(path, folder / "set" / kind)
    model = folder / "model.safetensors"
    subprocess.run([program, "train", folder / "set", "--epochs", "5", "--output", model, "--home", HOME, "--quiet"],
                   check=True, stdout=subprocess.DEVNULL)
    return model


def expected(program, model, paths):
    """Of each picture the scores in the order of the classes, as graft predict gives them."""
    done = subprocess.run([program, "predict", model, *paths, "--top", str(len(KINDS)), "--home", HOME, "--quiet", "--json"],
                          check=True, capture_output=True, text=True)
    rows = [{entry["class"]: entry["score"] for entry in result["top"]} for result in json.loads(done.stdout)]
    return [[row[kind] for kind in KINDS] for row in rows]


def start(program, folder):
    """A server on a home of its own that shares the trunk."""
    home = folder / "home"
    (home / "buckets" / "article").mkdir(parents=True)
    (home / "trunks").symlink_to(pathlib.Path(HOME).resolve() / "trunks")
    port_file = folder / "port"
    server = subprocess.Popen([program, "serve", "--home", home, "--port", "0", "--port-file", port_file],
                              stderr=(folder / "log").open("w"))
    end = time.monotonic() + PATIENCE_S
    while not (port_file.exists() and port_file.read_text().strip()):
        if server.poll() is not None or time.monotonic() > end:
            raise SystemExit("check_googleapi: the server does not start: " + (folder / "log").read_text())
        time.sleep(0.02)
    return server, f"http://127.0.0.1:{port_file.read_text().strip()}", home


def wait(ml, operation):
    end = time.monotonic() + PATIENCE_S
    while not operation.get("done"):
        if time.monotonic() > end:
            raise SystemExit(f"check_googleapi: {operation['name']} does not end")
        time.sleep(0.05)
        operation = ml.projects().operations().get(name=operation["name"]).execute()
    return operation


def deploy(ml, version):
    body = {"name": version, "deploymentUri": "gs://article/flowers/", "runtimeVersion": "1.2"}
    operation = wait(ml, ml.projects().models().versions().create(parent=MODEL, body=body).execute())
    check(f"{version} is READY", operation.get("response", {}).get("state") == "READY", operation)


def predict(ml, name, paths):
    """As the article's cell does it."""
    instances = [{"inputs": base64.urlsafe_b64encode(path.read_bytes()).decode()} for path in paths]
    return ml.projects().predict(name=name, body={"instances": instances}).execute()


def check_predictions(ml, name, paths, wanted):
    answer = predict(ml, name, paths)
    check("an answer has predictions alone", list(answer) == ["predictions"], list(answer))
    scores = [prediction["outputs"] for prediction in answer.get("predictions", [])]
    check("one prediction an instance", len(scores) == len(paths), len(scores))
    difference = max((abs(a - b) for got, want in zip(scores, wanted) for a, b in zip(got, want, strict=True)), default=9)
    print(f"check_googleapi: {len(paths)} pictures at {name}, largest difference of a score {difference:.2g}")
    check("scores are those of graft predict", difference <= 1e-5, difference)


def check_sequence(ml, program, model, paths):
    models = ml.projects().models()
    wanted = expected(program, model, paths)
    created = models.create(parent=PROJECT, body={"name": "flowers", "regions": ["us-central1"]}).execute()
    check("the model's name", created["name"] == MODEL, created)
    refused("a model twice", 409, models.create(parent=PROJECT, body={"name": "flowers"}))
    deploy(ml, "v1")
    check_predictions(ml, MODEL, paths, wanted)
    deploy(ml, "v2")
    check_predictions(ml, MODEL + "/versions/v2", paths[:1], wanted)
    default = models.versions().setDefault(name=MODEL + "/versions/v2", body={}).execute()
    check("v2 is the default", default.get("isDefault") is True, default)
    check_predictions(ml, MODEL, paths, wanted)
    operation = models.patch(name=MODEL, body={"description": "tulips, too"}, updateMask="description").execute()
    check("patched", operation["response"]["description"] == "tulips, too", operation)
    refused("the default version's deletion", 400, models.versions().delete(name=MODEL + "/versions/v2"))
    for version in ("v1", "v2"):
        operation = wait(ml, models.versions().delete(name=f"{MODEL}/versions/{version}").execute())
        check(f"{version} is deleted", "error" not in operation, operation)
    check("the model is deleted", models.delete(name=MODEL).execute().get("done") is True)
    refused("a prediction of what is gone", 404,
            ml.projects().predict(name=MODEL, body={"instances": [{"inputs": "AAAA"}]}))
    check("an empty list is an empty object", models.list(parent=PROJECT).execute() == {})


def check_bad_picture(ml):
    """What the model says is told in a word, beside no predictions."""
    try:
        predict_bytes = base64.urlsafe_b64encode(b"no picture at all").decode()
        answer = ml.projects().predict(name=MODEL, body={"instances": [{"inputs": predict_bytes}]}).execute()
        check("a bad picture is refused", False, answer)
    except errors.HttpError as error:
        found = json.loads(error.content)
        check("a bad picture's code", error.resp.status == 400, error)
        check("a bad picture's place is named", isinstance(found.get("error"), str) and "instances[0]" in found["error"],
              found)


def main():
    program = f"{sys.argv[1]}/graft"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = train(program, folder)
        server, root, home = start(program, folder)
        try:
            (home / "buckets" / "article" / "flowers").mkdir()
            shutil.copy(model, home / "buckets" / "article" / "flowers")
            ml = discovery.build("ml", "v1", discoveryServiceUrl=root + "/$discovery/rest?version={apiVersion}",
                                 credentials=AnonymousCredentials(), cache_discovery=False)
            paths = [sorted((PICTURES / kind).iterdir())[PER_KIND] for kind in KINDS]
            ml.projects().models().create(parent=PROJECT, body={"name": "flowers"}).execute()
            deploy(ml, "v0")
            check_bad_picture(ml)
            wait(ml, ml.projects().models().versions().delete(name=MODEL + "/versions/v0").execute())
            ml.projects().models().delete(name=MODEL).execute()
            check_sequence(ml, program, model, paths)
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(PATIENCE_S)
        check("the server ends well", code == 0, f"{code}: {(folder / 'log').read_text()}")
    version = getattr(googleapiclient, "__version__", None)
    if version is None:
        from importlib import metadata
        version = metadata.version("google-api-python-client")
    print(f"check_googleapi: {len(failures)} differences (google-api-python-client {version})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
