#!/usr/bin/env python3
"""Golden values for tests/unit/test_optimizer.c, test_metrics.c and test_probe.c.

Training: 12 rows of 7 features, Dense(5, relu) + Dense(3, softmax), 3 epochs in the order given, batches of 5 (the last one
shorter), once with every optimizer of Keras, and with other activations. Then heads that end in a sigmoid, with
binary_crossentropy and sample weights: Dense(1) and, of three answers each, Dense(3). Metrics: scikit-learn on made-up scores. Probe: scikit-learn's Ridge.
Written as C tables, one header for each test.

Made with Python 3.11, tensorflow 2.15.1 (keras 2.15.0), numpy 1.26.4, scikit-learn 1.9.1:
    python3 make_train.py
"""
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import sklearn
import keras
import tensorflow as tf
from sklearn.linear_model import Ridge
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

N, D, H, K = 12, 7, 5, 3
rng = np.random.RandomState(5)
features = rng.randn(N, D).astype(np.float32)
labels = rng.randint(0, K, N)
weights = [(rng.randn(D, H) * 0.4).astype(np.float32), (rng.randn(H) * 0.1).astype(np.float32),
           (rng.randn(H, K) * 0.4).astype(np.float32), (rng.randn(K) * 0.1).astype(np.float32)]
class_weights = {0: 0.5, 1: 1.0, 2: 1.5}


def start(name):
    """Everything printed from here on goes into NAME_golden.h."""
    sys.stdout = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}_golden.h"), "w")
    print(f"/* Made by make_train.py: tensorflow {tf.__version__}, keras {keras.__version__}, "
          f"numpy {np.__version__}, scikit-learn {sklearn.__version__}. */")
    print("/* clang-format off */")


def table(kind, name, values):
    values = np.asarray(values).ravel()
    text = [f"{int(v)}" if kind == "size_t" else f"{float(v):.9g}" for v in values]
    if kind == "float":
        text = [(t if "." in t or "e" in t else t + ".0") + "f" for t in text]
    print(f"static const {kind} {name}[] = {{{', '.join(text)}}};")


def train(name, optimizer, weighted, activation="relu"):
    inputs = tf.keras.Input((D,))
    hidden = tf.keras.layers.Dense(H, activation=activation)(inputs)
    outputs = tf.keras.layers.Dense(K, activation="softmax")(hidden)
    model = tf.keras.Model(inputs, outputs)
    model.set_weights(weights)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(features, np.eye(K, dtype=np.float32)[labels], batch_size=5, epochs=3,
                        shuffle=False, verbose=0, class_weight=class_weights if weighted else None)
    table("double", f"golden_{name}_loss", history.history["loss"])
    table("double", f"golden_{name}_accuracy", history.history["accuracy"])
    table("float", f"golden_{name}_weights", np.concatenate([w.ravel() for w in model.get_weights()]))


def train_sigmoid(name, optimizer, targets, is_weighted):
    n = targets.shape[1]
    inputs = tf.keras.Input((D,))
    hidden = tf.keras.layers.Dense(H, activation="tanh")(inputs)
    outputs = tf.keras.layers.Dense(n, activation="sigmoid")(hidden)
    model = tf.keras.Model(inputs, outputs)
    model.set_weights([*weights[:2], weights[2][:, :n], weights[3][:n]])
    model.compile(optimizer, "binary_crossentropy", metrics=["binary_accuracy"])
    history = model.fit(features, targets, batch_size=5, epochs=3, shuffle=False, verbose=0,
                        sample_weight=row_weights if is_weighted else None)
    table("double", f"golden_{name}_loss", history.history["loss"])
    table("double", f"golden_{name}_accuracy", history.history["binary_accuracy"])
    table("float", f"golden_{name}_weights", np.concatenate([w.ravel() for w in model.get_weights()]))


start("optimizer")
table("float", "golden_features", features)
table("size_t", "golden_labels", labels)
table("float", "golden_initial_weights", np.concatenate([w.ravel() for w in weights]))
opt = tf.keras.optimizers
train("adam", opt.Adam(0.01), False)
train("adam_weighted", opt.Adam(0.01), True)
train("sgd", opt.SGD(0.05), False)
train("momentum", opt.SGD(0.05, momentum=0.9), False)
train("rmsprop", opt.RMSprop(0.01), False)
train("tanh", opt.Adam(0.01), False, "tanh")
train("sigmoid", opt.Adam(0.01), False, "sigmoid")
binary_targets = (labels[:, None] == 1).astype(np.float32)
answers = (features[:, :K] + features[:, K:2 * K] > 0).astype(np.float32)
row_weights = (np.arange(N) % 4 * 0.5).astype(np.float32)
table("float", "golden_binary_targets", binary_targets)
table("float", "golden_answers", answers)
table("float", "golden_row_weights", row_weights)
train_sigmoid("binary", opt.Adam(0.01), binary_targets, False)
train_sigmoid("binary_weighted", opt.SGD(0.05), binary_targets, True)
train_sigmoid("answers", opt.Adam(0.01), answers, False)

# Metrics: 40 rows, 4 classes; class 3 is never predicted (its precision is 0/0), some scores are equal.
scores = rng.dirichlet(np.ones(4), 40).astype(np.float32)
scores[:, 3] = 0.0
truth = rng.randint(0, 4, 40)
scores[0, :3] = 0.25
predicted = scores.argmax(1)
p, r, f, _ = precision_recall_fscore_support(truth, predicted, labels=range(4), zero_division=np.nan)
start("metrics")
table("float", "golden_scores", scores)
table("size_t", "golden_truth", truth)
table("size_t", "golden_confusion", confusion_matrix(truth, predicted, labels=range(4)))
table("double", "golden_precision", p[:3])
table("double", "golden_recall", r)
table("double", "golden_f1", f[:3])

# Probe: ridge regression on one-hot targets, standardised features, fold by fold, at one fixed ridge.
PN, PD, PK, RIDGE = 30, 8, 3, 5.0
probe_labels = np.arange(PN) % PK
probe_features = (rng.randn(PN, PD) + 0.8 * rng.randn(PK, PD)[probe_labels]).astype(np.float32)
wide_features = np.concatenate([probe_features, rng.randn(PN, 50).astype(np.float32)], 1)
folds = rng.permutation(np.repeat(np.arange(5), PN // 5))


def ridge_scores(x):
    x = x.astype(np.float64)
    x = (x - x.mean(0)) / x.std(0)
    out = np.zeros((PN, PK))
    for fold in range(5):
        train_rows = folds != fold
        model = Ridge(RIDGE).fit(x[train_rows], np.eye(PK)[probe_labels][train_rows])
        out[~train_rows] = model.predict(x[~train_rows])
    return out


start("probe")
table("size_t", "golden_probe_labels", probe_labels)
table("size_t", "golden_probe_folds", folds)
table("float", "golden_probe_features", probe_features)
table("double", "golden_probe_scores", ridge_scores(probe_features))
table("float", "golden_wide_features", wide_features)
table("double", "golden_wide_scores", ridge_scores(wide_features))
