/* jobs/attempt_start.c: the beginning of an attempt, and of a job: its plan, its wait, its start. */
#include <stdio.h>
#include <string.h>

#include "jobs/keeper_priv.h"

#define LONGEST_PAUSE_MS 30000 /* between two tries of a start that fails for the moment */

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

/* ---- starting ---- */

static gf_status write_spec(gf__jobs *jobs, gf__track *track, const gf__job *job, gf_error *err)
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
                                      .start_time_ms = job->start_time_ms,
                                      .name = track->name,
                                      .dir = track->dir};
    const gf_status st = gf__spec_write(&context, track->document, &track->plan, err);
    gf__free(url);
    return st;
}

void gf__attempt_say(const gf__track *track, const char *text)
{
    gf__job_log *log = NULL;
    if (gf__job_log_open(track->dir, &log, NULL) == GF_OK)
        (void)gf__job_log_write(log, "graft", NULL, text, strlen(text), NULL);
    gf__job_log_close(log, NULL);
}

static void say_note(const gf__track *track)
{
    if (track->plan.size.note[0] != '\0' && track->n_attempts == 1)
        gf__attempt_say(track, track->plan.size.note);
}

static void count_start(gf__jobs *jobs, const gf__job *job)
{
    pthread_mutex_lock(&jobs->mutex);
    jobs->counts.n_started++;
    jobs->counts.submit_to_start_s_sum += (double)(gf__unix_ms() - job->create_time_ms) / 1000;
    pthread_mutex_unlock(&jobs->mutex);
}

/* A failure of the spec or the start: the job's own fault ends it, another is tried again, after a pause
 * that doubles. */
static gf_status take_failure(gf__jobs *jobs, gf__track *track, gf_status failure,
                              const gf_error *why, gf_error *err)
{
    if (is_final(failure))
        return gf__job_end(jobs, track, GF__JOB_FAILED, why->message, NULL, err);
    const int64_t now_ms = gf__clock_ms();
    gf__attempt_try_later(track, why);
    for (int i = 0; i < track->n_failures && track->retry_ms - now_ms < LONGEST_PAUSE_MS; i++)
        track->retry_ms += track->retry_ms - now_ms;
    track->n_failures++;
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
    gf_status st = write_spec(jobs, track, job, &own);
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
    const gf__attempt attempt = gf__attempt_of(jobs, track, job);
    st = jobs->ops->start(jobs->runner, &attempt, &track->place, &own);
    if (st != GF_OK) {
        gf__error_prefix(&own, "starting it");
        track->is_found = false; /* perhaps only its answer was lost */
        return take_failure(jobs, track, st, &own, err);
    }
    track->retry_ms = 0;
    track->n_failures = 0;
    track->reason[0] = '\0';
    if (is_first)
        count_start(jobs, job);
    return gf__attempt_note_place(jobs, track, err);
}

/* ---- waiting ---- */

bool gf__attempt_is_waiting(const gf__track *track, const gf__job *job)
{
    return !track->is_ended && track->place == NULL && !gf__attempt_is_to_end(track, job) &&
           (job->state == GF__JOB_QUEUED || track->is_found);
}

/* On a cluster its largest machine bounds a job, and not this one. Of a job that has begun the size is known to whoever
 * runs it: nobody waits for the cluster to be told it again. */
static gf_status make_plan(gf__jobs *jobs, gf__track *track, const gf__job *job, gf_error *err)
{
    gf__size largest = {.n_cpus = 0};
    gf_status st = GF_OK;
    if (jobs->ops->largest != NULL)
        st = jobs->ops->largest(jobs->runner, &largest, err);
    if (st != GF_OK && job->state == GF__JOB_QUEUED)
        return st;
    if (largest.n_cpus > 0) {
        const size_t allowed = (size_t)jobs->options.n_cpus;
        jobs->most.n_cpus = allowed > 0 && allowed < largest.n_cpus ? allowed : largest.n_cpus;
    }
    st = gf__job_plan_read(track->document, jobs->options.runner, &jobs->most, &track->plan, err);
    gf__size *size = &track->plan.size;
    if (largest.max_memory_bytes > 0 && size->max_memory_bytes > largest.max_memory_bytes)
        size->max_memory_bytes = largest.max_memory_bytes;
    return st;
}

gf_status gf__attempt_plan(gf__jobs *jobs, gf__track *track, const gf__job *job, gf_error *err)
{
    gf_error own;
    if (track->is_ended)
        return GF_OK;
    if (!track->has_plan && gf__clock_ms() < track->retry_ms)
        return GF_OK;
    if (!track->has_plan) {
        const gf_status st = make_plan(jobs, track, job, &own);
        if (st != GF_OK)
            return take_failure(jobs, track, st, &own, err);
        track->has_plan = true;
    }
    if (job->state != GF__JOB_QUEUED || track->plan.max_wait_s == 0 ||
        (gf__unix_ms() - job->create_time_ms) / 1000 < track->plan.max_wait_s)
        return GF_OK;
    char *message = gf__asprintf("the job waited longer than maxWaitTime (%llds)",
                                 (long long)track->plan.max_wait_s);
    if (message == NULL)
        return gf__error_nomem(err, "a message", 0);
    const gf_status st = gf__job_end(jobs, track, GF__JOB_CANCELLED, message, NULL, err);
    gf__free(message);
    return st;
}
