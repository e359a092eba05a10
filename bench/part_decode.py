"""Decoding and resizing JPEGs to the network's input, one thread, in turns with Pillow and OpenCV."""
import glob

from harness import median, median_of_ratios, row, run_json, say, take_turns

PEERS = {"pillow": "Pillow", "pillow-draft": "Pillow, draft mode", "opencv": "OpenCV, INTER_AREA"}


def measure_files(bench, what, files):
    runners = {"graft": [bench.program("bench_decode"), "--seconds", bench.seconds],
               "graft-full": [bench.program("bench_decode"), "--full", "--seconds", bench.seconds]}
    for peer in PEERS:
        runners[peer] = [bench.python, bench.script("peer_decode.py"), peer, 299, bench.seconds]
    results = take_turns(bench.n_rounds, {
        name: lambda name=name: median(run_json(*runners[name], *files)["times_ms"]) / len(files) for name in runners})
    graft = results["graft"]
    for peer, title in PEERS.items():
        yield row(f"{what}, beside {title}", median(graft), "ms a picture", median(results[peer]), title,
                  median_of_ratios(results[peer], graft))
    yield row(f"{what}, beside all pixels decoded", median(graft), "ms a picture", median(results["graft-full"]),
              "graft without DCT scaling", median_of_ratios(results["graft-full"], graft),
              (">=", 1.0) if "4032" in what else None,
              note=f"{1000 / median(graft):.0f} pictures a second in one thread")


def measure_part(bench, facts):
    rows = []
    for what, pattern in (("photo of 4032x3024", "photo-4032.jpg"), ("40 photos of 640x480", "small/*.jpg")):
        say(f"decode: {what}")
        rows += measure_files(bench, what, sorted(glob.glob(f"{bench.photos}/{pattern}")))
    return rows
