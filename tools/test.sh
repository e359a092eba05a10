#!/bin/sh
# Runs the tests of a build folder; ends with one line "N passed, N failed".
# Usage: tools/test.sh BUILD [SUITE...]
set -eu
build=$1
shift

mkdir -p "${GRAFT_DEPS:-.deps}"
deps=$(cd "${GRAFT_DEPS:-.deps}" && pwd)
GRAFT_TEST_HOME=$deps/home
export GRAFT_TEST_HOME
# The trunk is imported by the program under test's own release build: the importer has tests of its own.
tools/get-trunk.sh "$build/graft" "$GRAFT_TEST_HOME"
tools/get-pictures.sh "$deps/pictures"
tools/get-promtool.sh "$deps/promtool"
export GRAFT_TEST_PROMTOOL="$deps/promtool"
GRAFT_TEST_NPM=$(cd "$deps/npm/package" && pwd)
export GRAFT_TEST_NPM
GRAFT_TEST_PICTURES=$(cd "$deps/pictures" && pwd)
export GRAFT_TEST_PICTURES

# A locale that writes 1,5: numbers in files must not follow it.
export GRAFT_TEST_LOCALES="$deps/locale"
[ -d "$GRAFT_TEST_LOCALES/de_DE.UTF-8" ] || {
    mkdir -p "$GRAFT_TEST_LOCALES"
    localedef -i de_DE -f UTF-8 "$GRAFT_TEST_LOCALES/de_DE.UTF-8"
}

suites=""
for suite in "$@"; do suites="$suites --suite $suite"; done
# An allocator that must return NULL when a test says so; races and leaks are failures like any other.
# Workers tell faults of their own from signals that a test sent: the sanitizer leaves those to them.
export ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1:detect_leaks=1:handle_segv=0:handle_sigbus=0:handle_abort=0}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/tests/lsan.supp:print_suppressions=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:handle_segv=0:handle_sigbus=0:handle_abort=0}
status=0
# shellcheck disable=SC2086
meson test -C "$build" --no-rebuild --print-errorlogs $suites || status=$?

log=$build/meson-logs/testlog.json
passed=$(grep -c '"result": "OK"' "$log" || true)
total=$(grep -c '"result":' "$log" || true)
echo "$passed passed, $((total - passed)) failed"
[ "$total" -gt 0 ] || { echo "test: no test ran" >&2; exit 1; }
exit $status
