/* test_task.c: an attempt of a job as its runner starts it: `graft job`, what it leaves, and
 * what it does when it is cancelled, too slow, killed, or not alone. */
#include "task_home.h"

#include <time.h>

#include "base/base.h"

/* ---- spec.json ---- */

static void check_spec(const char *text, const char *part)
{
    gf__json *spec = NULL;
    CHECK_OK(gf__write_file(path_in(job, "spec.json"), text, strlen(text), &check_err));
    CHECK_FAILS(GF_EFORMAT, part, gf__spec_read(path_in(job, "spec.json"), &spec, &check_err));
    CHECK(spec == NULL);
}

#define HEAD                                                                             \
    "{\"format\":1,\"name\":\"projects/p/jobs/j\",\"home\":\"/h\",\"buckets\":\"/h/b\"," \
    "\"program\":\"/g\",\"nCpus\":2,\"maxRunningS\":5,\"graceMs\":10,\"nShards\":1,"
#define TRAINING "\"kind\":\"training\",\"training\":{\"pythonModule\":\"m\""

TEST(spec__errors_name_the_field)
{
    gf__json *spec = NULL;
    const char *good = HEAD TRAINING ",\"args\":[\"a\"]}}";
    CHECK_OK(gf__write_file(path_in(job, "spec.json"), good, strlen(good), &check_err));
    CHECK_OK(gf__spec_read(path_in(job, "spec.json"), &spec, &check_err));
    gf__json_free(spec);
    check_spec("{", "spec.json");
    check_spec("[]", "expected an object");
    check_spec("{}", "format: it is missing");
    check_spec("{\"format\":2}", "format: expected an integer from 1 to 1");
    check_spec("{\"format\":1,\"name\":7}", "name: expected a text");
    check_spec("{\"format\":1,\"name\":\"n\",\"kind\":\"x\",\"home\":\"h\"}",
               "home: expected an absolute path");
    check_spec(HEAD "\"kind\":\"cooking\"}", "kind: expected \"training\" or \"prediction\", found "
                                             "\"cooking\"");
    check_spec(HEAD "\"kind\":\"training\"}", "training: expected an object");
    check_spec(HEAD "\"kind\":\"training\",\"training\":{}}",
               "training: pythonModule: it is missing");
    check_spec(HEAD TRAINING ",\"args\":\"a\"}}", "training: args: expected a list of texts");
    check_spec(HEAD TRAINING ",\"args\":[\"a\",1]}}", "training: args[1]: expected a text");
    check_spec(HEAD TRAINING ",\"packages\":[\"p.tar.gz\"]}}",
               "training: packages[0]: expected an absolute path");
    check_spec(HEAD TRAINING ",\"hyperparameters\":[]}}",
               "training: hyperparameters: expected an object");
    check_spec(HEAD "\"kind\":\"prediction\",\"prediction\":{\"inputPaths\":[\"gs://b/x\"]}}",
               "prediction: outputPath: it is missing");
}

TEST(spec__survives_every_allocation_failure)
{
    gf__json *spec = NULL;
    gf_status st = GF_ENOMEM;
    write_spec(&(job_spec){"op.task", ",\"args\":[\"a\"]", 0, 0});
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__spec_read(path_in(job, "spec.json"), &spec, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && spec == NULL));
    }
    gf__json_free(spec);
}

static void write_refused_spec(void)
{
    const char *text = "{\"format\":1}";
    CHECK_OK(gf__write_file(path_in(job, "spec.json"), text, strlen(text), &check_err));
}

TEST(job__of_a_spec_that_is_refused_has_failed_and_says_why)
{
    write_refused_spec();
    CHECK_EQ(run_job(), 1);
    check_result("FAILED", "spec.json: name: it is missing");
}

TEST(job__of_a_spec_that_is_refused_keeps_the_result_there_is)
{
    const char *done = "{\"attempt\":1,\"state\":\"SUCCEEDED\"}";
    write_refused_spec();
    CHECK_OK(gf__write_file(path_in(job, "result.json"), done, strlen(done), &check_err));
    CHECK_EQ(run_job(), 1);
    check_result("SUCCEEDED", NULL);
}

TEST(module__is_run_with_the_python_of_the_spec)
{
    const char *spec = "{\"python\":\"python3.99\"}", *none = "{\"python\":\"\"}";
    gf__task_options options = {.part = GF__TASK_WHOLE};
    gf__task task = {.options = &options};
    CHECK_OK(gf__json_parse(spec, strlen(spec), &task.spec, &check_err));
    CHECK_STR(gf__task_python(&task), "python3.99");
    gf__json_free(task.spec);
    CHECK_OK(gf__json_parse(none, strlen(none), &task.spec, &check_err));
    CHECK_STR(gf__task_python(&task), "python3");
    options.python = "/usr/bin/python3";
    CHECK_STR(gf__task_python(&task), "/usr/bin/python3");
    gf__json_free(task.spec);
}

/* ---- graft.train ---- */

static void write_table(void)
{
    gf__buffer text = {0};
    gf__buffer_puts(&text, "a,b,label\n");
    for (int i = 0; i < 60; i++)
        gf__buffer_printf(&text, "%d.%d,%d.5,c%d\n", i % 3, i % 7, 2 * (i % 3), i % 3);
    CHECK_OK(gf__write_file(path_in(home, "buckets/bucket/table.csv"), text.data, text.size,
                            &check_err));
    gf__buffer_free(&text);
}

#define OUT "buckets/bucket/out/opera/"

TEST(train__leaves_model_and_report_in_the_jobs_folder)
{
    write_table();
    write_spec(&(job_spec){"graft.train",
                           ",\"args\":[\"gs://bucket/table.csv\",\"--epochs\",\"2\",\"--job-dir\","
                           "\"gs://bucket/not/this\"],\"jobDir\":\"gs://bucket/out/opera/\"",
                           0, 0});
    CHECK_EQ(run_job(), 0);
    check_result("SUCCEEDED", NULL);
    CHECK(gf__is_file(path_in(home, OUT "model.safetensors")));
    CHECK(gf__is_file(path_in(home, OUT "report.html")));
    CHECK(!gf__is_dir(path_in(home, "buckets/bucket/not")));
    check_log_has("Epoch 2/2");
    gf__json *progress = read_json(path_in(job, "progress.json"));
    CHECK_STR(gf__json_string(gf__json_find(progress, "state"), "?"), "RUNNING");
    CHECK_EQ(gf__json_int(gf__json_find(progress, "attempt"), 0), 1);
    gf__json_free(progress);
    CHECK(gf__is_file(path_in(job, "metrics.jsonl")));
}

TEST(train__puts_its_model_where_it_is_told_to)
{
    write_table();
    write_spec(&(job_spec){"graft.train",
                           ",\"args\":[\"gs://bucket/table.csv\",\"--epochs=1\","
                           "\"--output=gs://bucket/new/folder/m.safetensors\"],"
                           "\"jobDir\":\"gs://bucket/out/opera\"",
                           0, 0});
    CHECK_EQ(run_job(), 0);
    check_result("SUCCEEDED", NULL);
    CHECK(gf__is_file(path_in(home, "buckets/bucket/new/folder/m.safetensors")));
    CHECK(!gf__is_file(path_in(home, OUT "model.safetensors")));
}

TEST(train__that_fails_says_why)
{
    write_spec(&(job_spec){"graft.train", ",\"args\":[\"gs://bucket/nothing.csv\"]", 0, 0});
    CHECK_EQ(run_job(), 0); /* a result is there: that is what the status is about */
    check_result("FAILED", "The replica master 0 exited with a non-zero status of 3. Termination "
                           "reason: Error.\ngraft: train: ");
    check_result("FAILED", "check the logs: graft jobs stream-logs opera");
}

TEST(addresses__do_not_leave_the_buckets)
{
    write_spec(&(job_spec){"graft.train", ",\"args\":[\"gs://bucket/../../x.csv\"]", 0, 0});
    CHECK_EQ(run_job(), 0);
    check_result("FAILED", "gs://bucket/../../x.csv: ");
    CHECK_EQ(unlink(path_in(job, "result.json")), 0);
    CHECK_EQ(symlink("/etc", path_in(home, "buckets/bucket/link")), 0);
    write_spec(&(job_spec){"graft.train", ",\"args\":[],\"jobDir\":\"gs://bucket/link/x\"", 0, 0});
    CHECK_EQ(run_job(), 0);
    check_result("FAILED", "jobDir: gs://bucket/link/x: link is a link");
}

/* ---- modules of users ---- */

#define PACKAGE(name) "\"packages\":[\"%s/" name "\"],\"packageUris\":[\"gs://bucket/" name "\"]"

/* training: with one %s, the folder of packages. */
static void write_user_spec(const char *format, long max_running_s, long grace_ms)
{
    char training[4096];
    const char *at = strstr(format, "%s");
    snprintf(training, sizeof training, "%.*s%s%s", (int)(at - format), format, packages, at + 2);
    write_spec(&(job_spec){"op.task", training, max_running_s, grace_ms});
}

static void write_op_spec(const char *arguments, long max_running_s, long grace_ms)
{
    char format[2048];
    snprintf(format, sizeof format, ",\"args\":[%s]," PACKAGE("op-1.0.tar.gz"), arguments, "%s");
    write_user_spec(format, max_running_s, grace_ms);
}

TEST(module__gets_arguments_and_environment)
{
    char line[2048];
    make_packages();
    write_user_spec(
        ",\"args\":[\"environment\",\"--lr=0.1\"],\"jobDir\":\"gs://bucket/out/\"," PACKAGE(
            "op-1.0.tar.gz"),
        0, 0);
    CHECK_EQ(run_job(), 0);
    check_result("SUCCEEDED", NULL);
    CHECK(gf__is_dir(path_in(home, "buckets/bucket/out")));
    check_log_has("\\\"argv\\\": [\\\"--job-dir\\\", \\\"gs://bucket/out\\\", \\\"environment\\\", "
                  "\\\"--lr=0.1\\\"]");
    snprintf(line, sizeof line, "\\\"cwd\\\": \\\"%s/work\\\"", job);
    check_log_has(line);
    snprintf(line, sizeof line, "\\\"op\\\": \\\"%s/packages/0/op-1.0/op/task.py\\\"", job);
    check_log_has(line);
    snprintf(line, sizeof line, "\\\"GRAFT_BUCKETS\\\": \\\"%s/buckets\\\"", home);
    check_log_has(line);
    snprintf(line, sizeof line, "\\\"CLOUD_ML_HP_METRIC_FILE\\\": \\\"%s/metrics.jsonl\\\"", job);
    check_log_has(line);
    check_log_has("\\\"CLOUD_ML_JOB_ID\\\": \\\"opera\\\"");
    check_log_has("\\\"OMP_NUM_THREADS\\\": \\\"2\\\"");
    check_log_has("\\\"GRAFT_SERVER\\\": \\\"http://127.0.0.1:1\\\"");
    check_log_has("environment\\\\\\\":\\\\\\\"cloud");
}

TEST(module__that_fails_says_why)
{
    make_packages();
    write_op_spec("\"fail\"", 0, 0);
    CHECK_EQ(run_job(), 0);
    check_result("FAILED", "The replica master 0 exited with a non-zero status of 1. Termination "
                           "reason: Error.\nabout to fail\nTraceback");
    check_result("FAILED", "ValueError: no such opera\nTo find out more");
}

TEST(module__that_is_missing_is_named)
{
    char training[1024];
    make_packages();
    snprintf(training, sizeof training, "," PACKAGE("op-1.0.tar.gz"), packages);
    write_spec(&(job_spec){"op.missing", training, 0, 0});
    CHECK_EQ(run_job(), 0);
    check_result("FAILED", "pythonModule: none of the job's packages has a module op.missing.");
}

TEST(module__whose_package_is_missing_is_named)
{
    char training[1024];
    make_packages();
    snprintf(training, sizeof training, "," PACKAGE("op-1.0.tar.gz"), packages);
    write_spec(&(job_spec){"opera.task", training, 0, 0});
    CHECK_EQ(run_job(), 0);
    check_result("FAILED", "pythonModule: none of the job's packages has a module opera.task.");
}

TEST(module__killed_by_a_signal_says_which)
{
    make_packages();
    write_op_spec("\"die\"", 0, 0);
    CHECK_EQ(run_job(), 0);
    check_result("FAILED", "The replica master 0 was killed by signal 9 (Killed).");
}

/* ---- ends ---- */

/* Of a module that says into a pipe that it runs. */
static void write_telling_spec(const char *what, long max_running_s, long grace_ms)
{
    char arguments[1024];
    snprintf(arguments, sizeof arguments, "\"%s\",\"--tell\",\"%s/pipe\"", what, root);
    write_op_spec(arguments, max_running_s, grace_ms);
}

/* Its process; the pipe is the test's. */
static pid_t start_telling(const char *what, long max_running_s, long grace_ms, int *pipe)
{
    char text[64];
    *pipe = make_pipe(path_in(root, "pipe"));
    write_telling_spec(what, max_running_s, grace_ms);
    const pid_t pid = start_job("1");
    await_text(*pipe, text, sizeof text);
    return pid;
}

static void check_ended(pid_t pid, int pipe)
{
    CHECK_EQ(end_program(pid), 0);
    await_end(pipe);
    close(pipe);
}

TEST(cancel__while_it_runs)
{
    int pipe;
    make_packages();
    const pid_t pid = start_telling("wait", 0, 0, &pipe);
    kill(pid, SIGTERM);
    check_ended(pid, pipe);
    check_result("CANCELLED", "the job was cancelled while it was running");
}

/* Slurm asks a job to end whose node it wants for another, and starts it again: the same
 * attempt. */
TEST(cancel__is_not_the_end_of_one_that_is_started_again)
{
    int pipe;
    make_packages();
    const pid_t pid = start_telling("wait", 0, 0, &pipe);
    kill(pid, SIGTERM);
    check_ended(pid, pipe);
    write_op_spec("\"die\"", 0, 0);
    CHECK_EQ(run_job(), 0);
    check_result("FAILED", "killed by signal 9");
    write_op_spec("\"succeed\"", 0, 0);
    CHECK_EQ(run_job(), 0);
    check_result("FAILED", "killed by signal 9"); /* that one stays */
}

TEST(cancel__of_one_that_ignores_it)
{
    int pipe;
    make_packages();
    const pid_t pid = start_telling("ignore", 0, 100, &pipe);
    kill(pid, SIGTERM);
    check_ended(pid, pipe);
    check_result("CANCELLED", "the job was cancelled while it was running");
}

TEST(time_limit__ends_an_endless_loop)
{
    char said[64], text[64];
    ssize_t n_told = 0;
    make_packages();
    /* On a busy machine a short time is over before the module runs: it gets a longer one. */
    for (long seconds = 2; seconds <= 128 && n_told <= 0; seconds *= 4) {
        remove(path_in(root, "pipe"));
        remove(path_in(job, "result.json"));
        const int pipe = make_pipe(path_in(root, "pipe"));
        write_telling_spec("ignore", seconds, 100);
        CHECK_EQ(run_job(), 0);
        n_told = read(pipe, text, sizeof text);
        if (n_told > 0)
            await_end(pipe);
        close(pipe);
        snprintf(said, sizeof said, "the job ran longer than maxRunningTime (%lds)", seconds);
        check_result("FAILED", said);
    }
    CHECK(n_told > 0);
}

TEST(time_limit__is_of_the_job_and_not_of_each_attempt)
{
    make_packages();
    spec_start_time_ms = ((long)time(NULL) - 101) * 1000;
    write_spec(&(job_spec){"op.task", ",\"packages\":[],\"args\":[\"succeed\"]", 100, 0});
    spec_start_time_ms = 0;
    CHECK_EQ(run_job(), 0);
    check_result("FAILED", "the job ran longer than maxRunningTime (100s)");
}

TEST(daemons__do_not_outlive_the_job)
{
    int pipe;
    make_packages();
    const pid_t pid = start_telling("daemon", 0, 0, &pipe);
    check_ended(pid, pipe); /* the daemon holds the pipe */
    check_result("SUCCEEDED", NULL);
}

/* Its child goes with it: nothing runs for a job whose keeper believes that nothing does. */
TEST(killed_process__leaves_no_child_and_no_result)
{
    int pipe;
    make_packages();
    const pid_t pid = start_telling("ignore", 0, 0, &pipe);
    kill(pid, SIGKILL);
    CHECK(WIFSIGNALED(end_program(pid)));
    await_end(pipe);
    close(pipe);
    CHECK(!gf__is_file(path_in(job, "result.json")));
    write_op_spec("\"succeed\"", 0, 0);
    CHECK_EQ(end_program(start_job("2")), 0);
    check_result("SUCCEEDED", NULL);
}

TEST(flood__of_ten_megabytes_without_a_newline_is_in_the_log)
{
    make_packages();
    write_op_spec("\"flood\"", 0, 0);
    CHECK_EQ(run_job(), 0);
    check_result("SUCCEEDED", NULL);
    char *text = read_log(job);
    const size_t n = count_byte(text, '\xe2'); /* of each BULLET the first */
    gf__free(text);
    CHECK_EQ(n, 600000);
}

/* ---- not alone ---- */

TEST(lock__held_by_another_means_that_nothing_is_done)
{
    gf__lock *lock = NULL;
    gf__task_options options = {.dir = job, .attempt = 1};
    write_op_spec("\"succeed\"", 0, 0);
    CHECK_OK(gf__lock_acquire(path_in(job, "lock"), false, &lock, &check_err));
    CHECK_FAILS(GF_EBUSY, "another process holds this lock", gf__task_run(&options, &check_err));
    CHECK_EQ(run_job(), 1);
    gf__lock_release(lock);
    CHECK(!gf__is_file(path_in(job, "result.json")));
    CHECK(!gf__is_file(path_in(job, "log")));
}

TEST(lock__says_who_holds_it)
{
    int pipe;
    char expected[64];
    char *text = NULL;
    make_packages();
    const pid_t pid = start_telling("wait", 0, 0, &pipe);
    snprintf(expected, sizeof expected, "1 %d\n", (int)pid);
    CHECK_OK(gf__read_file(path_in(job, "lock"), 100, &text, &(size_t){0}, &check_err));
    CHECK_STR(text, expected);
    gf__free(text);
    kill(pid, SIGTERM);
    check_ended(pid, pipe);
}

TEST(result__that_is_there_is_not_made_again)
{
    const char *before = "{\"attempt\": 1, \"state\": \"SUCCEEDED\"}";
    write_op_spec("\"fail\"", 0, 0);
    CHECK_OK(gf__write_file(path_in(job, "result.json"), before, strlen(before), &check_err));
    CHECK_EQ(end_program(start_job("2")), 0);
    check_result("SUCCEEDED", NULL);
    CHECK(!gf__is_dir(path_in(job, "packages")));
}

TEST(arguments__are_checked)
{
    char *const wrong[][6] = {{NULL},
                              {job, NULL},
                              {job, (char *)(uintptr_t) "0", NULL},
                              {job, (char *)(uintptr_t) "1", (char *)(uintptr_t) "--shard", NULL},
                              {(char *)(uintptr_t) "relative", (char *)(uintptr_t) "1", NULL},
                              {job, (char *)(uintptr_t) "1", (char *)(uintptr_t) "--mend", NULL}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *argv[8] = {getenv("GRAFT_PROGRAM"), (char *)(uintptr_t) "job"};
        for (size_t k = 0; wrong[i][k] != NULL; k++)
            argv[2 + k] = wrong[i][k];
        CHECK_EQ(WEXITSTATUS(end_program(start_program(argv))), 2);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_home, close_home)
TESTS_MAIN(CASE(spec__errors_name_the_field), CASE(spec__survives_every_allocation_failure),
           CASE(job__of_a_spec_that_is_refused_has_failed_and_says_why),
           CASE(job__of_a_spec_that_is_refused_keeps_the_result_there_is),
           CASE(module__is_run_with_the_python_of_the_spec),
           CASE(train__leaves_model_and_report_in_the_jobs_folder),
           CASE(train__puts_its_model_where_it_is_told_to), CASE(train__that_fails_says_why),
           CASE(addresses__do_not_leave_the_buckets), CASE(module__gets_arguments_and_environment),
           CASE(module__that_fails_says_why), CASE(module__that_is_missing_is_named),
           CASE(module__whose_package_is_missing_is_named),
           CASE(module__killed_by_a_signal_says_which), CASE(cancel__while_it_runs),
           CASE(cancel__is_not_the_end_of_one_that_is_started_again),
           CASE(cancel__of_one_that_ignores_it), CASE(time_limit__ends_an_endless_loop),
           CASE(time_limit__is_of_the_job_and_not_of_each_attempt),
           CASE(daemons__do_not_outlive_the_job),
           CASE(killed_process__leaves_no_child_and_no_result),
           CASE(flood__of_ten_megabytes_without_a_newline_is_in_the_log),
           CASE(lock__held_by_another_means_that_nothing_is_done), CASE(lock__says_who_holds_it),
           CASE(result__that_is_there_is_not_made_again), CASE(arguments__are_checked))
