"""Workers killed under load, a full queue, a switch of versions under load: every request gets its answer, and the right one."""
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../serve"))
from harness import JPEG, Load, Server, b64, check, close, in_parallel, model, new_home, predict_alone, read, same, scores_of  # noqa: E402

wanted = {name: predict_alone(model(name), JPEG)[0] for name in ("three", "other")}
instance = {"inputs": b64(read(JPEG))}
dice = random.Random(7)
home = new_home()

with Server(home) as server:
    for name in wanted:
        server.deploy(model(name), name)
    names = list(wanted)
    load = Load(server, 8, lambda connection, i: server.predict([instance], names[i % 2], connection=connection))
    n_killed = 0
    for round_number in range(16):
        load.wait_for_answers(len(load.answers) + 12)
        for pid in server.workers():
            os.kill(pid, signal.SIGSEGV if round_number % 2 else signal.SIGKILL)
            n_killed += 1
        time.sleep(dice.random() * 0.2)
    load.wait_for_answers(len(load.answers) + 30)
    answers = load.stop()
    same(load.errors, [], "connections that broke")
    check(n_killed >= 10, f"workers were killed: {n_killed}")
    for i, answer in answers:
        same(answer.code, 200, f"beside killed workers: {answer}")
        close(scores_of(answer.json["predictions"])[0], wanted[names[i % 2]], "the right scores")

    # A new version, the switch to it, the end of the old one: under load.
    load = Load(server, 4, lambda connection, i: server.predict([instance], "three", connection=connection))
    load.wait_for_answers(20)
    server.deploy(model("other"), "three", "v2")
    same(server.post("/v1/projects/p/models/three/versions/v2:setDefault").code, 200, "the switch")
    n_before = len(load.answers)
    load.wait_for_answers(n_before + 12)
    operation = server.call("DELETE", "/v1/projects/p/models/three/versions/v1")
    same(operation.code, 200, f"delete of the old one: {operation}")
    check("error" not in server.wait_operation(operation.json["name"]), "its operation")
    load.wait_for_answers(len(load.answers) + 12)
    answers = load.stop()
    same(load.errors, [], "connections that broke at the switch")
    for _, answer in answers:
        same(answer.code, 200, f"at the switch: {answer}")
    close(scores_of(answers[0][1].json["predictions"])[0], wanted["three"], "the old one's scores")
    close(scores_of(answers[-1][1].json["predictions"])[0], wanted["other"], "the new one's scores")

# 64 clients against a queue of 16.
with Server(home, "--queue", "16") as server:
    def ask(i):
        answers = []
        for _ in range(6):
            answers.append(server.predict([instance], "other"))
        return answers
    answers = [answer for some in in_parallel(64, ask) for answer in some]
    same(len(answers), 64 * 6, "every request has an answer")
    check({answer.code for answer in answers} <= {200, 429, 503}, f"only these: { {answer.code for answer in answers} }")
    for answer in answers:
        if answer.code == 200:
            close(scores_of(answer.json["predictions"])[0], wanted["other"], "the right scores")
        else:
            check(int(answer.headers["Retry-After"]) >= 1, f"Retry-After: {answer}")
    check(any(answer.code != 200 for answer in answers), "the queue was full at times")
