# Data sets that are not what they should be, and model files that are not: one line, and nothing half-written.
food=$(find "$pictures/food" -name '*.png' | LC_ALL=C sort | head -3)
mkdir empty one one/only no-classes
cp $food one/only/
cp $food no-classes/
try $graft train missing
try $graft train empty
try $graft train one
try $graft train no-classes
printf 'path,label\n' >header.csv
try $graft train header.csv
printf 'path,label\nnowhere.png,a\nnowhere2.png,b\nnowhere3.png,a\n' >missing.csv
try $graft train missing.csv
printf '{"path": "a.png"}\n' >no-label.jsonl
try $graft train no-label.jsonl
printf 'PK\003\004 nothing more' >broken.npz
try $graft train broken.npz
printf 'text' >model.safetensors
try $graft info model.safetensors
try $graft predict model.safetensors $food
try $graft verify missing.safetensors
mkdir -p two/a two/b
cp $food two/a/
cp $food two/b/
try $graft train two --val 1
try $graft train two --layer mixed11
try $graft train two -o no/such/folder/m.safetensors --quiet
try $graft features two/a/*.png
try $graft features "$(echo two/a/*.png | cut -d' ' -f1)" --plot plot.gif
try $graft dataset make missing.txt -o x.npz
try $graft dataset make two
try $graft dataset check two
ls x.npz *.checkpoint *.tmp* 2>/dev/null
