"""What the notebook tests share: the server of tests/http/harness.py and graft's Python package."""

import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PYTHON_DIR = os.path.join(ROOT, "python")
for _folder in (PYTHON_DIR, os.path.join(os.path.dirname(HERE), "http")):
    sys.path.insert(0, _folder)

import harness  # noqa: E402  pylint: disable=wrong-import-position,unused-import
