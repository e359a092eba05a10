# A model leaves for other programs: what is written, what is refused.
$graft train $fixtures/cli/data/iris.csv --hidden 8 --epochs 5 -o iris.safetensors --quiet >/dev/null
try $graft export iris.safetensors -o iris.onnx
try $graft export iris.safetensors -o again.onnx --head-only --quiet
try $graft export iris.safetensors -o told.onnx --json
# a table's model is a head alone: the same file either way, and the same bytes every time
cmp iris.onnx again.onnx
grep -c petal_width iris.onnx
try $graft export iris.safetensors
try $graft export iris.safetensors --format pickle -o iris.pkl
try $graft export iris.safetensors -o iris.safetensors
try $graft export iris.safetensors -o nowhere/iris.onnx
try $graft export missing.safetensors -o missing.onnx
try $graft export iris.onnx -o other.onnx
ls
try $graft export iris.safetensors --format tfjs --quantize uint8 -o web
ls web
try $graft export iris.safetensors --format tfjs -o web
try $graft export iris.safetensors --quantize uint8 -o iris8.onnx
try $graft export iris.safetensors --format tfjs --quantize int4 -o web4
try $graft export iris.safetensors --format keras -o iris.h5
try $graft export iris.safetensors --format keras -o iris.keras
python3 - <<'PY'
import json, zipfile
with zipfile.ZipFile("iris.keras") as file:
    for member in file.infolist():
        print(member.filename, member.compress_type, member.date_time)
    print(file.read("metadata.json").decode())
    config = json.loads(file.read("config.json"))
    print(config["module"], config["class_name"], [layer["class_name"] for layer in config["config"]["layers"]])
PY
try $graft export iris.safetensors --format keras --quantize uint8 -o iris8.h5
try $graft export iris.safetensors --format keras --quantize uint8 -o iris8.keras
try $graft export iris.safetensors --format savedmodel -o served
find served -type f | LC_ALL=C sort
cat served/assets/classes.txt
grep -c serving_default served/saved_model.pb
try $graft export iris.safetensors --format savedmodel -o served
try $graft export iris.safetensors --format savedmodel --quantize uint8 -o served8

# The same model gives the same bytes a second later: the time of now stands nowhere in the file.
python3 - iris.h5 iris.keras <<'PY'
import os, struct, sys
for name in sys.argv[1:]:
    data = open(name, "rb").read()
    then = int(os.path.getmtime(name))
    found = {at for t in range(then - 20, then + 1) for at in [data.find(struct.pack("<I", t))] if at >= 0}
    print("times in the file:", sorted(found))
PY
# A decoder is for pictures, and ONNX alone has one.
try $graft export iris.safetensors --with-decoder -o iris_decoder.onnx
try $graft export iris.safetensors --with-decoder --head-only -o iris_decoder.onnx
try $graft export iris.safetensors --with-decoder --format keras -o iris_decoder.h5
try $graft export iris.safetensors --with-decoder --format savedmodel -o decoding
# There and back: the same network with the same weights, whatever Keras' file it was in.
for file in iris.h5 iris.keras; do $graft import $file --as back --quiet | grep sha256; done | uniq | wc -l
rm "$home/trunks/back.safetensors"

# Outputs of the wrong kind, folders that are not there, a slash at the end.
mkdir folder
try $graft export iris.safetensors -o folder
try $graft export iris.safetensors --format keras -o folder
try $graft export iris.safetensors --format tfjs -o iris.onnx
try $graft export iris.safetensors --format tfjs -o nowhere/web
try $graft export iris.safetensors --format savedmodel -o nowhere/served
try $graft export iris.safetensors --format savedmodel -o again/
diff -r served again && echo the same folder
try $graft export iris.safetensors --format tfjs -o slash/
ls slash
ln -s nothing dangling
try $graft export iris.safetensors --format tfjs -o dangling
try $graft export folder -o other.onnx
printf 'a model, really' >text.safetensors
try $graft export text.safetensors -o other.onnx
try $graft export "$home/trunks/inception_v3.safetensors" -o other.onnx
# Two at once onto one name: a file is the one or the other, a folder belongs to the first.
for ending in onnx h5 keras tfjs savedmodel; do
    format=${ending/h5/keras}
    for i in 1 2 3 4; do ($graft export iris.safetensors --format $format -o "both.$ending" --quiet; echo "$ending $?") 2>>both.err & done >>both.txt
    wait
done
sort both.txt | uniq -c | sed 's/^ *//'
sort -u both.err
cmp both.onnx iris.onnx
cmp both.h5 iris.h5
cmp both.keras iris.keras
diff -r both.tfjs slash
diff -r both.savedmodel served
ls -d ./*tmp* 2>/dev/null

# graft's own: a model with its trunk inside, the bytes that training with --bundle writes; back again; a copy of what is that already.
mkdir -p set/food set/vehicles
for kind in food vehicles; do
    find "$pictures/$kind" -name '*.png' | LC_ALL=C sort | head -4 | while read -r f; do cp "$f" set/$kind/; done
done
for option in "" --bundle; do
    # shellcheck disable=SC2086
    $graft train set --precision f32 --layer mixed0 --hidden 8 --epochs 3 -o "m$option.safetensors" $option --quiet >/dev/null
done
try $graft export m.safetensors --format graft -o whole.safetensors
cmp whole.safetensors m--bundle.safetensors && echo "as train --bundle"
try $graft export whole.safetensors --format graft --head-only -o parted.safetensors --home "$PWD/nowhere"
cmp parted.safetensors m.safetensors && echo "as train"
try $graft export whole.safetensors --format graft -o copy.safetensors --home "$PWD/nowhere" --quiet
cmp copy.safetensors whole.safetensors
try $graft export m.safetensors --format graft --head-only -o copy.safetensors --home "$PWD/nowhere" --quiet
cmp copy.safetensors m.safetensors
try $graft export iris.safetensors --format graft -o copy.safetensors --quiet
cmp copy.safetensors iris.safetensors
try $graft export m.safetensors --format graft -o lost.safetensors --home "$PWD/nowhere"
try $graft export m.safetensors --format graft -o m.safetensors
try $graft export m.safetensors --format graft --quantize uint8 -o m8.safetensors
try $graft export m.safetensors --format graft -o nowhere/m.safetensors
ls lost.safetensors m8.safetensors nowhere ./*tmp* 2>/dev/null
