#!/bin/sh
# The benchmark: graft and its peers in one run, as a table and as bench/results/DATE-CPU.json.
# Usage: bench/run.sh BUILD [--quick] [numerics] [speed] [article] [start] [decode] [serve]      default: all, about 20 minutes
# --quick has fewer rounds and runs Keras for 2 epochs instead of 20; the table says so.
set -eu
build=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."

wants_keras=yes
for word in "$@"; do
    case $word in
    article) wants_keras=yes; break ;;
    -*) ;;
    *) wants_keras=no ;;
    esac
done

deps=${GRAFT_DEPS:-.deps}
mkdir -p "$deps"
GRAFT_DEPS=$(cd "$deps" && pwd)
export GRAFT_DEPS
tools/make-venv.sh bench/.venv bench/requirements.txt
[ "$wants_keras" = no ] || tools/make-venv.sh bench/.venv-tf bench/requirements-tf.txt
tools/get-trunk.sh "$build/graft" "$GRAFT_DEPS/home"
tools/get-pictures.sh "$GRAFT_DEPS/pictures"
exec bench/.venv/bin/python bench/bench.py "$build" "$@"
