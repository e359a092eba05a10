/* tensor/npy.c: .npy files and bytes into tensors and back.
 *
 * Values are copied as they stand, then put into the machine's byte order and C order; nearly every
 * file needs neither. */
#include <string.h>

#include "tensor/npy_priv.h"

gf_status gf__npy_new_tensor(const gf__npy_header *header, gf_tensor **out, gf_error *err)
{
    *out = NULL;
    if (header->is_text)
        return gf_error_set(err, GF_EUNSUPPORTED, "the array holds text, expected numbers");
    return gf_tensor_new(header->dtype, header->shape, header->n_dims, out, err);
}

static void swap_bytes(uint8_t *values, size_t n_values, size_t item_bytes)
{
    for (size_t i = 0; i < n_values; i++) {
        uint8_t *value = values + i * item_bytes;
        for (size_t low = 0, high = item_bytes - 1; low < high; low++, high--) {
            const uint8_t byte = value[low];
            value[low] = value[high];
            value[high] = byte;
        }
    }
}

/* to[i0,i1,...] in C order = from[i0,i1,...] in Fortran order. The last index moves fastest; offset
 * follows it by adding strides, as an odometer does. */
static void reorder(uint8_t *to, const uint8_t *from, const gf__npy_header *header)
{
    size_t index[GF_TENSOR_MAX_DIMS] = {0};
    size_t stride[GF_TENSOR_MAX_DIMS] = {0};
    size_t n_bytes = header->item_bytes;
    for (size_t d = 0; d < header->n_dims; d++) {
        stride[d] = n_bytes;
        n_bytes *= header->shape[d];
    }
    size_t offset = 0;
    for (size_t i = 0; i < header->n_values; i++) {
        memcpy(to + i * header->item_bytes, from + offset, header->item_bytes);
        for (size_t d = header->n_dims; d-- > 0;) {
            offset += stride[d];
            if (++index[d] < header->shape[d])
                break;
            offset -= stride[d] * header->shape[d];
            index[d] = 0;
        }
    }
}

gf_status gf__npy_arrange(const gf__npy_header *header, gf_tensor **tensor, gf_error *err)
{
    uint8_t *values = gf_tensor_mutable_data(*tensor);
    if (header->is_big_endian)
        swap_bytes(values, header->n_values, header->item_bytes);
    if (!header->is_fortran || header->n_dims < 2)
        return GF_OK;
    gf_tensor *ordered = NULL;
    const gf_status st = gf__npy_new_tensor(header, &ordered, err);
    if (st != GF_OK)
        return st;
    reorder(gf_tensor_mutable_data(ordered), values, header);
    gf_tensor_free(*tensor);
    *tensor = ordered;
    return GF_OK;
}

gf_status gf__npy_parse(const uint8_t *bytes, size_t n_bytes, gf_tensor **out, gf_error *err)
{
    gf_tensor *tensor = NULL;
    gf__npy_header header;
    size_t offset;

    *out = NULL;
    gf_status st = gf__npy_data_offset(bytes, n_bytes, n_bytes, &offset, err);
    if (st != GF_OK)
        goto done;
    st = gf__npy_parse_header(bytes, offset, n_bytes, &header, err);
    if (st != GF_OK)
        goto done;
    st = gf__npy_new_tensor(&header, &tensor, err);
    if (st != GF_OK)
        goto done;
    if (header.size_bytes > 0)
        memcpy(gf_tensor_mutable_data(tensor), bytes + offset, header.size_bytes);
    st = gf__npy_arrange(&header, &tensor, err);
    if (st != GF_OK)
        goto done;

    *out = tensor;
    tensor = NULL;
done:
    gf_tensor_free(tensor);
    return st;
}

gf_status gf_npy_load(const char *path, gf_tensor **out, gf_error *err)
{
    gf__mapping file;
    *out = NULL;
    gf_status st = gf__map_file(path, &file, err);
    if (st != GF_OK)
        return st;
    st = gf__npy_parse(file.data, file.size, out, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    gf__unmap(&file);
    return st;
}

gf_status gf_npy_save(const char *path, const gf_tensor *tensor, gf_error *err)
{
    gf__buffer header = {0};
    gf__writer *writer = NULL;
    char descr[GF__NPY_DESCR];
    gf_status st = gf__npy_describe(gf_tensor_dtype(tensor), descr, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "%s", path);
        goto done;
    }
    gf__npy_build_header(descr, gf_tensor_shape(tensor), gf_tensor_n_dims(tensor), &header);
    st = gf__buffer_status(&header, err);
    if (st != GF_OK)
        goto done;
    st = gf__writer_open(path, &writer, err);
    if (st != GF_OK)
        goto done;
    gf__writer_write(writer, header.data, header.size);
    gf__writer_write(writer, gf_tensor_data(tensor), gf_tensor_size_bytes(tensor));
    st = gf__writer_commit(writer, err);
done:
    gf__buffer_free(&header);
    return st;
}
