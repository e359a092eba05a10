#!/bin/sh
# docs/cli.md from the program's own option tables. With --check: fails if the file says anything else.
# Usage: tools/make-cli-docs.sh GRAFT [--check]
set -eu
cd "$(dirname "$0")/.."
made=$(mktemp)
trap 'rm -f "$made"' EXIT
"$1" --markdown-help >"$made"
if [ "${2:-}" = --check ]; then
    diff -u docs/cli.md "$made" || { echo "docs/cli.md is out of date: run tools/make-cli-docs.sh $1" >&2; exit 1; }
else
    cp "$made" docs/cli.md
fi
