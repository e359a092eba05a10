/* The fit loop. Everything random in an epoch (order of rows, view of each item, dropout) comes
 * from streams numbered by purpose and epoch, so a resumed training needs no generator state and
 * draws what an uninterrupted one would have drawn. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "train/checkpoint_priv.h"
#include "train/fit_priv.h"

/* Writing a large head's state takes longer than an epoch: it is written when so much work would be
 * lost. */
static const double checkpoint_interval_s = 10.0;
/* Rows evaluated at once: enough to keep the kernels busy, small enough for the cache. */
enum { EVALUATION_ROWS = 128 };

struct gf_fit_state {
    gf__optimizer *optimizer; /* NULL before the first training */
    gf_train_options options; /* of that training */
    size_t n_floats;          /* of its head */
    uint64_t n_epochs;
};

typedef struct trainer {
    gf__training state;
    const gf_fit_data *train, *val; /* val may be NULL */
    const gf_fit_callbacks *callbacks;
    size_t batch_size;
    gf__pool *pool;
    gf__head_pass *pass;
    float *batch;             /* (batch_size, n_features): the rows of a step, gathered */
    size_t *batch_labels;     /* batch_size, or */
    float *batch_targets;     /* (batch_size, units) */
    float *batch_weights;     /* batch_size; NULL: 1 each */
    size_t *order;            /* n_train */
    float *class_weights;     /* n_classes, or NULL */
    uint64_t n_epochs_before; /* of the trainings that this one goes on from */
    double saved_at_s;
} trainer;

/* scikit-learn's "balanced": every class pulls as much as every other. */
static void balance_classes(float *weights, const gf_fit_data *data, size_t n_classes)
{
    for (size_t k = 0; k < n_classes; k++) {
        size_t n_k = 0;
        for (size_t i = 0; i < data->n; i++)
            n_k += data->labels[i] == k;
        weights[k] = n_k > 0 ? (float)((double)data->n / ((double)n_classes * (double)n_k)) : 0.0f;
    }
}

static gf_status allocate_history(trainer *t, gf_error *err)
{
    const size_t n_epochs = (size_t)t->state.options->n_epochs;
    t->state.history = gf__calloc(1, sizeof *t->state.history);
    if (t->state.history != NULL)
        t->state.history->epochs = gf__calloc(n_epochs, sizeof *t->state.history->epochs);
    if (t->state.history == NULL || t->state.history->epochs == NULL)
        return gf__error_nomem(err, "a history", n_epochs * sizeof(gf_epoch));
    return GF_OK;
}

/* What is right for the rows of a step. */
static bool allocate_answers(trainer *t)
{
    const gf_fit_data *train = t->train;
    const size_t n_classes = gf_head_n_classes(t->state.head);
    if (train->targets != NULL)
        t->batch_targets = gf__calloc(t->batch_size, n_classes * sizeof *t->batch_targets);
    else
        t->batch_labels = gf__calloc(t->batch_size, sizeof *t->batch_labels);
    if (train->row_weights != NULL)
        t->batch_weights = gf__calloc(t->batch_size, sizeof *t->batch_weights);
    return (t->batch_targets != NULL || t->batch_labels != NULL) &&
           (train->row_weights == NULL || t->batch_weights != NULL);
}

static gf_status allocate_buffers(trainer *t, gf_error *err)
{
    gf_head *head = t->state.head;
    size_t n_floats;
    const size_t n_features = gf_head_n_features(head), n_classes = gf_head_n_classes(head);
    gf__head_params(head, &n_floats);

    t->batch = gf__alloc_aligned(t->batch_size * n_features * sizeof *t->batch);
    t->order = gf__calloc(t->train->n, sizeof *t->order);
    if (t->batch == NULL || t->order == NULL || !allocate_answers(t))
        return gf__error_nomem(err, "a batch", t->batch_size * n_features * sizeof *t->batch);
    if (t->state.options->is_balanced || t->train->class_weights != NULL) {
        t->class_weights = gf__calloc(n_classes, sizeof *t->class_weights);
        if (t->class_weights == NULL)
            return gf__error_nomem(err, "class weights", n_classes * sizeof *t->class_weights);
    }
    if (t->state.options->is_balanced)
        balance_classes(t->class_weights, t->train, n_classes);
    else if (t->class_weights != NULL)
        memcpy(t->class_weights, t->train->class_weights, n_classes * sizeof *t->class_weights);
    if (t->state.options->early_stop > 0) {
        t->state.best_weights = gf__alloc_aligned(n_floats * sizeof(float));
        if (t->state.best_weights == NULL)
            return gf__error_nomem(err, "the best weights", n_floats * sizeof(float));
    }
    return GF_OK;
}

/* ---- going on ---- */

gf_status gf_fit_state_new(gf_fit_state **out, gf_error *err)
{
    *out = gf__calloc(1, sizeof **out);
    return *out != NULL ? GF_OK : gf__error_nomem(err, "a training's state", sizeof **out);
}

void gf_fit_state_free(gf_fit_state *state)
{
    if (state == NULL)
        return;
    gf__optimizer_free(state->optimizer);
    gf__free(state);
}

static gf_status check_state(const trainer *t, gf_error *err)
{
    const gf_fit_state *state = t->callbacks->state;
    const gf_train_options *options = t->state.options;
    size_t n_floats;
    if (t->callbacks->checkpoint_path != NULL)
        return gf_error_set(err, GF_EINVAL,
                            "a training goes on from a state or from a checkpoint, not from both");
    if (state->optimizer == NULL)
        return GF_OK;
    gf__head_params(t->state.head, &n_floats);
    if (n_floats != state->n_floats)
        return gf_error_set(err, GF_EMISMATCH,
                            "the state is of a head with %zu weights, this one has %zu",
                            state->n_floats, n_floats);
    if (options->optimizer != state->options.optimizer ||
        options->momentum != state->options.momentum)
        return gf_error_set(err, GF_EMISMATCH,
                            "the state is of %s with momentum %g, this training's optimizer is %s "
                            "with %g",
                            gf_optimizer_name(state->options.optimizer), state->options.momentum,
                            gf_optimizer_name(options->optimizer), options->momentum);
    return GF_OK;
}

/* The state's optimizer moves into the training, and back at its end. */
static gf_status take_optimizer(trainer *t, gf_error *err)
{
    gf_fit_state *state = t->callbacks->state;
    if (state == NULL || state->optimizer == NULL)
        return gf__optimizer_new(t->state.head, t->state.options, t->pool, &t->state.optimizer,
                                 err);
    const gf_status st = gf__optimizer_set_pool(state->optimizer, t->pool, err);
    if (st != GF_OK)
        return st;
    gf__optimizer_set_rate(state->optimizer, t->state.options->learning_rate);
    t->n_epochs_before = state->n_epochs;
    t->state.optimizer = state->optimizer;
    state->optimizer = NULL;
    return GF_OK;
}

static void give_optimizer(trainer *t)
{
    gf_fit_state *state = t->callbacks->state;
    if (state == NULL || t->state.optimizer == NULL)
        return;
    gf__head_params(t->state.head, &state->n_floats);
    state->options = *t->state.options;
    state->optimizer = t->state.optimizer;
    t->state.optimizer = NULL;
    if (t->state.history != NULL)
        state->n_epochs = t->n_epochs_before + t->state.history->n_epochs;
}

static gf_status start(trainer *t, gf_error *err)
{
    const gf_train_options *options = t->state.options;
    const int n_threads = options->n_threads > 0 ? options->n_threads : gf_threads_available();
    const size_t n_rows = t->val != NULL && t->batch_size < EVALUATION_ROWS ? EVALUATION_ROWS
                                                                            : t->batch_size;
    gf_status st = gf__pool_new(n_threads, &t->pool, err);
    if (st == GF_OK)
        st = gf__head_pass_new(t->state.head, n_rows, t->pool, &t->pass, err);
    if (st == GF_OK)
        st = take_optimizer(t, err);
    if (st == GF_OK)
        st = allocate_history(t, err);
    if (st == GF_OK)
        st = allocate_buffers(t, err);
    return st;
}

static void finish(trainer *t)
{
    gf__free(t->batch);
    gf__free(t->batch_labels);
    gf__free(t->batch_targets);
    gf__free(t->batch_weights);
    gf__free(t->order);
    gf__free(t->class_weights);
    gf__free(t->state.best_weights);
    gf__optimizer_free(t->state.optimizer);
    gf__head_pass_free(t->pass);
    gf__pool_free(t->pool);
    gf_history_free(t->state.history);
}

/* Rows order[first...] of the epoch, each in one of its views. */
static void gather(trainer *t, size_t first, size_t n, gf__rng *views)
{
    const gf_fit_data *train = t->train;
    const size_t n_features = gf_head_n_features(t->state.head);
    const size_t n_classes = gf_head_n_classes(t->state.head);
    for (size_t i = 0; i < n; i++) {
        const size_t item = t->order[first + i];
        const size_t view = t->state.n_views > 1 ? gf__rng_below(views, t->state.n_views) : 0;
        memcpy(t->batch + i * n_features, train->features + (view * train->n + item) * n_features,
               n_features * sizeof *t->batch);
        if (train->targets != NULL)
            memcpy(t->batch_targets + i * n_classes, train->targets + item * n_classes,
                   n_classes * sizeof *t->batch_targets);
        else
            t->batch_labels[i] = train->labels[item];
        if (train->row_weights != NULL)
            t->batch_weights[i] = train->row_weights[item];
    }
}

static void train_epoch(trainer *t, gf_epoch *epoch)
{
    const uint64_t seed = t->state.options->seed;
    const uint64_t number = t->n_epochs_before + (uint64_t)epoch->number;
    const size_t n = t->train->n;
    gf__rng shuffle, views, dropout;
    double sum = 0.0, n_correct = 0.0;

    gf__rng_seed(&shuffle, seed, GF__STREAM_SHUFFLE + number);
    gf__rng_seed(&views, seed, GF__STREAM_VIEW + number);
    gf__rng_seed(&dropout, seed, GF__STREAM_DROPOUT + number);
    for (size_t i = 0; i < n; i++)
        t->order[i] = i;
    if (!t->state.options->keeps_order)
        gf__rng_shuffle(&shuffle, t->order, n);

    for (size_t first = 0; first < n; first += t->batch_size) {
        const size_t n_rows = n - first < t->batch_size ? n - first : t->batch_size;
        double loss, n_right;
        gather(t, first, n_rows, &views);
        const gf__head_batch batch = {.features = t->batch,
                                      .n = n_rows,
                                      .labels = t->batch_labels,
                                      .targets = t->batch_targets,
                                      .class_weights = t->class_weights,
                                      .row_weights = t->batch_weights};
        gf__head_forward(t->pass, t->state.head, &batch, &dropout, &loss, &n_right);
        gf__head_backward(t->pass, t->state.head);
        gf__optimizer_step(t->state.optimizer, t->state.head, t->pass, n_rows);
        sum += loss * (double)n_rows;
        n_correct += n_right;
    }
    epoch->loss = sum / (double)n;
    epoch->accuracy = n_correct / (double)n;
}

static void evaluate(trainer *t, gf_epoch *epoch)
{
    epoch->val_loss = (double)NAN;
    epoch->val_accuracy = (double)NAN;
    if (t->val == NULL)
        return;
    const gf_fit_data *val = t->val;
    const size_t n_features = gf_head_n_features(t->state.head), n = val->n;
    const size_t n_classes = gf_head_n_classes(t->state.head);
    double sum = 0.0, n_correct = 0.0;
    for (size_t first = 0; first < n; first += EVALUATION_ROWS) {
        const size_t n_rows = n - first < EVALUATION_ROWS ? n - first : EVALUATION_ROWS;
        double loss, n_right;
        const gf__head_batch batch = {
            .features = val->features + first * n_features,
            .n = n_rows,
            .labels = val->targets == NULL ? val->labels + first : NULL,
            .targets = val->targets != NULL ? val->targets + first * n_classes : NULL,
            .row_weights = val->row_weights != NULL ? val->row_weights + first : NULL};
        gf__head_forward(t->pass, t->state.head, &batch, NULL, &loss, &n_right);
        sum += loss * (double)n_rows;
        n_correct += n_right;
    }
    epoch->val_loss = sum / (double)n;
    epoch->val_accuracy = n_correct / (double)n;
}

/* Without early stopping the last epoch is the best one. */
static void remember_best(trainer *t, const gf_epoch *epoch)
{
    gf_history *history = t->state.history;
    size_t n_floats;
    const float *params = gf__head_params(t->state.head, &n_floats);
    if (t->state.best_weights == NULL) {
        history->best_epoch = epoch->number;
        return;
    }
    if (history->best_epoch > 0 &&
        !(epoch->val_loss < history->epochs[history->best_epoch - 1].val_loss))
        return;
    history->best_epoch = epoch->number;
    memcpy(t->state.best_weights, params, n_floats * sizeof *params);
}

static void restore_best(trainer *t)
{
    size_t n_floats;
    float *params = gf__head_params(t->state.head, &n_floats);
    if (t->state.best_weights != NULL && t->state.history->n_epochs > 0)
        memcpy(params, t->state.best_weights, n_floats * sizeof *params);
}

static bool is_finished(const trainer *t)
{
    const gf_train_options *options = t->state.options;
    const gf_history *history = t->state.history;
    const int n_epochs = (int)history->n_epochs;
    return n_epochs == options->n_epochs ||
           (options->early_stop > 0 && n_epochs - history->best_epoch >= options->early_stop);
}

static gf_status save(trainer *t, bool is_forced, gf_error *err)
{
    if (t->callbacks->checkpoint_path == NULL)
        return GF_OK;
    if (!is_forced && gf__clock_s() - t->saved_at_s < checkpoint_interval_s)
        return GF_OK;
    const gf_status st = gf__checkpoint_save(t->callbacks->checkpoint_path, &t->state, err);
    t->saved_at_s = gf__clock_s();
    return st;
}

static double rate_of(const trainer *t)
{
    const double *rate = t->callbacks->learning_rate;
    return rate != NULL ? *rate : t->state.options->learning_rate;
}

static gf_status take_rate(trainer *t, int epoch, gf_error *err)
{
    const double rate = rate_of(t);
    if (!(rate > 0.0) || !isfinite(rate))
        return gf_error_set(err, GF_EINVAL, "epoch %d: learning rate is %g, must be above 0", epoch,
                            rate);
    if (t->callbacks->learning_rate != NULL)
        gf__optimizer_set_rate(t->state.optimizer, rate);
    return GF_OK;
}

static gf_status run_epoch(trainer *t, gf_error *err)
{
    const double start_s = gf__clock_s();
    gf_history *history = t->state.history;
    gf_epoch *epoch = &history->epochs[history->n_epochs];

    *epoch = (gf_epoch){.number = (int)history->n_epochs + 1};
    const gf_status set = take_rate(t, epoch->number, err);
    if (set != GF_OK)
        return set;
    train_epoch(t, epoch);
    if (!isfinite(epoch->loss))
        return gf_error_set(
            err, GF_EINVAL,
            "epoch %d: the loss is no longer a number; a learning rate below %g may "
            "help",
            epoch->number, rate_of(t));
    evaluate(t, epoch);
    epoch->time_s = gf__clock_s() - start_s;
    history->n_epochs++;
    remember_best(t, epoch);

    const bool goes_on = t->callbacks->epoch == NULL ||
                         t->callbacks->epoch(t->callbacks->user, epoch, t->state.options->n_epochs);
    const gf_status st = save(t, !goes_on, err);
    if (st == GF_OK && !goes_on)
        return gf_error_set(err, GF_ECANCELED, "stopped after epoch %d of %d", epoch->number,
                            t->state.options->n_epochs);
    return st;
}

static gf_status resume(trainer *t, gf_error *err)
{
    const gf_fit_callbacks *callbacks = t->callbacks;
    if (callbacks->checkpoint_path == NULL || !callbacks->is_resumed ||
        !gf__is_file(callbacks->checkpoint_path))
        return GF_OK;
    return gf__checkpoint_load(callbacks->checkpoint_path, &t->state, err);
}

static trainer describe(gf_head *head, const gf_fit_data *train, const gf_fit_data *val,
                        const gf_train_options *options, const gf_fit_callbacks *callbacks)
{
    static const gf_fit_callbacks no_callbacks = {0};
    trainer t = {.train = train,
                 .val = val,
                 .callbacks = callbacks != NULL ? callbacks : &no_callbacks,
                 .batch_size = options->batch_size < train->n ? options->batch_size : train->n,
                 .saved_at_s = gf__clock_s()};
    t.state = (gf__training){.options = options,
                             .data_id = t.callbacks->data_id,
                             .n_train = train->n,
                             .n_views = train->n_views > 0 ? train->n_views : 1,
                             .n_val = val != NULL ? val->n : 0,
                             .head = head};
    return t;
}

gf_status gf_fit(gf_head *head, const gf_fit_data *train, const gf_fit_data *val,
                 const gf_train_options *options, const gf_fit_callbacks *callbacks,
                 gf_history **history, gf_error *err)
{
    *history = NULL;
    gf_status st = gf__fit_check(head, train, val, options, callbacks, err);
    if (st != GF_OK)
        return st;

    trainer t = describe(head, train, val, options, callbacks);
    if (t.callbacks->state != NULL)
        st = check_state(&t, err);
    if (st == GF_OK)
        st = start(&t, err);
    if (st != GF_OK)
        goto done;
    if (t.callbacks->state == NULL)
        gf_head_initialise(head, options->seed);
    st = resume(&t, err);
    while (st == GF_OK && !is_finished(&t))
        st = run_epoch(&t, err);
    if (st != GF_OK && st != GF_ECANCELED)
        goto done;

    restore_best(&t);
    t.state.history->is_complete = st == GF_OK;
    if (st == GF_OK && t.callbacks->checkpoint_path != NULL && !t.callbacks->is_kept)
        unlink(t.callbacks->checkpoint_path); /* gone already is as good */
    give_optimizer(&t);
    *history = t.state.history;
    t.state.history = NULL; /* moved to the caller */
done:
    finish(&t);
    return st;
}

void gf_history_free(gf_history *history)
{
    if (history == NULL)
        return;
    gf__free(history->epochs);
    gf__free(history);
}
