"""Exports torchvision's networks to ONNX with random weights.

usage: /usr/bin/python3 make_onnx_models.py PIXELS.npy OUT
A Python that has PyTorch (Debian's), called by check_onnx_import.py. PIXELS: uint8 (N,299,299,3), whose statistics the
normalizations get, so that activations stay alive. Opset 13 with an open batch; OUT/CASE.onnx, and OUT/CASE.txt: "tf" or
"imagenet", what the input is scaled to.
"""
import pathlib
import sys
import warnings

import numpy as np
import torch
import torchvision
from make_torch_models import IMAGENET, PLAIN, normalize

warnings.filterwarnings("ignore")


def export(model, inputs, path, scaling, **options):
    names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}}}
    torch.onnx.export(model, inputs[:1], str(path), opset_version=13, **names, **options)
    path.with_suffix(".txt").write_text(scaling)


def settle(model, inputs):
    """Statistics of these pictures, then moved: activations stay alive, and an exchange of two shows."""
    torch.manual_seed(11)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.uniform_(0.4, 0.8)
            norm.bias.uniform_(-0.3, 0.3)
            norm.momentum = 1.0
        model.train()
        model(inputs)
        for norm in norms:
            norm.running_mean.add_(0.1 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean))
            norm.running_var.mul_(torch.empty_like(norm.running_var).uniform_(0.8, 1.25))
    return model.eval()


def main():
    pixels, out = np.load(sys.argv[1]), pathlib.Path(sys.argv[2])
    models = torchvision.models
    plain, imagenet = normalize(pixels, *PLAIN), normalize(pixels, *IMAGENET)
    make = {"weights": None, "init_weights": False}

    inception = settle(models.inception_v3(aux_logits=False, transform_input=False, **make), plain)
    export(inception, plain, out / "torch_inception.onnx", "tf")
    export(inception, plain, out / "torch_inception_norms.onnx", "tf", training=torch.onnx.TrainingMode.PRESERVE,
           do_constant_folding=False)
    inception.transform_input = True  # as the published weights want it
    export(inception, imagenet, out / "torch_inception_transform.onnx", "imagenet")
    small = torch.nn.functional.interpolate(plain, (224, 224))
    for name in ("resnet18", "mobilenet_v2", "squeezenet1_1"):
        export(settle(getattr(models, name)(weights=None), small), small, out / f"torch_{name}.onnx", "tf")
    googlenet = models.googlenet(aux_logits=False, transform_input=False, **make)
    export(settle(googlenet, small), small, out / "torch_googlenet.onnx", "tf")


if __name__ == "__main__":
    main()
