"""The peer of the part "serve": ONNX Runtime behind LitServe, asked as graft is asked: {"instances": ["BASE64", ...]}.

    python3 peer_litserve.py MODEL.onnx PORT THREADS
"""
import base64
import sys

import litserve

from peer_ort import open_session
from peer_pictures import input_of

MODEL, PORT, THREADS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


class Classifier(litserve.LitAPI):
    def setup(self, device):
        self.session = open_session(MODEL, THREADS)

    def decode_request(self, request):
        return input_of([base64.b64decode(text) for text in request["instances"]])

    def predict(self, pictures):
        return self.session.run(None, {"picture": pictures})[0]

    def encode_response(self, scores):
        return {"predictions": scores.tolist()}


if __name__ == "__main__":
    # As LitServe advises for models that use all cores by themselves: one worker, no batching.
    server = litserve.LitServer(Classifier(api_path="/predict"), accelerator="cpu", workers_per_device=1, timeout=120)
    server.run(host="127.0.0.1", port=PORT, num_api_servers=1, generate_client_file=False, log_level="warning")
