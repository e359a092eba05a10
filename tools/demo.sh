#!/bin/sh
# The main job on real pictures, from nothing to three predictions. Everything it makes is in demo/; a second run finds the trunk,
# the pictures and the features where the first one left them.
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

say "Made"
ls -l demo/pictures.safetensors demo/report.html
cat <<NEXT

Next:
  xdg-open demo/report.html                                       look at the report
  build/graft info demo/pictures.safetensors --home $home       everything in the model file
  build/graft features demo/pictures-held-out/*food* --home $home --plot demo/features.png
  build/graft train YOUR-PICTURES/ --home $home                 a folder with one folder a class
NEXT
