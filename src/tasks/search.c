/* tasks/search.c: hyperparameter search: a job's program run many times, each time with other values, towards the
 * best objective. What is tried comes from search_choose.c, what is known is in the trials (search_trials.c);
 * this is the loop that starts them, reads their metrics, and stops those that are not worth it.
 *
 * An attempt after a crash takes up the trials in progress.json: what ended stays, what ran begins again with the
 * values it had. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tasks/search_priv.h"

#define LOOK_MS           200  /* at the metrics of trials that run */
#define PROGRESS_MS       1000 /* between two notes of new metrics; ends are noted at once */
#define MAX_TRIALS        10000
#define MIN_FAILED        3 /* before the job may fail for half of its trials */
#define MAX_SPEC_BYTES    ((size_t)64 << 20)
#define FEATURES_BY_GRAFT "graft.train"

typedef struct searching {
    gf__task *task;
    gf__space space;
    gf__search search;
    const char *tag;
    size_t max_trials, max_parallel, max_failed;
    bool stops_early;
    bool is_exhausted;          /* a grid has no more settings */
    gf__trials trials, earlier; /* of this job; of resumePreviousJobId */
    size_t n_running;
    bool is_graft;   /* trials are graft.train: they share the cache of features */
    size_t *telling; /* parameters that say which features a trial needs */
    size_t n_telling;
    int64_t progress_ms; /* when it was noted last */
    bool is_news;        /* something is not noted yet */
    char *failure;       /* of the latest trial that failed */
} searching;

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

/* Parameters of graft train that change what is asked of the cache; any other leaves the rows of pictures what they
 * are. */
static gf_status find_telling(searching *s, gf_error *err)
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

static gf_status read_spec(searching *s, gf_error *err)
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
static gf_status read_curve(searching *s, gf__trial *trial, gf_error *err)
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

static gf_status take_up(searching *s, gf_error *err)
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
static gf_status import_from(searching *s, const char *dir, const char *name, bool *is_found,
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

static gf_status import_previous(searching *s, gf_error *err)
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

/* ---- progress -------------------------------------------------------------------------------- */

/* What an attempt after a crash goes by: not to be able to note it is worth a line, but no reason to end
 * trials that run. */
static gf_status note(searching *s, gf_error *err)
{
    gf_error own;
    gf__json *output = gf__trials_output(&s->trials, s->tag, s->search.is_minimised);
    gf_status st = gf__json_status(output, err);
    if (st == GF_OK && gf__task_progress(s->task, s->n_running > 0, output, &own) != GF_OK)
        gf__task_say(s->task, "progress could not be noted: %s", own.message);
    gf__json_free(output);
    s->is_news = false;
    s->progress_ms = gf__clock_ms();
    return st;
}

static gf_status note_metrics(searching *s, gf_error *err)
{
    return s->is_news && gf__clock_ms() - s->progress_ms >= PROGRESS_MS ? note(s, err) : GF_OK;
}

static void write_now(char out[32])
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* ---- the next trial -------------------------------------------------------------------------- */

static void see(const gf__trials *trials, gf__seen *seen, size_t *n)
{
    for (size_t i = 0; i < trials->n; i++) {
        const gf__trial *trial = trials->at[i];
        const gf__measure *final = gf__trial_final(trial);
        gf__seen *one = &seen[(*n)++];
        *one = (gf__seen){.values = trial->values, .state = GF__SEEN_PENDING};
        if (!gf__trial_has_ended(trial))
            continue;
        const bool is_done = trial->state == GF__TRIAL_SUCCEEDED && final != NULL &&
                             isfinite(final->value);
        one->state = is_done ? GF__SEEN_DONE : GF__SEEN_FAILED;
        one->objective = is_done ? final->value : 0;
    }
}

static gf_status choose_next(searching *s, gf__trial **out, gf_error *err)
{
    const size_t n_all = s->earlier.n + s->trials.n;
    size_t n = 0;
    gf__seen *seen = gf__calloc(n_all, sizeof *seen);
    double *values = gf__calloc(s->space.n_params, sizeof *values);
    gf_status st = seen != NULL && values != NULL ? GF_OK : gf__error_nomem(err, "a trial", 0);
    *out = NULL;
    if (st == GF_OK) {
        see(&s->earlier, seen, &n);
        see(&s->trials, seen, &n);
        st = gf__search_choose(&s->search, n, seen, n, values, &s->is_exhausted, err);
    }
    if (st == GF_OK && !s->is_exhausted)
        st = gf__trials_add(&s->trials, values, out, err);
    gf__free(values);
    gf__free(seen);
    return st;
}

/* The next one to start: one that an earlier attempt had begun, else a new one; NULL: none. */
static gf_status next_trial(searching *s, gf__trial **out, gf_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < s->trials.n; i++) {
        if (s->trials.at[i]->state == GF__TRIAL_QUEUED) {
            *out = s->trials.at[i];
            return GF_OK;
        }
    }
    if (s->is_exhausted || s->trials.n >= s->max_trials)
        return GF_OK;
    return choose_next(s, out, err);
}

static bool has_same_features(const searching *s, const gf__trial *a, const gf__trial *b)
{
    for (size_t i = 0; i < s->n_telling; i++)
        if (memcmp(&a->values[s->telling[i]], &b->values[s->telling[i]], sizeof(double)) != 0)
            return false;
    return true;
}

/* Whether a trial has told by a metric that the features this one needs are in the cache. */
static bool has_features(const searching *s, const gf__trial *trial)
{
    for (size_t i = 0; i < s->trials.n; i++)
        if (s->trials.at[i]->metrics.n > 0 && has_same_features(s, trial, s->trials.at[i]))
            return true;
    return false;
}

/* Whether another trial is computing the features that this one needs: the first that asks fills the
 * cache for all. */
static bool waits_for_features(const searching *s, const gf__trial *trial)
{
    if (!s->is_graft || has_features(s, trial))
        return false;
    for (size_t i = 0; i < s->trials.n; i++)
        if (s->trials.at[i]->state == GF__TRIAL_RUNNING &&
            has_same_features(s, trial, s->trials.at[i]))
            return true;
    return false;
}

/* While it computes what the others wait for, it has all of the job's CPUs. */
static gf_status give_all_threads(const searching *s, gf__program *program, gf_error *err)
{
    const int64_t n_cpus = gf__json_int(gf__json_find(s->task->spec, "nCpus"), 1);
    for (char **argument = program->argv; *argument != NULL; argument++) {
        if (strncmp(*argument, "--threads=", 10) != 0)
            continue;
        gf__free(*argument);
        *argument = gf__asprintf("--threads=%lld", (long long)n_cpus);
        return *argument != NULL ? GF_OK : gf__error_nomem(err, "an argument", 0);
    }
    return GF_OK;
}

static void say_values(searching *s, const gf__trial *trial)
{
    gf__buffer text = {0};
    for (size_t i = 0; i < s->space.n_params; i++)
        gf__buffer_printf(&text, " --%s=%s", s->space.params[i].name, trial->texts[i]);
    gf__task_say(s->task, "trial %s:%s", trial->id, text.failed ? "" : text.data);
    gf__buffer_free(&text);
}

static gf_status start(searching *s, gf__trial *trial, gf_error *err)
{
    const char **names = gf__calloc(s->space.n_params, sizeof *names);
    if (names == NULL)
        return gf__error_nomem(err, "a trial", s->space.n_params * sizeof *names);
    for (size_t i = 0; i < s->space.n_params; i++)
        names[i] = s->space.params[i].name;
    const gf__trial_arguments arguments = {.id = trial->id,
                                           .names = names,
                                           .values = (const char *const *)trial->texts,
                                           .n = s->space.n_params};
    gf_status st = gf__program_new(s->task, &arguments, &trial->program, err);
    if (st == GF_OK && s->is_graft && s->n_running == 0 && !has_features(s, trial))
        st = give_all_threads(s, &trial->program, err);
    gf__free(names);
    if (st != GF_OK) {
        gf__program_free(&trial->program);
        return st;
    }
    const gf__child_options options = {.argv = trial->program.argv,
                                       .env = trial->program.env,
                                       .dir = trial->program.dir,
                                       .trial = trial->id,
                                       .user = trial};
    say_values(s, trial);
    write_now(trial->start_time);
    st = gf__child_start(s->task, &options, &trial->child, err);
    if (st != GF_OK) {
        gf__program_free(&trial->program);
        return st;
    }
    trial->state = GF__TRIAL_RUNNING;
    s->n_running++;
    return GF_OK;
}

/* As many as may run. */
static gf_status start_trials(searching *s, gf_error *err)
{
    const size_t n_before = s->n_running;
    gf_status st = GF_OK;
    while (st == GF_OK && s->n_running < s->max_parallel) {
        gf__trial *trial = NULL;
        st = next_trial(s, &trial, err);
        if (st != GF_OK || trial == NULL || waits_for_features(s, trial))
            break;
        st = start(s, trial, err);
    }
    return st == GF_OK && s->n_running > n_before ? note(s, err) : st;
}

/* ---- trials that run ------------------------------------------------------------------------- */

static gf_status judge(searching *s, gf__trial *trial, gf_error *err)
{
    size_t n = 0;
    gf__curve *completed = gf__calloc(s->trials.n, sizeof *completed);
    if (completed == NULL)
        return gf__error_nomem(err, "trials", s->trials.n * sizeof *completed);
    for (size_t i = 0; i < s->trials.n; i++) {
        const gf__trial *other = s->trials.at[i];
        if (other->state == GF__TRIAL_SUCCEEDED && other->metrics.n > 0)
            completed[n++] = (gf__curve){other->metrics.measures, other->metrics.n};
    }
    const gf__curve curve = {trial->metrics.measures, trial->metrics.n};
    if (gf__search_should_stop(&curve, completed, n, s->search.is_minimised)) {
        gf__task_say(s->task, "trial %s is stopped at step %lld: worse than half of the others",
                     trial->id, (long long)gf__trial_final(trial)->step);
        trial->is_stopped_early = true;
        gf__child_stop(trial->child);
    }
    gf__free(completed);
    return GF_OK;
}

static gf_status look(searching *s, gf__trial *trial, gf_error *err)
{
    bool is_new = false;
    gf_status st = gf__measures_read(&trial->metrics, trial->program.metric_file, s->tag, &is_new,
                                     err);
    if (st == GF_OK && is_new) {
        s->is_news = true;
        if (s->stops_early && !trial->is_stopped_early && trial->state == GF__TRIAL_RUNNING)
            st = judge(s, trial, err);
    }
    return st;
}

static gf_status look_at_all(searching *s, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; i < s->trials.n && st == GF_OK; i++)
        if (s->trials.at[i]->state == GF__TRIAL_RUNNING)
            st = look(s, s->trials.at[i], err);
    return st;
}

static gf_status keep_failure(searching *s, const gf__trial *trial, int exit_status, gf_error *err)
{
    char *text = NULL;
    const gf_status st = gf__program_failure(s->task, trial->id, exit_status, &text, err);
    if (st == GF_OK) {
        gf__free(s->failure);
        s->failure = gf__asprintf("Trial %s: %s", trial->id, text);
        gf__task_say(s->task, "trial %s failed", trial->id);
    }
    gf__free(text);
    return st;
}

static void leave_program(searching *s, gf__trial *trial)
{
    gf__child_free(trial->child);
    trial->child = NULL;
    gf__program_free(&trial->program);
    s->n_running--;
    write_now(trial->end_time);
}

/* One that was stopped early did what it was for. */
static gf_status end_trial(searching *s, gf__trial *trial, gf_error *err)
{
    const int exit_status = gf__child_exit(trial->child);
    const bool is_done = exit_status == 0 || trial->is_stopped_early;
    const gf__measure *final = NULL;
    gf_status st = look(s, trial, err);
    trial->state = is_done ? GF__TRIAL_SUCCEEDED : GF__TRIAL_FAILED;
    if (st == GF_OK && !is_done)
        st = keep_failure(s, trial, exit_status, err);
    final = gf__trial_final(trial);
    if (final != NULL)
        gf__task_say(s->task, "trial %s: %s is %.6g at step %lld", trial->id, s->tag, final->value,
                     (long long) final->step);
    else if (is_done)
        gf__task_say(s->task, "trial %s ended without a metric %s%s%s", trial->id, s->tag,
                     trial->metrics.other_tags != NULL ? "; it noted " : "",
                     trial->metrics.other_tags != NULL ? trial->metrics.other_tags : "");
    leave_program(s, trial);
    return st == GF_OK ? note(s, err) : st;
}

/* maxFailedTrials where it is given; else half of what has ended, once there are a few. */
static bool has_failed(const searching *s)
{
    const size_t n_failed = gf__trials_count(&s->trials, GF__TRIAL_FAILED);
    const size_t n_good = gf__trials_count(&s->trials, GF__TRIAL_SUCCEEDED);
    if (s->max_failed > 0)
        return n_failed >= s->max_failed;
    return n_failed >= MIN_FAILED && n_failed > n_good;
}

/* After a stop the children are gone already, and their objects are left. */
static void cancel_running(searching *s)
{
    for (size_t i = 0; i < s->trials.n; i++) {
        gf__trial *trial = s->trials.at[i];
        if (trial->state != GF__TRIAL_RUNNING)
            continue;
        (void)look(s, trial, NULL);
        trial->state = GF__TRIAL_CANCELLED;
        leave_program(s, trial);
    }
}

static gf_status stop_running(searching *s, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; i < s->trials.n; i++)
        if (s->trials.at[i]->state == GF__TRIAL_RUNNING)
            gf__child_stop(s->trials.at[i]->child);
    while (st == GF_OK && s->n_running > 0) {
        gf__child *ended = NULL;
        st = gf__child_wait_any(s->task, LOOK_MS, &ended, err);
        if (st != GF_OK || ended == NULL)
            continue;
        gf__trial *trial = gf__child_user(ended);
        trial->state = GF__TRIAL_CANCELLED;
        leave_program(s, trial);
    }
    return st;
}

static gf_status run_trials(searching *s, gf_error *err)
{
    gf_status st = start_trials(s, err);
    while (st == GF_OK && s->n_running > 0 && !has_failed(s)) {
        gf__child *ended = NULL;
        st = gf__child_wait_any(s->task, LOOK_MS, &ended, err);
        if (st == GF_OK)
            st = ended != NULL ? end_trial(s, gf__child_user(ended), err) : look_at_all(s, err);
        if (st == GF_OK && !has_failed(s))
            st = start_trials(s, err);
        if (st == GF_OK)
            st = note_metrics(s, err);
    }
    return st == GF_OK ? stop_running(s, err) : st;
}

/* ---- how it came out ------------------------------------------------------------------------- */

static const gf__trial *best_of(const searching *s)
{
    const gf__trial *best = NULL;
    for (size_t i = 0; i < s->trials.n; i++) {
        const gf__trial *trial = s->trials.at[i];
        const gf__measure *final = gf__trial_final(trial);
        if (trial->state != GF__TRIAL_SUCCEEDED || final == NULL || isnan(final->value))
            continue;
        const double kept = best != NULL ? gf__trial_final(best)->value : 0;
        if (best == NULL || (s->search.is_minimised ? final->value < kept : final->value > kept))
            best = trial;
    }
    return best;
}

static const char *other_tags(const searching *s)
{
    for (size_t i = 0; i < s->trials.n; i++)
        if (s->trials.at[i]->metrics.other_tags != NULL)
            return s->trials.at[i]->metrics.other_tags;
    return "none";
}

static gf_status conclude(searching *s, gf__outcome *out, gf_error *err)
{
    const size_t n_failed = gf__trials_count(&s->trials, GF__TRIAL_FAILED);
    const size_t n_good = gf__trials_count(&s->trials, GF__TRIAL_SUCCEEDED);
    const gf__trial *best = best_of(s);
    if (has_failed(s) || n_good == 0)
        out->error_message = gf__asprintf("%zu of %zu trials failed. %s", n_failed,
                                          n_failed + n_good, s->failure != NULL ? s->failure : "");
    else if (best == NULL)
        out->error_message = gf__asprintf("No trial noted a metric %s; tags that were noted: %s",
                                          s->tag, other_tags(s));
    else
        gf__task_say(s->task, "the best of %zu trials is %s: %s is %.6g", s->trials.n, best->id,
                     s->tag, gf__trial_final(best)->value);
    out->is_failed = has_failed(s) || best == NULL;
    return out->is_failed && out->error_message == NULL ? gf__error_nomem(err, "a message", 0)
                                                        : GF_OK;
}

gf_status gf__task_search(gf__task *task, gf__outcome *out, gf_error *err)
{
    searching s = {.task = task};
    gf_status st = read_spec(&s, err);
    if (st == GF_OK)
        st = take_up(&s, err);
    if (st == GF_OK)
        st = import_previous(&s, err);
    if (st == GF_OK)
        st = note(&s, err);
    if (st == GF_OK)
        st = gf__program_prepare(task, err);
    if (st == GF_OK)
        st = run_trials(&s, err);
    cancel_running(&s);
    if (st == GF_OK)
        st = conclude(&s, out, err);
    if (s.space.n_params > 0 && s.tag != NULL)
        out->output = gf__trials_output(&s.trials, s.tag, s.search.is_minimised);
    gf__trials_free(&s.trials);
    gf__trials_free(&s.earlier);
    gf__space_free(&s.space);
    gf__free(s.telling);
    gf__free(s.failure);
    return st;
}
