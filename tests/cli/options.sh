# What the options of graft train do, each seen in the result: numbers of this CPU are compared, never printed.
mkdir -p set/food set/vehicles test/food test/vehicles
some() { find "$pictures/$1" -name '*.png' | LC_ALL=C sort | sed -n "$2"; }
cp $(some food 1,12p) set/food/
cp $(some vehicles 1,6p) set/vehicles/
cp $(some food 13,16p) test/food/
cp $(some vehicles 7,10p) test/vehicles/

# train NAME OPTIONS...: NAME.safetensors and NAME.json.
train() {
    local name=$1
    shift
    $graft train set --precision f32 --layer mixed0 --hidden 16 --epochs 8 -o "$name.safetensors" --json --quiet "$@" >"$name.json" || echo "$name: exit status $?"
}
cat >look.py <<'PY'
import json, struct

def tensors(name):
    data = open(name + ".safetensors", "rb").read()
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    return {k: data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]] for k, v in header.items() if k.startswith("head/")}

def document(name):
    data = open(name + ".safetensors", "rb").read()
    (n,) = struct.unpack("<Q", data[:8])
    return json.loads(json.loads(data[8:8 + n])["__metadata__"]["graft"])

def result(name):
    return json.load(open(name + ".json"))
PY
python() { PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=. python3 -c "from look import *; $1"; }

train plain
train again --threads 1
cmp plain.safetensors again.safetensors && echo "again: the same bytes"
python 'r = result("plain"); print(r["n_train"], r["n_test"], len(r["history"]), r["best_epoch"], r["layer"], r["precision"])'

# The same pictures as a table or packed: the same split, the same features, the same head.
for kind in food vehicles; do for f in set/$kind/*; do printf '%s,%s\n' "$f" $kind; done; done >rows
{ echo path,label; cat rows; } >set.csv
sed -E 's/(.*),(.*)/{"path": "\1", "label": "\2"}/' rows >set.jsonl
$graft dataset make set -o set.npz --quiet >/dev/null
for source in set.csv set.jsonl set.npz; do
    $graft train $source --precision f32 --layer mixed0 --hidden 16 --epochs 8 -o ${source#*.}.safetensors --quiet >/dev/null
    python "print('$source:', tensors('${source#*.}') == tensors('plain'))"
done

train seed --seed 7
python 'print("another seed, another head:", tensors("seed") != tensors("plain"))'
train val --val 0.3
python 'r = result("val"); print("--val 0.3:", r["n_train"], r["n_test"])'
train test --test test
python 'r = result("test"); print("--test:", r["n_train"], r["n_test"], [sum(row) for row in document("test")["training"]["metrics"]["confusion"]])'
train strata --stratify --val 0.34
python 'print("--stratify:", [sum(row) for row in document("strata")["training"]["metrics"]["confusion"]])'
train linear --hidden 0
python 'print("--hidden 0:", sorted(tensors("linear")))'
train weights --class-weight balanced
python 'print("balanced:", tensors("weights") != tensors("plain"), len(result("weights")["history"]))'
train stop --epochs 400 --early-stop 3 --lr 0.01
python '
r = result("stop")
losses = [e["val_loss"] for e in r["history"]]
best = losses.index(min(losses)) + 1
print("early stop:", len(losses) < 400, r["best_epoch"] == best, len(losses) == best + 3, abs(r["loss"] - min(losses)) < 1e-6)'
train dropout --dropout 0.5
python 'print("dropout:", tensors("dropout") != tensors("plain"))'
for optimizer in adam sgd rmsprop; do
    rate=0.001
    [ $optimizer = sgd ] && rate=0.1
    train $optimizer --optimizer $optimizer --epochs 40 --batch 4 --lr $rate
    python "h = result('$optimizer')['history']; print('$optimizer: learns', h[-1]['loss'] < 0.7 * h[0]['loss'])"
done
cmp -s adam.safetensors sgd.safetensors || echo "they differ"
train momentum --optimizer sgd --momentum 0.9
for batch in 1 1000; do
    train batch --batch $batch
    python "print('batch $batch:', len(result('batch')['history']))"
done

# Views of pictures: seeded, the same on any number of threads, of the training part only.
train views --augment flip,crop,rotate,brightness,contrast --views 2
train views2 --augment flip,crop,rotate,brightness,contrast --views 2 --threads 1
cmp views.safetensors views2.safetensors && echo "views: the same bytes"
python 'r = result("views"); print(r["n_train"], r["n_test"], tensors("views") != tensors("plain"))'

# The best cut of one pass.
$graft train set --precision f32 --layer auto --hidden 16 --epochs 8 -o auto.safetensors --quiet >auto.txt
grep -c '^probe ' auto.txt
grep -c '  chosen$' auto.txt
test "$(sed -n 's/^probe \([a-z0-9_]*\) .*chosen$/\1/p' auto.txt)" = "$($graft info auto.safetensors | sed -n 's/^layer: //p')" && echo "cut where the probe was best"

# bf16 where the CPU does it; elsewhere an error that says so.
if $graft train set --precision bf16 --layer mixed0 --hidden 16 --epochs 8 -o bf16.safetensors --json --quiet >bf16.json 2>bf16.txt; then
    grep -o '"precision": "bf16"' bf16.json
    $graft verify bf16.safetensors >/dev/null && $graft verify bf16.safetensors --precision f32 >/dev/null && echo "bf16: verified in both"
else
    grep -q 'bf16.*this CPU' bf16.txt && [ ! -e bf16.safetensors ] && printf '"precision": "bf16"\nbf16: verified in both\n'
fi

# The report, the default name, and what cannot be.
mkdir reported
(cd reported && $graft train ../set/ --precision f32 --layer mixed0 --hidden 16 --epochs 2 --report r.html --quiet >/dev/null && ls)
grep -c '<svg' reported/r.html >/dev/null && echo "curves drawn"
! grep -qE '(src|href)="https?:' reported/r.html && echo "nothing from elsewhere"
mkdir -p lone/a lone/b && cp set/food/* lone/a/ && cp "$(some vehicles 1p)" lone/b/
try $graft train lone --precision f32 --layer mixed0 --stratify -o lone.safetensors --quiet
try $graft train set --test lone --precision f32 --layer mixed0 -o lone.safetensors --quiet
try $graft train set --model nothing -o lone.safetensors --quiet
try $graft train set --layer 999 -o lone.safetensors --quiet
try $graft train set --layer dense_3 --precision f32 --epochs 1 -o top.safetensors --quiet | sed -E 's/[0-9]+\.[0-9]+/X/g; /^  /d; s/[0-9]+ of 4/R of 4/'
ls lone.* *.tmp* *.checkpoint 2>/dev/null
