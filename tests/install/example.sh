#!/bin/bash
# What `meson install` lays down is enough: examples/article.c is compiled against it with pkg-config, shared and static, and does the
# article's job on real pictures; the installed program reads an HDF5 file, for which it must find its graft-h5.
# Usage: example.sh BUILD SOURCE
set -eu
build=$1
source=$2
home=${GRAFT_TEST_HOME:?run make test}
pictures=${GRAFT_TEST_PICTURES:?run make test}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/graft-install-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
fail() {
    echo "example.sh: $*" >&2
    exit 1
}

DESTDIR=$scratch/root meson install -C "$build" --no-rebuild --quiet
pc=$(find "$scratch/root" -name graft.pc)
prefix=$scratch/root$(sed -n 's/^prefix=//p' "$pc")
sed -i "s#^prefix=.*#prefix=$prefix#" "$pc" # as if it had been configured for here
export PKG_CONFIG_PATH=${pc%/*}
libdir=$(dirname "$(find "$scratch/root" -name libgraft.a)")
program=$(find "$scratch/root" -path '*/bin/graft')

# A sanitizer of the library's is needed by who links it.
sanitize=$(meson introspect "$build" --buildoptions | python3 -c '
import json, sys
value = next(o["value"] for o in json.load(sys.stdin) if o["name"] == "b_sanitize")
print("" if value == "none" else "-fsanitize=" + (",".join(value) if isinstance(value, list) else value))')

mkdir -p "$scratch/set/food" "$scratch/set/vehicles" "$scratch/home/trunks"
ln -s "$home/trunks/inception_v3.safetensors" "$scratch/home/trunks/"
ln -s "$home/packs" "$scratch/home/packs"
for kind in food vehicles; do
    find "$pictures/$kind" -name '*.png' | LC_ALL=C sort | head -10 | while read -r f; do cp "$f" "$scratch/set/$kind/"; done
done
picture=$(find "$scratch/set/vehicles" -name '*.png' | LC_ALL=C sort | head -1)

flags=$(pkg-config --cflags --libs graft)
all_flags=$(pkg-config --cflags --libs --static graft)
# shellcheck disable=SC2086
${CC:-cc} -std=c11 -Wall -Wextra -Werror $sanitize "$source/examples/article.c" $flags -o "$scratch/shared"
# shellcheck disable=SC2086
${CC:-cc} -std=c11 $sanitize "$source/examples/article.c" "$libdir/libgraft.a" ${all_flags//-lgraft/} -o "$scratch/static"

for kind in shared static; do
    LD_LIBRARY_PATH=$libdir "$scratch/$kind" "$scratch/home" "$scratch/set" "$picture" "$scratch/$kind.safetensors" >"$scratch/$kind.out" ||
        fail "the $kind program failed"
    grep -q '^Epoch 20/20 - loss: ' "$scratch/$kind.out" || fail "$kind: no twentieth epoch"
    [ "$(grep -c 'trainable$' "$scratch/$kind.out")" -ge 2 ] || fail "$kind: the two Dense layers are not trainable"
    grep -q 'frozen$' "$scratch/$kind.out" || fail "$kind: nothing is frozen"
    awk '/^Loss/ { ok = $4 >= 0.5 } END { exit !ok }' "$scratch/$kind.out" || fail "$kind: no accuracy worth a name: $(grep ^Loss "$scratch/$kind.out")"
    awk '/^Score/ { sum += $2 } END { exit !(sum > 0.999 && sum < 1.001) }' "$scratch/$kind.out" || fail "$kind: scores do not sum to one"
done
cmp "$scratch/shared.safetensors" "$scratch/static.safetensors" || fail "shared and static differ"

"$program" predict "$scratch/shared.safetensors" "$picture" --home "$scratch/home" --top 1 >"$scratch/predicted"
grep -q vehicles "$scratch/predicted" || fail "the installed program says otherwise: $(cat "$scratch/predicted")"

"$program" import "$source/tests/golden/zoo/small.h5" --as small --home "$scratch/home" --quiet >/dev/null ||
    fail "the installed program does not find its graft-h5"
cat "$scratch/shared.out"
