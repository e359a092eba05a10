/* jobs/keeper.c: the keeper's thread: round by round through all open jobs, those that are somewhere first,
 * then those that wait, in their order. Nobody overtakes one that waits for room: a large job would wait
 * for ever. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "jobs/keeper_priv.h"

#define IDLE_MS    2000 /* other processes may cancel and create, too */
#define STUCK_MS   1000 /* where the registry could not be written */
#define MAX_PLACES 200

void gf__jobs_add_one(gf__jobs *jobs, uint64_t *counter)
{
    pthread_mutex_lock(&jobs->mutex);
    ++*counter;
    pthread_mutex_unlock(&jobs->mutex);
}

/* ---- the list ---- */

/* Cancelled while it waited: nobody had to be asked. */
static void drop_gone(gf__jobs *jobs)
{
    gf__track *next = NULL;
    for (gf__track *track = jobs->tracks; track != NULL; track = next) {
        next = track->next;
        if (track->is_seen)
            continue;
        if (!track->is_ended) {
            gf__jobs_add_one(jobs, &jobs->counts.n_cancelled);
            gf__spec_release(track->dir);
        }
        gf__track_drop(&jobs->tracks, track);
    }
}

static gf_status take_list(gf__jobs *jobs, const gf__job_list *list, gf__track **tracks,
                           gf_error *err)
{
    gf_status st = GF_OK;
    for (gf__track *track = jobs->tracks; track != NULL; track = track->next)
        track->is_seen = false;
    for (size_t i = 0; i < list->n_jobs && st == GF_OK; i++) {
        st = gf__track_of(&jobs->tracks, &jobs->options, &list->jobs[i], &tracks[i], err);
        if (st == GF_OK)
            tracks[i]->is_seen = true;
        if (st == GF_OK)
            st = gf__attempt_plan(jobs, tracks[i], &list->jobs[i], err);
    }
    if (st == GF_OK)
        drop_gone(jobs);
    return st;
}

/* ---- those that wait ---- */

static gf_status admit(gf__jobs *jobs, gf__track *track, gf__job *job, const gf__track **first,
                       gf_error *err)
{
    const char *reason = "";
    const gf__attempt attempt = gf__track_attempt(track, job, jobs->options.grace_ms);
    if (!track->has_plan || !gf__attempt_is_waiting(track, job) || gf__clock_ms() < track->retry_ms)
        return GF_OK;
    if (*first != NULL) {
        snprintf(track->reason, sizeof track->reason, "waits behind %.140s",
                 gf__path_base((*first)->name));
        return GF_OK;
    }
    if (jobs->ops->has_room(jobs->runner, &attempt, &reason))
        return gf__attempt_launch(jobs, track, job, err);
    *first = track;
    snprintf(track->reason, sizeof track->reason, "%s", reason);
    return GF_OK;
}

/* ---- what others are told ---- */

static gf__json *describe_job(const gf__track *track, const gf__job *job)
{
    gf__json *document = gf__json_object();
    gf__json_set_string(document, "name", track->name);
    gf__json_set_string(document, "state", gf__job_state_name(job->state));
    gf__json_set_int(document, "attempt", track->n_attempts);
    if (track->place != NULL)
        gf__json_set_string(document, "place", track->place);
    if (track->reason[0] != '\0')
        gf__json_set_string(document, "reason", track->reason);
    return document;
}

/* Out of memory: what was told before stays. */
static void publish(gf__jobs *jobs, const gf__job_list *list, gf__track *const *tracks)
{
    size_t n_queued = 0, n_running = 0, n_used = 0;
    gf__json *document = gf__json_object(), *all = gf__json_array();
    for (size_t i = 0; i < list->n_jobs; i++) {
        if (tracks[i]->is_ended)
            continue;
        n_queued += list->jobs[i].state == GF__JOB_QUEUED ? 1 : 0;
        n_running += list->jobs[i].state != GF__JOB_QUEUED ? 1 : 0;
        n_used += tracks[i]->place != NULL ? tracks[i]->plan.size.n_cpus : 0;
        gf__json_append(all, describe_job(tracks[i], &list->jobs[i]));
    }
    gf__json_set_string(document, "runner", jobs->ops->name);
    gf__json_set_int(document, "nCpus", (int64_t)jobs->most.n_cpus);
    gf__json_set_int(document, "nCpusUsed", (int64_t)n_used);
    gf__json_set(document, "jobs", all);
    pthread_mutex_lock(&jobs->mutex);
    jobs->counts.n_queued = n_queued;
    jobs->counts.n_running = n_running;
    if (gf__json_status(document, NULL) == GF_OK) {
        gf__json *before = jobs->described;
        jobs->described = document;
        document = before;
    }
    pthread_mutex_unlock(&jobs->mutex);
    gf__json_free(document);
}

/* ---- rounds ---- */

static void earlier(int *wait_ms, int64_t ms)
{
    if (ms < *wait_ms)
        *wait_ms = ms > 0 ? (int)ms : 0;
}

/* One that another runner has is looked at as that wants it. */
static int look_every_ms(const gf__jobs *jobs, const gf__track *track)
{
    const gf__runner_ops *ops = gf__runner_of_place(track->place);
    return ops != NULL ? ops->look_every_ms : jobs->ops->look_every_ms;
}

static int time_to_wait(const gf__jobs *jobs)
{
    int wait_ms = IDLE_MS;
    const int64_t now_ms = gf__clock_ms();
    for (const gf__track *track = jobs->tracks; track != NULL; track = track->next) {
        if (track->is_ended)
            continue;
        if (track->place != NULL)
            earlier(&wait_ms, look_every_ms(jobs, track));
        else if (track->retry_ms > now_ms)
            earlier(&wait_ms, track->retry_ms - now_ms);
        else if (track->is_found && track->reason[0] == '\0')
            earlier(&wait_ms, jobs->ops->look_every_ms);
    }
    return wait_ms;
}

static gf_status go_through(gf__jobs *jobs, gf__job_list *list, gf__track **tracks, gf_error *err)
{
    const gf__track *first = NULL; /* that there is no room for */
    gf_status st = take_list(jobs, list, tracks, err);
    for (size_t i = 0; i < list->n_jobs && st == GF_OK; i++)
        if (tracks[i]->has_plan)
            st = gf__attempt_tend(jobs, tracks[i], &list->jobs[i], err);
    for (size_t i = 0; i < list->n_jobs && st == GF_OK; i++)
        st = admit(jobs, tracks[i], &list->jobs[i], &first, err);
    if (st == GF_OK)
        publish(jobs, list, tracks);
    return st;
}

gf_status gf__jobs_round(gf__jobs *jobs, int *wait_ms, gf_error *err)
{
    gf__job_list list = {0};
    gf__track **tracks = NULL;
    *wait_ms = STUCK_MS;
    gf_status st = gf__registry_open_jobs(jobs->options.registry, &list, err);
    if (st == GF_OK) {
        tracks = gf__calloc(list.n_jobs + 1, sizeof *tracks);
        st = tracks != NULL ? go_through(jobs, &list, tracks, err)
                            : gf__error_nomem(err, "a list of jobs", list.n_jobs * sizeof *tracks);
    }
    if (st == GF_OK)
        *wait_ms = time_to_wait(jobs);
    gf__free(tracks);
    gf__job_list_free(&list);
    return st;
}

/* ---- the thread ---- */

static bool is_stopping(gf__jobs *jobs)
{
    pthread_mutex_lock(&jobs->mutex);
    const bool is = jobs->is_stopping;
    pthread_mutex_unlock(&jobs->mutex);
    return is;
}

static void rest(const gf__jobs *jobs, int wait_ms)
{
    uint64_t n = 0;
    struct pollfd fds[2] = {{.fd = jobs->wake_fd, .events = POLLIN},
                            {.fd = jobs->ops->fd(jobs->runner), .events = POLLIN}};
    if (poll(fds, 2, wait_ms) > 0 && fds[0].revents != 0)
        while (read(jobs->wake_fd, &n, sizeof n) < 0 && errno == EINTR)
            continue;
}

void *gf__jobs_run(void *user)
{
    gf__jobs *jobs = user;
    gf_error last = {.message = ""};
    while (!is_stopping(jobs)) {
        gf_error err = {.message = ""};
        int wait_ms = 0;
        if (gf__jobs_round(jobs, &wait_ms, &err) != GF_OK && strcmp(err.message, last.message) != 0)
            gf__observe_log(&jobs->options.observer, GF_LOG_WARNING, "jobs: %s", err.message);
        last = err;
        rest(jobs, wait_ms);
    }
    return NULL;
}
