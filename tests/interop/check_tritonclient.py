"""Triton's own client for the Open Inference Protocol, against graft serve: health, metadata, JSON and binary tensors."""
import server  # noqa: F401
import numpy as np
import tritonclient.http as triton

import harness
from harness import JPEG, JPEG_PATH, PICTURE, PICTURE_PATH, b64


class Triton(harness.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = triton.InferenceServerClient(f"127.0.0.1:{cls.server.port}")
        about = cls.client.get_model_metadata("stamps")
        cls.image = next(i["name"] for i in about["inputs"] if i["datatype"] == "BYTES")
        cls.pixels = next((i["name"] for i in about["inputs"] if i["datatype"] == "FP32"), cls.image)
        cls.scores = next(o["name"] for o in about["outputs"] if o["datatype"] == "FP32")

    def tensor(self, is_binary):
        tensor = triton.InferInput(self.image, [2], "BYTES")
        content = [JPEG, PICTURE] if is_binary else [b64(JPEG).encode(), b64(PICTURE).encode()]
        tensor.set_data_from_numpy(np.array(content, dtype=np.object_), binary_data=is_binary)
        return tensor

    def test_health_and_metadata(self):
        self.assertTrue(self.client.is_server_live() and self.client.is_server_ready() and self.client.is_model_ready("stamps"))
        self.assertIn("binary_tensor_data", self.client.get_server_metadata()["extensions"])

    def test_pictures_in_json_and_binary(self):
        wanted = harness.expected_scores(harness.stamps(), JPEG_PATH, PICTURE_PATH)
        for is_binary in (True, False):
            answer = self.client.infer("stamps", [self.tensor(is_binary)], request_id="7",
                                       outputs=[triton.InferRequestedOutput(self.scores, binary_data=is_binary)])
            self.assertEqual(answer.get_response()["id"], "7")
            found = answer.as_numpy(self.scores)
            self.assertEqual(found.shape, (2, 3))
            for line, scores in zip(found, wanted):
                self.check_scores(line.tolist(), scores, f"binary {is_binary}")

    def test_pixels_as_floats(self):
        pixels = triton.InferInput(self.pixels, [1, 299, 299, 3], "FP32")
        pixels.set_data_from_numpy(np.full((1, 299, 299, 3), 0.25, np.float32))
        self.assertAlmostEqual(self.client.infer("stamps", [pixels]).as_numpy(self.scores).sum(), 1, places=4)

    def test_an_error_that_the_client_understands(self):
        with self.assertRaises(triton.InferenceServerException) as refused:
            self.client.infer("none", [self.tensor(True)])
        self.assertIn("none", refused.exception.message())


if __name__ == "__main__":
    harness.main()
