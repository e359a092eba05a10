/* tasks/search_trials.c: the trials of a search, and the document that tells of them: ML Engine's
 * TrainingOutput, which is also what an attempt after a crash knows of the one before. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/search_priv.h"

static const char *const state_names[] = {
    [GF__TRIAL_QUEUED] = "QUEUED",       [GF__TRIAL_RUNNING] = "RUNNING",
    [GF__TRIAL_SUCCEEDED] = "SUCCEEDED", [GF__TRIAL_FAILED] = "FAILED",
    [GF__TRIAL_CANCELLED] = "CANCELLED",
};

/* ---- the list -------------------------------------------------------------------------------- */

static void free_trial(gf__trial *trial, const gf__space *space)
{
    if (trial == NULL)
        return;
    for (size_t i = 0; trial->texts != NULL && i < space->n_params; i++)
        gf__free(trial->texts[i]);
    gf__free(trial->texts);
    gf__free(trial->values);
    gf__measures_free(&trial->metrics);
    gf__free(trial);
}

static gf_status new_trial(const gf__space *space, size_t number, const double *values,
                           gf__trial **out, gf_error *err)
{
    gf__trial *trial = gf__calloc(1, sizeof *trial);
    *out = trial;
    if (trial == NULL)
        return gf__error_nomem(err, "a trial", sizeof *trial);
    snprintf(trial->id, sizeof trial->id, "%zu", number);
    trial->values = gf__calloc(space->n_params, sizeof *trial->values);
    trial->texts = gf__calloc(space->n_params, sizeof *trial->texts);
    if (trial->values == NULL || trial->texts == NULL)
        return gf__error_nomem(err, "a trial", space->n_params * sizeof *trial->values);
    memcpy(trial->values, values, space->n_params * sizeof *values);
    for (size_t i = 0; i < space->n_params; i++) {
        trial->texts[i] = gf__param_format(&space->params[i], values[i]);
        if (trial->texts[i] == NULL)
            return gf__error_nomem(err, "a trial", 0);
    }
    return GF_OK;
}

gf_status gf__trials_add(gf__trials *trials, const double *values, gf__trial **out, gf_error *err)
{
    gf__trial *trial = NULL;
    *out = NULL;
    gf_status st = new_trial(trials->space, trials->n + 1, values, &trial, err);
    if (st == GF_OK && trials->n == trials->capacity) {
        const size_t capacity = trials->capacity > 0 ? 2 * trials->capacity : 16;
        gf__trial **at = gf__realloc(trials->at, capacity * sizeof *at);
        if (at == NULL) {
            st = gf__error_nomem(err, "trials", capacity * sizeof *at);
        } else {
            trials->at = at;
            trials->capacity = capacity;
        }
    }
    if (st != GF_OK) {
        free_trial(trial, trials->space);
        return st;
    }
    trials->at[trials->n++] = *out = trial;
    return GF_OK;
}

void gf__trials_free(gf__trials *trials)
{
    for (size_t i = 0; i < trials->n; i++)
        free_trial(trials->at[i], trials->space);
    gf__free(trials->at);
    *trials = (gf__trials){0};
}

const gf__measure *gf__trial_final(const gf__trial *trial)
{
    return trial->metrics.n > 0 ? &trial->metrics.measures[trial->metrics.n - 1] : NULL;
}

bool gf__trial_has_ended(const gf__trial *trial)
{
    return trial->state != GF__TRIAL_QUEUED && trial->state != GF__TRIAL_RUNNING;
}

size_t gf__trials_count(const gf__trials *trials, gf__trial_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < trials->n; i++)
        n += trials->at[i]->state == state;
    return n;
}

/* ---- reading --------------------------------------------------------------------------------- */

static gf_status read_values(const gf__space *space, const gf__json *document, double *values,
                             gf_error *err)
{
    const gf__json *texts = gf__json_find(document, "hyperparameters");
    for (size_t i = 0; i < space->n_params; i++) {
        const gf__param *param = &space->params[i];
        const char *text = gf__json_string(gf__json_find(texts, param->name), NULL);
        if (text == NULL)
            return gf_error_set(err, GF_EFORMAT, "no value of %s", param->name);
        const gf_status st = gf__param_read(param, text, &values[i], err);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

static void copy_time(char out[32], const gf__json *document, const char *key)
{
    snprintf(out, 32, "%s", gf__json_string(gf__json_find(document, key), ""));
}

static gf_status read_final(const gf__json *document, gf__trial *trial, gf_error *err)
{
    const gf__json *final = gf__json_find(document, "finalMetric");
    const double value = gf__json_number(gf__json_find(final, "objectiveValue"), NAN);
    const char *step = gf__json_string(gf__json_find(final, "trainingStep"), "0");
    const gf__measure measure = {.step = strtoll(step, NULL, 10), .value = value};
    return isnan(value) ? GF_OK : gf__measures_add(&trial->metrics, &measure, 0, err);
}

static gf_status restore_trial(gf__trials *trials, const gf__json *document, double *values,
                               gf_error *err)
{
    gf__trial *trial = NULL;
    const char *state = gf__json_string(gf__json_find(document, "state"), "");
    gf_status st = read_values(trials->space, document, values, err);
    if (st == GF_OK)
        st = gf__trials_add(trials, values, &trial, err);
    if (st != GF_OK)
        return st;
    for (size_t i = GF__TRIAL_SUCCEEDED; i <= GF__TRIAL_FAILED; i++)
        if (strcmp(state, state_names[i]) == 0)
            trial->state = (gf__trial_state)i;
    if (!gf__trial_has_ended(trial))
        return GF_OK;
    trial->is_stopped_early = gf__json_bool(gf__json_find(document, "isTrialStoppedEarly"), false);
    copy_time(trial->start_time, document, "startTime");
    copy_time(trial->end_time, document, "endTime");
    return read_final(document, trial, err);
}

static const gf__json *find_trial(const gf__json *list, size_t number)
{
    char id[24];
    snprintf(id, sizeof id, "%zu", number);
    for (size_t i = 0; i < gf__json_n_items(list); i++) {
        const gf__json *document = gf__json_at(list, i);
        if (strcmp(gf__json_string(gf__json_find(document, "trialId"), ""), id) == 0)
            return document;
    }
    return NULL;
}

gf_status gf__trials_restore(gf__trials *trials, const gf__json *output, gf_error *err)
{
    const gf__json *list = gf__json_find(output, "trials");
    double *values = gf__calloc(trials->space->n_params, sizeof *values);
    gf_status st = values != NULL ? GF_OK : gf__error_nomem(err, "a trial", 0);
    for (size_t i = 1; st == GF_OK && i <= gf__json_n_items(list); i++) {
        const gf__json *document = find_trial(list, i);
        st = document != NULL ? restore_trial(trials, document, values, err)
                              : gf_error_set(err, GF_EFORMAT, "it is missing");
        if (st != GF_OK)
            gf__error_prefix(err, "progress.json: trial %zu", i);
    }
    gf__free(values);
    return st;
}

gf_status gf__trials_import(gf__trials *trials, const gf__json *output, size_t *n_left_out,
                            gf_error *err)
{
    const gf__json *list = gf__json_find(output, "trials");
    double *values = gf__calloc(trials->space->n_params, sizeof *values);
    gf_status st = values != NULL ? GF_OK : gf__error_nomem(err, "a trial", 0);
    *n_left_out = 0;
    for (size_t i = 0; st == GF_OK && i < gf__json_n_items(list); i++) {
        const gf__json *document = gf__json_at(list, i);
        gf__trial *trial = NULL;
        if (gf__json_find(document, "finalMetric") == NULL ||
            read_values(trials->space, document, values, NULL) != GF_OK) {
            ++*n_left_out;
            continue;
        }
        st = gf__trials_add(trials, values, &trial, err);
        if (st == GF_OK)
            st = read_final(document, trial, err);
        if (st == GF_OK)
            trial->state = GF__TRIAL_SUCCEEDED;
    }
    gf__free(values);
    return st;
}

/* ---- writing --------------------------------------------------------------------------------- */

static gf__json *trial_document(const gf__trial *trial, const gf__space *space)
{
    gf__json *document = gf__json_object(), *texts = gf__json_object();
    const gf__measure *final = gf__trial_final(trial);
    for (size_t i = 0; i < space->n_params; i++)
        gf__json_set_string(texts, space->params[i].name, trial->texts[i]);
    gf__json_set_string(document, "trialId", trial->id);
    gf__json_set(document, "hyperparameters", texts);
    if (trial->start_time[0] != '\0')
        gf__json_set_string(document, "startTime", trial->start_time);
    if (trial->end_time[0] != '\0')
        gf__json_set_string(document, "endTime", trial->end_time);
    gf__json_set_string(document, "state", state_names[trial->state]);
    if (final != NULL) {
        char step[24];
        gf__json *metric = gf__json_object();
        snprintf(step, sizeof step, "%lld", (long long) final->step);
        gf__json_set_string(metric, "trainingStep", step);
        gf__json_set_number(metric, "objectiveValue", final->value);
        gf__json_set(document, "finalMetric", metric);
    }
    if (trial->is_stopped_early)
        gf__json_set_bool(document, "isTrialStoppedEarly", true);
    return document;
}

/* Whether a comes before b: ended ones first, of those the better ones; else by id, as they are. */
static bool comes_before(const gf__trial *a, const gf__trial *b, bool is_minimised)
{
    if (gf__trial_has_ended(a) != gf__trial_has_ended(b))
        return gf__trial_has_ended(a);
    if (!gf__trial_has_ended(a))
        return false;
    if ((a->state == GF__TRIAL_SUCCEEDED) != (b->state == GF__TRIAL_SUCCEEDED))
        return a->state == GF__TRIAL_SUCCEEDED;
    const gf__measure *x = gf__trial_final(a), *y = gf__trial_final(b);
    if (x == NULL || y == NULL)
        return x != NULL && y == NULL;
    if (isnan(x->value) || isnan(y->value))
        return !isnan(x->value) && isnan(y->value);
    return is_minimised ? x->value < y->value : x->value > y->value;
}

gf__json *gf__trials_output(const gf__trials *trials, const char *tag, bool is_minimised)
{
    char count[24];
    gf__json *output = gf__json_object(), *list = gf__json_array();
    const gf__trial **order = gf__calloc(trials->n, sizeof *order);
    for (size_t i = 0; order != NULL && i < trials->n; i++) {
        size_t at = i;
        for (; at > 0 && comes_before(trials->at[i], order[at - 1], is_minimised); at--)
            order[at] = order[at - 1];
        order[at] = trials->at[i];
    }
    snprintf(count, sizeof count, "%zu", gf__trials_count(trials, GF__TRIAL_SUCCEEDED));
    gf__json_set_string(output, "completedTrialCount", count);
    for (size_t i = 0; order != NULL && i < trials->n; i++)
        gf__json_append(list, trial_document(order[i], trials->space));
    gf__json_set(output, "trials", order != NULL ? list : NULL);
    if (order == NULL)
        gf__json_free(list);
    gf__json_set_bool(output, "isHyperparameterTuningJob", true);
    gf__json_set_string(output, "hyperparameterMetricTag", tag);
    gf__free(order);
    return output;
}
