#!/bin/sh
# Lays out promtool of Debian's package prometheus as FILE; nothing is installed and no service is started.
# Usage: tools/get-promtool.sh FILE
set -eu

file=$1
deps=${GRAFT_DEPS:-.deps}

[ -x "$file" ] && exit 0

# Aside, then renamed: a half that an interruption left is not taken for the program next time.
rm -rf "$deps/prometheus.partial"
mkdir -p "$deps/prometheus.partial"
echo "fetching promtool of Debian's prometheus" >&2
as_root=""
[ "$(id -u)" = 0 ] || as_root=sudo
(cd "$deps/prometheus.partial" && { apt-get download -q prometheus >/dev/null 2>&1 ||
    { $as_root apt-get update -q >/dev/null && apt-get download -q prometheus >/dev/null; }; } &&
    dpkg -x prometheus_*.deb .)
mkdir -p "$(dirname "$file")"
mv "$deps/prometheus.partial/usr/bin/promtool" "$file"
rm -rf "$deps/prometheus.partial"
