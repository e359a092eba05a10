# Results that nobody can take: a full device, a closed pipe, closed descriptors. An error, said where it can be, and files as always.
. "$fixtures/faults/faults.sh"
small_set set 3
$graft train set $options --epochs 2 -o m.safetensors >/dev/null
picture=set/food/$(ls set/food | head -1)
full() {
    echo "\$ graft $* >/dev/full"
    $graft "$@" 2>&1 >/dev/full | plain
    echo "exit status ${PIPESTATUS[0]}"
}
full --help
full help train
full train --help
full version
full info m.safetensors
full info m.safetensors --json
full predict m.safetensors "$picture"
full features "$picture" --layer mixed0 --precision f32 -o f.npy
full dataset check set --quiet
full dataset make set -o set.npz --quiet
full layers inception_v3
full train set $options --epochs 2 -o full.safetensors
cmp m.safetensors full.safetensors && echo "the model is whole"

$graft layers inception_v3 2>/dev/null | head -1
python3 -c '
import os, subprocess, sys
reader, writer = os.pipe()
os.close(reader)
print("exit status", subprocess.call(sys.argv[1:], stdout=writer))' $graft layers inception_v3

# With standard error closed, the model must not become where errors are printed.
rm -r "$home/features"
printf 'x' >set/food/bad.png
$graft train set --precision f32 --layer mixed0 --hidden 64 --epochs 2 -o open.safetensors >/dev/null 2>&1
rm -r "$home/features"
$graft train set --precision f32 --layer mixed0 --hidden 64 --epochs 2 -o closed.safetensors <&- >&- 2>&-
echo "exit status $?"
cmp open.safetensors closed.safetensors && echo "closed descriptors: the same bytes"
rm -r "$home/features"
$graft train set --precision f32 --layer mixed0 --hidden 64 --epochs 2 -o closed2.safetensors 2>&- >/dev/null
echo "exit status $?"
cmp open.safetensors closed2.safetensors && echo "closed standard error: the same bytes"
