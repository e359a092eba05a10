# What is in a model file, and whether it still says what it said: changed, cut short, from the future.
mkdir -p set/food set/vehicles
for kind in food vehicles; do
    find "$pictures/$kind" -name '*.png' | LC_ALL=C sort | head -5 | while read -r f; do cp "$f" set/$kind/; done
done
$graft train set --precision f32 --layer mixed0 --hidden 16 --epochs 30 --stratify -o m.safetensors --quiet >/dev/null
$graft train set --precision f32 --layer mixed0 --hidden 16 --epochs 30 --stratify -o b.safetensors --bundle --quiet >/dev/null

$graft info m.safetensors >info.txt
grep -E '^[a-z_]+:' info.txt | sed 's/:.*//'
grep -E '^ +(kind|n_items|n_train|n_test|epochs|optimizer|seed|hidden):|^classes:' info.txt
$graft info m.safetensors --json >info.json
python3 - <<'PY'
import json, struct
info = json.load(open("info.json"))
data = open("m.safetensors", "rb").read()
(n_header,) = struct.unpack("<Q", data[:8])
header = json.loads(data[8:8 + n_header])
print("as it stands in the file:", info == json.loads(header["__metadata__"]["graft"]))
print(sorted(name for name in header if name != "__metadata__"))
print("no time of day, no folder of this machine:", "/tmp" not in json.dumps(info))
PY
try $graft verify m.safetensors --precision f32 | sed 's/difference .*/difference D/'
$graft verify m.safetensors --json | python3 -c 'import json, sys; d = json.load(sys.stdin); print(d["ok"], d["n_samples"], d["largest_difference"] < 1e-3)'
try $graft verify b.safetensors --home "$PWD/nowhere" | sed 's/difference .*/difference D/'
try $graft info inception_v3
try $graft info "$home/trunks/inception_v3.safetensors"

# edit IN OUT PYTHON: the file taken apart into `header`, `document` and `body` (a bytearray), changed, and put together again.
cat >edit.py <<'PY'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
(n_header,) = struct.unpack("<Q", data[:8])
header, body = json.loads(data[8:8 + n_header]), bytearray(data[8 + n_header:])
document = json.loads(header["__metadata__"]["graft"])

def scale(name, factor):
    first, last = header[name]["data_offsets"]
    values = struct.unpack(f"<{(last - first) // 4}f", body[first:last])
    body[first:last] = struct.pack(f"<{len(values)}f", *(v * factor for v in values))

exec(sys.argv[3])
header["__metadata__"]["graft"] = json.dumps(document)
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + body)
PY
edit() { python3 edit.py "$@"; }
tensors=$(python3 -c "
import json, struct
d = open('m.safetensors', 'rb').read()
print(*sorted(k for k in json.loads(d[8:8 + struct.unpack('<Q', d[:8])[0]]) if 'kernel' in k))")
last=${tensors##* }
edit m.safetensors same.safetensors ''
try $graft verify same.safetensors | sed 's/difference .*/difference D/'
edit m.safetensors changed.safetensors "scale('$last', -1)"
try $graft verify changed.safetensors | sed -E 's/[0-9]\.[0-9]+/S/g'
edit m.safetensors nan.safetensors "scale('$last', float('nan'))"
try $graft verify nan.safetensors | sed -E 's/[0-9]\.[0-9]+/S/g'
edit b.safetensors trunk.safetensors "
name = next(n for n in header if n.startswith('trunk') and 'kernel' in n)
scale(name, 1.5)"
try $graft verify trunk.safetensors --home "$PWD/nowhere" | sed -E 's/[0-9]\.[0-9]+/S/g'
edit m.safetensors newer.safetensors "document['format'] += 1"
try $graft info newer.safetensors
try $graft predict newer.safetensors set/food/*.png
edit m.safetensors classes.safetensors "document['classes'].append('third')"
try $graft info classes.safetensors
edit m.safetensors extra.safetensors "document['of the future'] = {'kept': True}"
$graft info extra.safetensors | grep -A1 'of the future'

# Cut short anywhere.
size=$(stat -c %s m.safetensors)
for n in 0 4 8 100 5000 $((size / 2)) $((size - 1)); do
    head -c $n m.safetensors >cut.safetensors
    $graft verify cut.safetensors >out 2>&1
    echo "$? $(grep -c . out) $(grep -oE 'not a safetensors|is cut short|ends |truncated|empty|bytes' out | head -1)"
done
printf 'x' >>m.safetensors
try $graft verify m.safetensors | sed -E 's/[0-9]{4,}/N/g'
