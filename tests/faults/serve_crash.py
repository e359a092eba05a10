"""Workers killed under load, versions switched under load, a full queue: every request gets its answer, and the right one."""
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../http"))
import harness  # noqa: E402
from harness import JPEG, JPEG_PATH, Load, wait_for  # noqa: E402

SEED = 7


class UnderLoad(harness.ServerCase):
    models = {"stamps": harness.stamps, "other": harness.other}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.wanted = {name: harness.expected_scores(make(), JPEG_PATH)[0]
                      for name, make in (("stamps", harness.stamps), ("other", harness.other), ("deep", harness.deep))}

    def load(self, n_threads, *names):
        return Load(self.server, n_threads, lambda connection, i: self.server.predict(names[i % len(names)], JPEG, connection=connection))

    def check_right(self, load, *names):
        answers = load.stop()
        self.assertEqual(load.failures, [], "connections that broke")
        for i, answer in answers:
            self.check_scores(harness.scores_of(self.check_code(answer, 200))[0], self.wanted[names[i % len(names)]])
        return answers

    def test_killed_workers_cost_nobody_an_answer(self):
        dice = random.Random(SEED)
        names = ("stamps", "other")
        load = self.load(8, *names)
        n_killed = 0
        for round_number in range(16):
            load.more(12)
            for pid in wait_for(self.server.workers, "a worker"):
                try:
                    os.kill(pid, signal.SIGSEGV if round_number % 2 else signal.SIGKILL)
                    n_killed += 1
                except ProcessLookupError:
                    pass
            time.sleep(dice.random() * 0.2)
        load.more(30)
        self.check_right(load, *names)
        self.assertGreaterEqual(n_killed, 10)
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        crashes = sum(float(line.split()[-1]) for line in lines if line.startswith("graft_worker_crashes_total"))
        self.assertGreaterEqual(crashes, 4)

    def test_a_new_version_and_the_end_of_the_old_one_lose_no_request(self):
        self.server.deploy("switch", "v1", harness.stamps())
        load = self.load(4, "switch")
        load.until(20)
        self.server.deploy("switch", "v2", harness.other())
        for version in ("v2", "v1", "v2", "v1", "v2"):
            self.check_code(self.ask("POST", f"/v1/projects/default/models/switch/versions/{version}:setDefault", {}), 200)
            load.more(12)
        self.server.finish(self.check_code(self.ask("DELETE", "/v1/projects/default/models/switch/versions/v1"), 200).json["name"])
        load.more(12)
        answers = load.stop()
        self.assertEqual(load.failures, [], "connections that broke")
        found = [harness.scores_of(self.check_code(answer, 200))[0] for _, answer in answers]
        for scores in found:  # of one version or of the other, and never of neither
            self.check_scores(scores, self.wanted["stamps" if len(scores) == 3 else "other"])
        self.assertEqual((len(found[0]), len(found[-1])), (3, 2), "the old one's scores at first, the new one's at last")

    def test_a_version_on_a_new_cut_loses_no_request(self):
        load = self.load(4, "stamps")
        load.until(8)
        self.server.deploy("deep", "v1", harness.deep())
        load.more(8)
        self.check_scores(harness.scores_of(self.check_code(self.server.predict("deep", JPEG), 200))[0], self.wanted["deep"])
        self.check_right(load, "stamps")

    def test_a_picture_asked_of_two_heads_gets_both_answers(self):
        load = self.load(6, "stamps", "other")
        load.until(40)
        answers = self.check_right(load, "stamps", "other")
        self.assertEqual({i % 2 for i, _ in answers}, {0, 1})


class AFullQueue(harness.ServerCase):
    options = ("--queue", "16")

    def test_64_clients_get_answers_or_are_told_to_come_again(self):
        (wanted,) = harness.expected_scores(harness.stamps(), JPEG_PATH)
        load = Load(self.server, 64, lambda connection, i: self.server.predict("stamps", JPEG, connection=connection))
        load.until(100)
        # A machine whose clients are slow might never fill the queue: the workers rest until it is full.
        n_before = len(load.answers)

        def is_full():
            self.server.pause_workers()
            return any(answer.code != 200 for _, answer in load.answers[n_before:])
        try:
            wait_for(is_full, "a request that is told to come again")
        finally:
            self.server.resume_workers()
        load.more(300)
        answers = [answer for _, answer in load.stop()]
        self.assertEqual(load.failures, [], "connections that broke")
        self.assertLessEqual({answer.code for answer in answers}, {200, 429, 503})
        for answer in answers:
            if answer.code == 200:
                self.check_scores(harness.scores_of(answer)[0], wanted)
            else:
                self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.assertGreater(sum(answer.code == 200 for answer in answers), 0)


if __name__ == "__main__":
    harness.main()
