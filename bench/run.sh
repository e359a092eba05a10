#!/bin/sh
# The benchmark: graft and its peers in one run, as a table and as bench/results/DATE-CPU.json.
# Usage: bench/run.sh BUILD [--quick] [numerics] [speed] [article] [start] [decode] [serve] [jobs]      default: all, about 20 minutes
# --quick has fewer rounds and runs Keras for 2 epochs instead of 20; the table says so.
set -eu
build=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."

# Two peers have environments of their own, made where their part is wanted.
wants() {
    part=$1
    shift
    is_any=no
    for word in "$@"; do
        case $word in
        "$part") return 0 ;;
        -*) ;;
        *) is_any=yes ;;
        esac
    done
    [ "$is_any" = no ]
}

deps=${GRAFT_DEPS:-.deps}
mkdir -p "$deps"
GRAFT_DEPS=$(cd "$deps" && pwd)
export GRAFT_DEPS
tools/make-venv.sh bench/.venv bench/requirements.txt
if wants article "$@"; then tools/make-venv.sh bench/.venv-tf bench/requirements-tf.txt; fi
if wants serve "$@"; then tools/make-venv.sh bench/.venv-kserve bench/requirements-kserve.txt; fi
tools/get-trunk.sh "$build/graft" "$GRAFT_DEPS/home"
tools/get-pictures.sh "$GRAFT_DEPS/pictures"
exec bench/.venv/bin/python bench/bench.py "$build" "$@"
