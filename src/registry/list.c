/* registry/list.c: a page of a list, and the token of the next one.
 *
 * A token says after which item to go on, not how many to skip: what is created or deleted
 * meanwhile makes no item appear twice or not at all. It is POSITION.HASH; the hash is over the
 * list it belongs to (what, of whom, which filter) and the position, so that one of another
 * list, or a made-up one, is refused. */
#include "registry/registry_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SIZE 20
#define MAX_SIZE     100
#define N_HASH_CHARS 16

static gf_status hash_position(const gf__list *list, const char *position, char hex[GF__SHA256_HEX],
                               gf_error *err)
{
    char *text = gf__asprintf("%s\n%s", list->identity, position);
    if (text == NULL)
        return gf__error_nomem(err, "a page token", 0);
    gf__sha256_hex(text, strlen(text), hex);
    hex[N_HASH_CHARS] = '\0';
    gf__free(text);
    return GF_OK;
}

static gf_status read_token(gf__list *list, const char *token, gf_error *err)
{
    char hex[GF__SHA256_HEX];
    const size_t n_position = strcspn(token, ".");
    if (n_position < sizeof list->after && token[n_position] == '.') {
        memcpy(list->after, token, n_position);
        list->after[n_position] = '\0';
        const gf_status st = hash_position(list, list->after, hex, err);
        if (st != GF_OK)
            return st;
        if (strcmp(token + n_position + 1, hex) == 0)
            return GF_OK;
    }
    return gf_error_set(err, GF_EINVAL,
                        "pageToken: not one of this list; a token goes with the parent and the "
                        "filter of the page it came with");
}

gf_status gf__list_begin(const char *key, const char *parent, const gf_registry_page *page,
                         gf__list *list, gf_error *err)
{
    const gf_registry_page first = {0};
    if (page == NULL)
        page = &first;
    *list = (gf__list){.key = key};
    if (page->size < 0)
        return gf_error_set(err, GF_EINVAL, "pageSize: %d, expected 0 or more", page->size);
    list->size = page->size == 0 ? DEFAULT_SIZE : (size_t)page->size;
    list->size = list->size > MAX_SIZE ? MAX_SIZE : list->size;
    list->identity = gf__asprintf("%s\n%s\n%s", key, parent,
                                  page->filter != NULL ? page->filter : "");
    list->items = gf__json_array();
    if (list->identity == NULL || list->items == NULL)
        return gf__error_nomem(err, "a list", 0);
    gf_status st = gf__filter_read(page->filter, &list->filter, err);
    if (st == GF_OK && page->token != NULL && page->token[0] != '\0')
        st = read_token(list, page->token, err);
    return st;
}

void gf__list_add(gf__list *list, const char *position, gf__json *document)
{
    if (!gf__filter_passes(&list->filter, document)) {
        gf__json_free(document);
        return;
    }
    if (gf__json_n_items(list->items) == list->size) {
        list->has_more = true;
        gf__json_free(document);
        return;
    }
    gf__json_append(list->items, document);
    snprintf(list->last, sizeof list->last, "%s", position);
}

int64_t gf__list_before(const gf__list *list)
{
    return list->after[0] != '\0' ? strtoll(list->after, NULL, 10) : INT64_MAX;
}

gf_status gf__list_add_rows(gf_registry *registry, gf__query query, const gf__sql_value *values,
                            size_t n_values, const gf__name *parent, gf__list_item item,
                            gf__list *list, gf_error *err)
{
    gf__rows *rows = NULL;
    bool has_row = false;
    gf_status st = gf__db_select(registry->db, query, values, n_values, &rows, err);
    if (st == GF_OK)
        st = gf__rows_next(rows, &has_row, err);
    while (st == GF_OK && has_row && !list->has_more) {
        st = item(registry, parent, rows, list, err);
        if (st == GF_OK)
            st = gf__rows_next(rows, &has_row, err);
    }
    gf__rows_end(rows);
    return st;
}

gf_status gf__list_text(gf__list *list, char **out, gf_error *err)
{
    char hex[GF__SHA256_HEX];
    gf_status st = GF_OK;
    *out = NULL;
    gf__json *document = gf__json_object();
    if (gf__json_n_items(list->items) > 0) {
        gf__json_set(document, list->key, list->items);
        list->items = NULL;
    }
    if (list->has_more) {
        st = hash_position(list, list->last, hex, err);
        char *token = st == GF_OK ? gf__asprintf("%s.%s", list->last, hex) : NULL;
        gf__json_set(document, "nextPageToken", token != NULL ? gf__json_new_string(token) : NULL);
        gf__free(token);
    }
    if (st == GF_OK)
        st = gf__json_text(document, out, err);
    gf__json_free(document);
    return st;
}

void gf__list_free(gf__list *list)
{
    gf__json_free(list->items);
    gf__free(list->filter.text);
    gf__free(list->identity);
    *list = (gf__list){0};
}

gf_status gf__list_answer(gf_registry *registry, const char *key, gf__kind parent_kind,
                          const char *parent, const gf_registry_page *page,
                          gf__list_collect collect, char **out, gf_error *err)
{
    gf__name name;
    gf__list list = {0};
    *out = NULL;
    gf_status st = gf__name_parse(parent, parent_kind, &name, err);
    if (st == GF_OK)
        st = gf__list_begin(key, parent, page, &list, err);
    if (st == GF_OK)
        st = gf__enter_read(registry, err);
    if (st != GF_OK)
        goto done;
    st = gf__leave(registry, collect(registry, &name, &list, err), err);
    if (st == GF_OK)
        st = gf__list_text(&list, out, err);
done:
    gf__list_free(&list);
    return st;
}
