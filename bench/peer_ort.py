"""ONNX Runtime beside graft: the same weights, the same pictures, as quick as its settings allow.

    python3 peer_ort.py speed MODEL.onnx THREADS BATCH SECONDS     one JSON line with the times of all runs
    python3 peer_ort.py run MODEL.onnx PICTURES.npz OUT.npy        the output for every row of `features`
"""
import json
import sys
import time

import numpy as np
import onnxruntime


def open_session(path, threads):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def as_input(pixels):
    """uint8 (N,H,W,3) to float32 (N,3,H,W) in [-1,1], as Inception was trained."""
    return np.ascontiguousarray((pixels.astype(np.float32) / np.float32(127.5) - 1).transpose(0, 3, 1, 2))


def speed(model, threads, batch, seconds):
    session = open_session(model, threads)
    pixels = np.random.default_rng(1).integers(0, 256, (batch, 299, 299, 3), np.uint8)
    feed = {"picture": as_input(pixels)}  # ready before the clock starts: graft is given bytes and converts them itself
    for _ in range(2):
        session.run(None, feed)
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps({"threads": threads, "batch": batch, "times_ms": times}))


def run(model, pictures, out):
    session = open_session(model, 0)
    with np.load(pictures) as file:
        pixels = file["features"]
    rows = [session.run(None, {"picture": as_input(pixels[i:i + 16])})[0] for i in range(0, len(pixels), 16)]
    np.save(out, np.concatenate(rows).reshape(len(pixels), -1))


if __name__ == "__main__":
    if sys.argv[1] == "speed":
        speed(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    else:
        run(*sys.argv[2:5])
