"""What a training tells the job it runs in: metrics, one JSON object a line, in the file that
$CLOUD_ML_HP_METRIC_FILE names. Outside of a job nothing is written."""
import json
import os
import time

# What a search compares trials by, where they do not say it: the larger the better.
PREFERRED = ("val_accuracy", "val_acc", "val_categorical_accuracy",
             "val_sparse_categorical_accuracy", "accuracy", "acc", "categorical_accuracy",
             "sparse_categorical_accuracy")


def _write(values, step):
    path = os.environ.get("CLOUD_ML_HP_METRIC_FILE")
    if not path:
        return
    line = {"timestamp": round(time.time(), 3), "trial": os.environ.get("CLOUD_ML_TRIAL_ID", "1"),
            "global_step": int(step), **values}
    # One write of one line: a reader that looks in the middle of a training sees whole lines.
    with open(path, "ab", buffering=0) as file:
        file.write((json.dumps(line) + "\n").encode())


def report_metric(tag, value, step=0):
    """Tells the job a metric: what a hyperparameter search compares trials by."""
    _write({str(tag): float(value)}, step)


def report_epoch(epoch, logs):
    """All that is known at an epoch's end, and the best known of it under the search's own tag."""
    values = {tag: float(value) for tag, value in logs.items()}
    for tag in PREFERRED:
        if tag in values:
            values["training/hptuning/metric"] = values[tag]
            break
    _write(values, epoch + 1)
