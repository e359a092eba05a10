"""TensorFlow Serving's REST: status, metadata, row and column form, versions, labels, classify, error shape."""
import harness
from harness import JPEG, JPEG_PATH, OTHER_PATH, OTHER_PICTURE, b64

INSTANCES = [{"b64": b64(JPEG)}, b64(OTHER_PICTURE)]


class TensorFlowServing(harness.ServerCase):
    @classmethod
    def setUpClass(cls):
        cls.models = {}
        super().setUpClass()
        # Names without a project are those of the server's own, which is named "default".
        cls.server.deploy("stamps", "v1", harness.stamps(), labels={"stable": "1"})
        cls.server.deploy("stamps", "v2", harness.other())
        cls.wanted = harness.expected_scores(harness.stamps(), JPEG_PATH, OTHER_PATH)

    def check_rows(self, rows, what):
        self.assertEqual(len(rows), len(self.wanted), what)
        for row, wanted in zip(rows, self.wanted):
            self.check_scores(row, wanted, what)

    def test_row_form_drops_the_name_of_the_only_output(self):
        for path in ("stamps", "stamps/versions/v1", "stamps/versions/1", "stamps/labels/stable"):
            answer = self.check_code(self.ask("POST", f"/v1/models/{path}:predict", {"instances": INSTANCES}), 200)
            self.assertIsInstance(answer.json["predictions"][0][0], float)
            self.check_rows(answer.json["predictions"], path)

    def test_column_form(self):
        body = {"signature_name": "serving_default", "inputs": INSTANCES}
        for path in ("stamps", "stamps/versions/v1"):
            self.check_rows(self.check_code(self.ask("POST", f"/v1/models/{path}:predict", body), 200).json["outputs"], path)
        self.check_code(self.ask("POST", "/v1/models/stamps:predict", dict(body, instances=INSTANCES)), 400)

    def test_classify_gives_labels_with_scores(self):
        answer = self.ask("POST", "/v1/models/stamps:classify", {"examples": [{"image": one} for one in INSTANCES]})
        rows = self.check_code(answer, 200).json["results"]
        for row in rows:
            self.assertEqual({label for label, _ in row}, set(harness.KINDS))
        self.check_rows([[dict(row)[kind] for kind in harness.KINDS] for row in rows], "classify")
        self.check_code(self.ask("POST", "/v1/models/stamps:classify", {"examples": [{"x": INSTANCES[0]}]}), 200)

    def test_status_speaks_to_both_clients(self):
        status = self.check_code(self.ask("GET", "/v1/models/stamps"), 200).json
        # Numbers there, as TensorFlow Serving's clients expect: that of v1 is 1.
        self.assertEqual(sorted((s["version"], s["state"], s["status"]["error_code"]) for s in status["model_version_status"]),
                         [("1", "AVAILABLE", "OK"), ("2", "AVAILABLE", "OK")])
        for version in ("2", "v2"):
            one = self.check_code(self.ask("GET", "/v1/models/stamps/versions/" + version), 200).json["model_version_status"]
            self.assertEqual([(s["version"], s["status"]["error_message"]) for s in one], [("2", "")])
        self.assertEqual((status["name"], status["ready"]), ("stamps", True))

    def test_metadata(self):
        answer = self.check_code(self.ask("GET", "/v1/models/stamps/metadata"), 200).json
        self.assertEqual(answer["model_spec"]["name"], "stamps")
        signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
        self.assertEqual(len(signature["inputs"]), 1)
        self.assertTrue(signature["outputs"])
        self.assertEqual(signature["method_name"], "tensorflow/serving/predict")

    def test_errors_are_one_text(self):
        good = {"instances": INSTANCES}
        for method, path, body, code in [
                ("POST", "/v1/models/nobody:predict", good, 404), ("POST", "/v1/models/stamps/versions/v9:predict", good, 404),
                ("POST", "/v1/models/stamps/labels/none:predict", good, 404), ("POST", "/v1/models/stamps:predict", {}, 400),
                ("POST", "/v1/models/stamps:predict", {"instances": []}, 400), ("POST", "/v1/models/stamps:predict", b"{", 400),
                ("POST", "/v1/models/stamps:predict", b"\xff", 400), ("POST", "/v1/models/nobody:predict", {"instances": [1]}, 404),
                ("GET", "/v1/models/nobody", None, 404)]:
            answer = self.check_code(self.ask(method, path, body), code)
            self.assertEqual(list(answer.json), ["error"])
            self.assertIsInstance(answer.json["error"], str)
        self.assertIn(self.ask("GET", "/v1/models/stamps:predict").code, (404, 405))
        self.assertIn(self.ask("DELETE", "/v1/models").code, (404, 405))


if __name__ == "__main__":
    harness.main()
