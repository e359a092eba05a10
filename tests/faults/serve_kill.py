"""kill -9 of the server at random moments of creating, uploading and deleting: what was acknowledged is there after the next start,
operations end, and nothing stays CREATING or DELETING."""
import http.client
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../serve"))
from harness import JPEG, Server, b64, check, close, model, new_home, predict_alone, read, same, scores_of, wait_for  # noqa: E402

path = model("other")
wanted = predict_alone(path, JPEG)[0]
home = new_home()
acknowledged = {}  # version: "created", "deleting"
uploads = {}
dice = random.Random(11)


def work(server, first):
    """Creates, uploads and deletes until the server is gone; notes what was acknowledged."""
    try:
        for n in range(first, first + 25):
            name = f"v{n}"
            uri = f"gs://bucket/{name}/model.safetensors"
            answer = server.call("PUT", f"/graft/v1/buckets/bucket/objects/{name}/model.safetensors", read(path))
            if answer.code in (200, 201):
                uploads[name] = uri
            answer = server.post("/v1/projects/p/models/m/versions", {"name": name, "deploymentUri": uri})
            if answer.code == 200:
                acknowledged[name] = "created"
            others = [v for v, state in acknowledged.items() if state == "created" and v not in ("v0", name)]
            if others and dice.random() < 0.4:
                victim = dice.choice(others)
                if server.call("DELETE", f"/v1/projects/p/models/m/versions/{victim}").code == 200:
                    acknowledged[victim] = "deleting"
    except (OSError, http.client.HTTPException):
        pass


with Server(home) as server:
    server.create_model("m")
    server.create_version("v0", "m", server.upload(path, "gs://bucket/v0/model.safetensors"))
    acknowledged["v0"] = "created"
for round_number in range(6):
    server = Server(home)
    thread = threading.Thread(target=work, args=(server, 1 + 1000 * round_number))
    thread.start()
    thread.join(0.05 + dice.random() * 1.2)
    server.kill()
    thread.join()

with Server(home) as server:
    def states():
        found, token = {}, ""
        while token is not None:
            page = server.get(f"/v1/projects/p/models/m/versions?pageSize=100&pageToken={token}").json
            found |= {v["name"].split("/")[-1]: v["state"] for v in page.get("versions", [])}
            token = page.get("nextPageToken")
        return found

    settled = wait_for(lambda: (s := states()) and not {"CREATING", "DELETING", "UPDATING"} & set(s.values()) and s, "nothing under way for ever")
    for name, state in acknowledged.items():
        if state == "created":
            check(settled.get(name) in ("READY", "FAILED"), f"{name} was acknowledged, is {settled.get(name)}")
            if settled[name] == "FAILED":
                check(server.get(f"/v1/projects/p/models/m/versions/{name}").json["errorMessage"], f"{name}: FAILED with a reason")
            else:
                close(scores_of(server.predict([b64(read(JPEG))], version=name).json["predictions"])[0], wanted, f"scores of {name}")
        else:
            check(name not in settled, f"the delete of {name} was acknowledged; it is {settled.get(name)}")
    check(len(acknowledged) > 5, f"something was acknowledged: {acknowledged}")
    for name in uploads:
        same(read(f"{home}/buckets/bucket/{name}/model.safetensors") == read(path), True, f"the upload of {name} is whole")
    operations = server.get("/v1/projects/p/operations?pageSize=100").json["operations"]
    check(all(o["done"] for o in operations), "every operation is done")
    left = [f for folder, _, files in os.walk(home) for f in files if ".tmp" in f or ".partial" in f]
    same(left, [], "files left half-written")
