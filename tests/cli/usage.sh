# Wrong usage is told in one line with what was expected, and exit status 2.
try $graft
try $graft frobnicate
try $graft dataset frobnicate
try $graft train
try $graft train a b
try $graft train flowers --epochs many
try $graft train flowers --epochs 0
try $graft train flowers --lr nan
try $graft train flowers --optimizer adamw
try $graft train flowers --precision f16
try $graft train flowers --augment flip,mirror
try $graft train flowers --frobnicate
try $graft train flowers -o
try $graft train flowers --bundle=yes
try $graft import model.json
try $graft classify
try $graft predict model.safetensors
try $graft layers inception_v3 --tail -3
try $graft features picture.jpg --pool sum
# Help goes to stdout and is a success, wherever the word stands.
try $graft version --nothing | head -1 | sed 's/ (.*//'
try $graft help verify
$graft train flowers --help >help && head -2 help && ! grep -q "options]$" help || grep USAGE -A1 help
# Commands of two words, and what the commands for a server expect.
try $graft models
try $graft models frobnicate
try $graft help models
try $graft models create
try $graft models create m --labels team
try $graft models update m
try $graft versions create v1
try $graft versions create v1 --model m
try $graft versions list
try $graft models list --format yaml
try $graft token create --role root
try $graft serve --port 99999
try $graft serve --deadline never
try $graft serve --require-tokens --allow-unauthenticated
try env PORT=http $graft serve
