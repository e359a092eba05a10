"""Writes docs/benchmarks.md from a result of bench/run.sh; from one of some parts a page of those.

    python3 bench/write_page.py bench/results/DATE-CPU.json >docs/benchmarks.md
    python3 bench/write_page.py bench/results/DATE-CPU-serve.json >docs/benchmarks-serve.md
"""
import json
import sys

from harness import HEADINGS, cells

TITLES = {
    "numerics": ("Numerics", "The same weights and pixels through ONNX Runtime. 200 pictures of 299x299."),
    "speed": ("Speed of the trunk",
              "Inception-v3 up to the pooled features, random pixels. ONNX Runtime is given floats that are ready, graft is "
              "given bytes; both run alone, in turns. The ratio is the median over rounds of peer time / graft time."),
    "article": ("The article's job",
                "200 pictures of 299x299 in one `.npz`, 160 to learn from and 40 held out, 20 epochs, 1024 hidden units, "
                "evaluated and saved; whole processes from start to exit. Keras runs the trunk in every epoch, as the "
                "article does."),
    "start": ("Process start to an answer",
              "One JPEG of 640x480, whole processes from start to exit, packed weights and files in the page cache. The "
              "peer's model is stored as ONNX Runtime's optimiser left it."),
    "decode": ("Decoding and resizing JPEGs",
               "To 299x299, one thread. graft and Pillow use the triangle filter, OpenCV its area filter."),
    "serve": ("The server",
              "One JPEG of 640x480 as base64 in JSON, over keep-alive connections from the same machine, 2 threads on either "
              "side. A Poisson load counts from when a request was due, so that one that found no free client has waited. "
              "The peers are one LitServe worker without batching, and KServe's own Python server; both run ONNX Runtime on the trunk with its own top."),
    "jobs": ("Jobs",
             "Small Python programs submitted one after the other over HTTP, and graft's own trainer on the article's pictures: once "
             "without features, then as a hyperparameter search with them."),
}


def print_table(rows):
    print("| " + " | ".join(HEADINGS) + " |")
    print("|" + " --- |" * len(HEADINGS))
    for line in rows:
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in cells(line)) + " |")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)
    facts = results["machine"]
    lines = [line for part in results["parts"].values() for line in part if line["is_met"] is not None]
    n_met = sum(line["is_met"] for line in lines)
    some = [TITLES[part][0].lower() for part in TITLES if part in results["parts"]]
    print("# Benchmarks" + (f": {', '.join(some)}" if len(some) < len(TITLES) else "") + "\n")
    print("This page is written by `bench/write_page.py` from a result of `bench/run.sh`; nothing in it is typed by hand.\n")
    print(f"{n_met} of {len(lines)} targets met, {results['date'][:10]}, commit {facts['commit']}"
          f"{', quick run' if results['is_quick'] else ''}.\n")
    if facts["load_before"] > 0.5 * facts["cores"]:
        print(f"The machine was busy (load {facts['load_before']} on {facts['cores']} cores) when this run began: read the "
              "ratios with care and the times not at all.\n")
    for part, (title, text) in TITLES.items():
        if part not in results["parts"]:
            continue
        print(f"## {title}\n\n{text}\n")
        print_table(results["parts"][part])
        print()
    print("## The machine\n")
    print("| fact | value |\n| --- | --- |")
    for name, value in facts.items():
        if value is not None:
            print(f"| {name.replace('_', ' ')} | {value} |")
    print("""
## How to repeat it

    make bench                                  # everything, about 20 minutes on 2 cores
    bench/run.sh build --quick                  # fewer rounds, 2 epochs of Keras instead of 20
    bench/run.sh build speed start              # some parts
    python3 bench/write_page.py bench/results/DATE-CPU.json >docs/benchmarks.md
    python3 bench/write_page.py bench/results/DATE-CPU-serve.json >docs/benchmarks-serve.md

The trunk is the npm package's, the pictures are Debian's tuxpaint stamps, the peers come from PyPI in the versions above
(`bench/requirements.txt`, `bench/requirements-tf.txt`), in environments below `bench/` that are made when they are first
needed. A busy neighbour makes all times longer and the ratios less certain: `load before` says how busy the
machine was when the run began.""")


if __name__ == "__main__":
    main()
