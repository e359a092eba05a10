# Files and folders that may not be read or written. Root may do everything, so as root the program runs as nobody.
. "$fixtures/faults/faults.sh"
chmod a+rx "$scratch" "$scratch/work"
cp "$graft" "$(dirname "$(realpath "$graft")")/graft-h5" .
# Copies, because the checkout may lie below a folder that nobody may enter, as /root is.
cp -r "$fixtures/golden/zoo/small_float32" "$fixtures/golden/zoo/inception_v3_filled.h5" .
small_set set 3
mkdir -p own ro/trunks sealed
cp "$home/trunks/inception_v3.safetensors" ro/trunks/
chmod a+rwx own
chmod 555 ro/trunks ro sealed
if [ "$(id -u)" = 0 ]; then
    as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
else
    as_user() { "$@"; }
fi
user() {
    echo "\$ graft ${*:2}" | plain
    as_user ./graft "${@:2}" >out 2>err
    local status=$?
    plain <out | sed -E 's/[0-9]+\.[0-9]+/X/g; /^  /d'
    plain <err | sed 's/^/! /'
    [ $status = 0 ] || echo "exit status $status"
}

# A home that is only read: packs and the cache are done without.
user graft train set --home ro --precision f32 --layer mixed0 --hidden 8 --epochs 2 -o own/m.safetensors --quiet | sed 's/: [0-9] of [0-9].*//'
user graft predict own/m.safetensors "set/food/$(ls set/food | head -1)" --home ro --top 1 --quiet
find ro -newer own/m.safetensors
user graft import small_float32 --as small --home ro
user graft pull inception_v3 --from inception_v3_filled.h5 --home ro

# Results in a folder that may not be written: told before the work is done.
user graft train set --home ro --layer mixed0 -o sealed/m.safetensors --quiet
user graft train set --home ro --layer mixed0 -o own/n.safetensors --report sealed/r.html --quiet
user graft dataset make set -o sealed/set.npz --quiet
user graft features set --home ro --layer mixed0 --precision f32 -o sealed/f.npz --quiet

# What may not be read.
chmod 000 "set/food/$(ls set/food | head -1)"
user graft train set --home ro --precision f32 --layer mixed0 --hidden 8 --epochs 2 -o own/m.safetensors | sed 's/: [0-9] of [0-9].*//' | grep -v Epoch
user graft dataset check set --quiet
user graft classify "set/food/$(ls set/food | head -1)" --home ro
chmod 000 set/food
user graft train set --home ro --layer mixed0 -o own/n.safetensors --quiet
chmod 755 set/food
as_user cp own/m.safetensors own/secret.safetensors
as_user chmod 000 own/secret.safetensors
user graft info own/secret.safetensors
chmod 000 ro/trunks/inception_v3.safetensors
user graft layers inception_v3 --home ro
ls own sealed
chmod 755 ro ro/trunks
