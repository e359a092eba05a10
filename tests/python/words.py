"""What the tests of the Python package share: a home of their own with the trunk in it, pictures.

The trunk comes from $GRAFT_TEST_HOME, pictures from $GRAFT_TEST_PICTURES (tools/test.sh sets them); the library is
$GRAFT_LIBRARY. Features are kept in the home of the test run, so that each picture passes the network once.
"""
import atexit
import glob
import os
import shutil
import subprocess
import sys
import tempfile


def variable(name):
    return os.environ.get(name) or sys.exit(f"{name} is not set; run make test")


GRAFT = os.path.realpath(variable("GRAFT"))
TESTS = os.environ.get("GRAFT_TESTS") or os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
PICTURES = variable("GRAFT_TEST_PICTURES")
HOME = tempfile.mkdtemp(prefix="graft-python-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
for folder in ("trunks", "packs"):
    source = os.path.join(variable("GRAFT_TEST_HOME"), folder)
    os.mkdir(os.path.join(HOME, folder))
    for name in os.listdir(source) if folder == "trunks" else []:
        os.symlink(os.path.join(os.path.realpath(source), name), os.path.join(HOME, folder, name))
os.environ["GRAFT_HOME"] = HOME
os.environ.pop("GRAFT_BUCKETS", None)
os.environ.pop("GRAFT_PRECISION", None)
os.environ.pop("CLOUD_ML_HP_METRIC_FILE", None)


def pictures(kind, n):
    """The first n files of a folder of the test pictures."""
    found = sorted(glob.glob(os.path.join(glob.escape(PICTURES), kind, "*")))
    assert len(found) >= n, f"{kind}: {len(found)} pictures"
    return found[:n]


def scratch(name):
    """A path in a folder of this run."""
    return os.path.join(HOME, name)


def graft(*arguments):
    """What the program prints."""
    done = subprocess.run([GRAFT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
