#!/usr/bin/env python3
"""task_trials.py FOLDER: trial.tar.gz, a package whose module does what a trial's hyperparameter `way` says."""
import io
import sys
import tarfile

SETUP = "from setuptools import setup\nsetup(name='trial', version='1.0', packages=['trial'])\n"
TASK = '''
import argparse, json, os, signal, sys

parser = argparse.ArgumentParser()
parser.add_argument("--job-dir")
parser.add_argument("--way", required=True)
parser.add_argument("--pipe", help="to tell of oneself")
options = parser.parse_args()
path = os.environ["CLOUD_ML_HP_METRIC_FILE"]

def note(step, value, tag="training/hptuning/metric"):
    with open(path, "a") as file:
        file.write(json.dumps({"timestamp": float(step), "trial": os.environ["CLOUD_ML_TRIAL_ID"],
                               "global_step": str(step), tag: str(value)}) + "\\n")

if options.way.startswith("good"):
    for step in range(1, 11):
        note(step, float(options.way[4:]) * step / 10)
elif options.way == "hopeless":
    note(1, 0.001)
    note(9, 0.001)
    while True:
        signal.pause()
elif options.way == "fail":
    sys.exit("a way that fails")
elif options.way == "other":
    note(1, 0.5, "accuracy_of_mine")
elif options.way == "silent":
    pass
elif options.way == "wait":
    with open(options.pipe, "w") as pipe:
        pipe.write("waiting")
    while True:
        signal.pause()
'''


def main():
    with tarfile.open(sys.argv[1] + "/trial.tar.gz", "w:gz") as archive:
        for name, text in (("setup.py", SETUP), ("trial/__init__.py", ""), ("trial/task.py", TASK)):
            info = tarfile.TarInfo("trial-1.0/" + name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))


main()
