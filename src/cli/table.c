/* cli/table.c: what the API answers, for people: tables of lists, lines of documents. */
#include <inttypes.h>
#include <string.h>

#include "cli/remote.h"

#define MAX_COLUMNS 8
#define COLUMN_GAP  2

struct gf__table {
    size_t n_columns;
    size_t widths[MAX_COLUMNS];
    gf__json *rows; /* arrays of strings: grown and freed elsewhere */
};

/* Characters, not bytes: those that go on a UTF-8 sequence take no room. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

gf__table *gf__table_new(const char *const *headings, size_t n_columns)
{
    gf__table *table = gf__calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    table->n_columns = n_columns < MAX_COLUMNS ? n_columns : MAX_COLUMNS;
    table->rows = gf__json_array();
    gf__table_row(table, headings);
    return table;
}

void gf__table_row(gf__table *table, const char *const *cells)
{
    if (table == NULL)
        return;
    gf__json *row = gf__json_array();
    for (size_t i = 0; i < table->n_columns; i++) {
        const char *cell = cells[i] != NULL ? cells[i] : "";
        if (width_of(cell) > table->widths[i])
            table->widths[i] = width_of(cell);
        gf__json_append(row, gf__json_new_string(cell));
    }
    gf__json_append(table->rows, row);
}

static void print_row(const gf__table *table, const gf__json *row)
{
    size_t n_due = 0; /* spaces, written only before another text */
    for (size_t i = 0; i < table->n_columns; i++) {
        const char *cell = gf__json_string(gf__json_at(row, i), "");
        if (cell[0] != '\0') {
            printf("%*s%s", (int)n_due, "", cell);
            n_due = 0;
        }
        n_due += table->widths[i] + COLUMN_GAP - width_of(cell);
    }
    putchar('\n');
}

gf_status gf__table_print(gf__table *table, gf_error *err)
{
    if (table == NULL)
        return gf__error_nomem(err, "a table", 0);
    const gf_status st = gf__json_status(table->rows, err);
    for (size_t i = 0; st == GF_OK && i < gf__json_n_items(table->rows); i++)
        print_row(table, gf__json_at(table->rows, i));
    gf__json_free(table->rows);
    gf__free(table);
    return st;
}

static void print_value(const gf__json *value, int indent);

static void print_scalar(const gf__json *value)
{
    if (gf__json_is_string(value))
        printf("%s\n", gf__json_string(value, ""));
    else if (gf__json_is_bool(value))
        printf("%s\n", gf__json_bool(value, false) ? "true" : "false");
    else if (gf__json_is_number(value))
        printf("%.9g\n", gf__json_number(value, 0));
    else
        printf("null\n");
}

static void print_members(const gf__json *object, int indent)
{
    const gf__json *value = NULL;
    for (const char *key = gf__json_next(object, NULL, &value); key != NULL;
         key = gf__json_next(object, key, &value)) {
        printf("%*s%s:", indent, "", key);
        print_value(value, indent);
    }
}

/* After "key:" or "-", on the same line or indented below it. */
static void print_value(const gf__json *value, int indent)
{
    if (gf__json_is_object(value) && gf__json_n_items(value) > 0) {
        putchar('\n');
        print_members(value, indent + 2);
    } else if (gf__json_is_array(value) && gf__json_n_items(value) > 0) {
        putchar('\n');
        for (size_t i = 0; i < gf__json_n_items(value); i++) {
            printf("%*s-", indent, "");
            print_value(gf__json_at(value, i), indent);
        }
    } else if (gf__json_is_object(value) || gf__json_is_array(value)) {
        printf(" %s\n", gf__json_is_object(value) ? "{}" : "[]");
    } else {
        putchar(' ');
        print_scalar(value);
    }
}

void gf__print_document(const gf__json *document)
{
    print_members(document, 0);
}

gf_status gf__print_answer(const gf__cli *cli, gf__json *document, gf_error *err)
{
    if (cli->is_json)
        return gf__cli_print_json(document, err);
    gf__print_document(document);
    gf__json_free(document);
    return GF_OK;
}

gf_status gf__print_done(const gf__cli *cli, gf_status st, gf__json *document, const char *what,
                         const char *name, gf_error *err)
{
    if (st == GF_OK && cli->is_json)
        return gf__cli_print_json(document, err);
    if (st == GF_OK)
        printf("%s %s\n", what, gf__path_base(name));
    gf__json_free(document);
    return st;
}

gf_status gf__labels_parse(const gf__cli_list *list, gf__json *labels, gf_error *err)
{
    for (size_t i = 0; i < list->n; i++) {
        const char *text = list->items[i];
        while (*text != '\0') {
            const size_t n_pair = strcspn(text, ","), n_key = strcspn(text, "=,");
            if (n_key == 0 || n_key == n_pair)
                return gf_error_set(err, GF_EINVAL, "%.*s: expected KEY=VALUE,KEY=VALUE",
                                    (int)n_pair, text);
            char *key = gf__strndup(text, n_key);
            char *value = gf__strndup(text + n_key + 1, n_pair - n_key - 1);
            if (key != NULL && value != NULL)
                gf__json_set_string(labels, key, value);
            else
                gf__json_set(labels, "", NULL); /* remembered as a failure */
            gf__free(key);
            gf__free(value);
            text += n_pair + (text[n_pair] == ',');
        }
    }
    return gf__json_status(labels, err);
}

const char *gf__short_name(const gf__json *document, const char *key)
{
    return gf__path_base(gf__json_string(gf__json_find(document, key), ""));
}
