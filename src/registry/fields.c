/* registry/fields.c: request bodies into the fields that are stored: camelCase, known names, right
 * kinds.
 *
 * The tables are the API's Model and Version. Fields of an own shape that graft does not act on
 * (container, routes ...) are kept as they are, so that a client gets back what it sent. */
#include "registry/registry_priv.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/job_fields_priv.h"

#define BODY_MAX \
    ((size_t)256 << 10) /* a description of a thousand pages; far above what any client sends */

typedef enum field_kind {
    TEXT,
    TRUTH,
    COUNT, /* int32 of 0 or more, also as a string */
    TEXTS,
    LABELS,
    ANYTHING,
    MEMBERS, /* an object of the fields in members */
    OUTPUT   /* set by the registry alone; ignored in a body */
} field_kind;

typedef struct field_rule {
    const char *name;
    field_kind kind;
    const struct field_rule *members;
} field_rule;

static const field_rule auto_scaling[] = {
    {"minNodes", COUNT, NULL}, {"maxNodes", COUNT, NULL}, {"metrics", ANYTHING, NULL}, {0}};
static const field_rule manual_scaling[] = {{"nodes", COUNT, NULL}, {0}};
static const field_rule model_fields[] = {
    {"name", TEXT, NULL},
    {"etag", TEXT, NULL},
    {"description", TEXT, NULL},
    {"regions", TEXTS, NULL},
    {"labels", LABELS, NULL},
    {"onlinePredictionLogging", TRUTH, NULL},
    {"onlinePredictionConsoleLogging", TRUTH, NULL},
    {"defaultVersion", ANYTHING,
     NULL}, /* a whole Version where a client sends a model back; patched by name */
    {0},
};

static const field_rule version_fields[] = {
    {"name", TEXT, NULL},
    {"etag", TEXT, NULL},
    {"description", TEXT, NULL},
    {"deploymentUri", TEXT, NULL},
    {"runtimeVersion", TEXT, NULL},
    {"pythonVersion", TEXT, NULL},
    {"framework", TEXT, NULL},
    {"machineType", TEXT, NULL},
    {"labels", LABELS, NULL},
    {"autoScaling", MEMBERS, auto_scaling},
    {"manualScaling", MEMBERS, manual_scaling},
    {"packageUris", TEXTS, NULL},
    {"predictionClass", TEXT, NULL},
    {"serviceAccount", TEXT, NULL},
    {"acceleratorConfig", ANYTHING, NULL},
    {"container", ANYTHING, NULL},
    {"routes", ANYTHING, NULL},
    {"explanationConfig", ANYTHING, NULL},
    {"requestLoggingConfig", ANYTHING, NULL},
    {"createTime", OUTPUT, NULL},
    {"errorMessage", OUTPUT, NULL},
    {"isDefault", OUTPUT, NULL},
    {"lastMigrationModelId", OUTPUT, NULL},
    {"lastMigrationTime", OUTPUT, NULL},
    {"lastUseTime", OUTPUT, NULL},
    {"state", OUTPUT, NULL},
    {0},
};

static const field_rule token_fields[] = {
    {"name", OUTPUT, NULL},
    {"role", TEXT, NULL},
    {"project", TEXT, NULL},
    {"description", TEXT, NULL},
    {"createTime", OUTPUT, NULL},
    {"expireTime", TEXT, NULL},
    {0},
};

void gf__to_camel_case(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (from[0] == '_' && islower((unsigned char)from[1]))
            *to++ = (char)toupper((unsigned char)*++from);
        else
            *to++ = *from;
    }
    *to = '\0';
}

static gf_status read_count(const char *name, const gf__json *value, gf__json **out, gf_error *err)
{
    int64_t number = gf__json_int(value, -1);
    const char *text = gf__json_string(value, NULL);
    if (text != NULL && isdigit((unsigned char)text[0])) {
        char *end = NULL;
        errno = 0;
        number = strtoll(text, &end, 10);
        if (*end != '\0' || errno != 0)
            number = -1;
    }
    if (number < 0 || number > INT32_MAX)
        return gf_error_set(err, GF_EINVAL, "%s: expected a whole number from 0 to %d", name,
                            INT32_MAX);
    *out = gf__json_new_int(number);
    return GF_OK;
}

static gf_status check_texts(const char *name, const gf__json *value, gf_error *err)
{
    bool is_good = gf__json_is_array(value);
    for (size_t i = 0; is_good && i < gf__json_n_items(value); i++)
        is_good = gf__json_is_string(gf__json_at(value, i));
    return is_good ? GF_OK : gf_error_set(err, GF_EINVAL, "%s: expected a list of strings", name);
}

static gf_status check_labels(const char *name, const gf__json *value, gf_error *err)
{
    const gf__json *label = NULL;
    bool is_good = gf__json_is_object(value);
    const char *key = is_good ? gf__json_next(value, NULL, &label) : NULL;
    for (; is_good && key != NULL; key = gf__json_next(value, key, &label))
        is_good = gf__json_is_string(label);
    return is_good
               ? GF_OK
               : gf_error_set(err, GF_EINVAL, "%s: expected an object with strings in it", name);
}

static gf_status read_members(const gf__json *object, const char *what, const field_rule *fields,
                              gf__json **out, gf_error *err);

static gf_status read_field(const field_rule *field, const gf__json *value, gf__json **out,
                            gf_error *err)
{
    gf_status st = GF_OK;
    *out = NULL;
    switch (field->kind) {
    case OUTPUT:
        return GF_OK;
    case COUNT:
        return read_count(field->name, value, out, err);
    case MEMBERS:
        return read_members(value, field->name, field->members, out, err);
    case TEXT:
        if (!gf__json_is_string(value))
            return gf_error_set(err, GF_EINVAL, "%s: expected a string", field->name);
        break;
    case TRUTH:
        if (!gf__json_is_bool(value))
            return gf_error_set(err, GF_EINVAL, "%s: expected true or false", field->name);
        break;
    case TEXTS:
        st = check_texts(field->name, value, err);
        break;
    case LABELS:
        st = check_labels(field->name, value, err);
        break;
    case ANYTHING:
        break;
    }
    if (st == GF_OK)
        *out = gf__json_copy(value);
    return st;
}

static bool is_left_out(const field_rule *field, const gf__json *value)
{
    return field->kind == OUTPUT || gf__json_is_null(value) ||
           strcmp(gf__json_string(value, "+"), "") == 0;
}

static gf_status read_member(const char *key, const gf__json *value, const char *what,
                             const field_rule *fields, gf__json *out, gf_error *err)
{
    gf__json *member = NULL;
    char *name = gf__strdup(key);
    if (name == NULL)
        return gf__error_nomem(err, "a field", strlen(key));
    gf__to_camel_case(name);
    const field_rule *field = fields;
    while (field->name != NULL && strcmp(field->name, name) != 0)
        field++;
    gf_status st = GF_OK;
    if (field->name == NULL)
        st = gf_error_set(err, GF_EINVAL, "unknown field \"%s\" in %s", key, what);
    else if (!is_left_out(field, value))
        st = read_field(field, value, &member, err);
    if (st == GF_OK && field->name != NULL && !is_left_out(field, value))
        gf__json_set(out, name, member);
    gf__free(name);
    return st;
}

static gf_status read_members(const gf__json *object, const char *what, const field_rule *fields,
                              gf__json **out, gf_error *err)
{
    *out = NULL;
    if (!gf__json_is_object(object))
        return gf_error_set(err, GF_EINVAL, "%s: expected an object", what);
    gf__json *members = gf__json_object();
    const gf__json *value = NULL;
    gf_status st = GF_OK;
    const char *key = gf__json_next(object, NULL, &value);
    for (; key != NULL && st == GF_OK; key = gf__json_next(object, key, &value))
        st = read_member(key, value, what, fields, members, err);
    if (st == GF_OK)
        st = gf__json_status(members, err);
    if (st != GF_OK) {
        gf__json_free(members);
        return st;
    }
    *out = members;
    return GF_OK;
}

gf_status gf__fields_read(const char *body, gf__kind kind, gf__json **fields, gf_error *err)
{
    gf__json *document = NULL;
    const size_t n_chars = strlen(body);
    *fields = NULL;
    if (n_chars > BODY_MAX)
        return gf_error_set(err, GF_ELIMIT, "a body of %zu bytes, at most %zu are taken", n_chars,
                            BODY_MAX);
    gf_status st = gf__json_parse(body, n_chars, &document, err);
    if (st == GF_EFORMAT) { /* the word for our own files; a body is the caller's argument */
        gf__error_prefix(err, "body");
        if (err != NULL)
            err->code = GF_EINVAL;
        return GF_EINVAL;
    }
    if (st == GF_OK && kind == GF__KIND_MODEL)
        st = read_members(document, "Model", model_fields, fields, err);
    else if (st == GF_OK && kind == GF__KIND_TOKEN)
        st = read_members(document, "Token", token_fields, fields, err);
    else if (st == GF_OK && kind == GF__KIND_JOB)
        st = gf__job_fields_read(document, fields, err);
    else if (st == GF_OK)
        st = read_members(document, "Version", version_fields, fields, err);
    gf__json_free(document);
    return st;
}

gf__json *gf__fields_stored(const gf__json *fields)
{
    /* requestLoggingConfig "in a create request has no effect", the API says. */
    static const char *const others[] = {"name", "jobId", "etag", "defaultVersion",
                                         "requestLoggingConfig"};
    gf__json *stored = gf__json_object();
    const gf__json *value = NULL;
    const char *key = gf__json_next(fields, NULL, &value);
    for (; key != NULL; key = gf__json_next(fields, key, &value)) {
        bool is_stored = true;
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
            is_stored = is_stored && strcmp(key, others[i]) != 0;
        if (is_stored)
            gf__json_set(stored, key, gf__json_copy(value));
    }
    return stored;
}

static gf_status check_framework(const gf__json *fields, gf_error *err)
{
    static const char *const known[] = {"FRAMEWORK_UNSPECIFIED", "TENSORFLOW", "SCIKIT_LEARN",
                                        "XGBOOST"};
    const char *framework = gf__json_string(gf__json_find(fields, "framework"), known[0]);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(framework, known[i]) == 0)
            return GF_OK;
    }
    return gf_error_set(err, GF_EINVAL,
                        "framework: \"%s\", expected TENSORFLOW, SCIKIT_LEARN or XGBOOST",
                        framework);
}

gf_status gf__version_check_fields(const gf__json *fields, gf_error *err)
{
    const gf__json *automatic = gf__json_find(fields, "autoScaling");
    const gf__json *manual = gf__json_find(fields, "manualScaling");
    const int64_t min_nodes = gf__json_int(gf__json_find(automatic, "minNodes"), 0);
    const int64_t max_nodes = gf__json_int(gf__json_find(automatic, "maxNodes"), INT32_MAX);
    if (automatic != NULL && manual != NULL)
        return gf_error_set(err, GF_EINVAL,
                            "autoScaling and manualScaling: only one of them may be set");
    if (max_nodes < min_nodes || max_nodes == 0)
        return gf_error_set(err, GF_EINVAL,
                            "autoScaling: maxNodes is %lld, must be 1 or more and not below "
                            "minNodes (%lld)",
                            (long long)max_nodes, (long long)min_nodes);
    if (manual != NULL && gf__json_int(gf__json_find(manual, "nodes"), 0) < 1)
        return gf_error_set(err, GF_EINVAL, "manualScaling: nodes must be 1 or more");
    return check_framework(fields, err);
}

gf_status gf__json_text(const gf__json *document, char **out, gf_error *err)
{
    gf__buffer text = {0};
    *out = NULL;
    gf__json_write(document, false, &text);
    const gf_status st = gf__buffer_status(&text, err);
    if (st == GF_OK)
        *out = gf__buffer_take(&text, NULL);
    gf__buffer_free(&text);
    return st;
}

gf_status gf__json_read_stored(const char *text, gf__json **out, gf_error *err)
{
    *out = NULL;
    if (text == NULL)
        return gf__error_nomem(err, "a row",
                               0); /* the columns are NOT NULL: SQLite had no memory */
    const gf_status st = gf__json_parse(text, strlen(text), out, err);
    if (st == GF_EFORMAT)
        gf__error_prefix(err, "registry.db: a stored document");
    return st;
}
