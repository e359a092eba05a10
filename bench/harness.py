"""What every part of the benchmark shares: running programs, taking turns, rows of the table, facts about the machine."""
import json
import os
import platform
import re
import statistics
import subprocess
import sys

# A build machine may pin OpenBLAS to an old core type; peers are to run as they would for anyone.
PINNED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")


def environment():
    return {name: value for name, value in os.environ.items() if name not in PINNED}


def run(*command):
    """Standard output of a command; its standard error is ours. A failure ends the benchmark."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, env=environment(), check=False)
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(words)}: exit status {done.returncode}")
    return done.stdout.decode()


def run_json(*command):
    """The JSON document that a command prints."""
    return json.loads(run(*command))


def measure(bench, *command):
    """{"wall_ms", "user_ms", "system_ms", "max_rss_mb"} of one process."""
    return run_json(bench.program("bench_process"), *command)


def take_turns(n_rounds, runners):
    """{name: [result of every round]}. One round calls every runner once, and every second round in reverse, so that a
    machine that gets slower or faster does so for all of them."""
    results = {name: [] for name in runners}
    for i in range(n_rounds):
        names = list(runners) if i % 2 == 0 else list(reversed(runners))
        for name in names:
            results[name].append(runners[name]())
    return results


def median(values):
    return statistics.median(values)


def median_of_ratios(numerators, denominators):
    """Rounds are pairs: what slows the machine for a while slows both sides of one ratio."""
    return statistics.median(n / d for n, d in zip(numerators, denominators))


def row(name, graft, unit, peer=None, peer_name="", ratio=None, target=None, judged="ratio", note=""):
    """One line of the table. target is (">=" or "<=", number), held against `judged`: the ratio, or graft's own value."""
    is_met = None
    if target is not None:
        value = ratio if judged == "ratio" else graft
        is_met = value >= target[1] if target[0] == ">=" else value <= target[1]
    return {"name": name, "graft": graft, "unit": unit, "peer": peer, "peer_name": peer_name, "ratio": ratio,
            "target": f"{judged} {target[0]} {target[1]:g}" if target else None, "is_met": is_met, "note": note}


# ---- the table ----------------------------------------------------------------------------------------------------

def number(value):
    if value is None:
        return ""
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.5f}" if abs(value) < 1 else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def cells(line):
    peer = f'{number(line["peer"])} ({line["peer_name"]})' if line["peer"] is not None else ""
    verdict = {None: "", True: "met", False: "NOT MET"}[line["is_met"]]
    ratio = f'{line["ratio"]:.2f}' if line["ratio"] is not None else ""
    return [line["name"], line["unit"], number(line["graft"]), peer, ratio, line["target"] or "", verdict, line["note"]]


HEADINGS = ["what", "unit", "graft", "peer", "ratio", "target", "", "note"]


def text_table(rows):
    table = [HEADINGS] + [cells(line) for line in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEADINGS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in table)


# ---- the machine --------------------------------------------------------------------------------------------------

def first_match(pattern, path):
    try:
        with open(path, encoding="utf-8") as file:
            found = re.search(pattern, file.read(), re.MULTILINE)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def versions_of(python):
    return dict(line.split("==") for line in run(python, "-m", "pip", "freeze", "--quiet").split() if "==" in line)


def machine(bench):
    """Facts that the numbers depend on."""
    engine = run_json(bench.program("bench_engine"), "--home", bench.home, "--seconds", "0")
    shown = {name.lower(): version for name, version in versions_of(bench.python).items()}
    facts = {
        "cpu": first_match(r"^model name\s*:\s*(.*)$", "/proc/cpuinfo") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(first_match(r"^MemTotal:\s*(\d+)", "/proc/meminfo") or 0) / 1048576, 1),
        "isa": engine["isa"],
        "auto_precision": engine["auto_precision"],
        "system": first_match(r'^PRETTY_NAME="(.*)"$', "/etc/os-release") or platform.system(),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 1),
        "graft": run(bench.graft, "--version").split()[1],
        "commit": run("git", "-C", bench.root, "rev-parse", "--short", "HEAD").strip(),
        "engine": engine["library"],
        "python": platform.python_version(),
    }
    for name in ("onnxruntime", "numpy", "pillow", "opencv-python-headless", "litserve"):
        facts[name] = shown.get(name)
    return facts


def precisions_of(facts):
    """bf16 is measured where the CPU computes it natively."""
    return ["f32", "bf16"] if "bf16" in facts["isa"] or "amx" in facts["isa"] else ["f32"]


def say(text):
    print(text, file=sys.stderr, flush=True)
