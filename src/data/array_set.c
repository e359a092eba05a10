/* array_set.c: arrays that a caller has in memory as a data set: a notebook's pictures, a program's
 * rows. Items are called as those of an .npz, so that the same arrays are the same data set whether
 * they come from a file or not. */
#include <stdio.h>

#include "data/dataset_priv.h"

static gf_status check_size(const gf_dataset_arrays *arrays, gf_error *err)
{
    if (arrays->n == 0)
        return gf_error_set(err, GF_EINVAL, "arrays: no items, expected at least one");
    if (arrays->width == 0 || (arrays->kind == GF_SAMPLE_PIXELS && arrays->height == 0))
        return gf_error_set(err, GF_ESHAPE, "arrays: items of %zu x %zu values, expected some",
                            arrays->width, arrays->height);
    return GF_OK;
}

/* Pixels stay where they are; rows of numbers are copied, which checks and names their columns. */
static gf_status take_values(gf_dataset *set, const gf_dataset_arrays *arrays, gf_error *err)
{
    const bool is_pixels = arrays->kind == GF_SAMPLE_PIXELS;
    const size_t pixels[4] = {arrays->n, arrays->height, arrays->width, 3};
    const size_t rows[2] = {arrays->n, arrays->width};
    gf_tensor *view = NULL;

    gf_status st = gf__tensor_view(is_pixels ? GF_DTYPE_U8 : GF_DTYPE_F32,
                                   is_pixels ? pixels : rows, is_pixels ? 4 : 2, arrays->values,
                                   &view, err);
    if (st == GF_OK && !is_pixels)
        st = gf__number_rows_take(set, &view, err);
    if (st != GF_OK) {
        gf_tensor_free(view);
        return st;
    }
    set->features = view;
    return GF_OK;
}

static gf_status name_items(gf_dataset *set, size_t n, gf_error *err)
{
    gf_status st = GF_OK;

    for (size_t i = 0; i < n && st == GF_OK; i++) {
        char name[40];

        snprintf(name, sizeof name, "features[%zu]", i);
        st = gf__dataset_add(set, name, 0, 0, err);
    }
    return st;
}

static gf_status label_items(gf_dataset *set, const gf_dataset_arrays *arrays, gf_error *err)
{
    int64_t *numbers = gf__calloc(arrays->n, sizeof *numbers);

    if (numbers == NULL)
        return gf__error_nomem(err, "labels", arrays->n * sizeof *numbers);
    for (size_t i = 0; i < arrays->n && arrays->labels != NULL; i++)
        numbers[i] = arrays->labels[i] <= INT64_MAX ? (int64_t)arrays->labels[i] : INT64_MAX;
    const gf_status st = gf__labels_from_numbers(set, numbers, arrays->class_names,
                                                 arrays->n_class_names, err);
    gf__free(numbers);
    return st;
}

gf_status gf_dataset_new(const gf_dataset_arrays *arrays, gf_dataset **out, gf_error *err)
{
    gf_dataset *set = NULL;

    *out = NULL;
    if (arrays->kind != GF_SAMPLE_PIXELS && arrays->kind != GF_SAMPLE_NUMBERS)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "arrays: kind %d, expected GF_SAMPLE_PIXELS or GF_SAMPLE_NUMBERS",
                            (int)arrays->kind);
    gf_status st = check_size(arrays, err);
    if (st == GF_OK)
        st = gf__dataset_new("arrays", &set, err);
    if (st != GF_OK)
        return st;
    set->kind = "arrays";
    st = take_values(set, arrays, err);
    if (st == GF_OK)
        st = name_items(set, arrays->n, err);
    if (st == GF_OK)
        st = label_items(set, arrays, err);
    if (st != GF_OK) {
        gf_dataset_free(set);
        return st;
    }
    *out = set;
    return GF_OK;
}
