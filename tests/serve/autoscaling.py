"""Down to no worker when idle, up again on demand; heads of two cuts in one pass; a hundred versions; drain under load."""
import os
import signal

from harness import (JPEG, Load, Server, b64, check, close, in_parallel, model, new_home, predict_alone, read, same, scores_of, wait_for)

names = ("three", "other", "deeper")
wanted = {name: predict_alone(model(name), JPEG)[0] for name in names}
instance = {"inputs": b64(read(JPEG))}


def is_right(answer, name):
    same(answer.code, 200, f"predict by {name}: {answer}")
    close(scores_of(answer.json["predictions"])[0], wanted[name], f"scores of {name}")


with Server(new_home(), "--idle-timeout", "0.5") as server:
    for name in names:
        server.deploy(model(name), name)
    is_right(server.predict([instance], "three"), "three")
    wait_for(lambda: not server.workers(), "no worker when idle")
    is_right(server.predict([instance], "three"), "three")
    check(server.workers(), "one was started")
    pool = next(p for p in server.get("/graft/v1/pools").json["pools"] if p["decisions"])
    check(all(d["reason"] and d["from"] != d["to"] for d in pool["decisions"]), f"decisions and reasons: {pool['decisions']}")
    # Three models of one trunk, two cuts, at the same time.
    for i, answer in enumerate(in_parallel(24, lambda i: server.predict([instance], names[i % 3]))):
        is_right(answer, names[i % 3])
    # One that stays.
    answer = server.call("PATCH", "/v1/projects/p/models/three/versions/v1?updateMask=autoScaling.minNodes", {"autoScaling": {"minNodes": 1}})
    same(answer.code, 200, f"minNodes: {answer}")
    is_right(server.predict([instance], "three"), "three")
    stays = wait_for(lambda: server.workers(), "the one that stays")
    wait_for(lambda: max(n["idleSeconds"] for p in server.get("/graft/v1/pools").json["pools"] for n in p["nodes"]) > 1.5, "idle for long")
    check(server.workers() == stays[:1], "min nodes stay when idle")

    # A hundred versions of one file: one blob, and each answers.
    uri = server.upload(model("other"), "gs://bucket/many/model.safetensors")
    server.create_model("many")
    started = [server.post("/v1/projects/p/models/many/versions", {"name": f"v{i}", "deploymentUri": uri}).json["name"] for i in range(100)]
    check(all("error" not in server.wait_operation(name) for name in started), "a hundred versions")
    blobs = [f for folder, _, files in os.walk(f"{server.home}/blobs") for f in files]
    same(len(blobs), 3, "one copy of each file")
    for i in range(0, 100, 7):
        is_right(server.predict([instance], "many", version=f"v{i}"), "other")

    # SIGTERM under load: not ready at once, every request that was taken is answered.
    load = Load(server, 6, lambda connection, i: server.predict([instance], names[i % 3], connection=connection))
    load.wait_for_answers(30)
    server.process.send_signal(signal.SIGTERM)
    same(server.process.wait(60), 0, "the exit status after SIGTERM under load")
    for i, answer in load.stop():
        if answer.code != 503:
            is_right(answer, names[i % 3])
    check(sum(answer.code == 200 for _, answer in load.answers) >= 30, "answers")
    check(all(isinstance(error, (ConnectionRefusedError, ConnectionResetError)) or "RemoteDisconnected" in repr(error)
              for error in load.errors), f"only refused connections: {load.errors}")
