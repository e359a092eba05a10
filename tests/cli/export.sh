# A model leaves for other programs: what is written, what is refused.
$graft train $fixtures/cli/data/iris.csv --hidden 8 --epochs 5 -o iris.safetensors --quiet >/dev/null
try $graft export iris.safetensors -o iris.onnx
try $graft export iris.safetensors -o again.onnx --head-only --quiet
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
try $graft export iris.safetensors --format keras --quantize uint8 -o iris8.h5
