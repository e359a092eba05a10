"""Writes tests/golden/zoo/torch: small files as torch.save() writes state dicts, in both of its forms, without PyTorch.

usage: python3 tests/golden/make_torch.py        (in the project's folder)
Tensors: weight float32 (2,3) = 0 1 2 / 3 4 5; turned, the transposed view (3,2) of the same storage; half float16 (4) = 0.5 1
1.5 2; shifted, the last two of it; count int64 (). Hostile ones beside them: what a pickle may not do here.
"""
import collections
import io
import pathlib
import pickle
import pickletools
import struct
import sys
import types
import zipfile

OUT = pathlib.Path(__file__).parent / "zoo" / "torch"
DAY = (1980, 1, 1, 0, 0, 0)


class Storage:
    def __init__(self, kind, key, values, code):
        self.kind, self.key, self.n = kind, key, len(values)
        self.data = struct.pack(f"<{len(values)}{code}", *values)


class Tensor:
    def __init__(self, storage, offset, size, stride):
        self.arguments = (storage, offset, size, stride, False, collections.OrderedDict())

    def __reduce__(self):
        return torch._utils._rebuild_tensor_v2, self.arguments


def module(name, **members):
    made = types.ModuleType(name)
    for key, member in members.items():
        if isinstance(member, (type, types.FunctionType)):
            member.__module__, member.__qualname__, member.__name__ = name, key, key
        setattr(made, key, member)
    sys.modules[name] = made
    return made


def rebuild(*arguments):
    raise NotImplementedError


torch = module("torch", FloatStorage=type("FloatStorage", (), {}), HalfStorage=type("HalfStorage", (), {}),
               LongStorage=type("LongStorage", (), {}))
torch._utils = module("torch._utils", _rebuild_tensor_v2=rebuild)


class Pickler(pickle._Pickler):
    """In Python, so that persistent ids and names come out as torch's own."""

    def persistent_id(self, value):
        if isinstance(value, Storage):
            return "storage", value.kind, value.key, "cpu", value.n
        return None


def pickled(value, is_old=False):
    out = io.BytesIO()
    pickler = Pickler(out, 2)
    if is_old:
        pickler.persistent_id = lambda v: (*Pickler.persistent_id(pickler, v), None) if isinstance(v, Storage) else None
    pickler.dump(value)
    pickletools.dis(out.getvalue(), out=io.StringIO())
    return out.getvalue()


def state():
    floats = Storage(torch.FloatStorage, "0", range(6), "f")
    halves = Storage(torch.HalfStorage, "1", (0.5, 1, 1.5, 2), "e")
    longs = Storage(torch.LongStorage, "2", (7,), "q")
    return (floats, halves, longs), collections.OrderedDict(
        weight=Tensor(floats, 0, (2, 3), (3, 1)), turned=Tensor(floats, 0, (3, 2), (1, 3)),
        half=Tensor(halves, 0, (4,), (1,)), shifted=Tensor(halves, 2, (2,), (1,)), count=Tensor(longs, 0, (), ()))


def write_zip(name, pickle_bytes, storages, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(OUT / name, "w", compression) as file:
        def add(member, data):
            file.writestr(zipfile.ZipInfo(f"state/{member}", DAY), data, compression)
        add("data.pkl", pickle_bytes)
        add("byteorder", b"little")
        for storage in storages:
            add(f"data/{storage.key}", storage.data)


def write_old(name, value, storages):
    out = pickled(0x1950A86A20F9469CFC6C) + pickled(1001) + pickled({"protocol_version": 1001, "little_endian": True})
    out += pickled(value, True) + pickled([storage.key for storage in storages])
    for storage in storages:
        out += struct.pack("<q", storage.n) + storage.data
    (OUT / name).write_bytes(out)


class Call:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    storages, weights = state()
    write_zip("new.pth", pickled(weights), storages)
    write_zip("nested.pth", pickled({"epoch": 3, "rate": 0.1, "state_dict": weights}), storages, zipfile.ZIP_DEFLATED)
    write_old("old.pth", weights, storages)
    import os
    write_zip("calls_system.pth", pickled({"weight": Call(os.system, "touch /tmp/graft-was-called")}), ())
    write_zip("calls_eval.pth", pickled({"weight": Call(eval, "1 + 1")}), ())
    floats = storages[0]
    write_zip("beyond.pth", pickled({"weight": Tensor(floats, 1, (2, 3), (3, 1))}), storages)
    write_zip("huge.pth", pickled({"weight": Tensor(floats, 0, (1 << 40, 1 << 40), (0, 0))}), storages)
    short = Storage(torch.FloatStorage, "0", range(6), "f")
    short.data = short.data[:-4]
    write_zip("short.pth", pickled(weights), (short, *storages[1:]))
    with zipfile.ZipFile(OUT / "wheel.whl", "w") as file:
        file.writestr(zipfile.ZipInfo("package/models/net.pth", DAY), (OUT / "old.pth").read_bytes())
        file.writestr(zipfile.ZipInfo("package-1.dist-info/METADATA", DAY), "Name: package\n")


if __name__ == "__main__":
    main()
