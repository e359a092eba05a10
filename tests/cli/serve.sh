# A server's life, and the commands against it: deploy, look, ask, change, delete, tokens, buckets. Numbers of this CPU are not printed.
mkdir -p set/food set/vehicles
for kind in food vehicles; do
    find "$pictures/$kind" -name '*.png' | LC_ALL=C sort | head -6 | while read -r f; do cp "$f" set/$kind/; done
done
$graft train set --precision f32 --layer mixed0 --hidden 16 --epochs 30 -o m.safetensors --quiet >/dev/null
food=$(ls set/food/*.png | head -1)

# start NAME OPTIONS...: sets $server; ended by stop.
start() {
    local name=$1
    shift
    rm -f port
    $graft serve --port 0 --port-file port --threads 1 "$@" >$name.out 2>$name.err &
    server=$!
    until [ -s port ]; do
        kill -0 $server 2>/dev/null || { cat $name.err; return 1; }
        sleep 0.05
    done
    export GRAFT_SERVER=http://127.0.0.1:$(cat port)
}
stop() {
    kill -"${1:-TERM}" $server
    wait $server
    echo "the server ends with $?"
}
# times, ids and ports of this run
same() {
    sed -E "s/-[0-9]{13}/-TIME/g; s/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z/TIME/g; s/127.0.0.1:[0-9]+/127.0.0.1:PORT/g; s/^(etag:) .*/\1 ETAG/" |
        sed -E 's/^  [01]\.[0-9]{6}  .*/  S  CLASS/; s/worker [0-9]+  .*/worker .../; s/tokens\/[0-9a-f]+ */tokens\/ID  /; s/^  decode .*/  decode, network, head/'
}

start first --access-log access.log
sed -E 's/:[0-9]+ /:PORT /; s/home [^)]*/home HOME/' first.err
try $graft serve --port 0 2>&1 | same

# The article's sequence.
try $graft models create flowers --description 'food or vehicles'
try $graft models create flowers
try $graft models create 9lives
try $graft versions create v1 --model flowers --origin m.safetensors 2>&1 | grep -v '^! upload' | same
try $graft versions create v1 --model flowers --origin m.safetensors 2>&1 | grep -v '^! upload' | same
printf 'no model' >no.safetensors
try $graft versions create bad --model flowers --origin no.safetensors 2>&1 | grep -v '^! upload' | same
try $graft versions list --model flowers
try $graft models list
try $graft operations list | same | cut -c1-75
try $graft predict --model flowers $food --top 1 -v | same
try $graft predict --model flowers no.safetensors $food --top 1 | same
try $graft predict --model nothing $food
try $graft predict --model flowers --version v9 $food
printf '{"inputs":"%s"}\n' "$(base64 -w0 "$food" | tr +/ -_)" >one.jsonl
$graft predict --model flowers --json-instances one.jsonl --json >one.json
$graft predict m.safetensors $food --json >file.json
python3 - <<'PY'
import json
scores = json.load(open("one.json"))["predictions"][0]["outputs"]
local = {t["class"]: t["score"] for t in json.load(open("file.json"))[0]["top"]}
print(len(scores), all(abs(s - local[c]) < 1e-5 for s, c in zip(scores, sorted(local))))
PY
try $graft pools | same | sed -n '1,3p'

# Changing and deleting.
try $graft versions update v1 --model flowers --min-nodes 1 --update-labels stage=canary
try $graft versions describe v1 --model flowers | same
try $graft versions set-default bad --model flowers
try $graft models delete flowers --quiet
try $graft versions delete bad --model flowers --quiet 2>&1 | same
try $graft versions delete v1 --model flowers --quiet 2>&1 | same
try $graft models delete flowers --quiet

# Buckets.
mkdir -p tree/in && echo one >tree/one && echo two >tree/in/two
try $graft bucket cp -r tree gs://mine/ | grep -v '^! upload'
try $graft bucket ls gs://mine --long
try $graft bucket ls
$graft bucket cp -r gs://mine/tree back --quiet && diff -r tree back && echo "the same came back"
try $graft bucket cp gs://mine/tree/nothing .
try $graft bucket rm -r gs://mine/tree
try $graft bucket ls gs://mine

# SIGHUP opens the log anew; SIGTERM ends it in order, and nothing is left.
mv access.log access.log.1
kill -HUP $server
until [ -e access.log ]; do sleep 0.05; done
$graft models list >/dev/null
stop
grep -c '"path":"/v1/projects/default/models"' access.log
[ -e port ] || echo "no port file left"

# Tokens: made without a server, asked for by one, taken back under it.
secret=$($graft token create --role deploy --expires 1h --description tests 2>note)
same <note
start second --require-tokens
try $graft models list
GRAFT_TOKEN=$secret try $graft models list
try $graft token list | same
try $graft token create --expires soon
$graft token revoke "$($graft token list --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["tokens"][0]["name"])')" --quiet
GRAFT_TOKEN=$secret try $graft models list
stop INT

# Containers: PORT alone opens nothing; Vertex AI's variables do, and the model they name is served.
PORT=0 $graft serve 2>&1 | same
mkdir storage vertex && cp m.safetensors storage/ && ln -s "$home/trunks" vertex/trunks
export AIP_HTTP_PORT=0 AIP_STORAGE_URI=$PWD/storage AIP_HEALTH_ROUTE=/health AIP_PREDICT_ROUTE=/ask
rm -f port
$graft serve --port-file port --json --home "$PWD/vertex" >vertex.json 2>vertex.err &
server=$!
until [ -s port ]; do kill -0 $server || break; sleep 0.05; done
unset AIP_HTTP_PORT AIP_STORAGE_URI AIP_HEALTH_ROUTE AIP_PREDICT_ROUTE
export GRAFT_SERVER=http://127.0.0.1:$(cat port)
python3 -c 'import json; d = json.load(open("vertex.json")); print(sorted(d), d["url"].split(":")[1])'
op=$($graft operations list --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["name"])')
$graft operations wait "$op" --quiet >wait.out 2>&1 || cat wait.out
python3 - "$GRAFT_SERVER" <<'PY'
import json, sys, urllib.request
print(urllib.request.urlopen(sys.argv[1] + "/health").status)
body = json.dumps({"instances": [json.loads(open("one.jsonl").readline())]}).encode()
answer = json.load(urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/ask", body, {"Content-Type": "application/json"})))
print(answer["model"], len(answer["predictions"][0]))
PY
try $graft versions list --model model | sed -E 's# [^ ]*/storage# STORAGE#'
stop
