"""The magics in a shell of their own: options in every spelling, settings that are never run, cells
that are replaced, the program and its package. No server is needed."""

import contextlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import types
import unittest

import scene  # noqa: F401
from IPython.core.interactiveshell import InteractiveShell

from graft import cloud, magics, magics_options
from graft.program import Program, check_program, python_of


class Options(unittest.TestCase):
    def parse(self, line):
        return magics_options.parse(line, magics_options.INIT_OPTIONS, "%ml_init")

    def test_the_extension_s_own_spelling(self):
        found = self.parse(
            "-projectId PROJECTID -bucket BUCKET -scaleTier BASIC_GPU -region asia-east1 "
            "-runtimeVersion 1.2"
        )
        self.assertEqual(
            [
                found[name]
                for name in ("project", "bucket", "scale_tier", "region", "runtime_version")
            ],
            ["PROJECTID", "BUCKET", "BASIC_GPU", "asia-east1", "1.2"],
        )

    def test_other_spellings_mean_the_same(self):
        for line in (
            "-projectid p -scale_tier CUSTOM",
            "--project-id p --scale-tier CUSTOM",
            "-project_id=p -SCALETIER=CUSTOM",
            "-projectId 'p' -scaleTier \"CUSTOM\"",
        ):
            found = self.parse(line)
            self.assertEqual((found["project"], found["scale_tier"]), ("p", "CUSTOM"), line)

    def test_defaults(self):
        found = self.parse("-bucket b")
        self.assertEqual((found["project"], found["scale_tier"]), ("default", "BASIC"))
        self.assertIsNone(found["server"])

    def test_what_is_wrong_is_named(self):
        for line, said in (
            ("-bucket", "-bucket without a value"),
            ("-color red", "'-color' is not known"),
            ("bucket b", "'bucket' is not known"),
            ("-bucket 'b", "No closing quotation"),
        ):
            with self.assertRaisesRegex(magics_options.OptionError, said):
                self.parse(line)

    def test_flags(self):
        found = magics_options.parse(
            "cloud -jobId j", magics_options.RUN_OPTIONS, "%%ml_run", ("cloud",)
        )
        self.assertEqual((found["cloud"], found["job_id"]), (True, "j"))


class Settings(unittest.TestCase):
    def test_assignments_and_the_extension_s_dict(self):
        for cell in (
            "install_requires = ['keras', 'h5py']",
            "# what it needs\ninstall_requires = (\n    'keras',\n    'h5py',\n)\n",
            "{'install_requires': ['keras', 'h5py']}",
        ):
            self.assertEqual(
                magics_options.parse_settings(cell), {"install_requires": ["keras", "h5py"]}, cell
            )
        self.assertEqual(magics_options.parse_settings("\n"), {})
        self.assertEqual(
            magics_options.parse_settings("args = ['--epochs', '3']")["args"], ["--epochs", "3"]
        )

    def test_a_call_is_refused_and_never_run(self):
        with tempfile.TemporaryDirectory() as folder:
            trace = os.path.join(folder, "ran")
            call = f"open({trace!r}, 'w')"
            for cell in (
                f"install_requires = [{call}]",
                f"install_requires = {call}",
                f"{{'install_requires': [{call}.name]}}",
                f"{{{call}: []}}",
                f"{call}",
                f"install_requires = [x for x in [{call}]]",
                f"install_requires = ['a' if {call} else 'b']",
                f'install_requires = [f"{{{call}}}"]',
                f"import os\ninstall_requires = []\n{call}",
                f"install_requires: list = [{call}]",
                f"@{call}\ndef f(): pass",
                "x.y = ['a']",
                "install_requires = [name]",
            ):
                with self.assertRaisesRegex(
                    magics_options.OptionError, "nothing in this cell is run"
                ):
                    magics_options.parse_settings(cell)
            self.assertEqual(os.listdir(folder), [])

    def test_other_values_are_refused(self):
        for cell, said in (
            ("install_requires = 'keras'", "expected a list"),
            ("install_requires = [1]", "expected a list"),
            ("packages = ['x']", "'packages' is not known"),
            ("install_requires = [", "%%ml_init"),
            ("install_requires = " + "[" * 5000, "%%ml_init"),
        ):
            with self.assertRaisesRegex(magics_options.OptionError, said):
                magics_options.parse_settings(cell)
        for item in ("-r /etc/passwd", "--index-url=http://evil/", "", "a\nb"):
            with self.assertRaisesRegex(ValueError, "names no package"):
                cloud.check_requires(["h5py", item])


class Programs(unittest.TestCase):
    def test_a_cell_with_an_id_is_replaced_where_it_was(self):
        program = Program()
        program.keep("a = 1", "data")
        program.keep("b = 2", "model")
        self.assertEqual(program.keep("a = 3", "data"), (1, True))
        self.assertEqual([cell.source for cell in program.cells], ["a = 3", "b = 2"])

    def test_without_ids_the_same_text_is_the_same_cell(self):
        program = Program()
        self.assertEqual(program.keep("import numpy as np\n"), (1, False))
        self.assertEqual(program.keep("import numpy as np"), (1, True))
        self.assertEqual(program.keep("import numpy"), (2, False))
        self.assertEqual(program.alike(2), 1)
        self.assertEqual(program.keep("def f(x):\n    return x * x"), (3, False))
        self.assertIsNone(program.alike(3))

    def test_text_has_all_cells_in_order_and_the_run_cell_last(self):
        program = Program()
        program.keep("from __future__ import annotations\nx = 1\n", "one")
        program.keep("y = x + 1")
        text = program.text("print(x + y)\n")
        self.assertTrue(
            text.startswith("from __future__ import annotations\n# ---- cell 1 (one)\n")
        )
        check_program(text)
        out = subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, check=True
        ).stdout
        self.assertEqual(out, "3\n")

    def test_lines_only_notebooks_know_are_comments(self):
        self.assertEqual(
            python_of("%matplotlib inline\nx = 1\n!ls"), "# %matplotlib inline\nx = 1\n# !ls"
        )
        self.assertEqual(python_of("x = (7\n% 4)"), "x = (7\n% 4)")
        with self.assertRaises(SyntaxError):
            check_program("x = = 1")


class Packages(unittest.TestCase):
    def test_sdist_is_what_setuptools_would_make(self):
        program = "print('Grüße')\n"
        archive = tarfile.open(fileobj=io.BytesIO(cloud.sdist(program, ["h5py", "numpy>=1.24"])))
        files = {
            item.name: archive.extractfile(item).read().decode() for item in archive.getmembers()
        }
        self.assertEqual(files["trainer-0.0.0/trainer/task.py"], program)
        self.assertEqual(files["trainer-0.0.0/trainer/__init__.py"], "")
        self.assertEqual(
            files["trainer-0.0.0/trainer.egg-info/requires.txt"].split(), ["h5py", "numpy>=1.24"]
        )
        self.assertIn("Requires-Dist: numpy>=1.24\n", files["trainer-0.0.0/PKG-INFO"])
        listed = files["trainer-0.0.0/trainer.egg-info/SOURCES.txt"].split()
        self.assertEqual(
            sorted("trainer-0.0.0/" + name for name in listed),
            sorted(set(files) - {"trainer-0.0.0/PKG-INFO"}),
        )
        asked = []
        setuptools = types.ModuleType("setuptools")
        setuptools.setup = lambda **options: asked.append(options)
        kept = sys.modules.get("setuptools")
        sys.modules["setuptools"] = setuptools
        try:
            exec(files["trainer-0.0.0/setup.py"], {"__name__": "__main__"})
        finally:
            del sys.modules["setuptools"]
            if kept is not None:
                sys.modules["setuptools"] = kept
        self.assertEqual(
            asked,
            [
                {
                    "name": "trainer",
                    "version": "0.0.0",
                    "packages": ["trainer"],
                    "install_requires": ["h5py", "numpy>=1.24"],
                }
            ],
        )

    def test_a_requirement_cannot_become_code(self):
        evil = "x'] + __import__('os').system('true') or ['"
        setup = cloud.sdist_files("", [evil])["setup.py"]
        asked = []
        code = setup.replace("from setuptools import setup", "")
        exec(code, {"__name__": "__main__", "setup": lambda **options: asked.append(options)})
        self.assertEqual(asked[0]["install_requires"], [evil])


class Shell(unittest.TestCase):
    """The magics as IPython runs them."""

    def setUp(self):
        InteractiveShell.clear_instance()
        self.shell = InteractiveShell.instance()
        self.shell.colors = "NoColor"
        self.addCleanup(InteractiveShell.clear_instance)
        magics.load_ipython_extension(self.shell)
        self.magics = self.shell.magics_manager.registry["MLMagics"]

    def run_cell(self, source, cell_id=None):
        """(what it printed, its error or None)."""
        parent = {"content": {"code": source}, "metadata": {"cellId": cell_id} if cell_id else {}}
        self.shell.get_parent = lambda: parent
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            result = self.shell.run_cell(source, store_history=True)
        return out.getvalue(), result.error_in_exec or result.error_before_exec

    def check_runs(self, source, cell_id=None):
        out, error = self.run_cell(source, cell_id)
        self.assertIsNone(error, out)
        return out

    def test_code_is_run_and_kept(self):
        self.check_runs("%%ml_code\nx = 20\nprint('x is', x)")
        self.assertEqual(self.shell.user_ns["x"], 20)
        self.check_runs("%%ml_code\ny = x + 1")
        self.check_runs("z = 'not in the program'")
        shown = self.check_runs("%ml_show")
        self.assertEqual(
            shown, "# ---- cell 1\nx = 20\nprint('x is', x)\n\n# ---- cell 2\ny = x + 1\n"
        )
        self.assertEqual(self.check_runs("%ml_code --show"), shown)

    def test_a_rerun_replaces_by_id_by_name_and_by_text(self):
        self.check_runs("%%ml_code\nx = 1", cell_id="c1")
        self.check_runs("%%ml_code\ny = 2", cell_id="c2")
        self.check_runs("%%ml_code\nx = 3", cell_id="c1")
        self.check_runs("%%ml_code -id last\nz = 4")
        self.check_runs("%%ml_code -id last\nz = 5")
        self.check_runs("%%ml_code\nwords = 'the same'")
        self.check_runs("%%ml_code\nwords = 'the same'")
        sources = [cell.source.strip() for cell in self.magics.program.cells]
        self.assertEqual(sources, ["x = 3", "y = 2", "z = 5", "words = 'the same'"])

    def test_an_edited_cell_without_id_is_told(self):
        self.check_runs("%%ml_code\nmodel = [1024, 'relu', 2, 'softmax']")
        out = self.check_runs("%%ml_code\nmodel = [512, 'relu', 2, 'softmax']")
        self.assertIn("added as cell 2, much like cell 1", out)
        self.check_runs("%ml_reset")
        self.assertEqual(self.check_runs("%ml_show"), "")

    def test_the_one_percent_form(self):
        self.check_runs("%ml_code\n\nfrom math import pi\nround_pi = round(pi)", cell_id="c1")
        self.assertEqual(self.shell.user_ns["round_pi"], 3)
        self.assertIn("from math import pi\nround_pi = round(pi)\n", self.check_runs("%ml_show"))
        out, error = self.run_cell("%ml_code")
        self.assertIsNotNone(error)
        self.assertIn("no code below it", out)

    def test_norun_keeps_without_running(self):
        self.check_runs("%%ml_code -norun\nraise SystemError('only in the cloud')")
        self.assertIn("only in the cloud", self.check_runs("%ml_show"))

    def test_run_without_cloud_runs_here(self):
        self.check_runs("%%ml_code\nx = 20")
        self.assertIn("21", self.check_runs("%%ml_run\nprint(x + 1)"))
        shown = self.check_runs("%ml_show")
        self.assertTrue(shown.endswith("# ---- cell 2 (ml_run)\nprint(x + 1)\n"), shown)

    def test_a_cell_that_fails_fails(self):
        for magic in ("%%ml_code", "%%ml_run"):
            out, error = self.run_cell(f"{magic}\nraise ValueError('broken here')")
            self.assertIsInstance(error, magics.CellFailed)
            self.assertIn("broken here", out)
            self.assertEqual(out.count("Traceback"), 1, out)

    def test_a_cell_that_fails_here_is_not_sent_to_fail_there(self):
        self.check_runs("%%ml_code\nx = 20")
        for cell_id in (None, "c2"):
            out, _ = self.run_cell("%%ml_code\ny = x / 0", cell_id)
            self.assertIn("the cell failed and is not taken into the program", out)
        self.assertEqual([cell.source for cell in self.magics.program.cells], ["x = 20\n"])
        self.check_runs("%%ml_code\ny = x / 2", "c2")
        self.assertEqual(len(self.magics.program.cells), 2)

    def test_init_says_where_it_works(self):
        out = self.check_runs("%ml_init -projectId opera -bucket mine -server http://127.0.0.1:9")
        self.assertEqual(out, "project opera at http://127.0.0.1:9, bucket gs://mine/\n")
        self.check_runs("%%ml_init -bucket own -server 127.0.0.1:9\ninstall_requires = ['h5py']")
        self.assertEqual(self.magics.install_requires, ["h5py"])

    def test_init_that_cannot_be_leaves_what_was(self):
        self.check_runs("%%ml_init -bucket own\ninstall_requires = ['h5py']")
        for source, said in (
            ("%%ml_init -bucket other\ninstall_requires = [exit()]", "nothing in this cell is run"),
            ("%ml_init -projectId p", "-bucket is missing"),
            ("%ml_init -bucket ab", "-bucket is 'ab', expected a name alone: 3 to 63"),
            ("%ml_init -bucket gs://other", "-bucket is 'gs://other', expected a name alone"),
            ("%ml_init -bucket other -server ftp://x", "expected an address"),
            ("%ml_init -bucket other -server http://here:99999", "expected an address"),
            ("%%ml_init -bucket other\ninstall_requires = ['-r x']", "names no package"),
        ):
            out, error = self.run_cell(source)
            self.assertIsNotNone(error, source)
            self.assertIn(said, out)
            self.assertNotIn("Traceback", out)
        self.assertEqual(
            (self.magics.settings["bucket"], self.magics.install_requires), ("own", ["h5py"])
        )

    def test_cloud_needs_init_a_program_and_a_server(self):
        out, _ = self.run_cell("%%ml_run cloud\nx = 1")
        self.assertIn("run %ml_init", out)
        self.check_runs("%ml_init -bucket own -server http://127.0.0.1:9")
        out, _ = self.run_cell("%%ml_run cloud\n\n")
        self.assertIn("the program is empty", out)
        out, _ = self.run_cell("%%ml_run cloud -args \"--epochs '5\"\nx = 1")
        self.assertIn("-args: No closing quotation", out)
        self.assertNotIn("Traceback", out)
        out, _ = self.run_cell("%%ml_run cloud\nx = = 1")
        self.assertIn("invalid syntax at line 2: 'x = = 1'", out)
        out, error = self.run_cell("%%ml_run cloud\nx = 1")
        self.assertIsInstance(error, magics.JobFailed)
        self.assertIn("is the server running there?", out)
        self.assertNotIn("Traceback", out)


if __name__ == "__main__":
    unittest.main()
