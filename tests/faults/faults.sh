# What the fault scripts share: a small data set, short options, and the look at what is left behind.
# shellcheck shell=bash

# small_set DIR N: N pictures of each of two kinds.
small_set() {
    local kind
    for kind in food vehicles; do
        mkdir -p "$1/$kind"
        find "$pictures/$kind" -name '*.png' | LC_ALL=C sort | head -"$2" | while read -r f; do cp "$f" "$1/$kind/"; done
    done
}
options="--precision f32 --layer mixed0 --hidden 64 --quiet"

# whole_or_absent FILE REFERENCE: says so only where it is neither.
whole_or_absent() {
    [ ! -e "$1" ] || cmp -s "$1" "$2" || echo "$1: there, and not whole"
}

# Milliseconds that a command takes.
milliseconds() {
    local start=${EPOCHREALTIME/[.,]/}
    "$@" >/dev/null 2>&1
    echo $(((${EPOCHREALTIME/[.,]/} - start) / 1000))
}

# kill_within MS COMMAND...: runs it and kills it at a random moment of MS milliseconds (RANDOM is seeded by the script).
kill_within() {
    local ms=$((RANDOM * $1 / 32768 + 5))
    shift
    (timeout -s KILL "$((ms / 1000)).$(printf %03d $((ms % 1000)))" "$@"; true) >/dev/null 2>&1
}
