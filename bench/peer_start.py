"""One process from nothing to the features of one picture, by ONNX Runtime and Pillow.

    python3 peer_start.py MODEL.onnx PICTURE THREADS
"""
import sys

import numpy as np
import onnxruntime
from PIL import Image

model, picture, threads = sys.argv[1:4]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
options.log_severity_level = 3
# The model is stored as the optimiser left it: nothing is to be found again at start.
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
image = Image.open(picture)
image.draft("RGB", (598, 598))
pixels = np.asarray(image.convert("RGB").resize((299, 299), Image.Resampling.BILINEAR), np.float32)
features = session.run(None, {"picture": (pixels / np.float32(127.5) - 1).transpose(2, 0, 1)[None]})[0]
print(features.shape, float(features.mean()))
