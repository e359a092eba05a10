/* test_registry_jobs.c: jobs as clients see them: what is taken and given back, lists, patches,
 * cancelling. What a job must be is in test_registry_job_fields.c, what the keeper does in
 * test_registry_job_keeper.c. */
#include "registry_jobs.h"

TEST(create_job__gives_the_job_queued)
{
    const int64_t before = time(NULL);
    create_job("j", NULL);
    CHECK_VALUE(text, "jobId", "j");
    CHECK_VALUE(text, "state", "QUEUED");
    CHECK_VALUE(text, "jobPosition", "1");
    CHECK_VALUE(text, "trainingInput.pythonModule", "graft.train");
    CHECK_VALUE(text, "trainingOutput", "{}");
    CHECK_VALUE(text, "predictionOutput", "");
    CHECK_VALUE(text, "startTime", "");
    CHECK_VALUE(text, "endTime", "");
    CHECK_VALUE(text, "errorMessage", "");
    CHECK_EQ(strlen(value_of(text, "etag")), 12);
    CHECK(seconds_of(text, "createTime") >= before);
    char *created = strdup(text);
    GET(gf_registry_get_job(registry, JOB, &text, &check_err));
    CHECK_STR(text, created);
    free(created);
}

TESTS_MAIN(HOME_UNIT(create_job__gives_the_job_queued))
