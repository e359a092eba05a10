# libgomp spins at the end of every layer unless it is told not to before it is loaded: the program starts itself again, once, and
# leaves somebody who has chosen alone.
mkdir -p set/a set/b
find "$pictures/food" -name '*.png' | LC_ALL=C sort | head -4 | while read -r f; do cp "$f" set/a/; done
find "$pictures/plants" -name '*.png' | LC_ALL=C sort | head -4 | while read -r f; do cp "$f" set/b/; done
seen_by() { # what the running program has in its environment
    mkfifo lines
    env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY "$@" $graft train set --precision f32 --layer mixed0 --hidden 8 \
        --epochs 100000 -o endless.safetensors >/dev/null 2>lines &
    pid=$!
    while read -r line; do
        case $line in
        "Epoch 1/"*)
            tr '\0' '\n' <"/proc/$pid/environ" | grep -E '^(GOMP_SPINCOUNT|OMP_WAIT_POLICY)='
            kill -INT $pid
            ;;
        esac
    done <lines
    wait $pid
    echo "exit status $?"
    rm -f lines endless.safetensors.checkpoint
}
seen_by
seen_by GOMP_SPINCOUNT=7
seen_by OMP_WAIT_POLICY=passive
# The result does not depend on any of it.
image=$(ls set/a/*.png | head -1)
for n in 1 2; do
    for wait in GOMP_SPINCOUNT=0 OMP_WAIT_POLICY=passive OMP_WAIT_POLICY=active; do
        env $wait $graft features "$image" --layer mixed0 --pool avg --precision f32 --threads $n -o "$n-$wait.npy" >/dev/null
    done
    echo "$n threads: $(sha256sum $n-*.npy | cut -d' ' -f1 | sort -u | wc -l) result"
done
