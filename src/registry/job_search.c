/* registry/job_search.c: what the hyperparameters of a training job must be: a search that cannot
 * be run is refused before it waits in the queue. */
#include "registry/job_fields_priv.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SPEC         "trainingInput.hyperparameters"
#define MAX_DISCRETE 1000 /* the API's */
#define MAX_PARAMS   64   /* far more than a search can make sense of */
#define MAX_TRIALS   10000
#define MAX_EXACT    9007199254740992.0 /* 2^53: above it doubles skip whole numbers */

/* One of params; texts are borrowed. */
typedef struct parameter {
    char path[64]; /* "trainingInput.hyperparameters.params[1]" */
    const char *name, *type, *scale;
    const gf__json *min, *max, *categorical, *discrete;
} parameter;

static gf_status refuse_missing(const parameter *of, const char *key, const char *expected,
                                gf_error *err)
{
    return gf_error_set(err, GF_EINVAL, "%s.%s: missing, expected %s", of->path, key, expected);
}

static gf_status refuse_given(const parameter *of, const gf__json *value, const char *key,
                              gf_error *err)
{
    if (value == NULL)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL, "%s.%s: given, type %s has none", of->path, key, of->type);
}

/* It becomes --NAME=VALUE of a program. */
static gf_status check_name(const parameter *of, gf_error *err)
{
    if (of->name == NULL)
        return refuse_missing(of, "parameterName", "the name of an option, as learning_rate", err);
    bool is_good = (isalpha((unsigned char)of->name[0]) || of->name[0] == '_') &&
                   strlen(of->name) < GF__NAME_SIZE;
    for (const char *c = of->name; is_good && *c != '\0'; c++)
        is_good = isalnum((unsigned char)*c) || strchr("_-.", *c) != NULL;
    if (is_good)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL,
                        "%s.parameterName: \"%s\", expected a letter or underscore and then only "
                        "letters, digits and _ - . (at most 128)",
                        of->path, of->name);
}

static gf_status check_whole(const parameter *of, const char *key, double value, gf_error *err)
{
    if (floor(value) == value && fabs(value) <= MAX_EXACT)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL, "%s.%s: %.9g, expected a whole number up to 2^53", of->path,
                        key, value);
}

static gf_status check_range(const parameter *of, gf_error *err)
{
    const double min = gf__json_number(of->min, 0), max = gf__json_number(of->max, 0);
    if (of->min == NULL)
        return refuse_missing(of, "minValue", "a number", err);
    if (of->max == NULL)
        return refuse_missing(of, "maxValue", "a number", err);
    gf_status st = refuse_given(of, of->categorical, "categoricalValues", err);
    if (st == GF_OK)
        st = refuse_given(of, of->discrete, "discreteValues", err);
    if (st == GF_OK && strcmp(of->type, "INTEGER") == 0) {
        st = check_whole(of, "minValue", min, err);
        if (st == GF_OK)
            st = check_whole(of, "maxValue", max, err);
    }
    if (st == GF_OK && !(min < max))
        st = gf_error_set(err, GF_EINVAL, "%s.maxValue: %.9g, expected more than minValue %.9g",
                          of->path, max, min);
    return st;
}

static gf_status check_categories(const parameter *of, gf_error *err)
{
    const size_t n = gf__json_n_items(of->categorical);
    gf_status st = refuse_given(of, of->min, "minValue", err);
    if (st == GF_OK)
        st = refuse_given(of, of->max, "maxValue", err);
    if (st == GF_OK)
        st = refuse_given(of, of->discrete, "discreteValues", err);
    if (st != GF_OK)
        return st;
    if (n == 0)
        return refuse_missing(of, "categoricalValues", "one or more", err);
    if (n > MAX_DISCRETE)
        return gf_error_set(err, GF_EINVAL, "%s.categoricalValues: %zu values, expected at most %d",
                            of->path, n, MAX_DISCRETE);
    for (size_t i = 1; i < n; i++) {
        const char *value = gf__json_string(gf__json_at(of->categorical, i), "");
        for (size_t k = 0; k < i; k++) {
            if (strcmp(value, gf__json_string(gf__json_at(of->categorical, k), "")) == 0)
                return gf_error_set(err, GF_EINVAL, "%s.categoricalValues[%zu]: \"%s\" again",
                                    of->path, i, value);
        }
    }
    return GF_OK;
}

static gf_status check_points(const parameter *of, gf_error *err)
{
    const size_t n = gf__json_n_items(of->discrete);
    gf_status st = refuse_given(of, of->min, "minValue", err);
    if (st == GF_OK)
        st = refuse_given(of, of->max, "maxValue", err);
    if (st == GF_OK)
        st = refuse_given(of, of->categorical, "categoricalValues", err);
    if (st != GF_OK)
        return st;
    if (n == 0)
        return refuse_missing(of, "discreteValues", "one or more", err);
    if (n > MAX_DISCRETE)
        return gf_error_set(err, GF_EINVAL, "%s.discreteValues: %zu values, expected at most %d",
                            of->path, n, MAX_DISCRETE);
    for (size_t i = 1; i < n; i++) {
        const double before = gf__json_number(gf__json_at(of->discrete, i - 1), 0);
        const double value = gf__json_number(gf__json_at(of->discrete, i), 0);
        if (!(before < value))
            return gf_error_set(err, GF_EINVAL,
                                "%s.discreteValues[%zu]: %.9g, expected more than the one before "
                                "(%.9g)",
                                of->path, i, value, before);
    }
    return GF_OK;
}

static gf_status check_scale(const parameter *of, gf_error *err)
{
    const bool is_log = strcmp(of->scale, "UNIT_LOG_SCALE") == 0 ||
                        strcmp(of->scale, "UNIT_REVERSE_LOG_SCALE") == 0;
    if (strcmp(of->type, "CATEGORICAL") == 0 && strcmp(of->scale, "NONE") != 0)
        return gf_error_set(err, GF_EINVAL,
                            "%s.scaleType: %s, expected none for a CATEGORICAL parameter", of->path,
                            of->scale);
    if (!is_log)
        return GF_OK;
    const bool is_range = of->min != NULL;
    const double least = gf__json_number(is_range ? of->min : gf__json_at(of->discrete, 0), 0);
    if (least > 0)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL, "%s.%s: %.9g, expected more than 0 for scaleType %s",
                        of->path, is_range ? "minValue" : "discreteValues[0]", least, of->scale);
}

static gf_status check_type(const parameter *of, const char *algorithm, gf_error *err)
{
    const bool is_double = strcmp(of->type, "DOUBLE") == 0;
    if (is_double && strcmp(algorithm, "GRID_SEARCH") == 0)
        return gf_error_set(err, GF_EINVAL,
                            "%s.type: DOUBLE, expected INTEGER, CATEGORICAL or DISCRETE for "
                            "algorithm GRID_SEARCH",
                            of->path);
    if (is_double || strcmp(of->type, "INTEGER") == 0)
        return check_range(of, err);
    if (strcmp(of->type, "CATEGORICAL") == 0)
        return check_categories(of, err);
    if (strcmp(of->type, "DISCRETE") == 0)
        return check_points(of, err);
    return refuse_missing(of, "type", "DOUBLE, INTEGER, CATEGORICAL or DISCRETE", err);
}

static parameter parameter_at(const gf__json *params, size_t i)
{
    const gf__json *object = gf__json_at(params, i);
    parameter of = {
        .name = gf__json_string(gf__json_find(object, "parameterName"), NULL),
        .type = gf__json_string(gf__json_find(object, "type"), ""),
        .scale = gf__json_string(gf__json_find(object, "scaleType"), "NONE"),
        .min = gf__json_find(object, "minValue"),
        .max = gf__json_find(object, "maxValue"),
        .categorical = gf__json_find(object, "categoricalValues"),
        .discrete = gf__json_find(object, "discreteValues"),
    };
    snprintf(of.path, sizeof of.path, SPEC ".params[%zu]", i);
    return of;
}

static gf_status check_unique(const gf__json *params, size_t i, const parameter *of, gf_error *err)
{
    for (size_t k = 0; k < i; k++) {
        if (strcmp(of->name, parameter_at(params, k).name) == 0)
            return gf_error_set(err, GF_EINVAL, "%s.parameterName: \"%s\" is params[%zu] already",
                                of->path, of->name, k);
    }
    return GF_OK;
}

static gf_status check_params(const gf__json *params, const char *algorithm, gf_error *err)
{
    const size_t n = gf__json_n_items(params);
    gf_status st = GF_OK;
    if (n == 0)
        return gf_error_set(err, GF_EINVAL, SPEC ".params: missing, expected one or more");
    if (n > MAX_PARAMS)
        return gf_error_set(err, GF_EINVAL, SPEC ".params: %zu parameters, expected at most %d", n,
                            MAX_PARAMS);
    for (size_t i = 0; i < n && st == GF_OK; i++) {
        const parameter of = parameter_at(params, i);
        st = check_name(&of, err);
        if (st == GF_OK)
            st = check_unique(params, i, &of, err);
        if (st == GF_OK)
            st = check_type(&of, algorithm, err);
        if (st == GF_OK)
            st = check_scale(&of, err);
    }
    return st;
}

static gf_status check_count(const gf__json *spec, const char *key, int64_t min, gf_error *err)
{
    const int64_t value = gf__json_int(gf__json_find(spec, key), min);
    if (value >= min && value <= MAX_TRIALS)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL, SPEC ".%s: %lld, expected %lld to %d", key,
                        (long long)value, (long long)min, MAX_TRIALS);
}

gf_status gf__job_check_search(const gf__json *spec, gf_error *err)
{
    const char *previous = gf__json_string(gf__json_find(spec, "resumePreviousJobId"), NULL);
    const char *algorithm = gf__json_string(gf__json_find(spec, "algorithm"), "");
    gf_status st = check_count(spec, "maxTrials", 1, err);
    if (st == GF_OK)
        st = check_count(spec, "maxParallelTrials", 1, err);
    if (st == GF_OK)
        st = check_count(spec, "maxFailedTrials", 0, err);
    if (st == GF_OK && previous != NULL) {
        st = gf__name_check("job", previous, err);
        if (st != GF_OK)
            gf__error_prefix(err, SPEC ".resumePreviousJobId");
    }
    if (st == GF_OK)
        st = check_params(gf__json_find(spec, "params"), algorithm, err);
    return st;
}
