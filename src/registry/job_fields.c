/* registry/job_fields.c: the body of a job into the fields that are stored: camelCase, known names,
 * right kinds. What the values must be is in job_checks.c.
 *
 * The tables are the API's Job and what it is made of. Every message begins with the path of the
 * field that it is about: jobs are deep, and their clients are programs. */
#include "registry/job_fields_priv.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef enum field_kind {
    TEXT,
    TRUTH,
    INT32,    /* also as a string; given back as a number */
    INT64,    /* number or string; given back as a string, as the API has them */
    NUMBER,   /* a double */
    DURATION, /* "3600s", up to nine digits after the point */
    CHOICE,   /* one of the words in choices */
    TEXTS,
    NUMBERS,
    LABELS,
    MEMBERS,      /* an object of the fields in members */
    MEMBERS_LIST, /* a list of them */
    OUTPUT        /* set by the registry alone; ignored in a body */
} field_kind;

typedef struct field_rule {
    const char *name;
    field_kind kind;
    const struct field_rule *members;
    const char *const *choices;
} field_rule;

static const char *const scale_tiers[] = {"BASIC",     "STANDARD_1", "PREMIUM_1", "BASIC_GPU",
                                          "BASIC_TPU", "CUSTOM",     NULL};
static const char *const data_formats[] = {"DATA_FORMAT_UNSPECIFIED", "JSON", "TEXT", "TF_RECORD",
                                           "TF_RECORD_GZIP",          "CSV",  NULL};
static const char *const goals[] = {"GOAL_TYPE_UNSPECIFIED", "MAXIMIZE", "MINIMIZE", NULL};
static const char *const algorithms[] = {"ALGORITHM_UNSPECIFIED", "GRID_SEARCH", "RANDOM_SEARCH",
                                         NULL};
static const char *const parameter_types[] = {
    "PARAMETER_TYPE_UNSPECIFIED", "DOUBLE", "INTEGER", "CATEGORICAL", "DISCRETE", NULL};
static const char *const scale_types[] = {"NONE", "UNIT_LINEAR_SCALE", "UNIT_LOG_SCALE",
                                          "UNIT_REVERSE_LOG_SCALE", NULL};

static const field_rule accelerator_fields[] = {
    {.name = "count", .kind = INT64}, {.name = "type", .kind = TEXT}, {0}};
static const field_rule disk_fields[] = {
    {.name = "bootDiskSizeGb", .kind = INT32}, {.name = "bootDiskType", .kind = TEXT}, {0}};
static const field_rule replica_fields[] = {
    {.name = "acceleratorConfig", .kind = MEMBERS, .members = accelerator_fields},
    {.name = "containerArgs", .kind = TEXTS},
    {.name = "containerCommand", .kind = TEXTS},
    {.name = "diskConfig", .kind = MEMBERS, .members = disk_fields},
    {.name = "imageUri", .kind = TEXT},
    {.name = "tpuTfVersion", .kind = TEXT},
    {0},
};
static const field_rule encryption_fields[] = {{.name = "kmsKeyName", .kind = TEXT}, {0}};
static const field_rule scheduling_fields[] = {
    {.name = "maxRunningTime", .kind = DURATION},
    {.name = "maxWaitTime", .kind = DURATION},
    {.name = "priority", .kind = INT32},
    {0},
};
static const field_rule parameter_fields[] = {
    {.name = "parameterName", .kind = TEXT},
    {.name = "type", .kind = CHOICE, .choices = parameter_types},
    {.name = "minValue", .kind = NUMBER},
    {.name = "maxValue", .kind = NUMBER},
    {.name = "categoricalValues", .kind = TEXTS},
    {.name = "discreteValues", .kind = NUMBERS},
    {.name = "scaleType", .kind = CHOICE, .choices = scale_types},
    {0},
};
static const field_rule hyperparameter_fields[] = {
    {.name = "goal", .kind = CHOICE, .choices = goals},
    {.name = "params", .kind = MEMBERS_LIST, .members = parameter_fields},
    {.name = "maxTrials", .kind = INT32},
    {.name = "maxParallelTrials", .kind = INT32},
    {.name = "maxFailedTrials", .kind = INT32},
    {.name = "hyperparameterMetricTag", .kind = TEXT},
    {.name = "resumePreviousJobId", .kind = TEXT},
    {.name = "enableTrialEarlyStopping", .kind = TRUTH},
    {.name = "algorithm", .kind = CHOICE, .choices = algorithms},
    {0},
};
static const field_rule training_fields[] = {
    {.name = "scaleTier", .kind = CHOICE, .choices = scale_tiers},
    {.name = "masterType", .kind = TEXT},
    {.name = "masterConfig", .kind = MEMBERS, .members = replica_fields},
    {.name = "workerType", .kind = TEXT},
    {.name = "workerCount", .kind = INT64},
    {.name = "workerConfig", .kind = MEMBERS, .members = replica_fields},
    {.name = "parameterServerType", .kind = TEXT},
    {.name = "parameterServerCount", .kind = INT64},
    {.name = "parameterServerConfig", .kind = MEMBERS, .members = replica_fields},
    {.name = "evaluatorType", .kind = TEXT},
    {.name = "evaluatorCount", .kind = INT64},
    {.name = "evaluatorConfig", .kind = MEMBERS, .members = replica_fields},
    {.name = "packageUris", .kind = TEXTS},
    {.name = "pythonModule", .kind = TEXT},
    {.name = "args", .kind = TEXTS},
    {.name = "hyperparameters", .kind = MEMBERS, .members = hyperparameter_fields},
    {.name = "region", .kind = TEXT},
    {.name = "jobDir", .kind = TEXT},
    {.name = "runtimeVersion", .kind = TEXT},
    {.name = "pythonVersion", .kind = TEXT},
    {.name = "encryptionConfig", .kind = MEMBERS, .members = encryption_fields},
    {.name = "scheduling", .kind = MEMBERS, .members = scheduling_fields},
    {.name = "network", .kind = TEXT},
    {.name = "serviceAccount", .kind = TEXT},
    {.name = "useChiefInTfConfig", .kind = TRUTH},
    {.name = "enableWebAccess", .kind = TRUTH},
    {0},
};
static const field_rule prediction_fields[] = {
    {.name = "modelName", .kind = TEXT},
    {.name = "versionName", .kind = TEXT},
    {.name = "uri", .kind = TEXT},
    {.name = "dataFormat", .kind = CHOICE, .choices = data_formats},
    {.name = "outputDataFormat", .kind = CHOICE, .choices = data_formats},
    {.name = "inputPaths", .kind = TEXTS},
    {.name = "outputPath", .kind = TEXT},
    {.name = "maxWorkerCount", .kind = INT64},
    {.name = "batchSize", .kind = INT64},
    {.name = "region", .kind = TEXT},
    {.name = "runtimeVersion", .kind = TEXT},
    {.name = "signatureName", .kind = TEXT},
    {.name = "accelerator", .kind = MEMBERS, .members = accelerator_fields}, /* clients of 2018 */
    {0},
};
static const field_rule job_fields[] = {
    {.name = "jobId", .kind = TEXT},
    {.name = "etag", .kind = TEXT},
    {.name = "labels", .kind = LABELS},
    {.name = "trainingInput", .kind = MEMBERS, .members = training_fields},
    {.name = "predictionInput", .kind = MEMBERS, .members = prediction_fields},
    {.name = "createTime", .kind = OUTPUT},
    {.name = "startTime", .kind = OUTPUT},
    {.name = "endTime", .kind = OUTPUT},
    {.name = "state", .kind = OUTPUT},
    {.name = "errorMessage", .kind = OUTPUT},
    {.name = "trainingOutput", .kind = OUTPUT},
    {.name = "predictionOutput", .kind = OUTPUT},
    {.name = "jobPosition", .kind = OUTPUT},
    {0},
};

/* Where in the body we are: the way up. */
typedef struct spot {
    const struct spot *parent;
    const char *name; /* NULL: item i of the parent */
    size_t i;
} spot;

static void write_spot(const spot *at, gf__buffer *path)
{
    if (at == NULL)
        return;
    write_spot(at->parent, path);
    if (at->name == NULL)
        gf__buffer_printf(path, "[%zu]", at->i);
    else
        gf__buffer_printf(path, "%s%s", at->parent != NULL ? "." : "", at->name);
}

static gf_status refuse(const spot *at, gf_error *err, const char *expected)
{
    gf__buffer path = {0};
    write_spot(at, &path);
    gf_status st = gf__buffer_status(&path, err);
    if (st == GF_OK)
        st = gf_error_set(err, GF_EINVAL, "%s: expected %s", path.data, expected);
    gf__buffer_free(&path);
    return st;
}

static gf_status read_integer(const field_rule *field, const spot *at, const gf__json *value,
                              gf__json **out, gf_error *err)
{
    const int64_t min = field->kind == INT32 ? INT32_MIN : INT64_MIN;
    const int64_t max = field->kind == INT32 ? INT32_MAX : INT64_MAX;
    const char *text = gf__json_string(value, NULL);
    int64_t number = gf__json_int(value, 0);
    bool is_whole = gf__json_is_number(value) && gf__json_int(value, 1) == number;
    if (text != NULL && (isdigit((unsigned char)text[0]) || text[0] == '-')) {
        char *end = NULL;
        errno = 0;
        number = strtoll(text, &end, 10);
        is_whole = *end == '\0' && errno == 0 && end != text;
    }
    if (!is_whole || number < min || number > max)
        return refuse(at, err,
                      field->kind == INT32 ? "a whole number of 32 bits"
                                           : "a whole number of 64 bits, or a string of one");
    if (field->kind == INT32) {
        *out = gf__json_new_int(number);
        return GF_OK;
    }
    char *digits = gf__asprintf("%lld", (long long)number);
    *out = digits != NULL ? gf__json_new_string(digits) : NULL;
    gf__free(digits);
    return GF_OK;
}

static gf_status read_choice(const field_rule *field, const spot *at, const gf__json *value,
                             gf_error *err)
{
    const char *word = gf__json_string(value, "");
    gf__buffer expected = {0};
    for (size_t i = 0; field->choices[i] != NULL; i++) {
        if (strcmp(word, field->choices[i]) == 0) {
            gf__buffer_free(&expected);
            return GF_OK;
        }
        gf__buffer_printf(&expected, "%s%s", i > 0 ? ", " : "one of ", field->choices[i]);
    }
    gf_status st = gf__buffer_status(&expected, err);
    if (st == GF_OK)
        st = refuse(at, err, expected.data);
    gf__buffer_free(&expected);
    return st;
}

bool gf__duration_parse(const char *text, double *seconds)
{
    const size_t n_whole = strspn(text, "0123456789");
    const char *rest = text + n_whole;
    size_t n_fraction = 0;
    if (rest[0] == '.') {
        n_fraction = strspn(rest + 1, "0123456789");
        rest += 1 + n_fraction;
        if (n_fraction == 0)
            return false;
    }
    if (n_whole == 0 || n_whole > 12 || n_fraction > 9 || strcmp(rest, "s") != 0)
        return false;
    *seconds = strtod(text, NULL);
    return true;
}

static bool is_text_list(const gf__json *value)
{
    bool is_good = gf__json_is_array(value);
    const size_t n_items = is_good ? gf__json_n_items(value) : 0;
    for (size_t i = 0; is_good && i < n_items; i++)
        is_good = gf__json_is_string(gf__json_at(value, i));
    return is_good;
}

static bool is_number_list(const gf__json *value)
{
    bool is_good = gf__json_is_array(value);
    const size_t n_items = is_good ? gf__json_n_items(value) : 0;
    for (size_t i = 0; is_good && i < n_items; i++)
        is_good = gf__json_is_number(gf__json_at(value, i));
    return is_good;
}

static bool is_label_map(const gf__json *value)
{
    const gf__json *label = NULL;
    bool is_good = gf__json_is_object(value);
    const char *key = is_good ? gf__json_next(value, NULL, &label) : NULL;
    for (; is_good && key != NULL; key = gf__json_next(value, key, &label))
        is_good = gf__json_is_string(label);
    return is_good;
}

static gf_status read_members(const gf__json *object, const spot *at, const field_rule *fields,
                              gf__json **out, gf_error *err);

static gf_status read_members_list(const field_rule *field, const spot *at, const gf__json *value,
                                   gf__json **out, gf_error *err)
{
    if (!gf__json_is_array(value))
        return refuse(at, err, "a list of objects");
    gf__json *list = gf__json_array();
    const size_t n_items = gf__json_n_items(value);
    gf_status st = GF_OK;
    for (size_t i = 0; i < n_items && st == GF_OK; i++) {
        const spot here = {.parent = at, .i = i};
        gf__json *item = NULL;
        st = read_members(gf__json_at(value, i), &here, field->members, &item, err);
        if (st == GF_OK)
            gf__json_append(list, item);
    }
    *out = list;
    return st;
}

static bool is_duration(const gf__json *value)
{
    double seconds;
    return gf__duration_parse(gf__json_string(value, ""), &seconds);
}

/* Kinds whose values are stored as they come. */
static const struct plain_kind {
    bool (*is_one)(const gf__json *value);
    const char *expected;
} plain_kinds[] = {
    [TEXT] = {gf__json_is_string, "a string"},
    [TRUTH] = {gf__json_is_bool, "true or false"},
    [NUMBER] = {gf__json_is_number, "a number"},
    [DURATION] = {is_duration, "seconds as in \"3600s\" or \"1.5s\""},
    [TEXTS] = {is_text_list, "a list of strings"},
    [NUMBERS] = {is_number_list, "a list of numbers"},
    [LABELS] = {is_label_map, "an object with strings in it"},
};

static gf_status read_field(const field_rule *field, const spot *at, const gf__json *value,
                            gf__json **out, gf_error *err)
{
    gf_status st = GF_OK;
    switch (field->kind) {
    case INT32:
    case INT64:
        return read_integer(field, at, value, out, err);
    case MEMBERS:
        return read_members(value, at, field->members, out, err);
    case MEMBERS_LIST:
        return read_members_list(field, at, value, out, err);
    case OUTPUT:
        return GF_OK;
    case CHOICE:
        st = read_choice(field, at, value, err);
        break;
    case TEXT:
    case TRUTH:
    case NUMBER:
    case DURATION:
    case TEXTS:
    case NUMBERS:
    case LABELS:
        if (!plain_kinds[field->kind].is_one(value))
            st = refuse(at, err, plain_kinds[field->kind].expected);
        break;
    }
    if (st == GF_OK)
        *out = gf__json_copy(value);
    return st;
}

static gf_status refuse_unknown(const spot *at, const char *key, gf_error *err)
{
    gf__buffer path = {0};
    write_spot(at, &path);
    gf__buffer_puts(&path, ""); /* a terminated text where at is the whole body */
    gf_status st = gf__buffer_status(&path, err);
    if (st == GF_OK)
        st = gf_error_set(err, GF_EINVAL, "unknown field \"%s\" in %s", key,
                          at != NULL ? path.data : "Job");
    gf__buffer_free(&path);
    return st;
}

/* What is null or "" is left out, as the API leaves out defaults. */
static bool is_left_out(const field_rule *field, const gf__json *value)
{
    return field->kind == OUTPUT || gf__json_is_null(value) ||
           strcmp(gf__json_string(value, "+"), "") == 0;
}

static gf_status read_member(const char *key, const gf__json *value, const spot *at,
                             const field_rule *fields, gf__json *out, gf_error *err)
{
    char *name = gf__strdup(key);
    if (name == NULL)
        return gf__error_nomem(err, "a field", strlen(key));
    gf__to_camel_case(name);
    const field_rule *field = fields;
    while (field->name != NULL && strcmp(field->name, name) != 0)
        field++;
    gf__free(name);
    if (field->name == NULL)
        return refuse_unknown(at, key, err);
    if (is_left_out(field, value))
        return GF_OK;
    const spot here = {.parent = at, .name = field->name};
    gf__json *member = NULL;
    const gf_status st = read_field(field, &here, value, &member, err);
    if (st == GF_OK)
        gf__json_set(out, field->name, member);
    else
        gf__json_free(member);
    return st;
}

static gf_status read_members(const gf__json *object, const spot *at, const field_rule *fields,
                              gf__json **out, gf_error *err)
{
    *out = NULL;
    if (!gf__json_is_object(object))
        return at != NULL ? refuse(at, err, "an object")
                          : gf_error_set(err, GF_EINVAL, "Job: expected an object");
    gf__json *members = gf__json_object();
    const gf__json *value = NULL;
    gf_status st = GF_OK;
    const char *key = gf__json_next(object, NULL, &value);
    for (; key != NULL && st == GF_OK; key = gf__json_next(object, key, &value))
        st = read_member(key, value, at, fields, members, err);
    if (st == GF_OK)
        st = gf__json_status(members, err);
    if (st != GF_OK) {
        gf__json_free(members);
        return st;
    }
    *out = members;
    return GF_OK;
}

gf_status gf__job_fields_read(const gf__json *body, gf__json **fields, gf_error *err)
{
    return read_members(body, NULL, job_fields, fields, err);
}
