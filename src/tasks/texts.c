/* tasks/texts.c: lists of texts as exec() wants them: arguments, an environment. */
#include <string.h>

#include "tasks/tasks_priv.h"

void gf__texts_take(gf__texts *list, char *text)
{
    if (text != NULL && !list->failed && list->n + 1 >= list->capacity) {
        const size_t capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
        char **items = gf__realloc(list->items, capacity * sizeof *items);
        if (items != NULL) {
            list->items = items;
            list->capacity = capacity;
        } else {
            list->failed = true;
        }
    }
    if (text == NULL || list->failed) {
        list->failed = true;
        gf__free(text);
        return;
    }
    list->items[list->n++] = text;
    list->items[list->n] = NULL;
}

void gf__texts_add(gf__texts *list, const char *text)
{
    gf__texts_take(list, gf__strdup(text));
}

gf_status gf__texts_status(const gf__texts *list, gf_error *err)
{
    return list->failed ? gf__error_nomem(err, "a list of texts", list->n * sizeof *list->items)
                        : GF_OK;
}

char **gf__texts_move(gf__texts *list)
{
    char **items = list->items;
    *list = (gf__texts){0};
    return items;
}

void gf__texts_free(gf__texts *list)
{
    gf__texts_free_items(list->items);
    *list = (gf__texts){0};
}

void gf__texts_free_items(char **items)
{
    for (char **item = items; item != NULL && *item != NULL; item++)
        gf__free(*item);
    gf__free(items);
}
