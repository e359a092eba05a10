"""The article's end: a model, a version, predictions, with curl; one prediction an instance, in order; a bad instance is named."""
import json
import subprocess

from harness import (JPEG, SCRATCH, Server, b64, check, classes_of, close, model, new_home, pictures, predict_alone, read, same,
                     scores_of)

path = model("three")
photos = [JPEG, *pictures("food", 2), *pictures("vehicles", 2)]
wanted = predict_alone(path, *photos)


def curl(*words, body=None):
    if body is not None:
        with open(f"{SCRATCH}/body.json", "w", encoding="ascii") as file:
            json.dump(body, file)
        words += ("-H", "Content-Type: application/json", "--data-binary", f"@{SCRATCH}/body.json")
    done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", *words], capture_output=True, text=True, check=True)
    text, code = done.stdout.rsplit("\n", 1)
    return int(code), json.loads(text)


with Server(new_home()) as server:
    models = f"{server.url}/v1/projects/my-project/models"
    server.upload(path, "gs://my-bucket/opera/model.safetensors")
    code, answer = curl(models, body={"name": "OperaHouse", "regions": ["us-central1"]})
    same((code, answer["name"]), (200, "projects/my-project/models/OperaHouse"), "models.create")
    code, answer = curl(f"{models}/OperaHouse/versions",
                        body={"name": "v1", "runtimeVersion": "1.2", "deploymentUri": "gs://my-bucket/opera"})
    same(code, 200, f"versions.create: {answer}")
    operation = server.wait_operation(answer["name"])
    same(operation["response"]["state"], "READY", "the version's state")
    check(operation["response"].get("isDefault") is True, f"the first version is the default: {operation}")

    # The article's own spelling: a plain string of url-safe base64 under the input's name.
    ask = f"{models}/OperaHouse:predict"
    code, answer = curl(ask, body={"instances": [{"inputs": b64(read(JPEG), url_safe=True)}]})
    same(code, 200, f"predict: {answer}")
    close(answer["predictions"][0]["outputs"], wanted[0], "scores of the article's request")
    same(list(answer), ["predictions"], "nothing but predictions")
    same(len(answer["predictions"][0]["outputs"]), len(classes_of(path)), "one score a class")

    # Several instances: one prediction each, in order, in every spelling of base64.
    spelled = [{"inputs": b64(read(photos[0]), True, False)}, {"inputs": {"b64": b64(read(photos[1]))}},
               {"b64": b64(read(photos[2]))}, b64(read(photos[3]), False, False),
               {"image_bytes": {"b64": "data:image/png;base64," + b64(read(photos[4]))}}]
    code, answer = curl(f"{models}/OperaHouse/versions/v1:predict", body={"instances": spelled})
    same(code, 200, f"five instances: {answer}")
    for i, scores in enumerate(scores_of(answer["predictions"])):
        close(scores, wanted[i], f"scores of instance {i}")

    # One that is no picture: no predictions at all, and it is named.
    for bad in (b64(b"no picture at all, only text"), b64(read(JPEG)[:200]), "!!! no base64 !!!", {"b64": 7}, 5, None):
        code, answer = curl(ask, body={"instances": [spelled[0], spelled[1], bad]})
        same(code, 400, f"a bad instance {str(bad)[:20]}: {answer}")
        check("predictions" not in answer, "no predictions beside an error")
        text = answer["error"] if isinstance(answer["error"], str) else answer["error"]["message"]
        check("instances[2]" in text, f"the bad instance is named: {text}")
    code, answer = curl(ask, body={"instances": spelled[:1]})
    close(scores_of(answer["predictions"])[0], wanted[0], "and the server goes on")

    # A key comes back with its prediction.
    code, answer = curl(ask, body={"instances": [{"key": "a", "inputs": spelled[0]["inputs"]},
                                                 {"key": "b", "image_bytes": spelled[1]["inputs"]}]})
    same([item["key"] for item in answer["predictions"]], ["a", "b"], "keys")
