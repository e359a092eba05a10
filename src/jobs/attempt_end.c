/* jobs/attempt_end.c: the end of an attempt, by what its process has left: of the job, or the way to the
 * next attempt. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jobs/keeper_priv.h"

#define RETRY_GROWTH 5 /* each pause after a crash is so many times the one before */
/* Whoever shuts the machine down signals jobs first, and us a moment later: attempts that begin
 * meanwhile would all be lost. */
#define STRANGER_WAIT_MS 5000

/* ---- the end of a job ---- */

static void count_end(gf__jobs *jobs, gf__job_state state)
{
    gf__jobs_counts *counts = &jobs->counts;
    gf__jobs_add_one(jobs, state == GF__JOB_SUCCEEDED ? &counts->n_succeeded
                           : state == GF__JOB_FAILED  ? &counts->n_failed
                                                      : &counts->n_cancelled);
}

gf_status gf__job_end(gf__jobs *jobs, gf__track *track, gf__job_state state, const char *message,
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

gf_status gf__attempt_note_progress(gf__jobs *jobs, gf__track *track, gf_error *err)
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
        return gf__job_end(jobs, track, GF__JOB_CANCELLED, NULL, left->output, err);
    return gf__job_end(jobs, track, track->end_as, track->end_message, left->output, err);
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
                                      left.state == GF__JOB_CANCELLED &&
                                      !gf__attempt_is_to_end(track, job)};
    out->is_over = st != GF_OK || (left.is_there && !out->was_signalled);
    if (st != GF_OK) { /* of its own folder alone: the others go on */
        gf__attempt_try_later(track, &own);
        st = GF_OK;
    } else if (out->is_over && left.state == GF__JOB_CANCELLED) {
        st = end_cancelled(jobs, track, job, &left, err);
    } else if (out->is_over) {
        st = gf__job_end(jobs, track, left.state, left.error_message, left.output, err);
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
    track->running_ms = track->stop_ms = 0;
}

/* What made a process die (a full memory, a node that is not well) is often over a moment later, and seldom at
 * once. The one that is to begin has been counted. */
static int64_t pause_ms(const gf__jobs *jobs, const gf__track *track)
{
    int64_t ms = jobs->options.retry_ms;
    for (int i = 2; i < track->n_attempts; i++)
        ms *= RETRY_GROWTH;
    return ms;
}

/* The log is ours while no process has it. */
static void pause_after_crash(const gf__jobs *jobs, gf__track *track, const char *reason,
                              int64_t least_ms)
{
    const int64_t own_ms = pause_ms(jobs, track), ms = own_ms > least_ms ? own_ms : least_ms;
    track->retry_ms = gf__clock_ms() + ms;
    snprintf(track->reason, sizeof track->reason, "%.90s; attempt %d of %d begins %.3g s later",
             reason[0] != '\0' ? reason : "nobody knows why its process died", track->n_attempts,
             GF__JOB_ATTEMPTS, (double)ms / 1000);
    gf__attempt_say(track, track->reason);
}

/* Its process left no result. */
static gf_status take_crash(gf__jobs *jobs, gf__track *track, const char *reason,
                            int64_t least_pause_ms, gf_error *err)
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
        pause_after_crash(jobs, track, reason, least_pause_ms);
        return GF_OK;
    }
    st = gf__job_crash_text(track->dir, track->n_attempts, reason, &text, err);
    if (st == GF_OK)
        st = gf__job_end(jobs, track, GF__JOB_FAILED, text, NULL, err);
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
        st = gf__job_end(jobs, track, GF__JOB_FAILED, text, NULL, err);
    gf__free(text);
    return st;
}

static gf_status take_signalled(gf__jobs *jobs, gf__track *track, const char *reason, gf_error *err)
{
    char text[sizeof track->reason];
    snprintf(text, sizeof text, "%.90s%ssomebody asked it to end (SIGTERM), not graft", reason,
             reason[0] != '\0' ? "; " : "");
    return take_crash(jobs, track, text, STRANGER_WAIT_MS, err);
}

/* As a client wanted it, or we. */
static gf_status end_as_asked(gf__jobs *jobs, gf__track *track, const gf__job *job, gf_error *err)
{
    if (job->state == GF__JOB_CANCELLING)
        return gf__job_end(jobs, track, GF__JOB_CANCELLED, NULL, NULL, err);
    return gf__job_end(jobs, track, track->end_as, track->end_message, NULL, err);
}

gf_status gf__attempt_take_end(gf__jobs *jobs, gf__track *track, const gf__job *job,
                               const gf__attempt_look *look, gf_error *err)
{
    verdict found = {.is_over = false};
    gf_status st = gf__attempt_note_progress(jobs, track, err);
    if (st == GF_OK)
        st = end_by_result(jobs, track, job, &found, err);
    if (st != GF_OK || found.is_over)
        return st;
    if (gf__attempt_is_to_end(track, job))
        return end_as_asked(jobs, track, job, err);
    if (look->is_final)
        return take_refusal(jobs, track, look->reason, err);
    return found.was_signalled ? take_signalled(jobs, track, look->reason, err)
                               : take_crash(jobs, track, look->reason, 0, err);
}

gf_status gf__attempt_take_unplaced(gf__jobs *jobs, gf__track *track, const gf__job *job,
                                    gf_error *err)
{
    verdict found = {.is_over = false};
    const gf_status st = end_by_result(jobs, track, job, &found, err);
    if (st != GF_OK || found.is_over || !gf__attempt_is_to_end(track, job))
        return st;
    return end_as_asked(jobs, track, job, err);
}
