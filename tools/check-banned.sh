#!/bin/sh
# Calls that lose a length, hide an error or bypass base/mem: none in our sources.
set -u
cd "$(dirname "$0")/.." || exit 1
found=$(mktemp)
trap 'rm -f "$found"' EXIT

# Strings and comments are cut away first, so that a sentence may name what the code may not call.
strip() {
    sed -E 's@"([^"\\]|\\.)*"@""@g; s@//.*$@@; s@/\*.*\*/@@g; s@^[[:space:]]*/?\*.*$@@' "$1"
}
refuse() { # pattern, why, files
    pattern=$1
    why=$2
    shift 2
    for file in "$@"; do
        strip "$file" | grep -nE "(^|[^A-Za-z0-9_>.])($pattern)[[:space:]]*\(" |
            sed "s@^\([0-9]*\):@check-banned: $file:\1: $why:@" >>"$found"
    done
}
# shellcheck disable=SC2046
{
    refuse 'sprintf|vsprintf|strcpy|strcat|gets|strtok|atoi|atol|atof|system|popen|tmpnam|alloca' 'banned call' \
        $(git ls-files 'src/*.c' 'src/*.h' 'include/*.h' 'examples/*.c' 'bench/*.c')
    refuse 'malloc|calloc|realloc|free|strdup|strndup|asprintf|aligned_alloc|posix_memalign' 'use base/mem.h' \
        $(git ls-files 'src/*.c' 'src/*.h' | grep -v -e '^src/base/' -e '^src/zoo/keras/graft-h5.c$')
    refuse 'printf|puts|putchar|perror|exit|_exit|abort|getenv|setenv' 'the library does not print, exit or read the environment' \
        $(git ls-files 'src/*.c' | grep -v -e '^src/cli/' -e '^src/zoo/keras/graft-h5.c$' -e '^src/worker/process.c$' \
                -e '^src/tasks/child_start.c$' -e '^src/jobs/local_spawn.c$')
}
cat "$found" >&2
[ ! -s "$found" ]
