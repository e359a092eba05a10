# Any layer's output of a picture or a data set: shapes, pooling, files that numpy reads, plots.
export PYTHONPATH=$fixtures/cli PYTHONDONTWRITEBYTECODE=1
cp "$(find "$pictures/food" -name '*.png' | LC_ALL=C sort | head -1)" apple.png
shapes() { sed -E 's/: from .*//'; }

# The article's vector: pooled behind the last block.
try $graft features apple.png --precision f32 -o vector.npy --plot vector.png | shapes
python3 "$fixtures/cli/npy.py" vector.npy
head -c 8 vector.png | od -An -c

# Several layers at once, by name and by index, spatial: each under its name.
try $graft features apple.png --precision f32 --layer mixed0 --layer 1 -o maps.npz --plot maps.svg | shapes
python3 "$fixtures/cli/npy.py" maps.npz
python3 -c 'import xml.dom.minidom as x; print(x.parse("maps.svg").documentElement.tagName)'

# Pooling is what it says.
for pool in avg max none; do
    $graft features apple.png --precision f32 --layer mixed0 --pool $pool -o $pool.npy >/dev/null
done
python3 - <<'PY'
from npy import read
avg, most, maps = read("avg.npy"), read("max.npy"), read("none.npy")
n, channels = maps.shape[1] * maps.shape[2], maps.shape[3]
print(avg, most, maps)
columns = [maps.values[c::channels] for c in range(channels)]
print("avg:", all(abs(sum(v) / n - a) < 1e-4 for v, a in zip(columns, avg.values)))
print("max:", all(abs(max(v) - m) < 1e-6 for v, m in zip(columns, most.values)))
same = read("maps.npz")["mixed0"]
print("with another layer beside it:", all(abs(a - b) < 1e-3 for a, b in zip(same.values, maps.values)))
PY

# A data set: rows in its order, with labels, classes and items; the second time from the cache.
for kind in food vehicles; do
    mkdir -p set/$kind
    find "$pictures/$kind" -name '*.png' | LC_ALL=C sort | head -3 | while read -r f; do cp "$f" set/$kind/; done
done
printf 'nothing' >set/food/zzz.png
try $graft features set --precision f32 --layer mixed0 -o set.npz | shapes
$graft features set --precision f32 --layer mixed0 -o again.npz --json --quiet >again.json
cmp set.npz again.npz && echo "the same bytes from the cache"
try $graft features apple.png --layer mixed0 --plot apple.png
python3 - <<'PY'
import json
from npy import read
set_, apple, again = read("set.npz"), read("avg.npy"), json.load(open("again.json"))
print(set_)
print(set_["classes"].values, set_["labels"].values)
print(set_["items"].values)
width = set_["features"].shape[1]
print("the picture's own row:", max(abs(a - b) for a, b in zip(set_["features"].values[:width], apple.values)) < 1e-4)
print(again["n_items"], again["n_unreadable"], again["n_cached"], again["layers"][0]["shape"])
PY

# Without --plot and -o a vector's values are in the JSON.
$graft features apple.png --precision f32 --json | python3 -c '
import json, sys
layer = json.load(sys.stdin)["layers"][0]
print(layer["layer"], layer["shape"], len(layer["values"]), max(layer["values"]) == layer["max"])'

try $graft features apple.png --layer mixed99
try $graft features apple.png --layer 318
try $graft features apple.png --layer mixed0 --layer mixed1 -o two.npy
try $graft features apple.png -o features.txt
try $graft features apple.png -o no/such/folder/f.npy
try $graft features apple.png --plot no/such/folder/f.png
try $graft features missing.png
try $graft features set/food/zzz.png
ls two.npy features.txt *.tmp* 2>/dev/null
