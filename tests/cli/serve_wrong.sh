# What a newcomer gets wrong with the server and the commands that ask it: each time one line that says what was expected, and a status.
printf 'just text\n' >text.txt
mkdir -p folder
: >empty.safetensors
cat >iris.csv <<'CSV'
length,width,species
1,1,small
1.2,1.1,small
0.9,1,small
1.1,0.9,small
5,5,large
5.2,5.1,large
4.9,5,large
5.1,4.9,large
CSV
$graft train iris.csv --epochs 30 --hidden 4 -o iris.safetensors --quiet >/dev/null

# Options and places of graft serve.
for options in extra --frobnicate --port '--port x' '--port -1' '--max-body 0' '--max-upload -5' '--max-headers 10' '--max-connections 0' '--max-instances 0' \
    '--deadline 0' '--read-timeout -1' '--queue x' '--idle-timeout x' '--drain-timeout x' '--drain-delay -1' '--precision f16' '--threads 0' \
    '--home text.txt' '--access-log folder' '--address 198.51.100.7 --allow-unauthenticated' '--tls-cert text.txt' '--tls-cert text.txt --tls-key text.txt' \
    '--tls-cert nothing.pem --tls-key text.txt' '--allow-files nothing' '--allow-files text.txt' '--cors-origin example.org' \
    '--cors-origin https://example.org/'; do
    # shellcheck disable=SC2086
    try timeout 200 $graft serve --port 0 $options
done
try timeout 200 $graft serve --port 0 --project 'a b'
try timeout 200 $graft serve --port 0 --project a/b
try env PORT=http $graft serve
try env AIP_HTTP_PORT=99999 $graft serve
try env PORT=0 AIP_HEALTH_ROUTE=health $graft serve --allow-unauthenticated
try env PORT=0 AIP_STORAGE_URI=nothing $graft serve --allow-unauthenticated
try $graft worker

# No server, or none at that address.
for server in http://127.0.0.1:1 127.0.0.1:1 https://127.0.0.1:1 ftp://127.0.0.1 http:// http://127.0.0.1:99999 http://127.0.0.1:port 'http://a b' 'http://[::1' \
    "http://127.0.0.1:1?x"; do
    try $graft models list --server "$server"
done
export GRAFT_SERVER=http://127.0.0.1:1
for words in 'models describe m' 'models create m' 'models delete m --quiet' 'versions list --model m' 'versions create v --model m --origin text.txt' \
    'versions set-default v --model m' 'operations wait o' 'bucket ls' 'bucket cp text.txt gs://bucket/' 'bucket cp gs://bucket/x .' 'bucket rm gs://bucket/x' \
    'predict --model m text.txt' 'predict --model m --json-instances text.txt' 'pools'; do
    # shellcheck disable=SC2086
    try $graft $words
done

$graft serve --port 0 --port-file port --threads 1 >/dev/null 2>serve.err &
server=$!
until [ -s port ]; do kill -0 $server || break; sleep 0.05; done
export GRAFT_SERVER=http://127.0.0.1:$(cat port)
same() { sed -E "s/-[0-9]{13}/-TIME/g; /^! upload/d"; }

# Models.
$graft models create m >/dev/null
for words in create 'create m n' 'create a-b' 'create m --frobnicate' 'create n --labels team' 'list extra' 'list --limit 0' 'list --limit x' 'list --filter (((' \
    'list --format yaml' 'list --project a/b' describe 'describe nothing' 'describe ../m' 'update m' 'update nothing --description x' delete \
    'delete nothing --quiet'; do
    # shellcheck disable=SC2086
    try $graft models $words
done
try $graft models describe ''
try $graft models delete '' --quiet

# Versions: what is no model, what is not there, numbers that make no sense.
for words in create 'create v' 'create v --model m' 'create v --origin iris.safetensors' 'create v --model nothing --origin iris.safetensors' \
    'create 2v --model m --origin iris.safetensors' 'create text --model m --origin text.txt' 'create empty --model m --origin empty.safetensors' \
    'create folder --model m --origin folder' 'create v --model m --origin nothing.safetensors' 'create v --model m --origin gs://' \
    'create v --model m --origin gs://bucket/nothing' 'create v --model m --origin file:///etc/passwd' 'create v --model m --origin https://example.org/m' \
    'create v --model m --origin iris.safetensors --min-nodes x' 'create v --model m --origin iris.safetensors --min-nodes -1' \
    'create v --model m --origin iris.safetensors --max-nodes 0' 'create v --model m --origin iris.safetensors --min-nodes 3 --max-nodes 2' \
    'create v --model m --origin iris.safetensors --nodes 99999999999' 'create v --model m --origin iris.safetensors --nodes 1 --max-nodes 1' \
    list 'list --model nothing' 'describe v' 'describe v --model m' 'set-default v --model m' 'set-default text --model m' 'delete v --model m --quiet' \
    'update v --model m --min-nodes 1' 'update text --model m' 'update text --model m --max-nodes x' frobnicate; do
    # shellcheck disable=SC2086
    try $graft versions $words | same
done
try $graft versions create v --model m --origin ''
try $graft versions list --model ''

# Operations.
for words in '' frobnicate wait 'wait nothing' 'describe nothing' 'cancel nothing' 'list --filter x'; do
    # shellcheck disable=SC2086
    try $graft operations $words
done

# Buckets.
for words in '' frobnicate cp 'cp text.txt' 'cp text.txt other.txt' 'cp nothing gs://bucket/' 'cp folder gs://bucket/' 'cp -r folder gs://bucket/' 'cp text.txt gs://' 'cp text.txt gs://B' \
    'cp text.txt gs://ab/x' 'cp text.txt gs://bucket/../x' 'cp text.txt gs://bucket/./x' 'cp gs://bucket/nothing .' 'cp gs://bucket/a gs://bucket/b' \
    'ls gs://nobucket' 'ls bucket' rm 'rm text.txt' 'rm gs://bucket' 'rm gs://bucket/nothing'; do
    # shellcheck disable=SC2086
    try $graft bucket $words | same
done
try $graft bucket cp '' gs://bucket/

# Tokens.
for words in '' frobnicate 'create --role' 'create --role king' 'create --expires 0s' 'create --expires 1y' 'create --expires 99999999999999w' \
    'create --expires 2001-01-01T00:00:00Z' 'create --expires tomorrow' 'create extra' revoke 'revoke nothing' 'list extra' 'list --home text.txt'; do
    # shellcheck disable=SC2086
    try $graft token $words
done
try $graft token create --project 'a b'

# Predictions.
$graft versions create iris --model m --origin iris.safetensors --quiet >/dev/null
for words in '--model m' '--model nothing text.txt' '--model m --version v9 text.txt' '--model m --version text text.txt' '--model m --version iris text.txt' \
    '--model m --version iris nothing.jpg' '--model m --version iris folder' '--model m --version iris --json-instances nothing.jsonl' \
    '--model m --version iris --json-instances folder' '--model m --version iris --json-instances text.txt' \
    '--model m --version iris --json-instances empty.safetensors' \
    '--model m --version iris --numbers 1,2' '--model m --top 0 text.txt' '--model m --frobnicate' '--version iris text.txt' \
    '--model iris.safetensors text.txt'; do
    # shellcheck disable=SC2086
    try $graft predict $words
done
try $graft predict --model '' text.txt
echo '[1, "wide"]' >row.jsonl
try $graft predict --model m --version iris --json-instances row.jsonl
echo '[1]' >row.jsonl
try $graft predict --model m --version iris --json-instances row.jsonl
try $graft pools extra
try $graft pools --format yaml

# All of it hurt nobody.
echo '[5, 5]' >row.jsonl
$graft predict --model m --version iris --json-instances row.jsonl >/dev/null && echo "the server lives"
kill $server
wait $server
echo "the server ends with $?"
