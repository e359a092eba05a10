/* tasks/search.c: hyperparameter search: a job's program run many times, each time with other
 * values, towards the best objective. What is tried comes from search_choose.c, what is known is
 * in the trials (search_trials.c); this is the loop that starts them, reads their metrics, and
 * stops those that are not worth it.
 *
 * An attempt after a crash takes up the trials in progress.json: what ended stays, what ran begins
 * again with the values it had. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "tasks/search_run_priv.h"

#define LOOK_MS     200  /* at the metrics of trials that run */
#define PROGRESS_MS 1000 /* between two notes of new metrics; ends are noted at once */
#define MIN_FAILED  3    /* before the job may fail for half of its trials */

/* ---- progress -------------------------------------------------------------------------------- */

/* What an attempt after a crash goes by: not to be able to note it is worth a line, but no reason
 * to end trials that run. */
static gf_status note(gf__searching *s, gf_error *err)
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

static gf_status note_metrics(gf__searching *s, gf_error *err)
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

static gf_status choose_next(gf__searching *s, gf__trial **out, gf_error *err)
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
static gf_status next_trial(gf__searching *s, gf__trial **out, gf_error *err)
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

static bool has_same_features(const gf__searching *s, const gf__trial *a, const gf__trial *b)
{
    for (size_t i = 0; i < s->n_telling; i++)
        if (memcmp(&a->values[s->telling[i]], &b->values[s->telling[i]], sizeof(double)) != 0)
            return false;
    return true;
}

/* Whether a trial has told by a metric that the features this one needs are in the cache. */
static bool has_features(const gf__searching *s, const gf__trial *trial)
{
    for (size_t i = 0; i < s->trials.n; i++)
        if (s->trials.at[i]->metrics.n > 0 && has_same_features(s, trial, s->trials.at[i]))
            return true;
    return false;
}

/* Whether another trial is computing the features that this one needs: the first that asks fills
 * the cache for all. */
static bool waits_for_features(const gf__searching *s, const gf__trial *trial)
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
static gf_status give_all_threads(const gf__searching *s, gf__program *program, gf_error *err)
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

static void say_values(gf__searching *s, const gf__trial *trial)
{
    gf__buffer text = {0};
    for (size_t i = 0; i < s->space.n_params; i++)
        gf__buffer_printf(&text, " --%s=%s", s->space.params[i].name, trial->texts[i]);
    gf__task_say(s->task, "trial %s:%s", trial->id, text.failed ? "" : text.data);
    gf__buffer_free(&text);
}

static gf_status start(gf__searching *s, gf__trial *trial, gf_error *err)
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
static gf_status start_trials(gf__searching *s, gf_error *err)
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

static gf_status judge(gf__searching *s, gf__trial *trial, gf_error *err)
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

static gf_status look(gf__searching *s, gf__trial *trial, gf_error *err)
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

static gf_status look_at_all(gf__searching *s, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; i < s->trials.n && st == GF_OK; i++)
        if (s->trials.at[i]->state == GF__TRIAL_RUNNING)
            st = look(s, s->trials.at[i], err);
    return st;
}

static gf_status keep_failure(gf__searching *s, const gf__trial *trial, int exit_status,
                              gf_error *err)
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

static void leave_program(gf__searching *s, gf__trial *trial)
{
    gf__child_free(trial->child);
    trial->child = NULL;
    gf__program_free(&trial->program);
    s->n_running--;
    write_now(trial->end_time);
}

/* One that was stopped early did what it was for. */
static gf_status end_trial(gf__searching *s, gf__trial *trial, gf_error *err)
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
static bool has_failed(const gf__searching *s)
{
    const size_t n_failed = gf__trials_count(&s->trials, GF__TRIAL_FAILED);
    const size_t n_good = gf__trials_count(&s->trials, GF__TRIAL_SUCCEEDED);
    if (s->max_failed > 0)
        return n_failed >= s->max_failed;
    return n_failed >= MIN_FAILED && n_failed > n_good;
}

/* After a stop the children are gone already, and their objects are left. */
static void cancel_running(gf__searching *s)
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

static gf_status stop_running(gf__searching *s, gf_error *err)
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

static gf_status run_trials(gf__searching *s, gf_error *err)
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

static const gf__trial *best_of(const gf__searching *s)
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

static const char *other_tags(const gf__searching *s)
{
    for (size_t i = 0; i < s->trials.n; i++)
        if (s->trials.at[i]->metrics.other_tags != NULL)
            return s->trials.at[i]->metrics.other_tags;
    return "none";
}

static gf_status conclude(gf__searching *s, gf__outcome *out, gf_error *err)
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
    gf__searching s = {.task = task};
    gf_status st = gf__search_begin(&s, err);
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
