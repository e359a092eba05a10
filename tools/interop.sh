#!/bin/sh
# Compares graft with the programs whose formats and numbers it promises: every check_*.py and *.sh of tests/interop, in an
# environment with the versions of tests/interop/requirements.txt. Ends with one line "N passed, N failed".
# Usage: tools/interop.sh BUILD [NAME...]       NAME: "check_split" and the like; default: all
#
# A check is called with the build folder, and finds a home that holds the trunk in $GRAFT_TEST_HOME and pictures in
# $GRAFT_TEST_PICTURES. It prints what differs and exits with a status other than 0 if anything does.
set -eu
build=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."

deps=${GRAFT_DEPS:-.deps}
mkdir -p "$deps"
deps=$(cd "$deps" && pwd)
venv=tests/interop/.venv
tools/make-venv.sh "$venv" tests/interop/requirements.txt
tools/get-trunk.sh "$build/graft" "$deps/home"
tools/get-pictures.sh "$deps/pictures"
export GRAFT_TEST_HOME="$deps/home" GRAFT_TEST_PICTURES="$deps/pictures"
# TensorFlow tells of its start at length; what matters is in the exit status.
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=""

passed=0
failed=0
run() {
    if "$@"; then
        passed=$((passed + 1))
    else
        echo "interop: FAILED: $*" >&2
        failed=$((failed + 1))
    fi
}
for check in tests/interop/check_*.py tests/interop/*.sh; do
    [ -f "$check" ] || continue
    name=$(basename "$check" | sed 's/\.[a-z]*$//')
    case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
    echo "interop: $name"
    case $check in
    *.py) run "$venv/bin/python" "$check" "$build" ;;
    *) run sh "$check" "$build" ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$passed" -gt 0 ] && [ "$failed" -eq 0 ]
