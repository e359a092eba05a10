"""The Slurm runner's calls against a real slurmctld and three slurmd; driver.c makes them."""
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import cluster  # noqa: E402
from cluster import wait_for  # noqa: E402

DRIVER = os.environ.get("GRAFT_SLURM_DRIVER") or sys.exit("GRAFT_SLURM_DRIVER is not set; run make test")
PROGRAM = os.path.join(os.path.dirname(os.path.realpath(__file__)), "program.sh")
CALL_S = 120
SLURM = None  # one cluster for all tests: they use jobs of their own


def setUpModule():
    global SLURM
    SLURM = cluster.Cluster()
    SLURM.__enter__()
    unittest.addModuleCleanup(SLURM.__exit__, None)


def has_ended(pid):
    """Gone, or a zombie that nobody has asked for yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Runner(unittest.TestCase):
    n_jobs = 0

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="graft slurm '%j-")  # a name that has to be quoted
        self.addCleanup(folder.cleanup)
        self.home = folder.name
        self.addCleanup(self.clear)

    def clear(self):
        """What a failed test has left must not take the next one's nodes."""
        for number in {job[0] for job in SLURM.jobs() if job[2] in ("PENDING", "RUNNING")}:
            SLURM.run("scancel", number, check=False)
        wait_for(lambda: not SLURM.run("squeue", "-h"), "an empty queue")

    def job(self, spec=":"):
        """A new job's number; its folder says what program.sh does."""
        Runner.n_jobs += 1
        self.dir = f"{self.home}/jobs/{Runner.n_jobs}"
        os.makedirs(self.dir)
        with open(f"{self.dir}/spec", "w", encoding="ascii") as file:
            file.write(spec + "\n")
        return Runner.n_jobs

    def call(self, call, job, attempt=1, *options, environment=None, program=PROGRAM):
        done = subprocess.run([DRIVER, self.home, program, call, str(job), str(attempt), *map(str, options)], timeout=CALL_S,
                              env=environment or SLURM.environment, stdout=subprocess.PIPE, encoding="utf-8", check=False)
        self.assertIn(done.returncode, (0, 1), done.stdout)
        return done.stdout.strip()

    def start(self, job, *options, attempt=1):
        place = self.call("start", job, attempt, *options)
        self.assertRegex(place, r"^[0-9]+(\+[0-9]+)?$")
        return place

    def look(self, job, place):
        return self.call("look", job, 1, "--place", place).split("|", 1)

    def end(self, job, place, limit_s=cluster.START_S):
        def ended():
            state, reason = self.look(job, place)
            return [reason] if state == "ENDED" else None
        return wait_for(ended, f"the end of {place}", limit_s)[0]

    def until(self, job, place, wanted, part=""):
        def reached():
            state, reason = self.look(job, place)
            return state == wanted and part in reason
        wait_for(reached, f"{place} {wanted} {part}")

    def notes(self, part="whole"):
        try:
            with open(f"{self.dir}/notes-{part}", encoding="ascii") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def shown(self, place):
        line = SLURM.run("scontrol", "show", "job", "-o", place.split("+")[0])
        return dict(word.split("=", 1) for word in line.split() if "=" in word)

    # ---- one job ----

    def test_runs_to_its_end(self):
        job = self.job("echo words; pwd")
        place = self.start(job, "--cpus", 2, "--memory", (100 << 20) + 1, "--seconds", 3600, "--priority", 990)
        self.assertEqual(self.end(job, place), "")
        self.assertEqual([line.split()[0:3] for line in self.notes()], [["began", "whole", "attempt1"], ["ended", "whole", "attempt1"]])
        shown = self.shown(place)
        self.assertEqual((shown["NumCPUs"], shown["MinMemoryNode"], shown["TimeLimit"], shown["Requeue"]), ("2", "101M", "01:03:00", "1"))
        self.assertEqual(shown["Nice"], "10")
        with open(f"{self.dir}/slurm-{place}.out", encoding="utf-8") as file:
            self.assertEqual(file.read(), f"words\n{self.dir}\n")

    def test_how_it_ended(self):
        failed, killed = self.job("exit 3"), None
        first_dir, first = self.dir, self.start(failed)
        killed = self.job("kill -9 $$")
        second = self.start(killed)
        self.assertEqual(self.end(killed, second), "killed by signal 9")
        self.dir = first_dir
        self.assertEqual(self.end(failed, first), "exited with status 3")

    def test_only_chosen_variables_reach_the_job(self):
        job = self.job("env >variables")
        environment = {**SLURM.environment, "A_SECRET": "of the server", "SQUEUE_STATES": "FAILED", "PIP_NO_INDEX": "1"}
        place = self.call("start", job, 1, environment=environment)
        wait_for(lambda: self.call("look", job, 1, "--place", place, environment=environment).startswith("ENDED"), "its end")
        with open(f"{self.dir}/variables", encoding="utf-8") as file:
            names = {line.split("=")[0] for line in file}
        self.assertFalse(names & {"A_SECRET", "SQUEUE_STATES"})
        self.assertLessEqual({"PATH", "HOME", "PIP_NO_INDEX"}, names)

    def test_cancels_what_waits_and_what_runs(self):
        runs = self.job("touch up; while :; do sleep 0.05; done")
        up, place = f"{self.dir}/up", self.start(runs)
        wait_for(lambda: os.path.exists(up), "it runs")
        self.assertEqual(self.look(runs, place)[0], "RUNNING")
        runs_dir = self.dir
        waits = self.job()
        SLURM.run("scontrol", "update", "partitionname=main", "state=down")
        try:
            second = self.start(waits)
            self.until(waits, second, "WAITING", "waits in Slurm's queue")
            self.assertEqual(self.call("stop", waits, 1, "--place", second), "")
            self.assertEqual(self.end(waits, second), "was cancelled in Slurm")
            self.assertEqual(self.notes(), [])
        finally:
            SLURM.run("scontrol", "update", "partitionname=main", "state=up")
        self.dir = runs_dir
        self.assertEqual(self.call("stop", runs, 1, "--place", place), "")
        self.end(runs, place)
        self.assertEqual(self.notes()[-1].split()[0], "term")
        self.assertEqual(self.call("stop", runs, 1, "--place", place), "", "ending what has ended is fine")

    def test_kills_what_does_not_end(self):
        job = self.job("trap '' TERM; sleep 1000 & echo $! >pid; touch up; while :; do sleep 0.05; done")
        place = self.start(job)
        wait_for(lambda: os.path.exists(f"{self.dir}/up"), "it runs")
        self.call("stop", job, 1, "--place", place)
        self.assertEqual(self.look(job, place)[0], "RUNNING")
        self.assertEqual(self.call("kill", job, 1, "--place", place), "")
        self.end(job, place)
        with open(f"{self.dir}/pid", encoding="ascii") as file:
            pid = file.read().strip()
        wait_for(lambda: has_ended(pid), "its process is gone")  # a killed one is a moment on its way

    # ---- after a crash ----

    def test_finds_what_was_started_and_starts_nothing_twice(self):
        job = self.job("while [ -e hold ]; do sleep 0.05; done")
        open(f"{self.dir}/hold", "w", encoding="ascii").close()
        self.assertEqual(self.call("find", job), "none")
        place = self.start(job)
        self.assertEqual(self.call("find", job), place)
        self.assertEqual(self.start(job), place)
        self.assertEqual(self.call("find", job, 2), "none", "the next attempt is another job")
        other = self.home + "-other"
        os.makedirs(f"{other}/jobs/{job}")
        self.addCleanup(subprocess.run, ["rm", "-rf", other], check=True)
        home, self.home = self.home, other
        self.assertEqual(self.call("find", job), "none", "another home's job of the same number")
        self.home = home
        os.unlink(f"{self.dir}/hold")
        self.end(job, place)
        self.assertEqual(self.call("find", job), place, "found when it has ended, too")
        self.assertEqual(len(self.notes()), 2)

    def test_an_array_without_its_merging_gets_it(self):
        """slurmctld goes away between the two submissions."""
        os.mkdir(f"{self.home}/bin")
        with open(f"{self.home}/bin/sbatch", "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
            file.write(f"""#!/bin/sh
case "$*" in *--dependency*) echo "sbatch: error: Batch job submission failed: Unable to contact slurm controller" >&2; exit 1 ;; esac
PATH='{os.environ["PATH"]}' exec sbatch "$@"
""")
        broken = {**SLURM.environment, "PATH": f"{self.home}/bin:{os.environ['PATH']}"}
        job = self.job()
        said = self.call("start", job, 1, "--shards", 2, environment=broken)
        self.assertEqual(said, "GF_EUNAVAILABLE: sbatch refused the job: Batch job submission failed: Unable to contact slurm controller")
        (array,) = {number for number, _, _, _, name in SLURM.jobs() if name.endswith(f"-{job}-1")}
        found = self.call("find", job, 1, "--shards", 2)
        self.assertRegex(found, rf"^{array}\+[0-9]+$")
        self.end(job, found)
        self.assertEqual([line.split()[0] for line in self.notes("merge")], ["began", "ended"])

    # ---- shards, and a node that is lost ----

    def test_shards_survive_the_loss_of_a_node(self):
        n = 8
        job = self.job()
        open(f"{self.dir}/hold", "w", encoding="ascii").close()
        place = self.start(job, "--shards", n)
        array = place.split("+")[0]
        def placed():
            nodes = {task: node for number, task, state, node, _ in SLURM.jobs() if number == array and state == "RUNNING"}
            return nodes if len(set(nodes.values())) == len(cluster.NODES) and len(nodes) >= 6 else None
        before = wait_for(placed, "shards on all nodes")
        lost = [task for task, node in before.items() if node == "n1"]
        wait_for(lambda: all(self.notes(f"shard{task}") for task in lost), "they have begun")
        SLURM.kill_node("n1")
        try:
            wait_for(lambda: self.look(job, place)[0] == "RUNNING", "the others run on")
            os.unlink(f"{self.dir}/hold")
            self.assertEqual(self.end(job, place), "")
        finally:
            SLURM.start_node("n1")
        with open(f"{self.dir}/result", encoding="ascii") as file:
            self.assertEqual(file.read().split(), sorted(f"result-shard{k}" for k in range(n)))
        for task in lost:
            words = [line.split() for line in self.notes(f"shard{task}")]
            self.assertEqual([word[0] for word in words], ["began", "began", "ended"])
            self.assertNotEqual(words[1][3], "n1")
            self.assertEqual(words[1][4], "restart1")
        self.assertEqual([line.split()[0] for line in self.notes("merge")], ["began", "ended"])
        wait_for(lambda: SLURM.node_states()["n1"] == "idle", "n1 is back")

    def test_shards_are_cancelled_together(self):
        job = self.job()
        open(f"{self.dir}/hold", "w", encoding="ascii").close()
        place = self.start(job, "--shards", 9)
        wait_for(lambda: sum(bool(self.notes(f"shard{k}")) for k in range(9)) >= 6, "shards run")
        self.assertEqual(self.call("stop", job, 1, "--place", place), "")
        self.end(job, place)
        self.assertEqual(self.notes("merge"), [])
        for k in range(9):
            self.assertIn([line.split()[0] for line in self.notes(f"shard{k}")], ([], ["began", "term"]))

    # ---- what Slurm refuses, and when it is not there ----

    def test_more_time_than_the_partition_gives(self):
        job = self.job()
        place = self.start(job, "--seconds", 7 * 86400)
        self.assertEqual(self.shown(place)["TimeLimit"], "1-00:00:00")
        self.end(job, place)

    def test_refusals_are_told(self):
        job = self.job()
        self.assertRegex(self.call("start", job, 1, "--cpus", 3), "^GF_EINVAL: sbatch refused the job: .*configuration is not available")
        self.assertRegex(self.call("start", job, 1, "--partition", "nix"), '^GF_EINVAL: Slurm has no partition named "nix"')
        self.assertEqual(self.call("look", job, 1, "--place", "4242"), "ENDED|Slurm does not know its job 4242 any more")

    def test_a_controller_that_is_away_is_waited_for(self):
        job = self.job()
        conf = f"{self.home}/slurm.conf"
        with open(SLURM.conf, encoding="ascii") as file:
            lines = [line for line in file if not line.startswith("SlurmctldPort")]
        with open(conf, "w", encoding="ascii") as file:
            file.write("".join(lines) + f"SlurmctldPort={cluster.free_ports(1)[0]}\nMessageTimeout=2\n")
        gone = {**SLURM.environment, "SLURM_CONF": conf}
        for call in ("start", "find"):
            self.assertRegex(self.call(call, job, 1, environment=gone), "^GF_EUNAVAILABLE: ")
        self.assertRegex(self.call("look", job, 1, "--place", "1", environment=gone), "^GF_EUNAVAILABLE: ")
        nowhere = {**SLURM.environment, "PATH": self.home}
        self.assertRegex(self.call("find", job, 1, environment=nowhere), "^GF_EUNAVAILABLE: there is no sbatch in the path")


if __name__ == "__main__":
    unittest.main(verbosity=2)
