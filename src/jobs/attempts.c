/* jobs/attempts.c: what the keeper does with one job in one round. Everything that is decided here is
 * decided by what the registry, the runner and the job's folder say now: a keeper may die after any
 * line, and the next one goes on.
 *
 *     counted (begin_attempt) -> started -> place noted -> ... -> its process has ended -> end noted */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "jobs/keeper_priv.h"

#define RETRY_MS        2000 /* after what failed for the moment */
#define FORCE_MARGIN_MS 5000 /* from the process' own killing to ours */
#define OVERDUE_S       60   /* from the process' own time limit to ours */
/* Whoever shuts the machine down signals jobs first, and us a moment later: attempts that begin
 * meanwhile would all be lost. */
#define STRANGER_WAIT_MS 5000

/* ---- small things ---- */

static int64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whether it would fail again, however often it is tried. */
static bool is_final(gf_status st)
{
    switch (st) {
    case GF_EINVAL:
    case GF_EFORMAT:
    case GF_ESHAPE:
    case GF_ENOTFOUND:
    case GF_EEXISTS:
    case GF_ELIMIT:
    case GF_EMISMATCH:
    case GF_EPRECONDITION:
    case GF_EUNSUPPORTED:
    case GF_EDENIED:
        return true;
    case GF_OK:
    case GF_EIO:
    case GF_ENOMEM:
    case GF_EBUSY:
    case GF_ENETWORK:
    case GF_EOVERLOAD:
    case GF_EUNAVAILABLE:
    case GF_ETIMEOUT:
    case GF_ECANCELED:
    case GF_EAUTH:
        return false;
    }
    return false;
}

static void try_later(gf__track *track, const gf_error *err)
{
    track->retry_ms = gf__clock_ms() + RETRY_MS;
    snprintf(track->reason, sizeof track->reason, "%.150s", err->message);
}

static gf__attempt attempt_of(const gf__jobs *jobs, const gf__track *track, const gf__job *job)
{
    return gf__track_attempt(track, job, jobs->options.grace_ms);
}

static bool is_to_end(const gf__track *track, const gf__job *job)
{
    return job->state == GF__JOB_CANCELLING || track->end_message != NULL;
}

/* ---- the end of a job ---- */

static void count_end(gf__jobs *jobs, gf__job_state state)
{
    gf__jobs_counts *counts = &jobs->counts;
    gf__jobs_add_one(jobs, state == GF__JOB_SUCCEEDED ? &counts->n_succeeded
                           : state == GF__JOB_FAILED  ? &counts->n_failed
                                                      : &counts->n_cancelled);
}

static gf_status end(gf__jobs *jobs, gf__track *track, gf__job_state state, const char *message,
                     const char *output, gf_error *err)
{
    gf__spec_release(track->dir); /* first: once the end is noted, nobody comes here again */
    gf_status st = gf__registry_end_job(jobs->options.registry, track->id, state, message, output,
                                        err);
    if (st == GF_EFORMAT) /* an output that only we could read */
        st = gf__registry_end_job(jobs->options.registry, track->id, state, message, NULL, err);
    if (st != GF_OK && st != GF_EPRECONDITION && st != GF_ENOTFOUND)
        return st;
    track->is_ended = true;
    /* A client's cancel of one that waited was faster: it is CANCELLED. */
    count_end(jobs, st == GF_OK ? state : GF__JOB_CANCELLED);
    return GF_OK;
}

/* ---- what its process says ---- */

/* It is written under a name of its own each time: another file is another word. */
static bool is_new_progress(gf__track *track, char *stamp, size_t size)
{
    struct stat info;
    char *path = gf__path_join(track->dir, "progress.json");
    const bool is_there = path != NULL && stat(path, &info) == 0;
    gf__free(path);
    if (!is_there)
        return false;
    snprintf(stamp, size, "%llu %lld %lld.%09ld", (unsigned long long)info.st_ino,
             (long long)info.st_size, (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    return strcmp(stamp, track->progress) != 0;
}

static gf_status note_progress(gf__jobs *jobs, gf__track *track, gf_error *err)
{
    char stamp[sizeof track->progress];
    gf__job_left left;
    if (!is_new_progress(track, stamp, sizeof stamp))
        return GF_OK;
    gf_status st = GF_OK;
    /* What cannot be read says nothing, and is no reason to keep the others waiting. */
    if (gf__job_progress_read(track->dir, &left, NULL) == GF_OK && left.is_there &&
        left.attempt == track->n_attempts)
        st = gf__registry_note_progress(jobs->options.registry, track->id,
                                        left.state == GF__JOB_RUNNING, left.output, err);
    if (st == GF_OK)
        memcpy(track->progress, stamp, sizeof stamp);
    gf__job_left_free(&left);
    /* Cancelled meanwhile, or an output that is none: nothing to try again. */
    return st == GF_EPRECONDITION || st == GF_EFORMAT ? GF_OK : st;
}

/* A process that was asked to end calls its job cancelled: by a client (the registry knows how that
 * was said: no message), or by us, for a reason of ours. */
static gf_status end_cancelled(gf__jobs *jobs, gf__track *track, const gf__job *job,
                               const gf__job_left *left, gf_error *err)
{
    if (job->state == GF__JOB_CANCELLING)
        return end(jobs, track, GF__JOB_CANCELLED, NULL, left->output, err);
    return end(jobs, track, track->end_as, track->end_message, left->output, err);
}

/* What the job's folder says of its end. was_signalled: somebody else than graft (a machine that is
 * shut down, an administrator) asked its process to end, which is no cancel. */
typedef struct verdict {
    bool is_over; /* nothing else is to be done with it in this round */
    bool was_signalled;
} verdict;

static gf_status end_by_result(gf__jobs *jobs, gf__track *track, const gf__job *job, verdict *out,
                               gf_error *err)
{
    gf_error own;
    gf__job_left left;
    gf_status st = gf__job_result_read(track->dir, &left, &own);
    *out = (verdict){.was_signalled = st == GF_OK && left.is_there &&
                                      left.state == GF__JOB_CANCELLED && !is_to_end(track, job)};
    out->is_over = st != GF_OK || (left.is_there && !out->was_signalled);
    if (st != GF_OK) { /* of its own folder alone: the others go on */
        try_later(track, &own);
        st = GF_OK;
    } else if (out->is_over && left.state == GF__JOB_CANCELLED) {
        st = end_cancelled(jobs, track, job, &left, err);
    } else if (out->is_over) {
        st = end(jobs, track, left.state, left.error_message, left.output, err);
    }
    gf__job_left_free(&left);
    return st;
}

/* ---- an attempt that has ended ---- */

static void forget_attempt(gf__track *track)
{
    gf__free(track->place);
    track->place = NULL;
    track->is_place_noted = false;
    track->is_found = true; /* there is nothing to be found */
    track->attempt_ms = track->stop_ms = 0;
}

/* Its process left no result. */
static gf_status take_crash(gf__jobs *jobs, gf__track *track, const char *reason, gf_error *err)
{
    char *text = NULL;
    gf_status st = GF_OK;
    if (track->n_attempts < GF__JOB_ATTEMPTS) {
        st = gf__registry_begin_attempt(jobs->options.registry, track->id, err);
        if (st == GF_OK)
            track->n_attempts++;
        else if (st != GF_EPRECONDITION) /* that is a cancel, which the next round sees */
            return st;
        gf__jobs_add_one(jobs, &jobs->counts.n_attempts_crashed);
        forget_attempt(track);
        snprintf(track->reason, sizeof track->reason, "%.150s", reason);
        return GF_OK;
    }
    st = gf__job_crash_text(track->dir, track->n_attempts, reason, &text, err);
    if (st == GF_OK)
        st = end(jobs, track, GF__JOB_FAILED, text, NULL, err);
    if (st == GF_OK)
        gf__jobs_add_one(jobs, &jobs->counts.n_attempts_crashed);
    gf__free(text);
    return st;
}

/* By an administrator of the cluster, or a limit that the next attempt would meet as well. */
static gf_status take_refusal(gf__jobs *jobs, gf__track *track, const char *reason, gf_error *err)
{
    char *text = NULL;
    gf_status st = gf__job_refusal_text(track->dir, reason, &text, err);
    if (st == GF_OK)
        st = end(jobs, track, GF__JOB_FAILED, text, NULL, err);
    gf__free(text);
    return st;
}

static gf_status take_signalled(gf__jobs *jobs, gf__track *track, const char *reason, gf_error *err)
{
    char text[sizeof track->reason];
    snprintf(text, sizeof text, "%.90s%ssomebody asked it to end (SIGTERM), not graft", reason,
             reason[0] != '\0' ? "; " : "");
    const gf_status st = take_crash(jobs, track, text, err);
    track->retry_ms = gf__clock_ms() + STRANGER_WAIT_MS;
    return st;
}

/* As a client wanted it, or we. */
static gf_status end_as_asked(gf__jobs *jobs, gf__track *track, const gf__job *job, gf_error *err)
{
    if (job->state == GF__JOB_CANCELLING)
        return end(jobs, track, GF__JOB_CANCELLED, NULL, NULL, err);
    return end(jobs, track, track->end_as, track->end_message, NULL, err);
}

static gf_status take_end(gf__jobs *jobs, gf__track *track, const gf__job *job,
                          const gf__attempt_look *look, gf_error *err)
{
    verdict found = {.is_over = false};
    gf_status st = note_progress(jobs, track, err);
    if (st == GF_OK)
        st = end_by_result(jobs, track, job, &found, err);
    if (st != GF_OK || found.is_over)
        return st;
    if (is_to_end(track, job))
        return end_as_asked(jobs, track, job, err);
    if (look->is_final)
        return take_refusal(jobs, track, look->reason, err);
    return found.was_signalled ? take_signalled(jobs, track, look->reason, err)
                               : take_crash(jobs, track, look->reason, err);
}

/* ---- an attempt that is somewhere ---- */

static gf_status find_place(gf__jobs *jobs, gf__track *track, const gf__job *job)
{
    gf_error own;
    const gf__attempt attempt = attempt_of(jobs, track, job);
    if (track->is_found || track->place != NULL)
        return GF_OK;
    if (gf__clock_ms() < track->retry_ms)
        return GF_EBUSY;
    const gf_status st = jobs->ops->find(jobs->runner, &attempt, &track->place, &own);
    if (st == GF_OK)
        track->is_found = true;
    else
        try_later(track, &own);
    return st;
}

static gf_status note_place(gf__jobs *jobs, gf__track *track, gf_error *err)
{
    if (track->is_place_noted)
        return GF_OK;
    const gf_status st = gf__registry_note_place(jobs->options.registry, track->id, track->place,
                                                 err);
    track->is_place_noted = st == GF_OK;
    return st == GF_EPRECONDITION ? GF_OK : st;
}

typedef struct owner {
    const gf__runner_ops *ops;
    void *self;
} owner;

static void stop_if_due(gf__jobs *jobs, gf__track *track, const gf__job *job, const owner *runner)
{
    gf_error own = {.message = ""};
    const int64_t now_ms = gf__clock_ms();
    const gf__attempt attempt = attempt_of(jobs, track, job);
    gf_status st = GF_OK;
    if (!is_to_end(track, job))
        return;
    if (track->stop_ms == 0) {
        st = runner->ops->stop(runner->self, &attempt, track->place, false, &own);
        if (st == GF_OK) {
            track->stop_ms = now_ms;
            track->force_ms = now_ms + jobs->options.grace_ms + FORCE_MARGIN_MS;
        }
    } else if (now_ms >= track->force_ms) {
        st = runner->ops->stop(runner->self, &attempt, track->place, true, &own);
        track->force_ms = now_ms + FORCE_MARGIN_MS;
    }
    if (st != GF_OK)
        try_later(track, &own);
}

/* Ends it for a reason of ours, once. Out of memory: in the next round. */
static void end_for(gf__track *track, gf__job_state state, char *message)
{
    if (track->end_message != NULL || message == NULL) {
        gf__free(message);
        return;
    }
    track->end_message = message;
    track->end_as = state;
}

/* The process keeps its time itself; one that does not is ended from here. */
static void check_times(gf__track *track, const gf__job *job, const gf__attempt_look *look)
{
    const gf__job_plan *plan = &track->plan;
    const int64_t now_ms = gf__clock_ms();
    if (look->state == GF__ATTEMPT_RUNNING && track->attempt_ms == 0)
        track->attempt_ms = now_ms;
    if (track->attempt_ms != 0 && plan->max_running_s > 0 &&
        (now_ms - track->attempt_ms) / 1000 > plan->max_running_s + OVERDUE_S)
        end_for(track, GF__JOB_FAILED,
                gf__asprintf("the job ran longer than maxRunningTime (%llds)",
                             (long long)plan->max_running_s));
    if (look->state == GF__ATTEMPT_WAITING && job->state == GF__JOB_PREPARING &&
        plan->max_wait_s > 0 && (unix_ms() - job->create_time_ms) / 1000 >= plan->max_wait_s)
        end_for(track, GF__JOB_CANCELLED,
                gf__asprintf("the job waited longer than maxWaitTime (%llds)",
                             (long long)plan->max_wait_s));
}

/* Of a runner that is not to be had here, and was there when the job began. As long as its process
 * lives it has a lock and will leave its result; without either, what may be left is a place in a
 * queue that nobody here can look into. */
static gf_status tend_unreachable(gf__jobs *jobs, gf__track *track, const gf__job *job,
                                  const gf_error *why, gf_error *err)
{
    gf__attempt_look look = {.state = GF__ATTEMPT_ENDED};
    snprintf(look.reason, sizeof look.reason, "its place %.40s cannot be asked: %.90s",
             track->place, why->message);
    if (!gf__job_is_locked(track->dir))
        return take_end(jobs, track, job, &look, err);
    track->retry_ms = gf__clock_ms() + RETRY_MS;
    snprintf(track->reason, sizeof track->reason, "runs, but %.140s", look.reason);
    return GF_OK;
}

static gf_status tend_placed(gf__jobs *jobs, gf__track *track, const gf__job *job, gf_error *err)
{
    gf_error own;
    owner runner = {.ops = NULL};
    gf__attempt_look look = {.state = GF__ATTEMPT_RUNNING};
    const gf__attempt attempt = attempt_of(jobs, track, job);
    gf_status st = note_place(jobs, track, err);
    if (st == GF_OK)
        st = note_progress(jobs, track, err);
    if (st != GF_OK)
        return st;
    if (gf__owner_find(jobs, track->place, &runner.ops, &runner.self, &own) != GF_OK)
        return tend_unreachable(jobs, track, job, &own, err);
    stop_if_due(jobs, track, job, &runner);
    if (runner.ops->look(runner.self, &attempt, track->place, &look, &own) != GF_OK) {
        try_later(track, &own);
        return GF_OK;
    }
    if (look.state == GF__ATTEMPT_ENDED)
        return take_end(jobs, track, job, &look, err);
    snprintf(track->reason, sizeof track->reason, "%s", look.reason);
    check_times(track, job, &look);
    return GF_OK;
}

gf_status gf__attempt_tend(gf__jobs *jobs, gf__track *track, const gf__job *job, gf_error *err)
{
    verdict found = {.is_over = false};
    if (job->state == GF__JOB_QUEUED || track->is_ended)
        return GF_OK;
    if (find_place(jobs, track, job) != GF_OK)
        return GF_OK;
    if (track->place != NULL)
        return tend_placed(jobs, track, job, err);
    /* Counted and not started; or it came to its end while nobody looked. */
    const gf_status st = end_by_result(jobs, track, job, &found, err);
    if (st != GF_OK || found.is_over || !is_to_end(track, job))
        return st;
    return end_as_asked(jobs, track, job, err);
}

/* ---- starting ---- */

static gf_status write_spec(gf__jobs *jobs, gf__track *track, gf_error *err)
{
    char *url = NULL;
    pthread_mutex_lock(&jobs->mutex);
    const bool has_url = jobs->server_url != NULL;
    url = has_url ? gf__strdup(jobs->server_url) : NULL;
    pthread_mutex_unlock(&jobs->mutex);
    if (has_url && url == NULL)
        return gf__error_nomem(err, "an address", 0);
    const gf__spec_context context = {.registry = jobs->options.registry,
                                      .home = jobs->home,
                                      .program = jobs->program,
                                      .python = jobs->python,
                                      .server_url = url,
                                      .grace_ms = jobs->options.grace_ms,
                                      .name = track->name,
                                      .dir = track->dir};
    const gf_status st = gf__spec_write(&context, track->document, &track->plan, err);
    gf__free(url);
    return st;
}

/* Before there is a process, the log is ours. */
static void say_note(const gf__track *track)
{
    gf__job_log *log = NULL;
    if (track->plan.size.note[0] == '\0' || track->n_attempts > 1)
        return;
    if (gf__job_log_open(track->dir, &log, NULL) == GF_OK)
        (void)gf__job_log_write(log, "graft", NULL, track->plan.size.note,
                                strlen(track->plan.size.note), NULL);
    gf__job_log_close(log, NULL);
}

static void count_start(gf__jobs *jobs, const gf__job *job)
{
    pthread_mutex_lock(&jobs->mutex);
    jobs->counts.n_started++;
    jobs->counts.submit_to_start_s_sum += (double)(unix_ms() - job->create_time_ms) / 1000;
    pthread_mutex_unlock(&jobs->mutex);
}

/* A failure of the spec or the start: the job's own fault ends it, another is tried again. */
static gf_status take_failure(gf__jobs *jobs, gf__track *track, gf_status failure,
                              const gf_error *why, gf_error *err)
{
    if (is_final(failure))
        return end(jobs, track, GF__JOB_FAILED, why->message, NULL, err);
    try_later(track, why);
    return GF_OK;
}

static gf_status count_attempt(gf__jobs *jobs, gf__track *track, gf__job *job, gf_error *err)
{
    if (job->state != GF__JOB_QUEUED)
        return GF_OK;
    const gf_status st = gf__registry_begin_attempt(jobs->options.registry, track->id, err);
    if (st != GF_OK)
        return st;
    track->n_attempts = job->n_attempts = job->n_attempts + 1;
    track->is_found = true; /* ours: what it comes to is known here */
    job->state = GF__JOB_PREPARING;
    return GF_OK;
}

gf_status gf__attempt_launch(gf__jobs *jobs, gf__track *track, gf__job *job, gf_error *err)
{
    gf_error own = {.message = ""};
    const bool is_first = job->state == GF__JOB_QUEUED;
    gf_status st = write_spec(jobs, track, &own);
    if (st != GF_OK)
        return take_failure(jobs, track, st, &own, err);
    st = count_attempt(jobs, track, job, err);
    if (st == GF_EPRECONDITION) { /* cancelled meanwhile: it leaves the list */
        gf__spec_release(track->dir);
        return GF_OK;
    }
    if (st != GF_OK)
        return st;
    say_note(track);
    const gf__attempt attempt = attempt_of(jobs, track, job);
    st = jobs->ops->start(jobs->runner, &attempt, &track->place, &own);
    if (st != GF_OK) {
        gf__error_prefix(&own, "starting it");
        track->is_found = false; /* perhaps only its answer was lost */
        return take_failure(jobs, track, st, &own, err);
    }
    track->retry_ms = 0;
    track->reason[0] = '\0';
    if (is_first)
        count_start(jobs, job);
    return note_place(jobs, track, err);
}

/* ---- waiting ---- */

bool gf__attempt_is_waiting(const gf__track *track, const gf__job *job)
{
    return !track->is_ended && track->place == NULL && !is_to_end(track, job) &&
           (job->state == GF__JOB_QUEUED || track->is_found);
}

gf_status gf__attempt_plan(gf__jobs *jobs, gf__track *track, const gf__job *job, gf_error *err)
{
    gf_error own;
    if (track->is_ended)
        return GF_OK;
    if (!track->has_plan) {
        const gf_status st = gf__job_plan_read(track->document, jobs->options.runner, &jobs->most,
                                               &track->plan, &own);
        if (st != GF_OK)
            return take_failure(jobs, track, st, &own, err);
        track->has_plan = true;
    }
    if (job->state != GF__JOB_QUEUED || track->plan.max_wait_s == 0 ||
        (unix_ms() - job->create_time_ms) / 1000 < track->plan.max_wait_s)
        return GF_OK;
    char *message = gf__asprintf("the job waited longer than maxWaitTime (%llds)",
                                 (long long)track->plan.max_wait_s);
    if (message == NULL)
        return gf__error_nomem(err, "a message", 0);
    const gf_status st = end(jobs, track, GF__JOB_CANCELLED, message, NULL, err);
    gf__free(message);
    return st;
}
