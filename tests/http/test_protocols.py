"""TensorFlow Serving, KServe v1, the Open Inference Protocol and /graft/v1: each family's own shapes."""
import json
import struct

import harness
from harness import OTHER_PICTURE, PICTURE, b64


class TensorFlowServing(harness.ServerCase):
    def test_row_form_drops_the_name_of_the_only_output(self):
        rows = self.check_code(self.ask("POST", "/v1/models/stamps:predict", {"instances": [{"b64": b64(PICTURE)}, b64(OTHER_PICTURE)]}), 200).json
        self.assertEqual([len(row) for row in rows["predictions"]], [3, 3])
        self.assertIsInstance(rows["predictions"][0][0], float)

    def test_column_form(self):
        rows = self.ask("POST", "/v1/models/stamps:predict", {"instances": [b64(PICTURE)]}).json["predictions"]
        columns = self.check_code(self.ask("POST", "/v1/models/stamps/versions/v1:predict", {"inputs": [b64(PICTURE)]}), 200).json
        self.assertEqual(columns["outputs"], rows)
        both = self.ask("POST", "/v1/models/stamps:predict", {"inputs": [b64(PICTURE)], "instances": [b64(PICTURE)]})
        self.check_code(both, 400)

    def test_classify_gives_labels_with_scores(self):
        answer = self.check_code(self.ask("POST", "/v1/models/stamps:classify", {"examples": [{"x": {"b64": b64(PICTURE)}}]}), 200).json
        (row,) = answer["results"]
        self.assertEqual({label for label, _ in row}, set(harness.KINDS))

    def test_status_speaks_to_both_clients(self):
        status = self.check_code(self.ask("GET", "/v1/models/stamps"), 200).json
        # A number there, as TensorFlow Serving's clients expect: that of v1 is 1.
        self.assertEqual(status["model_version_status"][0]["version"], "1")
        self.check_code(self.ask("GET", "/v1/models/stamps/versions/1"), 200)
        self.check_code(self.ask("GET", "/v1/models/stamps/versions/v1"), 200)
        self.assertEqual(status["model_version_status"][0]["state"], "AVAILABLE")
        self.assertEqual((status["name"], status["ready"]), ("stamps", True))
        self.assertIn("stamps", self.ask("GET", "/v1/models").json["models"])

    def test_metadata(self):
        answer = self.check_code(self.ask("GET", "/v1/models/stamps/metadata"), 200).json
        signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
        self.assertEqual(answer["model_spec"]["name"], "stamps")
        self.assertTrue(signature["inputs"] and signature["outputs"])

    def test_errors_are_a_text(self):
        answer = self.check_code(self.ask("POST", "/v1/models/nobody:predict", {"instances": [b64(PICTURE)]}), 404)
        self.assertIsInstance(answer.json["error"], str)
        answer = self.check_code(self.ask("POST", "/v1/models/stamps:predict", b"{"), 400)
        self.assertIsInstance(answer.json["error"], str)


class OpenInference(harness.ServerCase):
    def infer(self, body, headers=None, path="/v2/models/stamps/infer"):
        return self.ask("POST", path, body, headers)

    def test_server_and_model_metadata(self):
        self.assertIn("binary_tensor_data", self.check_code(self.ask("GET", "/v2"), 200).json["extensions"])
        self.check_code(self.ask("GET", "/v2/health/live"), 200)
        self.check_code(self.ask("GET", "/v2/health/ready"), 200)
        self.check_code(self.ask("GET", "/v2/models/stamps/ready"), 200)
        self.check_code(self.ask("GET", "/v2/models/stamps/versions/v1/ready"), 200)
        model = self.check_code(self.ask("GET", "/v2/models/stamps"), 200).json
        self.assertEqual(model["name"], "stamps")
        self.assertTrue(model["inputs"] and model["outputs"])
        self.check_code(self.ask("GET", "/v2/models/nobody"), 404)

    def test_bytes_as_json(self):
        answer = self.check_code(self.infer({"id": "17", "inputs": [{"name": "image", "shape": [2], "datatype": "BYTES",
                                                                     "data": [b64(PICTURE), b64(OTHER_PICTURE)]}]}), 200).json
        self.assertEqual(answer["id"], "17")
        (output,) = [o for o in answer["outputs"] if o["datatype"] == "FP32"]
        self.assertEqual(output["shape"], [2, 3])
        self.assertEqual(len(output["data"]), 6)
        rows = self.ask("POST", "/v1/models/stamps:predict", {"instances": [b64(PICTURE)]}).json["predictions"]
        for found, wanted in zip(output["data"], rows[0]):
            self.assertAlmostEqual(found, wanted, delta=1e-3)

    def test_the_binary_extension_both_ways(self):
        raw = struct.pack("<I", len(PICTURE)) + PICTURE
        head = json.dumps({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}],
                           "parameters": {"binary_data_output": True}}).encode()
        answer = self.infer(head + raw, {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"})
        n_json = int(self.check_code(answer, 200).headers["Inference-Header-Content-Length"])
        output = json.loads(answer.body[:n_json])["outputs"][0]
        self.assertEqual(output["parameters"]["binary_data_size"], len(answer.body) - n_json)
        self.assertAlmostEqual(sum(struct.unpack("<3f", answer.body[n_json:])), 1, places=5)

    def test_the_raw_form_is_one_picture(self):
        answer = self.infer(PICTURE, {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"})
        self.check_code(answer, 200)

    def test_pixels_as_floats(self):
        values = [0.0] * (299 * 299 * 3)
        answer = self.infer({"inputs": [{"name": "image", "shape": [1, 299, 299, 3], "datatype": "FP32", "data": values}]})
        self.check_code(answer, 200)

    def test_classification_extension(self):
        answer = self.infer({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [b64(PICTURE)]}],
                             "outputs": [{"name": self.ask("GET", "/v2/models/stamps").json["outputs"][0]["name"],
                                          "parameters": {"classification": 2}}]})
        (output,) = self.check_code(answer, 200).json["outputs"]
        self.assertEqual(output["datatype"], "BYTES")
        self.assertEqual(len(output["data"]), 2)
        self.assertRegex(output["data"][0], r"^[0-9.e-]+:\d:(animals|food|vehicles)$")

    def test_what_does_not_fit_is_named(self):
        for inputs in ([{"name": "image", "shape": [2], "datatype": "BYTES", "data": [b64(PICTURE)]}],
                       [{"name": "image", "shape": [1], "datatype": "INT64", "data": [1]}],
                       [{"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 10}}], []):
            answer = self.check_code(self.infer({"inputs": inputs}), 400)
            self.assertIsInstance(answer.json["error"], str)


class Classify(harness.ServerCase):
    def test_a_raw_picture_is_all_it_takes(self):
        answer = self.ask("POST", "/graft/v1/models/stamps:classify?top=2", PICTURE, {"Content-Type": "image/png"})
        (found,) = self.check_code(answer, 200).json["predictions"]
        self.assertIn(found["label"], harness.KINDS)
        self.assertEqual(len(found["top"]), 2)
        self.assertEqual(found["top"][0]["label"], found["label"])
        self.assertIn("timings", answer.json)

    def test_a_form_may_hold_several(self):
        edge = b"graft-test-edge"
        body = b"".join(b"--" + edge + b"\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name + b"\"\r\n"
                        b"Content-Type: image/png\r\n\r\n" + content + b"\r\n"
                        for name, content in ((b"a.png", PICTURE), (b"b.png", OTHER_PICTURE))) + b"--" + edge + b"--\r\n"
        answer = self.ask("POST", "/graft/v1/models/stamps:classify", body, {"Content-Type": "multipart/form-data; boundary=" + edge.decode()})
        self.assertEqual(len(self.check_code(answer, 200).json["predictions"]), 2)

    def test_files_are_named_in_their_order(self):
        edge = b"graft-test-edge"
        body = b"".join(b"--" + edge + b"\r\nContent-Disposition: form-data; name=\"" + name + b"\"; filename=\"" + name + b".png\"\r\n\r\n" +
                        content + b"\r\n" for name, content in ((b"one", PICTURE), (b"two", OTHER_PICTURE))) + b"--" + edge + b"--\r\n"
        form = {"Content-Type": "multipart/form-data; boundary=" + edge.decode()}
        found = self.check_code(self.ask("POST", "/graft/v1/models/stamps:classify", body, form), 200).json["predictions"]
        self.assertEqual([one["file"] for one in found], ["one.png", "two.png"])
        rows = self.ask("POST", "/v1/models/stamps:predict", {"instances": [b64(PICTURE), b64(OTHER_PICTURE)]}).json["predictions"]
        for one, row in zip(found, rows):
            self.assertEqual(set(one["scores"]), set(harness.KINDS))
            for kind, wanted in zip(harness.KINDS, row):
                self.assertAlmostEqual(one["scores"][kind], wanted, delta=1e-4)
            self.assertEqual(one["score"], max(one["scores"].values()))

    def test_every_path_gives_the_same_answer(self):
        answers = [self.check_code(self.ask("POST", path + ":classify", PICTURE), 200).json
                   for path in ("/graft/v1/models/stamps", "/graft/v1/models/stamps/versions/v1", "/graft/v1/projects/default/models/stamps",
                                "/graft/v1/projects/default/models/stamps/versions/v1")]
        for answer in answers:
            self.assertEqual((answer["model"], answer["version"]), ("stamps", "v1"))
            self.assertEqual(answer["predictions"], answers[0]["predictions"])
            self.assertLessEqual({"queue_ms", "decode_ms", "network_ms", "head_ms", "total_ms", "cold_start_ms", "load_ms"}, set(answer["timings"]))
        for path in ("/graft/v1/models/nobody", "/graft/v1/models/stamps/versions/v9", "/graft/v1/projects/nobody/models/stamps"):
            self.check_code(self.ask("POST", path + ":classify", PICTURE), 404)

    def test_top_and_debug(self):
        path = "/graft/v1/models/stamps:classify"
        (found,) = self.check_code(self.ask("POST", path + "?top=99&debug=1", PICTURE), 200).json["predictions"]
        self.assertEqual([one["score"] for one in found["top"]], sorted(found["scores"].values(), reverse=True))
        self.assertEqual(len(found["debug"]["logitValues"]), 3)
        for top in ("0", "-1", "x", "1.5", ""):
            self.check_code(self.ask("POST", path + "?top=" + top, PICTURE), 400)

    def test_what_cannot_be_a_picture_is_refused(self):
        path = "/graft/v1/models/stamps:classify"
        self.check_code(self.ask("POST", path, b""), 400)
        answer = self.check_code(self.ask("POST", path, {"instances": [b64(PICTURE)]}), 400)
        self.assertIn(":predict", answer.json["error"]["message"])
        self.check_code(self.ask("POST", path, b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}), 400)

    def test_what_is_no_picture_is_told_so(self):
        answer = self.ask("POST", "/graft/v1/models/stamps:classify", b"hello", {"Content-Type": "image/jpeg"})
        self.assertEqual(self.check_code(answer, 400).json["error"]["status"], "INVALID_ARGUMENT")


if __name__ == "__main__":
    harness.main()
