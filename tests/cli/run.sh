#!/bin/bash
# Runs one CLI script in a scratch folder of its own and compares what it prints with NAME.expected beside it.
#
# A script is plain shell. It sees $graft (the program), $home (a graft home with the trunk, caches of its own), $fixtures (tests/), $pictures
# (real pictures, one folder a kind), and `try COMMAND...`, which prints the command, its stdout and stderr, and its exit status when
# that is not 0. `interrupt WORD COMMAND...` sends it a Ctrl-C once it has printed the word. Times, sizes and paths of this machine are made alike before comparing, and of progress only the last line of a stage is kept (see `plain`).
# Usage: run.sh SCRIPT.sh GRAFT      with UPDATE=1: writes the expected output instead
set -u
script=$(realpath "$1")
graft=$(realpath "$2")
fixtures=$(realpath "$(dirname "$0")/..")
expected=${script%.sh}.expected

[ -n "${GRAFT_TEST_HOME:-}" ] && [ -f "$GRAFT_TEST_HOME/trunks/inception_v3.safetensors" ] || {
    echo "run.sh: GRAFT_TEST_HOME has no trunk inception_v3; run make test" >&2
    exit 1
}
pictures=${GRAFT_TEST_PICTURES:?run make test}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/graft-cli-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
# Scripts do not quote every path: one with blanks, as of a clone in "My Projects", is reached by a link without.
for name in graft fixtures pictures; do
    [[ ${!name} == *[[:space:]]* ]] || continue
    ln -s "${!name}" "$scratch/$name"
    printf -v "$name" %s "$scratch/$name"
done
home=$scratch/home
# Trunks and packs are shared and only read; the feature cache is this script's own.
mkdir -p "$home/trunks" "$GRAFT_TEST_HOME/packs"
ln -s "$GRAFT_TEST_HOME/trunks/"*.safetensors "$home/trunks/"
ln -s "$GRAFT_TEST_HOME/packs" "$home/packs"
export GRAFT_HOME=$home
unset XDG_DATA_HOME
mkdir "$scratch/work"
cd "$scratch/work" || exit 1

plain() {
    sed -E -e "s#$scratch/work/?##g; s#$home#HOME#g; s#$fixtures#TESTS#g; s#$pictures#PICTURES#g; s#$graft#graft#g" \
        -e 's/[0-9]+\.[0-9]+ ?s\b/N s/g; s/[0-9]+\.[0-9]+ ?ms\b/N ms/g; s/[0-9.]+\/s\b/N\/s/g; s/\.import-[A-Za-z0-9]+/.import-X/g' \
        -e 's/, [0-9]+ s left//' \
        -e '/^[a-z]+ +[0-9]+\/[0-9]+  /{/^[a-z]+ +([0-9]+)\/\1  /!d; s/  [^ ]*$//}'
}
try() {
    local shown=()
    local word
    for word in "$@"; do
        [[ $word == "$graft" ]] && word=graft
        shown+=("$word")
    done
    echo "\$ ${shown[*]}" | plain
    "$@" >"$scratch/stdout" 2>"$scratch/stderr" </dev/null
    local status=$?
    plain <"$scratch/stdout"
    plain <"$scratch/stderr" | sed 's/^/! /'
    [ $status -eq 0 ] || echo "exit status $status"
    return 0
}

interrupt() {
    local word=$1 pid
    shift
    "$@" >"$scratch/stdout" 2>"$scratch/stderr" </dev/null &
    pid=$!
    until grep -q "$word" "$scratch/stdout" "$scratch/stderr" || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done
    kill -INT $pid
    wait $pid
    local status=$?
    cat "$scratch/stdout" "$scratch/stderr"
    echo "exit status $status"
}

# shellcheck disable=SC1090
(. "$script") >"$scratch/got" 2>&1

if [ "${UPDATE:-}" = 1 ]; then
    cp "$scratch/got" "$expected"
    exit 0
fi
diff -u "$expected" "$scratch/got"
