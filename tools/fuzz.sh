#!/bin/sh
# Searches for inputs that crash a parser: every fuzz target for some seconds, from its corpus. A crash stops with the file's name; move it
# to tests/fuzz/corpus/TARGET/ and mend the parser.
# Usage: tools/fuzz.sh SECONDS [TARGET...]
set -eu
cd "$(dirname "$0")/.."
seconds=$1
shift
export CC=clang
tools/build.sh build-fuzz -Dfuzzing=true -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1
# Fixtures of the unit tests that are inputs of a target as well.
seed_folder() {
    case $1 in
    image) echo images ;;
    npz | safetensors) echo tensor ;;
    model_file) echo model ;;
    graphdef) echo zoo/tf ;;
    hdf5) echo zoo ;;
    keras_v3) echo zoo/keras tests/golden/zoo/nested ;;
    tensor_bundle) echo zoo/tf/export/variables ;;
    tfjs) echo zoo/small_quantised ;;
    torch) echo zoo/torch ;;
    *) echo none ;;
    esac
}

passed=0
failed=0
for program in build-fuzz/tests/fuzz/fuzz_*; do
    name=${program##*/fuzz_}
    case $name in *_replay* | *.p) continue ;; esac
    case " $* " in "  ") ;; *" $name "*) ;; *) continue ;; esac
    new=build-fuzz/found/$name
    seeds=""
    for folder in tests/fuzz/corpus/$name tests/golden/$(seed_folder "$name"); do
        [ -d "$folder" ] && seeds="$seeds $folder"
    done
    mkdir -p "$new"
    echo "fuzz: $name for $seconds s"
    # shellcheck disable=SC2086
    if "$program" -max_total_time="$seconds" -rss_limit_mb=3000 -timeout=20 -print_final_stats=0 \
        -artifact_prefix="$new/crash-" "$new" $seeds >"$new.log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        tail -40 "$new.log" >&2
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
