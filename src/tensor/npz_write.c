/* tensor/npz_write.c: arrays into a .npz, without holding more than one row of what is made on
 * demand.
 *
 * The archive pulls bytes. A stream hands out a member's .npy header, then row after row; a tensor
 * is one row that is there already, a string is a row of UCS-4 characters. */
#include <stdio.h>
#include <string.h>

#include "tensor/archive.h"
#include "tensor/npy_priv.h"

/* A member on its way into the archive. */
typedef struct stream {
    const gf_npz_member *member;
    gf__buffer header;
    size_t n_rows;
    size_t row_bytes;
    uint8_t *row; /* where strings and rows on demand are made; NULL for a tensor */
    size_t next_row;
    const uint8_t *at; /* what is left of the header, then of a row */
    size_t n_left;
} stream;

static gf_status prepare_tensor(stream *s, gf_error *err)
{
    const gf_tensor *tensor = s->member->tensor;
    char descr[GF__NPY_DESCR];
    const gf_status st = gf__npy_describe(gf_tensor_dtype(tensor), descr, err);
    if (st != GF_OK)
        return st;
    gf__npy_build_header(descr, gf_tensor_shape(tensor), gf_tensor_n_dims(tensor), &s->header);
    s->n_rows = 1;
    s->row_bytes = gf_tensor_size_bytes(tensor);
    return GF_OK;
}

static gf_status measure_strings(const gf_npz_member *member, size_t *n_chars, gf_error *err)
{
    *n_chars = 1; /* numpy has no U0 */
    for (size_t i = 0; i < member->n_strings; i++) {
        size_t n = 0;
        const gf_status st = gf__npy_count_chars(member->strings[i], &n, err);
        if (st != GF_OK) {
            gf__error_prefix(err, "string %zu", i);
            return st;
        }
        *n_chars = n > *n_chars ? n : *n_chars;
    }
    return GF_OK;
}

static gf_status prepare_strings(stream *s, gf_error *err)
{
    size_t n_chars;
    const gf_status st = measure_strings(s->member, &n_chars, err);
    if (st != GF_OK)
        return st;
    char descr[GF__NPY_DESCR];
    snprintf(descr, sizeof descr, "<U%zu", n_chars);
    gf__npy_build_header(descr, &s->member->n_strings, 1, &s->header);
    s->n_rows = s->member->n_strings;
    s->row_bytes = n_chars * sizeof(uint32_t);
    return GF_OK;
}

static gf_status prepare_rows(stream *s, gf_error *err)
{
    const gf_npz_member *m = s->member;
    char descr[GF__NPY_DESCR], text[GF__SHAPE_TEXT];
    size_t n_values, size_bytes;
    const gf_status st = gf__npy_describe(m->dtype, descr, err);
    if (st != GF_OK)
        return st;
    if (m->n_dims == 0 || m->n_dims > GF_TENSOR_MAX_DIMS)
        return gf_error_set(err, GF_ESHAPE, "rows in %zu dimensions, expected 1 to %d", m->n_dims,
                            GF_TENSOR_MAX_DIMS);
    const size_t item_bytes = gf_dtype_size(m->dtype);
    if (!gf__shape_size(m->shape, m->n_dims, item_bytes, &n_values, &size_bytes) ||
        !gf__shape_size(m->shape + 1, m->n_dims - 1, item_bytes, &n_values, &s->row_bytes))
        return gf_error_set(err, GF_ESHAPE, "shape %s is too large",
                            gf__shape_text(m->shape, m->n_dims, text));
    gf__npy_build_header(descr, m->shape, m->n_dims, &s->header);
    s->n_rows = m->shape[0];
    return GF_OK;
}

static gf_status prepare_member(stream *s, gf_error *err)
{
    if (s->member->tensor != NULL)
        return prepare_tensor(s, err);
    if (s->member->strings != NULL)
        return prepare_strings(s, err);
    if (s->member->fill_row != NULL)
        return prepare_rows(s, err);
    return gf_error_set(err, GF_EINVAL, "neither tensor, strings nor rows are given");
}

static gf_status open_stream(stream *s, const gf_npz_member *member, gf_error *err)
{
    s->member = member;
    gf_status st = prepare_member(s, err);
    if (st == GF_OK)
        st = gf__buffer_status(&s->header, err);
    if (st != GF_OK)
        return st;
    s->at = (const uint8_t *)s->header.data;
    s->n_left = s->header.size;
    if (member->tensor != NULL)
        return GF_OK;
    s->row = gf__calloc(1, s->row_bytes);
    return s->row != NULL ? GF_OK : gf__error_nomem(err, "a row", s->row_bytes);
}

static void close_stream(stream *s)
{
    gf__buffer_free(&s->header);
    gf__free(s->row);
}

/* Makes row next_row and lets at point to it. */
static gf_status make_row(stream *s, gf_error *err)
{
    const gf_npz_member *m = s->member;
    gf_status st = GF_OK;
    s->at = s->row;
    if (m->tensor != NULL)
        s->at = gf_tensor_data(m->tensor);
    else if (m->strings != NULL)
        gf__npy_encode_text(m->strings[s->next_row], s->row_bytes / sizeof(uint32_t), s->row);
    else
        st = m->fill_row(m->user, s->next_row, s->row, err);
    s->next_row++;
    s->n_left = s->row_bytes;
    return st;
}

static gf_status produce(void *user, uint8_t *out, size_t n_bytes, gf_error *err)
{
    stream *s = user;
    while (n_bytes > 0) {
        if (s->n_left == 0) {
            const gf_status st = make_row(s, err);
            if (st != GF_OK) {
                gf__error_prefix(err, "'%.64s'", s->member->name);
                return st;
            }
        }
        const size_t n = s->n_left < n_bytes ? s->n_left : n_bytes;
        memcpy(out, s->at, n);
        s->at += n;
        s->n_left -= n;
        out += n;
        n_bytes -= n;
    }
    return GF_OK;
}

static gf_status make_entry(stream *s, const gf_npz_member *member, gf__archive_entry *entry,
                            gf_error *err)
{
    const gf_status st = open_stream(s, member, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "'%.64s'", member->name);
        return st;
    }
    entry->name = gf__asprintf("%s" GF__NPY_SUFFIX, member->name);
    entry->size_bytes = s->header.size + (uint64_t)s->n_rows * s->row_bytes;
    entry->produce = produce;
    entry->user = s;
    return entry->name != NULL ? GF_OK : gf__error_nomem(err, "a name", strlen(member->name));
}

gf_status gf_npz_save(const char *path, const gf_npz_member *members, size_t n_members,
                      bool is_compressed, gf_error *err)
{
    if (n_members == 0)
        return gf_error_set(err, GF_EINVAL, "%s: no arrays to write", path);
    stream *streams = gf__calloc(n_members, sizeof *streams);
    gf__archive_entry *entries = gf__calloc(n_members, sizeof *entries);
    gf_status st = GF_OK;
    if (streams == NULL || entries == NULL) {
        st = gf__error_nomem(err, "arrays to write", n_members * sizeof *streams);
        goto done;
    }
    for (size_t i = 0; i < n_members && st == GF_OK; i++)
        st = make_entry(&streams[i], &members[i], &entries[i], err);
    if (st != GF_OK) {
        gf__error_prefix(err, "%s", path);
        goto done;
    }
    st = gf__archive_write(path, entries, n_members, is_compressed, err);
done:
    for (size_t i = 0; i < n_members; i++) {
        if (streams != NULL)
            close_stream(&streams[i]);
        if (entries != NULL)
            gf__free(entries[i].name);
    }
    gf__free(streams);
    gf__free(entries);
    return st;
}
