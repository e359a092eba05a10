#!/bin/sh
# Makes a Python environment from pinned versions, or does nothing where it is there and the versions are the same.
# Usage: tools/make-venv.sh DIR REQUIREMENTS.txt
set -eu
dir=$1
requirements=$2
if [ -f "$dir/installed.txt" ] && cmp -s "$requirements" "$dir/installed.txt"; then
    exit 0
fi
echo "installing $requirements into $dir" >&2
rm -rf "$dir"
python3 -m venv "$dir"
"$dir/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
cp "$requirements" "$dir/installed.txt"
