/* slurm_parse.c: what Slurm's commands say, read; what they are told, written. Texts come from a program that others
 * configure, and names in them from other users: every field is bounded, and what does not fit its
 * format is refused or skipped, never guessed. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jobs/slurm_priv.h"

/* ---- words and numbers ---- */

/* Digits alone, up to end; false otherwise. */
static bool parse_number(const char *text, const char *end, uint64_t *out)
{
    uint64_t value = 0;
    if (text == end)
        return false;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9' || value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *out = value;
    return true;
}

/* Printable, cut at size - 1; false where it was cut. */
static bool copy_field(char *to, size_t size, const char *from, size_t n)
{
    const size_t n_kept = n < size - 1 ? n : size - 1;
    for (size_t i = 0; i < n_kept; i++)
        to[i] = from[i] >= 0x20 && from[i] <= 0x7e ? from[i] : '?';
    to[n_kept] = '\0';
    return n_kept == n;
}

static const struct {
    const char *word;
    gf__attempt_state state;
    const char *reason; /* of the ended ones; "" where nothing went wrong */
    bool is_final; /* an administrator's decision, or a limit that the next attempt has as well */
} states[] = {
    {"PENDING", GF__ATTEMPT_WAITING, NULL, false},
    {"CONFIGURING", GF__ATTEMPT_WAITING, NULL, false},
    {"REQUEUED", GF__ATTEMPT_WAITING, NULL, false},
    {"REQUEUE_FED", GF__ATTEMPT_WAITING, NULL, false},
    {"REQUEUE_HOLD", GF__ATTEMPT_WAITING, NULL, false},
    {"RESV_DEL_HOLD", GF__ATTEMPT_WAITING, NULL, false},
    {"SPECIAL_EXIT", GF__ATTEMPT_WAITING, NULL, false},
    {"RUNNING", GF__ATTEMPT_RUNNING, NULL, false},
    {"COMPLETING", GF__ATTEMPT_RUNNING, NULL, false}, /* processes of it may be left */
    {"SUSPENDED", GF__ATTEMPT_RUNNING, NULL, false},
    {"STOPPED", GF__ATTEMPT_RUNNING, NULL, false},
    {"COMPLETED", GF__ATTEMPT_ENDED, "", false},
    {"FAILED", GF__ATTEMPT_ENDED, GF__SLURM_FAILED, false},
    {"CANCELLED", GF__ATTEMPT_ENDED, "was cancelled in Slurm", true},
    {"TIMEOUT", GF__ATTEMPT_ENDED, GF__SLURM_TIME_LIMIT, true},
    {"DEADLINE", GF__ATTEMPT_ENDED, "ran into Slurm's deadline", true},
    {"OUT_OF_MEMORY", GF__ATTEMPT_ENDED, "ran out of the memory that it may use", false},
    {"NODE_FAIL", GF__ATTEMPT_ENDED, "its node went down", false},
    {"BOOT_FAIL", GF__ATTEMPT_ENDED, "its node did not start", false},
    {"PREEMPTED", GF__ATTEMPT_ENDED, "had to make room for a job of higher priority", false},
    {"REVOKED", GF__ATTEMPT_ENDED, "was revoked by Slurm", false},
};

/* A word that is not known here may be a newer Slurm's: not ended, because what has ended must be true. */
gf__attempt_state gf__slurm_state_parse(const char *word)
{
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(states[i].word, word) == 0)
            return states[i].state;
    return GF__ATTEMPT_RUNNING;
}

static bool is_final(const char *word)
{
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(states[i].word, word) == 0)
            return states[i].is_final;
    return false;
}

static const char *ended_reason(const char *word)
{
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (states[i].reason != NULL && strcmp(states[i].word, word) == 0)
            return states[i].reason;
    return "";
}

/* ---- squeue ---- */

#define MAX_CPUS 65536 /* of a node; a job's spec takes no more */
#define N_FIELDS 5

/* The parts of a line between its first bars; the last one takes the rest. */
static bool cut_line(const char *line, size_t n, const char *starts[N_FIELDS],
                     size_t sizes[N_FIELDS])
{
    const char *end = line + n;
    for (size_t i = 0; i < N_FIELDS; i++) {
        const char *bar = i + 1 < N_FIELDS ? memchr(line, '|', (size_t)(end - line)) : end;
        if (bar == NULL)
            return false;
        starts[i] = line;
        sizes[i] = (size_t)(bar - line);
        line = bar + 1;
    }
    return true;
}

/* Of an array, "3"; of what is none, and of an array that was cancelled as a whole, "N/A". */
static bool parse_task(const char *text, size_t n, int64_t *out)
{
    uint64_t task = 0;
    *out = -1;
    if (n == 3 && memcmp(text, "N/A", 3) == 0)
        return true;
    if (!parse_number(text, text + n, &task) || task > INT32_MAX)
        return false;
    *out = (int64_t)task;
    return true;
}

/* *is_ours is false for lines of other jobs. */
static gf_status parse_line(const char *line, size_t n, const char *prefix, gf__slurm_job *job,
                            bool *is_ours, gf_error *err)
{
    const char *starts[N_FIELDS];
    size_t sizes[N_FIELDS];
    *is_ours = false;
    if (!cut_line(line, n, starts, sizes))
        return GF_OK;
    if (sizes[3] < strlen(prefix) || memcmp(starts[3], prefix, strlen(prefix)) != 0)
        return GF_OK;
    if (!copy_field(job->name, sizeof job->name, starts[3], sizes[3]))
        return GF_OK;
    *is_ours = true;
    copy_field(job->reason, sizeof job->reason, starts[4], sizes[4]);
    if (parse_number(starts[0], starts[0] + sizes[0], &job->id) && job->id > 0 &&
        parse_task(starts[1], sizes[1], &job->task) && sizes[2] > 0 &&
        copy_field(job->word, sizeof job->word, starts[2], sizes[2])) {
        job->state = gf__slurm_state_parse(job->word);
        return GF_OK;
    }
    char text[120];
    copy_field(text, sizeof text, line, n);
    return gf_error_set(err, GF_EFORMAT, "squeue said \"%s\", expected ID|TASK|STATE|NAME|REASON",
                        text);
}

static gf_status add(gf__slurm_queue *queue, size_t *capacity, const gf__slurm_job *job,
                     gf_error *err)
{
    if (queue->n_jobs == *capacity) {
        const size_t n = *capacity > 0 ? 2 * *capacity : 32;
        gf__slurm_job *grown = gf__realloc(queue->jobs, n * sizeof *grown);
        if (grown == NULL)
            return gf__error_nomem(err, "the jobs of Slurm", n * sizeof *grown);
        queue->jobs = grown;
        *capacity = n;
    }
    queue->jobs[queue->n_jobs++] = *job;
    return GF_OK;
}

gf_status gf__slurm_queue_parse(const char *text, const char *prefix, gf__slurm_queue *out,
                                gf_error *err)
{
    size_t capacity = 0;
    gf_status st = GF_OK;
    *out = (gf__slurm_queue){.jobs = NULL};
    while (*text != '\0' && st == GF_OK) {
        gf__slurm_job job;
        bool is_ours = false;
        const size_t n = strcspn(text, "\n");
        st = parse_line(text, n, prefix, &job, &is_ours, err);
        if (st == GF_OK && is_ours)
            st = add(out, &capacity, &job, err);
        text += n + (text[n] == '\n');
    }
    return st;
}

void gf__slurm_queue_free(gf__slurm_queue *queue)
{
    gf__free(queue->jobs);
    *queue = (gf__slurm_queue){.jobs = NULL};
}

/* ---- places ---- */

char *gf__slurm_place_write(const gf__slurm_place *place)
{
    if (place->merge_id == 0)
        return gf__asprintf("%" PRIu64, place->id);
    return gf__asprintf("%" PRIu64 "+%" PRIu64, place->id, place->merge_id);
}

gf_status gf__slurm_place_parse(const char *text, gf__slurm_place *out, gf_error *err)
{
    const char *plus = strchr(text, '+');
    const char *end = text + strlen(text);
    *out = (gf__slurm_place){0};
    if (parse_number(text, plus != NULL ? plus : end, &out->id) && out->id > 0 &&
        (plus == NULL || (parse_number(plus + 1, end, &out->merge_id) && out->merge_id > 0)))
        return GF_OK;
    return gf_error_set(err, GF_EFORMAT,
                        "\"%.60s\" is no place in Slurm, expected a job's number, or two with a +",
                        text);
}

static void say_waiting(const gf__slurm_job *job, char *reason, size_t size)
{
    if (job->reason[0] == '\0' || strcmp(job->reason, "None") == 0)
        snprintf(reason, size, "waits in Slurm's queue");
    else
        snprintf(reason, size, "waits in Slurm's queue: %s", job->reason);
}

/* How the jobs of one number stand. */
typedef struct tally {
    size_t n, n_waiting, n_running, n_ended;
    const gf__slurm_job *waiting, *failed; /* the first of each; NULL: none */
} tally;

static tally count(const gf__slurm_queue *queue, uint64_t id)
{
    tally sum = {0};
    for (size_t i = 0; i < queue->n_jobs; i++) {
        const gf__slurm_job *job = &queue->jobs[i];
        if (job->id != id)
            continue;
        sum.n++;
        sum.n_waiting += job->state == GF__ATTEMPT_WAITING;
        sum.n_running += job->state == GF__ATTEMPT_RUNNING;
        sum.n_ended += job->state == GF__ATTEMPT_ENDED;
        if (job->state == GF__ATTEMPT_WAITING && sum.waiting == NULL)
            sum.waiting = job;
        if (job->state == GF__ATTEMPT_ENDED && sum.failed == NULL &&
            ended_reason(job->word)[0] != '\0')
            sum.failed = job;
    }
    return sum;
}

/* Ended tasks leave Slurm's memory while others still run: one that is not there has ended. Between the
 * last shard and the merging nothing may run for a moment; what has begun runs. */
void gf__slurm_place_look(const gf__slurm_queue *queue, const gf__slurm_place *place,
                          gf__attempt_look *out, bool *is_known)
{
    const tally work = count(queue, place->id);
    const tally merge = place->merge_id != 0 ? count(queue, place->merge_id) : (tally){0};
    const size_t n_waiting = work.n_waiting + merge.n_waiting;
    const size_t n_running = work.n_running + merge.n_running;
    *out = (gf__attempt_look){.state = GF__ATTEMPT_ENDED};
    *is_known = work.n + merge.n > 0;
    if (n_waiting + n_running == 0) {
        const gf__slurm_job *failed = merge.failed != NULL ? merge.failed : work.failed;
        if (failed != NULL) {
            snprintf(out->reason, sizeof out->reason, "%s", ended_reason(failed->word));
            out->is_final = is_final(failed->word);
        }
        return;
    }
    out->state = GF__ATTEMPT_RUNNING;
    if (n_running == 0 && work.n_waiting > 0 && work.n_ended == 0) {
        out->state = GF__ATTEMPT_WAITING;
        say_waiting(work.waiting, out->reason, sizeof out->reason);
    }
}

/* ---- sbatch, scontrol, sinfo ---- */

gf_status gf__slurm_id_parse(const char *text, uint64_t *out, gf_error *err)
{
    const size_t n = strcspn(text, ";\n");
    if (parse_number(text, text + n, out) && *out > 0)
        return GF_OK;
    char said[80];
    copy_field(said, sizeof said, text, strcspn(text, "\n"));
    return gf_error_set(err, GF_EFORMAT, "sbatch said \"%s\", expected the number of a job", said);
}

/* The value of " KEY=VALUE" in a line; its length in *n. NULL: there is none. */
static const char *find_value(const char *line, size_t n_line, const char *key, size_t *n)
{
    const char *at = memmem(line, n_line, key, strlen(key));
    if (at == NULL)
        return NULL;
    at += strlen(key);
    *n = strcspn(at, " \n");
    return at;
}

/* "7-00:00:00", "12:00:00", "30:00"; "infinite", "n/a" and others: false. */
static bool parse_duration(const char *text, size_t n, uint64_t *seconds)
{
    uint64_t days = 0, parts[3] = {0};
    size_t n_parts = 0;
    const char *end = text + n, *dash = memchr(text, '-', n);
    if (dash != NULL) {
        if (!parse_number(text, dash, &days))
            return false;
        text = dash + 1;
    }
    while (n_parts < 3) {
        const char *colon = memchr(text, ':', (size_t)(end - text));
        if (!parse_number(text, colon != NULL ? colon : end, &parts[n_parts++]))
            return false;
        if (colon == NULL)
            break;
        text = colon + 1;
        if (n_parts == 3)
            return false;
    }
    if (n_parts < 2 || days > 100000 || parts[0] > 10000000 || parts[1] > 59 || parts[2] > 59)
        return false;
    const uint64_t head = n_parts == 3 ? parts[0] * 3600 + parts[1] * 60 : parts[0] * 60;
    *seconds = days * 86400 + head + parts[n_parts - 1];
    return true;
}

/* Slurm's way to say that a job's output file could not be made: no signal of that number was sent. */
#define NO_OUTPUT_FILE 53

/* "3:0": status and signal. */
static void say_exit(const char *text, size_t n, char *reason, size_t size)
{
    uint64_t status = 0, signal_number = 0;
    const char *colon = memchr(text, ':', n);
    if (colon == NULL || !parse_number(text, colon, &status) ||
        !parse_number(colon + 1, text + n, &signal_number))
        return;
    if (signal_number == NO_OUTPUT_FILE)
        snprintf(reason, size, "could not write to its folder there; does that node see the home?");
    else if (signal_number != 0)
        snprintf(reason, size, "killed by signal %" PRIu64, signal_number);
    else if (status != 0)
        snprintf(reason, size, "exited with status %" PRIu64, status);
}

/* Whether a job that ended by itself did so because Slurm had told it that its time is nearly over.
 * */
static bool was_warned(const char *line, size_t n_line, uint64_t warning_s)
{
    uint64_t run_s = 0, limit_s = 0;
    size_t n_run = 0, n_limit = 0;
    const char *run = find_value(line, n_line, " RunTime=", &n_run);
    const char *limit = find_value(line, n_line, " TimeLimit=", &n_limit);
    return run != NULL && limit != NULL && parse_duration(run, n_run, &run_s) &&
           parse_duration(limit, n_limit, &limit_s) && run_s + warning_s >= limit_s;
}

static void say_shown_end(const char *line, size_t n_line, const char *word, uint64_t warning_s,
                          gf__attempt_look *out)
{
    size_t n = 0;
    const char *status = find_value(line, n_line, " ExitCode=", &n);
    snprintf(out->reason, sizeof out->reason, "%s", ended_reason(word));
    out->is_final = is_final(word);
    if (status != NULL && strcmp(word, "FAILED") == 0)
        say_exit(status, n, out->reason, sizeof out->reason);
    if (strcmp(word, "COMPLETED") == 0 && was_warned(line, n_line, warning_s)) {
        snprintf(out->reason, sizeof out->reason, "%s", GF__SLURM_TIME_LIMIT);
        out->is_final = true;
    }
}

void gf__slurm_shown_parse(const char *text, uint64_t warning_s, gf__attempt_look *out)
{
    *out = (gf__attempt_look){.state = GF__ATTEMPT_ENDED};
    for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n') {
        char word[24];
        size_t n = 0;
        const size_t n_line = strcspn(text, "\n");
        const char *state = find_value(text, n_line, " JobState=", &n);
        if (state == NULL)
            continue;
        copy_field(word, sizeof word, state, n);
        if (gf__slurm_state_parse(word) != GF__ATTEMPT_ENDED) {
            *out = (gf__attempt_look){.state = gf__slurm_state_parse(word)};
            return;
        }
        if (out->reason[0] == '\0')
            say_shown_end(text, n_line, word, warning_s, out);
    }
}

/* Slurm's commands and we are in one time zone. */
bool gf__slurm_submit_time(const char *text, int64_t *unix_s)
{
    static const char key[] = "SubmitTime=";
    struct tm when = {.tm_isdst = -1};
    const char *at = strstr(text, key);
    if (at == NULL || strptime(at + sizeof key - 1, "%Y-%m-%dT%H:%M:%S", &when) == NULL)
        return false;
    const time_t s = mktime(&when);
    *unix_s = (int64_t)s;
    return s != (time_t)-1;
}

/* The whole number at *at, which moves behind it and the bar after it. "2+" is 2: at least; no number is 0. */
static uint64_t column_number(const char **at, const char *end)
{
    uint64_t number = 0;
    for (; *at < end && **at >= '0' && **at <= '9' && number < UINT64_MAX / 20; ++*at)
        number = 10 * number + (uint64_t)(**at - '0');
    while (*at < end && **at != '|')
        ++*at;
    *at += *at < end;
    return number;
}

/* A line without its partition: the time limit, a node's CPUs, its MiB. */
static void take_node(const char *at, const char *end, gf__slurm_partition *out)
{
    const char *bar = memchr(at, '|', (size_t)(end - at));
    const char *time_end = bar != NULL ? bar : end;
    uint64_t seconds = 0; /* "infinite", "n/a" */
    (void)parse_duration(at, (size_t)(time_end - at), &seconds);
    out->limit_minutes = seconds / 60;
    at = bar != NULL ? bar + 1 : end;
    const uint64_t n_cpus = column_number(&at, end), n_mib = column_number(&at, end);
    if (n_cpus > out->n_cpus && n_cpus <= MAX_CPUS)
        out->n_cpus = (size_t)n_cpus;
    if (n_mib > out->n_mib && n_mib <= UINT64_MAX >> 20)
        out->n_mib = n_mib;
}

gf_status gf__slurm_partition_parse(const char *text, const char *partition,
                                    gf__slurm_partition *out, gf_error *err)
{
    const char *first = text;
    bool is_found = false;
    *out = (gf__slurm_partition){.n_cpus = 0};
    for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n') {
        const size_t n = strcspn(text, "\n");
        const char *bar = memchr(text, '|', n);
        if (bar == NULL)
            continue;
        const bool is_default = bar > text && bar[-1] == '*';
        const size_t n_name = (size_t)(bar - text) - is_default;
        const bool is_it = partition[0] == '\0' ? is_default
                                                : n_name == strlen(partition) &&
                                                      memcmp(text, partition, n_name) == 0;
        if (is_it)
            take_node(bar + 1, text + n, out);
        is_found = is_found || is_it;
    }
    if (is_found)
        return GF_OK;
    if (partition[0] != '\0')
        return gf_error_set(err, GF_EINVAL, "Slurm has no partition named \"%.60s\"", partition);
    if (*first == '\0')
        return gf_error_set(err, GF_EUNAVAILABLE, "Slurm has no partition");
    return gf_error_set(err, GF_EINVAL, "Slurm has no default partition: name the one to be used");
}

bool gf__slurm_is_temporary(const char *words)
{
    static const char *const parts[] = {
        "contact",   "timed out", "temporarily", "onnection", "Zero Bytes", "ocket",
        "authentic", "munge",     "credential",  "standby",   "Insane",     "violates accounting"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(words, parts[i]) != NULL)
            return true;
    return false;
}

/* Spelled with blanks or underscores, by version. */
bool gf__slurm_is_launch_failure(const gf__slurm_job *job)
{
    return strncmp(job->reason, "launch", 6) == 0 && strlen(job->reason) > 13 &&
           strncmp(job->reason + 7, "failed", 6) == 0 && strstr(job->reason, "held") != NULL;
}

void gf__slurm_quote(gf__buffer *out, const char *text)
{
    gf__buffer_puts(out, "'");
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            gf__buffer_puts(out, "'\\''");
        else
            gf__buffer_append(out, text, 1);
    }
    gf__buffer_puts(out, "'");
}
