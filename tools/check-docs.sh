#!/bin/bash
# The documents say what is so: docs/cli.md is the program's own help, every C example in README and docs compiles, every local link
# leads somewhere, every `graft ...` line uses commands and options that exist, and the sessions ("$ graft ...") run, in order, on the
# pictures of the demo.
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
    case $command in
    dataset | models | versions | operations | bucket | token | jobs) command="$command ${rest%% *}" rest=${rest#* } ;;
    esac
    [ "$command" != "jobs submit" ] || command="$command ${rest%% *}"
    rest=${rest%% -- *} # behind it are a job's own arguments
    # shellcheck disable=SC2086
    help=$("$graft" $command --help 2>&1) || { echo "graft $command: no such command"; continue; }
    for option in $(grep -oE '(^| )--[a-z-]+' <<<"$rest"); do
        grep -q -e "$option" <<<"$help" || echo "graft $command: no option $option"
    done
done >"$work/commands"
[ ! -s "$work/commands" ] || { cat "$work/commands" >&2; complain "commands in the documents that do not exist"; }

# Sessions. What they print is shortened in the document, so only their success counts; the numbers are the tests' business.
deps=${GRAFT_DEPS:-.deps}
mkdir -p "$deps" "$work/session/demo" "$work/bin"
tools/get-trunk.sh "$graft" "$deps/home" >/dev/null
tools/get-pictures.sh "$deps/pictures"
ln -s "$(realpath "$deps/pictures")" "$work/session/demo/pictures"
ln -s "$(realpath "$deps/pictures-held-out")" "$work/session/demo/pictures-held-out"
ln -s "$(realpath "$graft")" "$work/bin/graft"
n_run=0
while read -r line; do
    (cd "$work/session" && PATH="$work/bin:$PATH" GRAFT_HOME="$(realpath "$OLDPWD/$deps/home")" \
        bash -c "$line" >"$work/output" 2>&1 </dev/null) ||
        { tail -3 "$work/output" >&2; complain "this does not run: $line"; }
    n_run=$((n_run + 1))
done < <(awk '/^```/ { fenced = !fenced } fenced && sub(/^\$ /, "")' README.md)
[ $n_run -gt 0 ] || complain "README.md has no session to run"

exit $failed
