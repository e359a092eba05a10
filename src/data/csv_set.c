/* csv_set.c: a CSV of picture and label as a data set. With a header, its columns may be in any
 * order and among others; without one there are two columns, path and label. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "data/csv_priv.h"
#include "data/dataset_priv.h"

typedef struct column_map {
    size_t path, label;
    size_t n_fields; /* of every record */
} column_map;

static const char *const path_names[] = {"path",     "file",       "image", "filename", "file_name",
                                         "filepath", "image_path", "img",   NULL};
static const char *const label_names[] = {"label", "class", "category", "target", NULL};

/* The column one of the names heads; n_fields where there is none. */
static size_t find_column(const gf__csv *csv, const char *const *names)
{
    for (size_t i = 0; i < csv->n_fields; i++) {
        for (size_t j = 0; names[j] != NULL; j++) {
            if (strcasecmp(gf__csv_field(csv, i), names[j]) == 0)
                return i;
        }
    }
    return csv->n_fields;
}

bool gf__csv_names_paths(const gf__csv *csv)
{
    return find_column(csv, path_names) < csv->n_fields;
}

/* "a, b, c" of the record, for a message; cut where it does not fit. */
static void list_fields(const gf__csv *csv, char *text, size_t n_bytes)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < csv->n_fields && used < n_bytes; i++) {
        const int n = snprintf(text + used, n_bytes - used, "%s%s", i > 0 ? ", " : "",
                               gf__csv_field(csv, i));
        used += n > 0 ? (size_t)n : 0;
    }
}

/* From the first record; *is_header tells that it is no item. */
static gf_status find_columns(const gf__csv *csv, column_map *out, bool *is_header, gf_error *err)
{
    char found[200];

    out->n_fields = csv->n_fields;
    out->path = find_column(csv, path_names);
    out->label = find_column(csv, label_names);
    *is_header = out->path < csv->n_fields && out->label < csv->n_fields;
    if (*is_header)
        return GF_OK;
    list_fields(csv, found, sizeof found);
    /* A path has a slash or a dot somewhere; "photo,kind" is a header of names that are not
     * known. */
    if (csv->n_fields == 2 && out->path == 2 && out->label == 2 &&
        strpbrk(gf__csv_field(csv, 0), "/.") != NULL) {
        out->path = 0;
        out->label = 1;
        return GF_OK;
    }
    if (csv->n_fields == 1)
        return gf_error_set(err, GF_EFORMAT,
                            "line %zu: one column only (%s), expected two: path,label", csv->line,
                            found);
    return gf_error_set(
        err, GF_EFORMAT,
        "line %zu: the columns are %s; expected a header with a column 'path' (or 'file', "
        "'image', 'filename') and a column 'label' (or 'class')",
        csv->line, found);
}

static gf_status check_width(const gf__csv *csv, const column_map *columns, gf_error *err)
{
    if (csv->n_fields != columns->n_fields)
        return gf_error_set(err, GF_EFORMAT,
                            "line %zu: %zu column%s, expected %zu as in the first line", csv->line,
                            csv->n_fields, csv->n_fields == 1 ? "" : "s", columns->n_fields);
    return GF_OK;
}

static gf_status add_record(gf_dataset *set, const gf__csv *csv, const column_map *columns,
                            const char *dir, gf__names *labels, gf_error *err)
{
    const char *path = gf__csv_field(csv, columns->path);
    const char *label = gf__csv_field(csv, columns->label);
    gf_status st = gf__row_check_path(path, err);

    if (st != GF_OK) {
        gf__error_prefix(err, "line %zu, column %zu", csv->line, columns->path + 1);
        return st;
    }
    st = gf__row_check_label(label, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "line %zu, column %zu", csv->line, columns->label + 1);
        return st;
    }
    return gf__row_add(set, labels, dir, path, label, err);
}

gf_status gf__csv_set_read(gf_dataset *set, const char *text, size_t n_bytes, const char *dir,
                           gf__names *labels, gf_error *err)
{
    gf_status st;
    gf__csv csv;
    column_map columns = {0};
    bool is_header = false;

    gf__csv_start(&csv, text, n_bytes);
    st = gf__csv_next(&csv, err);
    if (st == GF_OK && csv.n_fields > 0)
        st = find_columns(&csv, &columns, &is_header, err);
    if (st == GF_OK && is_header)
        st = gf__csv_next(&csv, err);
    while (st == GF_OK && csv.n_fields > 0) {
        st = check_width(&csv, &columns, err);
        if (st == GF_OK)
            st = add_record(set, &csv, &columns, dir, labels, err);
        if (st == GF_OK)
            st = gf__csv_next(&csv, err);
    }
    if (st == GF_OK && set->n_items == 0)
        st = gf_error_set(err, GF_EFORMAT, "no pictures listed, expected lines of path,label");
    gf__csv_end(&csv);
    return st;
}
