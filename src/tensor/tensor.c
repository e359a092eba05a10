/* tensor/tensor.c: the array itself: value types, shapes, ownership.
 *
 * A tensor owns its values or views somebody else's; the struct is the same, only `owned` differs.
 * It is counted because graphs cut from one another share their weights. */
#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tensor/tensor_priv.h"

struct gf_tensor {
    atomic_size_t n_owners;
    gf_dtype dtype;
    size_t n_dims;
    size_t shape[GF_TENSOR_MAX_DIMS];
    size_t n_values;
    size_t size_bytes;
    const void *data;
    void *owned; /* data, or NULL in a view */
};

static const gf__dtype_info dtype_table[GF__N_DTYPES] = {
    [GF_DTYPE_F32] = {"float32", 4, "f4", "F32"}, [GF_DTYPE_F64] = {"float64", 8, "f8", "F64"},
    [GF_DTYPE_F16] = {"float16", 2, "f2", "F16"}, [GF_DTYPE_BF16] = {"bfloat16", 2, NULL, "BF16"},
    [GF_DTYPE_U8] = {"uint8", 1, "u1", "U8"},     [GF_DTYPE_I8] = {"int8", 1, "i1", "I8"},
    [GF_DTYPE_U16] = {"uint16", 2, "u2", "U16"},  [GF_DTYPE_I16] = {"int16", 2, "i2", "I16"},
    [GF_DTYPE_U32] = {"uint32", 4, "u4", "U32"},  [GF_DTYPE_I32] = {"int32", 4, "i4", "I32"},
    [GF_DTYPE_U64] = {"uint64", 8, "u8", "U64"},  [GF_DTYPE_I64] = {"int64", 8, "i8", "I64"},
    [GF_DTYPE_BOOL] = {"bool", 1, "b1", "BOOL"},
};

const gf__dtype_info *gf__dtype_info_of(gf_dtype dtype)
{
    assert((size_t)dtype < GF__N_DTYPES);
    return &dtype_table[dtype];
}

const char *gf_dtype_name(gf_dtype dtype)
{
    return gf__dtype_info_of(dtype)->name;
}

size_t gf_dtype_size(gf_dtype dtype)
{
    return gf__dtype_info_of(dtype)->size_bytes;
}

bool gf__shape_size(const size_t *shape, size_t n_dims, size_t item_bytes, size_t *n_values,
                    size_t *size_bytes)
{
    size_t n_bytes = item_bytes;
    bool is_empty = false;
    for (size_t d = 0; d < n_dims; d++) {
        is_empty = is_empty || shape[d] == 0;
        if (shape[d] != 0 && !gf__mul_size(n_bytes, shape[d], &n_bytes))
            return false;
    }
    if (n_bytes > PTRDIFF_MAX) /* no object can be larger */
        return false;
    *n_values = is_empty ? 0 : n_bytes / (item_bytes > 0 ? item_bytes : 1);
    *size_bytes = is_empty ? 0 : n_bytes;
    return true;
}

const char *gf__shape_text(const size_t *shape, size_t n_dims, char text[GF__SHAPE_TEXT])
{
    size_t n_chars = 1;
    text[0] = '(';
    for (size_t d = 0; d < n_dims && n_chars < GF__SHAPE_TEXT - 1; d++) {
        const int n = snprintf(text + n_chars, GF__SHAPE_TEXT - n_chars, "%s%zu", d > 0 ? "," : "",
                               shape[d]);
        n_chars += (size_t)n;
    }
    if (n_chars > GF__SHAPE_TEXT - 2) /* dimensions that no memory holds: cut */
        n_chars = GF__SHAPE_TEXT - 2;
    memcpy(text + n_chars, ")", 2);
    return text;
}

/* Without values yet. */
static gf_status new_shaped(gf_dtype dtype, const size_t *shape, size_t n_dims, gf_tensor **out,
                            gf_error *err)
{
    *out = NULL;
    if (n_dims > GF_TENSOR_MAX_DIMS)
        return gf_error_set(err, GF_ESHAPE, "%zu dimensions, a tensor has at most %d", n_dims,
                            GF_TENSOR_MAX_DIMS);
    size_t n_values, size_bytes;
    if (!gf__shape_size(shape, n_dims, gf_dtype_size(dtype), &n_values, &size_bytes)) {
        char text[GF__SHAPE_TEXT];
        return gf_error_set(err, GF_ESHAPE, "%s values of shape %s do not fit into memory",
                            gf_dtype_name(dtype), gf__shape_text(shape, n_dims, text));
    }
    gf_tensor *tensor = gf__calloc(1, sizeof *tensor);
    if (tensor == NULL)
        return gf__error_nomem(err, "a tensor", sizeof *tensor);
    atomic_init(&tensor->n_owners, 1);
    tensor->dtype = dtype;
    tensor->n_dims = n_dims;
    if (n_dims > 0)
        memcpy(tensor->shape, shape, n_dims * sizeof *shape);
    tensor->n_values = n_values;
    tensor->size_bytes = size_bytes;
    *out = tensor;
    return GF_OK;
}

gf_status gf_tensor_new(gf_dtype dtype, const size_t *shape, size_t n_dims, gf_tensor **out,
                        gf_error *err)
{
    gf_tensor *tensor = NULL;
    gf_status st = new_shaped(dtype, shape, n_dims, &tensor, err);
    *out = NULL;
    if (st != GF_OK)
        return st;
    tensor->owned = gf__alloc_aligned(tensor->size_bytes);
    if (tensor->owned == NULL) {
        st = gf__error_nomem(err, "a tensor", tensor->size_bytes);
        gf_tensor_free(tensor);
        return st;
    }
    tensor->data = tensor->owned;
    *out = tensor;
    return GF_OK;
}

gf_status gf__tensor_view(gf_dtype dtype, const size_t *shape, size_t n_dims, const void *data,
                          gf_tensor **out, gf_error *err)
{
    const gf_status st = new_shaped(dtype, shape, n_dims, out, err);
    if (st == GF_OK)
        (*out)->data = data;
    return st;
}

gf_status gf__tensor_copy(const gf_tensor *tensor, gf_tensor **out, gf_error *err)
{
    const gf_status st = gf_tensor_new(tensor->dtype, tensor->shape, tensor->n_dims, out, err);
    if (st == GF_OK && tensor->size_bytes > 0)
        memcpy((*out)->owned, tensor->data, tensor->size_bytes);
    return st;
}

gf_tensor *gf__tensor_ref(gf_tensor *tensor)
{
    atomic_fetch_add_explicit(&tensor->n_owners, 1, memory_order_relaxed);
    return tensor;
}

void gf_tensor_free(gf_tensor *tensor)
{
    /* acq_rel: the last owner must see every other owner's writes before the memory goes. */
    if (tensor == NULL || atomic_fetch_sub_explicit(&tensor->n_owners, 1, memory_order_acq_rel) > 1)
        return;
    gf__free(tensor->owned);
    gf__free(tensor);
}

gf_dtype gf_tensor_dtype(const gf_tensor *tensor)
{
    return tensor->dtype;
}

size_t gf_tensor_n_dims(const gf_tensor *tensor)
{
    return tensor->n_dims;
}

const size_t *gf_tensor_shape(const gf_tensor *tensor)
{
    return tensor->shape;
}

size_t gf_tensor_n_values(const gf_tensor *tensor)
{
    return tensor->n_values;
}

size_t gf_tensor_size_bytes(const gf_tensor *tensor)
{
    return tensor->size_bytes;
}

const void *gf_tensor_data(const gf_tensor *tensor)
{
    return tensor->data;
}

void *gf_tensor_mutable_data(gf_tensor *tensor)
{
    return tensor->owned;
}

const float *gf_tensor_f32(const gf_tensor *tensor)
{
    return tensor->dtype == GF_DTYPE_F32 ? tensor->data : NULL;
}
