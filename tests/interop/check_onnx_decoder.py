"""Does the file that `graft export --format onnx --with-decoder` writes decode, turn, resize and score as graft does?

usage: python3 check_onnx_decoder.py BUILD
ONNX Runtime has no operator ImageDecoder so far, which is checked first: the day that it has, this says so. The
committed small network runs whole in the ONNX project's reference evaluator, whose decoder is Pillow; of a model of pictures, on whose
size that takes minutes, the decoder runs there and the rest in ONNX Runtime. Pictures of several sizes, JPEG and PNG, in all
eight orientations, both byte orders: within 2e-3 of graft.
"""
import io
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import PIL.Image
import PIL.ImageOps

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "export"
PICTURES = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
TOLERANCE = 2e-3
failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"check_onnx_decoder: {what}: {found}", file=sys.stderr)


def exif(order, orientation):
    """The first directory of a camera: the tag in the middle of others."""
    entries = [(0x0100, 4, 1, 640), (0x0112, 3, 1, orientation), (0x011A, 4, 1, 6)]
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    for tag, kind, count, value in entries:
        out += struct.pack(order + "HHI", tag, kind, count)
        out += struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value)
    return b"Exif\0\0" + out + bytes(4)


def encode(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def opaque(path, side):
    """ImageDecoder gives three channels: pictures without transparency, no side longer than that."""
    picture = PIL.Image.open(path).convert("RGBA")
    picture = PIL.Image.alpha_composite(PIL.Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    picture.thumbnail((side, side))
    return picture


def versions_of(picture):
    """(name, bytes, ending) of one picture: as PNG of two sizes, and as JPEG turned in every way."""
    yield "small", encode(picture.resize((picture.width // 2, picture.height // 3)), "PNG"), ".png"
    yield "png", encode(picture, "PNG"), ".png"
    for orientation in range(1, 9):
        order = "<>"[orientation % 2]
        yield f"turned_{orientation}", encode(picture, "JPEG", quality=92, exif=exif(order, orientation)), ".jpg"
    yield "turned_9", encode(picture, "JPEG", quality=92, exif=exif("<", 9)), ".jpg"


def check_runtime(path):
    try:
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:
        check("what ONNX Runtime lacks is the decoder", "ImageDecoder" in str(error), error)
        return
    check("ONNX Runtime has no ImageDecoder", False, "it has: run the whole file in it, and mend docs/formats.md")


def check_golden():
    path = GOLDEN / "decoder.onnx"
    onnx.checker.check_model(onnx.load(path), full_check=True)
    check_runtime(path)
    whole = onnx.reference.ReferenceEvaluator(str(path))
    scores = onnxruntime.InferenceSession(GOLDEN / "softmax.onnx", providers=["CPUExecutionProvider"])
    worst = 0.0
    for name, data, _ in versions_of(opaque(PICTURES / "food" / "fruit-Cherry_Stella.png", 48)):
        found = whole.run(None, {"picture": np.frombuffer(data, np.uint8)})[0]
        turned = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data)))
        pixels = np.asarray(turned.resize((14, 17), PIL.Image.Resampling.BILINEAR), np.float32)
        want = scores.run(None, {"input": (pixels / 127.5 - 1)[None]})[0]
        difference = float(np.abs(found - want).max())
        check(f"reference evaluator, {name}", difference <= TOLERANCE, difference)
        worst = max(worst, difference)
    print(f"check_onnx_decoder: small network, reference evaluator: largest difference {worst:.3g}")


def split(model):
    """The decoder alone, and all that is behind it, whose input is what the decoder gives."""
    decoder = next(node for node in model.graph.node if node.op_type == "ImageDecoder")
    pixels = onnx.helper.make_tensor_value_info(decoder.output[0], onnx.TensorProto.UINT8, ["h", "w", 3])
    head = onnx.helper.make_model(onnx.helper.make_graph([decoder], "decoder", list(model.graph.input), [pixels]),
                                  opset_imports=model.opset_import, ir_version=model.ir_version)
    model.graph.node.remove(decoder)
    model.graph.input.append(pixels)
    return head, model, decoder.output[0]


def check_model(program, folder):
    home = os.environ["GRAFT_TEST_HOME"]

    def graft(*words):
        return subprocess.run([program, *words, "--home", home, "--quiet"], check=True, capture_output=True, text=True).stdout

    for kind in ("food", "vehicles"):
        (folder / "pictures" / kind).mkdir(parents=True)
        for path in sorted((PICTURES / kind).iterdir())[:4]:
            shutil.copy(path, folder / "pictures" / kind)
    model, exported = folder / "model.safetensors", folder / "model.onnx"
    graft("train", folder / "pictures", "--layer", "mixed5", "--epochs", "5", "--hidden", "16", "-o", model)
    graft("export", model, "--with-decoder", "-o", exported)
    whole = onnx.load(exported)
    onnx.checker.check_model(whole, full_check=True)
    properties = {one.key: one.value for one in whole.metadata_props}
    check("nothing is left to be done to a picture", "preprocessing" not in properties, properties)
    classes = json.loads(properties["classes"])
    head, rest, middle = split(whole)
    decoder = onnx.reference.ReferenceEvaluator(head)
    session = onnxruntime.InferenceSession(rest.SerializeToString(), providers=["CPUExecutionProvider"])
    worst = 0.0
    for source, side in ((sorted((PICTURES / "food").iterdir())[1], 800), (sorted((PICTURES / "vehicles").iterdir())[0], 200)):
        for name, data, ending in versions_of(opaque(source, side)):
            item = folder / f"{name}{ending}"
            item.write_bytes(data)
            top = json.loads(graft("predict", model, item, "--json", "--top", "2", "--precision", "f32"))[0]["top"]
            want = np.array([{one["class"]: one["score"] for one in top}[label] for label in classes])
            picture = np.frombuffer(data, np.uint8)
            found = session.run(["scores"], {"picture": picture, middle: decoder.run(None, {"picture": picture})[0]})[0]
            check("one row of scores", found.shape == (1, len(classes)), found.shape)
            difference = float(np.abs(found[0] - want).max())
            check(f"a model, {name}", difference <= TOLERANCE, difference)
            worst = max(worst, difference)
    print(f"check_onnx_decoder: a model of pictures: largest difference {worst:.3g}")


def main():
    check_golden()
    with tempfile.TemporaryDirectory() as folder:
        check_model(str(pathlib.Path(sys.argv[1]) / "graft"), pathlib.Path(folder))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
