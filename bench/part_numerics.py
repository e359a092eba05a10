"""Whether graft computes what ONNX Runtime computes from the same weights and pixels."""
import numpy as np

from harness import precisions_of, row, run, say


def features_of(bench, precision, home):
    """(features, softmax) of the article's 200 pictures by graft."""
    out = f"{bench.data}/numerics-{precision}.npz"
    top = bench.top_layer
    run(bench.graft, "features", bench.article, "--home", home, "--quiet", "--precision", precision,
        "--layer", "avg_pool", "--layer", top, "--output", out)
    with np.load(out) as file:
        arrays = [file[name] for name in file.files if file[name].dtype == np.float32]
    return sorted(arrays, key=lambda values: -values.shape[1])


def reference(bench):
    results = []
    for model in ("trunk", "trunk-top"):
        out = f"{bench.data}/numerics-{model}.npy"
        run(bench.python, bench.script("peer_ort.py"), "run", bench.model(model), bench.article, out)
        results.append(np.load(out))
    return results


def cosines(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


def measure_part(bench, facts):
    say("numerics: 200 pictures by ONNX Runtime and by graft")
    features, softmax = reference(bench)
    what = f"largest value {features.max():.2f}"
    rows = []
    home = bench.fresh_home("numerics")

    def add(name, value, target=None, note=""):
        rows.append(row(f"{name}, against ONNX Runtime", float(value), "", target=target, judged="graft", note=note))

    ours, our_softmax = features_of(bench, "f32", home)
    add("pooled features, f32: largest difference", np.abs(ours - features).max(), ("<=", 1e-4), what)
    add("softmax, f32: largest difference", np.abs(our_softmax - softmax).max(), ("<=", 1e-4))
    if "bf16" in precisions_of(facts):
        ours, our_softmax = features_of(bench, "bf16", home)
        add("pooled features, bf16: smallest cosine", cosines(ours, features).min(), (">=", 0.999), "of 200 pictures")
        add("softmax, bf16: largest difference", np.abs(our_softmax - softmax).max(), note="no target")
    return rows
