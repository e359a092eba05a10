"""Reads what numpy would read, with the standard library alone: arrays of the scripts beside it.

    read("f.npy")  -> Array;   read("f.npz") -> {name: Array}
"""
import ast
import io
import struct
import sys
import zipfile

CODES = {"f4": "f", "f8": "d", "u1": "B", "i8": "q", "i4": "i", "f2": "e"}


class Array:
    def __init__(self, dtype, shape, values):
        self.dtype, self.shape, self.values = dtype, shape, values

    def __repr__(self):
        return f"{self.dtype} {self.shape}"


def read_array(file):
    if file.read(6) != b"\x93NUMPY":
        raise ValueError("not an .npy")
    major = file.read(2)[0]
    n_header = struct.unpack("<H" if major == 1 else "<I", file.read(2 if major == 1 else 4))[0]
    header = ast.literal_eval(file.read(n_header).decode())
    assert not header["fortran_order"]
    n = 1
    for size in header["shape"]:
        n *= size
    dtype, data = header["descr"], file.read()
    if dtype[1] == "U":
        width = 4 * int(dtype[2:])
        values = [data[i * width:(i + 1) * width].decode("utf-32-le").rstrip("\0") for i in range(n)]
    else:
        values = struct.unpack(f"<{n}{CODES[dtype[1:]]}", data)
    return Array(dtype, header["shape"], values)


def read(path):
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            return read_array(file)
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy"): read_array(io.BytesIO(archive.read(name)))
                for name in archive.namelist()}


if __name__ == "__main__":
    found = read(sys.argv[1])
    for name, array in found.items() if isinstance(found, dict) else [("", found)]:
        print(name, array)
