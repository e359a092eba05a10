/* zoo/onnx/onnx_shapes.c: constants, and operators that change what is seen of a value and compute nothing. */
#include <string.h>

#include "zoo/onnx/onnx_priv.h"

/* ---- constants ------------------------------------------------------------------------------- */

static void give_constant(const gf__onnx_at *at, gf_tensor *tensor)
{
    gf_tensor_free(at->out->folded);
    at->out->folded = tensor;
    at->out->is_there = true;
}

static gf_status new_constant(const gf__onnx_at *at, gf_dtype dtype, size_t n, bool is_scalar,
                              const void *values, gf_error *err)
{
    gf_tensor *tensor = NULL;
    const gf_status st = gf_tensor_new(dtype, &n, is_scalar ? 0 : 1, &tensor, err);
    if (st != GF_OK)
        return st;
    if (n > 0)
        memcpy(gf_tensor_mutable_data(tensor), values, n * gf_dtype_size(dtype));
    give_constant(at, tensor);
    return GF_OK;
}

gf_status gf__onnx_constant(const gf__onnx_at *at, gf_error *err)
{
    const GfOnnx__Attribute *value = gf__onnx_attribute(at, "value"), *one;
    gf_tensor *tensor = NULL;
    if (value != NULL && value->t != NULL) {
        const gf_status st = gf__onnx_load(at, value->t, &tensor, err);
        if (st == GF_OK)
            give_constant(at, tensor);
        return st;
    }
    if ((one = gf__onnx_attribute(at, "value_float")) != NULL && one->has_f)
        return new_constant(at, GF_DTYPE_F32, 1, true, &one->f, err);
    if ((one = gf__onnx_attribute(at, "value_int")) != NULL && one->has_i)
        return new_constant(at, GF_DTYPE_I64, 1, true, &one->i, err);
    if ((one = gf__onnx_attribute(at, "value_floats")) != NULL)
        return new_constant(at, GF_DTYPE_F32, one->n_floats, false, one->floats, err);
    if ((one = gf__onnx_attribute(at, "value_ints")) != NULL)
        return new_constant(at, GF_DTYPE_I64, one->n_ints, false, one->ints, err);
    return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "of something else than numbers");
}

/* Of a matrix: exporters write a transposed weight so. */
static gf_status transpose_constant(const gf__onnx_at *at, const gf__onnx_value *value,
                                    gf_error *err)
{
    gf_tensor *from = NULL, *to = NULL;
    gf_status st = gf__onnx_floats(at, value, &from, err);
    if (st == GF_OK && gf_tensor_n_dims(from) != 2)
        st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "of a constant that is no matrix");
    if (st != GF_OK) {
        gf_tensor_free(from);
        return st;
    }
    const size_t rows = gf_tensor_shape(from)[0], columns = gf_tensor_shape(from)[1];
    st = gf__onnx_count_weights(at, gf_tensor_n_values(from), err);
    if (st == GF_OK)
        st = gf_tensor_new(GF_DTYPE_F32, (const size_t[]){columns, rows}, 2, &to, err);
    for (size_t i = 0; st == GF_OK && i < rows; i++)
        for (size_t k = 0; k < columns; k++)
            ((float *)gf_tensor_mutable_data(to))[k * rows + i] = gf_tensor_f32(
                from)[i * columns + k];
    if (st == GF_OK)
        give_constant(at, to);
    gf_tensor_free(from);
    return st;
}

/* ---- order and number of dimensions ---------------------------------------------------------- */

static const struct transposition {
    size_t rank;
    int64_t perm[4];
    gf__onnx_layout from, to;
} transpositions[] = {
    {2, {0, 1}, GF__ONNX_VECTOR, GF__ONNX_VECTOR},
    {4, {0, 1, 2, 3}, GF__ONNX_FIRST, GF__ONNX_FIRST},
    {4, {0, 1, 2, 3}, GF__ONNX_LAST, GF__ONNX_LAST},
    {4, {0, 2, 3, 1}, GF__ONNX_FIRST, GF__ONNX_LAST},
    {4, {0, 3, 1, 2}, GF__ONNX_LAST, GF__ONNX_FIRST},
    {4, {0, 2, 3, 1}, GF__ONNX_ONE_FIRST, GF__ONNX_ONE_LAST},
    {4, {0, 3, 1, 2}, GF__ONNX_ONE_LAST, GF__ONNX_ONE_FIRST},
};

gf_status gf__onnx_transpose(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    const GfOnnx__Attribute *perm = gf__onnx_attribute(at, "perm");
    if (gf__onnx_is_constant(input)) {
        const bool is_swap = perm == NULL ||
                             (perm->n_ints == 2 && perm->ints[0] == 1 && perm->ints[1] == 0);
        return is_swap ? transpose_constant(at, input, err)
                       : gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "of a constant");
    }
    for (size_t i = 0; perm != NULL && i < sizeof transpositions / sizeof *transpositions; i++) {
        const struct transposition *t = &transpositions[i];
        if (t->from == input->layout && t->rank == perm->n_ints &&
            memcmp(t->perm, perm->ints, t->rank * sizeof *t->perm) == 0) {
            gf__onnx_pass(at, input, t->to);
            return GF_OK;
        }
    }
    return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                           "another order of dimensions than channels first or last");
}

/* (N,values) of anything. */
static gf_status flatten(const gf__onnx_at *at, const gf__onnx_value *input, gf_error *err)
{
    size_t op = 0, map[3];
    const bool is_map = input->layout == GF__ONNX_FIRST || input->layout == GF__ONNX_LAST;
    if (!is_map) {
        gf__onnx_pass(at, input,
                      input->layout == GF__ONNX_FLAT_FIRST ? GF__ONNX_FLAT_FIRST : GF__ONNX_VECTOR);
        return GF_OK;
    }
    gf__op_shape(at->model->ops, input->op, map);
    const gf_status st = gf__op_flatten(at->model->ops, at->name, input->op, &op, err);
    if (st != GF_OK)
        return st;
    const bool is_turned = input->layout == GF__ONNX_FIRST && map[0] * map[1] > 1;
    gf__onnx_give(at, op, is_turned ? GF__ONNX_FLAT_FIRST : GF__ONNX_VECTOR);
    memcpy(at->out->map, map, sizeof map);
    at->out->is_not_negative = input->is_not_negative;
    return GF_OK;
}

gf_status gf__onnx_flatten(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    const int64_t axis = gf__onnx_int_of(at, "axis", 1);
    if (gf__onnx_is_constant(input) || gf__onnx_axis(axis, gf__onnx_rank(input)) != 1)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "only from axis 1 on, found %lld",
                               (long long)axis);
    return flatten(at, input, err);
}

/* The batch: copied, left open, or the 1 that it was exported with. */
static bool is_batch(int64_t dim)
{
    return dim == 0 || dim == -1 || dim == 1;
}

gf_status gf__onnx_reshape(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    int64_t to[4] = {0};
    size_t n = 0, shape[3], n_values = 1;
    gf_status st = gf__onnx_whole(at, gf__onnx_input(at, 1), to, 4, &n, err);
    if (st != GF_OK)
        return st;
    if (gf__onnx_is_constant(input))
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "of a constant");
    const size_t n_dims = gf__op_shape(at->model->ops, input->op, shape);
    for (size_t i = 0; i < n_dims; i++)
        n_values *= shape[i]; /* bounded: the builder checked it */
    const bool is_vector = n_dims == 1 && input->layout != GF__ONNX_FLAT_FIRST;
    if (n == 2 && is_batch(to[0]) && (to[1] == (int64_t)n_values || (to[1] == -1 && to[0] != -1)))
        return flatten(at, input, err);
    if (n == 4 && is_vector && is_batch(to[0]) && to[1] == (int64_t)n_values && to[2] == 1 &&
        to[3] == 1) {
        gf__onnx_pass(at, input, GF__ONNX_ONE_FIRST);
        return GF_OK;
    }
    if (n == 4 && is_vector && is_batch(to[0]) && to[1] == 1 && to[2] == 1 &&
        to[3] == (int64_t)n_values) {
        gf__onnx_pass(at, input, GF__ONNX_ONE_LAST);
        return GF_OK;
    }
    return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                           "%zu values of each picture to %zu dimensions (%lld,%lld,...); only "
                           "flattening can be run",
                           n_values, n, (long long)to[0], (long long)to[1]);
}

/* Whether the axes are height and width of a map with channels at channel_axis. */
static bool are_pixels(const int64_t axes[4], size_t n, size_t channel_axis)
{
    const int64_t height = channel_axis == 1 ? 2 : 1;
    return n == 2 && ((axes[0] == height && axes[1] == height + 1) ||
                      (axes[1] == height && axes[0] == height + 1));
}

gf_status gf__onnx_squeeze(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    int64_t axes[4] = {0};
    size_t n = 0;
    const bool is_one = !gf__onnx_is_constant(input) &&
                        (input->layout == GF__ONNX_ONE_FIRST || input->layout == GF__ONNX_ONE_LAST);
    const gf_status st = gf__onnx_axes(at, 4, axes, &n, err);
    if (st != GF_OK)
        return st;
    if (!is_one || !are_pixels(axes, n, gf__onnx_channel_axis(input)))
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                               "only height and width of a map of one pixel, named as axes");
    gf__onnx_pass(at, input, GF__ONNX_VECTOR);
    return GF_OK;
}

gf_status gf__onnx_unsqueeze(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    int64_t axes[4] = {0};
    size_t n = 0;
    const gf_status st = gf__onnx_axes(at, 4, axes, &n, err);
    if (st != GF_OK)
        return st;
    const bool is_vector = !gf__onnx_is_constant(input) && input->layout == GF__ONNX_VECTOR;
    if (gf__onnx_is_channel(input) && input->layout == GF__ONNX_CHANNEL && n == 1 && axes[0] == 1) {
        const gf_status scaled = gf__onnx_scale_channel(at, input, 1.0, 0.0, err);
        at->out->layout = GF__ONNX_CHANNEL_FIRST;
        return scaled;
    }
    if (!is_vector || (!are_pixels(axes, n, 1) && !are_pixels(axes, n, 3)))
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "only a vector to a map of one pixel");
    gf__onnx_pass(at, input, are_pixels(axes, n, 1) ? GF__ONNX_ONE_FIRST : GF__ONNX_ONE_LAST);
    return GF_OK;
}

/* Between kinds of reals; graft computes in its own. */
gf_status gf__onnx_cast(const gf__onnx_at *at, gf_error *err)
{
    const int64_t to = gf__onnx_int_of(at, "to", 0);
    enum { FLOAT = 1, FLOAT16 = 10, DOUBLE = 11, BFLOAT16 = 16 };
    if (to != FLOAT && to != FLOAT16 && to != DOUBLE && to != BFLOAT16)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "to data type %lld, expected a real one",
                               (long long)to);
    return gf__onnx_same(at, err);
}

gf_status gf__onnx_same(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    gf_tensor *tensor = NULL;
    if (gf__onnx_is_channel(input))
        return gf__onnx_scale_channel(at, input, 1.0, 0.0, err);
    if (!gf__onnx_is_constant(input)) {
        gf__onnx_pass(at, input, input->layout);
        return GF_OK;
    }
    const gf_status st = gf__onnx_load_value(at, input, &tensor, err);
    if (st == GF_OK)
        give_constant(at, tensor);
    return st;
}
