/* test_jobs_storm.c: keepers that die between any two of their writes, jobs that are killed and
 * cancelled at any moment: every job comes to an end, none runs twice, no process is left.
 *
 * Each program writes down when it begins and ends, under a lock that tells if there are two of it. */
#include "registry_jobs.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>

#include <sqlite3.h>

#include "jobs/jobs.h"

#define DEADLINE_S 300

static gf__jobs *jobs;
static char *ledger; /* folder: a file for each job, "begin", "end", "twice" */

/* ---- the program ---- */

static const char program_text[] =
    "import fcntl, os, sys, time\n"
    "name = os.path.join(sys.argv[1], os.environ['CLOUD_ML_JOB_ID'])\n"
    "def note(word):\n"
    "    with open(name, 'a') as ledger:\n"
    "        ledger.write(word + '\\n')\n"
    "lock = open(name + '.lock', 'w')\n"
    "try:\n"
    "    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    "except OSError:\n"
    "    note('twice')\n"
    "note('begin')\n"
    "if sys.argv[2] == 'gate':\n"
    "    while not os.path.exists(name + '.gate'):\n"
    "        time.sleep(0.01)\n"
    "else:\n"
    "    time.sleep(float(sys.argv[2]))\n"
    "note('end')\n";

/* One file of a tar; its folder needs no entry of its own. */
static void add_to_tar(gf__buffer *tar, const char *name, const char *content)
{
    char head[512] = "";
    unsigned sum = 0;
    const size_t n_bytes = strlen(content);
    snprintf(head, 100, "%s", name);
    snprintf(head + 100, 8, "0000644");
    snprintf(head + 108, 8, "0000000");
    snprintf(head + 116, 8, "0000000");
    snprintf(head + 124, 12, "%08o", (unsigned)(n_bytes & 0xffffff));
    snprintf(head + 136, 12, "00000000000");
    memset(head + 148, ' ', 8);
    head[156] = '0';
    memcpy(head + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof head; i++)
        sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum & 0777777);
    gf__buffer_append(tar, head, sizeof head);
    gf__buffer_append(tar, content, n_bytes);
    static const char zeros[512];
    gf__buffer_append(tar, zeros, (512 - n_bytes % 512) % 512);
}

static void put_package(void)
{
    static const char zeros[1024];
    char path[4096];
    gf__buffer tar = {0};
    add_to_tar(&tar, "storm-1.0/setup.py", "from setuptools import setup\nsetup(name='storm')\n");
    add_to_tar(&tar, "storm-1.0/storm/__init__.py", "");
    add_to_tar(&tar, "storm-1.0/storm/task.py", program_text);
    gf__buffer_append(&tar, zeros, sizeof zeros);
    snprintf(path, sizeof path, "%s/buckets/bucket", home);
    CHECK_OK(gf__make_dirs(path, &check_err));
    snprintf(path, sizeof path, "%s/buckets/bucket/storm-1.0.tar", home);
    CHECK_OK(gf__write_file(path, tar.data, tar.size, &check_err));
    gf__buffer_free(&tar);
}

/* how: seconds that it takes, or "gate": until open_gate(). */
static void submit(const char *id, const char *how)
{
    char body[4096];
    snprintf(body, sizeof body,
             "{\"jobId\":\"%s\",\"trainingInput\":{\"pythonModule\":\"storm.task\","
             "\"packageUris\":[\"gs://bucket/storm-1.0.tar\"],\"args\":[\"%s\",\"%s\"]}}",
             id, ledger, how);
    GET(gf_registry_create_job(registry, PROJECT, body, &text, &check_err));
    if (jobs != NULL)
        gf__jobs_wake(jobs);
}

static void open_gate(const char *id)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.gate", ledger, id);
    CHECK_OK(gf__write_file(path, "", 0, &check_err));
}

static size_t count_words(const char *id, const char *word)
{
    char path[4096], *lines = NULL;
    size_t size = 0, n = 0;
    snprintf(path, sizeof path, "%s/%s", ledger, id);
    if (!gf__is_file(path))
        return 0;
    CHECK_OK(gf__read_file(path, 1 << 20, &lines, &size, &check_err));
    for (const char *at = lines; (at = strstr(at, word)) != NULL; at++)
        n++;
    gf__free(lines);
    return n;
}

/* ---- the keeper ---- */

static void start_keeper(void)
{
    gf__jobs_options options = gf__jobs_options_default();
    options.registry = registry;
    options.home = home;
    options.program = getenv("GRAFT_PROGRAM");
    options.n_cpus = 8;
    options.grace_ms = 300;
    options.retry_ms = 1;
    assert_non_null(options.program);
    CHECK_OK(gf__jobs_start(&options, &jobs, &check_err));
}

static void stop_keeper(void)
{
    gf__jobs_free(jobs);
    jobs = NULL;
}

static bool has_ended(const char *state)
{
    return strcmp(state, "SUCCEEDED") == 0 || strcmp(state, "FAILED") == 0 ||
           strcmp(state, "CANCELLED") == 0;
}

static const char *state_of(const char *id)
{
    char name[128];
    snprintf(name, sizeof name, PROJECT "/jobs/%s", id);
    GET(gf_registry_get_job(registry, name, &text, &check_err));
    return value_of(text, "state");
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Until the job has begun (word "begin") or ended (NULL: whatever its program says). */
static void wait_for(const char *id, const char *word)
{
    const double until_s = gf__clock_s() + DEADLINE_S;
    while (word != NULL ? count_words(id, word) == 0 : !has_ended(state_of(id))) {
        if (gf__clock_s() > until_s)
            fail_msg("job %s: %s was waited for in vain; it is %s: %s", id,
                     word != NULL ? word : "its end", state_of(id), text);
        pause_ms(5);
    }
}

static void cancel(const char *id)
{
    char name[128];
    snprintf(name, sizeof name, PROJECT "/jobs/%s", id);
    const gf_status st = gf_registry_cancel_job(registry, name, &check_err);
    CHECK(st == GF_OK || st == GF_EPRECONDITION);
    if (jobs != NULL)
        gf__jobs_wake(jobs);
}

/* The process that holds the job's lock; 0: none does. */
static pid_t process_of(const char *id)
{
    char name[128], path[4096], *dir = NULL, *line = NULL;
    size_t size = 0;
    int attempt = 0, pid = 0;
    gf__lock *lock = NULL;
    snprintf(name, sizeof name, PROJECT "/jobs/%s", id);
    CHECK_OK(gf__registry_job_dir(registry, name, &dir, NULL, &check_err));
    snprintf(path, sizeof path, "%s/lock", dir);
    gf__free(dir);
    if (!gf__is_file(path))
        return 0;
    const gf_status st = gf__lock_acquire(path, false, &lock, &check_err);
    gf__lock_release(lock);
    if (st == GF_OK || gf__read_file(path, 256, &line, &size, NULL) != GF_OK)
        return 0;
    if (sscanf(line, "%d %d", &attempt, &pid) != 2)
        pid = 0;
    gf__free(line);
    return pid;
}

/* Processes with the ledger's name among their arguments. */
static size_t count_processes(void)
{
    size_t n = 0;
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (const struct dirent *entry = readdir(proc); entry != NULL; entry = readdir(proc)) {
        char path[300], *words = NULL;
        size_t size = 0;
        snprintf(path, sizeof path, "/proc/%.40s/cmdline", entry->d_name);
        if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name) &&
            gf__read_file(path, 1 << 20, &words, &size, NULL) == GF_OK &&
            memmem(words, size, home, strlen(home)) != NULL)
            n++;
        gf__free(words);
    }
    closedir(proc);
    return n;
}

static int enter_storm(void **state)
{
    enter(state);
    lock_home();
    ledger = gf__path_join(home, "ledger");
    CHECK_OK(gf__make_dirs(ledger, &check_err));
    put_package();
    return 0;
}

static int leave_storm(void **state)
{
    stop_keeper();
    gf__free(ledger);
    ledger = NULL;
    return leave_jobs(state);
}
#define STORM_UNIT(name) cmocka_unit_test_setup_teardown(name, enter_storm, leave_storm)

static void run_sql(const char *sql)
{
    sqlite3 *database = NULL;
    char path[4096];
    snprintf(path, sizeof path, "%s/registry.db", home);
    CHECK_EQ(sqlite3_open(path, &database), SQLITE_OK);
    sqlite3_busy_timeout(database, 10000);
    CHECK_EQ(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static void check_ran_once(const char *id)
{
    CHECK_STR(state_of(id), "SUCCEEDED");
    CHECK_EQ(count_words(id, "begin"), 1);
    CHECK_EQ(count_words(id, "end"), 1);
    CHECK_EQ(count_processes(), 0);
}

/* ---- a keeper that dies between two writes ---- */

TEST(keeper__that_died_before_it_started_what_it_counted)
{
    submit("j", "0");
    look();
    CHECK_OK(gf__registry_begin_attempt(registry, list.jobs[0].id, &check_err));
    start_keeper();
    wait_for("j", NULL);
    check_ran_once("j");
}

TEST(keeper__that_died_before_it_noted_the_place)
{
    submit("j", "gate");
    start_keeper();
    wait_for("j", "begin");
    stop_keeper();
    run_sql("UPDATE jobs SET place = NULL");
    start_keeper();
    open_gate("j");
    wait_for("j", NULL);
    check_ran_once("j");
}

TEST(keeper__that_died_before_the_job_ended)
{
    submit("j", "gate");
    start_keeper();
    wait_for("j", "begin");
    stop_keeper();
    open_gate("j");
    wait_for("j", "end");
    start_keeper();
    wait_for("j", NULL);
    check_ran_once("j");
}

/* Neither process nor place: only the result tells that it has run. */
TEST(keeper__that_died_and_missed_start_and_end)
{
    submit("j", "gate");
    start_keeper();
    wait_for("j", "begin");
    stop_keeper();
    open_gate("j");
    wait_for("j", "end");
    const double until_s = gf__clock_s() + DEADLINE_S;
    while (process_of("j") != 0 && gf__clock_s() < until_s)
        pause_ms(5);
    run_sql("UPDATE jobs SET place = NULL, state = 'PREPARING', start_time = NULL");
    start_keeper();
    wait_for("j", NULL);
    check_ran_once("j");
    CHECK(value_of(text, "startTime")[0] != '\0');
}

TEST(keeper__that_died_while_a_job_was_being_cancelled)
{
    submit("j", "gate");
    start_keeper();
    wait_for("j", "begin");
    stop_keeper();
    cancel("j");
    CHECK_STR(state_of("j"), "CANCELLING");
    run_sql("UPDATE jobs SET place = NULL");
    start_keeper();
    wait_for("j", NULL);
    CHECK_STR(state_of("j"), "CANCELLED");
    CHECK_EQ(count_words("j", "begin"), 1);
    CHECK_EQ(count_words("j", "end"), 0);
    CHECK_EQ(count_processes(), 0);
}

/* It was counted and cancelled, and never started. */
TEST(keeper__does_not_start_what_was_cancelled_meanwhile)
{
    submit("j", "0");
    look();
    CHECK_OK(gf__registry_begin_attempt(registry, list.jobs[0].id, &check_err));
    cancel("j");
    start_keeper();
    wait_for("j", NULL);
    CHECK_STR(state_of("j"), "CANCELLED");
    CHECK_EQ(count_words("j", "begin"), 0);
}

TEST(job__that_is_killed_is_tried_three_times_in_all)
{
    submit("j", "gate");
    start_keeper();
    for (size_t i = 1; i <= GF__JOB_ATTEMPTS; i++) {
        const double until_s = gf__clock_s() + DEADLINE_S;
        while (count_words("j", "begin") < i && gf__clock_s() < until_s)
            pause_ms(5);
        CHECK_EQ(count_words("j", "begin"), i);
        const pid_t pid = process_of("j");
        CHECK(pid > 0);
        CHECK_EQ(kill(pid, SIGKILL), 0);
    }
    wait_for("j", NULL);
    CHECK_STR(state_of("j"), "FAILED");
    assert_non_null(strstr(value_of(text, "errorMessage"), "signal 9"));
    CHECK_EQ(count_words("j", "twice"), 0);
    CHECK_EQ(count_processes(), 0);
}

/* ---- all of it at once ---- */

#define N_JOBS    16
#define N_STRIKES 500 /* then it is over: where all is slow, nothing would ever come to its end */

typedef struct fate {
    char id[8];
    bool is_cancelled;
    size_t n_kills;
} fate;

static uint32_t seed = 7;
static uint32_t roll(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 16) % n;
}

static void strike(fate *on)
{
    const uint32_t what = roll(16);
    if (what < 2) {
        on->is_cancelled = true;
        cancel(on->id);
    } else if (what < 6) {
        const pid_t pid = process_of(on->id);
        on->n_kills += pid > 0 && kill(pid, SIGKILL) == 0 ? 1 : 0;
    } else if (what < 8) {
        stop_keeper();
        pause_ms((long)roll(60));
        start_keeper();
    }
}

static size_t count_open(const fate *fates)
{
    size_t n = 0;
    for (size_t i = 0; i < N_JOBS; i++)
        n += has_ended(state_of(fates[i].id)) ? 0 : 1;
    return n;
}

/* What nobody struck has run once, whatever became of its keepers. */
static void check_fate(const fate *of)
{
    const size_t n_begun = count_words(of->id, "begin"), n_ends = count_words(of->id, "end");
    const char *state = state_of(of->id);
    CHECK(has_ended(state));
    CHECK_EQ(count_words(of->id, "twice"), 0);
    CHECK(n_begun <= GF__JOB_ATTEMPTS);
    CHECK(n_begun <= of->n_kills + 1);
    if (strcmp(state, "SUCCEEDED") == 0)
        CHECK(n_ends >= 1);
    if (strcmp(state, "CANCELLED") == 0)
        CHECK(of->is_cancelled);
    if (strcmp(state, "FAILED") == 0)
        CHECK(of->n_kills >= GF__JOB_ATTEMPTS);
    if (!of->is_cancelled && of->n_kills == 0) {
        CHECK_STR(state, "SUCCEEDED");
        CHECK_EQ(n_begun, 1);
        CHECK_EQ(n_ends, 1);
    }
}

TEST(storm__of_cancels_kills_and_new_keepers)
{
    fate fates[N_JOBS] = {0};
    size_t n_strikes = 0;
    start_keeper();
    for (size_t i = 0; i < N_JOBS; i++) {
        snprintf(fates[i].id, sizeof fates[i].id, "j%zu", i);
        submit(fates[i].id, "0.2");
    }
    const double until_s = gf__clock_s() + DEADLINE_S;
    while (count_open(fates) > 0) {
        if (gf__clock_s() > until_s) {
            GET(gf_registry_list_jobs(registry, PROJECT, NULL, &text, &check_err));
            fail_msg("%zu jobs are still open: %s", count_open(fates), text);
        }
        if (n_strikes++ < N_STRIKES)
            strike(&fates[roll(N_JOBS)]);
        pause_ms(20);
    }
    for (size_t i = 0; i < N_JOBS; i++)
        check_fate(&fates[i]);
    CHECK_EQ(count_processes(), 0);
}

TESTS_MAIN(STORM_UNIT(keeper__that_died_before_it_started_what_it_counted),
           STORM_UNIT(keeper__that_died_before_it_noted_the_place),
           STORM_UNIT(keeper__that_died_before_the_job_ended),
           STORM_UNIT(keeper__that_died_and_missed_start_and_end),
           STORM_UNIT(keeper__that_died_while_a_job_was_being_cancelled),
           STORM_UNIT(keeper__does_not_start_what_was_cancelled_meanwhile),
           STORM_UNIT(job__that_is_killed_is_tried_three_times_in_all),
           STORM_UNIT(storm__of_cancels_kills_and_new_keepers))
