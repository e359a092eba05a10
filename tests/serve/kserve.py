"""KServe v1, and the Open Inference Protocol v2: JSON, binary tensors, the raw form."""
import json
import struct

from harness import JPEG, Server, b64, check, close, model, new_home, pictures, predict_alone, read, same

path = model("three")
photos = [JPEG, *pictures("food", 1)]
wanted = predict_alone(path, *photos)


def binary(document, *blobs):
    head = json.dumps(document).encode()
    return head + b"".join(blobs), {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}


def bytes_tensor(*items):
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def read_binary(answer):
    """The document and the floats of the one output behind it."""
    n = int(answer.headers["Inference-Header-Content-Length"])
    document, rest = json.loads(answer.body[:n]), answer.body[n:]
    same(document["outputs"][0]["parameters"]["binary_data_size"], len(rest), "binary_data_size")
    return document, struct.unpack(f"<{len(rest) // 4}f", rest)


with Server(new_home()) as server:
    server.deploy(path, "m", "v1", project="default")

    # v1
    same(server.get("/v1/models").json, {"models": ["m"]}, "v1: models")
    same(server.get("/v1/models/m").json.get("ready", True), True, "v1: ready, where the answer says so")
    answer = server.post("/v1/models/m:predict", {"instances": [{"image_bytes": {"b64": b64(read(JPEG))}}]})
    close(answer.json["predictions"][0], wanted[0], "v1: predict")

    # v2: metadata and health
    about = server.get("/v2").json
    check("binary_tensor_data" in about["extensions"] and about["name"] and about["version"], f"v2: server {about}")
    same(server.get("/v2/health/live").code, 200, "v2: live")
    ready = server.get("/v2/health/ready")
    same((ready.code, ready.json["ready"]), (200, True), "v2: ready")
    about = server.get("/v2/models/m").json
    same((about["name"], about["versions"]), ("m", ["v1"]), "v2: model")
    inputs = {i["name"]: i for i in about["inputs"]}
    outputs = [o for o in about["outputs"] if o["datatype"] == "FP32"]
    same(outputs[0]["shape"], [-1, 3], "v2: shape of the scores")
    same(server.get("/v2/models/m/versions/v1/ready").json["ready"], True, "v2: model ready")
    picture = next(name for name, i in inputs.items() if i["datatype"] == "BYTES")

    # v2: JSON
    tensor = {"name": picture, "shape": [2], "datatype": "BYTES", "data": [b64(read(p)) for p in photos]}
    answer = server.post("/v2/models/m/infer", {"id": "abc", "inputs": [tensor]})
    same(answer.code, 200, f"v2: JSON {answer}")
    document = answer.json
    same((document["model_name"], document["model_version"], document["id"]), ("m", "v1", "abc"), "v2: who answers")
    output = next(o for o in document["outputs"] if o["datatype"] == "FP32")
    same(output["shape"], [2, 3], "v2: shape")
    close(output["data"], wanted[0] + wanted[1], "v2: data, flat and row-major")

    # v2: binary in, JSON out; binary both ways
    data = bytes_tensor(*map(read, photos))
    tensor = {"name": picture, "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(data)}}
    body, headers = binary({"inputs": [tensor], "outputs": [{"name": output["name"]}]}, data)
    answer = server.call("POST", "/v2/models/m/infer", body, headers)
    same(answer.code, 200, f"v2: binary in {answer}")
    close(answer.json["outputs"][0]["data"], wanted[0] + wanted[1], "v2: binary in")
    for document in ({"inputs": [tensor], "outputs": [{"name": output["name"], "parameters": {"binary_data": True}}]},
                     {"inputs": [tensor], "outputs": [{"name": output["name"]}], "parameters": {"binary_data_output": True}}):
        body, headers = binary(document, data)
        answer = server.call("POST", "/v2/models/m/versions/v1/infer", body, headers)
        same(answer.code, 200, f"v2: binary both ways {answer}")
        close(read_binary(answer)[1], wanted[0] + wanted[1], "v2: binary both ways")

    # v2: the raw form: nothing but the picture
    for raw in (read(JPEG), bytes_tensor(read(JPEG))):
        answer = server.call("POST", "/v2/models/m/infer", raw, {"Inference-Header-Content-Length": "0"})
        same(answer.code, 200, f"v2: raw {answer}")
        n = int(answer.headers["Inference-Header-Content-Length"])
        close(struct.unpack_from("<3f", answer.body, n), wanted[0], "v2: raw")

    # Floats that are pixels already.
    floats = next((name for name, i in inputs.items() if i["datatype"] == "FP32"), picture)
    n = 299 * 299 * 3
    tensor = {"name": floats, "shape": [1, 299, 299, 3], "datatype": "FP32", "parameters": {"binary_data_size": 4 * n}}
    body, headers = binary({"inputs": [tensor]}, struct.pack(f"<{n}f", *[0.25] * n))
    answer = server.call("POST", "/v2/models/m/infer", body, headers)
    same(answer.code, 200, f"v2: FP32 {answer}")
    check(abs(sum(answer.json["outputs"][0]["data"]) - 1) < 1e-4, "v2: FP32 gives probabilities")

    # Errors: 400 and one text; and lengths that lie.
    good = bytes_tensor(read(JPEG))
    for size, shape, sent, datatype in [(len(good) + 1, [1], good, "BYTES"), (len(good), [2], good, "BYTES"), (-1, [1], good, "BYTES"),
                                        (4, [1], b"\xff\xff\xff\xff", "BYTES"), (8, [1, 299, 299, 3], b"12345678", "FP32"),
                                        (len(good), [1 << 40, 1 << 40], good, "BYTES"), (len(good), [1], good, "COMPLEX")]:
        tensor = {"name": picture, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}
        body, headers = binary({"inputs": [tensor]}, sent)
        answer = server.call("POST", "/v2/models/m/infer", body, headers)
        same(answer.code, 400, f"size {size}, shape {shape}, {datatype}: {answer}")
        check(isinstance(answer.json["error"], str), "v2: errors are one text")
    for header in ("999999999", "-1", "x", "99999999999999999999"):
        answer = server.call("POST", "/v2/models/m/infer", good, {"Inference-Header-Content-Length": header})
        same(answer.code, 400, f"Inference-Header-Content-Length: {header}: {answer}")
    same(server.get("/v2/models/none").code in (400, 404), True, "v2: no such model")
    same(server.post("/v2/models/none/infer", {"inputs": []}).code in (400, 404), True, "v2: infer on none")
