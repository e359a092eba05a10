#!/usr/bin/env python3
"""task_packages.py FOLDER: the archives that the tests of tasks/ unpack: good ones, and ones that no honest tool makes."""
import io
import os
import sys
import tarfile
import zipfile

SETUP = "from setuptools import setup\nsetup(name='op', version='1.0', packages=['op']{})\n"
TASK = '''
import argparse, json, os, signal, subprocess, sys

parser = argparse.ArgumentParser()
parser.add_argument("what")
parser.add_argument("--job-dir")
parser.add_argument("--tell", help="a pipe to write to, and to hold open")
parser.add_argument("--lr")
options = parser.parse_args()
pipe = open(options.tell, "w") if options.tell else None

def tell(text):
    pipe.write(text)
    pipe.flush()

def wait():
    while True:
        signal.pause()

if options.what == "succeed":
    print("all is well")
elif options.what == "environment":
    keep = ("CLOUD_ML", "GRAFT_", "OMP_NUM", "PYTHON", "TF_CONFIG")
    print(json.dumps({k: v for k, v in os.environ.items() if k.startswith(keep)}))
    print(json.dumps({"argv": sys.argv[1:], "cwd": os.getcwd(), "op": sys.modules["__main__"].__file__}))
elif options.what == "fail":
    print("about to fail", flush=True)
    raise ValueError("no such opera")
elif options.what == "die":
    os.kill(os.getpid(), signal.SIGKILL)
elif options.what == "wait":
    tell("waiting")
    wait()
elif options.what == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell("waiting")
    wait()
elif options.what == "daemon":
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.write(write, b"x")
            wait()
        os._exit(0)
    os.read(read, 1)
    tell("left behind")
elif options.what == "flood":
    sys.stdout.write("0123456789abcde\\N{BULLET}" * 600000)
elif options.what == "import":
    import tinydep
    print("tinydep", tinydep.version, tinydep.__file__)
else:
    sys.exit("what?")
'''

# What other tools than setuptools are to pip, as small as can be.
BACKEND = '''
import os, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "op-1.0-py3-none-any.whl"
    info = "op-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.write("code/__init__.py", "op/__init__.py")
        wheel.write("code/task.py", "op/task.py")
        wheel.writestr(info + "/METADATA",
                       "Metadata-Version: 2.1\\nName: op\\nVersion: 1.0\\nRequires-Dist: tinydep\\n")
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "/RECORD", "op/__init__.py,,\\nop/task.py,,\\n")
    return name
'''


def tar(path, mode, members):
    """members: (name, content or None for a folder, changes to the TarInfo)."""
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as archive:
        for name, content, changes in members:
            info = tarfile.TarInfo(name)
            info.mode = 0o644
            if content is None:
                info.type = tarfile.DIRTYPE
            data = (content or "").encode()
            info.size = len(data)
            for key, value in changes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data) if info.isreg() else None)


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)


def sdist(needs="", extra=()):
    return [("op-1.0", None, {}), ("op-1.0/setup.py", SETUP.format(needs), {}), ("op-1.0/op", None, {}),
            ("op-1.0/op/__init__.py", "", {}), ("op-1.0/op/task.py", TASK, {"mode": 0o4755})] + list(extra)


def link(name, target, kind=tarfile.SYMTYPE):
    return (name, "", {"type": kind, "linkname": target, "size": 0})


def special(name, kind):
    return (name, "", {"type": kind, "size": 0, "devmajor": 1, "devminor": 3})


def wheel(path, name, version, members, requires=()):
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in requires)
    members = list(members) + [
        (f"{info}/METADATA", metadata + "\nRequires-Dist: of-the-description\n"),
        (f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")]
    record = "".join(f"{member},,\n" for member, _ in members) + f"{info}/RECORD,,\n"
    zipped(path, members + [(f"{info}/RECORD", record)])


def make_good(folder):
    for ending in ("gz", "bz2", "xz"):
        tar(f"{folder}/op-1.0.tar.{ending}", f"w:{ending}", sdist())
    zipped(f"{folder}/op-1.0.zip", [(name, text) for name, text, _ in sdist() if text is not None])
    wheel(f"{folder}/op-1.0-py3-none-any.whl", "op", "1.0",
          [("op/__init__.py", ""), ("op/task.py", TASK), ("op-1.0.data/purelib/beside.py", "")])
    tar(f"{folder}/src-1.0.tar.gz", "w:gz", [
        ("op-1.0/setup.py", SETUP.format(", package_dir={'': 'src'}"), {}), ("op-1.0/src/op/__init__.py", "", {}),
        ("op-1.0/src/op/task.py", TASK, {})])
    tar(f"{folder}/links-1.0.tar.gz", "w:gz", sdist(extra=[
        link("op-1.0/op/same.py", "task.py"), link("op-1.0/op/up.py", "../setup.py"),
        link("op-1.0/op/twin.py", "op-1.0/op/task.py", tarfile.LNKTYPE),
        ("op-1.0/op/twice.py", "first = 1", {}), ("op-1.0/op/twice.py", "second = 2", {})]))
    egg = [("op-1.0/op.egg-info/requires.txt", "tinydep>=1.5\n\n[:python_version < '3']\nold\n\n[tests]\npytest\n", {})]
    tar(f"{folder}/needs-1.0.tar.gz", "w:gz", sdist(extra=egg))
    tar(f"{folder}/asks-1.0.tar.gz", "w:gz", sdist(", install_requires=['tinydep', 'graft']"))
    tar(f"{folder}/impossible-1.0.tar.gz", "w:gz",
        sdist(extra=[("op-1.0/op.egg-info/requires.txt", "tinydep>=99\n", {})]))
    tar(f"{folder}/nonsense-1.0.tar.gz", "w:gz",
        sdist(extra=[("op-1.0/op.egg-info/requires.txt", "--index-url=http://x\n", {})]))
    tar(f"{folder}/raises-1.0.tar.gz", "w:gz",
        [("op-1.0/setup.py", "raise SystemExit('install_requires? never')\n", {})])
    built = [("op-1.0/code/__init__.py", "", {}), ("op-1.0/code/task.py", TASK, {})]
    tar(f"{folder}/mapped-1.0.tar.gz", "w:gz", built + [
        ("op-1.0/setup.py", "from setuptools import setup\nsetup(name='op', version='1.0', packages=['op'], "
         "package_dir={'op': 'code'}, install_requires=['tinydep'])\n", {})])
    tar(f"{folder}/where-1.0.tar.gz", "w:gz", [
        ("op-1.0/pyproject.toml", "[project]\nname = 'op'\nversion = '1.0'\ndependencies = ['tinydep']\n"
         "[tool.setuptools.packages.find]\nwhere = ['python']\n", {}),
        ("op-1.0/python/op/__init__.py", "", {}), ("op-1.0/python/op/task.py", TASK, {})])
    tar(f"{folder}/unbuildable-1.0.tar.gz", "w:gz", built + [
        ("op-1.0/setup.py", "package_dir = {}\nraise SystemExit('not today')\n", {})])
    tar(f"{folder}/own-backend-1.0.tar.gz", "w:gz", [
        ("op-1.0/pyproject.toml", "[project]\nname = 'op'\nversion = '1.0'\n[build-system]\nrequires = []\n"
         "build-backend = 'backend'\nbackend-path = ['.']\n[tool.own]\npackages = ['code']\n", {}),
        ("op-1.0/backend.py", BACKEND, {})] + built)
    os.mkdir(f"{folder}/index")
    for version in ("1.0", "2.0"):
        wheel(f"{folder}/index/tinydep-{version}-py3-none-any.whl", "tinydep", version,
              [("tinydep.py", f"version = '{version}'\n")])


def make_bad(folder):
    bad = {
        "absolute": [("/tmp/graft-absolute", "x", {})],
        "dotdot": [("op/../../escaped", "x", {})],
        "only-dotdot": [("..", None, {})],
        "link-absolute": [link("op/link", "/etc/passwd")],
        "link-out": [link("op/link", "../../escaped")],
        "link-turns": [link("op/link", "inner/../../../escaped")],
        "link-then-file": [link("op", "."), ("op/file", "x", {})],
        "link-folder-out": [link("op/a", ".."), ("op/a/a/escaped", "x", {})],
        "twin-out": [link("op/twin", "../../etc/passwd", tarfile.LNKTYPE)],
        "twin-of-nothing": [link("op/twin", "op/other", tarfile.LNKTYPE)],
        "twin-of-link": [link("op/link", "file"), link("op/twin", "op/link", tarfile.LNKTYPE)],
        "device": [special("op/null", tarfile.CHRTYPE)],
        "block": [special("op/disk", tarfile.BLKTYPE)],
        "pipe": [special("op/pipe", tarfile.FIFOTYPE)],
        "file-and-folder": [("op", "x", {}), ("op/file", "x", {})],
        "folder-and-file": [("op/file", "x", {}), ("op", "x", {})],
        "long": [("a" * 300, "x", {})],
        "deep": [("a/" * 80 + "b", "x", {})],
        "nothing": [],
    }
    for name, members in bad.items():
        tar(f"{folder}/{name}.tar.gz", "w:gz", members)
    zipped(f"{folder}/zip-dotdot.zip", [("../escaped", "x")])
    entry = zipfile.ZipInfo("op/link")
    entry.create_system = 3
    entry.external_attr = 0o120777 << 16
    zipped(f"{folder}/zip-link.zip", [(entry, "/etc/passwd")])
    with open(f"{folder}/op-1.0.tar.gz", "rb") as file:
        whole = file.read()
    with open(f"{folder}/truncated.tar.gz", "wb") as file:
        file.write(whole[:len(whole) // 2])
    with open(f"{folder}/text.tar.gz", "w", encoding="ascii") as file:
        file.write("this is no archive at all\n" * 100)
    with open(f"{folder}/empty.tar.gz", "w", encoding="ascii"):
        pass
    tar(f"{folder}/plain.tar.gz", "w:gz", [("op/task.py", TASK, {})])  # unpacks, but is no package
    tar(f"{folder}/bomb.tar.gz", "w:gz", [("op/zeros", "0" * 1000000, {})])
    tar(f"{folder}/many.tar.gz", "w:gz", [(f"op/{i}", "", {}) for i in range(100)])


make_good(sys.argv[1])
make_bad(sys.argv[1])
