"""Speed of the trunk itself: bench_engine and ONNX Runtime on the same weights, in turns."""
from harness import median, median_of_ratios, precisions_of, row, run_json, say, take_turns

TARGETS = {"f32": (">=", 0.95), "bf16": (">=", 1.7)}


def time_graft(bench, precision, threads, batch):
    result = run_json(bench.program("bench_engine"), "--home", bench.home, "--precision", precision, "--threads",
                      threads, "--batch", batch, "--seconds", bench.seconds)
    return median(result["times_ms"]) / batch


def time_ort(bench, threads, batch):
    result = run_json(bench.python, bench.script("peer_ort.py"), "speed", bench.model("trunk"), threads, batch,
                      bench.seconds)
    return median(result["times_ms"]) / batch


def measure_setting(bench, precisions, threads, batch):
    runners = {"ort": lambda: time_ort(bench, threads, batch)}
    for precision in precisions:
        runners[precision] = lambda precision=precision: time_graft(bench, precision, threads, batch)
    times = take_turns(bench.n_rounds, runners)
    for precision in precisions:
        yield row(f"trunk, {precision}, {threads} thread{'s' * (threads > 1)}, batch {batch}", median(times[precision]),
                  "ms a picture", median(times["ort"]), "ONNX Runtime f32",
                  median_of_ratios(times["ort"], times[precision]), TARGETS[precision])


def measure_part(bench, facts):
    rows = []
    for threads in (1, 2):
        for batch in (1, 16):
            say(f"speed: {threads} threads, batch {batch}")
            rows += measure_setting(bench, precisions_of(facts), threads, batch)
    return rows
