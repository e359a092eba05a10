#!/bin/bash
# Stands for `graft` in test_runner.py: PROGRAM job DIR ATTEMPT [--shard K|--merge]. Notes who ran what, and does what DIR/spec says.
set -u
[ "$1" = job ] || exit 64
cd "$2" || exit 65
part=whole
[ "${4:-}" = --shard ] && part=shard$5
[ "${4:-}" = --merge ] && part=merge
note() { echo "$1 $part attempt$3 ${SLURMD_NODENAME:-nowhere} restart${SLURM_RESTART_COUNT:-0}" >>"notes-$part"; }
end() { note "term" "" "$1"; exit 0; }
trap 'end '"$3" TERM
note began "" "$3"
case $part in
shard*) test -e "result-$part" || { while [ -e hold ]; do sleep 0.05; done; echo "$SLURMD_NODENAME" >"result-$part"; } ;;
merge) ls result-shard* >result ;;
whole) . ./spec ;;
esac
note ended "" "$3"
