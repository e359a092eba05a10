/* tasks/search_begin.c: what a search knows when it begins: its document, the trials of an attempt
 * before this one, and those of an earlier job. */
#include <stdlib.h>
#include <string.h>

#include "tasks/search_run_priv.h"

#define MAX_TRIALS        10000
#define MAX_SPEC_BYTES    ((size_t)64 << 20)
#define FEATURES_BY_GRAFT "graft.train"

/* ---- the document ---------------------------------------------------------------------------- */

/* int32 fields come as numbers, from some clients as strings. */
static gf_status read_count(const gf__json *spec, const char *key, size_t preset, size_t *out,
                            gf_error *err)
{
    const gf__json *value = gf__json_find(spec, key);
    const char *text = gf__json_string(value, NULL);
    const int64_t n = text != NULL    ? strtoll(text, NULL, 10)
                      : value == NULL ? 0
                                      : gf__json_int(value, -1);
    if (n < 0 || n > MAX_TRIALS)
        return gf_error_set(err, GF_EINVAL, "%s: expected 0 to %d", key, MAX_TRIALS);
    *out = n > 0 ? (size_t)n : preset;
    return GF_OK;
}

/* The number of a word; what is not given or UNSPECIFIED is the first. */
static gf_status read_word(const gf__json *spec, const char *key, const char *const *words,
                           size_t n_words, size_t *out, gf_error *err)
{
    const char *word = gf__json_string(gf__json_find(spec, key), words[0]);
    for (size_t i = 0; i < n_words; i++) {
        *out = i;
        if (strcmp(word, words[i]) == 0)
            return GF_OK;
    }
    return gf_error_set(err, GF_EINVAL, "%s: found %.60s, expected one of %s, %s, %s", key, word,
                        words[0], words[1], words[2]);
}

/* The same search by the same name: 16 digits of the name's hash. */
static uint64_t seed_of(const char *name)
{
    char hex[GF__SHA256_HEX];
    gf__sha256_hex(name, strlen(name), hex);
    hex[16] = '\0';
    return strtoull(hex, NULL, 16);
}

/* Parameters of graft train that change what is asked of the cache; any other leaves the rows of
 * pictures what they are. */
static gf_status find_telling(gf__searching *s, gf_error *err)
{
    static const char *const names[] = {"model", "layer", "precision", "augment", "views", "seed"};
    s->telling = gf__calloc(s->space.n_params, sizeof *s->telling);
    if (s->telling == NULL)
        return gf__error_nomem(err, "parameters", s->space.n_params * sizeof *s->telling);
    for (size_t i = 0; i < s->space.n_params; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            if (strcmp(s->space.params[i].name, names[k]) == 0)
                s->telling[s->n_telling++] = i;
    return GF_OK;
}

static gf_status read_spec(gf__searching *s, gf_error *err)
{
    static const char *const goals[] = {"GOAL_TYPE_UNSPECIFIED", "MAXIMIZE", "MINIMIZE"};
    static const char *const algorithms[] = {"ALGORITHM_UNSPECIFIED", "GRID_SEARCH",
                                             "RANDOM_SEARCH"};
    static const gf__search_algorithm meant[] = {GF__SEARCH_BAYESIAN, GF__SEARCH_GRID,
                                                 GF__SEARCH_RANDOM};
    const gf__json *training = gf__json_find(s->task->spec, "training");
    const gf__json *spec = gf__json_find(training, "hyperparameters");
    size_t goal = 0, algorithm = 0;
    gf_status st = gf__space_parse(gf__json_find(spec, "params"), &s->space, err);
    if (st == GF_OK)
        st = read_count(spec, "maxTrials", 1, &s->max_trials, err);
    if (st == GF_OK)
        st = read_count(spec, "maxParallelTrials", 1, &s->max_parallel, err);
    if (st == GF_OK)
        st = read_count(spec, "maxFailedTrials", 0, &s->max_failed, err);
    if (st == GF_OK)
        st = read_word(spec, "goal", goals, 3, &goal, err);
    if (st == GF_OK)
        st = read_word(spec, "algorithm", algorithms, 3, &algorithm, err);
    if (st == GF_OK)
        st = find_telling(s, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "hyperparameters");
        return st;
    }
    s->search = (gf__search){.space = &s->space,
                             .algorithm = meant[algorithm],
                             .is_minimised = goal == 2,
                             .seed = seed_of(s->task->name)};
    s->tag = gf__json_string(gf__json_find(spec, "hyperparameterMetricTag"), "");
    if (s->tag[0] == '\0')
        s->tag = GF__DEFAULT_METRIC_TAG;
    s->stops_early = gf__json_bool(gf__json_find(spec, "enableTrialEarlyStopping"), false);
    s->is_graft = strcmp(gf__json_string(gf__json_find(training, "pythonModule"), ""),
                         FEATURES_BY_GRAFT) == 0;
    s->trials.space = s->earlier.space = &s->space;
    return GF_OK;
}

/* ---- what was before ------------------------------------------------------------------------- */

/* A document of a job's folder; *out NULL where there is none. */
static gf_status read_document(const char *dir, const char *name, gf__json **out, gf_error *err)
{
    char *path = gf__path_join(dir, name), *text = NULL;
    size_t size = 0;
    *out = NULL;
    if (path == NULL)
        return gf__error_nomem(err, "a path", 0);
    gf_status st = gf__is_file(path) ? gf__read_file(path, MAX_SPEC_BYTES, &text, &size, err)
                                     : GF_OK;
    if (st == GF_OK && text != NULL)
        st = gf__json_parse(text, size, out, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    gf__free(text);
    gf__free(path);
    return st;
}

/* The document has the last measure only; a trial's file of metrics still lies in its folder. */
static gf_status read_curve(gf__searching *s, gf__trial *trial, gf_error *err)
{
    gf__measures found = {0};
    bool is_new = false;
    char *path = gf__asprintf("%s/trials/%s/metrics.jsonl", s->task->options->dir, trial->id);
    if (path == NULL)
        return gf__error_nomem(err, "a path", 0);
    const gf_status st = gf__measures_read(&found, path, s->tag, &is_new, err);
    if (st == GF_OK && found.n >= trial->metrics.n) {
        const gf__measures before = trial->metrics;
        trial->metrics = found;
        found = before;
    }
    gf__measures_free(&found);
    gf__free(path);
    return st;
}

static gf_status take_up(gf__searching *s, gf_error *err)
{
    gf__json *progress = NULL;
    gf_status st = read_document(s->task->options->dir, "progress.json", &progress, err);
    if (st == GF_OK)
        st = gf__trials_restore(&s->trials, gf__json_find(progress, "output"), err);
    for (size_t i = 0; i < s->trials.n && st == GF_OK; i++)
        if (gf__trial_has_ended(s->trials.at[i]))
            st = read_curve(s, s->trials.at[i], err);
    const size_t n = s->trials.n - gf__trials_count(&s->trials, GF__TRIAL_QUEUED);
    if (st == GF_OK && s->trials.n > 0)
        gf__task_say(s->task, "%zu of %zu trials had ended before this attempt", n, s->trials.n);
    gf__json_free(progress);
    return st;
}

/* "projects/P/jobs/PREVIOUS" beside "projects/P/jobs/THIS". New. */
static char *sibling(const char *name, const char *id)
{
    const char *base = gf__path_base(name);
    return gf__asprintf("%.*s%s", (int)(base - name), name, id);
}

/* Reads a folder beside ours if it is the job's: its trials. */
static gf_status import_from(gf__searching *s, const char *dir, const char *name, bool *is_found,
                             gf_error *err)
{
    gf__json *spec = NULL, *result = NULL;
    size_t n_left_out = 0;
    gf_status st = read_document(dir, "spec.json", &spec, err);
    *is_found = st == GF_OK && strcmp(gf__json_string(gf__json_find(spec, "name"), ""), name) == 0;
    gf__json_free(spec);
    if (!*is_found)
        return GF_OK; /* whatever is wrong with somebody else's folder */
    st = read_document(dir, "result.json", &result, err);
    if (st == GF_OK && result == NULL)
        st = read_document(dir, "progress.json", &result, err);
    if (st == GF_OK)
        st = gf__trials_import(&s->earlier, gf__json_find(result, "output"), &n_left_out, err);
    if (st == GF_OK)
        gf__task_say(s->task, "%zu trials of %s are known%s", s->earlier.n, name,
                     n_left_out > 0 ? "; others have no objective, or other parameters" : "");
    gf__json_free(result);
    return st;
}

static gf_status import_previous(gf__searching *s, gf_error *err)
{
    const gf__json *training = gf__json_find(s->task->spec, "training");
    const char *id = gf__json_string(
        gf__json_find(gf__json_find(training, "hyperparameters"), "resumePreviousJobId"), "");
    if (id[0] == '\0')
        return GF_OK;
    gf__dir_list folders = {0};
    bool is_found = false;
    char *name = sibling(s->task->name, id);
    char *jobs = gf__path_join(s->task->options->dir, "..");
    gf_status st = name != NULL && jobs != NULL ? gf__list_dir(jobs, &folders, err)
                                                : gf__error_nomem(err, "a name", 0);
    for (size_t i = 0; st == GF_OK && i < folders.n_names && !is_found; i++) {
        char *dir = gf__path_join(jobs, folders.names[i]);
        st = dir != NULL ? import_from(s, dir, name, &is_found, err)
                         : gf__error_nomem(err, "a path", 0);
        gf__free(dir);
    }
    if (st == GF_OK && !is_found)
        st = gf_error_set(err, GF_EINVAL, "resumePreviousJobId: there is no job %s", name);
    gf__dir_list_free(&folders);
    gf__free(jobs);
    gf__free(name);
    return st;
}

gf_status gf__search_begin(gf__searching *s, gf_error *err)
{
    gf_status st = read_spec(s, err);
    if (st == GF_OK)
        st = take_up(s, err);
    if (st == GF_OK)
        st = import_previous(s, err);
    return st;
}
