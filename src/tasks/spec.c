/* tasks/spec.c: spec.json, read and checked field by field, so that everybody after this may take
 * it as it is; and what its addresses mean. */
#include <stdio.h>
#include <string.h>

#include "tasks/tasks_priv.h"

#define SPEC_FORMAT    1
#define SPEC_MAX_BYTES ((size_t)64 << 20)

typedef enum field_kind { TEXT, PATH, NUMBER, TEXTS, PATHS, OBJECT } field_kind;

typedef struct field {
    const char *name;
    field_kind kind;
    bool is_needed;
    int64_t low, high; /* NUMBER */
} field;

static const field spec_fields[] = {
    {"format", NUMBER, true, SPEC_FORMAT, SPEC_FORMAT},
    {"name", TEXT, true, 0, 0},
    {"kind", TEXT, true, 0, 0},
    {"home", PATH, true, 0, 0},
    {"buckets", PATH, true, 0, 0},
    {"program", PATH, true, 0, 0},
    {"server", TEXT, false, 0, 0},
    {"python", TEXT, false, 0, 0},
    {"nCpus", NUMBER, true, 1, 65536},
    {"maxMemoryBytes", NUMBER, false, 0, INT64_MAX},
    {"maxRunningS", NUMBER, true, 1, INT64_C(1) << 40},
    {"graceMs", NUMBER, true, 0, 3600000},
    {"startTimeMs", NUMBER, false, 0, INT64_C(1) << 52},
    {"nShards", NUMBER, true, 1, 65536},
};
static const field training_fields[] = {
    {"pythonModule", TEXT, true, 0, 0},  {"args", TEXTS, false, 0, 0},
    {"jobDir", TEXT, false, 0, 0},       {"packages", PATHS, false, 0, 0},
    {"packageUris", TEXTS, false, 0, 0}, {"hyperparameters", OBJECT, false, 0, 0},
};
static const field prediction_fields[] = {
    {"inputPaths", TEXTS, true, 0, 0},
    {"outputPath", TEXT, true, 0, 0},
    {"model", PATH, true, 0, 0},
    {"version", TEXT, false, 0, 0},
};

static gf_status refuse(const char *name, const char *expected, gf_error *err)
{
    return gf_error_set(err, GF_EFORMAT, "%s: expected %s", name, expected);
}

static gf_status check_text(const char *name, const gf__json *value, bool is_path, gf_error *err)
{
    const char *text = gf__json_string(value, NULL);
    if (text == NULL || (is_path && text[0] != '/'))
        return refuse(name, is_path ? "an absolute path" : "a text", err);
    return GF_OK;
}

static gf_status check_texts(const char *name, const gf__json *value, bool are_paths, gf_error *err)
{
    char item[128];
    if (!gf__json_is_array(value))
        return refuse(name, are_paths ? "a list of paths" : "a list of texts", err);
    for (size_t i = 0; i < gf__json_n_items(value); i++) {
        snprintf(item, sizeof item, "%s[%zu]", name, i);
        const gf_status st = check_text(item, gf__json_at(value, i), are_paths, err);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

static gf_status check_number(const field *f, const gf__json *value, gf_error *err)
{
    const int64_t number = gf__json_int(value, INT64_MIN);
    if (number < f->low || number > f->high)
        return gf_error_set(err, GF_EFORMAT, "%s: expected an integer from %lld to %lld", f->name,
                            (long long)f->low, (long long)f->high);
    return GF_OK;
}

static gf_status check_field(const field *f, const gf__json *value, gf_error *err)
{
    if (value == NULL || gf__json_is_null(value))
        return f->is_needed ? gf_error_set(err, GF_EFORMAT, "%s: it is missing", f->name) : GF_OK;
    switch (f->kind) {
    case TEXT:
    case PATH:
        return check_text(f->name, value, f->kind == PATH, err);
    case NUMBER:
        return check_number(f, value, err);
    case TEXTS:
    case PATHS:
        return check_texts(f->name, value, f->kind == PATHS, err);
    case OBJECT:
        return gf__json_is_object(value) ? GF_OK : refuse(f->name, "an object", err);
    }
    return GF_OK;
}

static gf_status check_fields(const field *fields, size_t n, const gf__json *object, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; i < n && st == GF_OK; i++)
        st = check_field(&fields[i], gf__json_find(object, fields[i].name), err);
    return st;
}

#define N_FIELDS(fields) (sizeof(fields) / sizeof *(fields))

static gf_status check_work(const gf__json *spec, gf_error *err)
{
    const char *kind = gf__json_string(gf__json_find(spec, "kind"), "");
    const bool is_training = strcmp(kind, "training") == 0;
    if (!is_training && strcmp(kind, "prediction") != 0)
        return gf_error_set(err, GF_EFORMAT,
                            "kind: expected \"training\" or \"prediction\", found \"%.40s\"", kind);
    const gf__json *work = gf__json_find(spec, kind);
    if (!gf__json_is_object(work))
        return refuse(kind, "an object, as kind says", err);
    const gf_status st =
        is_training ? check_fields(training_fields, N_FIELDS(training_fields), work, err)
                    : check_fields(prediction_fields, N_FIELDS(prediction_fields), work, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", kind);
    return st;
}

gf_status gf__spec_read(const char *path, gf__json **out, gf_error *err)
{
    char *text = NULL;
    size_t n_bytes = 0;
    gf__json *spec = NULL;
    *out = NULL;
    gf_status st = gf__read_file(path, SPEC_MAX_BYTES, &text, &n_bytes, err);
    if (st != GF_OK)
        return st;
    st = gf__json_parse(text, n_bytes, &spec, err);
    if (st == GF_OK && !gf__json_is_object(spec))
        st = gf_error_set(err, GF_EFORMAT, "expected an object");
    if (st == GF_OK)
        st = check_fields(spec_fields, N_FIELDS(spec_fields), spec, err);
    if (st == GF_OK)
        st = check_work(spec, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    gf__free(text);
    if (st == GF_OK)
        *out = spec;
    else
        gf__json_free(spec);
    return st;
}

const char *gf__task_python(const gf__task *task)
{
    const char *ours = task->options->python != NULL ? task->options->python : "python3";
    const char *python = gf__json_string(gf__json_find(task->spec, "python"), "");
    return python[0] != '\0' ? python : ours;
}

gf_status gf__task_path(const gf__task *task, const char *address, char **path, gf_error *err)
{
    const char *buckets = gf__json_string(gf__json_find(task->spec, "buckets"), "");
    *path = NULL;
    if (strncmp(address, "gs://", 5) == 0)
        return gf__bucket_resolve(buckets, address, path, err);
    if (strstr(address, "://") != NULL)
        return gf_error_set(err, GF_EINVAL, "%s: expected gs://BUCKET/PATH, or a path", address);
    *path = gf__strdup(address);
    return *path != NULL ? GF_OK : gf__error_nomem(err, "a path", strlen(address));
}
