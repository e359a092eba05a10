# Two programs on one home at the same time: both succeed, with the bytes that one alone gives.
. "$fixtures/faults/faults.sh"
small_set set 8
both() {
    "${@//NAME/first}" >first.out 2>&1 &
    local first=$!
    "${@//NAME/second}" >second.out 2>&1
    echo "second: exit status $?"
    wait $first
    echo "first: exit status $?"
}
$graft train set $options --epochs 50 -o alone.safetensors >/dev/null

rm -r "$home/features"
both $graft train set $options --epochs 50 -o NAME.safetensors
cmp alone.safetensors first.safetensors && cmp alone.safetensors second.safetensors && echo "train: the same bytes"

rm -r "$home/features"
both $graft train set $options --epochs 50 -o same.safetensors
cmp alone.safetensors same.safetensors && echo "train to one name: the same bytes"

# A new home has no packed weights: both make them.
mkdir -p fresh/trunks
ln -s "$home/trunks/inception_v3.safetensors" fresh/trunks/
both $graft train set $options --epochs 50 -o NAME.safetensors --home "$PWD/fresh"
cmp alone.safetensors first.safetensors && cmp alone.safetensors second.safetensors && echo "new home: the same bytes"

both $graft import "$fixtures/golden/zoo/small.h5" --as twice --quiet
$graft layers twice | grep Total
both $graft dataset make set -o same.npz --quiet
$graft dataset make set -o alone.npz --quiet >/dev/null
cmp alone.npz same.npz && echo "dataset make: the same bytes"
find . "$home/" -name '*.tmp*'
