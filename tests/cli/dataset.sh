# Data sets: packed from a folder, a table and a list of addresses; looked through for what spoils training.
export PYTHONPATH=$fixtures/cli PYTHONDONTWRITEBYTECODE=1
images=$fixtures/golden/images
some() { find "$pictures/$1" -name '*.png' | LC_ALL=C sort | sed -n "$2"; }
mkdir -p set/food set/vehicles
cp $(some food 1,4p) set/food/
cp $(some vehicles 1,3p) set/vehicles/

# From a folder: the article's arrays, the same bytes at 1 and 2 threads.
try $graft dataset make set -o set.npz
python3 "$fixtures/cli/npy.py" set.npz
$graft dataset make set -o two.npz --threads 2 --quiet >/dev/null
cmp set.npz two.npz && echo "the same bytes"
$graft dataset make set -o small.npz --size 32 --compress --quiet >/dev/null
python3 - <<'PY'
from npy import read
small, full = read("small.npz"), read("set.npz")
print(small["features"], small["labels"].values, small["classes"].values)
PY

# From tables of path,label: the same pictures in the order of the lines.
python3 - <<'PY'
import json, os
with open("set.csv", "w") as csv, open("set.jsonl", "w") as jsonl:
    csv.write("path,label\n")
    for kind in ("food", "vehicles"):
        for name in sorted(os.listdir("set/" + kind)):
            csv.write(f"set/{kind}/{name},{kind}\n")
            jsonl.write(json.dumps({"path": f"set/{kind}/{name}", "label": kind}) + "\n")
PY
for table in set.csv set.jsonl; do
    $graft dataset make $table -o table.npz --quiet >/dev/null
    cmp set.npz table.npz && echo "$table: the same bytes"
done

# From addresses: what answers is packed, the rest listed with its reason; retries and redirects are followed.
mkfifo ports end
python3 "$fixtures/cli/serve.py" set <end >ports &
exec 3>end
read -r port refused <ports
plainly() { sed -E "s/:$port\b/:PORT/g; s/:$refused\b/:REFUSED/g; s/(refused.png: ).*( \(tried)/\1no connection\2/"; }
food=($(cd set && ls food/*))
vehicles=($(cd set && ls vehicles/*))
printf 'not a picture at all' >set/text.png
cat >urls.txt <<URLS
# address label
http://127.0.0.1:$port/${food[0]} food
http://127.0.0.1:$port/moved/${food[1]} food
http://127.0.0.1:$port/flaky/${food[2]} food
http://127.0.0.1:$port/${food[3]} food
http://127.0.0.1:$port/${vehicles[0]} vehicles
http://127.0.0.1:$port/nowhere.png vehicles
http://127.0.0.1:$port/text.png vehicles
http://127.0.0.1:$port/cut/${vehicles[1]} vehicles
http://127.0.0.1:$refused/refused.png vehicles
URLS
try $graft dataset make urls.txt -o urls.npz --retries 1 --quiet | plainly
python3 - <<'PY'
from npy import read
got, whole = read("urls.npz"), read("set.npz")
print(got, got["labels"].values)
print("the pictures of the folder:", got["features"].values == whole["features"].values[:5 * 299 * 299 * 3])
PY
printf 'http://127.0.0.1:%s/a.png a\nhttp://127.0.0.1:%s/b.png b\n' "$port" "$port" >none.txt
try $graft dataset make none.txt -o none.npz --retries 0 --quiet | plainly
printf 'http://127.0.0.1:%s/a.png\n' "$port" >unlabelled.txt
try $graft dataset make unlabelled.txt -o none.npz --quiet | plainly
exec 3>&-
wait
rm set/text.png
rm ports end
ls | sort

# Whatever spoils training, each in one file.
mkdir -p bad/food bad/vehicles bad/rare bad-test/food bad-test/vehicles
cp $(some food 1,4p) bad/food/
cp $(some vehicles 1,4p) bad/vehicles/
python3 - <<'PY'
import os, struct, zlib

def png(path, width, height, pixel):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))

png("bad/food/a-blank.png", 64, 64, lambda x, y: (200, 10, 10))
png("bad/food/a-small.png", 20, 20, lambda x, y: (x * 12, y * 12, (x * y) % 251))
png("bad/rare/only.png", 64, 64, lambda x, y: (x * 3, 255 - y * 3, (x ^ y) * 4))
png("bad/vehicles/near-1.png", 128, 128, lambda x, y: (x * 2, y, (x // 16 * 31 + y // 16 * 57) % 256))
png("bad/vehicles/near-2.png", 96, 96, lambda x, y: (x * 8 // 3, y * 4 // 3, (x // 12 * 31 + y // 12 * 57) % 256))
first = sorted(os.listdir("bad/food"))[2]
data = open("bad/food/" + first, "rb").read()
open("bad/food/copy.png", "wb").write(data)
open("bad/vehicles/copy-of-food.png", "wb").write(data)
open("bad/food/cut.png", "wb").write(data[:3000])
open("bad/food/empty.png", "wb").close()
open("bad/food/png.jpg", "wb").write(open("bad/vehicles/" + sorted(os.listdir("bad/vehicles"))[1], "rb").read())
open("bad/food/notes.png", "w").write("a shopping list\n")
open("bad-test/vehicles/leak.png", "wb").write(open("bad/vehicles/near-1.png", "rb").read())
PY
cp "$images"/jpeg-exif-6.jpg bad/vehicles/turned.jpg
cp $(some food 9,10p) bad-test/food/
try $graft dataset check bad --quiet
try $graft dataset check bad --test bad-test --json --quiet >check.json
python3 - <<'PY'
import collections, json
report = json.loads(open("check.json").read().split("\n", 1)[1])
print(report["n_items"], report["n_readable"], report["classes"])
for kind, n in sorted(collections.Counter(i["kind"] for i in report["issues"]).items()):
    print(kind, n)
print([(i["item"], i["other"]) for i in report["issues"] if i["kind"] == "cross-duplicate"])
PY
try $graft dataset check bad --strict --quiet | tail -2
try $graft dataset check set.npz --quiet
try $graft dataset check set --test set.npz --quiet
try $graft dataset check set --near 40
