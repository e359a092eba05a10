/* driver.c: the Slurm runner's calls one by one, for test_runner.py.
 * Usage: driver HOME PROGRAM CALL JOB ATTEMPT [--place P] [--shards N] [--cpus N] [--memory BYTES] [--seconds N]
 *        [--priority N] [--partition P]
 * Prints the place (or "none"), or "STATE|REASON"; what failed as "GF_...: message" and exit status 1. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/runner_priv.h"

static const char *option(int argc, char **argv, const char *name, const char *otherwise)
{
    for (int i = 6; i + 1 < argc; i += 2)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return otherwise;
}

static uint64_t number(int argc, char **argv, const char *name, const char *otherwise)
{
    return strtoull(option(argc, argv, name, otherwise), NULL, 10);
}

static gf_status run(void *self, const char *name, const gf__attempt *attempt, const char *place,
                     gf_error *err)
{
    const gf__runner_ops *ops = &gf__runner_slurm;
    static const char *const states[] = {"WAITING", "RUNNING", "ENDED"};
    char *found = NULL;
    gf_status st = GF_OK;
    if (strcmp(name, "look") == 0) {
        gf__attempt_look look;
        st = ops->look(self, attempt, place, &look, err);
        if (st == GF_OK)
            printf("%s|%s\n", states[look.state], look.reason);
        return st;
    }
    if (strcmp(name, "stop") == 0 || strcmp(name, "kill") == 0)
        return ops->stop(self, attempt, place, strcmp(name, "kill") == 0, err);
    if (strcmp(name, "find") == 0)
        st = ops->find(self, attempt, &found, err);
    else
        st = ops->start(self, attempt, &found, err);
    if (st == GF_OK)
        printf("%s\n", found != NULL ? found : "none");
    gf__free(found);
    return st;
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return 2;
    gf_error err = {0};
    void *self = NULL;
    const gf__jobs_options options = {.home = argv[1],
                                      .program = argv[2],
                                      .runner = GF__RUNNER_SLURM,
                                      .slurm_partition = option(argc, argv, "--partition", NULL)};
    char *dir = gf__asprintf("%s/jobs/%s", argv[1], argv[4]);
    const gf__attempt attempt = {
        .job_id = strtoll(argv[4], NULL, 10),
        .number = (int)strtol(argv[5], NULL, 10),
        .name = "projects/p/jobs/j",
        .dir = dir,
        .n_cpus = number(argc, argv, "--cpus", "1"),
        .max_memory_bytes = number(argc, argv, "--memory", "0"),
        .max_running_s = (int64_t)number(argc, argv, "--seconds", "604800"),
        .grace_ms = 2000,
        .n_shards = number(argc, argv, "--shards", "1"),
        .priority = (int)number(argc, argv, "--priority", "0")};
    gf_status st = gf__runner_slurm.open(&options, &self, &err);
    if (st == GF_OK)
        st = run(self, argv[3], &attempt, option(argc, argv, "--place", ""), &err);
    if (st != GF_OK)
        printf("%s: %s\n", gf_status_name(st), err.message);
    gf__runner_slurm.close(self);
    gf__free(dir);
    return st != GF_OK;
}
