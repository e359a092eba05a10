/* tensor/safetensors_write.c: named tensors into a safetensors file, values in the order given.
 *
 * The header is padded with spaces so that the values begin on a cache line of the mapped file. The
 * same tensors and metadata give the same bytes. */
#include <string.h>

#include "tensor/tensor_priv.h"

#define LENGTH_BYTES 8
#define ALIGNMENT    64
#define METADATA_KEY "__metadata__"

static gf_status check_name(const gf__json *header, const char *name, gf_error *err)
{
    if (strcmp(name, METADATA_KEY) == 0)
        return gf_error_set(err, GF_EINVAL, "a tensor cannot be called " METADATA_KEY);
    if (gf__json_find(header, name) != NULL)
        return gf_error_set(err, GF_EINVAL, "two tensors are called '%.64s'", name);
    return GF_OK;
}

static gf__json *describe_tensor(const gf_tensor *tensor, size_t begin, size_t end)
{
    gf__json *entry = gf__json_object();
    gf__json *shape = gf__json_array();
    gf__json *offsets = gf__json_array();
    for (size_t d = 0; d < gf_tensor_n_dims(tensor); d++)
        gf__json_append(shape, gf__json_new_int((int64_t)gf_tensor_shape(tensor)[d]));
    gf__json_append(offsets, gf__json_new_int((int64_t)begin));
    gf__json_append(offsets, gf__json_new_int((int64_t)end));
    gf__json_set_string(entry, "dtype", gf__dtype_info_of(gf_tensor_dtype(tensor))->safetensors);
    gf__json_set(entry, "shape", shape);
    gf__json_set(entry, "data_offsets", offsets);
    return entry;
}

static gf_status add_metadata(gf__json *header, const gf_metadata *metadata, size_t n,
                              gf_error *err)
{
    if (n == 0)
        return GF_OK;
    gf__json *object = gf__json_object();
    gf_status st = GF_OK;
    for (size_t i = 0; i < n && st == GF_OK; i++) {
        if (gf__json_find(object, metadata[i].key) != NULL)
            st = gf_error_set(err, GF_EINVAL, "metadata key '%.64s' twice", metadata[i].key);
        gf__json_set_string(object, metadata[i].key, metadata[i].value);
    }
    gf__json_set(header, METADATA_KEY, object);
    return st;
}

static gf_status add_tensors(gf__json *header, const gf_named_tensor *tensors, size_t n,
                             gf_error *err)
{
    const size_t n_before = gf__json_n_items(header);
    size_t begin = 0;
    for (size_t i = 0; i < n; i++) {
        size_t end;
        const gf_status st = check_name(header, tensors[i].name, err);
        if (st != GF_OK)
            return st;
        if (!gf__add_size(begin, gf_tensor_size_bytes(tensors[i].tensor), &end))
            return gf_error_set(err, GF_EINVAL, "the tensors do not fit into one file");
        gf__json_set(header, tensors[i].name, describe_tensor(tensors[i].tensor, begin, end));
        begin = end;
    }
    const gf_status st = gf__json_status(header, err);
    /* JSON replaces what is not UTF-8, which can make two names one. */
    if (st == GF_OK && gf__json_n_items(header) != n_before + n)
        return gf_error_set(err, GF_EINVAL, "two tensors have names that are not UTF-8");
    return st;
}

static gf_status build_header(const gf_named_tensor *tensors, size_t n_tensors,
                              const gf_metadata *metadata, size_t n_metadata, gf__buffer *out,
                              gf_error *err)
{
    gf__json *header = gf__json_object();
    gf_status st = gf__json_status(header, err);
    if (st == GF_OK)
        st = add_metadata(header, metadata, n_metadata, err);
    if (st == GF_OK)
        st = add_tensors(header, tensors, n_tensors, err);
    if (st == GF_OK) {
        gf__json_write(header, false, out);
        const size_t n_over = (LENGTH_BYTES + out->size) % ALIGNMENT;
        if (n_over > 0)
            gf__buffer_printf(out, "%*s", (int)(ALIGNMENT - n_over), "");
        st = gf__buffer_status(out, err);
    }
    gf__json_free(header);
    return st;
}

gf_status gf_safetensors_save(const char *path, const gf_named_tensor *tensors, size_t n_tensors,
                              const gf_metadata *metadata, size_t n_metadata, gf_error *err)
{
    gf__buffer header = {0};
    gf__writer *writer = NULL;

    gf_status st = build_header(tensors, n_tensors, metadata, n_metadata, &header, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "%s", path);
        goto done;
    }
    st = gf__writer_open(path, &writer, err);
    if (st != GF_OK)
        goto done;
    const uint64_t n_header = header.size;
    gf__writer_write(writer, &n_header, sizeof n_header);
    gf__writer_write(writer, header.data, header.size);
    for (size_t i = 0; i < n_tensors; i++)
        gf__writer_write(writer, gf_tensor_data(tensors[i].tensor),
                         gf_tensor_size_bytes(tensors[i].tensor));
    st = gf__writer_commit(writer, err);
done:
    gf__buffer_free(&header);
    return st;
}
