"""The article's sequence over plain HTTP: model, version, operation, prediction."""
import harness
from harness import PICTURE, PICTURE_PATH, article_b64, b64


class Article(harness.ServerCase):
    BASE = "/v1/projects/default/models"

    def predict(self, instances, path="stamps:predict", **query):
        return self.ask("POST", f"{self.BASE}/{path}", {"instances": instances})

    def test_the_article_s_request_gets_the_article_s_answer(self):
        answer = self.check_code(self.predict([{"inputs": article_b64(PICTURE)}]), 200)
        self.assertEqual(list(answer.json), ["predictions"])
        (prediction,) = answer.json["predictions"]
        self.assertEqual(list(prediction), ["outputs"])
        self.assertEqual(len(prediction["outputs"]), len(harness.KINDS))
        self.assertAlmostEqual(sum(prediction["outputs"]), 1, places=5)

    def test_scores_are_those_of_the_command_line(self):
        (said,) = harness.expected_scores(harness.stamps(), PICTURE_PATH)
        scores = dict(zip(sorted(harness.KINDS), self.predict([b64(PICTURE)]).json["predictions"][0]["outputs"]))
        for of_class in said["top"]:
            self.assertAlmostEqual(scores[of_class["class"]], of_class["score"], delta=0.02)

    def test_every_spelling_of_base64_is_the_same_picture(self):
        plain, url = b64(PICTURE), article_b64(PICTURE)
        spellings = [plain, plain.rstrip("="), url, url + "=" * (-len(url) % 4), {"b64": plain}, {"inputs": {"b64": plain}},
                     {"image_bytes": {"b64": url}}, "data:image/png;base64," + plain]
        answer = self.check_code(self.predict(spellings), 200)
        outputs = [p["outputs"] for p in answer.json["predictions"]]
        self.assertEqual(len(outputs), len(spellings))
        for found in outputs:
            self.assertEqual(found, outputs[0])

    def test_one_prediction_an_instance_in_order_and_keys_come_back(self):
        paths = [harness.pictures(kind)[15] for kind in harness.KINDS for _ in range(2)]
        instances = [{"image_bytes": {"b64": b64(harness.read(path))}, "key": str(i)} for i, path in enumerate(paths)]
        together = self.check_code(self.predict(instances), 200).json["predictions"]
        self.assertEqual([p["key"] for p in together], [str(i) for i in range(len(paths))])
        for path, found in zip(paths, together):
            alone = self.predict([b64(harness.read(path))]).json["predictions"][0]
            for a, b in zip(found["outputs"], alone["outputs"]):
                self.assertAlmostEqual(a, b, delta=1e-3)

    def test_a_bad_instance_is_named(self):
        answer = self.predict([b64(PICTURE), b64(PICTURE[:300]), b64(PICTURE)])
        self.check_code(answer, 400)
        self.assertEqual(list(answer.json), ["error"])
        self.assertIn("instances[1]", answer.json["error"])
        answer = self.predict([b64(PICTURE), "no*base64"])
        self.check_code(answer, 400)
        self.assertIn("instances[1]", str(answer.json["error"]))

    def test_versions_are_asked_by_name_and_the_default_can_be_switched(self):
        self.server.deploy("switched", "v1", harness.stamps())
        self.server.deploy("switched", "v2", harness.other())
        ask = lambda path: self.check_code(self.predict([b64(PICTURE)], path), 200).json["predictions"][0]["outputs"]
        v1, v2 = ask("switched/versions/v1:predict"), ask("switched/versions/v2:predict")
        self.assertNotEqual(v1, v2)
        self.assertEqual(ask("switched:predict"), v1)
        done = self.ask("POST", f"{self.BASE}/switched/versions/v2:setDefault", {})
        self.assertTrue(self.check_code(done, 200).json["isDefault"])
        self.assertEqual(ask("switched:predict"), v2)
        refused = self.ask("DELETE", f"{self.BASE}/switched/versions/v2")
        self.assertEqual(self.check_code(refused, 400).json["error"]["status"], "FAILED_PRECONDITION")
        self.server.finish(self.ask("DELETE", f"{self.BASE}/switched/versions/v1").json["name"])
        self.check_code(self.predict([b64(PICTURE)], "switched/versions/v1:predict"), 404)

    def test_a_file_that_is_no_model_fails_its_operation_with_the_reason(self):
        self.ask("POST", self.BASE, {"name": "broken"})
        self.check_code(self.ask("PUT", "/graft/v1/buckets/tests/objects/broken/model.safetensors", b"12345678"), 200)
        started = self.ask("POST", f"{self.BASE}/broken/versions", {"name": "v1", "deploymentUri": "gs://tests/broken/"})
        name = self.check_code(started, 200).json["name"]
        done = harness.wait_for(lambda: (lambda o: o if o.get("done") else None)(self.ask("GET", "/v1/" + name).json), name)
        self.assertIn("safetensors", done["error"]["message"])
        version = self.ask("GET", f"{self.BASE}/broken/versions/v1").json
        self.assertEqual(version["state"], "FAILED")
        self.assertIn("safetensors", version["errorMessage"])

    def test_lists_page_and_fields_are_masked(self):
        for name in ("list_a", "list_b", "list_c"):
            self.check_code(self.ask("POST", self.BASE, {"name": name}), 200)
        first = self.check_code(self.ask("GET", self.BASE + "?pageSize=2&filter=name:list_*&fields=models/name,nextPageToken"), 200).json
        self.assertEqual([list(model) for model in first["models"]], [["name"], ["name"]])
        second = self.ask("GET", f"{self.BASE}?pageSize=2&filter=name:list_*&pageToken={first['nextPageToken']}").json
        self.assertEqual(len(second["models"]), 1)
        self.assertNotIn("nextPageToken", second)
        self.assertEqual(self.ask("GET", "/v1/projects/nobody/models").json, {})

    def test_debug_tells_where_two_servers_would_differ(self):
        answer = self.ask("POST", f"{self.BASE}/stamps:predict?debug=1", {"instances": [b64(PICTURE), b64(PICTURE)]})
        text = self.check_code(answer, 200).body.decode()
        for key in ("tensor", "features", "logits"):
            self.assertIn(key, text)


if __name__ == "__main__":
    harness.main()
