"""Decoding and resizing by Pillow and OpenCV, in one thread.

    python3 peer_decode.py pillow|pillow-draft|opencv SIZE SECONDS FILE...      one JSON line; times_ms are whole passes
"""
import io
import json
import sys
import time

import numpy as np


def pillow(size, has_draft):
    from PIL import Image

    def decode(data):
        image = Image.open(io.BytesIO(data))
        if has_draft:  # the same DCT scaling that graft chooses: at least twice the size that is wanted
            image.draft("RGB", (2 * size, 2 * size))
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
    return decode


def opencv(size):
    import cv2
    cv2.setNumThreads(1)

    def decode(data):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)  # its filter that does not alias
    return decode


def main():
    kind, size, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    decode = opencv(size) if kind == "opencv" else pillow(size, kind == "pillow-draft")
    files = [open(path, "rb").read() for path in sys.argv[4:]]
    for data in files:
        decode(data)
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        for data in files:
            decode(data)
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps({"times_ms": times}))


if __name__ == "__main__":
    main()
