/* csv.c: RFC 4180 as spreadsheets write it. One pass, no look-ahead beyond a byte; memory for one
 * record. */
#include <assert.h>
#include <string.h>

#include "data/csv_priv.h"

/* Spreadsheets of countries with a decimal comma separate by semicolons. */
static char guess_delimiter(const gf__csv *csv)
{
    for (size_t i = csv->at; i < csv->n_bytes; i++) {
        const char c = csv->text[i];

        if (c == ',' || c == ';' || c == '\t')
            return c;
        if (c == '\n' || c == '\r')
            break;
    }
    return ',';
}

void gf__csv_start(gf__csv *csv, const char *text, size_t n_bytes)
{
    *csv = (gf__csv){.text = text, .n_bytes = n_bytes, .next_line = 1};
    if (n_bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        csv->at = 3;
    csv->delimiter = guess_delimiter(csv);
}

void gf__csv_end(gf__csv *csv)
{
    gf__buffer_free(&csv->fields);
}

const char *gf__csv_field(const gf__csv *csv, size_t i)
{
    assert(i < csv->n_fields);
    return csv->fields.data + csv->starts[i];
}

/* The byte at the reading position, 0 at the end: a NUL in the text is refused where it would
 * matter. */
static char peek(const gf__csv *csv)
{
    return csv->at < csv->n_bytes ? csv->text[csv->at] : '\0';
}

static bool is_line_end(const gf__csv *csv)
{
    return csv->at == csv->n_bytes || peek(csv) == '\n' || peek(csv) == '\r';
}

static void skip_blanks(gf__csv *csv)
{
    while ((peek(csv) == ' ' || peek(csv) == '\t') && peek(csv) != csv->delimiter)
        csv->at++;
}

/* Over LF, CR or CRLF. */
static void skip_line_end(gf__csv *csv)
{
    if (peek(csv) == '\r')
        csv->at++;
    if (peek(csv) == '\n')
        csv->at++;
    csv->next_line++;
}

static gf_status fail_here(const gf__csv *csv, size_t line, gf_status code, const char *what,
                           gf_error *err)
{
    return gf_error_set(err, code, "line %zu, column %zu: %s", line, csv->n_fields, what);
}

/* After the opening quote, to behind the closing one. */
static gf_status read_quoted(gf__csv *csv, gf_error *err)
{
    const size_t opened = csv->next_line;

    for (;;) {
        const size_t start = csv->at;

        while (csv->at < csv->n_bytes && peek(csv) != '"') {
            if (peek(csv) == '\n')
                csv->next_line++;
            csv->at++;
        }
        gf__buffer_append(&csv->fields, csv->text + start, csv->at - start);
        if (csv->at == csv->n_bytes)
            return fail_here(csv, opened, GF_EFORMAT, "a quote is opened and never closed", err);
        csv->at++;
        if (peek(csv) != '"' || csv->at == csv->n_bytes)
            break;
        gf__buffer_append(&csv->fields, "\"", 1);
        csv->at++;
    }
    skip_blanks(csv);
    if (!is_line_end(csv) && peek(csv) != csv->delimiter)
        return fail_here(csv, csv->next_line, GF_EFORMAT, "text after the closing quote", err);
    return GF_OK;
}

static gf_status read_bare(gf__csv *csv, gf_error *err)
{
    const size_t start = csv->at;
    size_t end;

    while (!is_line_end(csv) && peek(csv) != csv->delimiter) {
        if (peek(csv) == '"')
            return fail_here(csv, csv->next_line, GF_EFORMAT,
                             "a quote inside a field; put the field in quotes and write \"\"", err);
        csv->at++;
    }
    for (end = csv->at; end > start; end--) {
        if (csv->text[end - 1] != ' ' && csv->text[end - 1] != '\t')
            break;
    }
    gf__buffer_append(&csv->fields, csv->text + start, end - start);
    return GF_OK;
}

static gf_status read_field(gf__csv *csv, gf_error *err)
{
    gf_status st;
    size_t start;

    if (csv->n_fields == GF__CSV_MAX_FIELDS)
        return gf_error_set(err, GF_ELIMIT, "line %zu: more than %d columns", csv->line,
                            GF__CSV_MAX_FIELDS);
    start = csv->fields.size;
    csv->starts[csv->n_fields++] = start;
    skip_blanks(csv);
    if (peek(csv) == '"') {
        csv->at++;
        st = read_quoted(csv, err);
    } else {
        st = read_bare(csv, err);
    }
    if (st != GF_OK)
        return st;
    st = gf__buffer_status(&csv->fields, err);
    if (st != GF_OK)
        return st;
    if (csv->fields.size - start > GF__CSV_MAX_FIELD_BYTES)
        return fail_here(csv, csv->line, GF_ELIMIT, "more than 65536 bytes in one field", err);
    if (csv->fields.size > start &&
        memchr(csv->fields.data + start, '\0', csv->fields.size - start) != NULL)
        return fail_here(csv, csv->line, GF_EFORMAT, "a NUL byte; this is no text", err);
    gf__buffer_append(&csv->fields, "", 1);
    return gf__buffer_status(&csv->fields, err);
}

gf_status gf__csv_next(gf__csv *csv, gf_error *err)
{
    gf_status st;

    csv->n_fields = 0;
    for (;;) {
        skip_blanks(csv);
        if (csv->at == csv->n_bytes)
            return GF_OK;
        if (!is_line_end(csv))
            break;
        skip_line_end(csv);
    }
    csv->fields.size = 0;
    csv->line = csv->next_line;
    for (;;) {
        st = read_field(csv, err);
        if (st != GF_OK) {
            csv->n_fields = 0;
            return st;
        }
        if (is_line_end(csv))
            break;
        csv->at++; /* the delimiter */
    }
    if (csv->at < csv->n_bytes)
        skip_line_end(csv);
    return GF_OK;
}
