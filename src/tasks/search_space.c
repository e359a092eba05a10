/* tasks/search_space.c: ParameterSpec documents into a space, and its values to and from [0,1].
 *
 * The scales are those of Vizier (Golovin et al., "Google Vizier: A Service for Black-Box
 * Optimization", KDD 2017), with the formulas of its open source version
 * (vizier/pyvizier/converters/core.py):
 *
 *     linear       (x - low) / (high - low)
 *     log          log(x / low) / log(high / low)
 *     reverse log  1 - log((low + high - x) / low) / log(high / low)
 *
 * A whole number k is what the reals from k - 1/2 to k + 1/2 are rounded to, so the interval of an
 * INTEGER is half a step wider at both ends and its ends are as likely as the rest. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/search_priv.h"

#define MAX_PARAMS 64 /* ML Engine took 16 */
#define MAX_POINTS 1000

/* ---- scales ---------------------------------------------------------------------------------- */

typedef struct interval {
    double low, high;
} interval;

static interval interval_of(const gf__param *param)
{
    const double margin = param->kind == GF__PARAM_INTEGER ? 0.5 : 0;
    return (interval){param->low - margin, param->high + margin};
}

static double scale(const gf__param *param, double x)
{
    const interval in = interval_of(param);
    if (!(in.high > in.low))
        return 0.5;
    switch (param->scale) {
    case GF__SCALE_LINEAR:
        return (x - in.low) / (in.high - in.low);
    case GF__SCALE_LOG:
        return log(x / in.low) / log(in.high / in.low);
    case GF__SCALE_REVERSE_LOG:
        return 1 - log((in.low + in.high - x) / in.low) / log(in.high / in.low);
    }
    return 0.5;
}

static double unscale(const gf__param *param, double u)
{
    const interval in = interval_of(param);
    switch (param->scale) {
    case GF__SCALE_LINEAR:
        return in.low + u * (in.high - in.low);
    case GF__SCALE_LOG:
        return in.low * pow(in.high / in.low, u);
    case GF__SCALE_REVERSE_LOG:
        return in.low + in.high - in.low * pow(in.high / in.low, 1 - u);
    }
    return in.low;
}

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static size_t point_of(const gf__param *param, double value)
{
    size_t best = 0;
    for (size_t i = 1; i < param->n_values; i++)
        if (fabs(param->points[i] - value) < fabs(param->points[best] - value))
            best = i;
    return best;
}

double gf__param_from_unit(const gf__param *param, double u)
{
    u = clamp(u, 0, 1);
    if (param->kind == GF__PARAM_DOUBLE)
        return clamp(unscale(param, u), param->low, param->high);
    if (param->kind == GF__PARAM_INTEGER)
        return clamp(floor(unscale(param, u) + 0.5), param->low, param->high);
    const size_t n = param->n_values;
    const size_t i = (size_t)fmin(u * (double)n, (double)(n - 1));
    return param->kind == GF__PARAM_DISCRETE ? param->points[i] : (double)i;
}

double gf__param_to_unit(const gf__param *param, double value)
{
    if (param->kind == GF__PARAM_DOUBLE || param->kind == GF__PARAM_INTEGER)
        return clamp(scale(param, value), 0, 1);
    const double i = param->kind == GF__PARAM_DISCRETE ? (double)point_of(param, value) : value;
    return (i + 0.5) / (double)param->n_values;
}

size_t gf__param_n_dims(const gf__param *param)
{
    return param->kind == GF__PARAM_CATEGORICAL ? param->n_values : 1;
}

void gf__param_embed(const gf__param *param, double value, double *out)
{
    if (param->kind != GF__PARAM_CATEGORICAL) {
        *out = clamp(scale(param, value), 0, 1);
        return;
    }
    for (size_t i = 0; i < param->n_values; i++)
        out[i] = (size_t)value == i ? sqrt(0.5) : 0;
}

size_t gf__space_n_settings(const gf__space *space)
{
    size_t n = 1;
    for (size_t i = 0; i < space->n_params; i++)
        if (space->params[i].n_values == 0 || !gf__mul_size(n, space->params[i].n_values, &n))
            return SIZE_MAX;
    return n;
}

/* ---- values as text -------------------------------------------------------------------------- */

char *gf__param_format(const gf__param *param, double value)
{
    char text[64];
    if (param->kind == GF__PARAM_CATEGORICAL)
        return gf__strdup(param->categories[(size_t)value]);
    /* 17 digits are always enough. */
    for (int n_digits = 1; n_digits <= DBL_DECIMAL_DIG; n_digits++) {
        snprintf(text, sizeof text, "%.*g", n_digits, value);
        if (strtod(text, NULL) == value &&
            (fabs(value) >= 1e15 || strpbrk(text, "e") == NULL || value != floor(value)))
            break; /* a whole number is spelled without an exponent: 100, not 1e+02 */
    }
    return gf__strdup(text);
}

static gf_status read_category(const gf__param *param, const char *text, double *value,
                               gf_error *err)
{
    for (size_t i = 0; i < param->n_values; i++) {
        if (strcmp(param->categories[i], text) == 0) {
            *value = (double)i;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EINVAL, "%s: %.100s is none of its categories", param->name, text);
}

gf_status gf__param_read(const gf__param *param, const char *text, double *value, gf_error *err)
{
    char *end = NULL;
    if (param->kind == GF__PARAM_CATEGORICAL)
        return read_category(param, text, value, err);
    const double x = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(x))
        return gf_error_set(err, GF_EINVAL, "%s: %.100s is no number", param->name, text);
    if (x < param->low || x > param->high || (param->kind == GF__PARAM_INTEGER && x != floor(x)) ||
        (param->kind == GF__PARAM_DISCRETE && param->points[point_of(param, x)] != x))
        return gf_error_set(err, GF_EINVAL, "%s: %.100s is not in its feasible space", param->name,
                            text);
    *value = x;
    return GF_OK;
}

/* ---- reading the documents ------------------------------------------------------------------- */

static const struct {
    const char *name;
    gf__param_kind kind;
} kinds[] = {{"DOUBLE", GF__PARAM_DOUBLE},
             {"INTEGER", GF__PARAM_INTEGER},
             {"CATEGORICAL", GF__PARAM_CATEGORICAL},
             {"DISCRETE", GF__PARAM_DISCRETE}};
static const struct {
    const char *name;
    gf__param_scale scale;
} scales[] = {{"", GF__SCALE_LINEAR},
              {"NONE", GF__SCALE_LINEAR},
              {"UNIT_LINEAR_SCALE", GF__SCALE_LINEAR},
              {"UNIT_LOG_SCALE", GF__SCALE_LOG},
              {"UNIT_REVERSE_LOG_SCALE", GF__SCALE_REVERSE_LOG}};

static gf_status parse_kind(const gf__json *spec, gf__param *out, gf_error *err)
{
    const char *type = gf__json_string(gf__json_find(spec, "type"), "");
    const char *name = gf__json_string(gf__json_find(spec, "scaleType"), "");
    size_t i = 0, k = 0;
    while (i < sizeof kinds / sizeof kinds[0] && strcmp(kinds[i].name, type) != 0)
        i++;
    if (i == sizeof kinds / sizeof kinds[0])
        return gf_error_set(err, GF_EINVAL,
                            "type: found \"%.40s\", expected DOUBLE, INTEGER, CATEGORICAL or "
                            "DISCRETE",
                            type);
    while (k < sizeof scales / sizeof scales[0] && strcmp(scales[k].name, name) != 0)
        k++;
    if (k == sizeof scales / sizeof scales[0])
        return gf_error_set(err, GF_EINVAL,
                            "scaleType: found \"%.40s\", expected NONE, UNIT_LINEAR_SCALE, "
                            "UNIT_LOG_SCALE or UNIT_REVERSE_LOG_SCALE",
                            name);
    out->kind = kinds[i].kind;
    out->scale = scales[k].scale;
    return GF_OK;
}

static gf_status parse_range(const gf__json *spec, gf__param *out, gf_error *err)
{
    gf_status st = gf__json_get_number(spec, "minValue", &out->low, err);
    if (st == GF_OK)
        st = gf__json_get_number(spec, "maxValue", &out->high, err);
    if (st != GF_OK)
        return gf_error_set(err, GF_EINVAL, "%s needs the numbers minValue and maxValue",
                            out->kind == GF__PARAM_INTEGER ? "an INTEGER" : "a DOUBLE");
    if (out->low > out->high)
        return gf_error_set(err, GF_EINVAL, "minValue %g is above maxValue %g", out->low,
                            out->high);
    if (out->kind == GF__PARAM_DOUBLE)
        return GF_OK;
    if (out->low != floor(out->low) || out->high != floor(out->high) || fabs(out->low) > 0x1p53 ||
        fabs(out->high) > 0x1p53)
        return gf_error_set(err, GF_EINVAL,
                            "an INTEGER from %g to %g: expected whole numbers up to 2^53", out->low,
                            out->high);
    out->n_values = (size_t)(out->high - out->low) + 1;
    return GF_OK;
}

static gf_status parse_points(const gf__json *spec, gf__param *out, gf_error *err)
{
    const gf__json *list = gf__json_find(spec, "discreteValues");
    const size_t n = gf__json_is_array(list) ? gf__json_n_items(list) : 0;
    if (n == 0 || n > MAX_POINTS)
        return gf_error_set(err, GF_EINVAL, "discreteValues: %zu values, expected 1 to %d", n,
                            MAX_POINTS);
    out->points = gf__calloc(n, sizeof *out->points);
    if (out->points == NULL)
        return gf__error_nomem(err, "discreteValues", n * sizeof *out->points);
    out->n_values = n;
    for (size_t i = 0; i < n; i++) {
        if (!gf__json_is_number(gf__json_at(list, i)))
            return gf_error_set(err, GF_EINVAL, "discreteValues[%zu]: expected a number", i);
        out->points[i] = gf__json_number(gf__json_at(list, i), 0);
        if (i > 0 && out->points[i] <= out->points[i - 1])
            return gf_error_set(err, GF_EINVAL,
                                "discreteValues: %g after %g, expected strictly increasing values",
                                out->points[i], out->points[i - 1]);
    }
    out->low = out->points[0];
    out->high = out->points[n - 1];
    return GF_OK;
}

static gf_status parse_categories(const gf__json *spec, gf__param *out, gf_error *err)
{
    const gf__json *list = gf__json_find(spec, "categoricalValues");
    const size_t n = gf__json_is_array(list) ? gf__json_n_items(list) : 0;
    if (n == 0 || n > MAX_POINTS)
        return gf_error_set(err, GF_EINVAL, "categoricalValues: %zu values, expected 1 to %d", n,
                            MAX_POINTS);
    out->categories = gf__calloc(n, sizeof *out->categories);
    if (out->categories == NULL)
        return gf__error_nomem(err, "categoricalValues", n * sizeof *out->categories);
    out->n_values = n;
    for (size_t i = 0; i < n; i++) {
        const char *text = gf__json_string(gf__json_at(list, i), NULL);
        double same = 0;
        if (text == NULL)
            return gf_error_set(err, GF_EINVAL, "categoricalValues[%zu]: expected a string", i);
        out->n_values = i;
        if (read_category(out, text, &same, NULL) == GF_OK)
            return gf_error_set(err, GF_EINVAL, "categoricalValues: %.100s is there twice", text);
        out->n_values = n;
        out->categories[i] = gf__strdup(text);
        if (out->categories[i] == NULL)
            return gf__error_nomem(err, "categoricalValues", strlen(text));
    }
    return GF_OK;
}

static gf_status check_positive(const gf__param *param, gf_error *err)
{
    if (param->kind == GF__PARAM_CATEGORICAL || param->scale == GF__SCALE_LINEAR || param->low > 0)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL, "a logarithmic scale from %g: expected values above 0",
                        param->low);
}

static gf_status parse_param(const gf__json *spec, gf__param *out, gf_error *err)
{
    gf_status st = parse_kind(spec, out, err);
    if (st != GF_OK)
        return st;
    switch (out->kind) {
    case GF__PARAM_DOUBLE:
    case GF__PARAM_INTEGER:
        st = parse_range(spec, out, err);
        break;
    case GF__PARAM_CATEGORICAL:
        st = parse_categories(spec, out, err);
        break;
    case GF__PARAM_DISCRETE:
        st = parse_points(spec, out, err);
        break;
    }
    return st == GF_OK ? check_positive(out, err) : st;
}

static gf_status parse_name(const gf__json *spec, const gf__space *before, gf__param *out,
                            gf_error *err)
{
    const char *name = gf__json_string(gf__json_find(spec, "parameterName"), "");
    if (name[0] == '\0')
        return gf_error_set(err, GF_EINVAL, "parameterName: expected a name");
    for (size_t i = 0; i < before->n_params; i++)
        if (strcmp(before->params[i].name, name) == 0)
            return gf_error_set(err, GF_EINVAL, "parameterName: %.100s is there twice", name);
    out->name = gf__strdup(name);
    return out->name != NULL ? GF_OK : gf__error_nomem(err, "a parameter", strlen(name));
}

gf_status gf__space_parse(const gf__json *params, gf__space *out, gf_error *err)
{
    *out = (gf__space){0};
    const size_t n = gf__json_is_array(params) ? gf__json_n_items(params) : 0;
    if (n == 0 || n > MAX_PARAMS)
        return gf_error_set(err, GF_EINVAL, "params: %zu parameters, expected 1 to %d", n,
                            MAX_PARAMS);
    out->params = gf__calloc(n, sizeof *out->params);
    if (out->params == NULL)
        return gf__error_nomem(err, "parameters", n * sizeof *out->params);
    for (size_t i = 0; i < n; i++) {
        const gf__json *spec = gf__json_at(params, i);
        gf__param *param = &out->params[i];
        gf_status st = parse_name(spec, out, param, err);
        if (st == GF_OK) {
            out->n_params++;
            st = parse_param(spec, param, err);
        }
        if (st != GF_OK) {
            gf__error_prefix(err, "params[%zu]%s%.100s", i, param->name != NULL ? " " : "",
                             param->name != NULL ? param->name : "");
            return st;
        }
    }
    return GF_OK;
}

void gf__space_free(gf__space *space)
{
    for (size_t i = 0; i < space->n_params; i++) {
        gf__param *param = &space->params[i];
        for (size_t k = 0; param->categories != NULL && k < param->n_values; k++)
            gf__free(param->categories[k]);
        gf__free(param->categories);
        gf__free(param->points);
        gf__free(param->name);
    }
    gf__free(space->params);
    *space = (gf__space){0};
}
