/* jobs/jobs.c: the door of jobs: options, start and end of the keeper, and what it tells others. */
#include "jobs/jobs.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "jobs/keeper_priv.h"

gf__jobs_options gf__jobs_options_default(void)
{
    return (gf__jobs_options){.runner = GF__RUNNER_LOCAL, .grace_ms = 10000, .retry_ms = 2000};
}

static gf_status copy_text(const char *text, char **out, gf_error *err)
{
    *out = text != NULL ? gf__strdup(text) : NULL;
    return text == NULL || *out != NULL ? GF_OK : gf__error_nomem(err, "a text", strlen(text));
}

/* A job runs in a folder of its own, so a path is made a whole one; links stay what they are, or a
 * virtual environment's python would be that of the system. */
static gf_status find_python(const char *python, char **out, gf_error *err)
{
    char here[PATH_MAX];
    const char *name = python != NULL && python[0] != '\0' ? python : "python3";
    if (strchr(name, '/') == NULL || name[0] == '/')
        *out = gf__strdup(name);
    else if (getcwd(here, sizeof here) != NULL)
        *out = gf__path_join(here, name);
    else
        return gf__error_errno(err, errno, "%s", name);
    if (*out == NULL)
        return gf__error_nomem(err, "a path", strlen(name));
    if ((*out)[0] == '/' && (access(*out, X_OK) != 0 || gf__is_dir(*out)))
        return gf_error_set(err, GF_ENOTFOUND, "python: %s: no program that can be run", *out);
    return GF_OK;
}

static gf_status copy_options(gf__jobs *jobs, const gf__jobs_options *options, gf_error *err)
{
    jobs->options = *options;
    gf_status st = copy_text(options->home, &jobs->home, err);
    if (st == GF_OK)
        st = copy_text(options->program, &jobs->program, err);
    if (st == GF_OK)
        st = find_python(options->python, &jobs->python, err);
    if (st == GF_OK)
        st = copy_text(options->slurm_partition, &jobs->partition, err);
    if (st == GF_OK)
        st = copy_text(options->server_url, &jobs->server_url, err);
    jobs->options.home = jobs->home;
    jobs->options.program = jobs->program;
    jobs->options.python = jobs->python;
    jobs->options.slurm_partition = jobs->partition;
    jobs->options.server_url = NULL; /* it may change: it is under the mutex */
    jobs->most.n_cpus = (size_t)(options->n_cpus > 0 ? options->n_cpus : gf_threads_available());
    jobs->most.max_memory_bytes = options->max_memory_bytes;
    return st;
}

static gf_status open_runner(gf__jobs *jobs, gf_error *err)
{
    jobs->ops = gf__runner_of(jobs->options.runner);
    jobs->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (jobs->wake_fd < 0)
        return gf__error_errno(err, errno, "the keeper of jobs");
    return jobs->ops->open(&jobs->options, &jobs->runner, err);
}

/* The first round is the caller's: jobs that run are found again before anybody asks for them. */
static gf_status start_thread(gf__jobs *jobs, gf_error *err)
{
    int wait_ms = 0;
    const gf_status st = gf__jobs_round(jobs, &wait_ms, err);
    if (st != GF_OK)
        return st;
    const int failure = gf__thread_start(&jobs->thread, gf__jobs_run, jobs);
    if (failure != 0)
        return gf__error_errno(err, failure, "the keeper's thread");
    jobs->has_thread = true;
    return GF_OK;
}

gf_status gf__jobs_start(const gf__jobs_options *options, gf__jobs **out, gf_error *err)
{
    *out = NULL;
    gf__jobs *jobs = gf__calloc(1, sizeof *jobs);
    if (jobs == NULL)
        return gf__error_nomem(err, "the keeper of jobs", sizeof *jobs);
    pthread_mutex_init(&jobs->mutex, NULL);
    jobs->wake_fd = -1;
    gf_status st = copy_options(jobs, options, err);
    if (st == GF_OK)
        st = open_runner(jobs, err);
    if (st == GF_OK)
        st = start_thread(jobs, err);
    if (st != GF_OK) {
        gf__jobs_free(jobs);
        return st;
    }
    *out = jobs;
    return GF_OK;
}

void gf__jobs_wake(gf__jobs *jobs)
{
    const uint64_t one = 1;
    while (write(jobs->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

gf_status gf__jobs_set_server(gf__jobs *jobs, const char *url, gf_error *err)
{
    char *copy = NULL;
    const gf_status st = copy_text(url, &copy, err);
    if (st != GF_OK)
        return st;
    pthread_mutex_lock(&jobs->mutex);
    char *before = jobs->server_url;
    jobs->server_url = copy;
    pthread_mutex_unlock(&jobs->mutex);
    gf__free(before);
    return GF_OK;
}

void gf__jobs_free(gf__jobs *jobs)
{
    if (jobs == NULL)
        return;
    pthread_mutex_lock(&jobs->mutex);
    jobs->is_stopping = true;
    pthread_mutex_unlock(&jobs->mutex);
    if (jobs->has_thread) {
        gf__jobs_wake(jobs);
        pthread_join(jobs->thread, NULL);
    }
    while (jobs->tracks != NULL)
        gf__track_drop(&jobs->tracks, jobs->tracks);
    if (jobs->runner != NULL)
        jobs->ops->close(jobs->runner);
    gf__owners_close(jobs);
    if (jobs->wake_fd >= 0)
        close(jobs->wake_fd);
    pthread_mutex_destroy(&jobs->mutex);
    gf__json_free(jobs->described);
    gf__free(jobs->server_url);
    gf__free(jobs->partition);
    gf__free(jobs->program);
    gf__free(jobs->python);
    gf__free(jobs->home);
    gf__free(jobs);
}

gf_status gf__jobs_describe(gf__jobs *jobs, gf__json **out, gf_error *err)
{
    pthread_mutex_lock(&jobs->mutex);
    *out = jobs->described != NULL ? gf__json_copy(jobs->described) : gf__json_object();
    pthread_mutex_unlock(&jobs->mutex);
    const gf_status st = gf__json_status(*out, err);
    if (st != GF_OK) {
        gf__json_free(*out);
        *out = NULL;
    }
    return st;
}

void gf__jobs_count(gf__jobs *jobs, gf__jobs_counts *out)
{
    pthread_mutex_lock(&jobs->mutex);
    *out = jobs->counts;
    pthread_mutex_unlock(&jobs->mutex);
}
