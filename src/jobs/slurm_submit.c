/* slurm_submit.c: attempts as jobs of Slurm. A job's name is made of the home's folder, the job's number and the
 * attempt's, so that it is found again by whoever comes after a crash: a start first looks whether it has
 * happened already. An attempt that is shared out is an array job of its shards, and a second job that
 * begins when all of them have ended and merges what they left. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "jobs/slurm_priv.h"

#define NODES_KEPT_MS   60000 /* partitions do not change often */
#define FAILURE_KEPT_MS 1500  /* all jobs of a round ask */
#define MAX_NICE        1000  /* of priority 0; the highest priority has 0 */
#define END_MARGIN_S    120   /* from graft's own time limit to Slurm's */
#define LOCK_MS         20000
#define MAX_ARGUMENTS   32
#define NAME_SIZE       96

/* ---- what is asked for ---- */

/* The options of a submission: texts of their own. */
typedef struct arguments {
    char *texts[MAX_ARGUMENTS];
    size_t n;
    bool failed;
} arguments;

static void add(arguments *list, char *text) /* taken; NULL: out of memory */
{
    if (text == NULL || list->n + 1 >= MAX_ARGUMENTS) {
        gf__free(text);
        list->failed = true;
        return;
    }
    list->texts[list->n++] = text;
}

static void arguments_free(arguments *list)
{
    for (size_t i = 0; i < list->n; i++)
        gf__free(list->texts[i]);
}

gf_status gf__slurm_read_nodes(gf__slurm *self, gf_error *err)
{
    const char *const argv[] = {
        "sinfo", "--Node", "--noheader", "--format", GF__SLURM_PARTITION_FORMAT, NULL};
    const int64_t kept_ms = self->nodes_status == GF_OK ? NODES_KEPT_MS : FAILURE_KEPT_MS;
    char *text = NULL;
    if (self->nodes_ms == 0 || gf__clock_ms() - self->nodes_ms >= kept_ms) {
        gf_status st = gf__slurm_ask(argv, &text, &self->nodes_err);
        if (st == GF_OK)
            st = gf__slurm_partition_parse(text, self->partition, &self->nodes, &self->nodes_err);
        gf__free(text);
        self->nodes_status = st;
        self->nodes_ms = gf__clock_ms();
    }
    if (self->nodes_status == GF_OK)
        return GF_OK;
    return gf_error_set(err, self->nodes_status, "%s", self->nodes_err.message);
}

static uint64_t grace_s(const gf__attempt *attempt)
{
    return (uint64_t)(attempt->grace_ms > 0 ? attempt->grace_ms + 999 : 0) / 1000;
}

uint64_t gf__slurm_warning_s(const gf__attempt *attempt)
{
    return grace_s(attempt) + 10;
}

/* `graft job` keeps the time itself; Slurm ends what that did not. A job that asks for more than its
 * partition gives would wait for ever, so it asks for what there is. */
static uint64_t time_minutes(const gf__slurm *self, const gf__attempt *attempt)
{
    const int64_t most_s = attempt->max_running_s;
    const uint64_t running_s = most_s > 0 ? (uint64_t)most_s : 0;
    if (running_s == 0)
        return self->nodes.limit_minutes;
    const uint64_t minutes = (running_s + grace_s(attempt) + END_MARGIN_S + 59) / 60;
    if (self->nodes.limit_minutes == 0 || minutes <= self->nodes.limit_minutes)
        return minutes;
    return self->nodes.limit_minutes;
}

static void add_limits(arguments *list, const gf__slurm *self, const gf__attempt *attempt)
{
    const uint64_t mib = (attempt->max_memory_bytes >> 20) +
                         ((attempt->max_memory_bytes & 0xfffff) != 0);
    const uint64_t minutes = time_minutes(self, attempt);
    const int priority = attempt->priority < 0          ? 0
                         : attempt->priority > MAX_NICE ? MAX_NICE
                                                        : attempt->priority;
    add(list, gf__asprintf("--cpus-per-task=%zu", attempt->n_cpus > 0 ? attempt->n_cpus : 1));
    if (mib > 0)
        add(list, gf__asprintf("--mem=%" PRIu64 "M", mib));
    if (minutes > 0) {
        add(list, gf__asprintf("--time=%" PRIu64, minutes));
        /* Slurm's clock for this is a minute coarse. */
        add(list, gf__asprintf("--signal=B:TERM@%" PRIu64, gf__slurm_warning_s(attempt)));
    }
    add(list, gf__asprintf("--nice=%d", MAX_NICE - priority));
}

/* A pattern: a % of the folder's own is doubled. A relative one would be no better, Slurm puts the folder
 * in front before it reads the pattern. */
static char *make_output(const gf__attempt *attempt)
{
    gf__buffer pattern = {0};
    gf__buffer_puts(&pattern, "--output=");
    for (const char *c = attempt->dir; *c != '\0'; c++)
        gf__buffer_append(&pattern, *c == '%' ? "%%" : c, *c == '%' ? 2 : 1);
    gf__buffer_puts(&pattern, "/slurm-%j.out");
    return gf__buffer_take(&pattern, NULL);
}

static void add_common(arguments *list, const gf__slurm *self, const gf__attempt *attempt,
                       const char *name)
{
    add(list, gf__strdup("sbatch"));
    add(list, gf__strdup("--parsable"));
    add(list, gf__asprintf("--job-name=%s", name));
    add(list, gf__asprintf("--comment=%s attempt %d", attempt->name, attempt->number));
    add(list, gf__strdup("--nodes=1"));
    add(list, gf__strdup("--ntasks=1"));
    add(list, gf__strdup("--requeue"));
    add(list, gf__strdup("--export=ALL")); /* gf__job_variables, see slurm_call.c */
    add(list, gf__asprintf("--chdir=%s", attempt->dir));
    add(list, make_output(attempt));
    add(list, gf__strdup("--open-mode=append"));
    if (self->partition[0] != '\0')
        add(list, gf__asprintf("--partition=%s", self->partition));
    add_limits(list, self, attempt);
}

/* exec: the process that Slurm signals is `graft job`, not a shell. */
static char *make_script(const gf__slurm *self, const gf__attempt *attempt, const char *part)
{
    gf__buffer script = {0};
    gf__buffer_puts(&script, "#!/bin/sh\nexec ");
    gf__slurm_quote(&script, self->program);
    gf__buffer_puts(&script, " job ");
    gf__slurm_quote(&script, attempt->dir);
    gf__buffer_printf(&script, " %d%s\n", attempt->number, part);
    return gf__buffer_take(&script, NULL);
}

static gf_status check_texts(const gf__slurm *self, const gf__attempt *attempt, gf_error *err)
{
    if (strchr(self->program, '\n') == NULL && strchr(attempt->dir, '\n') == NULL)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL, "a path with a line break cannot be given to Slurm");
}

/* list is without its end; submission_fd is held by sbatch, see lock_submission(). */
static gf_status submit(gf__slurm *self, arguments *list, const char *script, int submission_fd,
                        uint64_t *id, gf_error *err)
{
    gf__slurm_answer answer;
    if (list->failed || script == NULL)
        return gf__error_nomem(err, "a submission", sizeof *list);
    gf__slurm_forget_queue(self);
    gf_status st = gf__slurm_call((const char *const *)(uintptr_t)list->texts, script,
                                  submission_fd, &answer, err);
    if (st != GF_OK)
        return st;
    if (answer.exit_status == 0)
        st = gf__slurm_id_parse(answer.out, id, err);
    else
        st = gf_error_set(err, gf__slurm_is_temporary(answer.words) ? GF_EUNAVAILABLE : GF_EINVAL,
                          "sbatch refused the job: %s", answer.words);
    gf__free(answer.out);
    return st;
}

/* MAIN: the work; whole, or an array of its shards. */
static gf_status submit_main(gf__slurm *self, const gf__attempt *attempt, const char *name,
                             int submission_fd, uint64_t *id, gf_error *err)
{
    const bool is_shared = attempt->n_shards > 1;
    arguments list = {.n = 0};
    add_common(&list, self, attempt, name);
    if (is_shared)
        add(&list, gf__asprintf("--array=0-%zu", attempt->n_shards - 1));
    char *script = make_script(self, attempt, is_shared ? " --shard \"$SLURM_ARRAY_TASK_ID\"" : "");
    const gf_status st = submit(self, &list, script, submission_fd, id, err);
    gf__free(script);
    arguments_free(&list);
    return st;
}

static gf_status submit_merge(gf__slurm *self, const gf__attempt *attempt, const char *name,
                              uint64_t after, int submission_fd, uint64_t *id, gf_error *err)
{
    arguments list = {.n = 0};
    add_common(&list, self, attempt, name);
    add(&list, gf__asprintf("--dependency=afterany:%" PRIu64, after));
    char *script = make_script(self, attempt, " --merge");
    const gf_status st = submit(self, &list, script, submission_fd, id, err);
    gf__free(script);
    arguments_free(&list);
    return st;
}

/* ---- start, find ---- */

/* Of several with one name (sbatch was believed dead, and was not) the one that has not ended, else the last. */
static uint64_t find_name(const gf__slurm *self, const char *name)
{
    const gf__slurm_job *best = NULL;
    for (size_t i = 0; i < self->queue.n_jobs; i++) {
        const gf__slurm_job *job = &self->queue.jobs[i];
        if (strcmp(job->name, name) != 0)
            continue;
        const bool is_open = job->state != GF__ATTEMPT_ENDED;
        const bool is_best_open = best != NULL && best->state != GF__ATTEMPT_ENDED;
        if (best == NULL || is_open > is_best_open ||
            (is_open == is_best_open && job->id > best->id))
            best = job;
    }
    return best != NULL ? best->id : 0;
}

/* Nobody submits this attempt while we look whether it was: a lock that an sbatch holds for as long as
 * it lives, should its server be killed meanwhile. */
static gf_status lock_submission(const gf__attempt *attempt, int *fd, gf_error *err)
{
    char *path = gf__path_join(attempt->dir, "slurm.lock");
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(attempt->dir));
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    gf_status st = *fd >= 0 ? GF_OK : gf__error_errno(err, errno, "%s", path);
    const int64_t end_ms = gf__clock_ms() + LOCK_MS;
    while (st == GF_OK && flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            st = gf__error_errno(err, errno, "%s", path);
        else if (gf__clock_ms() >= end_ms)
            st = gf_error_set(err, GF_EUNAVAILABLE, "%s: an sbatch of an earlier server still runs",
                              path);
        else
            usleep(20000);
    }
    if (st != GF_OK && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    gf__free(path);
    return st;
}

/* An sbatch that failed for the moment may have been heard all the same: its answer was lost. Nobody would
 * look for that job if the attempt was cancelled now. */
static gf_status check_submission(gf__slurm *self, gf_status st, const char *name, uint64_t *id)
{
    if (st != GF_EUNAVAILABLE)
        return st;
    gf__slurm_forget_queue(self);
    if (gf__slurm_read_queue(self, NULL) == GF_OK)
        *id = find_name(self, name);
    return *id != 0 ? GF_OK : st;
}

/* Submits what is missing: all of it where may_begin, else the merging of shards that were submitted
 * without it. */
static gf_status complete(gf__slurm *self, const gf__attempt *attempt, bool may_begin, int fd,
                          gf__slurm_place *place, gf_error *err)
{
    char name[NAME_SIZE], merge_name[NAME_SIZE];
    snprintf(name, sizeof name, "graft-%s-%" PRId64 "-%d", self->tag, attempt->job_id,
             attempt->number);
    snprintf(merge_name, sizeof merge_name, "%.80s-merge", name);
    gf__slurm_forget_queue(self);
    gf_status st = gf__slurm_read_queue(self, err);
    if (st != GF_OK)
        return st;
    place->id = find_name(self, name);
    place->merge_id = attempt->n_shards > 1 ? find_name(self, merge_name) : 0;
    if (place->id == 0 && may_begin) {
        st = submit_main(self, attempt, name, fd, &place->id, err);
        st = check_submission(self, st, name, &place->id);
    }
    if (st == GF_OK && place->id != 0 && attempt->n_shards > 1 && place->merge_id == 0) {
        st = submit_merge(self, attempt, merge_name, place->id, fd, &place->merge_id, err);
        st = check_submission(self, st, merge_name, &place->merge_id);
    }
    return st;
}

static gf_status find_or_start(gf__slurm *self, const gf__attempt *attempt, bool may_begin,
                               char **place, gf_error *err)
{
    gf__slurm_place found = {0};
    int fd = -1;
    *place = NULL;
    gf_status st = lock_submission(attempt, &fd, err);
    if (st != GF_OK)
        return st;
    st = complete(self, attempt, may_begin, fd, &found, err);
    close(fd);
    if (st != GF_OK || found.id == 0)
        return st;
    *place = gf__slurm_place_write(&found);
    return *place != NULL ? GF_OK : gf__error_nomem(err, "a place", 32);
}

gf_status gf__slurm_start(gf__slurm *self, const gf__attempt *attempt, char **place, gf_error *err)
{
    *place = NULL;
    gf_status st = check_texts(self, attempt, err);
    if (st == GF_OK)
        st = gf__slurm_read_nodes(self, err);
    return st == GF_OK ? find_or_start(self, attempt, true, place, err) : st;
}

gf_status gf__slurm_find(gf__slurm *self, const gf__attempt *attempt, char **place, gf_error *err)
{
    const gf_status st = gf__slurm_read_nodes(self, err);
    *place = NULL;
    return st == GF_OK ? find_or_start(self, attempt, false, place, err) : st;
}
