"""Writes what torchvision's Inception-v3 is and computes, for tests/unit/test_zoo_inception_torch.c.

usage: /usr/bin/python3 tests/golden/make_inception_torch.py        (in the project's folder; Debian's python3-torchvision)
zoo/inception_v3_torch.tsv: the state dict's names and shapes, in its order. zoo/inception_v3_torch.npz: features (2048) and scores
(1000) of one picture. Picture and weights are from formulas that the test repeats: bytes are hash_bytes() of
tests/unit/engine_graphs.h, tensor t has seed t + 1.
"""
import pathlib

import numpy as np
import torch
import torchvision

OUT = pathlib.Path(__file__).parent / "zoo"


def hash_bytes(n, seed):
    h = (np.arange(n, dtype=np.uint64) + seed * 40503) % 2**32 * 2654435761 % 2**32
    h = (h ^ (h >> 15)) * 2246822519 % 2**32
    return (h >> 24).astype(np.uint8)


def values(t, name, shape):
    """Float32, between -1 and 1 times what keeps activations alive; scales and variances around 1."""
    x = (hash_bytes(int(np.prod(shape)), t + 1).astype(np.float32) - np.float32(127.5)) / np.float32(127.5)
    if len(shape) > 1:
        x *= np.float32(np.sqrt(6.0 / np.prod(shape[1:])))
    elif name.endswith(("bn.weight", "running_var")):
        x = np.float32(1) + np.float32(0.25) * x
    else:
        x *= np.float32(0.125)
    return torch.from_numpy(x.reshape(shape))


def main():
    model = torchvision.models.inception_v3(weights=None, init_weights=False, aux_logits=True).eval()
    state = model.state_dict()
    lines, t = [], 0
    for name, tensor in state.items():
        if tensor.dtype == torch.float32:
            state[name] = values(t, name, tuple(tensor.shape))
            t += 1
        lines.append(f"{name}\t{'x'.join(map(str, tensor.shape))}\n")
    model.load_state_dict(state)
    (OUT / "inception_v3_torch.tsv").write_text("".join(lines))

    picture = hash_bytes(299 * 299 * 3, 0).reshape(299, 299, 3)
    kept = {}
    model.fc.register_forward_hook(lambda module, given, _: kept.update(features=given[0]))
    inputs = torch.from_numpy(picture.astype(np.float64) / 127.5 - 1).permute(2, 0, 1)[None]
    with torch.no_grad():
        scores = torch.softmax(model.double()(inputs), 1)
    features = kept["features"][0].numpy().astype(np.float32)
    np.savez(OUT / "inception_v3_torch.npz", features=features, scores=scores[0].numpy().astype(np.float32))
    print(f"PyTorch {torch.__version__}, torchvision {torchvision.__version__}: features {features.min():.3g} to {features.max():.3g}, "
          f"mean {features.mean():.3g}, scores up to {float(scores.max()):.3g}")


if __name__ == "__main__":
    main()
