"""Triton's own client for the Open Inference Protocol, against graft serve: health, metadata, JSON and binary tensors."""
import os
import sys

sys.argv[1] = f"{sys.argv[1]}/graft"
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../serve"))
import numpy as np  # noqa: E402
import tritonclient.http as triton  # noqa: E402

from harness import JPEG, Server, check, close, model, new_home, pictures, predict_alone, read, same  # noqa: E402

photos = [JPEG, *pictures("food", 1)]
wanted = predict_alone(model("three"), *photos)

with Server(new_home()) as server:
    server.deploy(model("three"), "m", "v1", project="default")
    client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    check(client.is_server_live() and client.is_server_ready() and client.is_model_ready("m"), "live and ready")
    check("binary_tensor_data" in client.get_server_metadata()["extensions"], "extensions")
    about = client.get_model_metadata("m")
    name = next(i["name"] for i in about["inputs"] if i["datatype"] == "BYTES")
    scores = next(o["name"] for o in about["outputs"] if o["datatype"] == "FP32")
    for is_binary in (True, False):
        tensor = triton.InferInput(name, [len(photos)], "BYTES")
        if is_binary:
            tensor.set_data_from_numpy(np.array([read(p) for p in photos], dtype=np.object_), binary_data=True)
        else:
            import base64
            tensor.set_data_from_numpy(np.array([base64.b64encode(read(p)) for p in photos], dtype=np.object_), binary_data=False)
        answer = client.infer("m", [tensor], outputs=[triton.InferRequestedOutput(scores, binary_data=is_binary)], request_id="7")
        same(answer.get_response()["id"], "7", "the id")
        found = answer.as_numpy(scores)
        same(found.shape, (len(photos), 3), "shape")
        for i, line in enumerate(found):
            close(line.tolist(), wanted[i], f"scores, binary {is_binary}, picture {i}")
    pixels = triton.InferInput(next((i["name"] for i in about["inputs"] if i["datatype"] == "FP32"), name), [1, 299, 299, 3], "FP32")
    pixels.set_data_from_numpy(np.full((1, 299, 299, 3), 0.25, np.float32))
    check(abs(client.infer("m", [pixels]).as_numpy(scores).sum() - 1) < 1e-4, "FP32 pixels")
    try:
        client.infer("none", [tensor])
    except triton.InferenceServerException as error:
        check(error.message(), "an error that the client understands")
    else:
        check(False, "infer on a model that is not there")
print("triton's client: health, metadata, JSON, binary, FP32, errors")
