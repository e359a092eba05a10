"""From process start to the answer for one picture: wall time and largest resident memory."""
from harness import measure, median, median_of_ratios, precisions_of, row, run, say, take_turns

RSS_TARGETS = {"f32": 123, "bf16": 100}
START_TARGET_MS = 120  # of what a user gets without options: all threads, the precision that auto means here


def commands_of(bench, precisions, home, photo):
    ort = [bench.python, bench.script("peer_start.py"), bench.model("trunk-optimized"), photo]
    commands = {("ort", threads): ort + [threads] for threads in (1, 2)}
    for precision in precisions:
        options = ["--home", home, "--quiet"]
        for threads in (1, 2):
            commands["features", precision, threads] = [bench.graft, "features", photo, "--precision", precision,
                                                        "--threads", threads] + options
        commands["predict", precision, 2] = [bench.graft, "predict", f"{bench.data}/start-{precision}.safetensors",
                                             photo, "--precision", precision, "--threads", 2] + options
    return commands


def measure_part(bench, facts):
    precisions = precisions_of(facts)
    home = bench.fresh_home("start")
    photo = f"{bench.photos}/photo-640.jpg"
    say("start: training the models to predict with")
    for precision in precisions:
        run(bench.graft, "train", bench.article, "--home", home, "--quiet", "--precision", precision, "--epochs", 5,
            "--output", f"{bench.data}/start-{precision}.safetensors")
    commands = commands_of(bench, precisions, home, photo)
    for command in commands.values():
        run(*command)  # writes the packs, warms the page cache
    say(f"start: {len(commands)} commands, in turns")
    results = take_turns(5 if bench.is_quick else 15, {key: lambda key=key: measure(bench, *commands[key])
                                                       for key in commands})
    wall = {key: [r["wall_ms"] for r in results[key]] for key in results}
    rows = []
    for key in commands:
        if key[0] == "ort":
            continue
        name = f"graft {key[0]}, {key[1]}, {key[2]} thread{'s' * (key[2] > 1)}"
        peer = wall["ort", key[2]]
        target = ("<=", START_TARGET_MS) if key[1:] == (facts["auto_precision"], 2) else None
        rows.append(row(f"{name}: start to exit", median(wall[key]), "ms", median(peer), "Python, ONNX Runtime, Pillow",
                        median_of_ratios(peer, wall[key]), target, "graft"))
        rows.append(row(f"{name}: peak RSS", max(r["max_rss_mb"] for r in results[key]), "MB",
                        max(r["max_rss_mb"] for r in results["ort", key[2]]), "Python, ONNX Runtime, Pillow",
                        target=("<=", RSS_TARGETS[key[1]]), judged="graft"))
    return rows
