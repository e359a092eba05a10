"""Down to no worker when idle, up again on demand, those that stay; heads of two cuts in one pass; a hundred versions on one trunk."""
import os
import shutil

import harness
from harness import JPEG, JPEG_PATH, in_parallel, wait_for

MODELS = {"stamps": harness.stamps, "other": harness.other, "deep": harness.deep}


class Scaling(harness.ServerCase):
    options = ("--idle-timeout", 0.5)
    models = MODELS

    def check_right(self, name, model=None):
        (scores,) = harness.scores_of(self.check_code(self.server.predict(model or name, JPEG), 200))
        self.check_scores(scores, harness.expected_scores(MODELS[name](), JPEG_PATH)[0], name)

    def nodes(self):
        return [node for pool in self.server.pools() for node in pool["nodes"]]

    def check_right_by_one_worker(self):
        """One that went idle before the request may still be on its way out beside the one that answered it; and a busy machine may look
        when that one has gone, too."""
        def look():
            self.check_right("stamps")
            return len(self.server.workers()) == 1
        wait_for(look, "one worker")

    def test_down_to_none_when_idle_and_up_again_on_demand(self):
        self.check_right_by_one_worker()
        wait_for(lambda: not self.server.workers() and not self.nodes(), "the worker to go")
        self.check_right_by_one_worker()
        decisions = [decision for pool in self.server.pools() for decision in pool["decisions"]]
        for decision in decisions:
            self.assertTrue(decision["reason"])
            self.assertNotEqual(decision["from"], decision["to"])
        self.assertTrue(any("idle" in decision["reason"] for decision in decisions), decisions)

    def test_models_of_two_cuts_are_asked_at_once(self):
        names = list(MODELS)
        in_parallel(24, lambda i: self.check_right(names[i % 3]))

    def test_a_worker_that_min_nodes_keeps(self):
        version = "/v1/projects/default/models/stamps/versions/v1?updateMask=autoScaling.minNodes"
        self.check_code(self.ask("PATCH", version, {"autoScaling": {"minNodes": 1}}), 200)
        try:
            self.check_right("stamps")
            wait_for(lambda: any(n["state"].lower() == "ready" and n["idleSeconds"] > 1.5 for n in self.nodes()), "a worker idle for long")
            wait_for(lambda: len(self.server.workers()) == 1, "no other beside it")
        finally:
            self.check_code(self.ask("PATCH", version, {"autoScaling": {"minNodes": 0}}), 200)
        wait_for(lambda: not self.server.workers(), "the worker to go after all")


class FromTheStart(harness.HomeCase):
    def test_a_version_made_with_min_nodes_has_its_worker_before_anybody_asks(self):
        server = self.serve("--idle-timeout", 0.5)
        server.deploy("stamps", "v1", harness.stamps(), autoScaling={"minNodes": 1})
        for _ in range(2):
            wait_for(lambda: any(n["state"].lower() == "ready" and n.get("idleSeconds", 0) > 1 for p in server.pools() for n in p["nodes"]),
                     "a worker idle for long")
            wait_for(lambda: len(server.workers()) == 1, "no other beside it")
            server.signal(harness.signal.SIGTERM)
            self.assertEqual(server.wait(), 0)
            server.start()

    def test_workers_are_the_file_that_the_server_runs_whatever_is_installed_over_it(self):
        program = os.path.join(self.folder, "graft")
        shutil.copy(harness.GRAFT, program)
        server = self.serve("--idle-timeout", 0.5, program=program)
        server.deploy("stamps", "v1", harness.stamps())
        wait_for(lambda: not server.workers(), "the worker to go")
        with open(program + ".new", "w", encoding="ascii") as file:
            file.write("#!/bin/false\n")
        os.chmod(program + ".new", 0o755)
        os.replace(program + ".new", program)
        self.check_code(server.predict("stamps", JPEG), 200)


class ManyVersions(harness.ServerCase):
    models = {}

    def test_a_hundred_versions_share_one_worker_and_one_blob(self):
        self.server.deploy("many", "v0", harness.other())
        operations = [self.server.create_version("many", f"v{i}", "gs://tests/many/v0/") for i in range(1, 100)]
        for operation in operations:
            self.server.finish(operation)
        wanted = self.server.predict("many", JPEG).json
        self.check_scores(wanted["predictions"][0]["outputs"], harness.expected_scores(harness.other(), JPEG_PATH)[0])
        for i in range(0, 100, 7):
            self.assertEqual(self.server.predict(f"many/versions/v{i}", JPEG).json, wanted)
        self.assertEqual(len(self.server.workers()), 1)
        blobs = [name for _, _, names in os.walk(os.path.join(self.home, "blobs")) for name in names]
        self.assertEqual(len(blobs), 1, blobs)
        # Other files, other blobs: one each.
        self.server.deploy("more", "v1", harness.stamps())
        self.server.deploy("more", "v2", harness.deep())
        blobs = [name for _, _, names in os.walk(os.path.join(self.home, "blobs")) for name in names]
        self.assertEqual(len(blobs), 3, blobs)


if __name__ == "__main__":
    harness.main()
