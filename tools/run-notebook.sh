#!/bin/sh
# Runs a notebook from a clean kernel with graft's Python package of this checkout, and writes it with its outputs. A cell that fails
# ends it. $GRAFT_SERVER, $GRAFT_HOME, $GRAFT_PICTURES and $GRAFT_LIBRARY are the notebook's to use.
# Usage: tools/run-notebook.sh NOTEBOOK OUTPUT
set -eu

mkdir -p "$(dirname "$2")"
folder=$(cd "$(dirname "$2")" && pwd)
name=$(basename "$2")
root=$(cd "$(dirname "$0")/.." && pwd)

# The kernel runs elsewhere: what cells write goes with the folder, and relative paths must not change their meaning.
for variable in GRAFT_HOME GRAFT_PICTURES GRAFT_LIBRARY; do
    value=$(printenv "$variable" || true)
    case $value in
    '' | /*) ;;
    *) export "$variable=$PWD/$value" ;;
    esac
done

# Settings and kernels of whoever runs this stay out: Debian's own kernel is meant.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$1" "$scratch/$name"
export JUPYTER_CONFIG_DIR="$scratch/.jupyter" JUPYTER_DATA_DIR="$scratch/.jupyter" JUPYTER_RUNTIME_DIR="$scratch/.jupyter"
export IPYTHONDIR="$scratch/.ipython" PYTHONPATH="$root/python${PYTHONPATH:+:$PYTHONPATH}"
cd "$scratch"
if ! /usr/bin/python3 -m nbconvert --to notebook --execute --ExecutePreprocessor.kernel_name=python3 \
        --ExecutePreprocessor.timeout=300 --ExecutePreprocessor.record_timing=False \
        --output "$name" --output-dir "$folder" "$name" >log 2>&1; then
    cat log >&2
    exit 1
fi
