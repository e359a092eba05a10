/* urls.c: lists of addresses of pictures. "ADDRESS label" a line, '#' starts a comment line, the
 * label may have blanks; or "ADDRESS,label"; or a CSV with a header that has a column "url". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/csv_priv.h"
#include "data/make_priv.h"

#define MAX_URL_BYTES 8192

static bool is_url(const char *text, size_t n)
{
    static const char *const schemes[] = {"http://", "https://", "file://", NULL};

    for (size_t i = 0; schemes[i] != NULL; i++) {
        const size_t n_scheme = strlen(schemes[i]);

        if (n > n_scheme && strncasecmp(text, schemes[i], n_scheme) == 0)
            return true;
    }
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* A line without the blanks around it. */
typedef struct url_line {
    const char *text;
    size_t n;
    size_t number; /* from 1 */
} url_line;

/* The next line that is neither blank nor a comment; false at the end. *at moves on. Start with
 * number 0. */
static bool next_line(const char *text, size_t n_bytes, size_t *at, url_line *line)
{
    if (*at == 0 && n_bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        *at = 3;
    while (*at < n_bytes) {
        const char *end = memchr(text + *at, '\n', n_bytes - *at);
        const size_t stop = end != NULL ? (size_t)(end - text) : n_bytes;

        line->text = text + *at;
        line->n = stop - *at;
        line->number++;
        *at = stop + 1;
        while (line->n > 0 && is_blank(line->text[0])) {
            line->text++;
            line->n--;
        }
        while (line->n > 0 && is_blank(line->text[line->n - 1]))
            line->n--;
        if (line->n > 0 && line->text[0] != '#')
            return true;
    }
    return false;
}

/* Which columns a header has, if it is one of a list of addresses. */
static bool find_url_columns(const gf__csv *csv, size_t *url, size_t *label)
{
    *url = *label = csv->n_fields;
    for (size_t i = 0; i < csv->n_fields; i++) {
        const char *name = gf__csv_field(csv, i);

        if (strcasecmp(name, "url") == 0 || strcasecmp(name, "address") == 0)
            *url = i;
        else if (strcasecmp(name, "label") == 0 || strcasecmp(name, "class") == 0)
            *label = i;
    }
    return *url < csv->n_fields;
}

/* A CSV is read as one when it has a header, or quotes its addresses. */
static bool starts_as_csv(const char *text, size_t n_bytes)
{
    gf__csv csv;
    size_t url, label;
    bool is_csv;

    gf__csv_start(&csv, text, n_bytes);
    is_csv = gf__csv_next(&csv, NULL) == GF_OK && csv.n_fields > 1 &&
             (find_url_columns(&csv, &url, &label) ||
              (text[0] == '"' && is_url(gf__csv_field(&csv, 0), strlen(gf__csv_field(&csv, 0)))));
    gf__csv_end(&csv);
    return is_csv;
}

bool gf__is_url_list(const char *text, size_t n_bytes)
{
    size_t at = 0;
    url_line line = {0};

    if (starts_as_csv(text, n_bytes))
        return true;
    return next_line(text, n_bytes, &at, &line) && is_url(line.text, line.n);
}

/* url need not end in NUL. */
static gf_status add_url(gf_dataset *set, const char *url, size_t n_url, const char *label,
                         gf__names *labels, gf_error *err)
{
    gf_status st = gf__row_check_label(label, err);
    char *copy;

    if (st != GF_OK)
        return st;
    if (!is_url(url, n_url))
        return gf_error_set(err, GF_EFORMAT,
                            "%.*s is no address; expected http://... or https://...",
                            (int)(n_url < 100 ? n_url : 100), url);
    if (n_url > MAX_URL_BYTES)
        return gf_error_set(err, GF_EFORMAT, "an address of %zu bytes, expected at most %d", n_url,
                            MAX_URL_BYTES);
    copy = gf__strndup(url, n_url);
    if (copy == NULL)
        return gf__error_nomem(err, "an address", n_url);
    st = gf__dataset_add(set, copy, 0, 0, err);
    gf__free(copy);
    if (st == GF_OK)
        st = gf__names_add(labels, label, err);
    return st;
}

/* Where the address ends: at the first blank, else at the last comma, as addresses may have commas
 * themselves. */
static size_t url_length(const url_line *line)
{
    size_t n = 0;

    while (n < line->n && !is_blank(line->text[n]))
        n++;
    if (n < line->n)
        return n;
    while (n > 0 && line->text[n - 1] != ',')
        n--;
    return n > 0 ? n - 1 : line->n;
}

static gf_status add_line(gf_dataset *set, const url_line *line, gf__names *labels, gf_error *err)
{
    size_t n_url = url_length(line), start = n_url;
    char *label;
    gf_status st;

    while (start < line->n && (is_blank(line->text[start]) || line->text[start] == ','))
        start++;
    if (start == line->n)
        return gf_error_set(err, GF_EFORMAT, "no label after the address; expected ADDRESS LABEL");
    while (n_url > 0 && line->text[n_url - 1] == ',') /* "ADDRESS, label" */
        n_url--;
    if (memchr(line->text, '\0', line->n) != NULL)
        return gf_error_set(err, GF_EFORMAT, "a NUL byte; this is no text");
    label = gf__strndup(line->text + start, line->n - start);
    if (label == NULL)
        return gf__error_nomem(err, "a label", line->n);
    st = add_url(set, line->text, n_url, label, labels, err);
    gf__free(label);
    return st;
}

static gf_status read_lines(gf_dataset *set, const char *text, size_t n_bytes, gf__names *labels,
                            gf_error *err)
{
    size_t at = 0;
    url_line line = {0};

    while (next_line(text, n_bytes, &at, &line)) {
        const gf_status st = add_line(set, &line, labels, err);

        if (st != GF_OK) {
            gf__error_prefix(err, "line %zu", line.number);
            return st;
        }
    }
    return GF_OK;
}

static gf_status add_record(gf_dataset *set, const gf__csv *csv, size_t url, size_t label,
                            gf__names *labels, gf_error *err)
{
    gf_status st;

    if (url >= csv->n_fields || label >= csv->n_fields)
        st = gf_error_set(err, GF_EFORMAT, "%zu column%s, expected an address and a label",
                          csv->n_fields, csv->n_fields == 1 ? "" : "s");
    else
        st = add_url(set, gf__csv_field(csv, url), strlen(gf__csv_field(csv, url)),
                     gf__csv_field(csv, label), labels, err);
    if (st != GF_OK)
        gf__error_prefix(err, "line %zu", csv->line);
    return st;
}

static gf_status read_csv(gf_dataset *set, const char *text, size_t n_bytes, gf__names *labels,
                          gf_error *err)
{
    gf_status st;
    gf__csv csv;
    size_t url = 0, label = 1;

    gf__csv_start(&csv, text, n_bytes);
    st = gf__csv_next(&csv, err);
    if (st == GF_OK && find_url_columns(&csv, &url, &label)) {
        if (label == csv.n_fields)
            st = gf_error_set(err, GF_EFORMAT, "line %zu: a column 'url' and no column 'label'",
                              csv.line);
        else
            st = gf__csv_next(&csv, err);
    } else {
        url = 0;
        label = 1;
    }
    while (st == GF_OK && csv.n_fields > 0) {
        st = add_record(set, &csv, url, label, labels, err);
        if (st == GF_OK)
            st = gf__csv_next(&csv, err);
    }
    gf__csv_end(&csv);
    return st;
}

/* ---- addresses that stand there twice -------------------------------------------------------- */

static int compare_items(const void *left, const void *right)
{
    const gf__item *const *a = left, *const *b = right;
    const int order = strcmp((*a)->text, (*b)->text);

    if (order != 0)
        return order;
    return *a < *b ? -1 : *a > *b;
}

/* The same picture twice would end up in the training and the test part, and downloads would fight
 * for one file. Marks later ones by an empty text. */
static gf_status mark_repeated(gf_dataset *set, gf__names *skipped, gf_error *err)
{
    gf_status st = GF_OK;
    gf__item **sorted = gf__calloc(set->n_items, sizeof *sorted);
    const gf__item *first = NULL;

    if (sorted == NULL)
        return gf__error_nomem(err, "addresses", set->n_items * sizeof *sorted);
    for (size_t i = 0; i < set->n_items; i++)
        sorted[i] = &set->items[i];
    qsort(sorted, set->n_items, sizeof(gf__item *), compare_items);
    for (size_t i = 0; i < set->n_items && st == GF_OK; i++) {
        if (first == NULL || strcmp(first->text, sorted[i]->text) != 0) {
            first = sorted[i];
            continue;
        }
        char *line = gf__asprintf("%s: stands in the list twice", sorted[i]->text);

        st = line != NULL ? gf__names_add(skipped, line, err)
                          : gf__error_nomem(err, "a message", strlen(sorted[i]->text));
        gf__free(line);
        sorted[i]->text[0] = '\0';
    }
    gf__free(sorted);
    return st;
}

static void drop_marked(gf_dataset *set, gf__names *labels)
{
    size_t n = 0;

    for (size_t i = 0; i < set->n_items; i++) {
        if (set->items[i].text[0] == '\0') {
            gf__free(set->items[i].text);
            gf__free(labels->at[i]);
            continue;
        }
        set->items[n] = set->items[i];
        labels->at[n++] = labels->at[i];
    }
    set->n_items = labels->n = n;
}

gf_status gf__urls_read(gf_dataset *set, const char *text, size_t n_bytes, gf__names *labels,
                        gf__names *skipped, gf_error *err)
{
    gf_status st;

    if (starts_as_csv(text, n_bytes))
        st = read_csv(set, text, n_bytes, labels, err);
    else
        st = read_lines(set, text, n_bytes, labels, err);
    if (st != GF_OK)
        return st;
    if (set->n_items == 0)
        return gf_error_set(err, GF_EFORMAT, "no addresses, expected lines of ADDRESS LABEL");
    st = mark_repeated(set, skipped, err);
    if (st == GF_OK)
        drop_marked(set, labels);
    return st;
}
