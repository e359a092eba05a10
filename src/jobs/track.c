/* jobs/track.c: what the keeper knows of each open job beside what the registry has. Nothing of it has to
 * outlive the keeper: a new one finds all of it out again. */
#include <string.h>

#include "jobs/keeper_priv.h"

static void track_free(gf__track *track)
{
    if (track == NULL)
        return;
    gf__json_free(track->document);
    gf__free(track->end_message);
    gf__free(track->place);
    gf__free(track->name);
    gf__free(track->dir);
    gf__free(track);
}

void gf__track_drop(gf__track **all, gf__track *gone)
{
    for (gf__track **at = all; *at != NULL; at = &(*at)->next) {
        if (*at != gone)
            continue;
        *at = gone->next;
        break;
    }
    track_free(gone);
}

static gf_status new_track(const gf__jobs_options *options, const gf__job *job, gf__track **out,
                           gf_error *err)
{
    gf__track *track = gf__calloc(1, sizeof *track);
    *out = NULL;
    if (track == NULL)
        return gf__error_nomem(err, "a job", sizeof *track);
    track->id = job->id;
    track->name = gf__strdup(job->name);
    track->dir = gf__asprintf("%s/jobs/%lld", options->home, (long long)job->id);
    track->place = job->place != NULL ? gf__strdup(job->place) : NULL;
    track->is_place_noted = job->place != NULL;
    track->n_attempts = job->n_attempts;
    gf_status st = track->name != NULL && track->dir != NULL &&
                           (job->place == NULL || track->place != NULL)
                       ? GF_OK
                       : gf__error_nomem(err, "a job", strlen(job->name));
    if (st == GF_OK)
        st = gf__json_parse(job->document, strlen(job->document), &track->document, err);
    if (st != GF_OK) {
        track_free(track);
        return st;
    }
    *out = track;
    return GF_OK;
}

gf_status gf__track_of(gf__track **all, const gf__jobs_options *options, const gf__job *job,
                       gf__track **out, gf_error *err)
{
    gf__track *track = *all;
    gf_status st = GF_OK;
    while (track != NULL && track->id != job->id)
        track = track->next;
    if (track == NULL) {
        st = new_track(options, job, &track, err);
        if (st == GF_OK) {
            track->next = *all;
            *all = track;
        }
    }
    *out = track;
    return st;
}

gf__attempt gf__track_attempt(const gf__track *track, const gf__job *job, int grace_ms)
{
    return (gf__attempt){.job_id = track->id,
                         .number = track->n_attempts,
                         .name = track->name,
                         .dir = track->dir,
                         .n_cpus = track->plan.size.n_cpus,
                         .max_memory_bytes = track->plan.size.max_memory_bytes,
                         .max_running_s = track->plan.max_running_s,
                         .grace_ms = grace_ms,
                         .n_shards = track->plan.n_shards,
                         .priority = job->priority};
}
