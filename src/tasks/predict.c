/* tasks/predict.c: a batch prediction job: its shards, and their sum. Also where there is one
 * shard only, a process of its own does it: a picture that kills a decoder kills that one, and
 * this one starts the next. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/predict_priv.h"
#include "tasks/shards_priv.h"

static void add_count(gf__json *sum, const gf__json *output, const char *name)
{
    char text[24];
    const char *before = gf__json_string(gf__json_find(sum, name), "0");
    const char *more = gf__json_string(gf__json_find(output, name), "0");
    snprintf(text, sizeof text, "%lld", strtoll(before, NULL, 10) + strtoll(more, NULL, 10));
    gf__json_set_string(sum, name, text);
}

/* PredictionOutput, but for its outputPath. */
static void add_output(gf__json *sum, const gf__json *output)
{
    add_count(sum, output, "predictionCount");
    add_count(sum, output, "errorCount");
    gf__json_set_number(sum, "nodeHours",
                        gf__json_number(gf__json_find(sum, "nodeHours"), 0) +
                            gf__json_number(gf__json_find(output, "nodeHours"), 0));
}

static gf_status check_format(const gf__json *prediction, const char *field, gf_error *err)
{
    const char *format = gf__json_string(gf__json_find(prediction, field), "JSON");
    if (strcmp(format, "JSON") == 0 || strcmp(format, "DATA_FORMAT_UNSPECIFIED") == 0 ||
        strcmp(format, "TEXT") == 0) /* "Deprecated. Use JSON instead." */
        return GF_OK;
    return gf_error_set(err, GF_EUNSUPPORTED, "%s: found %.40s, graft writes JSON", field, format);
}

static gf_status check_signature(const gf__json *prediction, gf_error *err)
{
    const char *name = gf__json_string(gf__json_find(prediction, "signatureName"), "");
    if (name[0] == '\0' || strcmp(name, "serving_default") == 0)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL,
                        "signatureName: %.100s; the model has one signature, serving_default",
                        name);
}

static gf_status predict_shard(gf__task *task, gf__outcome *out, gf_error *err)
{
    return gf__predict_shard(task, task->options->shard, gf__shards_n(task), &out->output, err);
}

static gf_status sum_up(gf__task *task, gf__outcome *out, gf_error *err)
{
    const gf__json *prediction = gf__json_find(task->spec, "prediction");
    const gf_status st = gf__shards_collect(task, add_output, out, err);
    if (st != GF_OK)
        return st;
    gf__json_set_string(out->output, "outputPath",
                        gf__json_string(gf__json_find(prediction, "outputPath"), ""));
    gf__task_say(task, "%s predictions, %s errors",
                 gf__json_string(gf__json_find(out->output, "predictionCount"), "0"),
                 gf__json_string(gf__json_find(out->output, "errorCount"), "0"));
    return gf__json_status(out->output, err);
}

gf_status gf__task_predict(gf__task *task, gf__outcome *out, gf_error *err)
{
    const gf__json *prediction = gf__json_find(task->spec, "prediction");
    gf__inputs inputs = {0};
    gf_status st = check_format(prediction, "outputDataFormat", err);
    if (st == GF_OK)
        st = check_signature(prediction, err);
    if (st != GF_OK)
        return st;
    if (task->options->part == GF__TASK_SHARD)
        return predict_shard(task, out, err);
    /* Here already, so that what is wrong with inputPaths is said once, not by every shard. */
    st = gf__inputs_open(task, &inputs, err);
    gf__inputs_free(&inputs);
    if (st == GF_OK)
        st = gf__shards_run(task, add_output, err);
    return st == GF_OK ? sum_up(task, out, err) : st;
}
