# kill -9 at random moments of every long piece of work: files are whole or absent, and the next run gives the same bytes.
. "$fixtures/faults/faults.sh"
RANDOM=20260
small_set set 5

# Features, training, and the model's writing.
train() { $graft train set $options --epochs 400 --bundle -o "$@"; }
all_ms=$(milliseconds train whole.safetensors)
rm -r "$home/features"
for i in {1..12}; do
    [ $((i % 4)) = 1 ] && rm -rf "$home/features"
    kill_within "$all_ms" $graft train set $options --epochs 400 --bundle -o killed.safetensors
    whole_or_absent killed.safetensors whole.safetensors
    rm -f killed.safetensors
done
train killed.safetensors >/dev/null
cmp whole.safetensors killed.safetensors && echo "train: the same bytes"

# From a checkpoint: one is written at Ctrl-C, then the resumed runs are killed.
$graft train set $options --epochs 3000 -o long.safetensors >/dev/null
ms=$(milliseconds $graft train set $options --epochs 3000 -o long2.safetensors)
for i in {1..6}; do
    timeout -s INT 0.$((RANDOM % 4 + 2)) $graft train set $options --epochs 3000 --resume -o resumed.safetensors >/dev/null 2>&1
    kill_within "$ms" $graft train set $options --epochs 3000 --resume -o resumed.safetensors
    whole_or_absent resumed.safetensors long.safetensors
    rm -f resumed.safetensors
done
$graft train set $options --epochs 3000 --resume -o resumed.safetensors >/dev/null
cmp long.safetensors resumed.safetensors && echo "resumed: the same bytes"
ls resumed.safetensors.checkpoint 2>/dev/null

# Packing a data set.
$graft dataset make set -o whole.npz --quiet >/dev/null
ms=$(milliseconds $graft dataset make set -o other.npz --quiet)
for i in {1..6}; do
    kill_within "$ms" $graft dataset make set -o killed.npz --quiet
    whole_or_absent killed.npz whole.npz
    rm -f killed.npz
done
$graft dataset make set -o killed.npz --quiet >/dev/null
cmp whole.npz killed.npz && echo "dataset make: the same bytes"

# Importing: a trunk of 90 MB from a Keras file, whose reader is a process of its own and must not stay behind.
import() { $graft pull inception_v3 --from "$fixtures/golden/zoo/inception_v3_filled.h5" --quiet --home "$@"; }
import "$PWD/reference" >/dev/null
ms=$(milliseconds import "$PWD/measured")
for i in {1..6}; do
    kill_within "$ms" $graft pull inception_v3 --from "$fixtures/golden/zoo/inception_v3_filled.h5" --quiet --home "$PWD/killed"
    whole_or_absent killed/trunks/inception_v3.safetensors reference/trunks/inception_v3.safetensors
    rm -f killed/trunks/inception_v3.safetensors
done
import "$PWD/killed" >/dev/null
cmp reference/trunks/inception_v3.safetensors killed/trunks/inception_v3.safetensors && echo "pull: the same bytes"
for i in {1..600}; do
    pgrep -f "graft-h5.*$PWD" >/dev/null || break
    read -rt 0.1 <> <(:)
done
pgrep -fa "graft-h5.*$PWD" || echo "no reader left behind"

# Exporting the trunk with its head: what is left beside the output is called temporary, and what reads stops with who asked.
for ending in onnx tfjs h5 keras savedmodel graft; do
    format=${ending/h5/keras}
    $graft export whole.safetensors --format $format -o whole.$ending --quiet
    ms=$(milliseconds $graft export whole.safetensors --format $format -o measured.$ending)
    for i in {1..6}; do
        kill_within "$ms" $graft export whole.safetensors --format $format -o left.$ending
        [ ! -e left.$ending ] || diff -r left.$ending whole.$ending
        rm -rf left.$ending
    done
    $graft export whole.safetensors --format $format -o left.$ending --quiet
    diff -r left.$ending whole.$ending && echo "export $ending: the same bytes"
    find . -maxdepth 1 -name 'left.*' ! -name left.$ending ! -name "left.$ending.tmp.[0-9]*"
    rm -rf left.*
done
for i in {1..600}; do
    pgrep -f "graft-h5.*--write left" >/dev/null || break
    read -rt 0.1 <> <(:)
done
pgrep -fa "graft-h5.*--write left" || echo "no writer left behind"
