"""TensorFlow Serving's REST: status, metadata, row and column form, versions, labels, classify, error shape."""
from harness import JPEG, Server, b64, check, classes_of, close, model, new_home, pictures, predict_alone, read, same

path = model("three")
photos = [JPEG, *pictures("food", 1)]
wanted = predict_alone(path, *photos)
instances = [{"b64": b64(read(p))} for p in photos]

with Server(new_home()) as server:
    # Names without a project are those of the server's own, which is named "default".
    server.deploy(path, "m", "v1", project="default", labels={"stable": "1"})
    server.deploy(model("other"), "m", "v2", project="default")
    status = server.get("/v1/models/m").json["model_version_status"]
    same(sorted((s["version"], s["state"], s["status"]["error_code"]) for s in status),
         [("1", "AVAILABLE", "OK"), ("2", "AVAILABLE", "OK")], "status of all versions; these clients know numbers only")
    status = server.get("/v1/models/m/versions/v2").json["model_version_status"]
    same([(s["version"], s["status"]["error_message"]) for s in status], [("2", "")], "status of one")
    metadata = server.get("/v1/models/m/metadata").json
    same(metadata["model_spec"]["name"], "m", "metadata: name")
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    same(len(signature["inputs"]), 1, "metadata: inputs")
    same(signature["method_name"], "tensorflow/serving/predict", "metadata: method")

    for url in ("/v1/models/m:predict", "/v1/models/m/versions/v1:predict", "/v1/models/m/versions/1:predict", "/v1/models/m/labels/stable:predict"):
        answer = server.post(url, {"instances": instances})
        same(answer.code, 200, f"{url}: {answer}")
        for i, scores in enumerate(answer.json["predictions"]):
            close(scores, wanted[i], f"{url}: the only output has no name, instance {i}")
    answer = server.post("/v1/models/m:predict", {"signature_name": "serving_default", "inputs": instances})
    same(answer.code, 200, f"column form: {answer}")
    for i, scores in enumerate(answer.json["outputs"]):
        close(scores, wanted[i], f"column form, row {i}")
    answer = server.post("/v1/models/m:classify", {"examples": [{"image": instance} for instance in instances]})
    same(answer.code, 200, f"classify: {answer}")
    for i, pairs in enumerate(answer.json["results"]):
        found = dict(pairs)
        close([found[name] for name in classes_of(path)], wanted[i], f"classify, example {i}")

    for method, url, body, code in [
            ("POST", "/v1/models/half:predict", {"instances": instances}, 404),
            ("POST", "/v1/models/m/versions/v9:predict", {"instances": instances}, 404),
            ("POST", "/v1/models/m/labels/none:predict", {"instances": instances}, 404),
            ("POST", "/v1/models/m:predict", {"instances": instances, "inputs": instances}, 400),
            ("POST", "/v1/models/m:predict", {}, 400),
            ("POST", "/v1/models/m:predict", {"instances": []}, 400),
            ("POST", "/v1/models/m:predict", b"{", 400),
            ("GET", "/v1/models/half", None, 404)]:
        answer = server.call(method, url, body)
        same(answer.code, code, f"{method} {url} {str(body)[:40]}: {answer}")
        check(isinstance(answer.json["error"], str), f"errors are one text: {answer}")
    same(server.get("/v1/models/half:predict").code in (404, 405), True, "predict is a POST")
