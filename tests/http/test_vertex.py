"""The contract of Vertex AI's containers: two paths that the operator says, one model."""
import shutil
import tempfile
import unittest

import harness
from harness import OTHER_PICTURE, PICTURE, b64

ROUTES = {"AIP_HEALTH_ROUTE": "/v1/endpoints/17/deployedModels/4", "AIP_PREDICT_ROUTE": "/v1/endpoints/17/deployedModels/4:predict"}
HEALTH, PREDICT = ROUTES["AIP_HEALTH_ROUTE"], ROUTES["AIP_PREDICT_ROUTE"]
MEMBERS = {"predictions", "deployedModelId", "model", "modelDisplayName", "modelVersionId"}


class VertexCase(unittest.TestCase):
    """A server of its own for each test, with the variables of a container."""

    def serve(self, **env):
        folder = tempfile.mkdtemp(prefix="graft-http-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        server = harness.Server(harness.new_home(folder), env=dict(ROUTES, AIP_HTTP_PORT="0", **env))
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        return server

    def check_code(self, answer, code):
        self.assertEqual(answer.code, code, answer)
        return answer


class Container(VertexCase):
    """The model comes from AIP_STORAGE_URI."""

    def serve_storage(self, **env):
        storage = tempfile.mkdtemp(prefix="graft-http-")
        self.addCleanup(shutil.rmtree, storage, ignore_errors=True)
        shutil.copy(harness.stamps(), storage)
        server = self.serve(AIP_STORAGE_URI=storage, **env)
        harness.wait_for(lambda: server.ask("GET", HEALTH).code == 200, "the model to be ready")
        return server

    def test_predicts_one_row_an_instance(self):
        server = self.serve_storage(AIP_MODEL_NAME="stamps")
        body = {"instances": [{"b64": b64(PICTURE)}, b64(OTHER_PICTURE)], "parameters": {"confidenceThreshold": 0.5}}
        answer = self.check_code(server.ask("POST", PREDICT, body), 200).json
        self.assertEqual(set(answer), MEMBERS)
        self.assertEqual([len(row) for row in answer["predictions"]], [3, 3])
        self.assertEqual((answer["model"], answer["modelDisplayName"]), ("stamps", "stamps"))
        self.assertEqual(answer["deployedModelId"], answer["modelVersionId"])
        # The scores of the other families, to the last digit.
        rows = self.check_code(server.ask("POST", "/v1/models/stamps:predict", {"instances": body["instances"]}), 200).json
        self.assertEqual(answer["predictions"], rows["predictions"])

    def test_the_version_of_an_earlier_start_is_found_among_many(self):
        storage = tempfile.mkdtemp(prefix="graft-http-")
        self.addCleanup(shutil.rmtree, storage, ignore_errors=True)
        shutil.copy(harness.iris(), storage)
        server = self.serve()
        server.ask("POST", "/v1/projects/default/models", {"name": "model"})
        server.upload("gs://tests/iris/m.safetensors", harness.read(harness.iris()))
        for operation in [server.create_version("model", f"a{i}", "gs://tests/iris/") for i in range(101)]:
            server.finish(operation)
        self.assertEqual(server.stop(), 0)
        for _ in range(2):
            server = harness.Server(server.home, env=dict(ROUTES, AIP_HTTP_PORT="0", AIP_STORAGE_URI=storage))
            try:
                harness.wait_for(lambda: server.ask("GET", HEALTH).code == 200, "the model to be ready")
                made = server.ask("GET", "/v1/projects/default/models/model/versions?filter=name:v*").json["versions"]
                self.assertEqual([version["name"] for version in made], ["projects/default/models/model/versions/v102"])
            finally:
                server.stop()

    def test_without_a_name_the_model_is_called_model(self):
        server = self.serve_storage()
        answer = self.check_code(server.ask("POST", PREDICT, {"instances": [b64(PICTURE)]}), 200).json
        self.assertEqual(answer["model"], "model")
        # The older contract's default paths.
        version = answer["modelVersionId"]
        self.check_code(server.ask("GET", f"/v1/models/model/versions/{version}"), 200)
        self.check_code(server.ask("POST", f"/v1/models/model/versions/{version}:predict", {"instances": [b64(PICTURE)]}), 200)

    def test_what_is_wrong_is_a_text(self):
        server = self.serve_storage()
        for body in (b"{", {"instances": []}, {"instances": ["not base64!"]}, {"parameters": {}}):
            answer = self.check_code(server.ask("POST", PREDICT, body), 400)
            self.assertIsInstance(answer.json["error"], str)

    def test_each_path_has_its_method(self):
        server = self.serve_storage()
        self.check_code(server.ask("POST", HEALTH, {}), 405)
        self.check_code(server.ask("GET", PREDICT), 405)
        self.check_code(server.ask("HEAD", HEALTH), 200)


class OwnModel(VertexCase):
    """No AIP_STORAGE_URI: the project's only model."""

    def test_healthy_once_the_only_model_is_there_and_not_with_two(self):
        server = self.serve()
        self.assertIn("no model yet", self.check_code(server.ask("GET", HEALTH), 503).json["error"])
        self.check_code(server.ask("POST", PREDICT, {"instances": [b64(PICTURE)]}), 503)
        server.deploy("stamps", "v1", harness.stamps())
        self.check_code(server.ask("GET", HEALTH), 200)
        answer = self.check_code(server.ask("POST", PREDICT, {"instances": [b64(PICTURE)]}), 200).json
        self.assertEqual((answer["model"], answer["modelVersionId"]), ("stamps", "v1"))
        server.deploy("other", "v1", harness.other())
        self.assertIn("several models", self.check_code(server.ask("GET", HEALTH), 503).json["error"])
        self.check_code(server.ask("POST", PREDICT, {"instances": [b64(PICTURE)]}), 400)

    def test_without_the_variables_there_are_no_such_paths(self):
        folder = tempfile.mkdtemp(prefix="graft-http-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        server = harness.Server(harness.new_home(folder))
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        self.check_code(server.ask("GET", HEALTH), 404)
        self.check_code(server.ask("POST", PREDICT, {"instances": [b64(PICTURE)]}), 404)


if __name__ == "__main__":
    harness.main()
