/* test_registry_job_keeper.c: what the keeper of jobs reads and writes, and what becomes of a job when
 * a client cancels it meanwhile. */
#include "registry_jobs.h"

#define TRAINED "{\"consumedMLUnits\":0.5}"

static int64_t id_of(size_t i)
{
    look();
    CHECK(i < list.n_jobs);
    return list.jobs[i].id;
}

static void check_state(const char *want)
{
    GET(gf_registry_get_job(registry, JOB, &text, &check_err));
    CHECK_VALUE(text, "state", want);
}

TEST(open_jobs__are_in_the_order_of_priority_and_age)
{
    lock_home();
    create_job("a", NULL);
    create_job("b", "\"scheduling\":{\"priority\":5}");
    create_job("c", "\"scheduling\":{\"priority\":1000}");
    create_job("d", "\"scheduling\":{\"priority\":5}");
    static const char *const names[] = {"c", "b", "d", "a"};
    look();
    CHECK_EQ(list.n_jobs, 4);
    for (size_t i = 0; i < 4; i++) {
        char position[8];
        snprintf(position, sizeof position, "%zu", i + 1);
        CHECK_STR(gf__path_base(list.jobs[i].name), names[i]);
        CHECK_VALUE(list.jobs[i].document, "jobId", names[i]);
        CHECK_VALUE(list.jobs[i].document, "jobPosition", position);
        GET(gf_registry_get_job(registry, list.jobs[i].name, &text, &check_err));
        CHECK_STR(text, list.jobs[i].document);
    }
    CHECK_EQ(list.jobs[0].priority, 1000);
    CHECK(list.jobs[0].create_time_ms > 0 && list.jobs[0].start_time_ms == 0);
    CHECK_EQ(list.jobs[0].n_attempts, 0);
    assert_null(list.jobs[0].place);
}

TEST(attempts__lead_a_job_to_its_end)
{
    lock_home();
    create_job("j", NULL);
    const int64_t id = id_of(0);
    CHECK_OK(gf__registry_begin_attempt(registry, id, &check_err));
    check_state("PREPARING");
    CHECK_VALUE(text, "jobPosition", "");
    CHECK_VALUE(text, "startTime", "");
    CHECK_OK(gf__registry_note_place(registry, id, "pid:7", &check_err));
    look();
    CHECK_STR(list.jobs[0].place, "pid:7");
    CHECK_EQ(list.jobs[0].n_attempts, 1);
    CHECK_OK(gf__registry_note_progress(registry, id, false, NULL, &check_err));
    check_state("PREPARING");
    CHECK_OK(gf__registry_note_progress(registry, id, true, TRAINED, &check_err));
    check_state("RUNNING");
    CHECK_VALUE(text, "trainingOutput", TRAINED);
    CHECK(seconds_of(text, "startTime") >= seconds_of(text, "createTime"));
    CHECK_OK(gf__registry_begin_attempt(registry, id, &check_err));
    look();
    CHECK_EQ(list.jobs[0].n_attempts, 2);
    CHECK_EQ(list.jobs[0].state, GF__JOB_RUNNING);
    assert_null(list.jobs[0].place);
    CHECK_OK(gf__registry_end_job(registry, id, GF__JOB_SUCCEEDED, NULL, "{}", &check_err));
    check_state("SUCCEEDED");
    CHECK_VALUE(text, "trainingOutput", "{}");
    CHECK(seconds_of(text, "endTime") >= seconds_of(text, "startTime"));
    look();
    CHECK_EQ(list.n_jobs, 0);
}

TESTS_MAIN(JOBS_UNIT(open_jobs__are_in_the_order_of_priority_and_age),
           JOBS_UNIT(attempts__lead_a_job_to_its_end))
