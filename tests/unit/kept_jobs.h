/* kept_jobs.h: jobs brought into the states that a keeper brings them into. */
#ifndef GRAFT_TESTS_KEPT_JOBS_H
#define GRAFT_TESTS_KEPT_JOBS_H

#include "registry_jobs.h"

#define TRAINED "{\"consumedMLUnits\":0.5}"

static inline int64_t id_of_last(void)
{
    look();
    CHECK(list.n_jobs > 0);
    return list.jobs[list.n_jobs - 1].id;
}

static inline void check_state(const char *want)
{
    GET(gf_registry_get_job(registry, JOB, &text, &check_err));
    CHECK_VALUE(text, "state", want);
}

/* Job j of a fresh home there. */
static inline int64_t bring_to(gf__job_state state)
{
    create_job("j", NULL);
    const int64_t id = id_of_last();
    if (state == GF__JOB_QUEUED)
        return id;
    CHECK_OK(gf__registry_begin_attempt(registry, id, &check_err));
    if (state == GF__JOB_PREPARING)
        return id;
    CHECK_OK(gf__registry_note_progress(registry, id, true, NULL, &check_err));
    if (state == GF__JOB_CANCELLING || state == GF__JOB_CANCELLED)
        CHECK_OK(gf_registry_cancel_job(registry, JOB, &check_err));
    if (state == GF__JOB_SUCCEEDED || state == GF__JOB_FAILED || state == GF__JOB_CANCELLED)
        CHECK_OK(gf__registry_end_job(registry, id, state, NULL, NULL, &check_err));
    check_state(gf__job_state_name(state));
    return id;
}

#endif
