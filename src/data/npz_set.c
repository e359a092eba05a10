/* npz_set.c: the article's data set, numpy.savez(features=..., labels=...[, classes=...]).
 *
 * Pictures are bytes, or floats that Keras' preprocess_input() has brought to [-1,1]. Floats of
 * another range are refused: a network fed with them answers without an error and is wrong. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset_priv.h"

/* Rounding in float16, or of a resize after the scaling, may step over the edge by this. */
#define RANGE_SLACK 0.01F

/* Names of the members, for a message. */
static void list_members(const gf_npz *file, char *text, size_t n_bytes)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < gf_npz_n_members(file) && used < n_bytes; i++) {
        const int n = snprintf(text + used, n_bytes - used, "%s%s", i > 0 ? ", " : "",
                               gf_npz_name_at(file, i));
        used += n > 0 ? (size_t)n : 0;
    }
}

static gf_status check_members(const gf_npz *file, gf_error *err)
{
    char found[200];

    if (gf_npz_has(file, "features") && gf_npz_has(file, "labels"))
        return GF_OK;
    list_members(file, found, sizeof found);
    return gf_error_set(err, GF_EFORMAT, "has the arrays %s; expected 'features' and 'labels'",
                        found[0] != '\0' ? found : "(none)");
}

static bool is_table(const gf_tensor *features)
{
    const size_t *shape = gf_tensor_shape(features);
    return gf_tensor_n_dims(features) == 2 && shape[0] > 0 && shape[1] > 0;
}

static gf_status check_shape(const gf_tensor *features, gf_error *err)
{
    char text[GF__SHAPE_TEXT];
    const size_t *shape = gf_tensor_shape(features);
    const size_t n_dims = gf_tensor_n_dims(features);
    const char *hint = "";

    if (n_dims == 4 && shape[0] > 0 && shape[1] > 0 && shape[2] > 0 && shape[3] == 3)
        return GF_OK;
    if (n_dims == 4 && shape[1] == 3)
        hint = "; channels come last: features.transpose(0, 2, 3, 1)";
    else if (n_dims == 3 || (n_dims == 4 && shape[3] == 1))
        hint = "; grey becomes RGB by repeating it: numpy.repeat(grey, 3, axis=3)";
    return gf_error_set(err, GF_ESHAPE, "features: shape is %s, expected (N,height,width,3)%s",
                        gf__shape_text(shape, n_dims, text), hint);
}

/* Which picture a value is of. */
static size_t picture_of(const gf_tensor *tensor, size_t value)
{
    return value / (gf_tensor_n_values(tensor) / gf_tensor_shape(tensor)[0]);
}

static gf_status check_floats(const gf_tensor *features, gf_error *err)
{
    const float *values = gf_tensor_f32(features);
    const size_t n = gf_tensor_n_values(features);
    float low = 0.0F, high = 0.0F;

    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i]))
            return gf_error_set(err, GF_EFORMAT, "features[%zu]: has a value that is not a number",
                                picture_of(features, i));
        low = i == 0 || values[i] < low ? values[i] : low;
        high = i == 0 || values[i] > high ? values[i] : high;
    }
    if (low < -1.0F - RANGE_SLACK || high > 1.0F + RANGE_SLACK)
        return gf_error_set(
            err, GF_EFORMAT,
            "features: floats from %g to %g; expected bytes 0 to 255 (features.astype('uint8')) or "
            "floats in [-1,1] (features / 127.5 - 1)",
            (double)low, (double)high);
    if (low >= 0.0F && high > 0.0F)
        return gf_error_set(err, GF_EFORMAT,
                            "features: floats from %g to %g look scaled to [0,1]; expected [-1,1] "
                            "(features * 2 - 1) or bytes",
                            (double)low, (double)high);
    return GF_OK;
}

/* Other whole numbers are pixels too if they are all bytes: numpy makes int64 of a list. */
static gf_status bytes_from_integers(gf_tensor **features, gf_error *err)
{
    gf_status st;
    gf_tensor *floats = NULL, *bytes = NULL;
    const gf_tensor *old = *features;

    st = gf_tensor_to_f32(old, &floats, err);
    if (st == GF_OK)
        st = gf_tensor_new(GF_DTYPE_U8, gf_tensor_shape(old), gf_tensor_n_dims(old), &bytes, err);
    for (size_t i = 0; st == GF_OK && i < gf_tensor_n_values(floats); i++) {
        const float value = gf_tensor_f32(floats)[i];

        if (value >= 0.0F && value <= 255.0F)
            ((uint8_t *)gf_tensor_mutable_data(bytes))[i] = (uint8_t)value;
        else
            st = gf_error_set(err, GF_EFORMAT, "features[%zu]: has the value %g, expected 0 to 255",
                              picture_of(floats, i), (double)value);
    }
    gf_tensor_free(floats);
    if (st != GF_OK) {
        gf_tensor_free(bytes);
        return st;
    }
    gf_tensor_free(*features);
    *features = bytes;
    return GF_OK;
}

/* Leaves uint8, or float32 that is in range. */
static gf_status normalise_features(gf_tensor **features, gf_error *err)
{
    gf_status st;
    gf_tensor *floats = NULL;

    switch (gf_tensor_dtype(*features)) {
    case GF_DTYPE_U8:
        return GF_OK;
    case GF_DTYPE_F32:
        return check_floats(*features, err);
    case GF_DTYPE_F64:
    case GF_DTYPE_F16:
    case GF_DTYPE_BF16:
        st = gf_tensor_to_f32(*features, &floats, err);
        if (st != GF_OK)
            return st;
        gf_tensor_free(*features);
        *features = floats;
        return check_floats(*features, err);
    case GF_DTYPE_I8:
    case GF_DTYPE_U16:
    case GF_DTYPE_I16:
    case GF_DTYPE_U32:
    case GF_DTYPE_I32:
    case GF_DTYPE_U64:
    case GF_DTYPE_I64:
        return bytes_from_integers(features, err);
    case GF_DTYPE_BOOL:
        break;
    }
    return gf_error_set(err, GF_EFORMAT, "features: %s, expected uint8 or float32",
                        gf_dtype_name(gf_tensor_dtype(*features)));
}

static gf_status add_items(gf_dataset *set, size_t n, gf_error *err)
{
    gf_status st = GF_OK;

    for (size_t i = 0; i < n && st == GF_OK; i++) {
        char name[40];

        snprintf(name, sizeof name, "features[%zu]", i);
        st = gf__dataset_add(set, name, 0, 0, err);
    }
    return st;
}

/* ---- labels ---------------------------------------------------------------------------------- */

/* Row i of one-hot labels (N,K): the one column that is 1. */
static bool hot_column(const float *row, size_t K, int64_t *column)
{
    size_t n_hot = 0;

    for (size_t k = 0; k < K; k++) {
        if (row[k] == 1.0F) {
            *column = (int64_t)k;
            n_hot++;
        } else if (row[k] != 0.0F) {
            return false;
        }
    }
    return n_hot == 1;
}

/* One whole number an item, from (N), (N,1) or one-hot (N,K). */
static gf_status read_numbers(const gf_tensor *labels, size_t n, int64_t *numbers, gf_error *err)
{
    gf_tensor *floats = NULL;
    const size_t K = gf_tensor_n_dims(labels) == 2 ? gf_tensor_shape(labels)[1] : 1;
    /* Exact: classes are far fewer than the 2^24 up to which a float holds every whole number. */
    gf_status st = gf_tensor_to_f32(labels, &floats, err);

    for (size_t i = 0; st == GF_OK && i < n; i++) {
        const float *row = gf_tensor_f32(floats) + i * K;

        if (K == 1 && row[0] >= 0.0F && row[0] < (float)GF__MAX_CLASSES && row[0] == floorf(row[0]))
            numbers[i] = (int64_t)row[0];
        else if (K == 1)
            st = gf_error_set(err, GF_EFORMAT,
                              "labels[%zu]: is %g, expected a class number from 0 to %d", i,
                              (double)row[0], GF__MAX_CLASSES - 1);
        else if (!hot_column(row, K, &numbers[i]))
            st = gf_error_set(err, GF_EFORMAT,
                              "labels[%zu]: not one-hot, expected a single 1 and zeros", i);
    }
    gf_tensor_free(floats);
    return st;
}

static gf_status check_label_shape(const gf_tensor *labels, size_t n, gf_error *err)
{
    char text[GF__SHAPE_TEXT];
    const size_t *shape = gf_tensor_shape(labels);
    const size_t n_dims = gf_tensor_n_dims(labels);

    if ((n_dims == 1 || (n_dims == 2 && shape[1] > 0 && shape[1] <= GF__MAX_CLASSES)) &&
        shape[0] == n)
        return GF_OK;
    return gf_error_set(err, GF_ESHAPE,
                        "labels: shape is %s, expected (%zu) as features, or one-hot (%zu,K)",
                        gf__shape_text(shape, n_dims, text), n, n);
}

/* The largest class of one-hot labels is K - 1 also where no item has it. */
static gf_status check_one_hot_classes(const gf_tensor *labels, size_t n_classes, gf_error *err)
{
    const size_t K = gf_tensor_n_dims(labels) == 2 ? gf_tensor_shape(labels)[1] : 1;

    if (K > 1 && n_classes > 0 && K != n_classes)
        return gf_error_set(err, GF_ESHAPE, "labels: one-hot of %zu classes, but %zu are named", K,
                            n_classes);
    return GF_OK;
}

static gf_status resolve_numbers(gf_dataset *set, const gf_tensor *labels,
                                 const char *const *class_names, size_t n_class_names,
                                 gf_error *err)
{
    gf_status st;
    const size_t n = set->n_items;
    int64_t *numbers = NULL;

    st = check_label_shape(labels, n, err);
    if (st != GF_OK)
        return st;
    st = check_one_hot_classes(labels, n_class_names, err);
    if (st != GF_OK)
        return st;
    numbers = gf__calloc(n, sizeof *numbers);
    if (numbers == NULL)
        return gf__error_nomem(err, "labels", n * sizeof *numbers);
    st = read_numbers(labels, n, numbers, err);
    if (st == GF_OK)
        st = gf__labels_from_numbers(set, numbers, class_names, n_class_names, err);
    gf__free(numbers);
    return st;
}

typedef struct class_key {
    const char *name;
    size_t k;
} class_key;

static int compare_names(const void *left, const void *right)
{
    return strcmp(((const class_key *)left)->name, ((const class_key *)right)->name);
}

/* By name, and of equal names the first class before the others. */
static int compare_keys(const void *left, const void *right)
{
    const class_key *a = left, *b = right;
    const int order = compare_names(a, b);

    if (order != 0)
        return order;
    return a->k < b->k ? -1 : a->k > b->k;
}

/* Each label's class, the first of its name. Sorted, since both lists may be long. */
static gf_status label_by_name(gf_dataset *set, char *const *names, char *const *classes,
                               size_t n_classes, gf_error *err)
{
    gf_status st = GF_OK;
    class_key *keys = gf__calloc(n_classes, sizeof *keys);
    size_t n_keys = 0;

    if (keys == NULL)
        return gf__error_nomem(err, "classes", n_classes * sizeof *keys);
    for (size_t k = 0; k < n_classes; k++)
        keys[k] = (class_key){classes[k], k};
    qsort(keys, n_classes, sizeof *keys, compare_keys);
    for (size_t k = 0; k < n_classes; k++) {
        if (n_keys == 0 || compare_names(&keys[n_keys - 1], &keys[k]) != 0)
            keys[n_keys++] = keys[k];
    }
    for (size_t i = 0; i < set->n_items && st == GF_OK; i++) {
        const class_key wanted = {names[i], 0};
        const class_key *found = bsearch(&wanted, keys, n_keys, sizeof *keys, compare_names);

        if (found == NULL)
            st = gf_error_set(err, GF_EFORMAT, "labels[%zu]: '%s' is none of the %zu classes", i,
                              names[i], n_classes);
        else
            set->items[i].label = found->k;
    }
    gf__free(keys);
    return st;
}

/* Labels that are names. With classes their order counts, and every label must be one of them. */
static gf_status resolve_names(gf_dataset *set, char **names, size_t n_names, char *const *classes,
                               size_t n_classes, gf_error *err)
{
    static const gf_dataset_options no_options = {0};
    gf_status st = GF_OK;

    if (n_names != set->n_items)
        return gf_error_set(err, GF_ESHAPE, "labels: %zu, but features has %zu pictures", n_names,
                            set->n_items);
    if (n_classes == 0)
        return gf__labels_resolve(set, &(gf__names){names, n_names, n_names}, &no_options, err);
    if (n_classes > GF__MAX_CLASSES)
        return gf_error_set(err, GF_ELIMIT, "classes: %zu names, expected at most %d", n_classes,
                            GF__MAX_CLASSES);
    st = label_by_name(set, names, classes, n_classes, err);
    for (size_t k = 0; k < n_classes && st == GF_OK; k++)
        st = gf__names_add(&set->classes, classes[k], err);
    return st;
}

static gf_status read_labels(gf_dataset *set, gf_npz *file, const gf_dataset_options *options,
                             gf_error *err)
{
    gf_status st = GF_OK;
    char **classes = NULL, **names = NULL;
    size_t n_classes = 0, n_names = 0;
    gf_tensor *labels = NULL;

    if (gf_npz_has(file, "classes")) {
        st = gf_npz_load_strings(file, "classes", &classes, &n_classes, err);
        if (st != GF_OK)
            goto done;
    }
    if (gf_npz_load_strings(file, "labels", &names, &n_names, NULL) == GF_OK) {
        st = resolve_names(set, names, n_names, classes, n_classes, err);
        goto done;
    }
    st = gf_npz_load(file, "labels", &labels, err);
    if (st != GF_OK)
        goto done;
    if (n_classes > 0)
        st = resolve_numbers(set, labels, (const char *const *)classes, n_classes, err);
    else
        st = resolve_numbers(set, labels, options->class_names, options->n_class_names, err);
done:
    gf_tensor_free(labels);
    gf_strings_free(names);
    gf_strings_free(classes);
    return st;
}

static gf_status read_features(gf_dataset *set, gf_npz *file, gf_tensor **out, gf_error *err)
{
    gf_tensor *features = NULL;
    gf_status st = gf_npz_load(file, "features", &features, err);

    *out = NULL;
    if (st == GF_OK && is_table(features)) {
        st = gf__number_rows_take(set, &features, err);
    } else if (st == GF_OK) {
        st = check_shape(features, err);
        if (st == GF_OK)
            st = normalise_features(&features, err);
    }
    if (st != GF_OK) {
        gf_tensor_free(features);
        return st;
    }
    *out = features;
    return GF_OK;
}

static gf_status warn_empty_classes(const gf_dataset *set, const gf_observer *obs, gf_error *err)
{
    bool *has_items = gf__calloc(set->classes.n, sizeof *has_items);

    if (has_items == NULL)
        return gf__error_nomem(err, "classes", set->classes.n);
    for (size_t i = 0; i < set->n_items; i++)
        has_items[set->items[i].label] = true;
    for (size_t k = 0; k < set->classes.n; k++) {
        if (!has_items[k])
            gf__observe_log(obs, GF_LOG_WARNING, "%s: no picture of class '%s'", set->path,
                            set->classes.at[k]);
    }
    gf__free(has_items);
    return GF_OK;
}

gf_status gf__npz_set_read(gf_dataset *set, const gf_dataset_options *options,
                           const gf_observer *obs, gf_error *err)
{
    gf_status st;
    gf_npz *file = NULL;

    set->kind = "npz";
    st = gf_npz_open(set->path, &file, err);
    if (st != GF_OK)
        return st;
    if (!options->is_unlabelled) /* features are looked for by name below */
        st = check_members(file, err);
    if (st != GF_OK)
        goto done;
    st = read_features(set, file, &set->features, err);
    if (st != GF_OK)
        goto done;
    st = add_items(set, gf_tensor_shape(set->features)[0], err);
    if (st != GF_OK)
        goto done;
    st = options->is_unlabelled ? gf__names_add(&set->classes, GF__UNLABELLED, err)
                                : read_labels(set, file, options, err);
    if (st == GF_OK && set->columns.n == 0) /* a table's rows are hashed faster than found */
        st = gf__dataset_keep_hashes(set, err);
    if (st != GF_OK)
        goto done;
    st = warn_empty_classes(set, obs, err);
done:
    gf_npz_close(file);
    return st;
}
