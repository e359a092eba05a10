#!/bin/sh
# The other compiler agrees: a clang build with the same warnings as errors.
set -eu
cd "$(dirname "$0")/.."
export CC=clang
exec tools/build.sh build-clang
