#!/bin/sh
# cppcheck at zero. Suppressions stand in the source beside their reason.
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck disable=SC2046
exec cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --language=c -j 2 \
    --enable=warning,performance,portability \
    --suppress=missingInclude --suppress=missingIncludeSystem \
    -D__GNUC__=12 -D_GNU_SOURCE -DGRAFT_VERSION='"0"' -DGRAFT_LIBEXECDIR='"/"' \
    -Isrc -Iinclude $(git ls-files 'src/*.c' 'examples/*.c' 'bench/*.c')
