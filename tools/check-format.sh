#!/bin/sh
# clang-format agrees with every C file. `tools/check-format.sh --fix` makes it so.
set -eu
cd "$(dirname "$0")/.."
files=$(git ls-files '*.c' '*.h')
if [ "${1:-}" = --fix ]; then
    # shellcheck disable=SC2086
    exec clang-format -i $files
fi
# shellcheck disable=SC2086
exec clang-format --dry-run --Werror $files
