"""KServe's own SDK against graft serve: its InferenceRESTClient speaks v1 (predict) and v2 (infer, in JSON and in binary tensors)."""
import asyncio

import server  # noqa: F401
import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

import harness
from harness import JPEG, JPEG_PATH, PICTURE, PICTURE_PATH, b64


class KServe(harness.ServerCase):
    models = {"stamps": harness.stamps, "iris": harness.iris}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.wanted = harness.expected_scores(harness.stamps(), JPEG_PATH, PICTURE_PATH)

    def run_with(self, protocol, coroutine):
        async def run():
            async with InferenceRESTClient(RESTConfig(protocol=protocol)) as client:
                return await coroutine(client)
        return asyncio.run(run())

    def check_rows(self, rows):
        self.assertEqual(len(rows), 2)
        for found, wanted in zip(rows, self.wanted):
            self.check_scores(found, wanted)

    def test_v1_predicts_and_says_what_is_ready(self):
        async def ask(client):
            self.assertIs(await client.is_model_ready(self.server.url, "stamps"), True)
            body = {"instances": [{"image_bytes": {"b64": b64(JPEG)}}, {"image_bytes": {"b64": b64(PICTURE)}}]}
            return await client.infer(self.server.url, body, model_name="stamps")
        self.check_rows(self.run_with("v1", ask)["predictions"])

    def test_v1_predicts_from_numbers(self):
        rows = [harness.iris_row(i, i) for i in range(3)]
        answer = self.run_with("v1", lambda client: client.infer(self.server.url, {"instances": rows}, model_name="iris"))
        self.assertEqual([row.index(max(row)) for row in answer["predictions"]], [0, 1, 2])

    def test_v1_raises_what_the_server_says(self):
        for model, instances, code in (("nobody", [b64(JPEG)], 404), ("stamps", ["no picture"], 400)):
            with self.assertRaises(httpx.HTTPStatusError) as refused:
                self.run_with("v1", lambda client, m=model, i=instances: client.infer(self.server.url, {"instances": i}, model_name=m))
            self.assertEqual(refused.exception.response.status_code, code)
        self.assertIn("instances[0]", str(refused.exception))

    def test_v2_health(self):
        async def ask(client):
            return (await client.is_server_live(self.server.url), await client.is_server_ready(self.server.url),
                    await client.is_model_ready(self.server.url, "stamps"), await client.is_model_ready(self.server.url, "nobody"))
        self.assertEqual(self.run_with("v2", ask), (True, True, True, False))

    def test_v2_infers_from_pictures_in_json_and_binary(self):
        for is_binary in (False, True):
            image = InferInput("image", [2], "BYTES")
            content = [JPEG, PICTURE] if is_binary else [b64(JPEG).encode(), b64(PICTURE).encode()]
            image.set_data_from_numpy(np.array(content, dtype=np.object_), binary_data=is_binary)
            wanted = [RequestedOutput("outputs", {"binary_data": is_binary})]
            request = InferRequest("stamps", [image], request_id="7", request_outputs=wanted)
            answer = self.run_with("v2", lambda client, r=request: client.infer(self.server.url, r, model_name="stamps"))
            self.assertEqual((answer.id, answer.model_name), ("7", "stamps"))
            (output,) = answer.outputs
            self.assertEqual(list(output.shape), [2, 3])
            self.check_rows(output.as_numpy().tolist())

    def test_v2_infers_from_numbers(self):
        rows = np.array([harness.iris_row(i, i) for i in range(3)], np.float32)
        for is_binary in (False, True):
            numbers = InferInput("inputs", list(rows.shape), "FP32")
            numbers.set_data_from_numpy(rows, binary_data=is_binary)
            request = InferRequest("iris", [numbers])
            answer = self.run_with("v2", lambda client, r=request: client.infer(self.server.url, r, model_name="iris"))
            self.assertEqual(answer.outputs[0].as_numpy().argmax(axis=1).tolist(), [0, 1, 2])


if __name__ == "__main__":
    harness.main()
