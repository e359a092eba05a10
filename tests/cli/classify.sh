# Pictures by content, whatever their name; one that cannot be read does not stop the others.
images=$fixtures/golden/images
scores() { sed -E 's/^(! )? +[0-9.]+  /  S  /'; }
cp "$(find "$pictures/food" -name '*.png' | LC_ALL=C sort | head -1)" "apple.jpg"   # a PNG under another name
printf 'this is not a picture' >text.png
: >empty.jpg
head -c 2000 apple.jpg >cut.png
try $graft classify apple.jpg --top 2 --precision f32 | scores
try $graft classify text.png
try $graft classify empty.jpg
try $graft classify cut.png
try $graft classify missing.jpg
try $graft classify .
try $graft classify apple.jpg text.png apple.jpg missing.jpg --top 1 --precision f32 | scores
try $graft classify apple.jpg --max-pixels 100
try $graft classify apple.jpg --model nothing
$graft classify apple.jpg --json --precision f32 >out.json
python3 - <<'PY'
import json
(answer,) = json.load(open("out.json"))
top = answer["top"]
print(answer["image"], len(top), answer["class"] == top[0]["class"])
print("sums to one:", abs(sum(t["score"] for t in top) - 1) < 1e-5)
print("in order:", [t["score"] for t in top] == sorted((t["score"] for t in top), reverse=True))
PY
