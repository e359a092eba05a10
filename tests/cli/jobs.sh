# What graft jobs asks a server, and what it makes of its answers. Real servers that run real jobs are tests/http's and tests/faults' business.
coproc answers { python3 "$fixtures/cli/jobs_answers.py"; }
read -r port <&"${answers[0]}"
export GRAFT_SERVER=http://127.0.0.1:$port GRAFT_PROJECT=p
asked() { tail -n "$1" requests; }

# A package of a folder: names, contents, and the same bytes whenever it is made.
mkdir -p src/trainer/inner/__pycache__ src/trainer/data
printf 'print("hello")\n' >src/trainer/task.py
printf '' >src/trainer/__init__.py
printf '' >src/trainer/inner/__init__.py
printf 'x' >src/trainer/inner/__pycache__/x.cpython-311.pyc
printf 'x' >src/trainer/old.pyc
head -c 70000 /dev/zero >src/trainer/data/zeros
try $graft jobs submit training j1 --package-path src/trainer --module-name trainer.task --staging-bucket gs://mine/staged/ --scale-tier standard-1 --labels a=b,c=d --max-running-time 2h --priority 7 --job-dir gs://mine/out -- --steps 3 ''
asked 2
tar -tvzf uploads/trainer-0.0.0.tar.gz --numeric-owner --utc
tar -xzOf uploads/trainer-0.0.0.tar.gz trainer-0.0.0/setup.py trainer-0.0.0/PKG-INFO
tar -xzOf uploads/trainer-0.0.0.tar.gz trainer-0.0.0/trainer/data/zeros | cmp - src/trainer/data/zeros
sha256sum <uploads/trainer-0.0.0.tar.gz
mv uploads/trainer-0.0.0.tar.gz first.tar.gz
touch -d '2001-01-01' src/trainer/task.py
chmod 600 src/trainer/task.py
(cd src/trainer && try $graft jobs submit training j2 --package-path . --module-name trainer.task --job-dir gs://mine/out --quiet)
cmp first.tar.gz uploads/trainer-0.0.0.tar.gz
asked 1

# With a setup.py of one's own, what may belong to it goes along.
printf 'from setuptools import setup\nsetup(name="mine", install_requires=["six"])\n' >src/setup.py
echo words >src/README.md
echo words >src/other.txt
echo wheel >more-1.0-py3-none-any.whl
try $graft jobs submit training j3 --package-path src/trainer/ --packages more-1.0-py3-none-any.whl,gs://mine/x.tar.gz --module-name trainer.task --staging-bucket gs://mine --json
asked 4
tar -tzf uploads/trainer-0.0.0.tar.gz
tar -xzOf uploads/trainer-0.0.0.tar.gz trainer-0.0.0/setup.py

# graft's own trainer needs none; a config has the rest, and options win over it.
echo '{"labels": {"a": "x", "z": "y"}, "trainingInput": {"scaleTier": "CUSTOM", "region": "r", "hyperparameters": {"goal": "MAXIMIZE"}, "scheduling": {"priority": 1}}}' >config.json
try $graft jobs submit training j4 --module-name graft.train --config config.json --labels a=b --master-machine-type standard --max-running-time 90 -- gs://mine/pictures --epochs 3
asked 1
try $graft jobs submit training j5 --module-name graft.features --job-dir gs://mine/out -- gs://mine/pictures --layer mixed4
asked 1
# gcloud's own file: its YAML, with what people have in it.
cat >config.yaml <<'YAML'
# from the documentation of gcloud
labels: {team: vision, "run": '7'}
trainingInput:
  scaleTier: CUSTOM
  masterType: complex_model_m
  workerCount: 9
  hyperparameters:
    goal: MAXIMIZE
    hyperparameterMetricTag: val_accuracy
    maxTrials: 30
    enableTrialEarlyStopping: True
    params:
    - parameterName: lr
      type: DOUBLE
      minValue: 0.0001
      maxValue: 1e-1
      scaleType: UNIT_LOG_SCALE
    - {parameterName: optimizer, type: CATEGORICAL, categoricalValues: [sgd, adam]}
  scheduling:
    maxRunningTime: 7200s
  args:
  - --steps
  - "100"
YAML
try $graft jobs submit training j7 --module-name graft.train --config config.yaml --labels run=8
asked 1
printf 'trainingInput:\n' >nothing.yaml
try $graft jobs submit training j7 --module-name graft.train --config nothing.yaml
asked 1
printf 'trainingInput:\n  a: b: c\n' >wrong.yaml
try $graft jobs submit training j4 --module-name graft.train --config wrong.yaml
printf -- '- a list\n' >list.yaml
try $graft jobs submit training j4 --module-name graft.train --config list.yaml
printf '{"trainingInput": }' >wrong.json
try $graft jobs submit training j4 --module-name graft.train --config wrong.json
try $graft jobs submit training j4 --module-name graft.train --config nowhere.json

try $graft jobs submit prediction b1 --model m --version v1 --input-paths gs://mine/a,gs://mine/b --input-paths gs://mine/c --output-path gs://mine/out --data-format tf-record-gzip --batch-size 8 --max-worker-count 2
asked 1
try $graft jobs submit prediction b2 --model-dir gs://mine/m --input-paths gs://mine/a --output-path gs://mine/out --json
asked 1

# A job that does not come to be leaves nothing in the bucket, and takes nothing that was there; one of a name of before sends nothing.
try $graft jobs submit training refused --package-path src/trainer --packages more-1.0-py3-none-any.whl --module-name trainer.task --staging-bucket gs://mine --scale-tier huge
asked 7
try $graft jobs submit training j6 --package-path src/trainer --packages nowhere.whl --module-name trainer.task --staging-bucket gs://mine
asked 1
try $graft jobs submit training there --package-path src/trainer --module-name trainer.task --staging-bucket gs://mine
asked 1

# What cannot be.
try $graft jobs submit training
try $graft jobs submit training j1 j2 --module-name graft.train
try $graft jobs submit training j1
try $graft jobs submit training j1 --module-name trainer.task
try $graft jobs submit training j1 --module-name trainer.task --package-path src/trainer
try $graft jobs submit training j1 --module-name trainer.task --package-path src --staging-bucket gs://mine
try $graft jobs submit training j1 --module-name trainer.task --package-path nowhere --staging-bucket gs://mine
try $graft jobs submit training j1 --module-name trainer.task --package-path src/trainer/task.py --staging-bucket gs://mine
try $graft jobs submit training j1 --module-name trainer.task --package-path src/trainer --staging-bucket mine
try $graft jobs submit training j1 --module-name trainer.task --packages config.yaml --staging-bucket gs://mine
try $graft jobs submit training j1 --module-name trainer.task --packages src --staging-bucket gs://mine
echo '{"trainingInput": 5}' >number.json
try $graft jobs submit training j1 --module-name graft.train --config number.json
for time in 0 1w h 1.5h 99999999999; do try $graft jobs submit training j1 --module-name graft.train --max-running-time $time; done
try $graft jobs submit prediction b1 --input-paths gs://mine/a --output-path gs://mine/out
try $graft jobs submit prediction b1 --model m --output-path gs://mine/out
try $graft jobs submit prediction b1 --model m --input-paths gs://mine/a
try $graft jobs submit prediction b1 --model m --model-dir gs://mine/m --input-paths gs://mine/a --output-path gs://mine/out
try $graft jobs submit prediction b1 --model m --input-paths gs://mine/a --output-path gs://mine/out -- x

try $graft jobs list
try $graft jobs list --limit 1 --page-size 2 --filter 'jobId:a* AND state:FAILED'
asked 1
try $graft jobs describe a
try $graft jobs describe a --json
try $graft jobs describe nobody
try $graft jobs cancel projects/q/jobs/a
asked 1

# Logs: over three connections, each line once, in order, and the end is the command's.
try $graft jobs stream-logs good
tail -n 4 requests
try $graft jobs stream-logs lines
try $graft jobs stream-logs lines --allow-multiline-logs
try $graft jobs stream-logs lines --json
try $graft jobs stream-logs failed
try $graft jobs stream-logs cancelled
try $graft jobs stream-logs nobody
try $graft jobs submit training failed --module-name graft.train --stream-logs
interrupt RUNNING $graft jobs stream-logs endless

exec {answers[1]}>&-
wait "$answers_PID"
