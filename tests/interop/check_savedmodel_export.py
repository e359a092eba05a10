"""Does TensorFlow give a model's scores from the folder that `graft export --format savedmodel` writes?

usage: python3 check_savedmodel_export.py BUILD
Pictures of every kind that JPEG and PNG files come in (large, tiny, grey, CMYK, 16 bits, transparent, each EXIF orientation), as base64
and as bytes: within 2e-3 of `graft predict --precision f32`, one by one and all in one call; from the scaled picture within 1e-4. Two
cuts, the head alone, a table of numbers, and the committed folders of tests/golden/export. TensorFlow's loader of today, its older one,
and saved_model_cli open them.
"""
import base64
import io
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy as np
import tensorflow as tf
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden" / "export"
IRIS = HERE.parent / "cli" / "data" / "iris.csv"
HOME = os.environ["GRAFT_TEST_HOME"]
PICTURES = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
TOLERANCE, DECODED_TOLERANCE = 1e-4, 2e-3
MOST_BYTES = 100 << 20
failures = []


def check(what, found, is_good):
    print(f"check_savedmodel_export: {what}: {found}")
    if not is_good:
        failures.append(what)
        print(f"check_savedmodel_export: {what}: {found} is not good enough", file=sys.stderr)


def compare(what, found, want, tolerance):
    difference = np.abs(found - want).max(axis=1)
    check(f"{what}, largest difference", float(difference.max()), difference.max() <= tolerance)
    return int(difference.argmax())


def graft(program, *words):
    return subprocess.run([program, *words, "--home", HOME, "--quiet"], check=True, capture_output=True, text=True).stdout


def scores_of_graft(program, model, items, classes, *options):
    answers = json.loads(graft(program, "predict", model, *items, "--json", "--top", str(len(classes)), *options))
    by_name = [{one["class"]: one["score"] for one in answer["top"]} for answer in answers]
    return np.array([[scores[name] for name in classes] for scores in by_name], np.float32)


# ---- pictures --------------------------------------------------------------------------------------------------------------


def exif(orientation, order, prefix=b"Exif\0\0"):
    magic = b"II*\0" if order == "<" else b"MM\0*"
    width = struct.pack(order + "HHII", 0x100, 4, 1, 77)
    turn = struct.pack(order + "HHIHH", 0x112, 3, 1, orientation, 0)
    return prefix + magic + struct.pack(order + "IH", 8, 2) + width + turn + bytes(4)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_16(levels, colour_type, chunks=b""):
    height, width = levels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunks + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpegs(photos):
    def of(i, *size):
        return photos[i % len(photos)].resize(size)
    yield "large", encoded(of(0, 4000, 3000), "JPEG", quality=90)
    yield "large grey", encoded(of(1, 3000, 3200).convert("L"), "JPEG")
    yield "medium, colours not halved", encoded(of(2, 1200, 1200), "JPEG", subsampling=0)
    yield "wide", encoded(of(3, 3000, 400), "JPEG")
    yield "tall, progressive", encoded(of(4, 310, 2500), "JPEG", progressive=True)
    yield "CMYK", encoded(of(5, 700, 500).convert("CMYK"), "JPEG")
    yield "tiny", encoded(of(6, 10, 7), "JPEG")
    yield "as the network takes it", encoded(of(7, 299, 299), "JPEG")
    for i, side in enumerate((597, 598, 599, 1195, 1196, 2391, 2392)):  # where the decoder's fraction changes
        yield f"{side} pixels", encoded(of(i, side, side + 7), "JPEG")
    for turn in range(10):
        yield f"EXIF {turn}", encoded(of(turn, *((900, 640) if turn % 2 else (500, 700))), "JPEG",
                                      exif=exif(turn, "<" if turn % 3 else ">"))
        yield f"large, EXIF {turn}", encoded(of(turn, 2700, 1500), "JPEG", exif=exif(turn, "<" if turn % 2 else ">"))
    turned = encoded(of(7, 600, 450), "JPEG", exif=exif(6, ">"))
    place = turned.index(b"Exif\0\0") + 6
    yield "EXIF behind fill bytes", turned[:2] + b"\xff\xe2\0\x06abcd" + b"\xff\xff\xff" + turned[2:]
    yield "EXIF behind a short segment", turned[:2] + b"\xff\xe1\0\x05abc" + turned[2:]
    yield "EXIF with its list outside", turned[:place + 4] + b"\xff" * 4 + turned[place + 8:]
    yield "EXIF with its list cut", turned[:place + 8] + b"\x7f\xff" + turned[place + 10:]


def pngs(photos):
    photo = photos[6].resize((640, 480))
    levels, clear = np.asarray(photo), np.tile(np.linspace(0, 255, 640).astype(np.uint8), (480, 1))
    grey = Image.fromarray(levels[:, :, 1])
    wide = levels.astype(np.uint16) * 257 - (levels > 0) * np.uint16(100)
    yield "PNG", encoded(photos[5].resize((2500, 1900)), "PNG")
    yield "PNG of one pixel", encoded(Image.new("RGB", (1, 1), (200, 10, 30)), "PNG")
    yield "PNG, transparent", encoded(Image.fromarray(np.dstack([levels, clear])), "PNG")
    yield "PNG, grey and transparent", encoded(Image.fromarray(np.dstack([levels[:, :, 0], clear]), "LA"), "PNG")
    yield "PNG, grey", encoded(grey, "PNG")
    yield "PNG of one bit", encoded(grey.convert("1"), "PNG")
    yield "PNG of one bit, a colour transparent", encoded(grey.convert("1"), "PNG", transparency=0)
    yield "PNG, palette", encoded(photo.quantize(200), "PNG")
    yield "PNG, palette of 4 bits", encoded(photo.quantize(16), "PNG", bits=4)
    yield "PNG, palette, transparent", encoded(photo.quantize(64), "PNG", transparency=bytes(range(0, 256, 4)))
    yield "PNG, grey, a colour transparent", encoded(grey, "PNG", transparency=100)
    yield "PNG, a colour transparent", encoded(photo, "PNG", transparency=tuple(map(int, levels[10, 10])))
    yield "PNG of 16 bits", png_16(wide, 2)
    yield "PNG of 16 bits, transparent", png_16(np.dstack([wide, clear.astype(np.uint16) * 257]), 6)
    yield "PNG of 16 bits, grey, a level transparent", png_16(wide[:, :, 0], 0, chunk(b"tRNS", struct.pack(">H", wide[5, 5, 0])))
    plain = encoded(photos[2].resize((400, 300)), "PNG")
    for turn, before in ((3, b"IDAT"), (6, b"IDAT"), (8, b"IDAT"), (5, b"IEND")):
        place = plain.index(before) - 4
        yield f"PNG, EXIF {turn} before {before.decode()}", plain[:place] + chunk(b"eXIf", exif(turn, ">", b"")) + plain[place:]


def make_pictures(folder):
    """[(name, file)], also written below folder, and an order of names that the shell would keep."""
    real = [path for kind in ("food", "animals", "vehicles") for path in sorted((PICTURES / kind).iterdir())[:4]]
    photos = [Image.open(path).convert("RGB") for path in real]
    made = [*jpegs(photos), *pngs(photos), *((path.name, path.read_bytes()) for path in real)]
    (folder / "kinds").mkdir(parents=True)
    for i, (_, data) in enumerate(made):
        (folder / "kinds" / f"{i:03}").write_bytes(data)
    return made


# ---- pictures' models ------------------------------------------------------------------------------------------------------


def check_folder(exported, classes):
    size = sum(path.stat().st_size for path in exported.rglob("*") if path.is_file())
    check("bytes", size, size < MOST_BYTES)
    names = (exported / "assets" / "classes.txt").read_text().splitlines()
    check("classes", names, names == classes)
    properties = json.loads((exported / "assets.extra" / "graft.json").read_text())
    check("classes among the properties", properties["classes"], properties["classes"] == classes)
    return properties


def check_files(signatures, exported, files, want):
    data = [data for _, data in files]
    together = signatures["bytes"](inputs=tf.constant(data))["outputs"].numpy()
    worst = compare("bytes, together", together, want, DECODED_TOLERANCE)
    print(f"check_savedmodel_export: worst: {files[worst][0]}")
    alone = np.concatenate([signatures["bytes"](inputs=tf.constant([one]))["outputs"].numpy() for one in data])
    compare("bytes, one by one", alone, want, DECODED_TOLERANCE)
    mute = [one.replace(b"Exif\0\0", b"Exig\0\0") for one in data]
    unturned = signatures["bytes"](inputs=tf.constant(mute))["outputs"].numpy()
    n_moved = int((np.abs(unturned - want).max(axis=1) > DECODED_TOLERANCE).sum())
    check("pictures that would fail if EXIF were not read", n_moved, n_moved >= 8)
    default, some = signatures["serving_default"], slice(20, 30)
    for how, code in (("url-safe base64", base64.urlsafe_b64encode), ("standard base64", base64.b64encode),
                      ("base64 without padding", lambda one: base64.urlsafe_b64encode(one).rstrip(b"=")),
                      ("base64 in lines", base64.encodebytes)):
        answer = default(inputs=tf.constant([code(one) for one in data[some]]))["outputs"].numpy()
        compare(how, answer, want[some], DECODED_TOLERANCE)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(exported))
        signature = meta.signature_def["bytes"]
        answer = session.run(signature.outputs["outputs"].name, {signature.inputs["inputs"].name: data[some]})
    compare("the older loader", answer, want[some], DECODED_TOLERANCE)


def check_refusals(signatures):
    gif, jpeg = (encoded(Image.new("RGB", (99, 99), "red"), kind) for kind in ("GIF", "JPEG"))
    for what, data, words in (("GIF", gif, "neither JPEG nor PNG"), ("no picture", b"hello", "neither JPEG nor PNG"),
                              ("empty", b"", "neither JPEG nor PNG"), ("a cut JPEG", jpeg[:len(jpeg) * 3 // 4], ""), ("JPEG's beginning", b"\xff\xd8\xff", ""),
                              ("PNG's beginning", b"\x89PNG\r\n\x1a\n", "")):
        try:
            signatures["bytes"](inputs=tf.constant([data]))
            check(f"{what} is refused", "it is not", False)
        except tf.errors.InvalidArgumentError as error:
            check(f"{what} is refused", words, words in str(error))


EMPTY = '''
import sys
import tensorflow as tf
for name, signature in sorted(tf.saved_model.load(sys.argv[1]).signatures.items()):
    inputs = signature.structured_input_signature[1]["inputs"]
    print(name, *signature(inputs=tf.zeros([0, *inputs.shape[1:]], inputs.dtype))["outputs"].shape)
'''


def check_empty(exported, n_classes):
    """No pictures give no rows. oneDNN's convolution gives an empty batch the shape of its input, so without it."""
    shown = subprocess.run([sys.executable, "-c", EMPTY, str(exported)], check=True, stdout=subprocess.PIPE, text=True,
                           env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}).stdout.splitlines()
    check("rows of no pictures", shown, shown == [f"{name} 0 {n_classes}" for name in ("bytes", "serving_default", "tensor")])


def check_program(exported, inputs, want):
    command = pathlib.Path(sys.executable).with_name("saved_model_cli")
    shown = subprocess.run([command, "show", "--dir", exported, "--all"], check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in ("signature_def['serving_default']:", "signature_def['bytes']:", "signature_def['tensor']:",
                 "inputs['inputs'] tensor_info:", "outputs['outputs'] tensor_info:", "dtype: DT_STRING",
                 "Method name is: tensorflow/serving/predict"):
        check(f"saved_model_cli shows {line}", line in shown, line in shown)
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/in.npy", inputs)
        subprocess.run([command, "run", "--dir", exported, "--tag_set", "serve", "--signature_def", "tensor",
                        "--inputs", f"inputs={folder}/in.npy", "--outdir", folder], check=True, stdout=subprocess.DEVNULL)
        compare("saved_model_cli run", np.load(f"{folder}/outputs.npy"), want, TOLERANCE)


def check_pictures(program, folder, layer, files):
    model, exported = folder / f"{layer}.safetensors", folder / layer
    graft(program, "train", folder / "train", "--layer", layer, "--epochs", "5", "--hidden", "64", "--dropout", "0.2", "-o", model)
    graft(program, "export", model, "--format", "savedmodel", "-o", exported)
    recipe = check_folder(exported, ["food", "vehicles"])["preprocessing"]
    items = sorted((folder / "pictures" / "kinds").iterdir())
    want = scores_of_graft(program, model, items, ["food", "vehicles"], "--precision", "f32")
    signatures = tf.saved_model.load(str(exported)).signatures
    check_files(signatures, exported, files, want)
    check_refusals(signatures)
    check_empty(exported, 2)
    graft(program, "dataset", "make", folder / "pictures", "--size", str(recipe["width"]), "-o", folder / "pictures.npz")
    with np.load(folder / "pictures.npz") as file:
        pixels = file["features"]
    inputs = pixels.astype(np.float32) * np.float32(recipe["scale"]) + np.float32(recipe["shift"])
    compare("tensor", signatures["tensor"](inputs=tf.constant(inputs))["outputs"].numpy(), want, TOLERANCE)
    check_program(exported, inputs[:3], want[:3])

    graft(program, "features", folder / "pictures", "--layer", layer, "--precision", "f32", "-o", folder / "features.npz")
    graft(program, "export", model, "--format", "savedmodel", "--head-only", "-o", folder / f"{layer}-head")
    with np.load(folder / "features.npz") as file:
        features = file["features"].reshape(len(items), -1)
    head = tf.saved_model.load(str(folder / f"{layer}-head")).signatures
    check("signatures of a head", sorted(head), sorted(head) == ["serving_default"])
    compare("head", head["serving_default"](inputs=tf.constant(features))["outputs"].numpy(), want, TOLERANCE)


# ---- the others ------------------------------------------------------------------------------------------------------------


def check_table(program, folder):
    model, exported = folder / "iris.safetensors", folder / "iris"
    graft(program, "train", IRIS, "--hidden", "16", "--epochs", "30", "-o", model)
    graft(program, "export", model, "--format", "savedmodel", "-o", exported)
    lines = IRIS.read_text().splitlines()
    properties = check_folder(exported, ["setosa", "versicolor", "virginica"])
    check("columns", properties["columns"], properties["columns"] == lines[0].split(",")[:-1])
    rows = np.array([line.split(",")[:-1] for line in lines[1:]], np.float32)
    answer = tf.saved_model.load(str(exported)).signatures["serving_default"](inputs=tf.constant(rows))
    compare("iris", answer["outputs"].numpy(), scores_of_graft(program, model, [], properties["classes"], "--numbers", str(IRIS)),
            TOLERANCE)


def check_golden():
    """The committed folders, whose bytes the unit test compares: every class of layer."""
    inputs = np.load(GOLDEN / "input.npy").reshape(-1, 17, 14, 3)
    for path in sorted(GOLDEN.glob("*.savedmodel")):
        answer = tf.saved_model.load(str(path)).signatures["tensor"](inputs=tf.constant(inputs))
        compare(f"every class of layer, {path.name}", answer["outputs"].numpy(), np.load(path.with_suffix(".npy")), TOLERANCE)


def main():
    program = str(pathlib.Path(sys.argv[1]) / "graft")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = make_pictures(folder / "pictures")
        for kind in ("food", "vehicles"):
            (folder / "train" / kind).mkdir(parents=True)
            for path in sorted((PICTURES / kind).iterdir())[:8]:
                shutil.copy(path, folder / "train" / kind)
        check_golden()
        check_table(program, folder)
        check_pictures(program, folder, "avg_pool", files)
        check_pictures(program, folder, "mixed3", files)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
