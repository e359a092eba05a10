"""Does Google's own client deploy and ask a model here as the article did on Cloud ML Engine?

usage: python3 check_googleapi.py BUILD
google-api-python-client, built from the discovery document that the server gives, creates a model, creates a version from gs://, waits
for the operation, predicts pictures sent as URL-safe base64, patches, switches the default and deletes. The scores are those of
`graft predict`.
"""
import base64
import json
import os
import shutil
import time

import server  # noqa: F401
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery, errors

import harness

PROJECT, MODEL = "projects/article", "projects/article/models/flowers"


class GoogleClient(harness.ServerCase):
    models = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # As a bucket is filled by hand: a file laid into the folder.
        folder = os.path.join(cls.home, "buckets", "article", "flowers")
        os.makedirs(folder)
        shutil.copy(harness.stamps(), folder)
        cls.paths = [harness.pictures(kind)[12] for kind in harness.KINDS]
        cls.wanted = harness.expected_scores(harness.stamps(), *cls.paths)
        cls.ml = discovery.build("ml", "v1", discoveryServiceUrl=cls.server.url + "/$discovery/rest?version={apiVersion}",
                                 credentials=AnonymousCredentials(), cache_discovery=False)

    def refused(self, code, request):
        with self.assertRaises(errors.HttpError) as refused:
            request.execute()
        self.assertEqual(refused.exception.resp.status, code, refused.exception)
        return json.loads(refused.exception.content)

    def wait(self, operation):
        end = time.monotonic() + harness.DEADLINE_S
        while not operation.get("done"):
            self.assertLess(time.monotonic(), end, f"{operation['name']} does not end")
            time.sleep(0.05)
            operation = self.ml.projects().operations().get(name=operation["name"]).execute()
        return operation

    def deploy(self, version):
        body = {"name": version, "deploymentUri": "gs://article/flowers/", "runtimeVersion": "1.2"}
        operation = self.wait(self.ml.projects().models().versions().create(parent=MODEL, body=body).execute())
        self.assertEqual(operation.get("response", {}).get("state"), "READY", operation)

    def check_predictions(self, name, paths, wanted):
        """As the article's cell does it."""
        instances = [{"inputs": base64.urlsafe_b64encode(harness.read(path)).decode()} for path in paths]
        answer = self.ml.projects().predict(name=name, body={"instances": instances}).execute()
        self.assertEqual(list(answer), ["predictions"])
        scores = [prediction["outputs"] for prediction in answer["predictions"]]
        self.assertEqual(len(scores), len(paths), "one prediction an instance")
        for found, want, path in zip(scores, wanted, paths):
            self.check_scores(found, want, path)

    def test_the_article_s_sequence(self):
        models = self.ml.projects().models()
        created = models.create(parent=PROJECT, body={"name": "flowers", "regions": ["us-central1"]}).execute()
        self.assertEqual(created["name"], MODEL)
        self.refused(409, models.create(parent=PROJECT, body={"name": "flowers"}))
        self.deploy("v1")
        self.check_predictions(MODEL, self.paths, self.wanted)
        self.deploy("v2")
        self.check_predictions(MODEL + "/versions/v2", self.paths[:1], self.wanted)
        default = models.versions().setDefault(name=MODEL + "/versions/v2", body={}).execute()
        self.assertIs(default.get("isDefault"), True)
        self.check_predictions(MODEL, self.paths, self.wanted)
        # What the model says is told in a word, beside no predictions.
        picture = base64.urlsafe_b64encode(b"no picture at all").decode()
        error = self.refused(400, self.ml.projects().predict(name=MODEL, body={"instances": [{"inputs": picture}]}))
        self.assertIsInstance(error["error"], str)
        self.assertIn("instances[0]", error["error"])
        operation = models.patch(name=MODEL, body={"description": "tulips, too"}, updateMask="description").execute()
        self.assertEqual(operation["response"]["description"], "tulips, too")
        self.refused(400, models.versions().delete(name=MODEL + "/versions/v2"))
        for version in ("v1", "v2"):
            operation = self.wait(models.versions().delete(name=f"{MODEL}/versions/{version}").execute())
            self.assertNotIn("error", operation)
        self.assertIs(models.delete(name=MODEL).execute().get("done"), True)
        self.refused(404, self.ml.projects().predict(name=MODEL, body={"instances": [{"inputs": "AAAA"}]}))
        self.assertEqual(models.list(parent=PROJECT).execute(), {})


if __name__ == "__main__":
    harness.main()
