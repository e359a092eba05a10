"""A peer of the part "serve": ONNX Runtime in KServe's own Python server, asked by its v1 protocol: {"instances": ["BASE64", ...]}.

    python3 peer_kserve.py MODEL.onnx PORT THREADS
"""
import base64
import sys

import kserve

from peer_ort import open_session
from peer_pictures import input_of

MODEL, PORT, THREADS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


class Classifier(kserve.Model):
    def __init__(self):
        super().__init__("peer")
        self.session = open_session(MODEL, THREADS)
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        pictures = input_of([base64.b64decode(text) for text in payload["instances"]])
        return {"predictions": self.session.run(None, {"picture": pictures})[0].tolist()}


if __name__ == "__main__":
    kserve.ModelServer(http_port=PORT, workers=1, enable_grpc=False, enable_latency_logging=False, access_log_format=None).start([Classifier()])
