/* Slurm's commands as programs: their words and status, one that hangs, babbles, or is not there. */
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "jobs/slurm_priv.h"

static gf_status run(const char *script, int timeout_ms, size_t max_bytes, gf__slurm_answer *out)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const gf__slurm_command command = {.argv = argv,
                                       .input = "line 1\n",
                                       .timeout_ms = timeout_ms,
                                       .max_bytes = max_bytes,
                                       .kept_fd = -1};
    return gf__slurm_run(&command, out, &check_err);
}

TEST(run__gives_words_and_status)
{
    gf__slurm_answer answer;
    CHECK_OK(run("cat; echo first >&2; printf 'sbatch: error: no\\033 way\\n\\n' >&2; exit 3",
                 20000, 100, &answer));
    CHECK_STR(answer.out, "line 1\n");
    CHECK_EQ(answer.n_out, 7);
    CHECK_EQ(answer.exit_status, 3);
    CHECK_STR(answer.words, "no? way");
    gf__free(answer.out);
    CHECK_OK(run("kill -9 $$", 20000, 100, &answer));
    CHECK_EQ(answer.exit_status, -9);
    CHECK_STR(answer.out, "");
    gf__free(answer.out);
}

TEST(run__hands_on_what_a_job_may_have)
{
    gf__slurm_answer answer;
    setenv("GRAFT_TOKEN", "4711", 1);
    setenv("SQUEUE_STATES", "FAILED", 1);
    setenv("LC_TIME", "de_DE", 1);
    setenv("SBATCH_QOS", "low", 1);
    CHECK_OK(run("echo $GRAFT_TOKEN $SQUEUE_STATES $SBATCH_QOS $LC_ALL", 20000, 100, &answer));
    CHECK_STR(answer.out, "low C.UTF-8\n");
    gf__free(answer.out);
    unsetenv("GRAFT_TOKEN");
    unsetenv("SQUEUE_STATES");
    unsetenv("LC_TIME");
    unsetenv("SBATCH_QOS");
}

TEST(run__ends_what_hangs)
{
    gf__slurm_answer answer;
    CHECK_FAILS(GF_EUNAVAILABLE, "sh was not done after 1 s", run("sleep 1000", 100, 100, &answer));
    CHECK_FAILS(GF_EUNAVAILABLE, "sh was not done",
                run("sleep 1000 & sleep 1000", 100, 100, &answer));
    CHECK(answer.out == NULL);
    /* its ends closed, and still there: killed all the same; a busy machine may be late to close */
    gf_status st = GF_EUNAVAILABLE;
    for (int ms = 300; ms <= 30000 && st == GF_EUNAVAILABLE; ms *= 10)
        st = run("exec >&- 2>&-; trap '' TERM; while :; do sleep 1; done", ms, 100, &answer);
    CHECK_EQ(st, GF_OK);
    CHECK_EQ(answer.exit_status, -9);
    gf__free(answer.out);
}

TEST(run__bounds_what_is_said)
{
    gf__slurm_answer answer;
    CHECK_OK(run("printf 12345", 20000, 5, &answer));
    CHECK_STR(answer.out, "12345");
    gf__free(answer.out);
    CHECK_FAILS(GF_ELIMIT, "more than 5 bytes", run("printf 123456", 20000, 5, &answer));
    CHECK_FAILS(GF_ELIMIT, "more than 1000 bytes", run("yes", 20000, 1000, &answer));
    CHECK_OK(run("yes error: words | head -c 1000000 >&2", 20000, 5, &answer));
    CHECK(strlen(answer.words) > 0 && strlen(answer.words) < sizeof answer.words);
    gf__free(answer.out);
}

TEST(run__says_which_command_is_missing)
{
    const char *const argv[] = {"no-such-command-of-slurm", NULL};
    const gf__slurm_command command = {
        .argv = argv, .timeout_ms = 20000, .max_bytes = 1, .kept_fd = -1};
    gf__slurm_answer answer;
    CHECK_FAILS(GF_EUNAVAILABLE, "there is no no-such-command-of-slurm in the path",
                gf__slurm_run(&command, &answer, &check_err));
}

TEST(run__leaves_no_descriptor_but_the_kept_one)
{
    const int kept = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const char *const argv[] = {"sh", "-c",
                                "for i in 0 1 2 3 4 5 6 7 8 9; do "
                                "[ -e /dev/fd/$i ] && printf $i; done; true",
                                NULL};
    gf__slurm_answer answer;
    gf__slurm_command command = {
        .argv = argv, .timeout_ms = 20000, .max_bytes = 100, .kept_fd = kept};
    CHECK_OK(gf__slurm_run(&command, &answer, &check_err));
    CHECK_STR(answer.out, "0123");
    gf__free(answer.out);
    command.kept_fd = -1;
    CHECK_OK(gf__slurm_run(&command, &answer, &check_err));
    CHECK_STR(answer.out, "012");
    gf__free(answer.out);
    close(kept);
}

TEST(quote__is_one_word_of_sh)
{
    static const char *const texts[] = {
        "plain", "", "it's", "a b\tc", "$HOME `id` \"x\" \\ ; & | > *", "''", "-n", "\xc3\xa4\xff"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        gf__buffer script = {0};
        gf__slurm_answer answer;
        gf__buffer_puts(&script, "printf %s ");
        gf__slurm_quote(&script, texts[i]);
        CHECK_OK(run(script.data, 20000, 100, &answer));
        CHECK_STR(answer.out, texts[i]);
        gf__free(answer.out);
        gf__buffer_free(&script);
    }
}

TEST(submit_time__is_read_in_the_zone_of_this_process)
{
    int64_t found = 0;
    struct tm when = {.tm_year = 126,
                      .tm_mon = 10,
                      .tm_mday = 24,
                      .tm_hour = 17,
                      .tm_min = 1,
                      .tm_sec = 2,
                      .tm_isdst = -1};
    CHECK(gf__slurm_submit_time("JobId=1 SubmitTime=2026-11-24T17:01:02 EligibleTime=x", &found));
    CHECK_EQ(found, (int64_t)mktime(&when));
    CHECK(!gf__slurm_submit_time("JobId=1 SubmitTime=Unknown", &found));
    CHECK(!gf__slurm_submit_time("JobId=1", &found));
}

TESTS_MAIN(UNIT(run__gives_words_and_status), UNIT(run__hands_on_what_a_job_may_have),
           UNIT(run__ends_what_hangs), UNIT(run__bounds_what_is_said),
           UNIT(run__says_which_command_is_missing),
           UNIT(run__leaves_no_descriptor_but_the_kept_one), UNIT(quote__is_one_word_of_sh),
           UNIT(submit_time__is_read_in_the_zone_of_this_process))
