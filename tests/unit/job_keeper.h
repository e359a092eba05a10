/* job_keeper.h: a keeper on a registry of the test's own, jobs for it, and what can be seen of them. */
#ifndef GRAFT_TESTS_JOB_KEEPER_H
#define GRAFT_TESTS_JOB_KEEPER_H

#include "registry_home.h"

#include <time.h>

#include "jobs/keeper_priv.h"
#include "jobs/local_priv.h"

#define WAIT_MS 120000 /* for what must happen */

static gf__jobs *jobs;

static inline gf__jobs_options keeper_options(void)
{
    gf__jobs_options options = gf__jobs_options_default();
    options.registry = registry;
    options.home = home;
    options.program = getenv("GRAFT_JOB_PROGRAM");
    assert_non_null(options.program);
    options.n_cpus = 2;
    options.grace_ms = 200;
    options.retry_ms = 1;
    return options;
}

static inline void start_keeper(void)
{
    const gf__jobs_options options = keeper_options();
    CHECK_OK(gf__jobs_start(&options, &jobs, &check_err));
}

static inline int set_up(void **state)
{
    enter(state);
    CHECK_OK(gf_registry_lock(registry, &check_err));
    start_keeper();
    return 0;
}

static inline int tear_down(void **state)
{
    gf__jobs_free(jobs);
    jobs = NULL;
    return leave(state);
}

#define JOB_UNIT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* For submit(): a machine of one CPU. */
#define SMALL ", \"scaleTier\": \"CUSTOM\", \"masterType\": \"n1-standard-1\""

/* words: "\"say\", \"hello\"": the program's. more: further members of trainingInput. */
static inline void submit(const char *id, const char *words, const char *more)
{
    char *body = gf__asprintf("{\"jobId\": \"%s\", \"trainingInput\": {\"region\": \"here\", "
                              "\"pythonModule\": \"graft.train\", \"args\": [%s]%s}}",
                              id, words, more);
    char *job = NULL;
    CHECK_OK(gf_registry_create_job(registry, PROJECT, body, &job, &check_err));
    gf_registry_free_text(job);
    gf__free(body);
    if (jobs != NULL)
        gf__jobs_wake(jobs);
}

static inline gf__json *get(const char *id)
{
    gf__json *document = NULL;
    char *name = gf__asprintf(PROJECT "/jobs/%s", id);
    GET(gf_registry_get_job(registry, name, &text, &check_err));
    CHECK_OK(gf__json_parse(text, strlen(text), &document, &check_err));
    gf__free(name);
    return document;
}

static inline bool has_state(const char *id, const char *state)
{
    gf__json *document = get(id);
    const bool has = strcmp(gf__json_string(gf__json_find(document, "state"), ""), state) == 0;
    gf__json_free(document);
    return has;
}

static inline void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static inline void wait_state(const char *id, const char *state)
{
    const int64_t until_ms = gf__clock_ms() + WAIT_MS;
    while (!has_state(id, state)) {
        if (gf__clock_ms() > until_ms)
            fail_msg("%s does not become %s: %s", id, state, text);
        pause_a_little();
    }
}

static inline void check_message(const char *id, const char *part)
{
    gf__json *document = get(id);
    const char *message = gf__json_string(gf__json_find(document, "errorMessage"), "");
    if (strstr(message, part) == NULL)
        fail_msg("%s: errorMessage is \"%s\", expected \"%s\" in it", id, message, part);
    gf__json_free(document);
}

static inline char *dir_of(const char *id)
{
    char *dir = NULL, *name = gf__asprintf(PROJECT "/jobs/%s", id);
    CHECK_OK(gf__registry_job_dir(registry, name, &dir, NULL, &check_err));
    gf__free(name);
    return dir;
}

/* New; "" where there is none. */
static inline char *read_of(const char *id, const char *file)
{
    char *dir = dir_of(id), *path = gf__path_join(dir, file), *found = NULL;
    size_t size = 0;
    if (gf__read_file(path, 1 << 24, &found, &size, NULL) != GF_OK)
        found = gf__strdup("");
    gf__free(path);
    gf__free(dir);
    return found;
}

static inline void put(const char *id, const char *file)
{
    char *dir = dir_of(id), *path = gf__path_join(dir, file);
    CHECK_OK(gf__write_file(path, "", 0, &check_err));
    gf__free(path);
    gf__free(dir);
}

static inline void wait_file(const char *id, const char *file)
{
    const int64_t until_ms = gf__clock_ms() + WAIT_MS;
    char *dir = dir_of(id), *path = gf__path_join(dir, file);
    while (access(path, F_OK) != 0) {
        if (gf__clock_ms() > until_ms)
            fail_msg("%s is not there", path);
        pause_a_little();
    }
    gf__free(path);
    gf__free(dir);
}

static inline size_t n_runs(const char *id)
{
    char *runs = read_of(id, "runs");
    size_t n = 0;
    for (const char *at = runs; (at = strchr(at, '\n')) != NULL; at++)
        n++;
    gf__free(runs);
    return n;
}

/* No process has the job's folder in its environment. */
static inline void check_no_orphan(const char *id)
{
    char *dir = dir_of(id), *real = realpath(dir, NULL);
    gf__job_procs procs;
    const gf__job_mark mark = {.dir = real};
    gf__job_procs_find(&mark, &procs);
    CHECK_EQ(procs.n, 0);
    gf__job_procs_free(&procs);
    free(real);
    gf__free(dir);
}

static inline void cancel(const char *id)
{
    char *name = gf__asprintf(PROJECT "/jobs/%s", id);
    CHECK_OK(gf_registry_cancel_job(registry, name, &check_err));
    gf__jobs_wake(jobs);
    gf__free(name);
}

/* What is counted when a job has ended is counted a moment after others can see its end. */
static inline gf__jobs_counts counts_after(uint64_t n_succeeded)
{
    gf__jobs_counts counts;
    const int64_t until_ms = gf__clock_ms() + WAIT_MS;
    gf__jobs_count(jobs, &counts);
    while (counts.n_succeeded < n_succeeded && gf__clock_ms() < until_ms) {
        pause_a_little();
        gf__jobs_count(jobs, &counts);
    }
    return counts;
}

static inline void stop_thread(gf__jobs *keeper)
{
    pthread_mutex_lock(&keeper->mutex);
    keeper->is_stopping = true;
    pthread_mutex_unlock(&keeper->mutex);
    gf__jobs_wake(keeper);
    pthread_join(keeper->thread, NULL);
    keeper->has_thread = false;
}

#endif
