#!/bin/sh
# Configures a build folder once and builds it; the program is then at BUILD/graft.
# Usage: tools/build.sh BUILD [meson setup options]
set -eu
build=$1
shift
if [ ! -f "$build/build.ninja" ]; then
    log=$(mktemp)
    meson setup "$build" "$@" >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
    rm -f "$log"
fi
exec ninja -C "$build" --quiet
