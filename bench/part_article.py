"""The article's job as whole processes: 200 pictures in an .npz, 160 to learn from, 20 epochs, 1024 hidden units, evaluate,
save. Keras runs the trunk again in every epoch, as the article does."""
import json

import numpy as np

from harness import measure, median, precisions_of, row, run, run_json, say

N_EPOCHS = 20
N_COMPARED = 16  # pictures whose features Keras and graft are compared on
TARGETS = {"f32": (">=", 30), "bf16": (">=", 60)}


def train_graft(bench, precision, home):
    return measure(bench, bench.graft, "train", bench.article, "--home", home, "--quiet", "--epochs", N_EPOCHS,
                   "--hidden", 1024, "--precision", precision, "--output", f"{bench.data}/article-{precision}.safetensors")


def graft_round(bench, precision, results):
    """Cold cache, then the same again warm; then with no packed weights either."""
    home = bench.fresh_home("article")
    results["cold"].append(train_graft(bench, precision, home))
    results["warm"].append(train_graft(bench, precision, home))
    results["unpacked"].append(train_graft(bench, precision, bench.fresh_home("article", has_packs=False)))


def train_keras(bench):
    """{"wall_s", "max_rss_mb", "accuracy", "note", "accuracy_note"}; wall_s is of all epochs."""
    n_epochs = 2 if bench.is_quick else N_EPOCHS
    out = f"{bench.data}/article.keras"
    process = measure(bench, bench.python_tf, bench.script("peer_keras.py"), "train", bench.trunk, bench.article,
                      n_epochs, out)
    with open(out + ".json", encoding="utf-8") as file:
        details = json.load(file)
    wall_s, note = process["wall_ms"] / 1e3, f"all {N_EPOCHS} epochs run"
    if n_epochs < N_EPOCHS:
        wall_s += (N_EPOCHS - n_epochs) * details["epochs_s"][-1]
        note = f"Keras: extrapolated from {n_epochs} epochs"
    return {"wall_s": wall_s, "max_rss_mb": process["max_rss_mb"], "accuracy": details["accuracy"], "note": note,
            "accuracy_note": f"Keras: after {n_epochs} epochs"}


def compare_features(bench, home):
    theirs, ours = f"{bench.data}/keras.npy", f"{bench.data}/article-features.npz"
    run(bench.python_tf, bench.script("peer_keras.py"), "features", bench.trunk, bench.article, N_COMPARED, theirs)
    run(bench.graft, "features", bench.article, "--home", home, "--quiet", "--precision", "f32", "--output", ours)
    with np.load(ours) as file:
        difference = np.abs(next(file[name] for name in file.files if file[name].shape[1:] == (2048,))[:N_COMPARED]
                            - np.load(theirs)).max()
    return row("pooled features, f32, beside Keras: largest difference", float(difference), "", target=("<=", 1e-4),
               judged="graft", note=f"{N_COMPARED} pictures")


def rows_of(precision, results, keras):
    seconds = {kind: median([r["wall_ms"] / 1e3 for r in results[kind]]) for kind in results}
    name = f"article's job, {precision}"
    yield row(f"{name}, cold feature cache", seconds["cold"], "s", keras["wall_s"], "Keras, TensorFlow",
              keras["wall_s"] / seconds["cold"], TARGETS[precision], note=keras["note"])
    yield row(f"{name}, no packed weights either", seconds["unpacked"], "s", keras["wall_s"], "Keras, TensorFlow",
              keras["wall_s"] / seconds["unpacked"])
    yield row(f"{name}, warm feature cache", seconds["warm"], "s", keras["wall_s"], "Keras, TensorFlow",
              keras["wall_s"] / seconds["warm"], ("<=", 1), "graft")
    yield row(f"{name}, peak RSS", max(r["max_rss_mb"] for r in results["cold"]), "MB", keras["max_rss_mb"],
              "Keras, TensorFlow")


def accuracy_of(bench, precision, home):
    result = run_json(bench.graft, "train", bench.article, "--home", home, "--quiet", "--json", "--epochs", N_EPOCHS,
                      "--precision", precision, "--output", f"{bench.data}/article-{precision}.safetensors")
    return result["accuracy"]


def measure_part(bench, facts):
    precisions = precisions_of(facts)
    results = {p: {"cold": [], "warm": [], "unpacked": []} for p in precisions}
    # Keras takes minutes: graft's rounds stand before and after it.
    for i in range(4):
        if i == 2:
            say("article: Keras")
            keras = train_keras(bench)
        for precision in precisions:
            say(f"article: graft, {precision}, round {i + 1} of 4")
            graft_round(bench, precision, results[precision])
    rows = []
    home = bench.fresh_home("article")
    for precision in precisions:
        rows += rows_of(precision, results[precision], keras)
        rows.append(row(f"article's job, {precision}, accuracy on the 40 held out", accuracy_of(bench, precision, home), "",
                        keras["accuracy"], "Keras, TensorFlow", note=keras["accuracy_note"]))
    rows.append(compare_features(bench, home))
    return rows
