# A data set with files that are broken in every way: left out, listed by name, counted; the rest is trained on as if they were not there.
images=$fixtures/golden/images
mkdir -p set/food set/vehicles
for kind in food vehicles; do
    find "$pictures/$kind" -name '*.png' | LC_ALL=C sort | head -6 | while read -r f; do cp "$f" set/$kind/; done
done
cp -r set clean
whole=$(ls set/food/*.png | head -1)
: >set/food/z-empty.png
head -c 3000 "$whole" >set/food/z-cut.png
printf 'hello, not a picture' >set/food/z-text.jpg
printf '\377\330\377\340 and then nothing of a JPEG' >set/vehicles/z-corrupt.jpg
head -c 200 "$images/webp-lossy.webp" >set/vehicles/z-cut.webp
printf 'GIF89a' >set/vehicles/z-head.gif
python3 - <<'PY'
import struct, zlib
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
open("set/vehicles/z-bomb.png", "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b""))
PY
mkfifo set/food/z-fifo.png
ln -s /nowhere/at/all.png set/food/z-dangling.png
printf 'not looked at' >set/food/notes.txt
printf 'not looked at' >set/food/.hidden.png

# Misnamed, but a picture: used, and pointed out by the check.
cp "$whole" set/vehicles/misnamed.jpg
cp "$whole" clean/vehicles/misnamed.jpg
try $graft dataset check set --quiet | grep -A12 -E '^(corrupt|misnamed|not-a-picture)|readable'

# One row a file at one thread: the warnings are in the order of the items.
$graft train set --precision f32 --threads 1 --layer mixed0 --hidden 8 --epochs 3 --test clean -o m.safetensors --json >train.json 2>notes
sed -n 's/^graft: train: warning: /  /p' notes | LC_ALL=C sort
grep -E '"n_(train|unreadable)"' train.json
$graft train clean --precision f32 --layer mixed0 --hidden 8 --epochs 3 --test clean -o c.safetensors --quiet >/dev/null
python3 - <<'PY'
import json, struct
def head(name):
    data = open(name, "rb").read()
    (n,) = struct.unpack("<Q", data[:8])
    return [data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]
            for k, v in sorted(json.loads(data[8:8 + n]).items()) if k.startswith("head/")]
print("the head of the clean set:", head("m.safetensors") == head("c.safetensors"))
PY
$graft evaluate m.safetensors set --quiet | grep 'could not be read'
$graft dataset make set -o set.npz --quiet | sed 's/ (.*//'
$graft features set --layer mixed0 --precision f32 -o f.npz --quiet | sed 's/: from.*//'

# Nothing but broken ones.
mkdir -p none/a none/b
printf 'x' >none/a/1.png
printf 'y' >none/a/2.png
printf 'z' >none/b/1.png
printf 'z' >none/b/2.png
try $graft train none -o none.safetensors --quiet
try $graft evaluate m.safetensors none --quiet
try $graft features none --quiet
try $graft dataset make none -o none.npz --quiet
try $graft dataset check none --quiet
ls none.safetensors* none.npz *.tmp* 2>/dev/null

# One class of which every picture is broken.
cp clean/food/*.png none/b/
try $graft train none --precision f32 --layer mixed0 --epochs 1 -o none.safetensors 2>&1 | grep -E "class|Loss" | sed -E 's/[0-9]+\.[0-9]+/X/g'
