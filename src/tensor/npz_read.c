/* tensor/npz_read.c: arrays out of a .npz, which is a zip of .npy members.
 *
 * The file is mapped and unpacked member by member, straight into the tensor. A member's size must
 * be exactly what its own header asks for. The archive keeps its place, so one lock a file lets one
 * thread at a time unpack. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tensor/archive.h"
#include "tensor/name_index_priv.h"
#include "tensor/npy_priv.h"

#define MAX_LISTED_CHARS 200 /* of names in a message */

struct gf_npz {
    char *path;           /* for messages; NULL when parsed from bytes */
    gf__mapping mapping;  /* zero when the caller keeps the bytes */
    pthread_mutex_t lock; /* around the archive */
    gf__archive *archive;
    char **names; /* without .npy, as they stand in the archive */
    size_t n_members;
    gf__name_index index;
};

static char *copy_name(const char *in_archive)
{
    const size_t n_chars = strlen(in_archive), n_suffix = strlen(GF__NPY_SUFFIX);
    const bool has_suffix = n_chars >= n_suffix &&
                            strcmp(in_archive + n_chars - n_suffix, GF__NPY_SUFFIX) == 0;
    return gf__strndup(in_archive, has_suffix ? n_chars - n_suffix : n_chars);
}

static gf_status read_names(gf_npz *file, gf_error *err)
{
    const size_t n = gf__archive_n_members(file->archive);
    file->names = gf__calloc(n, sizeof *file->names);
    if (file->names == NULL)
        return gf__error_nomem(err, "names of arrays", n * sizeof *file->names);
    file->n_members = n;
    const gf_status st = gf__name_index_new(n, &file->index, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < n; i++) {
        file->names[i] = copy_name(gf__archive_name_at(file->archive, i));
        if (file->names[i] == NULL)
            return gf__error_nomem(err, "names of arrays", n);
        file->index.slots[i] = (gf__name_slot){file->names[i], i};
    }
    const char *twice = gf__name_index_sort(&file->index);
    if (twice != NULL)
        return gf_error_set(err, GF_EFORMAT, "two arrays are called '%.64s'", twice);
    return GF_OK;
}

gf_status gf__npz_parse(const uint8_t *bytes, size_t n_bytes, gf_npz **out, gf_error *err)
{
    *out = NULL;
    if (gf__npy_is(bytes, n_bytes))
        return gf_error_set(err, GF_EFORMAT,
                            "not a .npz file but a single .npy array; load it as .npy");
    gf_npz *file = gf__calloc(1, sizeof *file);
    if (file == NULL)
        return gf__error_nomem(err, "a .npz file", sizeof *file);
    pthread_mutex_init(&file->lock, NULL); /* cannot fail without attributes */
    gf_status st = gf__archive_open(bytes, n_bytes, &file->archive, err);
    if (st == GF_OK)
        st = read_names(file, err);
    if (st != GF_OK) {
        gf_npz_close(file);
        return st;
    }
    *out = file;
    return GF_OK;
}

gf_status gf_npz_open(const char *path, gf_npz **out, gf_error *err)
{
    gf__mapping mapping;
    *out = NULL;
    gf_status st = gf__map_file(path, &mapping, err);
    if (st != GF_OK)
        return st;
    char *copy = gf__strdup(path);
    st = copy != NULL ? gf__npz_parse(mapping.data, mapping.size, out, err)
                      : gf__error_nomem(err, "a path", strlen(path));
    if (st != GF_OK) {
        gf__error_prefix(err, "%s", path);
        gf__free(copy);
        gf__unmap(&mapping);
        return st;
    }
    (*out)->path = copy;
    (*out)->mapping = mapping;
    return GF_OK;
}

void gf_npz_close(gf_npz *file)
{
    if (file == NULL)
        return;
    gf__archive_close(file->archive);
    for (size_t i = 0; i < file->n_members; i++)
        gf__free(file->names[i]);
    gf__free(file->names);
    gf__name_index_free(&file->index);
    pthread_mutex_destroy(&file->lock);
    gf__unmap(&file->mapping);
    gf__free(file->path);
    gf__free(file);
}

size_t gf_npz_n_members(const gf_npz *file)
{
    return file->n_members;
}

const char *gf_npz_name_at(const gf_npz *file, size_t i)
{
    return i < file->n_members ? file->names[i] : NULL;
}

bool gf_npz_has(const gf_npz *file, const char *name)
{
    return gf__name_index_find(&file->index, name) != GF__NAME_NONE;
}

static gf_status report_missing(const gf_npz *file, const char *name, gf_error *err)
{
    char names[MAX_LISTED_CHARS] = "nothing";
    size_t n_chars = 0;
    for (size_t i = 0; i < file->n_members && n_chars < sizeof names; i++) {
        const int n = snprintf(names + n_chars, sizeof names - n_chars, "%s%s", i > 0 ? ", " : "",
                               file->names[i]);
        n_chars += (size_t)n;
    }
    return gf_error_set(err, GF_ENOTFOUND, "no array '%.64s' in it; it holds %s", name, names);
}

/* Header of the member that was begun, whose bytes are n_total. */
static gf_status read_header(gf__archive *archive, size_t n_total, gf__npy_header *out,
                             gf_error *err)
{
    uint8_t preamble[GF__NPY_PREAMBLE];
    const size_t n_known = n_total < sizeof preamble ? n_total : sizeof preamble;
    size_t offset = 0;
    gf_status st = gf__archive_read(archive, preamble, n_known, err);
    if (st == GF_OK)
        st = gf__npy_data_offset(preamble, n_known, n_total, &offset, err);
    if (st != GF_OK)
        return st;
    if (offset < n_known) /* two characters at most: no dict, and less than was read */
        return gf_error_set(err, GF_EFORMAT, ".npy header is empty");
    uint8_t *bytes = gf__malloc(offset);
    if (bytes == NULL)
        return gf__error_nomem(err, "a .npy header", offset);
    memcpy(bytes, preamble, n_known);
    st = gf__archive_read(archive, bytes + n_known, offset - n_known, err);
    if (st == GF_OK)
        st = gf__npy_parse_header(bytes, offset, n_total, out, err);
    gf__free(bytes);
    return st;
}

/* What becomes of a member's values: result is a tensor or a list of strings. */
typedef gf_status (*value_reader)(gf__archive *archive, const gf__npy_header *header, void *result,
                                  gf_error *err);

static gf_status read_numbers(gf__archive *archive, const gf__npy_header *header, void *result,
                              gf_error *err)
{
    gf_tensor *tensor = NULL;
    gf_status st = gf__npy_new_tensor(header, &tensor, err);
    if (st == GF_OK)
        st = gf__archive_read(archive, gf_tensor_mutable_data(tensor), header->size_bytes, err);
    if (st == GF_OK)
        st = gf__archive_check_end(archive, err);
    if (st == GF_OK)
        st = gf__npy_arrange(header, &tensor, err);
    if (st != GF_OK) {
        gf_tensor_free(tensor);
        return st;
    }
    *(gf_tensor **)result = tensor;
    return GF_OK;
}

typedef struct string_list {
    char **strings;
    size_t n;
} string_list;

static gf_status read_strings(gf__archive *archive, const gf__npy_header *header, void *result,
                              gf_error *err)
{
    string_list *list = result;
    gf_status st = gf__npy_check_text(header, err);
    if (st != GF_OK)
        return st;
    uint8_t *values = gf__malloc(header->size_bytes);
    if (values == NULL)
        return gf__error_nomem(err, "strings", header->size_bytes);
    st = gf__archive_read(archive, values, header->size_bytes, err);
    if (st == GF_OK)
        st = gf__archive_check_end(archive, err);
    if (st == GF_OK)
        st = gf__npy_decode_text(header, values, &list->strings, err);
    if (st == GF_OK)
        list->n = header->n_values;
    gf__free(values);
    return st;
}

static gf_status read_member(gf_npz *file, size_t i, value_reader reader, void *result,
                             gf_error *err)
{
    gf__npy_header header;
    size_t size_bytes = 0;
    pthread_mutex_lock(&file->lock);
    gf_status st = gf__archive_begin(file->archive, i, &size_bytes, err);
    if (st == GF_OK)
        st = read_header(file->archive, size_bytes, &header, err);
    if (st == GF_OK)
        st = reader(file->archive, &header, result, err);
    gf__archive_end(file->archive);
    pthread_mutex_unlock(&file->lock);
    return st;
}

static gf_status read_named(gf_npz *file, const char *name, value_reader reader, void *result,
                            gf_error *err)
{
    const size_t i = gf__name_index_find(&file->index, name);
    gf_status st;
    if (i != GF__NAME_NONE) {
        st = read_member(file, i, reader, result, err);
        if (st != GF_OK)
            gf__error_prefix(err, "'%.64s'", name);
    } else {
        st = report_missing(file, name, err);
    }
    if (st != GF_OK && file->path != NULL)
        gf__error_prefix(err, "%s", file->path);
    return st;
}

gf_status gf_npz_load(gf_npz *file, const char *name, gf_tensor **out, gf_error *err)
{
    *out = NULL;
    return read_named(file, name, read_numbers, out, err);
}

gf_status gf_npz_load_strings(gf_npz *file, const char *name, char ***strings, size_t *n,
                              gf_error *err)
{
    string_list list = {0};
    const gf_status st = read_named(file, name, read_strings, &list, err);
    *strings = list.strings;
    *n = list.n;
    return st;
}

void gf_strings_free(char **strings)
{
    gf__free(strings); /* one block: pointers and text */
}
