/* slurm.c: the runner that asks Slurm: what attempts do there, and their end.
 *
 * Slurm runs a job again when its node went down, as the same attempt: `graft job` takes it up, or finds that
 * its result is there. Slurm holds such a job for two minutes; we do not. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "jobs/slurm_priv.h"

#define LOOK_MS       700
#define QUEUE_KEPT_MS 300 /* one squeue for all attempts of a round */
#define CALL_MS       20000
#define MAX_ANSWER    (32u << 20)
#define SETTLE_S      3
#define COARSE_S      60 /* of its clock for warnings */

/* ---- calls ---- */

gf_status gf__slurm_call(const char *const *argv, const char *input, int kept_fd,
                         gf__slurm_answer *out, gf_error *err)
{
    const gf__slurm_command command = {.argv = argv,
                                       .input = input,
                                       .timeout_ms = CALL_MS,
                                       .max_bytes = MAX_ANSWER,
                                       .kept_fd = kept_fd};
    return gf__slurm_run(&command, out, err);
}

/* One that has to succeed: what it says is new. */
gf_status gf__slurm_ask(const char *const *argv, char **out, gf_error *err)
{
    gf__slurm_answer answer;
    *out = NULL;
    const gf_status st = gf__slurm_call(argv, NULL, -1, &answer, err);
    if (st != GF_OK)
        return st;
    if (answer.exit_status == 0) {
        *out = answer.out;
        return GF_OK;
    }
    gf__free(answer.out);
    return gf_error_set(err, GF_EUNAVAILABLE, "%s failed (%d): %s", argv[0], answer.exit_status,
                        answer.words);
}

gf_status gf__slurm_read_queue(gf__slurm *self, gf_error *err)
{
    char prefix[GF__SLURM_TAG + 8], *text = NULL;
    const char *const argv[] = {"squeue", "--noheader", "--array",  "--states=all",
                                "--user", self->user,   "--format", GF__SLURM_QUEUE_FORMAT,
                                NULL};
    if (self->queue_ms != 0 && gf__clock_ms() - self->queue_ms < QUEUE_KEPT_MS)
        return GF_OK;
    snprintf(prefix, sizeof prefix, "graft-%s-", self->tag);
    gf__slurm_queue_free(&self->queue);
    self->queue_ms = 0;
    gf_status st = gf__slurm_ask(argv, &text, err);
    if (st == GF_OK)
        st = gf__slurm_queue_parse(text, prefix, &self->queue, err);
    gf__free(text);
    if (st == GF_OK)
        self->queue_ms = gf__clock_ms();
    return st;
}

/* What was asked before something was changed says nothing of it. */
void gf__slurm_forget_queue(gf__slurm *self)
{
    self->queue_ms = 0;
}

/* ---- opening ---- */

static gf_status check_commands(gf_error *err)
{
    static const char *const names[] = {"sbatch", "squeue", "scancel", "scontrol", "sinfo"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *const argv[] = {names[i], "--version", NULL};
        char *text = NULL;
        const gf_status st = gf__slurm_ask(argv, &text, err);
        gf__free(text);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

/* The home by its real path: the same whatever way it was written. */
static gf_status make_tag(const char *home, char tag[GF__SLURM_TAG + 1], gf_error *err)
{
    char hex[GF__SHA256_HEX], path[PATH_MAX];
    if (realpath(home, path) == NULL)
        return gf__error_errno(err, errno, "%s", home);
    gf__sha256_hex(path, strlen(path), hex);
    if (hex[0] == '\0')
        return gf__error_nomem(err, "a hash", GF__SHA256_HEX);
    memcpy(tag, hex, GF__SLURM_TAG);
    tag[GF__SLURM_TAG] = '\0';
    return GF_OK;
}

static void slurm_close(void *user)
{
    gf__slurm *self = user;
    if (self == NULL)
        return;
    gf__slurm_queue_free(&self->queue);
    gf__free(self->program);
    gf__free(self->partition);
    gf__free(self);
}

/* A slurmctld that is down is no reason not to open: jobs wait for it. */
static gf_status slurm_open(const gf__jobs_options *options, void **out, gf_error *err)
{
    *out = NULL;
    gf__slurm *self = gf__calloc(1, sizeof *self);
    if (self == NULL)
        return gf__error_nomem(err, "a runner", sizeof *self);
    const char *partition = options->slurm_partition;
    self->observer = options->observer;
    self->program = gf__strdup(options->program);
    self->partition = gf__strdup(partition != NULL ? partition : "");
    snprintf(self->user, sizeof self->user, "%lu", (unsigned long)geteuid());
    gf_status st = self->program != NULL && self->partition != NULL
                       ? GF_OK
                       : gf__error_nomem(err, "a runner", strlen(options->program));
    if (st == GF_OK)
        st = make_tag(options->home, self->tag, err);
    if (st == GF_OK)
        st = check_commands(err);
    if (st == GF_OK)
        *out = self;
    else
        slurm_close(self);
    return st;
}

static bool slurm_has_room(void *user, const gf__attempt *attempt, const char **reason)
{
    *reason = "";
    return true;
}

/* The largest of the partition's nodes: what a job may ask for has to be on one of them. */
static gf_status slurm_largest(void *user, gf__size *out, gf_error *err)
{
    gf__slurm *self = user;
    const gf_status st = gf__slurm_read_nodes(self, err);
    if (st == GF_OK)
        *out = (gf__size){.n_cpus = self->nodes.n_cpus,
                          .max_memory_bytes = self->nodes.n_mib << 20};
    return st;
}

/* ---- cancelling ---- */

typedef enum cancel_how { CANCEL_WAITING, ASK_RUNNING, CANCEL_ALL } cancel_how;

/* Those that have ended, and those that Slurm has forgotten, are no failure. */
static gf_status cancel(const gf__slurm_place *place, cancel_how how, gf_error *err)
{
    static const char *const options[][4] = {
        [CANCEL_WAITING] = {"--state=PENDING"},
        [ASK_RUNNING] = {"--state=RUNNING", "--full", "--signal=TERM"},
        [CANCEL_ALL] = {NULL},
    };
    char ids[2][32];
    gf__slurm_answer answer;
    const char *argv[8] = {"scancel"};
    size_t n = 1;
    for (size_t i = 0; options[how][i] != NULL; i++)
        argv[n++] = options[how][i];
    snprintf(ids[0], sizeof ids[0], "%" PRIu64, place->id);
    snprintf(ids[1], sizeof ids[1], "%" PRIu64, place->merge_id);
    argv[n++] = ids[0];
    if (place->merge_id != 0)
        argv[n++] = ids[1];
    argv[n] = NULL;
    gf_status st = gf__slurm_call(argv, NULL, -1, &answer, err);
    if (st != GF_OK)
        return st;
    if (answer.exit_status != 0 && strstr(answer.words, "Invalid job id") == NULL &&
        strstr(answer.words, "already complet") == NULL)
        st = gf_error_set(err, GF_EUNAVAILABLE, "scancel failed (%d): %s", answer.exit_status,
                          answer.words);
    gf__free(answer.out);
    return st;
}

/* ---- looking ---- */

static bool is_of(const gf__slurm_job *job, const gf__slurm_place *place)
{
    return job->id == place->id || (place->merge_id != 0 && job->id == place->merge_id);
}

/* Whether it was queued again within the last seconds. A node refuses to launch a job within the second in
 * which it was told to give it up (its clock of revoked credentials counts seconds), and Slurm then takes
 * the job for failed. */
static gf_status is_just_queued(const char *id, bool *is, gf_error *err)
{
    char *text = NULL;
    int64_t queued_s = 0;
    const char *const argv[] = {"scontrol", "show", "job", "--oneliner", id, NULL};
    const gf_status st = gf__slurm_ask(argv, &text, err);
    *is = st == GF_OK && gf__slurm_submit_time(text, &queued_s) &&
          llabs((long long)time(NULL) - queued_s) < SETTLE_S;
    gf__free(text);
    return st;
}

/* Run again after its node was lost: Slurm holds it back so that a node that fails each time does not get it at
 * once. Our attempts are counted, and their users wait. */
static gf_status release(const gf__slurm_job *job, gf_error *err)
{
    char id[64], what[80], *text = NULL;
    bool is_fresh = false;
    const char *const argv[] = {"scontrol", "update", what, "StartTime=now", NULL};
    if (job->task >= 0)
        snprintf(id, sizeof id, "%" PRIu64 "_%" PRId64, job->id, job->task);
    else
        snprintf(id, sizeof id, "%" PRIu64, job->id);
    snprintf(what, sizeof what, "JobId=%s", id);
    gf_status st = is_just_queued(id, &is_fresh, err);
    if (st != GF_OK || is_fresh)
        return st; /* at one of the next looks */
    st = gf__slurm_ask(argv, &text, err);
    gf__free(text);
    return st;
}

static bool was_given_up(const gf__slurm *self, const gf__slurm_place *place)
{
    for (size_t i = 0; i < self->n_given_up && i < GF__SLURM_GIVEN_UP; i++)
        if (self->given_up[i] == place->id)
            return true;
    return false;
}

/* What Slurm would keep waiting for no reason of ours. A failure is met again at the next look. */
static void push_on(gf__slurm *self, const gf__slurm_place *place)
{
    for (size_t i = 0; i < self->queue.n_jobs; i++) {
        const gf__slurm_job *job = &self->queue.jobs[i];
        if (!is_of(job, place) || job->state != GF__ATTEMPT_WAITING)
            continue;
        gf_error err;
        gf_status st = GF_OK;
        if (strcmp(job->reason, "BeginTime") == 0) {
            st = release(job, &err);
        } else if (gf__slurm_is_launch_failure(job)) {
            gf__observe_log(&self->observer, GF_LOG_WARNING,
                            "Slurm could not launch its job %" PRIu64 " (%s): cancelled", job->id,
                            job->reason);
            st = cancel(place, CANCEL_WAITING, &err);
            if (st == GF_OK)
                self->given_up[self->n_given_up++ % GF__SLURM_GIVEN_UP] = place->id;
        }
        if (st != GF_OK)
            gf__observe_log(&self->observer, GF_LOG_WARNING, "%s", err.message);
    }
}

/* What squeue does not tell: with which status it ended; and of a job that it does not list, whether Slurm
 * has forgotten it. */
static gf_status look_closely(const gf__attempt *attempt, const gf__slurm_place *place,
                              bool is_known, gf__attempt_look *out, gf_error *err)
{
    char id[32];
    gf__attempt_look shown;
    gf__slurm_answer answer;
    const char *const argv[] = {"scontrol", "show", "job", "--oneliner", id, NULL};
    snprintf(id, sizeof id, "%" PRIu64, place->merge_id != 0 ? place->merge_id : place->id);
    gf_status st = gf__slurm_call(argv, NULL, -1, &answer, err);
    if (st != GF_OK)
        return st;
    if (answer.exit_status == 0) {
        gf__slurm_shown_parse(answer.out, gf__slurm_warning_s(attempt) + COARSE_S, &shown);
        if (!is_known)
            out->state = shown.state;
        if (out->state == GF__ATTEMPT_ENDED && shown.reason[0] != '\0')
            *out = shown;
    } else if (strstr(answer.words, "Invalid job id") == NULL) {
        st = gf_error_set(err, GF_EUNAVAILABLE, "scontrol failed (%d): %s", answer.exit_status,
                          answer.words);
    } else if (!is_known) {
        snprintf(out->reason, sizeof out->reason, "Slurm does not know its job %s any more", id);
    }
    gf__free(answer.out);
    return st;
}

static gf_status slurm_look(void *user, const gf__attempt *attempt, const char *place_text,
                            gf__attempt_look *out, gf_error *err)
{
    gf__slurm *self = user;
    gf__slurm_place place;
    bool is_known = false;
    gf_status st = gf__slurm_place_parse(place_text, &place, err);
    if (st == GF_OK)
        st = gf__slurm_read_queue(self, err);
    if (st != GF_OK)
        return st;
    gf__slurm_place_look(&self->queue, &place, out, &is_known);
    const bool has_ended = out->state == GF__ATTEMPT_ENDED;
    if (has_ended && was_given_up(self, &place)) {
        out->is_final = false;
        snprintf(out->reason, sizeof out->reason, "Slurm could not launch it");
    } else if (has_ended &&
               (out->reason[0] == '\0' || strcmp(out->reason, GF__SLURM_FAILED) == 0)) {
        return look_closely(attempt, &place, is_known, out, err);
    } else if (!has_ended) {
        push_on(self, &place);
    }
    return GF_OK;
}

/* scancel tries for a minute to signal a job that has not begun, so those are cancelled first, and what has begun
 * meanwhile gets the signal. Nobody merges what was stopped. Forced, Slurm asks once more and kills all
 * processes after its own KillWait. Killing the first process at once would be quicker, but the others
 * would be nobody's then, and where Slurm follows them by their parents they would get away. */
static gf_status slurm_stop(void *user, const gf__attempt *attempt, const char *place_text,
                            bool is_forced, gf_error *err)
{
    gf__slurm *self = user;
    gf__slurm_place place;
    gf_status st = gf__slurm_place_parse(place_text, &place, err);
    if (st != GF_OK)
        return st;
    gf__slurm_forget_queue(self);
    if (is_forced)
        return cancel(&place, CANCEL_ALL, err);
    st = cancel(&place, CANCEL_WAITING, err);
    return st == GF_OK ? cancel(&place, ASK_RUNNING, err) : st;
}

/* ---- the table ---- */

static gf_status slurm_start(void *user, const gf__attempt *attempt, char **place, gf_error *err)
{
    return gf__slurm_start(user, attempt, place, err);
}

static gf_status slurm_find(void *user, const gf__attempt *attempt, char **place, gf_error *err)
{
    return gf__slurm_find(user, attempt, place, err);
}

static bool slurm_is_place(const char *place)
{
    gf__slurm_place parsed;
    return gf__slurm_place_parse(place, &parsed, NULL) == GF_OK;
}

static int slurm_fd(void *user)
{
    return -1;
}

const gf__runner_ops gf__runner_slurm = {.name = "slurm",
                                         .look_every_ms = LOOK_MS,
                                         .open = slurm_open,
                                         .close = slurm_close,
                                         .has_room = slurm_has_room,
                                         .largest = slurm_largest,
                                         .start = slurm_start,
                                         .find = slurm_find,
                                         .look = slurm_look,
                                         .stop = slurm_stop,
                                         .is_place = slurm_is_place,
                                         .fd = slurm_fd};
