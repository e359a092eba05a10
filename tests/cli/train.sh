# The main job on real pictures: train, look, verify, evaluate, predict; the same bytes at 1 and 2 threads; a warm second run.
mkdir set
for kind in food vehicles; do
    mkdir set/$kind
    find "$pictures/$kind" -name '*.png' | LC_ALL=C sort | head -20 | while read -r f; do cp "$f" set/$kind/; done
done
numbers() { sed -E 's/[0-9]+\.[0-9]+/X/g; s/[0-9]+ of 8 right/R of 8 right/; /^  /d; s/and [0-9]+ more/and N more/'; }

$graft train set --precision f32 --threads 1 --hidden 64 --layer mixed4 --epochs 30 -o one.safetensors --quiet | numbers
$graft train set --precision f32 --threads 2 --hidden 64 --layer mixed4 --epochs 30 -o two.safetensors --quiet >/dev/null
cmp one.safetensors two.safetensors && echo "1 and 2 threads: the same bytes"

# The second run came from the cache; a run with a cache of its own gives the same bytes again.
GRAFT_HOME=$home $graft train set --precision f32 --hidden 64 --layer mixed4 --epochs 30 -o warm.safetensors 2>notes >/dev/null
grep -o '([0-9]* from the cache)' notes
mv $home/features $home/features-old
$graft train set --precision f32 --hidden 64 --layer mixed4 --epochs 30 -o cold.safetensors 2>notes >/dev/null
grep -o '([0-9]* from the cache)' notes
cmp one.safetensors cold.safetensors && echo "cold and warm: the same bytes"

$graft verify one.safetensors | numbers
$graft evaluate one.safetensors set --json --quiet >evaluation.json
$graft predict one.safetensors set/food/*.png set/vehicles/*.png --top 1 --json >predictions.json
$graft train set --precision f32 --hidden 64 --layer mixed4 --epochs 30 --json --quiet -o json.safetensors >train.json
python3 - <<'PY'
import json
train, evaluation = json.load(open("train.json")), json.load(open("evaluation.json"))
predictions = json.load(open("predictions.json"))
print(train["n_train"], train["n_test"], len(train["history"]), train["accuracy"] >= 0.75)
metrics = train["metrics"]
print([(c["class"], c["n"]) for c in metrics["classes"]], metrics["accuracy"] == train["accuracy"])
print("confusion adds up:", sum(map(sum, metrics["confusion"])) == train["n_test"])
print(evaluation["accuracy"] > 0.85, len(predictions))
right = sum(p["class"] == p["image"].split("/")[1] for p in predictions)
print("predict agrees with evaluate:", right == round(evaluation["accuracy"] * len(predictions)))
PY
try $graft layers one.safetensors --tail 3

# A bundle needs no home.
$graft train set --precision f32 --hidden 64 --layer mixed4 --epochs 30 -o bundle.safetensors --bundle --quiet >/dev/null
$graft predict bundle.safetensors set/food/*.png --top 1 --json --home $PWD/empty-home >bundle.json
python3 - <<'PY'
import json
a, b = json.load(open("bundle.json")), json.load(open("predictions.json"))
print("bundle agrees:", all(x["class"] == y["class"] and abs(x["score"] - y["score"]) < 1e-4 for x, y in zip(a, b)))
PY

# Stopped with Ctrl-C and resumed: the same bytes as never stopped.
$graft train set --precision f32 --layer mixed4 --hidden 256 --epochs 300 -o whole.safetensors --quiet >/dev/null
mkfifo lines
$graft train set --precision f32 --layer mixed4 --hidden 256 --epochs 300 -o parts.safetensors >/dev/null 2>lines &
pid=$!
while read -r line; do
    case $line in "Epoch 20/"*) kill -INT $pid ;; esac
    last=$line
done <lines
wait $pid
echo "interrupted: exit status $?"
echo "$last" | sed "s,epoch [0-9]*,epoch N,"
ls parts.safetensors*
$graft train set --precision f32 --layer mixed4 --hidden 256 --epochs 200 -o parts.safetensors --quiet --resume 2>&1 | head -1
$graft train set --precision f32 --layer mixed4 --hidden 256 --epochs 300 -o parts.safetensors --quiet --resume >/dev/null
cmp whole.safetensors parts.safetensors && echo "resumed: the same bytes"
ls parts.safetensors*
