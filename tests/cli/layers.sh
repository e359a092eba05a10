# The npm checkpoint as Keras lists it: 311 layers up to mixed10, then its own pooling and top.
try $graft layers inception_v3 --tail 10
$graft layers inception_v3 | sed -n '2,4p;300,302p'
$graft layers inception_v3 --json >layers.json
python3 - <<'PY'
import json
d = json.load(open("layers.json"))
print(d["n_layers"], len(d["layers"]), d["parameters"], d["trainable_parameters"])
print(d["layers"][310])
PY
try $graft layers no_such_trunk
try $graft layers no/such/file.safetensors
