"""Writes tests/golden/tensor: small .npy, .npz and safetensors files as numpy and safetensors make them.

Run with the versions below (python3 make_tensor.py); test_tensor.c, test_npz.c and test_safetensors.c
hold the expected values. VERSIONS records what wrote the committed files: numpy 2.4.6, safetensors 0.8.0.
"""
import io
import pathlib
import struct
import warnings
import zipfile

import numpy as np
import safetensors
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent / "tensor"


def arrays():
    """Each value is a function of its index, so that the tests can compute it."""
    return {
        "u8_3d": (np.arange(24) * 7 % 256).astype(np.uint8).reshape(2, 3, 4),
        "f32_2d": (np.arange(12) / 4 - 1).astype(np.float32).reshape(3, 4),
        "f64_1d": np.array([0.0, -1.5, 1e300, 3.141592653589793]),
        "f16_1d": np.array([1.0, -2.5, 65504.0, 6e-8, np.inf], np.float16),
        "i64_1d": np.array([0, -1, 2**40, -(2**63)], np.int64),
        "i8_1d": np.array([-128, -1, 127], np.int8),
        "u16_1d": np.array([0, 258, 65535], np.uint16),
        "bool_1d": np.array([True, False, True]),
        "f32_0d": np.array(2.5, np.float32),
        "f32_empty": np.zeros((0, 4), np.float32),
    }


def make_npy():
    for name, array in arrays().items():
        np.save(HERE / f"{name}.npy", array)
    ordered = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    np.save(HERE / "i32_fortran.npy", np.asfortranarray(ordered))
    np.save(HERE / "f32_big_endian.npy", arrays()["f32_2d"].astype(">f4"))
    np.save(HERE / "i32_big_fortran.npy", np.asfortranarray(ordered.astype(">i4")))
    np.save(HERE / "text.npy", np.array(["rose", "Zoë"]))
    np.save(HERE / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(HERE / "records.npy", np.zeros(2, dtype=[("x", "<f4"), ("y", "<i4")]))
    np.save(HERE / "complex.npy", np.zeros(2, dtype=np.complex64))
    for version in ((2, 0), (3, 0)):
        with open(HERE / f"f32_v{version[0]}.npy", "wb") as file:
            np.lib.format.write_array(file, arrays()["f32_2d"], version=version)


def make_npz():
    members = {
        "features": arrays()["u8_3d"],
        "labels": np.array([1, 0], np.int64),
        "classes": np.array(["rose", "Zoë", "花", "", "\U0001f339x"]),
        "scaled": arrays()["f32_2d"],
        "fortran": np.asfortranarray(arrays()["f32_2d"]),
        "big": arrays()["f32_2d"].astype(">f4"),
        "flags": arrays()["bool_1d"],
        "scalar": arrays()["f32_0d"],
        "empty": arrays()["f32_empty"],
        "big_text": np.array(["ab", "é"]).astype(">U2"),
        "text_2d": np.array([["a", "b"]]),
    }
    np.savez(HERE / "stored.npz", **members)
    np.savez_compressed(HERE / "deflated.npz", **members)


def npy_bytes(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def write_zip(name, members, method=zipfile.ZIP_STORED):
    with warnings.catch_warnings(), zipfile.ZipFile(HERE / name, "w", method) as archive:
        warnings.simplefilter("ignore")  # the same name twice is what is wanted
        for member, data in members:
            archive.writestr(zipfile.ZipInfo(member), data, method)


def make_odd_zips():
    x = npy_bytes(arrays()["f32_2d"])
    with zipfile.ZipFile(HERE / "zip64.npz", "w") as archive:
        with archive.open(zipfile.ZipInfo("x.npy"), "w", force_zip64=True) as member:
            member.write(x)
    write_zip("bzip2.npz", [("x.npy", x)], zipfile.ZIP_BZIP2)
    write_zip("twice.npz", [("x.npy", x), ("x.npy", x)])
    write_zip("notes.npz", [("x.npy", x), ("notes.txt", b"hello")])
    write_zip("none.npz", [])
    write_zip("stub.npz", [("x.npy", b"\x93NUMPY\x01\x00\x00\x00data")])
    codes = {"surrogate": [[0x61, 0xD800]], "beyond": [[0x110000, 0x61]], "nul": [[0x61, 0], [0, 0x61]]}
    np.savez(HERE / "bad_text.npz",
             **{name: np.array(c, "<u4").view("<U2").reshape(-1) for name, c in codes.items()})
    # A megabyte of zeros behind a header that asks for three bytes.
    three = npy_bytes(np.zeros(3, np.uint8))
    write_zip("bomb.npz", [("x.npy", three + bytes(1 << 20))], zipfile.ZIP_DEFLATED)
    # Consistent, and impossible: a few hundred bytes that claim to unpack to four gigabytes.
    claim = 0xFFFFFF00
    header = npy_bytes(np.zeros(3, np.uint8))[:128].replace(b"(3,), }       ", b"(%d,), }" % (claim - 128))
    write_zip("claims.npz", [("x.npy", header)], zipfile.ZIP_DEFLATED)
    data = (HERE / "claims.npz").read_bytes()
    true_size = struct.pack("<L", len(header))
    assert data.count(true_size) == 2  # in the local header and in the directory
    (HERE / "claims.npz").write_bytes(data.replace(true_size, struct.pack("<L", claim)))
    # A directory that claims more members than memory holds (zip64).
    (HERE / "crowd.npz").write_bytes(
        struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 2**33, 2**33, 0, 0)
        + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
        + struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    )


def make_safetensors():
    metadata = {"graft": '{"a":1}', "by": "Zoë"}  # written in another order at every run
    save_file(arrays(), HERE / "all.safetensors", metadata=metadata)
    # A header of a length that leaves the values of a float32 tensor on an odd address.
    header = b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    header += b" " * (1 - len(header) % 2)
    data = struct.pack("<Q", len(header)) + header + struct.pack("<2f", 1.5, -2.0)
    (HERE / "misaligned.safetensors").write_bytes(data)


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    make_npy()
    make_npz()
    make_odd_zips()
    make_safetensors()
    (HERE / "VERSIONS").write_text(f"numpy {np.__version__}\nsafetensors {safetensors.__version__}\n")
