#!/bin/sh
# Configures a build folder, again where the options are others than last time, and builds it; the program is then at
# BUILD/graft.
# Usage: tools/build.sh BUILD [meson setup options]
set -eu
build=$1
shift
options=$build/set-up-options
wanted=$(printf '%s\n' "$@")

set_up() {
    log=$(mktemp)
    meson setup "$@" >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
    rm -f "$log"
    printf '%s\n' "$wanted" >"$options"
}
if [ ! -f "$build/build.ninja" ]; then
    set_up "$build" "$@"
elif [ -f "$options" ] && [ "$wanted" != "$(cat "$options")" ]; then
    set_up --reconfigure "$build" "$@"
fi
exec ninja -C "$build" --quiet
