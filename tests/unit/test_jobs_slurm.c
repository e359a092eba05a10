/* What Slurm's commands say, in every state and in ways that they should not. */
#include "check.h"
#include "jobs/slurm_priv.h"

#define PREFIX "graft-0123456789abcdef-"

static gf__slurm_queue queue;

static void parse(const char *text)
{
    gf__slurm_queue_free(&queue);
    CHECK_OK(gf__slurm_queue_parse(text, PREFIX, &queue, &check_err));
}

/* How the place stands in a queue. */
static gf__attempt_look look(const char *text, const char *place_text, bool *is_known)
{
    gf__slurm_place place;
    gf__attempt_look seen;
    parse(text);
    CHECK_OK(gf__slurm_place_parse(place_text, &place, &check_err));
    gf__slurm_place_look(&queue, &place, &seen, is_known);
    gf__slurm_queue_free(&queue);
    return seen;
}

static void check_look(const char *text, const char *place, gf__attempt_state state,
                       const char *reason)
{
    bool is_known = false;
    const gf__attempt_look seen = look(text, place, &is_known);
    CHECK(is_known);
    CHECK_EQ(seen.state, state);
    CHECK_STR(seen.reason, reason);
}

TEST(queue__keeps_our_jobs_and_skips_all_others)
{
    parse("7|N/A|RUNNING|" PREFIX "3-1|None\n"
          "8|N/A|RUNNING|graft-fedcba9876543210-3-1|None\n"
          "9|N/A|PENDING|sh|Resources\n"
          "10|N/A|RUNNING|a|b|" PREFIX "3-1|None\n"
          "12|4|PENDING|" PREFIX "4-2|ReqNodeNotAvail, UnavailableNodes:n|1\n");
    CHECK_EQ(queue.n_jobs, 2);
    CHECK_EQ(queue.jobs[0].id, 7);
    CHECK_EQ(queue.jobs[0].task, -1);
    CHECK_STR(queue.jobs[0].name, PREFIX "3-1");
    CHECK_EQ(queue.jobs[1].task, 4);
    CHECK_EQ(queue.jobs[1].state, GF__ATTEMPT_WAITING);
    CHECK_STR(queue.jobs[1].reason, "ReqNodeNotAvail, UnavailableNodes:n|1");
    gf__slurm_queue_free(&queue);
}

TEST(queue__of_nothing_is_empty)
{
    parse("");
    CHECK_EQ(queue.n_jobs, 0);
    parse("\n\n||||\nwords\n|\n");
    CHECK_EQ(queue.n_jobs, 0);
}

TEST(queue__grows_to_any_length)
{
    gf__buffer text = {0};
    for (int i = 0; i < 5000; i++)
        gf__buffer_printf(&text, "77|%d|PENDING|" PREFIX "1-1|Resources\n", i);
    parse(text.data);
    CHECK_EQ(queue.n_jobs, 5000);
    CHECK_EQ(queue.jobs[4999].task, 4999);
    gf__slurm_queue_free(&queue);
    gf__buffer_free(&text);
}

TEST(queue__refuses_lines_of_ours_that_make_no_sense)
{
    static const char *const lines[] = {
        "0|N/A|RUNNING|" PREFIX "1-1|None\n",
        "|N/A|RUNNING|" PREFIX "1-1|None\n",
        "-7|N/A|RUNNING|" PREFIX "1-1|None\n",
        "7x|N/A|RUNNING|" PREFIX "1-1|None\n",
        "99999999999999999999|N/A|RUNNING|" PREFIX "1-1|None\n",
        "7|NONE|RUNNING|" PREFIX "1-1|None\n",
        "7|99999999999|RUNNING|" PREFIX "1-1|None\n",
        "7|-1|RUNNING|" PREFIX "1-1|None\n",
        "7|N/A||" PREFIX "1-1|None\n",
        "7|N/A|A_STATE_OF_MORE_THAN_TWENTY_THREE_LETTERS|" PREFIX "1-1|None\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        CHECK_FAILS(GF_EFORMAT, "expected ID|TASK|STATE|NAME|REASON",
                    gf__slurm_queue_parse(lines[i], PREFIX, &queue, &check_err));
        gf__slurm_queue_free(&queue);
    }
}

TEST(queue__bounds_names_and_reasons)
{
    gf__buffer text = {0};
    gf__buffer_puts(&text, "7|N/A|PENDING|" PREFIX "1-1|");
    for (int i = 0; i < 2000; i++)
        gf__buffer_puts(&text, "\x1b\xff");
    gf__buffer_puts(&text, "\n8|N/A|PENDING|" PREFIX);
    for (int i = 0; i < 2000; i++)
        gf__buffer_puts(&text, "9");
    gf__buffer_puts(&text, "|None\n");
    parse(text.data);
    CHECK_EQ(queue.n_jobs, 1); /* a name that was cut could pass for another */
    CHECK_EQ(strspn(queue.jobs[0].reason, "?"), sizeof queue.jobs[0].reason - 1);
    gf__slurm_queue_free(&queue);
    gf__buffer_free(&text);
}

TEST(queue__survives_every_allocation_failure)
{
    gf__buffer text = {0};
    for (int i = 0; i < 200; i++)
        gf__buffer_printf(&text, "77|%d|PENDING|" PREFIX "1-1|Resources\n", i);
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__slurm_queue_parse(text.data, PREFIX, &queue, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || st == GF_ENOMEM);
        gf__slurm_queue_free(&queue);
    }
    CHECK_EQ(st, GF_OK);
    gf__buffer_free(&text);
}

TEST(states__are_what_becomes_of_an_attempt)
{
    static const struct {
        const char *word;
        gf__attempt_state state;
        const char *reason;
    } cases[] = {
        {"PENDING", GF__ATTEMPT_WAITING, "waits in Slurm's queue: Resources"},
        {"CONFIGURING", GF__ATTEMPT_WAITING, "waits in Slurm's queue: Resources"},
        {"REQUEUED", GF__ATTEMPT_WAITING, "waits in Slurm's queue: Resources"},
        {"REQUEUE_HOLD", GF__ATTEMPT_WAITING, "waits in Slurm's queue: Resources"},
        {"SPECIAL_EXIT", GF__ATTEMPT_WAITING, "waits in Slurm's queue: Resources"},
        {"RUNNING", GF__ATTEMPT_RUNNING, ""},
        {"COMPLETING", GF__ATTEMPT_RUNNING, ""},
        {"SUSPENDED", GF__ATTEMPT_RUNNING, ""},
        {"STOPPED", GF__ATTEMPT_RUNNING, ""},
        {"STAGE_OUT", GF__ATTEMPT_RUNNING, ""},
        {"A_NEW_STATE", GF__ATTEMPT_RUNNING, ""},
        {"COMPLETED", GF__ATTEMPT_ENDED, ""},
        {"FAILED", GF__ATTEMPT_ENDED, GF__SLURM_FAILED},
        {"CANCELLED", GF__ATTEMPT_ENDED, "was cancelled in Slurm"},
        {"TIMEOUT", GF__ATTEMPT_ENDED, "ran into Slurm's time limit"},
        {"DEADLINE", GF__ATTEMPT_ENDED, "ran into Slurm's deadline"},
        {"OUT_OF_MEMORY", GF__ATTEMPT_ENDED, "ran out of the memory that it may use"},
        {"NODE_FAIL", GF__ATTEMPT_ENDED, "its node went down"},
        {"BOOT_FAIL", GF__ATTEMPT_ENDED, "its node did not start"},
        {"PREEMPTED", GF__ATTEMPT_ENDED, "had to make room for a job of higher priority"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        snprintf(text, sizeof text, "7|N/A|%s|" PREFIX "1-1|Resources\n", cases[i].word);
        check_look(text, "7", cases[i].state, cases[i].reason);
    }
    check_look("7|N/A|PENDING|" PREFIX "1-1|None\n", "7", GF__ATTEMPT_WAITING,
               "waits in Slurm's queue");
    check_look("7|N/A|PENDING|" PREFIX "1-1|\n", "7", GF__ATTEMPT_WAITING,
               "waits in Slurm's queue");
}

TEST(look__of_a_job_that_is_not_listed_is_not_known)
{
    bool is_known = true;
    const gf__attempt_look seen = look("8|N/A|RUNNING|" PREFIX "1-1|None\n", "7", &is_known);
    CHECK(!is_known);
    CHECK_EQ(seen.state, GF__ATTEMPT_ENDED);
}

#define TASK(n, state) "7|" n "|" state "|" PREFIX "1-1|None\n"
#define MERGE(state)   "8|N/A|" state "|" PREFIX "1-1-merge|Dependency\n"

TEST(look__of_shards_is_one_attempt)
{
    check_look(TASK("0", "PENDING") TASK("1", "PENDING") MERGE("PENDING"), "7+8",
               GF__ATTEMPT_WAITING, "waits in Slurm's queue");
    check_look(TASK("0", "RUNNING") TASK("1", "PENDING") MERGE("PENDING"), "7+8",
               GF__ATTEMPT_RUNNING, "");
    /* one has ended, the node of the other was lost */
    check_look(TASK("0", "COMPLETED") TASK("1", "PENDING") MERGE("PENDING"), "7+8",
               GF__ATTEMPT_RUNNING, "");
    /* all have ended, Slurm has not yet started the merging */
    check_look(TASK("0", "COMPLETED") TASK("1", "FAILED") MERGE("PENDING"), "7+8",
               GF__ATTEMPT_RUNNING, "");
    check_look(TASK("0", "COMPLETED") TASK("1", "COMPLETING") MERGE("PENDING"), "7+8",
               GF__ATTEMPT_RUNNING, "");
    /* the shards are forgotten while the merging runs */
    check_look(MERGE("RUNNING"), "7+8", GF__ATTEMPT_RUNNING, "");
    check_look(MERGE("PENDING"), "7+8", GF__ATTEMPT_RUNNING, "");
    check_look(TASK("0", "COMPLETED") TASK("1", "COMPLETED") MERGE("COMPLETED"), "7+8",
               GF__ATTEMPT_ENDED, "");
    check_look(MERGE("OUT_OF_MEMORY"), "7+8", GF__ATTEMPT_ENDED,
               "ran out of the memory that it may use");
}

TEST(look__of_shards_ends_when_no_process_is_left)
{
    check_look(TASK("0", "CANCELLED") TASK("1", "COMPLETING") MERGE("CANCELLED"), "7+8",
               GF__ATTEMPT_RUNNING, "");
    check_look(TASK("N/A", "CANCELLED") MERGE("CANCELLED"), "7+8", GF__ATTEMPT_ENDED,
               "was cancelled in Slurm");
}

TEST(place__is_written_and_read)
{
    const gf__slurm_place places[] = {{.id = 7}, {.id = 7, .merge_id = 8}, {.id = 4294967295}};
    static const char *const texts[] = {"7", "7+8", "4294967295"};
    for (size_t i = 0; i < 3; i++) {
        gf__slurm_place back;
        char *text = gf__slurm_place_write(&places[i]);
        CHECK_STR(text, texts[i]);
        CHECK_OK(gf__slurm_place_parse(text, &back, &check_err));
        CHECK_EQ(back.id, places[i].id);
        CHECK_EQ(back.merge_id, places[i].merge_id);
        gf__free(text);
    }
    static const char *const wrong[] = {"",      "+",  "7+", "+8",    "0",    "7+0",
                                        "7+8+9", "7 ", "-7", "seven", "pid:7"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        gf__slurm_place place;
        CHECK_FAILS(GF_EFORMAT, "is no place in Slurm",
                    gf__slurm_place_parse(wrong[i], &place, &check_err));
    }
}

TEST(id__is_what_sbatch_said)
{
    uint64_t id = 0;
    CHECK_OK(gf__slurm_id_parse("123\n", &id, &check_err));
    CHECK_EQ(id, 123);
    CHECK_OK(gf__slurm_id_parse("124;cluster\n", &id, &check_err));
    CHECK_EQ(id, 124);
    static const char *const wrong[] = {"",
                                        "\n",
                                        "0\n",
                                        "Submitted batch job 7\n",
                                        "7 8\n",
                                        "sbatch: \x1b[1m\n",
                                        "999999999999999999999999\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_FAILS(GF_EFORMAT, "expected the number of a job",
                    gf__slurm_id_parse(wrong[i], &id, &check_err));
}

TEST(shown__says_how_a_job_ended)
{
    static const struct {
        const char *text;
        gf__attempt_state state;
        const char *reason;
    } cases[] = {
        {"JobId=1 JobName=x JobState=FAILED Reason=NonZeroExitCode ExitCode=3:0 RunTime=1\n",
         GF__ATTEMPT_ENDED, "exited with status 3"},
        {"JobId=1 JobName=x JobState=FAILED Reason=None ExitCode=0:9 RunTime=1\n",
         GF__ATTEMPT_ENDED, "killed by signal 9"},
        {"JobId=1 JobState=FAILED ExitCode=0:53\n", GF__ATTEMPT_ENDED,
         "could not write to its folder there; does that node see the home?"},
        {"JobId=1 JobState=FAILED ExitCode=0:0\n", GF__ATTEMPT_ENDED, GF__SLURM_FAILED},
        {"JobId=1 JobState=FAILED ExitCode=x:y\n", GF__ATTEMPT_ENDED, GF__SLURM_FAILED},
        {"JobId=1 JobState=FAILED ExitCode=", GF__ATTEMPT_ENDED, GF__SLURM_FAILED},
        {"JobId=1 JobState=NODE_FAIL ExitCode=1:0\n", GF__ATTEMPT_ENDED, "its node went down"},
        {"JobId=1 JobState=COMPLETED ExitCode=0:0\n", GF__ATTEMPT_ENDED, ""},
        {"JobId=1 JobState=RUNNING ExitCode=0:0\n", GF__ATTEMPT_RUNNING, ""},
        {"JobId=1 JobState=COMPLETED ExitCode=0:0\nJobId=2 JobState=FAILED ExitCode=4:0\n",
         GF__ATTEMPT_ENDED, "exited with status 4"},
        {"JobId=1 JobState=FAILED ExitCode=4:0\nJobId=2 JobState=PENDING ExitCode=0:0\n",
         GF__ATTEMPT_WAITING, ""},
        {"JobId=1 JobState=CANCELLED ExitCode=0:15\n", GF__ATTEMPT_ENDED, "was cancelled in Slurm"},
        {"JobId=1 JobState=TIMEOUT ExitCode=0:15\n", GF__ATTEMPT_ENDED, GF__SLURM_TIME_LIMIT},
        /* told that its time is nearly over, and gone before it was */
        {"JobId=1 JobState=COMPLETED ExitCode=0:0 RunTime=00:28:40 TimeLimit=00:30:00\n",
         GF__ATTEMPT_ENDED, GF__SLURM_TIME_LIMIT},
        {"JobId=1 JobState=COMPLETED ExitCode=0:0 RunTime=00:28:39 TimeLimit=00:30:00\n",
         GF__ATTEMPT_ENDED, ""},
        {"JobId=1 JobState=COMPLETED RunTime=1-00:00:00 TimeLimit=UNLIMITED\n", GF__ATTEMPT_ENDED,
         ""},
        {"", GF__ATTEMPT_ENDED, ""},
        {"JobState", GF__ATTEMPT_ENDED, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gf__attempt_look shown = {.is_final = true, .reason = "left over"};
        gf__slurm_shown_parse(cases[i].text, 80, &shown);
        CHECK_EQ(shown.state, cases[i].state);
        CHECK_STR(shown.reason, cases[i].reason);
        CHECK_EQ(shown.is_final, strcmp(cases[i].reason, GF__SLURM_TIME_LIMIT) == 0 ||
                                     strcmp(cases[i].reason, "was cancelled in Slurm") == 0);
    }
}

TEST(partition__is_the_one_that_is_meant)
{
    static const char text[] =
        "short|30:00|4|8000\nmain*|1-00:00:00|2|4000\nmain*|1-00:00:00|64|4000\n"
        "main*|1-00:00:00|16|256000\nlong|infinite|8+|16000+\nodd|n/a|x|-1\n"
        "hours|12:30:00\n";
    static const struct {
        const char *partition;
        gf__slurm_partition is;
    } cases[] = {{"", {1440, 64, 256000}}, {"main", {1440, 64, 256000}}, {"short", {30, 4, 8000}},
                 {"long", {0, 8, 16000}},  {"odd", {0, 0, 0}},           {"hours", {750, 0, 0}}};
    gf__slurm_partition found;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_OK(gf__slurm_partition_parse(text, cases[i].partition, &found, &check_err));
        CHECK_EQ(found.limit_minutes, cases[i].is.limit_minutes);
        CHECK_EQ(found.n_cpus, cases[i].is.n_cpus);
        CHECK_EQ(found.n_mib, cases[i].is.n_mib);
    }
}

TEST(partition__that_is_not_there_is_named)
{
    static const char text[] = "short|30:00|4|8000\nmain*|1-00:00:00|2|4000\n";
    gf__slurm_partition found;
    CHECK_FAILS(GF_EINVAL, "no partition named \"mai\"",
                gf__slurm_partition_parse(text, "mai", &found, &check_err));
    CHECK_FAILS(GF_EINVAL, "no partition named \"main*\"",
                gf__slurm_partition_parse(text, "main*", &found, &check_err));
    CHECK_FAILS(GF_EINVAL, "no default partition",
                gf__slurm_partition_parse("a|1:00\n", "", &found, &check_err));
    CHECK_FAILS(GF_EUNAVAILABLE, "no partition",
                gf__slurm_partition_parse("", "", &found, &check_err));
}

TEST(partition__survives_what_sinfo_never_says)
{
    static const char *const odd[] = {"*|",
                                      "*|-",
                                      "*|:::",
                                      "*|1",
                                      "*|1-2",
                                      "*|1:2:3:4:",
                                      "*|1-:00",
                                      "*|99999999999999999999:00",
                                      "*||99999999999999999999999|99999999999999999999999",
                                      "*|||",
                                      "*|||||"};
    gf__slurm_partition found;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        CHECK_OK(gf__slurm_partition_parse(odd[i], "", &found, &check_err));
        CHECK_EQ(found.limit_minutes, 0);
        CHECK_EQ(found.n_cpus, 0);
        CHECK_EQ(found.n_mib, 0);
    }
}

TEST(refusals__are_for_now_or_for_good)
{
    CHECK(gf__slurm_is_temporary("Batch job submission failed: Unable to contact slurm controller "
                                 "(connect failure)"));
    CHECK(gf__slurm_is_temporary(
        "Batch job submission failed: Socket timed out on send/recv operation"));
    CHECK(gf__slurm_is_temporary("Slurm temporarily unable to accept job, sleeping and retrying"));
    CHECK(gf__slurm_is_temporary("Batch job submission failed: Invalid authentication credential"));
    CHECK(!gf__slurm_is_temporary("Batch job submission failed: Requested node configuration is "
                                  "not available"));
    CHECK(!gf__slurm_is_temporary("Batch job submission failed: Invalid partition name specified"));
    CHECK(!gf__slurm_is_temporary(""));
}

TEST(launch_failure__is_told_from_other_holds)
{
    static const char *const words[] = {"launch failed requeued held",
                                        "launch_failed_requeued_held"};
    static const char *const others[] = {
        "JobHeldUser", "job requeued in held state", "launch", "", "launch failed", "BeginTime"};
    gf__slurm_job job = {.id = 7};
    for (size_t i = 0; i < 2; i++) {
        snprintf(job.reason, sizeof job.reason, "%s", words[i]);
        CHECK(gf__slurm_is_launch_failure(&job));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(job.reason, sizeof job.reason, "%s", others[i]);
        CHECK(!gf__slurm_is_launch_failure(&job));
    }
}

TESTS_MAIN(UNIT(queue__keeps_our_jobs_and_skips_all_others), UNIT(queue__of_nothing_is_empty),
           UNIT(queue__grows_to_any_length), UNIT(queue__refuses_lines_of_ours_that_make_no_sense),
           UNIT(queue__bounds_names_and_reasons), UNIT(queue__survives_every_allocation_failure),
           UNIT(states__are_what_becomes_of_an_attempt),
           UNIT(look__of_a_job_that_is_not_listed_is_not_known),
           UNIT(look__of_shards_is_one_attempt), UNIT(look__of_shards_ends_when_no_process_is_left),
           UNIT(place__is_written_and_read), UNIT(id__is_what_sbatch_said),
           UNIT(shown__says_how_a_job_ended), UNIT(partition__is_the_one_that_is_meant),
           UNIT(partition__that_is_not_there_is_named),
           UNIT(partition__survives_what_sinfo_never_says), UNIT(refusals__are_for_now_or_for_good),
           UNIT(launch_failure__is_told_from_other_holds))
