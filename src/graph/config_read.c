/* config_read.c: Keras' configuration of one layer into gf__layer_config, a reader a class.
 * Understands the spellings of Keras 1.2 to 3 (filters was nb_filter once) and refuses settings
 * that the kernels do not have, layer and setting named: a network that would run and answer
 * wrongly is worse than one that does not load. */
#include <math.h>
#include <string.h>

#include "graph/config_priv.h"

/* Settings that may be there only with one value, whatever the class; NULL: only null. "1" also
 * means [1,1]. */
static const struct {
    const char *key;
    const char *want;
} fixed_settings[] = {
    {"data_format", "channels_last"},
    {"dim_ordering", "tf"},
    {"dilation_rate", "1"},
    {"atrous_rate", "1"},
    {"groups", "1"},
    {"depth_multiplier", "1"},
    {"keepdims", "false"},
    {"negative_slope", "0"},
    {"threshold", "0"},
    {"noise_shape", NULL},
};

/* "[2,2]" into text, cut where it is long. */
static const char *value_text(const gf__json *value, char text[64])
{
    gf__buffer buffer = {0};
    gf__json_write(value, false, &buffer);
    snprintf(text, 64, "%s", buffer.data != NULL && !buffer.failed ? buffer.data : "?");
    gf__buffer_free(&buffer);
    return text;
}

static gf_status wrong_value(const char *layer, const char *key, const char *expected,
                             const gf__json *found, gf_error *err)
{
    char text[64];
    return gf_error_set(err, GF_EFORMAT, "layer \"%s\": %s: expected %s, found %s", layer, key,
                        expected, found == NULL ? "nothing" : value_text(found, text));
}

static gf_status unsupported_value(const char *layer, const char *key, const char *supported,
                                   const gf__json *found, gf_error *err)
{
    char text[64];
    return gf_error_set(err, GF_EUNSUPPORTED, "layer \"%s\": %s is %s; only %s can be run", layer,
                        key, value_text(found, text), supported);
}

/* null is always right: Keras writes it for "not given". */
static bool has_value(const gf__json *value, const char *want)
{
    if (gf__json_is_null(value))
        return true;
    if (want == NULL)
        return false;
    if (gf__json_is_string(value))
        return strcmp(gf__json_string(value, ""), want) == 0;
    if (gf__json_is_bool(value))
        return strcmp(gf__json_bool(value, false) ? "true" : "false", want) == 0;
    if (gf__json_is_number(value))
        return gf__json_number(value, NAN) == (want[0] - '0') && want[1] == '\0';
    if (!gf__json_is_array(value))
        return false;
    for (size_t i = 0; i < gf__json_n_items(value); i++) {
        const gf__json *item = gf__json_at(value, i);
        if (!gf__json_is_number(item) || !has_value(item, want))
            return false;
    }
    return true;
}

gf_status gf__check_fixed_settings(const gf__json *json, const char *layer, gf_error *err)
{
    for (size_t i = 0; i < sizeof fixed_settings / sizeof fixed_settings[0]; i++) {
        const char *key = fixed_settings[i].key, *want = fixed_settings[i].want;
        const gf__json *value = gf__json_find(json, key);
        if (value != NULL && !has_value(value, want))
            return unsupported_value(layer, key, want != NULL ? want : "null", value, err);
    }
    return GF_OK;
}

/* ---- single settings; `old` is Keras 1's key or NULL ---- */

static const gf__json *find_setting(const gf__json *json, const char *key, const char *old)
{
    const gf__json *value = gf__json_find(json, key);
    if (value == NULL && old != NULL)
        value = gf__json_find(json, old);
    return gf__json_is_null(value) ? NULL : value;
}

/* A whole number in 0..2^31: no dimension is larger, and sums of a few stay far from wrapping. */
static bool is_size(const gf__json *value, size_t least, size_t *out)
{
    const double number = gf__json_number(value, -1.0);
    if (!(number >= (double)least && number <= 2147483648.0) || number != floor(number))
        return false;
    *out = (size_t)number;
    return true;
}

static gf_status read_size(const gf__json *json, const char *layer, const char *key,
                           const char *old, size_t *out, gf_error *err)
{
    const gf__json *value = find_setting(json, key, old);
    if (!is_size(value, 1, out))
        return wrong_value(layer, key, "a whole number of at least 1", value, err);
    return GF_OK;
}

/* [3,3], or 3 for both. */
static bool is_pair(const gf__json *value, size_t least, size_t out[2])
{
    if (gf__json_is_array(value))
        return gf__json_n_items(value) == 2 && is_size(gf__json_at(value, 0), least, &out[0]) &&
               is_size(gf__json_at(value, 1), least, &out[1]);
    if (!is_size(value, least, &out[0]))
        return false;
    out[1] = out[0];
    return true;
}

static gf_status read_flag(const gf__json *json, const char *layer, const char *key,
                           const char *old, bool fallback, bool *out, gf_error *err)
{
    const gf__json *value = find_setting(json, key, old);
    if (value != NULL && !gf__json_is_bool(value))
        return wrong_value(layer, key, "true or false", value, err);
    *out = gf__json_bool(value, fallback);
    return GF_OK;
}

static gf_status read_number(const gf__json *json, const char *layer, const char *key,
                             const char *old, double fallback, double *out, gf_error *err)
{
    const gf__json *value = find_setting(json, key, old);
    if (value != NULL && !gf__json_is_number(value))
        return wrong_value(layer, key, "a number", value, err);
    *out = gf__json_number(value, fallback);
    return GF_OK;
}

static gf_status read_padding_mode(const gf__json *json, gf__layer_config *config, gf_error *err)
{
    const gf__json *value = find_setting(json, "padding", "border_mode");
    const char *mode = gf__json_string(value, value == NULL ? "valid" : "");
    if (strcmp(mode, "valid") != 0 && strcmp(mode, "same") != 0)
        return unsupported_value(config->name, "padding", "\"valid\" or \"same\"", value, err);
    config->is_same_padding = mode[0] == 's';
    return GF_OK;
}

/* Counts the batch: 3 is a picture's last. Whether it is, only the input's shape can tell. */
static gf_status read_axis(const gf__json *json, gf__layer_config *config, const char *old,
                           gf_error *err)
{
    const gf__json *value = find_setting(json, "axis", old);
    const gf__json *axis = gf__json_is_array(value) ? gf__json_at(value, 0) : value;
    if (value == NULL || gf__json_int(axis, 0) == -1)
        return GF_OK;
    if (gf__json_n_items(value) > 1 || !is_size(axis, 1, &config->axis))
        return unsupported_value(config->name, "axis", "the last one", value, err);
    return GF_OK;
}

/* ---- classes ---- */

gf_status gf__read_nothing(const gf__json *json, gf__layer_config *config, gf_error *err)
{
    (void)json;
    (void)config;
    (void)err;
    return GF_OK;
}

gf_status gf__read_input(const gf__json *json, gf__layer_config *config, gf_error *err)
{
    const gf__json *shape = find_setting(json, "batch_input_shape", "batch_shape");
    const size_t n = gf__json_n_items(shape);
    if (!gf__json_is_array(shape) || n < 2 || n > 4)
        return wrong_value(config->name, "batch_input_shape", "[null,299,299,3] or the like", shape,
                           err);
    config->n_input_dims = n - 1;
    for (size_t i = 1; i < n; i++) {
        if (!is_size(gf__json_at(shape, i), 1, &config->input_shape[i - 1]))
            return unsupported_value(config->name, "batch_input_shape", "a fixed size", shape, err);
    }
    return GF_OK;
}

static gf_status read_activation_setting(const gf__json *json, gf__layer_config *config,
                                         gf_error *err)
{
    const gf__json *value = find_setting(json, "activation", NULL);
    if (value == NULL)
        return GF_OK;
    if (!gf__json_is_string(value))
        return unsupported_value(config->name, "activation", "one named by a text", value, err);
    return gf__activation_parse(config->name, gf__json_string(value, ""), &config->activation, err);
}

/* The class Softmax has an axis instead of an activation. */
gf_status gf__read_activation(const gf__json *json, gf__layer_config *config, gf_error *err)
{
    if (find_setting(json, "activation", NULL) != NULL)
        return read_activation_setting(json, config, err);
    if (gf__json_find(json, "axis") == NULL)
        return wrong_value(config->name, "activation", "a text", NULL, err);
    config->activation = GF__ACTIVATION_SOFTMAX;
    return read_axis(json, config, NULL, err);
}

/* What all convolutions have; kernel_size was nb_row and nb_col in Keras 1. */
gf_status gf__read_depthwise(const gf__json *json, gf__layer_config *config, gf_error *err)
{
    const gf__json *kernel = find_setting(json, "kernel_size", NULL);
    const gf__json *strides = find_setting(json, "strides", "subsample");
    gf_status st = GF_OK;
    if (kernel == NULL && gf__json_find(json, "nb_row") != NULL) {
        st = read_size(json, config->name, "nb_row", NULL, &config->kernel[0], err);
        if (st == GF_OK)
            st = read_size(json, config->name, "nb_col", NULL, &config->kernel[1], err);
    } else if (!is_pair(kernel, 1, config->kernel)) {
        st = wrong_value(config->name, "kernel_size", "two whole numbers", kernel, err);
    }
    if (st != GF_OK)
        return st;
    config->strides[0] = config->strides[1] = 1;
    if (strides != NULL && !is_pair(strides, 1, config->strides))
        return wrong_value(config->name, "strides", "two whole numbers", strides, err);
    st = read_padding_mode(json, config, err);
    if (st == GF_OK)
        st = read_activation_setting(json, config, err);
    if (st == GF_OK)
        st = read_flag(json, config->name, "use_bias", "bias", true, &config->has_bias, err);
    return st;
}

gf_status gf__read_conv2d(const gf__json *json, gf__layer_config *config, gf_error *err)
{
    const gf_status st = read_size(json, config->name, "filters", "nb_filter", &config->filters,
                                   err);
    return st == GF_OK ? gf__read_depthwise(json, config, err) : st;
}

gf_status gf__read_batch_normalization(const gf__json *json, gf__layer_config *config,
                                       gf_error *err)
{
    const gf__json *mode = find_setting(json, "mode", NULL);
    if (mode != NULL && !has_value(mode, "0") && !has_value(mode, "2"))
        return unsupported_value(config->name, "mode", "0 (feature-wise)", mode, err);
    gf_status st = read_axis(json, config, NULL, err);
    if (st == GF_OK)
        st = read_flag(json, config->name, "scale", NULL, true, &config->has_scale, err);
    if (st == GF_OK)
        st = read_flag(json, config->name, "center", NULL, true, &config->has_center, err);
    if (st == GF_OK)
        st = read_number(json, config->name, "epsilon", NULL, 1e-3, &config->epsilon, err);
    if (st == GF_OK && !(config->epsilon >= 0.0 && config->epsilon <= 1.0))
        return wrong_value(config->name, "epsilon", "a number in 0..1",
                           gf__json_find(json, "epsilon"), err);
    return st;
}

gf_status gf__read_relu(const gf__json *json, gf__layer_config *config, gf_error *err)
{
    const gf__json *max_value = find_setting(json, "max_value", NULL);
    const gf_status st = read_number(json, config->name, "max_value", NULL, 0.0, &config->max_value,
                                     err);
    if (st == GF_OK && max_value != NULL && !(config->max_value > 0.0))
        return wrong_value(config->name, "max_value", "a positive number", max_value, err);
    return st;
}

gf_status gf__read_pooling(const gf__json *json, gf__layer_config *config, gf_error *err)
{
    const gf__json *size = find_setting(json, "pool_size", NULL);
    const gf__json *strides = find_setting(json, "strides", NULL);
    config->kernel[0] = config->kernel[1] = 2;
    if (size != NULL && !is_pair(size, 1, config->kernel))
        return wrong_value(config->name, "pool_size", "two whole numbers", size, err);
    config->strides[0] = config->kernel[0];
    config->strides[1] = config->kernel[1];
    if (strides != NULL && !is_pair(strides, 1, config->strides))
        return wrong_value(config->name, "strides", "two whole numbers", strides, err);
    return read_padding_mode(json, config, err);
}

gf_status gf__read_concatenate(const gf__json *json, gf__layer_config *config, gf_error *err)
{
    return read_axis(json, config, "concat_axis", err);
}

/* 1, [1,2], [top,bottom,left,right] or [[top,bottom],[left,right]]. */
gf_status gf__read_zero_padding(const gf__json *json, gf__layer_config *config, gf_error *err)
{
    const gf__json *value = find_setting(json, "padding", NULL);
    size_t *p = config->padding;
    bool is_right = false;
    if (gf__json_n_items(value) == 4) {
        is_right = true;
        for (size_t i = 0; i < 4; i++)
            is_right = is_right && is_size(gf__json_at(value, i), 0, &p[i]);
    } else if (gf__json_is_array(gf__json_at(value, 0))) {
        is_right = gf__json_n_items(value) == 2 && is_pair(gf__json_at(value, 0), 0, p) &&
                   is_pair(gf__json_at(value, 1), 0, p + 2);
    } else {
        size_t pair[2] = {1, 1};
        is_right = value == NULL || is_pair(value, 0, pair);
        p[0] = p[1] = pair[0];
        p[2] = p[3] = pair[1];
    }
    if (!is_right)
        return wrong_value(config->name, "padding", "[[top,bottom],[left,right]]", value, err);
    return GF_OK;
}

gf_status gf__read_dense(const gf__json *json, gf__layer_config *config, gf_error *err)
{
    gf_status st = read_size(json, config->name, "units", "output_dim", &config->units, err);
    if (st == GF_OK)
        st = read_activation_setting(json, config, err);
    if (st == GF_OK)
        st = read_flag(json, config->name, "use_bias", "bias", true, &config->has_bias, err);
    return st;
}

gf_status gf__read_dropout(const gf__json *json, gf__layer_config *config, gf_error *err)
{
    const gf_status st = read_number(json, config->name, "rate", "p", 0.0, &config->rate, err);
    if (st == GF_OK && !(config->rate >= 0.0 && config->rate < 1.0))
        return wrong_value(config->name, "rate", "a number in 0..1", gf__json_find(json, "rate"),
                           err);
    return st;
}

gf_status gf__read_merge_class(const gf__json *json, const char *layer, gf__layer_class *out,
                               gf_error *err)
{
    const gf__json *mode = find_setting(json, "mode", NULL);
    if (strcmp(gf__json_string(mode, ""), "concat") == 0)
        *out = GF__LAYER_CONCATENATE;
    else if (strcmp(gf__json_string(mode, ""), "sum") == 0)
        *out = GF__LAYER_ADD;
    else
        return unsupported_value(layer, "mode", "\"concat\" or \"sum\"", mode, err);
    return GF_OK;
}
