/* dataset.c: the storage all kinds of data set share, and opening by what a path holds.
 *
 * A path is a folder or a file, and a file is known by its first bytes: a zip is an .npz, text that
 * starts with a brace is JSON lines, other text is CSV. The ending says nothing that the content
 * does not say better. */
#include <assert.h>
#include <string.h>

#include "data/dataset_priv.h"
#include "data/make_priv.h"

/* ---- storage --------------------------------------------------------------------------------- */

/* Room for one more element in an array that doubles. */
static gf_status reserve_one(void **array, size_t n, size_t *capacity, size_t item_bytes,
                             gf_error *err)
{
    size_t wanted, n_bytes;
    void *grown;

    if (n < *capacity)
        return GF_OK;
    wanted = *capacity < 16 ? 16 : *capacity * 2;
    if (!gf__mul_size(wanted, item_bytes, &n_bytes))
        return gf__error_nomem(err, "items of a data set", SIZE_MAX);
    grown = gf__realloc(*array, n_bytes);
    if (grown == NULL)
        return gf__error_nomem(err, "items of a data set", n_bytes);
    *array = grown;
    *capacity = wanted;
    return GF_OK;
}

gf_status gf__names_add(gf__names *names, const char *text, gf_error *err)
{
    void *array = names->at;
    char *copy;
    gf_status st = reserve_one(&array, names->n, &names->capacity, sizeof *names->at, err);

    names->at = array;
    if (st != GF_OK)
        return st;
    copy = gf__strdup(text);
    if (copy == NULL)
        return gf__error_nomem(err, "a name", strlen(text) + 1);
    names->at[names->n++] = copy;
    return GF_OK;
}

void gf__names_free(gf__names *names)
{
    for (size_t i = 0; i < names->n; i++)
        gf__free(names->at[i]);
    gf__free(names->at);
    *names = (gf__names){0};
}

gf_status gf__dataset_add(gf_dataset *set, const char *text, size_t name_at, size_t label,
                          gf_error *err)
{
    void *array = set->items;
    char *copy;
    gf_status st = reserve_one(&array, set->n_items, &set->capacity, sizeof *set->items, err);

    set->items = array;
    if (st != GF_OK)
        return st;
    copy = gf__strdup(text);
    if (copy == NULL)
        return gf__error_nomem(err, "a path", strlen(text) + 1);
    set->items[set->n_items++] = (gf__item){copy, name_at, label};
    return GF_OK;
}

gf_status gf__dataset_new(const char *path, gf_dataset **out, gf_error *err)
{
    gf_dataset *set = gf__calloc(1, sizeof *set);
    size_t n_chars = strlen(path);

    *out = NULL;
    if (set == NULL)
        return gf__error_nomem(err, "a data set", sizeof *set);
    while (n_chars > 1 && path[n_chars - 1] == '/')
        n_chars--;
    set->path = gf__strndup(path, n_chars);
    if (set->path == NULL) {
        gf__free(set);
        return gf__error_nomem(err, "a path", n_chars + 1);
    }
    *out = set;
    return GF_OK;
}

void gf_dataset_free(gf_dataset *dataset)
{
    if (dataset == NULL)
        return;
    for (size_t i = 0; i < dataset->n_items; i++)
        gf__free(dataset->items[i].text);
    gf__free(dataset->items);
    gf__names_free(&dataset->classes);
    gf__names_free(&dataset->strangers);
    gf__names_free(&dataset->empty);
    gf__names_free(&dataset->columns);
    gf_tensor_free(dataset->features);
    gf__free(dataset->hashes);
    gf__free(dataset->path);
    gf__free(dataset);
}

/* ---- opening --------------------------------------------------------------------------------- */

typedef enum content_kind { CONTENT_NPZ, CONTENT_JSONL, CONTENT_CSV } content_kind;

static bool starts_with(const gf__mapping *file, const char *bytes)
{
    const size_t n = strlen(bytes);
    return file->size >= n && memcmp(file->data, bytes, n) == 0;
}

/* How a picture, an empty file and other things that are no data set are turned away. */
static gf_status sniff(const gf__mapping *file, content_kind *kind, gf_error *err)
{
    static const char expected[] = "expected a folder of class folders, an .npz, or a CSV or "
                                   "JSON-lines file of path and label";
    const size_t n_head = file->size < 4096 ? file->size : 4096;
    gf_image_info info = {0};
    size_t i = starts_with(file, "\xef\xbb\xbf") ? 3 : 0;

    if (file->size == 0)
        return gf_error_set(err, GF_EFORMAT, "empty file; %s", expected);
    if (starts_with(file, "PK\3\4") || starts_with(file, "PK\5\6")) {
        *kind = CONTENT_NPZ;
        return GF_OK;
    }
    if (gf_image_read_info(file->data, file->size, &info, NULL) == GF_OK)
        return gf_error_set(err, GF_EFORMAT, "a %s picture, not a data set; %s",
                            gf_image_format_name(info.format), expected);
    if (starts_with(file, "\xff\xfe") || starts_with(file, "\xfe\xff"))
        return gf_error_set(err, GF_EFORMAT, "UTF-16 text; save it as UTF-8");
    if (memchr(file->data, '\0', n_head) != NULL)
        return gf_error_set(err, GF_EFORMAT, "not a data set; %s", expected);
    while (i < n_head && strchr(" \t\r\n", file->data[i]) != NULL)
        i++;
    if (i < n_head && file->data[i] == '[')
        return gf_error_set(
            err, GF_EFORMAT,
            "a JSON array; expected JSON lines, one {\"path\":..., \"label\":...} a line");
    if (gf__is_url_list((const char *)file->data, file->size))
        return gf_error_set(err, GF_EFORMAT,
                            "a list of addresses; `graft dataset make` downloads the pictures");
    *kind = i < n_head && file->data[i] == '{' ? CONTENT_JSONL : CONTENT_CSV;
    return GF_OK;
}

/* A row's file may have gone: such rows are skipped when they are read, but a list of which nothing
 * is there was written for another folder. */
static gf_status check_files(const gf_dataset *set, const gf_observer *obs, gf_error *err)
{
    size_t n_missing = 0, first = 0;

    for (size_t i = set->n_items; i-- > 0;) {
        if (gf__is_file(set->items[i].text))
            continue;
        n_missing++;
        first = i;
    }
    if (n_missing == 0)
        return GF_OK;
    if (n_missing == set->n_items)
        return gf_error_set(
            err, GF_ENOTFOUND,
            "none of the %zu pictures is there, the first would be %s (paths count from the "
            "folder of the list)",
            n_missing, set->items[first].text);
    gf__observe_log(obs, GF_LOG_WARNING, "%s: %zu of %zu pictures are not there, the first is %s",
                    set->path, n_missing, set->n_items, set->items[first].text);
    return GF_OK;
}

static gf_status read_table(gf_dataset *set, const gf__mapping *file, content_kind kind,
                            const gf_dataset_options *options, const gf_observer *obs,
                            gf_error *err)
{
    gf_status st;
    gf__names labels = {0};
    const char *text = (const char *)file->data;
    char *dir = gf__strndup(set->path, (size_t)(gf__path_base(set->path) - set->path));

    if (dir == NULL)
        return gf__error_nomem(err, "a path", strlen(set->path));
    if (kind == CONTENT_CSV && gf__is_number_table(text, file->size))
        st = gf__number_table_read(set, text, file->size, options->is_unlabelled, &labels, err);
    else if (kind == CONTENT_CSV)
        st = gf__csv_set_read(set, text, file->size, dir, &labels, err);
    else
        st = gf__jsonl_set_read(set, text, file->size, dir, &labels, err);
    if (st != GF_OK)
        goto done;
    set->kind = kind == CONTENT_CSV ? "csv" : "jsonl";
    st = gf__labels_resolve(set, &labels, options, err);
    if (st != GF_OK || set->features != NULL)
        goto done;
    st = check_files(set, obs, err);
done:
    gf__names_free(&labels);
    gf__free(dir);
    return st;
}

/* Puts the path before a message, where the reader of .npz members has not done so. */
static void name_file(const gf_dataset *set, gf_error *err)
{
    const size_t n = strlen(set->path);

    if (err != NULL && (strncmp(err->message, set->path, n) != 0 || err->message[n] != ':'))
        gf__error_prefix(err, "%s", set->path);
}

static gf_status read_file(gf_dataset *set, const gf_dataset_options *options,
                           const gf_observer *obs, gf_error *err)
{
    gf_status st;
    gf__mapping file;
    content_kind kind = CONTENT_CSV;

    st = gf__map_file(set->path, &file, err);
    if (st != GF_OK)
        return st;
    st = sniff(&file, &kind, err);
    if (st == GF_OK && kind == CONTENT_NPZ)
        st = gf__npz_set_read(set, options, obs, err);
    else if (st == GF_OK)
        st = read_table(set, &file, kind, options, obs, err);
    if (st != GF_OK)
        name_file(set, err);
    gf__unmap(&file);
    return st;
}

gf_status gf_dataset_open(const char *path, const gf_dataset_options *options,
                          const gf_observer *obs, gf_dataset **out, gf_error *err)
{
    static const gf_dataset_options defaults = {0};
    gf_status st;
    gf_dataset *set = NULL;

    *out = NULL;
    st = gf__dataset_new(path, &set, err);
    if (st != GF_OK)
        return st;
    if (gf__is_dir(path))
        st = gf__folder_read(set, obs, err);
    else
        st = read_file(set, options != NULL ? options : &defaults, obs, err);
    if (st != GF_OK) {
        gf_dataset_free(set);
        return st;
    }
    if (set->classes.n == 1)
        gf__observe_log(obs, GF_LOG_WARNING, "%s: only one class, %s; a classifier needs two", path,
                        set->classes.at[0]);
    *out = set;
    return GF_OK;
}

/* ---- looking --------------------------------------------------------------------------------- */

const char *gf_dataset_path(const gf_dataset *dataset)
{
    return dataset->path;
}

const char *gf_dataset_kind(const gf_dataset *dataset)
{
    return dataset->kind;
}

size_t gf_dataset_n_items(const gf_dataset *dataset)
{
    return dataset->n_items;
}

size_t gf_dataset_n_classes(const gf_dataset *dataset)
{
    return dataset->classes.n;
}

const char *gf_dataset_class_at(const gf_dataset *dataset, size_t k)
{
    assert(k < dataset->classes.n);
    return dataset->classes.at[k];
}

size_t gf_dataset_label_at(const gf_dataset *dataset, size_t i)
{
    assert(i < dataset->n_items);
    return dataset->items[i].label;
}

const char *gf_dataset_item_at(const gf_dataset *dataset, size_t i)
{
    assert(i < dataset->n_items);
    return dataset->items[i].text + dataset->items[i].name_at;
}

const char *gf_dataset_file_at(const gf_dataset *dataset, size_t i)
{
    assert(i < dataset->n_items);
    return dataset->features != NULL ? NULL : dataset->items[i].text;
}

gf_status gf__dataset_open_rows(const char *path, size_t n_columns, gf_dataset **out, gf_error *err)
{
    const gf_dataset_options unlabelled = {.is_unlabelled = true};
    gf_dataset *plain = NULL;
    gf_status st;

    if (strcmp(gf__path_extension(path), ".npz") == 0)
        return gf_dataset_open(path, &unlabelled, NULL, out, err);
    st = gf_dataset_open(path, NULL, NULL, out, err);
    if (st == GF_OK && (*out)->columns.n == n_columns)
        return GF_OK;
    if (gf_dataset_open(path, &unlabelled, NULL, &plain, NULL) == GF_OK &&
        plain->columns.n == n_columns) {
        gf_dataset_free(*out);
        *out = plain;
        return GF_OK;
    }
    gf_dataset_free(plain);
    return st;
}
