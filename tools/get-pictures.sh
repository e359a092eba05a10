#!/bin/sh
# Lays out Debian's tuxpaint-stamps-default pictures as a data set: DIR/KIND/NAME.png, and three held out in DIR-held-out.
# Usage: tools/get-pictures.sh DIR
set -eu

dir=$1
deps=${GRAFT_DEPS:-.deps}
stamps=$deps/stamps/usr/share/tuxpaint/stamps
kinds="animals food plants vehicles household"

[ -d "$dir" ] && exit 0

if [ ! -d "$stamps" ]; then
    # Aside, then renamed: a half that an interruption left is not taken for the pictures next time.
    rm -rf "$deps/stamps.partial" "$deps/stamps"
    mkdir -p "$deps/stamps.partial"
    echo "fetching Debian's tuxpaint-stamps-default" >&2
    as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    (cd "$deps/stamps.partial" && { apt-get download -q tuxpaint-stamps-default >/dev/null 2>&1 ||
        { $as_root apt-get update -q >/dev/null && apt-get download -q tuxpaint-stamps-default >/dev/null; }; } &&
        dpkg -x tuxpaint-stamps-default_*.deb . && rm -f tuxpaint-stamps-default_*.deb)
    mv "$deps/stamps.partial" "$deps/stamps"
fi

partial=$dir.partial
rm -rf "$partial" "$dir-held-out"
mkdir -p "$dir-held-out"
for kind in $kinds; do
    [ -d "$stamps/$kind" ] || continue
    mkdir -p "$partial/$kind"
    # Cartoons are drawings of drawings; mirrored and flipped stamps are the same picture again.
    find "$stamps/$kind" -name '*.png' ! -path '*cartoon*' ! -name '*_mirror*' ! -name '*_flip*' |
        LC_ALL=C sort | while read -r file; do
        name=$(printf %s "${file#"$stamps/$kind/"}" | tr / -)
        cp "$file" "$partial/$kind/$name"
    done
done
for kind in animals food vehicles; do
    first=$(find "$partial/$kind" -name '*.png' | LC_ALL=C sort | sed -n 4p)
    mv "$first" "$dir-held-out/$kind-$(basename "$first")"
done
mv "$partial" "$dir"
