/* registry_jobs.h: short ways to jobs of a registry, for the tests of jobs. */
#ifndef GRAFT_TESTS_REGISTRY_JOBS_H
#define GRAFT_TESTS_REGISTRY_JOBS_H

#include "registry_home.h"

#include <time.h>

#include "registry/registry.h"

#define JOB "projects/p/jobs/j"

/* A training job of graft's own trainer; more are members of trainingInput, or NULL. */
static inline void create_job(const char *id, const char *more)
{
    char body[1024];
    snprintf(body, sizeof body,
             "{\"jobId\":\"%s\",\"trainingInput\":{\"pythonModule\":\"graft.train\"%s%s}}", id,
             more != NULL ? "," : "", more != NULL ? more : "");
    GET(gf_registry_create_job(registry, PROJECT, body, &text, &check_err));
}

/* An RFC 3339 time of a document, as seconds since 1970. */
static inline int64_t seconds_of(const char *document, const char *path)
{
    struct tm utc = {0};
    const char *end = strptime(value_of(document, path), "%Y-%m-%dT%H:%M:%SZ", &utc);
    assert_non_null(end);
    CHECK_STR(end, "");
    return timegm(&utc);
}

/* The open jobs again, in list. */
static gf__job_list list __attribute__((unused));
static inline void look(void)
{
    gf__job_list_free(&list);
    CHECK_OK(gf__registry_open_jobs(registry, &list, &check_err));
}

static inline int leave_jobs(void **state)
{
    gf__job_list_free(&list);
    return leave(state);
}
#define JOBS_UNIT(name) cmocka_unit_test_setup_teardown(name, enter, leave_jobs)

#endif
