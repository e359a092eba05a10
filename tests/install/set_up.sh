#!/bin/bash
# tools/build.sh sets up anew when its options change: `make install PREFIX=...` after a `make` goes to the new prefix.
# Usage: set_up.sh SOURCE
set -eu
source=$1
scratch=$(mktemp -d "${TMPDIR:-/tmp}/graft set up-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
cat >meson.build <<'END'
project('tiny')
install_data('meson.build', install_dir: get_option('datadir'))
END
for prefix in "$scratch/a" "$scratch/b" "$scratch/b" "$scratch/a c"; do
    "$source/tools/build.sh" build "--prefix=$prefix" >log 2>&1 || { cat log; exit 1; }
    meson install -C build --no-rebuild --quiet
    [ -f "$prefix/share/meson.build" ] || { echo "set_up.sh: nothing was installed below $prefix"; exit 1; }
    rm -r "$prefix"
done
