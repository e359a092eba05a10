# A trained model asked: top-k, timings, JSON, several pictures, bad ones, a bundle, a trunk that is not there.
mkdir -p set/food set/vehicles set/household
for kind in food vehicles household; do
    find "$pictures/$kind" -name '*.png' | LC_ALL=C sort | head -6 | while read -r f; do cp "$f" set/$kind/; done
done
$graft train set --precision f32 --layer mixed0 --hidden 32 --epochs 30 --stratify -o m.safetensors --quiet >/dev/null
$graft train set --precision f32 --layer mixed0 --hidden 32 --epochs 30 --stratify -o b.safetensors --bundle --quiet >/dev/null
food=$(ls set/food/*.png | head -1)
other=$(ls set/vehicles/*.png | head -1)
printf 'no picture' >bad.jpg
: >empty.png
scores() { sed -E 's/^  [0-9]\.[0-9]{6}  .*/  S  CLASS/; s/^  decode .*/  decode, network, head/'; }

try $graft predict m.safetensors $food $other | scores
try $graft predict m.safetensors $food --top 1 -v | scores
try $graft predict m.safetensors $food --top 99 | scores
try $graft predict m.safetensors bad.jpg $food empty.png missing.png --top 1 | scores
try $graft predict m.safetensors set
try $graft predict m.safetensors $food --top 0
try $graft predict m.safetensors $food --max-pixels 10
try $graft predict inception_v3 $food | scores
try $graft classify $food --model m.safetensors --top 1 | scores

# JSON: every picture in order, also when one was bad.
$graft predict m.safetensors $food bad.jpg $other --json >some.json
echo "exit status $?"
python3 - <<'PY'
import json
answers = json.load(open("some.json"))
for a in answers:
    top = a["top"]
    print(a["image"].split("/")[1], sorted(t["class"] for t in top), a["class"] == top[0]["class"],
          abs(sum(t["score"] for t in top) - 1) < 1e-5, top == sorted(top, key=lambda t: -t["score"]), sorted(a["timing"]))
PY

# The same scores from the file alone, and from 1 and 2 threads.
$graft predict m.safetensors set/*/*.png --json >whole.json
$graft predict m.safetensors set/*/*.png --json --threads 1 >one.json
$graft predict b.safetensors set/*/*.png --json --home "$PWD/nowhere" >bundle.json
python3 - <<'PY'
import json
whole = json.load(open("whole.json"))
for name in ("one.json", "bundle.json"):
    answers = json.load(open(name))
    print(name, len(answers), max(abs(x["score"] - y["score"]) for a, b in zip(whole, answers)
                                  for x, y in zip(sorted(a["top"], key=lambda t: t["class"]),
                                                  sorted(b["top"], key=lambda t: t["class"]))) < 1e-5)
PY
try $graft predict m.safetensors $food --home "$PWD/nowhere" | sed -E 's/[0-9a-f]{12,64}/HASH/g'
try $graft evaluate m.safetensors set --home "$PWD/nowhere" | sed -E 's/[0-9a-f]{12,64}/HASH/g'
ls nowhere 2>/dev/null

# A home with another network under the name: found by what it is, not by what it is called.
mkdir -p renamed/trunks
cp "$home/trunks/inception_v3.safetensors" renamed/trunks/mine.safetensors
try $graft predict m.safetensors $food --top 1 --home "$PWD/renamed" | scores
$graft pull inception_v3 --from "$fixtures/golden/zoo/inception_v3_filled.h5" --home "$PWD/misleading" --quiet >/dev/null
try $graft predict m.safetensors $food --top 1 --home "$PWD/misleading" | sed -E 's/[0-9a-f]{12,64}/HASH/g'

# Evaluating against labels: classes by name, an unknown one named.
mkdir -p two/vehicles two/food strange/food strange/boats
cp $food two/food/ && cp $other two/vehicles/
cp $food strange/food/ && cp $other strange/boats/
$graft evaluate m.safetensors two --json --quiet | python3 -c '
import json, sys
d = json.load(sys.stdin)
print(sorted(d), d["n"] if "n" in d else "")'
try $graft evaluate m.safetensors strange --quiet
try $graft evaluate m.safetensors set --report report.html --quiet >evaluation.txt
grep -c '</html>' report.html
try $graft evaluate m.safetensors set --report no/such/report.html --quiet
