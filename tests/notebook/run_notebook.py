"""The article's notebook, from a clean kernel against a real server: no cell fails, the job
SUCCEEDED, its artefact is in the bucket, the version answers Google's client with the right class.
"""

import ast
import json
import os
import re
import subprocess

from scene import ROOT, harness

from graft.client import Client

NOTEBOOK = os.path.join(ROOT, "examples", "opera_capitol.ipynb")


def text_of(output):
    """What an output shows, as text."""
    return "".join(output.get("text", output.get("data", {}).get("text/plain", "")))


class Article(harness.ServerCase):
    models = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = Client(cls.server.url, project="opera")
        output = os.path.join(cls.folder, "executed.ipynb")
        done = subprocess.run(
            [os.path.join(ROOT, "tools", "run-notebook.sh"), NOTEBOOK, output],
            env=dict(
                harness.environment(cls.home),
                GRAFT_SERVER=cls.server.url,
                GRAFT_PICTURES=harness.PICTURES,
            ),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        if done.returncode != 0:
            log = cls.server.log_text()[-3000:]
            cls.tearDownClass()
            raise AssertionError(f"the notebook failed: {done.stderr[-6000:]}\n{log}")
        cls.cells = json.loads(harness.read(output))["cells"]

    def cell(self, has):
        code = [cell for cell in self.cells if cell["cell_type"] == "code"]
        found = [cell for cell in code if has in "".join(cell["source"])]
        self.assertEqual(len(found), 1, has)
        return found[0]

    def shown(self, has):
        return "".join(text_of(output) for output in self.cell(has)["outputs"])

    def test_every_cell_ran_and_none_failed(self):
        code = [cell for cell in self.cells if cell["cell_type"] == "code"]
        counts = [cell["execution_count"] for cell in code]
        self.assertEqual(counts, list(range(1, len(code) + 1)))
        for cell in code:
            for output in cell["outputs"]:
                self.assertNotEqual(output["output_type"], "error", cell)

    def test_layers_and_features_are_those_of_the_article(self):
        table = "".join(self.cell("display.layers(model, tail")["outputs"][0]["data"]["text/html"])
        row = re.search(
            r">311</td><td[^>]*>[^<]*</td><td[^>]*>([^<]*)</td><td[^>]*>([^<]*)<", table
        )
        self.assertEqual(row.groups(), ("GlobalAveragePooling2D", "(None, 2048)"))
        plot = "".join(self.cell("display.features(")["outputs"][0]["data"]["text/html"])
        points = re.search(r'<polyline points="([^"]*)"', plot).group(1).split()
        self.assertEqual(len(points), 2048)

    def test_training_here_learns(self):
        accuracy = float(
            self.shown("history = transfer_model.fit").split("Accuracy ")[1].split()[0]
        )
        self.assertGreaterEqual(accuracy, 0.75)

    def test_the_job_succeeded_and_its_log_was_shown(self):
        jobs = self.client.jobs.list()
        self.assertEqual(len(jobs), 1)
        job = jobs[0]
        self.assertEqual(job["state"], "SUCCEEDED", job)
        self.assertRegex(job["jobId"], r"^mlmagic__\d+$")
        self.assertEqual(job["trainingInput"]["pythonModule"], "trainer.task")
        self.assertEqual(job["trainingInput"]["scaleTier"], "BASIC")
        shown = self.shown("%%ml_run cloud")
        job_id = job["jobId"]
        for said in (f"job {job_id}: SUCCEEDED", "Epoch 20/20", "Accuracy ", "state: SUCCEEDED"):
            self.assertIn(said, shown)
        self.assertGreaterEqual(float(shown.split("Accuracy ")[1].split()[0]), 0.75)
        self.assertIn("gs://opera-capitol/opera/mdl/OperaCapitol.safetensors", shown)

    def test_here_and_in_the_job_the_result_is_the_same(self):
        here = self.shown("history = transfer_model.fit").split("Loss ")[1].split("\n")[0]
        there = self.shown("%%ml_run cloud").split("Loss ")[1].split("\n")[0]
        self.assertEqual(here, there)

    def test_the_package_has_the_program_and_nothing_of_other_cells(self):
        job = self.client.jobs.list()[0]
        address = job["trainingInput"]["packageUris"][0]
        folder = f"gs://opera-capitol/opera/{job['jobId']}/packages/"
        self.assertRegex(address, f"^{folder}[0-9a-f]{{64}}/trainer-0.0.0.tar.gz$")
        path = self.client.download(address, self.scratch())
        listed = subprocess.run(
            ["tar", "-xOzf", path, "trainer-0.0.0/trainer/task.py"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        ast.parse(listed)
        self.assertIn("Model(inputs=model.input, outputs=model.layers[311].output)", listed)
        self.assertIn("transfer_model.save(", listed)
        for other in ("%%ml", "display", "googleapiclient"):
            self.assertNotIn(other, listed)

    def test_the_artefact_is_in_the_bucket_and_a_version_was_made_of_it(self):
        address = "gs://opera-capitol/opera/mdl/OperaCapitol.safetensors"
        self.assertEqual(self.client.ls("gs://opera-capitol/opera/mdl/"), [address])
        self.assertEqual(self.client.versions.get("OperaCapitol", "v1")["state"], "READY")
        path = self.client.download(address, self.scratch())
        held_out = sorted(os.listdir(harness.PICTURES + "-held-out"))
        food = os.path.join(harness.PICTURES + "-held-out", held_out[1])
        said = harness.run_graft(self.home, "predict", path, food, "--json", "--top", 2)
        self.assertEqual(json.loads(said.stdout)[0]["top"][0]["class"], "food")

    def test_google_s_client_was_answered_in_the_article_s_shape(self):
        answer = ast.literal_eval(self.shown("request = ml.projects().predict"))
        self.assertEqual(list(answer), ["predictions"])
        self.assertEqual(len(answer["predictions"]), 1)
        scores = answer["predictions"][0]["outputs"]
        self.assertEqual(len(scores), 2)
        self.assertAlmostEqual(sum(scores), 1.0, places=5)
        self.assertGreater(scores[0], 0.9, "the held-out picture of food is class 0")


if __name__ == "__main__":
    harness.unittest.main()
