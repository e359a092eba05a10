/* numbers_set.c: tables of numbers: a CSV whose columns are numbers but one, the class, and rows
 * (N,D) in an .npz.
 *
 * A CSV is such a table if no column is called a path, and a record has numbers in all columns but
 * the class's: 'label' (or 'class', 'category', 'target'), else the last. Columns without a header
 * are called column_0, column_1 ... */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/csv_priv.h"
#include "data/dataset_priv.h"

#define MAX_COLUMNS (GF__CSV_MAX_FIELDS - 1)

static bool parse_number(const char *text, float *out)
{
    char *end = NULL;
    const double value = strtod(text, &end);
    *out = (float)value;
    return end != text && *end == '\0' && isfinite(*out) && strpbrk(text, "xX") == NULL;
}

/* Whether all columns but one are numbers. */
static bool is_row(const gf__csv *csv, size_t label)
{
    float value;
    for (size_t i = 0; i < csv->n_fields; i++)
        if (i != label && !parse_number(gf__csv_field(csv, i), &value))
            return false;
    return csv->n_fields >= 2;
}

/* The column of the class. */
static size_t find_label(const gf__csv *csv)
{
    static const char *const names[] = {"label", "class", "category", "target"};
    for (size_t i = 0; i < csv->n_fields; i++)
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++)
            if (strcasecmp(gf__csv_field(csv, i), names[j]) == 0)
                return i;
    return csv->n_fields - 1;
}

bool gf__is_number_table(const char *text, size_t n_bytes)
{
    gf__csv csv;
    bool is_table = false;
    gf__csv_start(&csv, text, n_bytes);
    if (gf__csv_next(&csv, NULL) == GF_OK && csv.n_fields >= 2 && !gf__csv_names_paths(&csv)) {
        const size_t label = find_label(&csv), n_fields = csv.n_fields;
        is_table = is_row(&csv, n_fields - 1);
        /* With a header, the record after it decides. */
        if (!is_table && gf__csv_next(&csv, NULL) == GF_OK && csv.n_fields == n_fields)
            is_table = is_row(&csv, label);
    }
    gf__csv_end(&csv);
    return is_table;
}

/* A table being read. */
typedef struct table {
    gf_dataset *set;
    gf__names *labels;
    size_t n_fields;
    size_t label; /* n_fields where there is none */
    float *values;
    size_t n_values, capacity;
} table;

static gf_status add_value(table *t, float value, gf_error *err)
{
    if (t->n_values == t->capacity) {
        const size_t capacity = 2 * t->capacity + 1024;
        size_t n_bytes;
        if (!gf__mul_size(capacity, sizeof *t->values, &n_bytes))
            return gf__error_nomem(err, "numbers", SIZE_MAX);
        float *values = gf__realloc(t->values, n_bytes);
        if (values == NULL)
            return gf__error_nomem(err, "numbers", n_bytes);
        t->values = values;
        t->capacity = capacity;
    }
    t->values[t->n_values++] = value;
    return GF_OK;
}

static gf_status read_header(table *t, const gf__csv *csv, bool is_unlabelled, bool *is_header,
                             gf_error *err)
{
    gf_status st = GF_OK;
    t->n_fields = csv->n_fields;
    *is_header = !is_row(csv, csv->n_fields - 1);
    t->label = *is_header ? find_label(csv) : csv->n_fields - 1;
    if (is_unlabelled)
        t->label = csv->n_fields;
    for (size_t i = 0, n = 0; i < csv->n_fields && st == GF_OK; i++) {
        if (i == t->label)
            continue;
        char *made = *is_header ? NULL : gf__asprintf("column_%zu", n);
        const char *name = *is_header ? gf__csv_field(csv, i) : made;
        n++;
        if (name == NULL)
            st = gf__error_nomem(err, "a name", 0);
        else if (name[0] == '\0')
            st = gf_error_set(err, GF_EFORMAT, "line %zu, column %zu: it has no name", csv->line,
                              i + 1);
        else
            st = gf__names_add(&t->set->columns, name, err);
        gf__free(made);
    }
    return st;
}

static gf_status read_record(table *t, const gf__csv *csv, gf_error *err)
{
    char item[32];
    gf_status st = GF_OK;
    if (csv->n_fields != t->n_fields)
        return gf_error_set(err, GF_EFORMAT,
                            "line %zu: %zu columns, expected %zu as in the first "
                            "line",
                            csv->line, csv->n_fields, t->n_fields);
    for (size_t i = 0; i < csv->n_fields && st == GF_OK; i++) {
        const char *field = gf__csv_field(csv, i);
        float value = 0;
        if (i == t->label)
            st = gf__row_check_label(field, err);
        else if (!parse_number(field, &value))
            st = gf_error_set(err, GF_EFORMAT, "\"%.60s\", expected a number", field);
        else
            st = add_value(t, value, err);
        if (st == GF_EFORMAT)
            gf__error_prefix(err, "line %zu, column %zu", csv->line, i + 1);
    }
    snprintf(item, sizeof item, "line %zu", csv->line);
    if (st == GF_OK)
        st = gf__dataset_add(t->set, item, 0, 0, err);
    const char *label = t->label < csv->n_fields ? gf__csv_field(csv, t->label) : GF__UNLABELLED;
    return st == GF_OK ? gf__names_add(t->labels, label, err) : st;
}

static gf_status keep_values(table *t, gf_error *err)
{
    const size_t shape[2] = {t->set->n_items, t->set->columns.n};
    if (t->set->n_items == 0)
        return gf_error_set(err, GF_EFORMAT, "a header and no rows");
    const gf_status st = gf_tensor_new(GF_DTYPE_F32, shape, 2, &t->set->features, err);
    if (st == GF_OK)
        memcpy(gf_tensor_mutable_data(t->set->features), t->values,
               t->n_values * sizeof *t->values);
    return st;
}

gf_status gf__number_table_read(gf_dataset *set, const char *text, size_t n_bytes,
                                bool is_unlabelled, gf__names *labels, gf_error *err)
{
    gf__csv csv;
    bool is_header = false;
    table t = {.set = set, .labels = labels};
    gf__csv_start(&csv, text, n_bytes);
    gf_status st = gf__csv_next(&csv, err);
    if (st == GF_OK)
        st = read_header(&t, &csv, is_unlabelled, &is_header, err);
    if (st == GF_OK && is_header)
        st = gf__csv_next(&csv, err);
    while (st == GF_OK && csv.n_fields > 0) {
        st = read_record(&t, &csv, err);
        if (st == GF_OK)
            st = gf__csv_next(&csv, err);
    }
    if (st == GF_OK)
        st = keep_values(&t, err);
    gf__csv_end(&csv);
    gf__free(t.values);
    return st;
}

/* ---- .npz ---- */

gf_status gf__number_rows_take(gf_dataset *set, gf_tensor **features, gf_error *err)
{
    gf_tensor *floats = NULL;
    const size_t n_columns = gf_tensor_shape(*features)[1];
    gf_status st = gf_tensor_to_f32(*features, &floats, err);
    for (size_t i = 0; st == GF_OK && i < gf_tensor_n_values(floats); i++)
        if (!isfinite(gf_tensor_f32(floats)[i]))
            st = gf_error_set(err, GF_EFORMAT, "features[%zu]: column %zu is not a number",
                              i / n_columns, i % n_columns);
    for (size_t i = 0; st == GF_OK && i < n_columns; i++) {
        char name[32];
        snprintf(name, sizeof name, "column_%zu", i);
        st = gf__names_add(&set->columns, name, err);
    }
    if (st != GF_OK) {
        gf_tensor_free(floats);
        return st;
    }
    gf_tensor_free(*features);
    *features = floats;
    return GF_OK;
}

/* ---- looking ---- */

size_t gf_dataset_n_columns(const gf_dataset *dataset)
{
    return dataset->columns.n;
}

const char *gf_dataset_column_at(const gf_dataset *dataset, size_t i)
{
    return i < dataset->columns.n ? dataset->columns.at[i] : NULL;
}

gf_status gf__dataset_wants_pictures(const gf_dataset *dataset, gf_error *err)
{
    if (dataset->columns.n == 0)
        return GF_OK;
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "%s: rows of %zu numbers, no pictures; graft train and graft predict take "
                        "them",
                        dataset->path, dataset->columns.n);
}
