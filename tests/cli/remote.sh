# What the commands for a server ask, and what they make of its answers: pages, operations, errors. The server itself is tests/http's business.
coproc answers { python3 "$fixtures/cli/answers.py" requests; }
read -r port <&"${answers[0]}"
export GRAFT_SERVER=http://127.0.0.1:$port GRAFT_PROJECT=p
asked() { sed "s/$port/PORT/g" requests | tail -n "$1"; }

# Lists go on to the last page; --json is the API's documents; columns count characters.
try $graft models list
asked 2
try $graft models list --limit 1 --filter 'name:a* AND labels.x=y'
asked 1
$graft models list --json | python3 -c 'import json, sys; print([m["name"] for m in json.load(sys.stdin)])'
try $graft models list --format json --limit 1

# Names are encoded; full ones are taken as they are; the token goes along and is not shown.
try $graft models describe 'a b/c'
try $graft models describe projects/q/models/m --token graft_secret
asked 2
try $graft models create m --description 'it is "good"' --labels a=b,c=d --labels e=f --regions r1 --regions r2
asked 1
try $graft models update m --description '' --update-labels a=b
asked 3

# Errors in every shape: our status, one line.
for name in missing text etag taken early stranger denied full broken; do
    try $graft models describe $name | sed "s/$port/PORT/"
done
try $graft models delete early --quiet

# Operations are waited for; their error is the command's.
try $graft operations wait good --json
try $graft operations wait bad
try $graft operations describe endless
interrupt waiting $graft operations wait endless

# JSON instances: a line each, named where it is bad; predictions a line each.
printf '{"inputs": "AAAA"}\n\n[1, 2.50]\n"x"\n' >instances.jsonl
printf '{"a": 1}\n{"a": \n' >bad.jsonl
: >empty.jsonl
try $graft predict --model m --json-instances instances.jsonl
asked 1
try $graft predict --model m --version v2 --signature-name s --json-instances instances.jsonl --json
asked 1
try $graft predict --model m --json-instances bad.jsonl
try $graft predict --model m --json-instances empty.jsonl
try $graft predict --model zero --json-instances instances.jsonl
echo '[1]' | $graft predict --model m --json-instances - | tail -1
try $graft predict --model m --json-instances instances.jsonl picture.jpg
try $graft predict --model m
try $graft predict --version v1 picture.jpg

# A file of this machine is uploaded before the version is made of it.
echo weights >m.safetensors
try $graft versions create v1 --model early --origin m.safetensors
try $graft versions create v1 --model m --origin nowhere.safetensors
try $graft versions create v1 --model m --origin m.safetensors --min-nodes 1 --nodes 2
try $graft versions create v1 --model m --origin m.safetensors --min-nodes 1 --labels a=b --async
asked 3
try $graft versions update v1 --model m --max-nodes 3
asked 2
try $graft bucket cp m.safetensors other.safetensors
try $graft bucket cp . gs://mine/x
try $graft bucket rm gs://mine

# Nobody there.
exec {answers[1]}>&-
wait "$answers_PID"
try $graft models list | sed "s/$port/PORT/"
