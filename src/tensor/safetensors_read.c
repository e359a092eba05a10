/* tensor/safetensors_read.c: named tensors as views of a mapped safetensors file.
 *
 * A file is the header's length (8 bytes, little-endian), the header (a JSON object, at most 100 MB
 * as in the safetensors library, may be padded with spaces) and the values. The values of all
 * tensors must fill the rest without holes and without overlaps, so that no byte of a file goes
 * unchecked. */
#include <stdlib.h>
#include <string.h>

#include "tensor/name_index_priv.h"
#include "tensor/tensor_priv.h"

#define LENGTH_BYTES     8
#define MAX_HEADER_BYTES 100000000u
#define METADATA_KEY     "__metadata__"

typedef struct entry {
    const char *name; /* borrowed from the JSON document */
    size_t begin;     /* of the values, after the header */
    size_t end;
    gf_tensor *tensor;
} entry;

struct gf_safetensors {
    gf__mapping mapping; /* zero when the caller keeps the bytes */
    gf__json *header;
    const gf__json *metadata; /* NULL where there is none */
    entry *entries;           /* in the order of their values */
    size_t n_entries;
    gf__name_index index;
};

typedef struct span {
    const uint8_t *data;
    size_t size;
} span;

/* Finds header and values in the bytes. */
static gf_status split_file(span file, span *header, span *values, gf_error *err)
{
    if (file.size < LENGTH_BYTES)
        return gf_error_set(err, GF_EFORMAT,
                            "not a safetensors file: %zu bytes, its header length alone takes %d",
                            file.size, LENGTH_BYTES);
    uint64_t n_bytes = 0;
    memcpy(&n_bytes, file.data, LENGTH_BYTES);
    if (n_bytes > MAX_HEADER_BYTES)
        return gf_error_set(
            err, GF_EFORMAT,
            "not a safetensors file: a header of %llu bytes, at most %u are allowed",
            (unsigned long long)n_bytes, MAX_HEADER_BYTES);
    const size_t n_left = file.size - LENGTH_BYTES;
    if (n_bytes > n_left)
        return gf_error_set(err, GF_EFORMAT, "safetensors header of %llu bytes, %zu are there",
                            (unsigned long long)n_bytes, n_left);
    *header = (span){file.data + LENGTH_BYTES, (size_t)n_bytes};
    *values = (span){header->data + header->size, n_left - header->size};
    if (header->size == 0 || header->data[0] != '{')
        return gf_error_set(err, GF_EFORMAT,
                            "not a safetensors file: its header does not begin with '{'");
    return GF_OK;
}

static gf_status read_dtype(const gf__json *value, gf_dtype *out, gf_error *err)
{
    const char *text;
    const gf_status st = gf__json_get_string(value, "dtype", &text, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < GF__N_DTYPES; i++) {
        if (strcmp(gf__dtype_info_of((gf_dtype)i)->safetensors, text) == 0) {
            *out = (gf_dtype)i;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EUNSUPPORTED, "dtype %.20s is not supported", text);
}

/* An array of sizes under a key. */
static gf_status read_sizes(const gf__json *value, const char *key, size_t max_items, size_t *items,
                            size_t *n_items, gf_error *err)
{
    const gf__json *array;
    const gf_status st = gf__json_get_array(value, key, &array, err);
    if (st != GF_OK)
        return st;
    *n_items = gf__json_n_items(array);
    if (*n_items > max_items)
        return gf_error_set(err, GF_EUNSUPPORTED, "%s: %zu numbers, at most %zu are supported", key,
                            *n_items, max_items);
    for (size_t i = 0; i < *n_items; i++) {
        const int64_t number = gf__json_int(gf__json_at(array, i), -1);
        if (number < 0)
            return gf_error_set(err, GF_EFORMAT, "%s: item %zu is not an integer of 0 or more", key,
                                i);
        items[i] = (size_t)number;
    }
    return GF_OK;
}

static gf_status read_offsets(const gf__json *value, size_t n_bytes, entry *out, gf_error *err)
{
    size_t offsets[2], n_offsets = 0;
    const gf_status st = read_sizes(value, "data_offsets", 2, offsets, &n_offsets, err);
    if (st != GF_OK)
        return st;
    if (n_offsets != 2)
        return gf_error_set(err, GF_EFORMAT, "data_offsets: %zu numbers, expected 2", n_offsets);
    if (offsets[0] > offsets[1] || offsets[1] > n_bytes)
        return gf_error_set(err, GF_EFORMAT, "data_offsets: bytes %zu to %zu, the file has %zu",
                            offsets[0], offsets[1], n_bytes);
    out->begin = offsets[0];
    out->end = offsets[1];
    return GF_OK;
}

/* A view of the values, or a copy where they lie badly: files of others need not be aligned. */
static gf_status make_tensor(gf_dtype dtype, const size_t *shape, size_t n_dims,
                             const uint8_t *data, gf_tensor **out, gf_error *err)
{
    gf_tensor *view = NULL;
    gf_status st = gf__tensor_view(dtype, shape, n_dims, data, &view, err);
    if (st != GF_OK)
        return st;
    if ((uintptr_t)data % gf_dtype_size(dtype) == 0) {
        *out = view;
        return GF_OK;
    }
    st = gf__tensor_copy(view, out, err);
    gf_tensor_free(view);
    return st;
}

/* dtype, shape and offsets, which must agree. */
static gf_status read_description(const gf__json *value, span values, entry *out, gf_error *err)
{
    gf_dtype dtype = GF_DTYPE_F32;
    size_t shape[GF_TENSOR_MAX_DIMS], n_dims = 0, n_values, size_bytes;
    char text[GF__SHAPE_TEXT];

    gf_status st = read_dtype(value, &dtype, err);
    if (st == GF_OK)
        st = read_sizes(value, "shape", GF_TENSOR_MAX_DIMS, shape, &n_dims, err);
    if (st == GF_OK)
        st = read_offsets(value, values.size, out, err);
    if (st != GF_OK)
        return st;
    gf__shape_text(shape, n_dims, text);
    if (!gf__shape_size(shape, n_dims, gf_dtype_size(dtype), &n_values, &size_bytes))
        return gf_error_set(err, GF_EFORMAT, "shape %s does not fit into memory", text);
    if (size_bytes != out->end - out->begin)
        return gf_error_set(err, GF_EFORMAT, "%s %s needs %zu bytes, data_offsets give %zu",
                            gf_dtype_name(dtype), text, size_bytes, out->end - out->begin);
    return make_tensor(dtype, shape, n_dims, values.data + out->begin, &out->tensor, err);
}

static gf_status read_entry(const char *name, const gf__json *value, span values, entry *out,
                            gf_error *err)
{
    out->name = name;
    const gf_status st = gf__json_is_object(value)
                             ? read_description(value, values, out, err)
                             : gf_error_set(err, GF_EFORMAT,
                                            "expected an object with dtype, shape, data_offsets");
    if (st != GF_OK)
        gf__error_prefix(err, "tensor '%.64s'", name);
    return st;
}

static gf_status read_metadata(gf_safetensors *file, const gf__json *value, gf_error *err)
{
    if (!gf__json_is_object(value))
        return gf_error_set(err, GF_EFORMAT, "__metadata__ is not an object");
    const gf__json *text;
    for (const char *key = gf__json_next(value, NULL, &text); key != NULL;
         key = gf__json_next(value, key, &text)) {
        if (!gf__json_is_string(text))
            return gf_error_set(err, GF_EFORMAT, "__metadata__: '%.64s' is not a string", key);
    }
    file->metadata = value;
    return GF_OK;
}

static gf_status read_entries(gf_safetensors *file, span values, gf_error *err)
{
    const gf__json *value;
    gf_status st = GF_OK;
    for (const char *name = gf__json_next(file->header, NULL, &value); name != NULL && st == GF_OK;
         name = gf__json_next(file->header, name, &value)) {
        if (strcmp(name, METADATA_KEY) == 0)
            st = read_metadata(file, value, err);
        else
            st = read_entry(name, value, values, &file->entries[file->n_entries++], err);
    }
    return st;
}

static int compare_entries(const void *a, const void *b)
{
    const entry *left = a, *right = b;
    if (left->begin != right->begin)
        return left->begin < right->begin ? -1 : 1;
    if (left->end != right->end) /* an empty tensor lies before the one that begins where it does */
        return left->end < right->end ? -1 : 1;
    return strcmp(left->name, right->name);
}

/* Each tensor begins where the one before it ends; the last ends with the file. Sorts. */
static gf_status check_layout(gf_safetensors *file, size_t n_bytes, gf_error *err)
{
    qsort(file->entries, file->n_entries, sizeof *file->entries, compare_entries);
    size_t end = 0;
    for (size_t i = 0; i < file->n_entries; i++) {
        const entry *e = &file->entries[i];
        if (e->begin != end)
            return gf_error_set(err, GF_EFORMAT,
                                "tensor '%.64s' begins at byte %zu, the one before it ends at %zu",
                                e->name, e->begin, end);
        end = e->end;
    }
    if (end != n_bytes)
        return gf_error_set(err, GF_EFORMAT, "%zu bytes at the end belong to no tensor",
                            n_bytes - end);
    return GF_OK;
}

static gf_status build_index(gf_safetensors *file, gf_error *err)
{
    const gf_status st = gf__name_index_new(file->n_entries, &file->index, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < file->n_entries; i++)
        file->index.slots[i] = (gf__name_slot){file->entries[i].name, i};
    (void)gf__name_index_sort(&file->index); /* JSON refuses a name that occurs twice */
    return GF_OK;
}

static gf_status read_file(gf_safetensors *file, span bytes, gf_error *err)
{
    span header = {0}, values = {0};
    gf_status st = split_file(bytes, &header, &values, err);
    if (st != GF_OK)
        return st;
    st = gf__json_parse((const char *)header.data, header.size, &file->header, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "safetensors header");
        return st;
    }
    const size_t n_members = gf__json_n_items(file->header);
    file->entries = gf__calloc(n_members, sizeof *file->entries);
    if (file->entries == NULL)
        return gf__error_nomem(err, "a table of tensors", n_members * sizeof *file->entries);
    st = read_entries(file, values, err);
    if (st == GF_OK)
        st = check_layout(file, values.size, err);
    if (st == GF_OK)
        st = build_index(file, err);
    return st;
}

gf_status gf_safetensors_parse(const void *bytes, size_t n_bytes, gf_safetensors **out,
                               gf_error *err)
{
    *out = NULL;
    gf_safetensors *file = gf__calloc(1, sizeof *file);
    if (file == NULL)
        return gf__error_nomem(err, "a safetensors file", sizeof *file);
    const gf_status st = read_file(file, (span){bytes, n_bytes}, err);
    if (st != GF_OK) {
        gf_safetensors_close(file);
        return st;
    }
    *out = file;
    return GF_OK;
}

gf_status gf_safetensors_open(const char *path, gf_safetensors **out, gf_error *err)
{
    gf__mapping mapping;
    *out = NULL;
    gf_status st = gf__map_file(path, &mapping, err);
    if (st != GF_OK)
        return st;
    st = gf_safetensors_parse(mapping.data, mapping.size, out, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "%s", path);
        gf__unmap(&mapping);
        return st;
    }
    (*out)->mapping = mapping;
    return GF_OK;
}

void gf__safetensors_release_pages(const gf_safetensors *file)
{
    gf__mapping_release_pages(&file->mapping);
}

void gf_safetensors_close(gf_safetensors *file)
{
    if (file == NULL)
        return;
    for (size_t i = 0; i < file->n_entries; i++)
        gf_tensor_free(file->entries[i].tensor);
    gf__free(file->entries);
    gf__name_index_free(&file->index);
    gf__json_free(file->header);
    gf__unmap(&file->mapping);
    gf__free(file);
}

size_t gf_safetensors_n_tensors(const gf_safetensors *file)
{
    return file->n_entries;
}

const char *gf_safetensors_name_at(const gf_safetensors *file, size_t i)
{
    return i < file->n_entries ? file->entries[i].name : NULL;
}

const gf_tensor *gf_safetensors_find(const gf_safetensors *file, const char *name)
{
    const size_t i = gf__name_index_find(&file->index, name);
    return i != GF__NAME_NONE ? file->entries[i].tensor : NULL;
}

const char *gf_safetensors_metadata(const gf_safetensors *file, const char *key)
{
    return gf__json_string(gf__json_find(file->metadata, key), NULL);
}
