/* registry/job_checks.c: what the fields of a job must agree on, as far as it can be said before
 * anything is looked for. Searches are in job_search.c. */
#include "registry/job_fields_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/registry.h"

#define MAX_PACKAGES   100            /* the API's */
#define MIN_WAIT_S     1800           /* the API's */
#define MAX_DURATION_S 315576000000.0 /* of google.protobuf.Duration: ten thousand years */

/* graft's own programs: they need no package. */
static const char *const own_modules[] = {"graft.train", "graft.features"};

gf_status gf__job_check_address(gf_registry *registry, const char *path, const char *address,
                                gf_error *err)
{
    char *resolved = NULL;
    gf_status st = GF_OK;
    if (strncmp(address, "gs://", 5) == 0)
        st = gf__registry_resolve(registry, address, &resolved, err);
    else if (!registry->options.takes_local_paths || strstr(address, "://") != NULL ||
             address[0] == '\0')
        st = gf_error_set(err, GF_EINVAL, "\"%s\", expected gs://BUCKET/PATH", address);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    gf__free(resolved);
    return st;
}

/* A member that may be missing. */
static gf_status check_address(gf_registry *registry, const gf__json *object, const char *parent,
                               const char *key, gf_error *err)
{
    const char *address = gf__json_string(gf__json_find(object, key), NULL);
    char path[64];
    if (address == NULL)
        return GF_OK;
    snprintf(path, sizeof path, "%s.%s", parent, key);
    return gf__job_check_address(registry, path, address, err);
}

static gf_status check_addresses(gf_registry *registry, const gf__json *object, const char *parent,
                                 const char *key, gf_error *err)
{
    const gf__json *list = gf__json_find(object, key);
    const size_t n_items = gf__json_n_items(list);
    gf_status st = GF_OK;
    for (size_t i = 0; i < n_items && st == GF_OK; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s.%s[%zu]", parent, key, i);
        st = gf__job_check_address(registry, path, gf__json_string(gf__json_at(list, i), ""), err);
    }
    return st;
}

/* An int64 as it is stored: a string. */
static long long count_of(const gf__json *object, const char *key, long long fallback)
{
    const char *digits = gf__json_string(gf__json_find(object, key), NULL);
    return digits != NULL ? strtoll(digits, NULL, 10) : fallback;
}

static gf_status check_count(const gf__json *object, const char *parent, const char *key,
                             long long min, gf_error *err)
{
    const long long count = count_of(object, key, min);
    if (count >= min)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL, "%s.%s: %lld, expected %lld or more", parent, key, count,
                        min);
}

/* ---- training ---- */

typedef struct role {
    const char *type, *count, *config; /* keys in trainingInput */
} role;
static const role roles[] = {
    {"masterType", NULL, "masterConfig"},
    {"workerType", "workerCount", "workerConfig"},
    {"parameterServerType", "parameterServerCount", "parameterServerConfig"},
    {"evaluatorType", "evaluatorCount", "evaluatorConfig"},
};
#define N_ROLES (sizeof roles / sizeof roles[0])

static gf_status refuse_containers(const gf__json *input, gf_error *err)
{
    static const char *const keys[] = {"imageUri", "containerCommand", "containerArgs",
                                       "tpuTfVersion"};
    for (size_t i = 0; i < N_ROLES; i++) {
        const gf__json *config = gf__json_find(input, roles[i].config);
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            if (gf__json_find(config, keys[k]) != NULL)
                return gf_error_set(err, GF_EUNSUPPORTED,
                                    "trainingInput.%s.%s: graft runs no containers; give the "
                                    "program as packageUris and pythonModule",
                                    roles[i].config, keys[k]);
        }
    }
    return GF_OK;
}

static gf_status refuse_on_tier(const gf__json *input, const char *tier, const char *key,
                                gf_error *err)
{
    if (key == NULL || gf__json_find(input, key) == NULL)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL,
                        "trainingInput.%s: only scaleTier CUSTOM takes it, this one is %s", key,
                        tier);
}

static gf_status check_role(const gf__json *input, const role *of, gf_error *err)
{
    gf_status st = check_count(input, "trainingInput", of->count, 0, err);
    if (st != GF_OK)
        return st;
    if (count_of(input, of->count, 0) > 0 && gf__json_find(input, of->type) == NULL)
        return gf_error_set(err, GF_EINVAL, "trainingInput.%s: missing, %s needs it", of->type,
                            of->count);
    return GF_OK;
}

static gf_status check_tier(const gf__json *input, gf_error *err)
{
    const char *tier = gf__json_string(gf__json_find(input, "scaleTier"), "BASIC");
    gf_status st = GF_OK;
    if (strcmp(tier, "CUSTOM") != 0) {
        for (size_t i = 0; i < N_ROLES && st == GF_OK; i++) {
            st = refuse_on_tier(input, tier, roles[i].type, err);
            if (st == GF_OK)
                st = refuse_on_tier(input, tier, roles[i].count, err);
        }
        return st;
    }
    if (gf__json_find(input, "masterType") == NULL)
        return gf_error_set(err, GF_EINVAL,
                            "trainingInput.masterType: missing, scaleTier CUSTOM needs it");
    for (size_t i = 1; i < N_ROLES && st == GF_OK; i++)
        st = check_role(input, &roles[i], err);
    return st;
}

/* What may stand after "python3 -m". */
static bool is_module(const char *name)
{
    for (;;) {
        if (!isalpha((unsigned char)name[0]) && name[0] != '_')
            return false;
        while (isalnum((unsigned char)name[0]) || name[0] == '_')
            name++;
        if (name[0] != '.')
            return name[0] == '\0';
        name++;
    }
}

static gf_status check_program(gf_registry *registry, const gf__json *input, gf_error *err)
{
    const char *module = gf__json_string(gf__json_find(input, "pythonModule"), NULL);
    const size_t n_packages = gf__json_n_items(gf__json_find(input, "packageUris"));
    bool is_own = false;
    if (module == NULL)
        return gf_error_set(err, GF_EINVAL,
                            "trainingInput.pythonModule: missing, expected the module to run as "
                            "\"trainer.task\", or \"graft.train\"");
    if (!is_module(module))
        return gf_error_set(err, GF_EINVAL,
                            "trainingInput.pythonModule: \"%s\", expected names with dots between "
                            "them, as \"trainer.task\"",
                            module);
    for (size_t i = 0; i < sizeof own_modules / sizeof own_modules[0]; i++)
        is_own = is_own || strcmp(module, own_modules[i]) == 0;
    if (n_packages == 0 && !is_own)
        return gf_error_set(err, GF_EINVAL,
                            "trainingInput.packageUris: missing, expected the packages that %s is "
                            "in",
                            module);
    if (n_packages > MAX_PACKAGES)
        return gf_error_set(err, GF_EINVAL,
                            "trainingInput.packageUris: %zu packages, expected at most %d",
                            n_packages, MAX_PACKAGES);
    gf_status st = check_addresses(registry, input, "trainingInput", "packageUris", err);
    if (st == GF_OK)
        st = check_address(registry, input, "trainingInput", "jobDir", err);
    return st;
}

static gf_status check_duration(const gf__json *scheduling, const char *key, double min,
                                const char *expected, gf_error *err)
{
    const char *text = gf__json_string(gf__json_find(scheduling, key), NULL);
    double seconds = 0;
    if (text == NULL)
        return GF_OK;
    if (gf__duration_parse(text, &seconds) && seconds > 0 && seconds >= min &&
        seconds <= MAX_DURATION_S)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL, "trainingInput.scheduling.%s: %s, expected %s", key, text,
                        expected);
}

static gf_status check_scheduling(const gf__json *scheduling, gf_error *err)
{
    const int64_t priority = gf__json_int(gf__json_find(scheduling, "priority"), 0);
    gf_status st = check_duration(scheduling, "maxRunningTime", 0,
                                  "more than 0s and at most 315576000000s", err);
    if (st == GF_OK)
        st = check_duration(scheduling, "maxWaitTime", MIN_WAIT_S,
                            "1800s or more and at most 315576000000s", err);
    if (st == GF_OK && (priority < 0 || priority > 1000))
        st = gf_error_set(err, GF_EINVAL,
                          "trainingInput.scheduling.priority: %lld, expected 0 to 1000",
                          (long long)priority);
    return st;
}

static gf_status check_training(gf_registry *registry, const gf__json *input, gf_error *err)
{
    gf_status st = refuse_containers(input, err);
    if (st == GF_OK)
        st = check_tier(input, err);
    if (st == GF_OK)
        st = check_program(registry, input, err);
    if (st == GF_OK)
        st = check_scheduling(gf__json_find(input, "scheduling"), err);
    const gf__json *search = gf__json_find(input, "hyperparameters");
    if (st == GF_OK && search != NULL)
        st = gf__job_check_search(search, err);
    return st;
}

/* ---- batch prediction ---- */

/* A model of another project would be used without anybody having asked whether this one may. */
static gf_status check_model_name(const gf__json *input, const char *key, gf__kind kind,
                                  const char *project, gf_error *err)
{
    gf__name name;
    const char *text = gf__json_string(gf__json_find(input, key), NULL);
    if (text == NULL)
        return GF_OK;
    gf_status st = gf__name_parse(text, kind, &name, err);
    if (st == GF_OK && strcmp(name.project, project) != 0)
        st = gf_error_set(err, GF_EINVAL, "\"%s\" is of another project than the job (%s)", text,
                          project);
    if (st != GF_OK)
        gf__error_prefix(err, "predictionInput.%s", key);
    return st;
}

static gf_status check_model(gf_registry *registry, const gf__json *input, const char *project,
                             gf_error *err)
{
    static const char *const keys[] = {"modelName", "versionName", "uri"};
    size_t n_given = 0;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        n_given += gf__json_find(input, keys[i]) != NULL ? 1 : 0;
    if (n_given != 1)
        return gf_error_set(err, GF_EINVAL,
                            "predictionInput: %zu of modelName, versionName and uri are given, "
                            "expected one of them",
                            n_given);
    gf_status st = check_model_name(input, "modelName", GF__KIND_MODEL, project, err);
    if (st == GF_OK)
        st = check_model_name(input, "versionName", GF__KIND_VERSION, project, err);
    if (st == GF_OK)
        st = check_address(registry, input, "predictionInput", "uri", err);
    return st;
}

/* The API's formats that graft neither reads nor writes are said so before the job waits. */
static gf_status check_formats(const gf__json *input, gf_error *err)
{
    const char *format = gf__json_string(gf__json_find(input, "dataFormat"), "");
    const char *written = gf__json_string(gf__json_find(input, "outputDataFormat"), "JSON");
    if (format[0] == '\0' || strcmp(format, "DATA_FORMAT_UNSPECIFIED") == 0)
        return gf_error_set(err, GF_EINVAL,
                            "predictionInput.dataFormat: missing, expected JSON, TEXT or CSV");
    if (strncmp(format, "TF_RECORD", 9) == 0)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "predictionInput.dataFormat: %s; graft reads JSON, TEXT and CSV",
                            format);
    if (strncmp(written, "TF_RECORD", 9) == 0 || strcmp(written, "CSV") == 0)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "predictionInput.outputDataFormat: %s; graft writes JSON", written);
    return GF_OK;
}

static gf_status check_prediction(gf_registry *registry, const gf__json *input, const char *project,
                                  gf_error *err)
{
    gf_status st = check_model(registry, input, project, err);
    if (st == GF_OK)
        st = check_formats(input, err);
    if (st != GF_OK)
        return st;
    if (gf__json_n_items(gf__json_find(input, "inputPaths")) == 0)
        return gf_error_set(err, GF_EINVAL,
                            "predictionInput.inputPaths: missing, expected one address or more");
    if (gf__json_find(input, "outputPath") == NULL)
        return gf_error_set(err, GF_EINVAL,
                            "predictionInput.outputPath: missing, expected gs://BUCKET/PATH");
    st = check_addresses(registry, input, "predictionInput", "inputPaths", err);
    if (st == GF_OK)
        st = check_address(registry, input, "predictionInput", "outputPath", err);
    if (st == GF_OK)
        st = check_count(input, "predictionInput", "batchSize", 1, err);
    if (st == GF_OK)
        st = check_count(input, "predictionInput", "maxWorkerCount", 1, err);
    return st;
}

gf_status gf__job_check_fields(gf_registry *registry, const char *project, const gf__json *fields,
                               gf_error *err)
{
    const gf__json *training = gf__json_find(fields, "trainingInput");
    const gf__json *prediction = gf__json_find(fields, "predictionInput");
    if ((training == NULL) == (prediction == NULL))
        return gf_error_set(err, GF_EINVAL,
                            "trainingInput, predictionInput: %s, expected one of them",
                            training == NULL ? "neither is given" : "both are given");
    return training != NULL ? check_training(registry, training, err)
                            : check_prediction(registry, prediction, project, err);
}
