/* jobs/plan.c: how large a job is, how long it may wait and run: out of its document. The registry
 * has checked the fields' kinds; a number may stand there as a text, as the API writes its int64. */
#include <stdlib.h>
#include <string.h>

#include "jobs/keeper_priv.h"

#define DEFAULT_RUNNING_S 604800 /* a week, as the API has it */
#define DEFAULT_WORKERS   10     /* of a batch prediction, as the API has it */
#define MAX_SHARDS        1000

static int64_t integer(const gf__json *object, const char *key, int64_t fallback)
{
    const gf__json *value = gf__json_find(object, key);
    const char *text = gf__json_string(value, NULL);
    char *end = NULL;
    if (text == NULL)
        return gf__json_int(value, fallback);
    const long long number = strtoll(text, &end, 10);
    return end != text && *end == '\0' ? number : fallback;
}

/* "3600s", "0.5s": whole seconds, rounded up. */
static int64_t duration_s(const gf__json *object, const char *key, int64_t fallback)
{
    const char *text = gf__json_string(gf__json_find(object, key), "");
    char *end = NULL;
    const double s = strtod(text, &end);
    if (end == text || strcmp(end, "s") != 0 || !(s > 0) || s > 1e12)
        return fallback;
    const int64_t whole = (int64_t)s;
    return (double)whole < s ? whole + 1 : whole;
}

static size_t clamp(int64_t number, size_t most)
{
    return number < 1 ? 1 : (uint64_t)number > most ? most : (size_t)number;
}

/* Here, shards are processes of one thread that share the job's CPUs. On a cluster each is a task of
 * its own and has the CPUs to itself. */
static void plan_prediction(const gf__json *input, gf__runner_kind kind, const gf__size *most,
                            gf__job_plan *out)
{
    const int64_t n = integer(input, "maxWorkerCount", DEFAULT_WORKERS);
    out->size = *most;
    out->size.note[0] = '\0';
    out->n_shards = clamp(n, kind == GF__RUNNER_LOCAL ? most->n_cpus : MAX_SHARDS);
    out->size.n_cpus = kind == GF__RUNNER_LOCAL ? out->n_shards : 1;
    out->max_running_s = DEFAULT_RUNNING_S;
}

static gf_status plan_training(const gf__json *input, gf__runner_kind kind, const gf__size *most,
                               gf__job_plan *out, gf_error *err)
{
    const gf__json *scheduling = gf__json_find(input, "scheduling");
    const char *module = gf__json_string(gf__json_find(input, "pythonModule"), "");
    const gf_status st = gf__size_of_training(input, most, &out->size, err);
    out->is_training = true;
    out->n_shards = 1;
    if (strcmp(module, "graft.features") == 0) /* the one program that can be shared out */
        out->n_shards = clamp(1 + integer(input, "workerCount", 0),
                              kind == GF__RUNNER_LOCAL ? out->size.n_cpus : MAX_SHARDS);
    out->max_running_s = duration_s(scheduling, "maxRunningTime", DEFAULT_RUNNING_S);
    out->max_wait_s = duration_s(scheduling, "maxWaitTime", 0);
    return st;
}

gf_status gf__job_plan_read(const gf__json *job, gf__runner_kind kind, const gf__size *most,
                            gf__job_plan *out, gf_error *err)
{
    const gf__json *training = gf__json_find(job, "trainingInput");
    *out = (gf__job_plan){.n_shards = 1};
    if (training != NULL)
        return plan_training(training, kind, most, out, err);
    plan_prediction(gf__json_find(job, "predictionInput"), kind, most, out);
    return GF_OK;
}
