#!/bin/bash
# The documents say what is so: docs/cli.md is the program's own help, every C example in README and docs compiles, every local link
# leads somewhere, and every `graft ...` line in README uses commands and options that exist.
# Usage: tools/check-docs.sh BUILD
set -u
build=$1
graft=$build/graft
failed=0
complain() { echo "check-docs: $*" >&2; failed=1; }

tools/make-cli-docs.sh "$graft" --check || failed=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
documents="README.md CONTRIBUTING.md CHANGELOG.md $(git ls-files 'docs/*.md')"

# ```c blocks: a whole file where it has main(), else statements in a function with the usual names declared.
for document in $documents; do
    awk -v base="$work/$(basename "$document" .md)" '
        /^```c$/ { n++; file = base "-" n ".c"; inside = 1; next }
        /^```/   { inside = 0 }
        inside   { print > file }' "$document"
done
for block in "$work"/*.c; do
    [ -e "$block" ] || continue
    if ! grep -q 'main(' "$block" && ! grep -q '^#include' "$block"; then
        { echo '#include <stdio.h>'; echo '#include <graft/graft.h>'
          echo 'void example(const char *home, const void *jpeg, size_t n_bytes, gf_error *err);'
          echo 'void example(const char *home, const void *jpeg, size_t n_bytes, gf_error *err) {'
          cat "$block"; echo '}'; } >"$block.tmp"
        mv "$block.tmp" "$block"
    fi
    gcc -std=c11 -Wall -Iinclude -fsyntax-only -Wno-unused "$block" || complain "$(basename "$block"): does not compile"
done

for document in $documents; do
    dir=$(dirname "$document")
    grep -oE '\]\([^)#]+' "$document" | sed 's/^](//' | grep -vE '^[a-z]+:' | while read -r link; do
        [ -e "$dir/$link" ] || echo "$document: $link leads nowhere"
    done | while read -r line; do complain "$line"; echo x >"$work/broken"; done
done
[ ! -e "$work/broken" ] || failed=1

# Commands in code blocks (fenced or indented): the command exists and knows each of its long options. Prose may begin with "graft is".
# shellcheck disable=SC2046
awk 'FNR == 1 { inside = 0 } /^```/ { inside = !inside; next } inside || /^    /' $(ls README.md docs/*.md) |
    grep -oE '^ *(\$ )?(build/)?graft [a-z].*' | sed -E 's/^ +//' | sed -E 's/^\$ //; s#^build/##; s/ +#.*//' |
    sort -u | while read -r _ command rest; do
    [ "$command" = dataset ] && command="dataset ${rest%% *}"
    # shellcheck disable=SC2086
    help=$("$graft" $command --help 2>&1) || { echo "graft $command: no such command"; continue; }
    for option in $(grep -oE '(^| )--[a-z-]+' <<<"$rest"); do
        grep -q -e "$option" <<<"$help" || echo "graft $command: no option $option"
    done
done >"$work/commands"
[ ! -s "$work/commands" ] || { cat "$work/commands" >&2; complain "commands in the documents that do not exist"; }

exit $failed
