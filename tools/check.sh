#!/bin/sh
# Everything about the sources that can be judged without running the tests. Each line names the check that failed.
# Usage: tools/check.sh BUILD
set -u
build=$1
failed=0
run() {
    name=$1
    shift
    if "$@"; then
        echo "check: $name: ok"
    else
        echo "check: $name: FAILED" >&2
        failed=1
    fi
}
run layers tools/check-layers.sh
run banned-calls tools/check-banned.sh
run headers tools/check-headers.sh "$build"
run format tools/check-format.sh
run cppcheck tools/check-cppcheck.sh "$build"
run clang tools/check-clang.sh
run docs tools/check-docs.sh "$build"
exit $failed
