/* test_registry_jobs.c: jobs as clients see them: given back, listed, patched, cancelled. What a body
 * must be is in test_registry_job_fields.c, what the keeper does in test_registry_job_keeper.c. */
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

TEST(create_job__refuses_a_second_one_of_a_name)
{
    const char *body = "{\"jobId\":\"j\",\"trainingInput\":{\"pythonModule\":\"graft.train\"}}";
    create_job("j", NULL);
    REFUSES(GF_EEXISTS, JOB ": exists already",
            gf_registry_create_job(registry, PROJECT, body, &text, &check_err));
    CHECK_OK(gf_registry_cancel_job(registry, JOB, &check_err)); /* for ever */
    REFUSES(GF_EEXISTS, JOB ": exists already",
            gf_registry_create_job(registry, PROJECT, body, &text, &check_err));
    create_job("J", NULL); /* names differ by case */
    GET(gf_registry_create_job(registry, "projects/q", body, &text, &check_err));
}

TEST(create_job__begins_its_project)
{
    create_job("j", NULL);
    GET(gf_registry_list_projects(registry, &text, &check_err));
    CHECK_STR(text, "{\"projects\":[\"p\"]}");
    create_model("m");
    GET(gf_registry_list_projects(registry, &text, &check_err));
    CHECK_STR(text, "{\"projects\":[\"p\"]}");
}

TEST(get_job__says_what_is_not_there)
{
    REFUSES(GF_ENOTFOUND, JOB ": no such job",
            gf_registry_get_job(registry, JOB, &text, &check_err));
    REFUSES(GF_EINVAL, "\"projects/p\": expected projects/PROJECT/jobs/JOB",
            gf_registry_get_job(registry, PROJECT, &text, &check_err));
    REFUSES(GF_EINVAL, "job name \"a-b\"",
            gf_registry_get_job(registry, "projects/p/jobs/a-b", &text, &check_err));
    REFUSES(GF_EINVAL, "expected projects/PROJECT/jobs/JOB",
            gf_registry_get_job(registry, JOB "/", &text, &check_err));
    REFUSES(GF_EINVAL, "expected projects/PROJECT/jobs/JOB",
            gf_registry_get_job(registry, MODEL, &text, &check_err));
    create_job("j", NULL);
    REFUSES(GF_ENOTFOUND, "projects/q/jobs/j: no such job",
            gf_registry_get_job(registry, "projects/q/jobs/j", &text, &check_err));
}

TEST(job_position__is_the_place_in_the_queue_of_all_projects)
{
    create_job("a", NULL);
    GET(gf_registry_create_job(
        registry, "projects/q",
        "{\"jobId\":\"b\",\"trainingInput\":{\"pythonModule\":\"graft.train\"}}", &text,
        &check_err));
    CHECK_VALUE(text, "jobPosition", "2");
    create_job("c", "\"scheduling\":{\"priority\":1}");
    CHECK_VALUE(text, "jobPosition", "1");
    create_job("d", NULL);
    CHECK_VALUE(text, "jobPosition", "4");
    CHECK_OK(gf_registry_cancel_job(registry, "projects/q/jobs/b", &check_err));
    GET(gf_registry_list_jobs(registry, PROJECT, NULL, &text, &check_err));
    CHECK_VALUE(text, "jobs.0.jobPosition", "3"); /* d */
    CHECK_VALUE(text, "jobs.1.jobPosition", "1"); /* c */
    CHECK_VALUE(text, "jobs.2.jobPosition", "2"); /* a */
}

/* ---- lists ---- */

static void list_jobs(gf_registry_page page, const char *want_ids)
{
    char ids[256] = "", path[32];
    GET(gf_registry_list_jobs(registry, PROJECT, &page, &text, &check_err));
    for (int i = 0;; i++) {
        snprintf(path, sizeof path, "jobs.%d.jobId", i);
        const char *id = value_of(text, path);
        if (id[0] == '\0')
            break;
        strncat(ids, i > 0 ? "," : "", sizeof ids - strlen(ids) - 1);
        strncat(ids, id, sizeof ids - strlen(ids) - 1);
    }
    CHECK_STR(ids, want_ids);
}

TEST(list_jobs__is_newest_first)
{
    list_jobs((gf_registry_page){0}, "");
    CHECK_STR(text, "{}");
    create_job("b", NULL);
    create_job("a", "\"scheduling\":{\"priority\":1}");
    create_job("c", NULL);
    list_jobs((gf_registry_page){0}, "c,a,b");
    CHECK_VALUE(text, "nextPageToken", "");
    GET(gf_registry_list_jobs(registry, "projects/q", NULL, &text, &check_err));
    CHECK_STR(text, "{}");
    REFUSES(GF_EINVAL, "expected projects/PROJECT",
            gf_registry_list_jobs(registry, JOB, NULL, &text, &check_err));
    REFUSES(GF_EINVAL, "pageSize: -1, expected 0 or more",
            gf_registry_list_jobs(registry, PROJECT, &(gf_registry_page){.size = -1}, &text,
                                  &check_err));
}

TEST(list_jobs__gives_every_job_once_while_others_are_added)
{
    char id[8], token[256];
    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof id, "j%d", i);
        create_job(id, NULL);
    }
    list_jobs((gf_registry_page){.size = 2}, "j4,j3");
    snprintf(token, sizeof token, "%s", value_of(text, "nextPageToken"));
    create_job("k", NULL);
    CHECK_OK(gf_registry_cancel_job(registry, PROJECT "/jobs/j3", &check_err));
    list_jobs((gf_registry_page){.size = 2, .token = token}, "j2,j1");
    snprintf(token, sizeof token, "%s", value_of(text, "nextPageToken"));
    list_jobs((gf_registry_page){.size = 2, .token = token}, "j0");
    CHECK_VALUE(text, "nextPageToken", "");
    REFUSES(GF_EINVAL, "pageToken: not one of this list",
            gf_registry_list_operations(registry, PROJECT, &(gf_registry_page){.token = token},
                                        &text, &check_err));
    REFUSES(GF_EINVAL, "pageToken: not one of this list",
            gf_registry_list_jobs(registry, "projects/q", &(gf_registry_page){.token = token},
                                  &text, &check_err));
}

TEST(list_jobs__has_twenty_by_default_and_never_more_than_a_hundred)
{
    char id[8];
    for (int i = 0; i < 101; i++) {
        snprintf(id, sizeof id, "j%d", i);
        create_job(id, NULL);
    }
    GET(gf_registry_list_jobs(registry, PROJECT, NULL, &text, &check_err));
    CHECK_VALUE(text, "jobs.19.jobId", "j81");
    CHECK_VALUE(text, "jobs.20.jobId", "");
    GET(gf_registry_list_jobs(registry, PROJECT, &(gf_registry_page){.size = 1000}, &text,
                              &check_err));
    CHECK_VALUE(text, "jobs.99.jobId", "j1");
    CHECK_VALUE(text, "jobs.100.jobId", "");
}

TEST(list_jobs__is_filtered_by_any_field)
{
    lock_home();
    create_job("rnn1", "\"args\":[\"--a\",\"--b\"]");
    create_job("rnn2", "\"scheduling\":{\"priority\":7},\"region\":\"eu\"");
    create_job("cnn", "\"hyperparameters\":{\"params\":[{\"parameterName\":\"x\",\"type\":"
                      "\"DISCRETE\",\"discreteValues\":[0.5]}]}");
    look();
    const int64_t id = list.jobs[2].id;
    CHECK_STR(list.jobs[2].name, PROJECT "/jobs/cnn");
    CHECK_OK(gf__registry_end_job(registry, list.jobs[1].id, GF__JOB_FAILED, "no such package",
                                  "{\"consumedMLUnits\":0.25}", &check_err));
    CHECK_OK(gf__registry_begin_attempt(registry, id, &check_err));
    GET(gf_registry_patch_job(registry, PROJECT "/jobs/cnn", "{\"labels\":{\"a.b\":\"c\"}}",
                              "labels", &text, &check_err));
    list_jobs((gf_registry_page){.filter = "jobId:rnn*"}, "rnn2,rnn1");
    list_jobs((gf_registry_page){.filter = "jobId:rnn* AND state:FAILED"}, "rnn1");
    list_jobs((gf_registry_page){.filter = "job_id=cnn"}, "cnn");
    list_jobs((gf_registry_page){.filter = "state!=FAILED"}, "cnn,rnn2");
    list_jobs((gf_registry_page){.filter = "jobPosition=1"}, "rnn2");
    list_jobs((gf_registry_page){.filter = "training_input.scheduling.priority=7"}, "rnn2");
    list_jobs((gf_registry_page){.filter = "trainingInput.region:*"}, "rnn2");
    list_jobs((gf_registry_page){.filter = "trainingInput.args:--b"}, "rnn1");
    list_jobs((gf_registry_page){.filter = "trainingInput.args:--*"}, "rnn1");
    list_jobs((gf_registry_page){.filter = "trainingInput.args!=--b"}, "cnn,rnn2");
    list_jobs((gf_registry_page){.filter = "trainingOutput.consumedMLUnits=0.25"}, "rnn1");
    list_jobs((gf_registry_page){.filter = "errorMessage=\"no such package\""}, "rnn1");
    list_jobs((gf_registry_page){.filter = "labels.a.b=c"}, "cnn");
    list_jobs((gf_registry_page){.filter = "jobId:x*"}, "");
    CHECK_STR(text, "{}");
    REFUSES(GF_EINVAL, "filter, character 11: expected AND",
            gf_registry_list_jobs(registry, PROJECT,
                                  &(gf_registry_page){.filter = "jobId:rnn OR a:b"}, &text,
                                  &check_err));
}

/* ---- patches ---- */

TEST(patch_job__changes_labels_and_nothing_else)
{
    create_job("j", NULL);
    char *created = strdup(text);
    GET(gf_registry_patch_job(registry, JOB, "{\"labels\":{\"Team_a\":\"x\"}}", "labels", &text,
                              &check_err));
    CHECK_VALUE(text, "labels", "{\"Team_a\":\"x\"}");
    CHECK_VALUE(text, "trainingInput.pythonModule", "graft.train");
    char *patched = strdup(text);
    GET(gf_registry_get_job(registry, JOB, &text, &check_err));
    CHECK_STR(text, patched);
    CHECK(strcmp(strrchr(created, ','), strrchr(patched, ',')) != 0); /* the etag, at the end */
    GET(gf_registry_patch_job(registry, JOB, "{}", "labels", &text, &check_err));
    CHECK_VALUE(text, "labels", "");
    REFUSES(GF_EINVAL, "updateMask: \"trainingInput.region\" cannot be changed, only labels, etag",
            gf_registry_patch_job(registry, JOB, "{}", "training_input.region", &text, &check_err));
    REFUSES(GF_EINVAL, "updateMask: missing",
            gf_registry_patch_job(registry, JOB, "{\"labels\":{}}", NULL, &text, &check_err));
    REFUSES(GF_EINVAL, "labels: expected an object with strings in it",
            gf_registry_patch_job(registry, JOB, "{\"labels\":[]}", "labels", &text, &check_err));
    REFUSES(GF_ENOTFOUND, "projects/p/jobs/k: no such job",
            gf_registry_patch_job(registry, PROJECT "/jobs/k", "{}", "labels", &text, &check_err));
    free(patched);
    free(created);
}

TEST(patch_job__takes_a_whole_job_back)
{
    create_job("j", "\"workerCount\":0,\"scaleTier\":\"CUSTOM\",\"masterType\":\"standard\"");
    char *body = strdup(text);
    GET(gf_registry_patch_job(registry, JOB, body, "labels,etag", &text, &check_err));
    CHECK_VALUE(text, "trainingInput.workerCount", "0");
    free(body);
}

TEST(patch_job__refuses_an_etag_that_is_not_the_present_one)
{
    char body[128];
    lock_home();
    create_job("j", NULL);
    look();
    snprintf(body, sizeof body, "{\"labels\":{\"a\":\"b\"},\"etag\":\"%s\"}",
             value_of(text, "etag"));
    CHECK_OK(gf__registry_begin_attempt(registry, list.jobs[0].id, &check_err));
    REFUSES(GF_EBUSY, "j: changed by somebody else: etag is \"",
            gf_registry_patch_job(registry, JOB, body, "labels", &text, &check_err));
    GET(gf_registry_get_job(registry, JOB, &text, &check_err));
    snprintf(body, sizeof body, "{\"labels\":{\"a\":\"b\"},\"etag\":\"%s\"}",
             value_of(text, "etag"));
    CHECK_OK(gf__registry_note_progress(registry, list.jobs[0].id, false, "{\"a\":1}", &check_err));
    CHECK_OK(gf__registry_note_place(registry, list.jobs[0].id, "here", &check_err));
    GET(gf_registry_patch_job(registry, JOB, body, "labels", &text, &check_err));
    CHECK_VALUE(text, "labels.a", "b");
    CHECK_VALUE(text, "trainingOutput.a", "1");
}

/* ---- cancelling ---- */

TEST(cancel_job__ends_a_queued_one_at_once)
{
    create_job("j", NULL);
    CHECK_OK(gf_registry_cancel_job(registry, JOB, &check_err));
    GET(gf_registry_get_job(registry, JOB, &text, &check_err));
    CHECK_VALUE(text, "state", "CANCELLED");
    CHECK_VALUE(text, "errorMessage", "The job was cancelled by a client's request.");
    CHECK_VALUE(text, "jobPosition", "");
    CHECK_VALUE(text, "startTime", "");
    CHECK(seconds_of(text, "endTime") >= seconds_of(text, "createTime"));
    char *cancelled = strdup(text);
    CHECK_OK(gf_registry_cancel_job(registry, JOB, &check_err)); /* stays as it is */
    GET(gf_registry_get_job(registry, JOB, &text, &check_err));
    CHECK_STR(text, cancelled);
    free(cancelled);
    lock_home();
    look();
    CHECK_EQ(list.n_jobs, 0);
}

TEST(cancel_job__asks_for_the_end_of_one_that_has_begun)
{
    lock_home();
    for (int is_running = 0; is_running < 2; is_running++) {
        const char *name = is_running ? PROJECT "/jobs/j1" : PROJECT "/jobs/j0";
        create_job(gf__path_base(name), NULL);
        look();
        CHECK_OK(gf__registry_begin_attempt(registry, list.jobs[0].id, &check_err));
        CHECK_OK(
            gf__registry_note_progress(registry, list.jobs[0].id, is_running, NULL, &check_err));
        CHECK_OK(gf_registry_cancel_job(registry, name, &check_err));
        GET(gf_registry_get_job(registry, name, &text, &check_err));
        CHECK_VALUE(text, "state", "CANCELLING");
        CHECK_VALUE(text, "errorMessage", "The job was cancelled by a client's request.");
        CHECK_VALUE(text, "endTime", "");
        char *cancelling = strdup(text);
        CHECK_OK(gf_registry_cancel_job(registry, name, &check_err));
        GET(gf_registry_get_job(registry, name, &text, &check_err));
        CHECK_STR(text, cancelling);
        free(cancelling);
        CHECK_OK(gf__registry_end_job(registry, list.jobs[0].id, GF__JOB_CANCELLED, NULL, NULL,
                                      &check_err));
    }
}

TEST(cancel_job__refuses_one_that_has_ended_by_itself)
{
    lock_home();
    create_job("j", NULL);
    look();
    CHECK_OK(
        gf__registry_end_job(registry, list.jobs[0].id, GF__JOB_FAILED, "x", NULL, &check_err));
    CHECK_FAILS(GF_EPRECONDITION,
                JOB ": has FAILED; only a job that has not ended can be cancelled",
                gf_registry_cancel_job(registry, JOB, &check_err));
    create_job("k", NULL);
    look();
    CHECK_OK(
        gf__registry_end_job(registry, list.jobs[0].id, GF__JOB_SUCCEEDED, NULL, NULL, &check_err));
    CHECK_FAILS(GF_EPRECONDITION, PROJECT "/jobs/k: has SUCCEEDED",
                gf_registry_cancel_job(registry, PROJECT "/jobs/k", &check_err));
    CHECK_FAILS(GF_ENOTFOUND, PROJECT "/jobs/l: no such job",
                gf_registry_cancel_job(registry, PROJECT "/jobs/l", &check_err));
    CHECK_FAILS(GF_EINVAL, "expected projects/PROJECT/jobs/JOB",
                gf_registry_cancel_job(registry, "l", &check_err));
}

/* ---- keeping ---- */

TEST(jobs__outlive_collecting_and_closing)
{
    lock_home();
    create_job("done", NULL);
    create_job("j", NULL);
    look();
    CHECK_OK(gf__registry_end_job(registry, list.jobs[0].id, GF__JOB_SUCCEEDED, NULL,
                                  "{\"a\":\"b\"}", &check_err));
    GET(gf_registry_list_jobs(registry, PROJECT, NULL, &text, &check_err));
    char *before = strdup(text);
    CHECK_OK(gf_registry_collect(registry, 0, NULL, &check_err));
    CHECK_OK(gf_registry_recover(registry, GF_REGISTRY_FAIL, NULL, &check_err));
    gf_registry_close(registry);
    registry = open_home(false);
    GET(gf_registry_list_jobs(registry, PROJECT, NULL, &text, &check_err));
    CHECK_STR(text, before);
    free(before);
}

TESTS_MAIN(JOBS_UNIT(create_job__gives_the_job_queued),
           JOBS_UNIT(create_job__refuses_a_second_one_of_a_name),
           JOBS_UNIT(create_job__begins_its_project), JOBS_UNIT(get_job__says_what_is_not_there),
           JOBS_UNIT(job_position__is_the_place_in_the_queue_of_all_projects),
           JOBS_UNIT(list_jobs__is_newest_first),
           JOBS_UNIT(list_jobs__gives_every_job_once_while_others_are_added),
           JOBS_UNIT(list_jobs__has_twenty_by_default_and_never_more_than_a_hundred),
           JOBS_UNIT(list_jobs__is_filtered_by_any_field),
           JOBS_UNIT(patch_job__changes_labels_and_nothing_else),
           JOBS_UNIT(patch_job__takes_a_whole_job_back),
           JOBS_UNIT(patch_job__refuses_an_etag_that_is_not_the_present_one),
           JOBS_UNIT(cancel_job__ends_a_queued_one_at_once),
           JOBS_UNIT(cancel_job__asks_for_the_end_of_one_that_has_begun),
           JOBS_UNIT(cancel_job__refuses_one_that_has_ended_by_itself),
           JOBS_UNIT(jobs__outlive_collecting_and_closing))
