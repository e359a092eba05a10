/* jobs/attempts.c: what the keeper does with one job in one round. Everything that is decided here is
 * decided by what the registry, the runner and the job's folder say now: a keeper may die after any
 * line, and the next one goes on.
 *
 *     counted (begin_attempt) -> started -> place noted -> ... -> its process has ended -> end noted
 *     attempt_start.c                       here                  attempt_end.c */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "jobs/keeper_priv.h"

#define RETRY_MS        2000 /* after what failed for the moment */
#define FORCE_MARGIN_MS 5000 /* from the process' own killing to ours */
#define OVERDUE_S       60   /* from the process' own time limit to ours */

/* ---- small things ---- */

int64_t gf__unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void gf__attempt_try_later(gf__track *track, const gf_error *err)
{
    track->retry_ms = gf__clock_ms() + RETRY_MS;
    snprintf(track->reason, sizeof track->reason, "%.150s", err->message);
}

gf__attempt gf__attempt_of(const gf__jobs *jobs, const gf__track *track, const gf__job *job)
{
    return gf__track_attempt(track, job, jobs->options.grace_ms);
}

bool gf__attempt_is_to_end(const gf__track *track, const gf__job *job)
{
    return job->state == GF__JOB_CANCELLING || track->end_message != NULL;
}

/* ---- an attempt that is somewhere ---- */

static gf_status find_place(gf__jobs *jobs, gf__track *track, const gf__job *job)
{
    gf_error own;
    const gf__attempt attempt = gf__attempt_of(jobs, track, job);
    if (track->is_found || track->place != NULL)
        return GF_OK;
    if (gf__clock_ms() < track->retry_ms && !gf__attempt_is_to_end(track, job))
        return GF_EBUSY;
    const gf_status st = jobs->ops->find(jobs->runner, &attempt, &track->place, &own);
    if (st == GF_OK)
        track->is_found = true;
    else
        gf__attempt_try_later(track, &own);
    return st;
}

gf_status gf__attempt_note_place(gf__jobs *jobs, gf__track *track, gf_error *err)
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
    const gf__attempt attempt = gf__attempt_of(jobs, track, job);
    gf_status st = GF_OK;
    if (!gf__attempt_is_to_end(track, job))
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
        gf__attempt_try_later(track, &own);
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

/* How long the job has been RUNNING when it is first seen: an earlier attempt, or an earlier server, may have
 * seen it begin. From here on our own clock counts, which nobody sets. */
static int64_t ran_ms(const gf__job *job)
{
    const int64_t ms = job->start_time_ms > 0 ? gf__unix_ms() - job->start_time_ms : 0;
    return ms > 0 ? ms : 0;
}

/* The process keeps its time itself; one that does not is ended from here. */
static void check_times(gf__track *track, const gf__job *job, const gf__attempt_look *look)
{
    const gf__job_plan *plan = &track->plan;
    const int64_t now_ms = gf__clock_ms();
    if (look->state == GF__ATTEMPT_RUNNING && track->running_ms == 0)
        track->running_ms = now_ms - ran_ms(job);
    if (track->running_ms != 0 && plan->max_running_s > 0 &&
        (now_ms - track->running_ms) / 1000 > plan->max_running_s + OVERDUE_S)
        end_for(track, GF__JOB_FAILED,
                gf__asprintf("the job ran longer than maxRunningTime (%llds)",
                             (long long)plan->max_running_s));
    if (look->state == GF__ATTEMPT_WAITING && job->state == GF__JOB_PREPARING &&
        plan->max_wait_s > 0 && (gf__unix_ms() - job->create_time_ms) / 1000 >= plan->max_wait_s)
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
        return gf__attempt_take_end(jobs, track, job, &look, err);
    track->retry_ms = gf__clock_ms() + RETRY_MS;
    snprintf(track->reason, sizeof track->reason, "runs, but %.140s", look.reason);
    return GF_OK;
}

static gf_status tend_placed(gf__jobs *jobs, gf__track *track, const gf__job *job, gf_error *err)
{
    gf_error own;
    owner runner = {.ops = NULL};
    gf__attempt_look look = {.state = GF__ATTEMPT_RUNNING};
    const gf__attempt attempt = gf__attempt_of(jobs, track, job);
    gf_status st = gf__attempt_note_place(jobs, track, err);
    if (st == GF_OK)
        st = gf__attempt_note_progress(jobs, track, err);
    if (st != GF_OK)
        return st;
    if (gf__owner_find(jobs, track->place, &runner.ops, &runner.self, &own) != GF_OK)
        return tend_unreachable(jobs, track, job, &own, err);
    stop_if_due(jobs, track, job, &runner);
    if (runner.ops->look(runner.self, &attempt, track->place, &look, &own) != GF_OK) {
        gf__attempt_try_later(track, &own);
        return GF_OK;
    }
    if (look.state == GF__ATTEMPT_ENDED)
        return gf__attempt_take_end(jobs, track, job, &look, err);
    snprintf(track->reason, sizeof track->reason, "%s", look.reason);
    check_times(track, job, &look);
    return GF_OK;
}

gf_status gf__attempt_tend(gf__jobs *jobs, gf__track *track, const gf__job *job, gf_error *err)
{
    if (job->state == GF__JOB_QUEUED || track->is_ended)
        return GF_OK;
    if (find_place(jobs, track, job) != GF_OK)
        return GF_OK;
    if (track->place != NULL)
        return tend_placed(jobs, track, job, err);
    return gf__attempt_take_unplaced(jobs, track, job, err);
}
