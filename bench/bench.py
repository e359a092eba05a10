"""Runs the parts of the benchmark, prints the table and writes bench/results/DATE-CPU.json. Called by run.sh.

    python3 bench.py [--quick] [--out FILE.json] BUILD [numerics] [speed] [article] [start] [decode] [serve] [jobs]
"""
import argparse
import datetime
import json
import os
import re
import signal
import sys

import part_article
import part_decode
import part_jobs
import part_numerics
import part_serve
import part_speed
import part_start
from harness import machine, text_table, versions_of
from inputs import Bench

PARTS = {"numerics": part_numerics, "speed": part_speed, "article": part_article, "start": part_start,
         "decode": part_decode, "serve": part_serve, "jobs": part_jobs}


def results_path(bench, facts, parts):
    """A run of some parts does not replace the whole run of that day."""
    cpu = re.sub(r"[^a-z0-9]+", "-", facts["cpu"].lower()).strip("-")
    folder = f"{bench.root}/bench/results"
    os.makedirs(folder, exist_ok=True)
    some = "".join(f"-{part}" for part in parts) if len(parts) < len(PARTS) else ""
    return f"{folder}/{datetime.date.today().isoformat()}-{cpu}{some}.json"


def main():
    parser = argparse.ArgumentParser(prog="bench/run.sh")
    parser.add_argument("--quick", action="store_true", help="fewer rounds; 2 epochs of Keras, extrapolated")
    parser.add_argument("--out", help="where the results go")
    parser.add_argument("build")
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    arguments = parser.parse_intermixed_args()
    names = arguments.parts or list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"no part named {unknown[0]}: there are {', '.join(PARTS)}")

    bench = Bench(os.path.abspath(arguments.build), arguments.quick)
    facts = bench.facts = machine(bench)
    if "article" in names:
        facts["tensorflow"] = versions_of(bench.python_tf).get("tensorflow_cpu")
        facts["keras"] = versions_of(bench.python_tf).get("keras")
    if "serve" in names:
        facts["kserve"] = versions_of(bench.python_kserve).get("kserve")
    results = {"date": datetime.datetime.now().isoformat(timespec="seconds"), "is_quick": bench.is_quick,
               "machine": facts, "parts": {}}
    path = arguments.out or results_path(bench, facts, names)
    for name in names:
        results["parts"][name] = PARTS[name].measure_part(bench, facts)
        print(f"\n{name}\n{text_table(results['parts'][name])}", flush=True)
        with open(path, "w", encoding="utf-8") as file:  # after every part: a later one may fail
            json.dump(results, file, indent=1)
    missed = [line["name"] for lines in results["parts"].values() for line in lines if line["is_met"] is False]
    judged = sum(line["is_met"] is not None for lines in results["parts"].values() for line in lines)
    print(f"\n{judged - len(missed)} of {judged} targets met" + "".join(f"\nNOT MET: {name}" for name in missed))
    print(f"wrote {path}")


if __name__ == "__main__":
    # Servers have been started, and are ended by whatever ends this program: an exit, not a death.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    sys.exit(main())
