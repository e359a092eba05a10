#!/bin/sh
# Every header compiles alone: public ones as C11 and as C++17, internal ones as C11.
# Usage: tools/check-headers.sh BUILD      where generated headers are
set -u
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.." || exit 1
failed=0
for header in include/graft/*.h; do
    gcc -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only -Iinclude -x c "$header" || failed=1
    g++ -std=c++17 -pedantic -Wall -Wextra -Werror -fsyntax-only -Iinclude -x c++ "$header" || failed=1
done
for header in src/*/*.h src/*/*/*.h; do
    gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -Isrc -I"$build/src" -Iinclude -x c "$header" || failed=1
done
exit $failed
