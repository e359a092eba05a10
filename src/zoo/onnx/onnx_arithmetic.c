/* zoo/onnx/onnx_arithmetic.c: ONNX' operators that are layers only together with what stands beside them: sums
 * and products with constants (biases, scalings, normalizations), and matrices (Dense). */
#include <math.h>
#include <string.h>

#include "zoo/onnx/onnx_priv.h"

/* ---- sums and products ----------------------------------------------------------------------- */

/* y = x * scale + shift, of all channels or of each: n is 1 or the number of channels. */
typedef struct affine {
    const double *scale, *shift;
    size_t n;
} affine;

/* A constant beside a value: one number, or one a channel. */
static gf_status check_broadcast(const gf__onnx_at *at, const gf__onnx_value *value,
                                 const gf_tensor *constant, gf_error *err)
{
    char text[GF__SHAPE_TEXT];
    const size_t n_dims = gf_tensor_n_dims(constant), rank = gf__onnx_rank(value);
    const size_t *shape = gf_tensor_shape(constant), n = gf_tensor_n_values(constant);
    const bool is_single = value->layout == GF__ONNX_FLAT_FIRST || gf__onnx_is_channel(value);
    bool fits = n_dims <= rank && (n == 1 || !is_single);
    for (size_t i = 0; i < n_dims && fits; i++) {
        const bool is_channel = n_dims - i == rank - gf__onnx_channel_axis(value);
        fits = shape[i] == 1 || (is_channel && shape[i] == gf__onnx_n_channels(at, value));
    }
    if (fits && n > 0)
        return GF_OK;
    return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                           "a constant of shape %s; only one number, or one a channel, can be run",
                           gf__shape_text(shape, n_dims, text));
}

/* What the node does to the value, whose constant is the other input. */
static gf_status read_affine(const gf__onnx_at *at, const gf_tensor *constant, bool is_first,
                             double *scale, double *shift, gf_error *err)
{
    const char *op = at->node->op_type;
    const float *values = gf_tensor_f32(constant);
    const bool is_sum = op[0] == 'A', is_difference = op[0] == 'S', is_product = op[0] == 'M';
    if (is_first && !is_sum && !is_difference && !is_product)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "divides a constant by what is computed");
    for (size_t i = 0; i < gf_tensor_n_values(constant); i++) {
        const double k = (double)values[i];
        scale[i] = is_sum ? 1 : is_difference ? (is_first ? -1 : 1) : is_product ? k : 1 / k;
        shift[i] = is_sum ? k : is_difference ? (is_first ? k : -k) : 0;
    }
    return GF_OK;
}

static bool is_all_same(const double *values, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (values[i] != values[0])
            return false;
    return true;
}

/* n channels of `values`, or of the one number that is for all. */
static gf_status new_vector(const gf__onnx_at *at, const double *values, size_t n_values, size_t n,
                            gf_tensor **out, gf_error *err)
{
    gf_status st = n_values == 1 ? gf__plain_norm_vector(n, (float)values[0], out, err)
                                 : gf_tensor_new(GF_DTYPE_F32, &n, 1, out, err);
    for (size_t i = 0; st == GF_OK && n_values != 1 && i < n; i++)
        ((float *)gf_tensor_mutable_data(*out))[i] = (float)values[i];
    return st == GF_OK ? gf__onnx_count_weights(at, n, err) : st;
}

/* A normalization with mean 0 and variance 1. */
static gf_status normalize(const gf__onnx_at *at, const gf__onnx_value *value, const affine *a,
                           size_t *op, gf_error *err)
{
    const size_t n = gf__onnx_n_channels(at, value);
    gf__op_norm norm = {0};
    gf_status st = new_vector(at, (const double[]){0.0}, 1, n, &norm.mean, err);
    if (st == GF_OK)
        st = new_vector(at, (const double[]){1.0}, 1, n, &norm.variance, err);
    if (st == GF_OK && !(a->scale[0] == 1.0 && is_all_same(a->scale, a->n)))
        st = new_vector(at, a->scale, a->n, n, &norm.gamma, err);
    if (st == GF_OK)
        st = new_vector(at, a->shift, a->n, n, &norm.beta, err);
    if (st == GF_OK)
        st = gf__op_batch_norm(at->model->ops, at->name, value->op, &norm, op, err);
    gf_tensor_free(norm.mean);
    gf_tensor_free(norm.variance);
    gf_tensor_free(norm.gamma);
    gf_tensor_free(norm.beta);
    return st;
}

gf_status gf__onnx_apply_affine(const gf__onnx_at *at, const gf__onnx_value *value,
                                const double *scale, const double *shift, size_t n, gf_error *err)
{
    const affine how = {scale, shift, n}, *a = &how;
    size_t op = 0;
    gf_tensor *bias = NULL;
    gf_status st = GF_OK;
    const bool is_one = is_all_same(a->scale, a->n) && is_all_same(a->shift, a->n);
    const bool is_bias = is_all_same(a->scale, a->n) && a->scale[0] == 1.0;
    for (size_t i = 0; i < a->n && st == GF_OK; i++)
        if (!(fabs(a->scale[i]) < 3e38 && fabs(a->shift[i]) < 3e38))
            st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "a constant that is no number");
    if (st != GF_OK)
        return st;
    if (value->is_input && is_one) {
        st = gf__op_affine(at->model->ops, at->name, value->op, a->scale[0], a->shift[0], &op, err);
    } else if (is_bias && value->can_take_bias && value->n_uses == 1) {
        st = new_vector(at, a->shift, a->n, gf__onnx_n_channels(at, value), &bias, err);
        if (st == GF_OK)
            st = gf__op_bias(at->model->ops, at->name, value->op, bias, &op, err);
    } else if (value->layout == GF__ONNX_FLAT_FIRST) {
        st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "on a map flattened with channels first");
    } else {
        st = normalize(at, value, a, &op, err);
    }
    if (st == GF_OK)
        gf__onnx_give(at, op, value->layout);
    at->out->is_input = value->is_input && is_one;
    gf_tensor_free(bias);
    return st;
}

static gf_status add_values(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *first = gf__onnx_input(at, 0);
    const size_t n = at->node->n_input;
    size_t op = 0;
    gf_status st = GF_OK;
    bool is_not_negative = true;
    size_t *ops = gf__calloc(n, sizeof *ops);
    if (ops == NULL)
        return gf__error_nomem(err, "inputs of a node", n * sizeof *ops);
    for (size_t i = 0; i < n && st == GF_OK; i++) {
        const gf__onnx_value *value = gf__onnx_input(at, i);
        /* The map decides the order of a flattened one's values. */
        if (gf__onnx_is_constant(value) || gf__onnx_is_channel(value) ||
            value->layout != first->layout ||
            (value->layout == GF__ONNX_FLAT_FIRST &&
             memcmp(value->map, first->map, sizeof first->map) != 0))
            st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                                 "adds \"%.40s\" and \"%.40s\", which are not alike", first->name,
                                 value->name);
        ops[i] = value->op;
        is_not_negative = is_not_negative && value->is_not_negative;
    }
    if (st == GF_OK && n == 1)
        op = ops[0];
    else if (st == GF_OK)
        st = gf__op_add(at->model->ops, at->name, ops, n, &op, err);
    if (st == GF_OK)
        gf__onnx_give(at, op, first->layout);
    memcpy(at->out->map, first->map, sizeof first->map);
    at->out->is_not_negative = is_not_negative;
    gf__free(ops);
    return st;
}

gf_status gf__onnx_sum(const gf__onnx_at *at, gf_error *err)
{
    return add_values(at, err);
}

/* A value and the constant beside it. */
static gf_status run_affine(const gf__onnx_at *at, const gf__onnx_value *value,
                            const gf_tensor *constant, bool is_first, gf_error *err)
{
    const size_t n = gf_tensor_n_values(constant);
    gf_status st = check_broadcast(at, value, constant, err);
    if (st != GF_OK)
        return st;
    double *scale = gf__calloc(n, sizeof *scale), *shift = gf__calloc(n, sizeof *shift);
    if (scale == NULL || shift == NULL)
        st = gf__error_nomem(err, "a scaling", n * sizeof *scale);
    if (st == GF_OK)
        st = read_affine(at, constant, is_first, scale, shift, err);
    if (st == GF_OK && gf__onnx_is_channel(value))
        st = gf__onnx_scale_channel(at, value, scale[0], shift[0], err);
    else if (st == GF_OK)
        st = gf__onnx_apply_affine(at, value, scale, shift, n, err);
    gf__free(scale);
    gf__free(shift);
    return st;
}

gf_status gf__onnx_arithmetic(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *a = gf__onnx_input(at, 0), *b = gf__onnx_input(at, 1);
    const bool is_first = gf__onnx_is_constant(a), is_second = gf__onnx_is_constant(b);
    gf_tensor *constant = NULL;
    if (is_first && is_second)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "computes with constants only");
    if (!is_first && !is_second && strcmp(at->node->op_type, "Add") == 0)
        return add_values(at, err);
    if (!is_first && !is_second)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "of two values that are both computed");
    gf_status st = gf__onnx_floats(at, is_first ? a : b, &constant, err);
    if (st == GF_OK)
        st = run_affine(at, is_first ? b : a, constant, is_first, err);
    gf_tensor_free(constant);
    return st;
}

/* ---- Dense ----------------------------------------------------------------------------------- */

/* Row r of a kernel for a map that was flattened with channels first, in the order of Keras' Flatten. */
static size_t first_row(const size_t map[3], size_t r)
{
    const size_t c = r % map[2], pixel = r / map[2];
    return c * map[0] * map[1] + pixel;
}

/* (I,O), or (O,I) where is_turned, into (I,O). */
static gf_status turn_matrix(const gf__onnx_at *at, const gf__onnx_value *input,
                             const gf_tensor *matrix, bool is_turned, gf_tensor **out,
                             gf_error *err)
{
    char text[GF__SHAPE_TEXT];
    const size_t *shape = gf_tensor_shape(matrix);
    if (gf_tensor_n_dims(matrix) != 2)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                               "its matrix has shape %s, expected two dimensions",
                               gf__shape_text(shape, gf_tensor_n_dims(matrix), text));
    const size_t I = shape[is_turned ? 1 : 0], O = shape[is_turned ? 0 : 1];
    const bool is_flat = input->layout == GF__ONNX_FLAT_FIRST;
    if (I != gf__onnx_n_channels(at, input) || O == 0)
        return gf__onnx_refuse(at, GF_ESHAPE, err, "its matrix takes %zu values, %zu come in", I,
                               gf__onnx_n_channels(at, input));
    const gf_status st = gf_tensor_new(GF_DTYPE_F32, (const size_t[]){I, O}, 2, out, err);
    if (st != GF_OK)
        return st;
    const float *from = gf_tensor_f32(matrix);
    float *to = gf_tensor_mutable_data(*out);
    for (size_t i = 0; i < I; i++) {
        const size_t row = is_flat ? first_row(input->map, i) : i;
        for (size_t o = 0; o < O; o++)
            to[i * O + o] = from[is_turned ? o * I + row : row * O + o];
    }
    return GF_OK;
}

/* Gemm's C: (O), or something that broadcasts to it. */
static gf_status read_bias(const gf__onnx_at *at, const gf__onnx_value *value, size_t n,
                           gf_tensor **out, gf_error *err)
{
    gf_tensor *found = NULL;
    gf_status st = gf__onnx_floats(at, value, &found, err);
    if (st != GF_OK)
        return st;
    const size_t n_values = gf_tensor_n_values(found), n_dims = gf_tensor_n_dims(found);
    const bool is_row = n_dims == 0 || gf_tensor_shape(found)[n_dims - 1] == n_values;
    if ((n_values != n && n_values != 1) || !is_row)
        st = gf__onnx_refuse(at, GF_ESHAPE, err, "\"%.40s\" has %zu values, expected %zu",
                             value->name, n_values, n);
    if (st == GF_OK)
        st = gf_tensor_new(GF_DTYPE_F32, &n, 1, out, err);
    for (size_t i = 0; st == GF_OK && i < n; i++)
        ((float *)gf_tensor_mutable_data(*out))[i] = gf_tensor_f32(found)[n_values == 1 ? 0 : i];
    gf_tensor_free(found);
    return st;
}

static gf_status run_dense(const gf__onnx_at *at, bool is_turned, const gf__onnx_value *bias_value,
                           gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    gf_tensor *matrix = NULL, *kernel = NULL, *bias = NULL;
    size_t op = 0;
    if (gf__onnx_is_constant(input) || gf__onnx_rank(input) != 2)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "only of a vector that is computed");
    gf_status st = gf__onnx_floats(at, gf__onnx_input(at, 1), &matrix, err);
    if (st == GF_OK)
        st = turn_matrix(at, input, matrix, is_turned, &kernel, err);
    if (st == GF_OK && bias_value != NULL)
        st = read_bias(at, bias_value, gf_tensor_shape(kernel)[1], &bias, err);
    if (st == GF_OK)
        st = gf__op_dense(at->model->ops, at->name, input->op, kernel, bias, &op, err);
    if (st == GF_OK)
        gf__onnx_give(at, op, GF__ONNX_VECTOR);
    at->out->can_take_bias = bias_value == NULL;
    gf_tensor_free(matrix);
    gf_tensor_free(kernel);
    gf_tensor_free(bias);
    return st;
}

gf_status gf__onnx_gemm(const gf__onnx_at *at, gf_error *err)
{
    const float alpha = gf__onnx_float_of(at, "alpha", 1.0f);
    const float beta = gf__onnx_float_of(at, "beta", 1.0f);
    if (alpha != 1.0f || beta != 1.0f || gf__onnx_int_of(at, "transA", 0) != 0)
        return gf__onnx_refuse(
            at, GF_EUNSUPPORTED, err, "alpha %g, beta %g, transA %lld; only 1, 1, 0 can be run",
            (double)alpha, (double)beta, (long long)gf__onnx_int_of(at, "transA", 0));
    return run_dense(at, gf__onnx_int_of(at, "transB", 0) != 0, gf__onnx_input(at, 2), err);
}

gf_status gf__onnx_matmul(const gf__onnx_at *at, gf_error *err)
{
    return run_dense(at, false, NULL, err);
}
