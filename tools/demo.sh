#!/bin/sh
# The main job on real pictures, from nothing to predictions over HTTP. Everything it makes is in demo/; a second run finds the trunk,
# the pictures and the features where the first one left them. The server it starts ends with it, however it ends.
# Usage: tools/demo.sh GRAFT
set -eu

graft=$1
home=${GRAFT_HOME:-demo/home}
pictures=demo/pictures
export GRAFT_HOME="$home"
mkdir -p demo

bold='' faint='' plain=''
if [ -t 1 ]; then
    bold=$(printf '\033[1m') faint=$(printf '\033[2m') plain=$(printf '\033[0m')
fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
run() { printf '%s$ graft %s%s\n' "$faint" "$*" "$plain"; "$graft" "$@"; }
show() { printf '%s$ %s%s\n' "$faint" "$*" "$plain"; }

server=
stop_server() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
    rm -f demo/port demo/request.json
}
trap stop_server EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "1. A pretrained network and real pictures"
tools/get-trunk.sh "$graft" "$home"
tools/get-pictures.sh "$pictures"
run layers inception_v3 --tail 9

say "2. Is the data set sound?"
run dataset check "$pictures"

say "3. Features, training, evaluation, report"
run train "$pictures" --layer auto --early-stop 10 --stratify -o demo/pictures.safetensors --report demo/report.html

say "4. The model file tests itself"
run verify demo/pictures.safetensors

say "5. Three pictures it has never seen"
run predict demo/pictures.safetensors demo/pictures-held-out/*.png --top 3 -v

say "6. The same model behind an API"
picture=$(ls demo/pictures-held-out/*food*.png | head -1)
rm -f demo/port
show "graft serve --port 0 &"
# Jobs run the python3 of the server's path: Debian's own, which has numpy.
PATH="/usr/bin:$PATH" "$graft" serve --port 0 --port-file demo/port >demo/serve.log 2>&1 &
server=$!
while [ ! -s demo/port ]; do
    kill -0 "$server" 2>/dev/null || { cat demo/serve.log >&2; exit 1; }
    sleep 0.1
done
GRAFT_SERVER=http://127.0.0.1:$(cat demo/port)
export GRAFT_SERVER
# what an earlier run left in this home
if "$graft" models describe pictures >/dev/null 2>&1; then
    "$graft" versions delete v1 --model pictures --quiet >/dev/null 2>&1 || true
    "$graft" models delete pictures --quiet >/dev/null
fi
run models create pictures
run versions create v1 --model pictures --origin demo/pictures.safetensors
run versions list --model pictures

say "7. Asked as the article does, and the short way"
printf '{"instances":[{"inputs":"%s"}]}' "$(base64 -w0 "$picture" | tr +/ -_)" >demo/request.json
show "curl -d @request.json $GRAFT_SERVER/v1/projects/default/models/pictures:predict"
curl -sS --fail-with-body -H 'Content-Type: application/json' -d @demo/request.json "$GRAFT_SERVER/v1/projects/default/models/pictures:predict"
echo
show "curl --data-binary @$picture -H 'Content-Type: image/png' $GRAFT_SERVER/graft/v1/models/pictures:classify?top=3"
curl -sS --fail-with-body --data-binary "@$picture" -H 'Content-Type: image/png' "$GRAFT_SERVER/graft/v1/models/pictures:classify?top=3"
echo
run predict --model pictures "$picture" --top 3 -v
run pools

say "8. The article's notebook: a job, what it made, a version of that, Google's own client"
# what an earlier run left in this home
if "$graft" models describe OperaCapitol --project opera >/dev/null 2>&1; then
    "$graft" versions delete v1 --model OperaCapitol --project opera --quiet >/dev/null 2>&1 || true
    "$graft" models delete OperaCapitol --project opera --quiet >/dev/null
fi
show "jupyter nbconvert --execute examples/opera_capitol.ipynb"
GRAFT_PICTURES=$pictures GRAFT_LIBRARY=$(dirname "$graft")/libgraft.so tools/run-notebook.sh examples/opera_capitol.ipynb demo/opera_capitol.ipynb
python3 tools/show-notebook.py demo/opera_capitol.ipynb "%load_ext graft"
run jobs list --project opera
run bucket ls gs://opera-capitol/opera/mdl/ --long
stop_server

say "Made"
ls -l demo/pictures.safetensors demo/report.html demo/opera_capitol.ipynb
cat <<NEXT

Next:
  xdg-open demo/report.html                                       look at the report
  build/graft info demo/pictures.safetensors --home $home       everything in the model file
  build/graft features demo/pictures-held-out/*food* --home $home --plot demo/features.png
  jupyter notebook demo/opera_capitol.ipynb                       the notebook, with what it showed
  build/graft train YOUR-PICTURES/ --home $home                 a folder with one folder a class
  build/graft serve --home $home                                the model that was just deployed
NEXT
