"""Writes Inception-v3 checkpoints as torchvision and timm write them, and what PyTorch computes with them.

usage: /usr/bin/python3 make_torch_models.py PIXELS.npy OUT [TIMM]
A Python that has PyTorch (Debian's), called by check_torch_import.py. PIXELS: uint8 (N,299,299,3). TIMM: a folder with the package in
it. For each CASE: OUT/CASE.pth (or .npz, the state dict as arrays) and OUT/CASE-expected.npz: features (N,2048), scores (N,classes).
Weights are random from a seed; the statistics of normalization are those of the pictures, then every scale and offset moves.
"""
import pathlib
import sys
import warnings

import numpy as np
import torch
import torchvision

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PLAIN = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def normalize(pixels, mean, std):
    """ToTensor() and Normalize(mean, std) of torchvision.transforms."""
    to_tensor = torchvision.transforms.ToTensor()
    scale = torchvision.transforms.Normalize(mean, std)
    return torch.stack([scale(to_tensor(picture)) for picture in pixels])


def settle(model, inputs, seed):
    """Makes statistics and weights such that activations stay alive and scores differ."""
    torch.manual_seed(seed)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.uniform_(0.4, 0.8)
            norm.bias.uniform_(-0.3, 0.3)
            norm.momentum = 1.0
        for module in model.Mixed_7c.modules():  # features then are as large as those of a trained network, 0.2 in the mean
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.mul_(0.6)
                module.bias.mul_(0.6)
        model.train()
        model(inputs)
        for norm in norms:
            norm.running_mean.add_(0.1 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean))
            norm.running_var.mul_(torch.empty_like(norm.running_var).uniform_(0.8, 1.25))
        model.fc.weight.normal_(0, 0.1)
        model.fc.bias.normal_(0, 0.5)
    model.eval()


def run(model, inputs, n_skipped=0):
    kept = {}
    handle = model.fc.register_forward_hook(lambda module, given, _: kept.update(features=given[0]))
    with torch.no_grad():
        logits = model(inputs)
    handle.remove()
    return kept["features"].numpy(), torch.softmax(logits[:, n_skipped:], 1).numpy()


def write(out, case, model, inputs, n_skipped=0, is_old=False, as_arrays=False, prefix=""):
    features, scores = run(model, inputs, n_skipped)
    np.savez(out / f"{case}-expected.npz", features=features, scores=scores)
    state = model.state_dict()
    if as_arrays:
        np.savez(out / f"{case}.npz", **{prefix + name: tensor.numpy() for name, tensor in state.items()})
    else:
        torch.save(state, out / f"{case}.pth", _use_new_zipfile_serialization=not is_old)
    print(f"{case}: {len(state)} tensors, features up to {features.max():.3g}, mean {features.mean():.3g}, scores up to {scores.max():.3g}")


def make_torchvision(pixels, out):
    def new(seed, **options):
        torch.manual_seed(seed)
        model = torchvision.models.inception_v3(weights=None, init_weights=False, **options)
        inputs = normalize(pixels, *IMAGENET)
        settle(model, inputs, seed + 1)
        return model, inputs
    model, inputs = new(10, transform_input=True)  # as the published weights are used
    write(out, "torchvision", model, inputs)
    write(out, "torchvision-old", model, inputs, is_old=True)
    write(out, "torchvision-safetensors", model, inputs, as_arrays=True, prefix="module.")
    # Trained from the beginning: nothing undoes Normalize().
    model, inputs = new(20, transform_input=False, aux_logits=False, num_classes=5)
    write(out, "torchvision-imagenet", model, inputs)


def make_timm(pixels, out):
    import timm

    def new(seed, name, scaling, **options):
        torch.manual_seed(seed)
        model = timm.create_model(name, pretrained=False, **options)
        config = model.default_cfg
        assert (tuple(config["mean"]), tuple(config["std"])) == scaling, (name, config)
        inputs = normalize(pixels, *scaling)
        settle(model, inputs, seed + 1)
        return model, inputs, config
    model, inputs, _ = new(30, "inception_v3", PLAIN)
    write(out, "timm-tv", model, inputs, as_arrays=True)
    for seed, case, name in ((40, "timm-tf", "tf_inception_v3"), (50, "timm-adv", "adv_inception_v3")):
        # The published files have 1001 outputs; loading drops the first label_offset of them.
        model, inputs, config = new(seed, name, PLAIN, num_classes=1001)
        write(out, case, model, inputs, n_skipped=config["label_offset"], as_arrays=case == "timm-adv")
    model, inputs, _ = new(60, "gluon_inception_v3", IMAGENET)
    write(out, "timm-gluon", model, inputs, as_arrays=True)


def main():
    warnings.simplefilter("ignore")
    pixels, out = np.load(sys.argv[1]), pathlib.Path(sys.argv[2])
    print(f"PyTorch {torch.__version__}, torchvision {torchvision.__version__}")
    make_torchvision(pixels, out)
    if len(sys.argv) > 3:
        sys.path.insert(0, sys.argv[3])
        make_timm(pixels, out)


if __name__ == "__main__":
    main()
