# A table of numbers from CSV to prediction: no trunk, no pictures.
cp "$fixtures/cli/data/iris.csv" .
try $graft train iris.csv -o iris.safetensors --hidden 16 --epochs 100 --lr 0.02 --stratify --quiet | sed 's/Loss [0-9.]*/Loss L/'
$graft train iris.csv -o again.safetensors --hidden 16 --epochs 100 --lr 0.02 --stratify --quiet >/dev/null
cmp iris.safetensors again.safetensors && echo "the same again"
try $graft info iris.safetensors | sed -n '/columns:/p; /^trunk:/p; /^classes:/p; /^head:/,/^training:/p'
try $graft verify iris.safetensors | sed 's/difference .*/difference D/'
class() { python3 -c 'import json, sys; print([row["class"] for row in json.load(sys.stdin)])'; }
$graft predict iris.safetensors --numbers "5.1,3.5,1.4,0.2" --json | class
$graft predict iris.safetensors --numbers "6.9 3.1 5.4 2.1" --json | class
head -4 iris.csv | cut -d, -f1-4 >rows.csv
$graft predict iris.safetensors --numbers rows.csv --json | class
sed -n '1p;12,13p' iris.csv >labelled.csv
$graft predict iris.safetensors --numbers labelled.csv --json | class
try $graft evaluate iris.safetensors labelled.csv | head -2 | sed 's/Loss [0-9.]*/Loss L/'

# What does not fit together.
try $graft predict iris.safetensors --numbers 1,2
try $graft predict iris.safetensors --numbers 1,2,x,4
try $graft predict iris.safetensors --numbers 1,2,3,inf
try $graft predict iris.safetensors iris.csv
try $graft predict iris.safetensors --numbers iris.csv iris.csv
try $graft layers iris.safetensors
try $graft train iris.csv -o b.safetensors --bundle
try $graft dataset check iris.csv
sed 's/petal_width/petal/' iris.csv >renamed.csv
try $graft evaluate iris.safetensors renamed.csv
printf 'a,b,label\n1,2,x\n3,oops,y\n' >bad.csv
try $graft train bad.csv -o bad.safetensors
