"""The article's sequence over plain HTTP, and with curl: model, version, operation, prediction."""
import json
import os
import subprocess

import harness
from harness import JPEG, JPEG_PATH, OTHER_PATH, PICTURE, PICTURE_PATH, article_b64, b64


class Article(harness.ServerCase):
    BASE = "/v1/projects/default/models"

    def predict(self, instances, path="stamps:predict"):
        return self.ask("POST", f"{self.BASE}/{path}", {"instances": instances})

    def curl(self, *words, body=None):
        if body is not None:
            path = harness.write(os.path.join(self.folder, "body.json"), json.dumps(body).encode())
            words += ("-H", "Content-Type: application/json", "--data-binary", "@" + path)
        done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", *words], capture_output=True, text=True, check=True)
        text, code = done.stdout.rsplit("\n", 1)
        return int(code), json.loads(text)

    def test_with_curl_from_upload_to_prediction(self):
        models = f"{self.server.url}/v1/projects/my-project/models"
        code, answer = self.curl("-T", harness.stamps(), f"{self.server.url}/graft/v1/buckets/my-bucket/objects/opera/model.safetensors")
        self.assertEqual(code, 200, answer)
        code, answer = self.curl(models, body={"name": "OperaHouse", "regions": ["us-central1"]})
        self.assertEqual((code, answer["name"]), (200, "projects/my-project/models/OperaHouse"))
        code, answer = self.curl(f"{models}/OperaHouse/versions",
                                 body={"name": "v1", "runtimeVersion": "1.2", "deploymentUri": "gs://my-bucket/opera"})
        self.assertEqual(code, 200, answer)
        version = self.server.finish(answer["name"])
        self.assertEqual((version["state"], version["isDefault"]), ("READY", True))
        # The article's own spelling: a plain string of url-safe base64 under the input's name.
        code, answer = self.curl(f"{models}/OperaHouse:predict", body={"instances": [{"inputs": article_b64(JPEG)}]})
        self.assertEqual(code, 200, answer)
        (wanted,) = harness.expected_scores(harness.stamps(), JPEG_PATH)
        self.check_scores(answer["predictions"][0]["outputs"], wanted)

    def test_the_article_s_request_gets_the_article_s_answer(self):
        answer = self.check_code(self.predict([{"inputs": article_b64(PICTURE)}]), 200)
        self.assertEqual(list(answer.json), ["predictions"])
        (prediction,) = answer.json["predictions"]
        self.assertEqual(list(prediction), ["outputs"])
        self.assertEqual(len(prediction["outputs"]), len(harness.KINDS))
        self.assertAlmostEqual(sum(prediction["outputs"]), 1, places=5)

    def test_scores_are_those_of_the_command_line(self):
        paths = [JPEG_PATH, PICTURE_PATH, OTHER_PATH]
        found = self.check_code(self.predict([b64(harness.read(path)) for path in paths], "stamps/versions/v1:predict"), 200)
        for path, scores, wanted in zip(paths, harness.scores_of(found), harness.expected_scores(harness.stamps(), *paths), strict=True):
            self.check_scores(scores, wanted, path)

    def test_every_spelling_of_base64_is_the_same_picture(self):
        plain, url = b64(PICTURE), article_b64(PICTURE)
        spellings = [plain, plain.rstrip("="), url, url + "=" * (-len(url) % 4), {"b64": plain}, {"inputs": {"b64": plain}},
                     {"image_bytes": {"b64": url}}, "data:image/png;base64," + plain,
                     "DATA:image/png;BASE64," + plain, {"image_bytes": {"b64": "data:image/png;base64," + plain}}]
        outputs = harness.scores_of(self.check_code(self.predict(spellings), 200))
        self.assertEqual(len(outputs), len(spellings))
        for found in outputs:
            self.assertEqual(found, outputs[0])

    def test_one_prediction_an_instance_in_order_and_keys_come_back(self):
        paths = [harness.pictures(kind)[15] for kind in harness.KINDS for _ in range(2)]
        inputs = [{"image_bytes": {"b64": b64(harness.read(path))}} if i % 2 else {"inputs": b64(harness.read(path))} for i, path in enumerate(paths)]
        instances = [dict(one, key=str(i)) for i, one in enumerate(inputs)]
        together = self.check_code(self.predict(instances), 200).json["predictions"]
        self.assertEqual([p["key"] for p in together], [str(i) for i in range(len(paths))])
        for path, found in zip(paths, together):
            (alone,) = harness.scores_of(self.predict([b64(harness.read(path))]))
            self.check_scores(found["outputs"], alone, path)

    def test_a_bad_instance_is_named_and_nothing_is_predicted(self):
        good = {"inputs": b64(PICTURE)}
        for bad in (b64(PICTURE[:300]), b64(b"no picture at all, only text"), b64(JPEG[:200]), "no*base64", "!!! no base64 !!!", {"b64": 7}, 5, None):
            with self.subTest(bad=str(bad)[:20]):
                answer = self.check_code(self.predict([good, good, bad]), 400)
                self.assertEqual(list(answer.json), ["error"])
                self.assertIn("instances[2]", str(answer.json["error"]))
        # The model's own failure is a text, as in the article.
        answer = self.predict([b64(PICTURE), b64(PICTURE[:300]), b64(PICTURE)])
        self.assertIsInstance(answer.json["error"], str)
        self.assertIn("instances[1]", answer.json["error"])
        self.check_code(self.predict([good]), 200)

    def test_debug_tells_where_two_servers_would_differ(self):
        answer = self.ask("POST", f"{self.BASE}/stamps:predict?debug=1", {"instances": [b64(PICTURE), b64(PICTURE)]})
        text = self.check_code(answer, 200).body.decode()
        for key in ("tensor", "features", "logits"):
            self.assertIn(key, text)


if __name__ == "__main__":
    harness.main()
