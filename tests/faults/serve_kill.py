"""kill -9 of the server at random moments of creating, uploading and deleting: what was acknowledged is there after the next start,
operations end, and nothing stays CREATING or DELETING."""
import http.client
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../http"))
import harness  # noqa: E402
from harness import JPEG, JPEG_PATH, read, wait_for  # noqa: E402

SEED = 11
VERSIONS = "/v1/projects/default/models/m/versions"


class KilledServer(harness.HomeCase):
    def setUp(self):
        super().setUp()
        self.path = harness.other()
        (self.wanted,) = harness.expected_scores(self.path, JPEG_PATH)
        self.dice = random.Random(SEED)
        self.acknowledged = {"v0": "created"}  # version: "created", "asked" to go and no answer, "deleting"
        self.uploads = {}
        self.server = self.serve()
        self.server.deploy("m", "v0", self.path)

    def states(self):
        found, token = {}, ""
        while token is not None:
            page = self.server.ask("GET", f"{VERSIONS}?pageSize=100&pageToken={token}").json
            found |= {v["name"].split("/")[-1]: v for v in page.get("versions", [])}
            token = page.get("nextPageToken")
        return found

    def check_settled(self):
        """All that was acknowledged came to an end; how many versions are READY."""
        def settled():
            found = self.states()
            return found if not {"CREATING", "DELETING", "UPDATING"} & {v["state"] for v in found.values()} else None
        found = wait_for(settled, "nothing under way for ever")
        for name, state in self.acknowledged.items():
            if state == "deleting":
                self.assertNotIn(name, found, "its deletion was acknowledged")
                continue
            if state == "asked" and name not in found:
                continue
            self.assertIn(name, found, "its creation was acknowledged")
            self.assertIn(found[name]["state"], ("READY", "FAILED"))
            if found[name]["state"] == "FAILED":  # one that was interrupted three times is given up
                self.assertIn("3 times", found[name]["errorMessage"])
            else:
                answer = self.check_code(self.server.predict("m/versions/" + name, JPEG), 200)
                self.check_scores(harness.scores_of(answer)[0], self.wanted, name)
        operations = self.server.ask("GET", "/v1/projects/default/operations?pageSize=100").json["operations"]
        for operation in operations:
            self.assertTrue(operation["done"], operation)
            self.assertTrue("response" in operation or operation["error"]["message"], operation)
        for name in self.uploads:
            self.assertEqual(read(f"{self.home}/buckets/bucket/{name}/model.safetensors"), read(self.path), f"the upload of {name} is whole")
        left = [f for folder, _, files in os.walk(self.home) for f in files if ".tmp" in f or ".partial" in f or folder.endswith("/uploads")]
        self.assertEqual(left, [], "files left half-written")
        return found

    def test_at_every_acknowledgement(self):
        operations = []
        for i in range(1, 9):
            operations.append(self.server.create_version("m", f"v{i}", "gs://tests/m/v0/"))
            self.acknowledged[f"v{i}"] = "created"
            if self.dice.random() < 0.5:
                self.server.ask("GET", "/v1/" + operations[-1])
            self.server.kill()
            self.server.start()
        for operation in operations:
            done = self.server.end_of(operation)
            self.assertTrue("response" in done or done["error"]["message"], done)
        found = self.check_settled()
        self.assertEqual(set(found), set(self.acknowledged))
        for name in ("v0", "v7", "v8"):  # others were killed three times, if each took long enough
            self.assertEqual(found[name]["state"], "READY", found)

    def work(self, first):
        """Creates, uploads and deletes until the server is gone; notes what was acknowledged."""
        ask = self.server.ask
        try:
            for n in range(first, first + 25):
                name = f"v{n}"
                uri = f"gs://bucket/{name}/model.safetensors"
                if ask("PUT", f"/graft/v1/buckets/bucket/objects/{name}/model.safetensors", read(self.path)).code in (200, 201):
                    self.uploads[name] = uri
                if ask("POST", VERSIONS, {"name": name, "deploymentUri": uri}).code == 200:
                    self.acknowledged[name] = "created"
                others = [v for v, state in self.acknowledged.items() if state == "created" and v not in ("v0", name)]
                if others and self.dice.random() < 0.4:
                    victim = self.dice.choice(others)
                    self.acknowledged[victim] = "asked"  # the server may be killed between the deed and the word
                    if ask("DELETE", f"{VERSIONS}/{victim}").code == 200:
                        self.acknowledged[victim] = "deleting"
        except (OSError, http.client.HTTPException):
            pass

    def test_at_any_moment(self):
        for round_number in range(60):
            if round_number >= 6 and len(self.acknowledged) > 5:
                break
            thread = threading.Thread(target=self.work, args=(1 + 1000 * round_number,))
            thread.start()
            thread.join(0.05 + self.dice.random() * 1.2)
            self.server.kill()
            thread.join()
            self.server.start()
        self.assertGreater(len(self.acknowledged), 5, "something was acknowledged")
        self.check_settled()


if __name__ == "__main__":
    harness.main()
