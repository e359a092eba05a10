# A job whose folder is on a full disk: it waits for room, at its beginning and at its end, and loses lines of its log rather than
# its result. Where no disk may be mounted the same line, so that the rest is still compared.
job_on_disk() {
    cat >disk/spec.json <<EOF
{"format": 1, "name": "projects/p/jobs/j", "kind": "training", "home": "$PWD/home", "buckets": "$PWD/home/buckets",
 "program": "$graft", "nCpus": 1, "maxRunningS": 600, "graceMs": 1000, "nShards": 1,
 "training": {"pythonModule": "graft.train", "args": ["gs://bucket/table.csv", "--epochs", "1"], "jobDir": "gs://bucket/out"}}
EOF
    head -c "$1" /dev/zero >disk/full 2>/dev/null
    $graft job "$PWD/disk" 1 &
    until [ -e "$2" ] || ! kill -0 $! 2>/dev/null; do :; done # it has come so far
    rm disk/full
    wait $! && grep -o '"state": "[A-Z]*"' disk/result.json
    rm -f disk/* 2>/dev/null
}
mkdir -p disk home/buckets/bucket
printf 'a,b,label\n1,2,x\n2,1,y\n1,3,x\n3,1,y\n2,4,x\n4,2,y\n' >home/buckets/bucket/table.csv
if mount -t tmpfs -o size=600k tmpfs disk 2>/dev/null; then
    trap 'umount "$PWD/disk"' EXIT
    job_on_disk 3000000 disk/lock                                     # no byte is left for who holds the lock
    job_on_disk 602112 home/buckets/bucket/out/model.safetensors      # room for the lock and a block of the log
else
    printf '"state": "SUCCEEDED"\n"state": "SUCCEEDED"\n'
fi
