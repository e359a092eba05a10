"""ml v1's models, versions, operations: paging, masks, default rules, delete rules, partial answers, the discovery document."""
import harness
from harness import JPEG, JPEG_PATH

BASE = "/v1/projects/p/models"


class Registry(harness.ServerCase):
    models = {}

    def create(self, *names):
        for name in names:
            self.check_code(self.ask("POST", BASE, {"name": name}), 200)

    def scores(self, model, code=200):
        return harness.scores_of(self.check_code(self.server.predict(model, JPEG, project="p"), code))[0]

    def test_lists_page_and_fields_are_masked(self):
        self.assertEqual(self.ask("GET", "/v1/projects/nobody/models").json, {})
        self.create(*(f"list_{i}" for i in range(5)))
        names, token = [], ""
        while token is not None:
            page = self.check_code(self.ask("GET", f"{BASE}?pageSize=2&filter=name:list_*&pageToken={token}"), 200).json
            self.assertLessEqual(len(page["models"]), 2)
            names += [model["name"] for model in page["models"]]
            token = page.get("nextPageToken")
        self.assertEqual(names, [f"projects/p/models/list_{i}" for i in range(5)])
        page = self.ask("GET", BASE + "?pageSize=2&filter=name:list_*&fields=models/name,nextPageToken").json
        self.assertEqual([list(model) for model in page["models"]], [["name"], ["name"]])
        self.assertIn("nextPageToken", page)
        self.assertEqual(self.ask("GET", f"{BASE}/list_0?fields=name").json, {"name": names[0]})
        self.assertEqual(self.ask("GET", f"{BASE}?fields=models(name)&pageSize=1&filter=name:list_*").json, {"models": [{"name": names[0]}]})
        self.assertIn(b"\n", self.ask("GET", f"{BASE}/list_0?prettyPrint=true").body.strip())

    def test_names_follow_the_rules(self):
        for bad in ("", "1m", "9", "a-b", "a" * 129, "ä"):
            answer = self.check_code(self.ask("POST", BASE, {"name": bad}), 400)
            self.assertEqual(answer.json["error"]["status"], "INVALID_ARGUMENT")
        self.create("a" * 128)

    def test_a_version_s_life(self):
        one, two = harness.stamps(), harness.other()
        wanted = {"v1": harness.expected_scores(one, JPEG_PATH)[0], "v2": harness.expected_scores(two, JPEG_PATH)[0]}
        for version, file in (("v1", one), ("v2", two)):
            self.server.deploy("life", version, file, project="p")
        versions = self.ask("GET", f"{BASE}/life/versions").json["versions"]
        self.assertEqual([v.get("isDefault", False) for v in versions], [True, False], "the first is the default")
        self.check_scores(self.scores("life"), wanted["v1"], "the default")
        self.check_scores(self.scores("life/versions/v1"), wanted["v1"], "by name")
        self.check_scores(self.scores("life/versions/v2"), wanted["v2"], "by name")
        done = self.check_code(self.ask("POST", f"{BASE}/life/versions/v2:setDefault", {}), 200)
        self.assertTrue(done.json["isDefault"])
        self.check_scores(self.scores("life"), wanted["v2"], "the new default")
        # Deleting: the default stays while there are others, the model while it has versions.
        for path in ("life/versions/v2", "life"):
            refused = self.check_code(self.ask("DELETE", f"{BASE}/{path}"), 400)
            self.assertEqual(refused.json["error"]["status"], "FAILED_PRECONDITION")
        self.server.finish(self.check_code(self.ask("DELETE", f"{BASE}/life/versions/v1"), 200).json["name"])
        self.check_code(self.ask("GET", f"{BASE}/life/versions/v1"), 404)
        self.check_code(self.server.predict("life/versions/v1", JPEG, project="p"), 404)
        self.check_scores(self.scores("life"), wanted["v2"], "the other goes on")

    def test_only_what_the_mask_names_is_changed(self):
        self.server.deploy("masked", "v1", harness.stamps(), project="p")
        path = f"{BASE}/masked/versions/v1"
        self.check_code(self.ask("PATCH", path + "?updateMask=description", {"description": "older", "labels": {"a": "b"}}), 200)
        version = self.ask("GET", path).json
        self.assertEqual((version["description"], version.get("labels")), ("older", None))
        self.check_code(self.ask("PATCH", path + "?updateMask=deploymentUri", {"deploymentUri": "gs://x/y"}), 400)
        answer = self.check_code(self.ask("PATCH", f"{BASE}/masked?updateMask=description", {"description": "x", "etag": "AAAA"}), 409)
        self.assertEqual(answer.json["error"]["status"], "ABORTED")

    def test_what_is_no_model_fails_its_operation_with_the_reason(self):
        self.create("broken")
        for version, content in (("text", b"12345678"), ("picture", JPEG)):
            uri = self.server.upload(f"gs://bucket/{version}/model.safetensors", content)
            operation = self.server.end_of(self.server.create_version("broken", version, uri.rsplit("/", 1)[0], "p"))
            self.assertIn("safetensors", operation["error"]["message"])
            found = self.ask("GET", f"{BASE}/broken/versions/{version}").json
            self.assertEqual(found["state"], "FAILED")
            self.assertIn("safetensors", found["errorMessage"])
        self.assertIn(self.server.predict("broken", JPEG, project="p").code, (400, 404))

    def test_a_version_is_made_only_of_what_is_in_a_bucket(self):
        self.create("origins")
        answer = self.ask("POST", f"{BASE}/origins/versions", {"name": "v", "deploymentUri": "gs://bucket/nowhere"})
        self.check_code(answer, 404)
        for uri in ("file:///etc", "gs://bucket/../../x", "https://example.org/x", "/etc"):
            answer = self.ask("POST", f"{BASE}/origins/versions", {"name": "v", "deploymentUri": uri})
            self.assertIn(answer.code, (400, 403, 404), (uri, answer))

    def test_operations_locations_config_and_the_discovery_document(self):
        for version in ("v1", "v2", "v3", "v4"):
            self.server.deploy("watched", version, harness.other(), project="watched")
        operations = self.ask("GET", "/v1/projects/watched/operations").json["operations"]
        self.assertEqual([o["done"] for o in operations], [True] * 4)
        (location,) = self.check_code(self.ask("GET", "/v1/projects/p/locations"), 200).json["locations"]
        self.assertEqual([one["type"] for one in location["capabilities"]], ["ONLINE_PREDICTION", "TRAINING", "BATCH_PREDICTION"])
        self.check_code(self.ask("GET", "/v1/projects/p:getConfig"), 200)
        for path in ("/$discovery/rest?version=v1", "/discovery/v1/apis/ml/v1/rest"):
            document = self.ask("GET", path).json
            self.assertEqual(document["rootUrl"], self.server.url + "/")
            self.assertIn("predict", document["resources"]["projects"]["methods"])
            self.assertEqual(document["auth"]["oauth2"]["scopes"], {}, "Google's clients would ask for an account")


class Restart(harness.HomeCase):
    def test_models_versions_and_the_default_are_there_after_a_restart(self):
        server = self.serve()
        for name in ("a", "b", "c"):
            server.ask("POST", BASE, {"name": name})
        for version, file in (("v1", harness.stamps()), ("v2", harness.other())):
            server.deploy("a", version, file, project="p")
        self.check_code(server.ask("POST", f"{BASE}/a/versions/v2:setDefault", {}), 200)
        before = [server.ask("GET", path).json for path in (BASE, f"{BASE}/a/versions", "/v1/projects/p/operations")]
        server.signal(harness.signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        server.start()
        self.assertEqual([server.ask("GET", path).json for path in (BASE, f"{BASE}/a/versions", "/v1/projects/p/operations")], before)
        for model, file in (("a", harness.other()), ("a/versions/v1", harness.stamps())):
            self.check_scores(harness.scores_of(server.predict(model, JPEG, project="p"))[0], harness.expected_scores(file, JPEG_PATH)[0])


if __name__ == "__main__":
    harness.main()
