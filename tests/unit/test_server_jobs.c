/* Jobs of Cloud ML Engine v1, from request to answer, without anybody who runs them: what is stored,
 * who may create what, and a log's stream, which is fed here. */
#include "server_asked.h"
#include "server_home.h"

#define P   "/v1/projects/p"
#define JOB "projects/p/jobs/j"

static char *answer;     /* of the last ask(), a stream's whole */
static char bearer[128]; /* Authorization; "": none */
static const char *last_event_id;
static gf__stream kept; /* of a request with keeps_stream: to be pulled by the test */
static bool keeps_stream;

/* Until the stream ends, or has nothing to say. */
static void pull_all(gf__stream *stream, gf__buffer *out)
{
    bool is_end = false;
    for (size_t size = SIZE_MAX; !is_end && size != out->size;) {
        size = out->size;
        CHECK_OK(stream->pull(stream->user, out, &is_end, &check_err));
    }
    stream->is_at_end = is_end;
}

static int ask(const char *method, const char *target, const char *body)
{
    asked a;
    gf__pair headers[2];
    size_t n_headers = 0;
    if (bearer[0] != '\0')
        headers[n_headers++] = (gf__pair){"Authorization", bearer};
    if (last_event_id != NULL)
        headers[n_headers++] = (gf__pair){"Last-Event-ID", last_event_id};
    ask_for(&server, method, target, body, headers, n_headers, &a);
    if (a.response.stream.pull != NULL) {
        CHECK_STR(a.response.content_type, "text/event-stream");
        pull_all(&a.response.stream, &a.response.body);
    }
    gf__free(answer);
    answer = gf__buffer_take(&a.response.body, NULL);
    const int code = a.response.code;
    if (keeps_stream) {
        kept = a.response.stream;
        a.response.stream = (gf__stream){0};
    }
    forget(&a);
    return code;
}

static int leave_all(void **state)
{
    gf__stream_clear(&kept);
    gf__free(answer);
    answer = NULL;
    bearer[0] = '\0';
    last_event_id = NULL;
    keeps_stream = false;
    atomic_store(&server.is_draining, false);
    return leave_server(state);
}

#define JOB_UNIT(name) cmocka_unit_test_setup_teardown(name, enter_server, leave_all)

static void create_job(const char *id)
{
    char *body = gf__asprintf("{\"jobId\":\"%s\",\"labels\":{\"a\":\"b\"},\"trainingInput\":"
                              "{\"scaleTier\":\"BASIC\",\"region\":\"r\",\"pythonModule\":"
                              "\"graft.train\"}}",
                              id),
         *job = NULL;
    CHECK_OK(gf_registry_create_job(registry, "projects/p", body, &job, &check_err));
    gf_registry_free_text(job);
    gf__free(body);
}

/* The folder that its log lies in, made. New. */
static char *job_dir(void)
{
    char *dir = NULL;
    CHECK_OK(gf__registry_job_dir(registry, JOB, &dir, NULL, &check_err));
    CHECK_OK(gf__make_dirs(dir, &check_err));
    return dir;
}

static void say(const char *message)
{
    gf__job_log *log = NULL;
    char *dir = job_dir();
    CHECK_OK(gf__job_log_open(dir, &log, &check_err));
    CHECK_OK(gf__job_log_write(log, "stdout", NULL, message, strlen(message), &check_err));
    gf__job_log_close(log, NULL);
    gf__free(dir);
}

TEST(jobs__are_got_listed_patched_and_cancelled)
{
    create_job("j");
    create_job("k");
    ASK(200, "GET", P "/jobs/j", "");
    CHECK_VALUE(answer, "jobId", "j");
    CHECK_VALUE(answer, "state", "QUEUED");
    ASK(200, "GET", P "/jobs?pageSize=1", "");
    CHECK_VALUE(answer, "jobs.0.jobId", "k");
    CHECK(strstr(answer, "nextPageToken") != NULL);
    ASK(200, "GET", P "/jobs?filter=jobId:j*", "");
    CHECK_VALUE(answer, "jobs.0.jobId", "j");
    ASK(200, "GET", P "/jobs?filter=jobId:x*", "");
    CHECK_STR(answer, "{}\n");
    ASK(200, "PATCH", P "/jobs/j?updateMask=labels", "{\"labels\":{\"c\":\"d\"}}");
    CHECK_VALUE(answer, "labels.c", "d");
    ASK(409, "PATCH", P "/jobs/j?updateMask=labels", "{\"labels\":{},\"etag\":\"AAAA\"}");
    ASK(400, "PATCH", P "/jobs/j?updateMask=state", "{\"state\":\"RUNNING\"}");
    ASK(200, "POST", P "/jobs/j:cancel", "{}");
    CHECK_STR(answer, "{}\n");
    ASK(200, "GET", P "/jobs/j", "");
    CHECK_VALUE(answer, "state", "CANCELLED");
    ASK(404, "GET", P "/jobs/nobody", "");
    ASK(404, "POST", P "/jobs/nobody:cancel", "{}");
    ASK(404, "GET", P "/jobs/nobody:streamLogs", "");
    ASK(405, "DELETE", P "/jobs/j", "");
    ASK(501, "GET", P "/jobs/j:getIamPolicy", "");
}

TEST(jobs__are_not_taken_by_a_server_that_runs_none)
{
    ASK(400, "POST", P "/jobs", "{\"jobId\":\"j\"}");
    CHECK_VALUE(answer, "error.status", "FAILED_PRECONDITION");
    CHECK(strstr(answer, "--no-jobs") != NULL);
    ASK(400, "GET", "/graft/v1/jobs", "");
}

TEST(jobs__name_what_their_token_may_use)
{
    static const char *const theirs[] = {
        "{\"trainingInput\":{\"packageUris\":[\"gs://b/p/x.tar.gz\",\"gs://b/q/x.tar.gz\"]}}",
        "{\"training_input\":{\"job_dir\":\"gs://b\"}}",
        "{\"trainingInput\":{\"args\":[\"--data\",\"gs://b/q/pictures\"]}}",
        "{\"trainingInput\":{\"args\":[\"--data=gs://b/q/pictures\"]}}",
        "{\"trainingInput\":{\"args\":[\"gs://b/p/a,gs://b/q/b\"]}}",
        "{\"trainingInput\":{\"jobDir\":\"gs://b/p/../q\"}}",
        "{\"predictionInput\":{\"inputPaths\":[\"gs://b/pp/x\"]}}",
        "{\"predictionInput\":{\"outputPath\":\"gs://b/q/\"}}",
        "{\"predictionInput\":{\"uri\":\"gs://b/q/m\"}}",
        "{\"predictionInput\":{\"modelName\":\"projects/q/models/m\"}}",
        "{\"predictionInput\":{\"version_name\":\"projects/q/models/m/versions/v\"}}",
    };
    ASK(200, "POST", "/graft/v1/tokens", "{\"role\":\"deploy\",\"project\":\"p\"}");
    snprintf(bearer, sizeof bearer, "Bearer %s", value_of(answer, "token"));
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++)
        ASK(403, "POST", P "/jobs", theirs[i]);
    ASK(403, "POST", "/v1/projects/q/jobs", "{}");
    ASK(403, "GET", "/v1/projects/q/jobs", "");
    ASK(403, "GET", "/graft/v1/jobs", "");
    /* what is its own gets past: this server runs none */
    ASK(400, "POST", P "/jobs",
        "{\"trainingInput\":{\"jobDir\":\"gs://b/p/out\",\"args\":[\"--x=gs://b/p/in\"]},"
        "\"predictionInput\":{\"modelName\":\"projects/p/models/m\"}}");
    CHECK(strstr(answer, "--no-jobs") != NULL);
    ASK(200, "GET", P "/jobs", "");
}

TEST(jobs__log_is_told_line_by_line_with_offsets)
{
    create_job("j");
    say("one");
    say("two");
    ASK(200, "GET", P "/jobs/j:streamLogs?follow=false", "");
    CHECK(strstr(answer, "retry: 1000\n\nevent: state\ndata: {\"state\":\"QUEUED\"}\n\nid: ") ==
          answer);
    char *first = strstr(answer, "id: "),
         *second = first != NULL ? strstr(first + 1, "id: ") : NULL;
    assert_non_null(second);
    CHECK(strstr(first, "\"one\"") < second);
    CHECK(strstr(second, "event: end\ndata: {\"jobId\":\"j\"") != NULL);
    char id[24];
    snprintf(id, sizeof id, "%.*s", (int)strcspn(first + 4, "\n"), first + 4);
    last_event_id = id;
    ASK(200, "GET", P "/jobs/j:streamLogs?follow=false&offset=0", "");
    CHECK(strstr(answer, "\"one\"") == NULL);
    CHECK(strstr(answer, "\"two\"") != NULL);
    last_event_id = NULL;
    char *target = gf__asprintf(P "/jobs/j:streamLogs?follow=false&offset=%s", id);
    ASK(200, "GET", target, "");
    CHECK(strstr(answer, "\"one\"") == NULL);
    CHECK(strstr(answer, "\"two\"") != NULL);
    gf__free(target);
    ASK(400, "GET", P "/jobs/j:streamLogs?offset=-1", "");
    ASK(400, "GET", P "/jobs/j:streamLogs?follow=maybe", "");
    last_event_id = "9999999999999999999999";
    ASK(400, "GET", P "/jobs/j:streamLogs", "");
}

TEST(jobs__log_is_followed_to_the_end_of_the_job)
{
    gf__buffer more = {0};
    create_job("j");
    keeps_stream = true;
    ASK(200, "GET", P "/jobs/j:streamLogs", "");
    assert_non_null(kept.pull);
    CHECK(!kept.is_at_end);
    CHECK(strstr(answer, "QUEUED") != NULL);
    say("hello");
    CHECK_OK(gf_registry_cancel_job(registry, JOB, &check_err));
    pull_all(&kept, &more);
    CHECK(kept.is_at_end);
    const char *line = strstr(more.data, "hello"), *state = strstr(more.data, "event: state");
    assert_non_null(line);
    assert_non_null(state);
    CHECK(line < state); /* nothing is said behind the end */
    CHECK(strstr(state, "{\"state\":\"CANCELLED\"}") < strstr(state, "event: end"));
    gf__buffer_free(&more);
}

TEST(jobs__log_ends_with_the_server)
{
    gf__buffer more = {0};
    create_job("j");
    keeps_stream = true;
    ASK(200, "GET", P "/jobs/j:streamLogs", "");
    atomic_store(&server.is_draining, true);
    pull_all(&kept, &more);
    CHECK(kept.is_at_end);
    CHECK(strncmp(more.data, "event: closing\n", 15) == 0);
    CHECK(strstr(more.data, "event: end") == NULL);
    gf__buffer_free(&more);
}

TESTS_MAIN(JOB_UNIT(jobs__are_got_listed_patched_and_cancelled),
           JOB_UNIT(jobs__are_not_taken_by_a_server_that_runs_none),
           JOB_UNIT(jobs__name_what_their_token_may_use),
           JOB_UNIT(jobs__log_is_told_line_by_line_with_offsets),
           JOB_UNIT(jobs__log_is_followed_to_the_end_of_the_job),
           JOB_UNIT(jobs__log_ends_with_the_server))
