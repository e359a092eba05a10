"""The peer of the part "serve": ONNX Runtime behind LitServe, asked as graft is asked: {"instances": ["BASE64", ...]}.

    python3 peer_litserve.py MODEL.onnx PORT THREADS
"""
import base64
import io
import sys

import litserve
import numpy as np
from PIL import Image

from peer_ort import open_session

MODEL, PORT, THREADS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


class Classifier(litserve.LitAPI):
    def setup(self, device):
        self.session = open_session(MODEL, THREADS)

    def decode_request(self, request):
        pictures = []
        for text in request["instances"]:
            image = Image.open(io.BytesIO(base64.b64decode(text)))
            image.draft("RGB", (598, 598))
            pixels = np.asarray(image.convert("RGB").resize((299, 299), Image.Resampling.BILINEAR), np.float32)
            pictures.append((pixels / np.float32(127.5) - 1).transpose(2, 0, 1))
        return np.stack(pictures)

    def predict(self, pictures):
        return self.session.run(None, {"picture": pictures})[0]

    def encode_response(self, scores):
        return {"predictions": scores.tolist()}


if __name__ == "__main__":
    # As LitServe advises for models that use all cores by themselves: one worker, no batching.
    server = litserve.LitServer(Classifier(api_path="/predict"), accelerator="cpu", workers_per_device=1, timeout=120)
    server.run(host="127.0.0.1", port=PORT, num_api_servers=1, generate_client_file=False, log_level="warning")
