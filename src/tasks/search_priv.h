/* tasks/search_priv.h: the parts of a hyperparameter search. Most know nothing of processes: the
 * space that is searched, which trial comes next, which one is not worth going on with, what a
 * trial's file of metrics says.
 *
 *     gf__space space;
 *     st = gf__space_parse(params, &space, err);              ParameterSpec documents
 *     st = gf__search_choose(&search, trials, n, &choice, err);
 *     text = gf__param_format(&space.params[i], choice.values[i]);    --learning_rate=0.01
 *
 * A setting is one double a parameter: the value itself, of CATEGORICAL the number of the
 * category. Threads: none of this keeps anything. */
#ifndef GRAFT_TASKS_SEARCH_PRIV_H
#define GRAFT_TASKS_SEARCH_PRIV_H

#include "tasks/tasks_priv.h"

/* ---- search_space.c -------------------------------------------------------------------------- */

typedef enum gf__param_kind {
    GF__PARAM_DOUBLE,
    GF__PARAM_INTEGER,
    GF__PARAM_CATEGORICAL,
    GF__PARAM_DISCRETE
} gf__param_kind;
typedef enum gf__param_scale {
    GF__SCALE_LINEAR, /* also where the document says NONE: a search needs some scale */
    GF__SCALE_LOG,
    GF__SCALE_REVERSE_LOG
} gf__param_scale;

typedef struct gf__param {
    char *name;
    gf__param_kind kind;
    gf__param_scale scale;
    double low, high; /* of numbers, both included */
    double *points;   /* DISCRETE: increasing */
    char **categories;
    size_t n_values; /* points or categories, whole numbers of an INTEGER; 0: DOUBLE, uncountable */
} gf__param;
typedef struct gf__space {
    gf__param *params;
    size_t n_params;
} gf__space;

/* params: an array of ParameterSpec. GF_EINVAL names the parameter and what is wrong with it. End
 * with gf__space_free(), also after a failure. */
gf_status gf__space_parse(const gf__json *params, gf__space *out, gf_error *err);
void gf__space_free(gf__space *space);
/* Settings there are; SIZE_MAX where they cannot be counted. */
size_t gf__space_n_settings(const gf__space *space);

/* u in [0,1] into a value: even steps of u are even steps of the scale; every whole number, point
 * and category has a piece of [0,1] of its own, points and categories all the same. */
double gf__param_from_unit(const gf__param *param, double u);
/* The other way: the middle of the value's piece. */
double gf__param_to_unit(const gf__param *param, double value);
/* Where a value lies among the others: numbers by their scale in [0,1], points too, whose
 * distances then count; categories in so many dimensions that all are one apart.
 * gf__param_n_dims() doubles. */
size_t gf__param_n_dims(const gf__param *param);
void gf__param_embed(const gf__param *param, double value, double *out);

/* The value as a program gets it: the shortest text that reads back as the same double; the
 * category itself. New, NULL out of memory. */
char *gf__param_format(const gf__param *param, double value);
/* The other way. GF_EINVAL: not a value of this parameter. */
gf_status gf__param_read(const gf__param *param, const char *text, double *value, gf_error *err);

/* ---- search_choose.c, search_model.c --------------------------------------------------------- */

typedef enum gf__search_algorithm {
    GF__SEARCH_BAYESIAN,
    GF__SEARCH_GRID,
    GF__SEARCH_RANDOM
} gf__search_algorithm;

typedef enum gf__seen_state {
    GF__SEEN_PENDING, /* runs: no objective yet */
    GF__SEEN_DONE,
    GF__SEEN_FAILED
} gf__seen_state;
/* A trial that was chosen before. */
typedef struct gf__seen {
    const double *values; /* n_params */
    gf__seen_state state;
    double objective; /* DONE */
} gf__seen;

typedef struct gf__search {
    const gf__space *space;
    gf__search_algorithm algorithm;
    bool is_minimised;
    uint64_t seed;
} gf__search;

/* The trial of number index (from 0) of a search, given all that were chosen before it, in whatever
 * order. The same search, index and seen give the same values. *is_exhausted: a grid has no more
 * settings. GF_EINVAL: a grid over a DOUBLE. */
gf_status gf__search_choose(const gf__search *search, size_t index, const gf__seen *seen,
                            size_t n_seen, double *values, bool *is_exhausted, gf_error *err);

/* A Gaussian process through points of n_dims coordinates, Matern 5/2, one length scale a group of
 * dimensions (a parameter's). Targets are standardised inside. */
typedef struct gf__gp gf__gp;
typedef struct gf__gp_data {
    const double *points; /* (n, n_dims) */
    const double *targets;
    size_t n, n_dims;
    const size_t *groups; /* n_dims numbers below n_groups */
    size_t n_groups;
} gf__gp_data;
/* data and what it points to are copied. GF_ENOMEM; GF_EINVAL: no way to make the matrix definite.
 */
gf_status gf__gp_fit(const gf__gp_data *data, gf__rng *rng, gf__gp **out, gf_error *err);
void gf__gp_free(gf__gp *gp); /* NULL is fine */
/* Mean and deviation at a point. scratch: n doubles. */
void gf__gp_predict(const gf__gp *gp, const double *point, double *scratch, double *mean,
                    double *deviation);
/* By how much a normal value is above best on average. */
double gf__expected_improvement(double mean, double deviation, double best);
/* A is (n, n), its lower half is used; becomes L with A = L L'. False: not positive definite. */
bool gf__cholesky(double *a, size_t n);

/* Point number index of a scrambled Halton sequence. */
void gf__halton(uint64_t seed, size_t index, size_t n_dims, double *out);

/* ---- search_stop.c --------------------------------------------------------------------------- */

typedef struct gf__measure {
    int64_t step;
    double value;
} gf__measure;
typedef struct gf__curve {
    const gf__measure *at; /* in the order they came */
    size_t n;
} gf__curve;
/* Completed trials that a judgement needs. */
#define GF__STOP_MIN_TRIALS 3
/* Whether a trial that is running is not worth going on with, going by those that are completed. */
bool gf__search_should_stop(const gf__curve *trial, const gf__curve *completed, size_t n_completed,
                            bool is_minimised);

/* ---- search_metric.c ------------------------------------------------------------------------- */

/* What ML Engine takes where no hyperparameterMetricTag is given. */
#define GF__DEFAULT_METRIC_TAG "training/hptuning/metric"

/* A trial's measures as its file of metrics tells them: JSON lines, each an object of tags and
 * values (numbers, or numbers in strings), "global_step", and "timestamp". Starts zeroed. */
typedef struct gf__measures {
    gf__measure *measures;
    double *times; /* timestamp of each; 0: none */
    size_t n, capacity;
    char *other_tags; /* of a line without the tag: "accuracy, loss"; NULL: none */
    int64_t file_size, file_time_ns;
} gf__measures;
/* Takes in what is new in the file, which may not be there yet, may end in half a line and may
 * have been written anew (cloudml-hypertune keeps the last hundred lines). *is_new: measures were
 * added. */
gf_status gf__measures_read(gf__measures *seen, const char *path, const char *tag, bool *is_new,
                            gf_error *err);
/* time_s 0: not known. */
gf_status gf__measures_add(gf__measures *seen, const gf__measure *measure, double time_s,
                           gf_error *err);
void gf__measures_free(gf__measures *seen);

/* ---- search_trials.c: trials and their documents --------------------------------------------- */

typedef enum gf__trial_state {
    GF__TRIAL_QUEUED, /* chosen; an earlier attempt may have begun it */
    GF__TRIAL_RUNNING,
    GF__TRIAL_SUCCEEDED,
    GF__TRIAL_FAILED,
    GF__TRIAL_CANCELLED
} gf__trial_state;

typedef struct gf__trial {
    char id[24];    /* "1", "2" ... */
    double *values; /* of the parameters */
    char **texts;   /* the same as they are passed */
    gf__trial_state state;
    char start_time[32], end_time[32]; /* RFC 3339; "": not yet */
    gf__measures metrics;
    bool is_stopped_early;
    gf__program program;
    gf__child *child; /* RUNNING */
} gf__trial;

typedef struct gf__trials {
    const gf__space *space; /* borrowed */
    gf__trial **at;         /* by id */
    size_t n, capacity;
} gf__trials;

/* Values are copied, texts are made of them. The trial belongs to the list. */
gf_status gf__trials_add(gf__trials *trials, const double *values, gf__trial **out, gf_error *err);
void gf__trials_free(gf__trials *trials);
/* Those of an earlier attempt: what ended stays as it is, the rest is QUEUED with its values.
 * output: a trainingOutput. GF_EFORMAT. */
gf_status gf__trials_restore(gf__trials *trials, const gf__json *output, gf_error *err);
/* Of another job: those that came to an objective and have these parameters; *n_left_out counts the
 * others. */
gf_status gf__trials_import(gf__trials *trials, const gf__json *output, size_t *n_left_out,
                            gf_error *err);
/* The last measure; NULL: none. */
const gf__measure *gf__trial_final(const gf__trial *trial);
bool gf__trial_has_ended(const gf__trial *trial);
size_t gf__trials_count(const gf__trials *trials, gf__trial_state state);
/* trainingOutput: trials that ended come first, the best before the others. New. */
gf__json *gf__trials_output(const gf__trials *trials, const char *tag, bool is_minimised);

#endif
