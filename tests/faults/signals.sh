# Ctrl-C and SIGTERM: an orderly end with status 4 wherever they come, and nothing half-done left.
. "$fixtures/faults/faults.sh"
small_set set 5
mkdir -p many/food many/animals
for kind in food animals; do find "$pictures/$kind" -name '*.png' | LC_ALL=C sort | head -20 | while read -r f; do cp "$f" many/$kind/; done; done

# stop_when PREPARE CONDITION SIGNAL COMMAND...: sends the signal once the condition holds, then waits for the end. On a busy machine the
# command may be done before the condition is seen: then all of it is done again.
stop_when() {
    local prepare=$1 condition=$2 signal=$3 pid status i
    shift 3
    for i in {1..20}; do
        eval "$prepare"
        : >err # of the one before: its lines must not count
        "$@" >out 2>err &
        pid=$!
        until eval "$condition" || ! kill -0 $pid 2>/dev/null; do read -rt 0.01 <> <(:); done
        kill "-$signal" $pid 2>/dev/null
        wait $pid
        status=$?
        [ $status = 0 ] || break
    done
    echo "exit status $status"
    grep -v '^features\|^hash' err
}
has_rows='[ -n "$(find "$home/features" -size +8k 2>/dev/null)" ]'
for signal in INT TERM; do
    stop_when 'rm -rf "$home/features" m.safetensors*' "$has_rows" $signal $graft train many --precision f32 --threads 1 -o m.safetensors
    ls m.safetensors* 2>/dev/null
done
stop_when 'rm -rf "$home/features" f.npz*' "$has_rows" INT $graft features many --precision f32 --threads 1 -o f.npz --quiet
ls f.npz* 2>/dev/null

# While training: a checkpoint, that the next run goes on from.
endless="$graft train set --precision f32 --layer mixed0 --hidden 64 --epochs 100000 -o t.safetensors"
stop_when 'rm -f t.safetensors*' 'grep -q "^Epoch 30/" err' TERM $endless | sed -E '/^Epoch|pictures to learn/d; s/epoch [0-9]+ of/epoch N of/'
ls t.safetensors*
$endless --resume >out 2>err &
pid=$!
until grep -q '^Epoch' err || ! kill -0 $pid 2>/dev/null; do read -rt 0.01 <> <(:); done
kill -INT $pid 2>/dev/null
wait $pid
test "$(sed -n 's,^Epoch \([0-9]*\)/.*,\1,p' err | head -1)" -gt 30 && echo "went on"

# While packing, and while classifying many pictures.
stop_when 'rm -f big.npz*' 'ls big.npz.tmp* >/dev/null 2>&1' INT $graft dataset make many -o big.npz --size 1200 --threads 1 --quiet
ls big.npz* 2>/dev/null
stop_when : '[ -s err ]' INT $graft classify missing-1.png missing-2.png many/*/*.png many/*/*.png --precision f32 --threads 1 | sed -E 's/after [0-9]+/after N/'

# While exporting the trunk with its head: its temporary file is there, the output is not. A Ctrl-C goes to the whole group, graft-h5 too.
$graft train set $options --hidden 64 --layer mixed10 --epochs 2 -o big.safetensors >/dev/null
for ending in onnx tfjs h5 keras savedmodel; do
    format=${ending/h5/keras}
    for i in {1..20}; do # it takes a tenth of a second, which a busy machine may miss
        rm -rf big.$ending
        set -m # a group of its own
        $graft export big.safetensors --format $format -o big.$ending --quiet 2>err &
        set +m
        pid=$!
        until ls -d big.$ending.tmp* >/dev/null 2>&1 || ! kill -0 $pid 2>/dev/null; do read -rt 0.001 <> <(:); done
        kill -INT -- -$pid 2>/dev/null
        wait $pid
        status=$?
        [ $status = 0 ] || break
    done
    cat err
    echo "$ending: exit status $status"
    ls -d big.$ending* 2>/dev/null
done
