"""KServe v1, and the Open Inference Protocol v2: health, metadata, JSON, binary tensors, the raw form, errors."""
import json
import struct

import harness
from harness import JPEG, JPEG_PATH, PICTURE, PICTURE_PATH, b64

N_PIXELS = 299 * 299 * 3


def bytes_tensor(*items):
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def named(about, datatype):
    return next(one["name"] for one in about if one["datatype"] == datatype)


class KServe1(harness.ServerCase):
    def test_models_and_predict(self):
        self.assertEqual(self.ask("GET", "/v1/models").json, {"models": ["stamps"]})
        self.assertIs(self.ask("GET", "/v1/models/stamps").json["ready"], True)
        answer = self.ask("POST", "/v1/models/stamps:predict", {"instances": [{"image_bytes": {"b64": b64(JPEG)}}]})
        (wanted,) = harness.expected_scores(harness.stamps(), JPEG_PATH)
        self.check_scores(self.check_code(answer, 200).json["predictions"][0], wanted)


class OpenInference(harness.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        about = cls.server.ask("GET", "/v2/models/stamps").json
        cls.image, cls.pixels = named(about["inputs"], "BYTES"), next((i["name"] for i in about["inputs"] if i["datatype"] == "FP32"), None)
        cls.scores = named(about["outputs"], "FP32")
        cls.wanted = sum(harness.expected_scores(harness.stamps(), JPEG_PATH, PICTURE_PATH), [])

    def infer(self, body, headers=None, path="stamps"):
        return self.ask("POST", f"/v2/models/{path}/infer", body, headers)

    def infer_binary(self, document, data=b"", path="stamps"):
        head = json.dumps(document).encode()
        return self.infer(head + data, {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}, path)

    def tensor(self, n, n_bytes, datatype="BYTES", shape=None):
        return {"name": self.image, "shape": shape or [n], "datatype": datatype, "parameters": {"binary_data_size": n_bytes}}

    def floats(self, answer):
        """Of the one output behind the document."""
        n_json = int(self.check_code(answer, 200).headers["Inference-Header-Content-Length"])
        rest = answer.body[n_json:]
        self.assertEqual(json.loads(answer.body[:n_json])["outputs"][0]["parameters"]["binary_data_size"], len(rest))
        return struct.unpack(f"<{len(rest) // 4}f", rest)

    def test_server_and_model_metadata(self):
        about = self.check_code(self.ask("GET", "/v2"), 200).json
        self.assertIn("binary_tensor_data", about["extensions"])
        self.assertTrue(about["name"] and about["version"])
        self.check_code(self.ask("GET", "/v2/health/live"), 200)
        for path in ("/v2/health/ready", "/v2/models/stamps/ready", "/v2/models/stamps/versions/v1/ready"):
            self.assertIs(self.check_code(self.ask("GET", path), 200).json["ready"], True)
        model = self.check_code(self.ask("GET", "/v2/models/stamps"), 200).json
        self.assertEqual((model["name"], model["versions"]), ("stamps", ["v1"]))
        self.assertEqual([o["shape"] for o in model["outputs"] if o["datatype"] == "FP32"][0], [-1, 3])

    def test_bytes_as_json(self):
        tensor = {"name": self.image, "shape": [2], "datatype": "BYTES", "data": [b64(JPEG), b64(PICTURE)]}
        answer = self.check_code(self.infer({"id": "17", "inputs": [tensor]}), 200).json
        self.assertEqual((answer["model_name"], answer["model_version"], answer["id"]), ("stamps", "v1", "17"))
        (output,) = [o for o in answer["outputs"] if o["datatype"] == "FP32"]
        self.assertEqual((output["name"], output["shape"]), (self.scores, [2, 3]))
        self.check_scores(output["data"], self.wanted, "flat and row-major")

    def test_the_binary_extension_in_and_both_ways(self):
        data = bytes_tensor(JPEG, PICTURE)
        tensor, plain = self.tensor(2, len(data)), {"name": self.scores}
        answer = self.check_code(self.infer_binary({"inputs": [tensor], "outputs": [plain]}, data), 200)
        self.check_scores(answer.json["outputs"][0]["data"], self.wanted, "binary in")
        for document in ({"inputs": [tensor], "outputs": [dict(plain, parameters={"binary_data": True})]},
                         {"inputs": [tensor], "outputs": [plain], "parameters": {"binary_data_output": True}},
                         {"inputs": [tensor], "parameters": {"binary_data_output": True}}):
            for path in ("stamps", "stamps/versions/v1"):
                self.check_scores(self.floats(self.infer_binary(document, data, path)), self.wanted, "binary both ways")

    def test_the_raw_form_is_one_picture(self):
        for raw in (JPEG, bytes_tensor(JPEG)):
            for more in ({}, {"Content-Type": "application/octet-stream"}):
                answer = self.infer(raw, {"Inference-Header-Content-Length": "0", **more})
                self.check_scores(self.floats(answer), self.wanted[:3], "raw")

    def test_pixels_as_floats(self):
        name, shape = self.pixels or self.image, [1, 299, 299, 3]
        sent = self.infer({"inputs": [{"name": name, "shape": shape, "datatype": "FP32", "data": [0.25] * N_PIXELS}]})
        as_json = self.check_code(sent, 200).json["outputs"][0]["data"]
        tensor = dict(self.tensor(1, 4 * N_PIXELS, "FP32", shape), name=name)
        sent = self.infer_binary({"inputs": [tensor]}, struct.pack(f"<{N_PIXELS}f", *[0.25] * N_PIXELS))
        self.check_scores(self.check_code(sent, 200).json["outputs"][0]["data"], as_json, "binary as JSON")
        self.assertAlmostEqual(sum(as_json), 1, places=4)

    def test_classification_extension(self):
        answer = self.infer({"inputs": [{"name": self.image, "shape": [1], "datatype": "BYTES", "data": [b64(PICTURE)]}],
                             "outputs": [{"name": self.scores, "parameters": {"classification": 2}}]})
        (output,) = self.check_code(answer, 200).json["outputs"]
        self.assertEqual(output["datatype"], "BYTES")
        self.assertEqual(len(output["data"]), 2)
        self.assertRegex(output["data"][0], r"^[0-9.e-]+:\d:(animals|food|vehicles)$")

    def test_what_does_not_fit_is_refused_with_one_text(self):
        def refused(answer):
            self.assertIsInstance(self.check_code(answer, 400).json["error"], str)
        for inputs in ([{"name": self.image, "shape": [2], "datatype": "BYTES", "data": [b64(PICTURE)]}],
                       [{"name": self.image, "shape": [1], "datatype": "INT64", "data": [1]}], [self.tensor(1, 10)], []):
            refused(self.infer({"inputs": inputs}))
        good = bytes_tensor(JPEG)
        for size, shape, sent, datatype in [(len(good) + 1, [1], good, "BYTES"), (len(good), [2], good, "BYTES"), (-1, [1], good, "BYTES"),
                                            (4, [1], b"\xff\xff\xff\xff", "BYTES"), (8, [1, 299, 299, 3], b"12345678", "FP32"),
                                            (len(good), [1 << 40, 1 << 40], good, "BYTES"), (len(good), [1], good, "COMPLEX")]:
            with self.subTest(size=size, shape=shape, datatype=datatype):
                refused(self.infer_binary({"inputs": [self.tensor(1, size, datatype, shape)]}, sent))
        for header in ("999999999", "-1", "x", "99999999999999999999"):
            with self.subTest(header=header):
                refused(self.infer(good, {"Inference-Header-Content-Length": header}))
        self.check_code(self.ask("GET", "/v2/models/nobody"), 404)
        self.assertIn(self.infer({"inputs": []}, path="nobody").code, (400, 404))


if __name__ == "__main__":
    harness.main()
