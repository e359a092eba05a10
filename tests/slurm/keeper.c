/* keeper.c: the keeper of jobs on Slurm without its server, for test_jobs.py.
 * Usage: keeper HOME PROGRAM run [JOB.json...]    creates the jobs, works until none is open, prints every job as a line
 *        keeper HOME PROGRAM cancel NAME
 * What failed is printed as "GF_...: message", exit status 1. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "jobs/jobs.h"

#define PARENT "projects/p"

static gf_status create(gf_registry *registry, const char *path, gf_error *err)
{
    char *body = NULL, *job = NULL;
    gf_status st = gf__read_file(path, 1 << 20, &body, &(size_t){0}, err);
    if (st == GF_OK)
        st = gf_registry_create_job(registry, PARENT, body, &job, err);
    gf_registry_free_text(job);
    gf__free(body);
    return st;
}

static gf_status wait_for_all(gf_registry *registry, gf_error *err)
{
    size_t n_open = 1;
    gf_status st = GF_OK;
    while (st == GF_OK && n_open > 0) {
        gf__job_list list = {0};
        st = gf__registry_open_jobs(registry, &list, err);
        n_open = list.n_jobs;
        gf__job_list_free(&list);
        poll(NULL, 0, 20);
    }
    return st;
}

static gf_status print_all(gf_registry *registry, gf_error *err)
{
    char *jobs = NULL;
    const gf_registry_page page = {.size = 100};
    const gf_status st = gf_registry_list_jobs(registry, PARENT, &page, &jobs, err);
    if (st == GF_OK)
        printf("%s\n", jobs);
    gf_registry_free_text(jobs);
    return st;
}

static gf_status run(gf_registry *registry, const char *home, const char *program, char **jobs,
                     gf_error *err)
{
    gf__jobs *keeper = NULL;
    gf__jobs_options options = gf__jobs_options_default();
    options.registry = registry;
    options.home = home;
    options.program = program;
    options.runner = GF__RUNNER_SLURM;
    options.n_cpus = 1;
    options.grace_ms = 2000;
    gf_status st = gf_registry_lock(registry, err);
    for (; st == GF_OK && *jobs != NULL; jobs++)
        st = create(registry, *jobs, err);
    if (st == GF_OK)
        st = gf__jobs_start(&options, &keeper, err);
    if (st == GF_OK)
        st = wait_for_all(registry, err);
    gf__jobs_free(keeper);
    return st == GF_OK ? print_all(registry, err) : st;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    gf_error err = {0};
    gf_registry *registry = NULL;
    gf_registry_options options = gf_registry_options_default();
    options.home = argv[1];
    gf_status st = gf_registry_open(&options, &registry, &err);
    if (st == GF_OK && strcmp(argv[3], "cancel") == 0 && argc == 5)
        st = gf_registry_cancel_job(registry, argv[4], &err);
    else if (st == GF_OK)
        st = run(registry, argv[1], argv[2], argv + 4, &err);
    if (st != GF_OK)
        printf("%s: %s\n", gf_status_name(st), err.message);
    gf_registry_close(registry);
    return st != GF_OK;
}
