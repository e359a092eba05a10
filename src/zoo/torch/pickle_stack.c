/* zoo/torch/pickle_stack.c: values, and what instructions do with them on the stack. Lists that contain
 * themselves can be made and do no harm: nothing here recurses. */
#include <string.h>

#include "zoo/torch/pickle_priv.h"

#define MAX_STACK       (1u << 20)
#define MAX_BLOCK_BYTES ((size_t)256 << 20) /* of all values together */

struct gf__pickle_block {
    struct gf__pickle_block *next;
    _Alignas(16) uint8_t bytes[];
};

/* ---- values ---------------------------------------------------------------------------------- */

void gf__pickle_fail(gf__pickle_machine *m, gf_status st, const char *what)
{
    if (m->st == GF_OK)
        m->st = gf_error_set(m->err, st, "pickle, byte %zu: %.200s", m->at, what);
}

static void *new_bytes(gf__pickle_machine *m, size_t n_bytes)
{
    struct gf__pickle_block *block = NULL;
    if (m->st != GF_OK)
        return NULL;
    /* The block's own part counts, too: or the sum passes the limit, and the rest below wraps. */
    if (n_bytes > MAX_BLOCK_BYTES ||
        n_bytes + sizeof *block > MAX_BLOCK_BYTES - m->pickle->n_block_bytes) {
        gf__pickle_fail(m, GF_ELIMIT, "builds more than 256 MB of values");
        return NULL;
    }
    block = gf__calloc(1, sizeof *block + n_bytes);
    if (block == NULL) {
        m->st = gf__error_nomem(m->err, "a pickle's value", n_bytes);
        return NULL;
    }
    m->pickle->n_block_bytes += sizeof *block + n_bytes;
    block->next = m->pickle->blocks;
    m->pickle->blocks = block;
    return block->bytes;
}

gf__pickle_value *gf__pickle_new(gf__pickle_machine *m, gf__pickle_kind kind)
{
    gf__pickle_value *value = new_bytes(m, sizeof *value);
    if (value != NULL)
        value->kind = kind;
    return value;
}

gf__pickle_value *gf__pickle_new_text(gf__pickle_machine *m, gf__pickle_kind kind,
                                      const uint8_t *chars, size_t n)
{
    gf__pickle_value *value = gf__pickle_new(m, kind);
    char *copy = new_bytes(m, n + 1);
    if (copy == NULL)
        return NULL;
    if (n > 0)
        memcpy(copy, chars, n);
    value->text = copy;
    value->n_chars = n;
    return value;
}

static void add_item(gf__pickle_machine *m, gf__pickle_value *list, gf__pickle_value *item)
{
    if (m->st == GF_OK && list->n_items == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 4 : 2 * list->capacity;
        gf__pickle_value **items = new_bytes(m, capacity * sizeof(gf__pickle_value *));
        if (items == NULL)
            return;
        if (list->n_items > 0)
            memcpy(items, list->items, list->n_items * sizeof(gf__pickle_value *));
        list->items = items;
        list->capacity = capacity;
    }
    if (m->st == GF_OK)
        list->items[list->n_items++] = item;
}

const gf__pickle_value *gf__pickle_find(const gf__pickle_value *dict, const char *key)
{
    if (dict == NULL || dict->kind != GF__PICKLE_DICT)
        return NULL;
    for (size_t i = 0; i + 1 < dict->n_items; i += 2)
        if (dict->items[i]->kind == GF__PICKLE_TEXT && strcmp(dict->items[i]->text, key) == 0)
            return dict->items[i + 1];
    return NULL;
}

/* ---- the stack ------------------------------------------------------------------------------- */

void gf__pickle_push_or_mark(gf__pickle_machine *m, gf__pickle_value *value)
{
    if (m->st == GF_OK && m->n_stack == m->stack_capacity) {
        const size_t capacity = m->stack_capacity == 0 ? 256 : 2 * m->stack_capacity;
        if (capacity > MAX_STACK) {
            gf__pickle_fail(m, GF_ELIMIT, "the stack is full");
            return;
        }
        gf__pickle_value **stack = gf__realloc(m->stack, capacity * sizeof(gf__pickle_value *));
        if (stack == NULL) {
            m->st = gf__error_nomem(m->err, "a pickle's stack", capacity);
            return;
        }
        m->stack = stack;
        m->stack_capacity = capacity;
    }
    if (m->st == GF_OK)
        m->stack[m->n_stack++] = value;
}

void gf__pickle_push(gf__pickle_machine *m, gf__pickle_value *value)
{
    if (value != NULL)
        gf__pickle_push_or_mark(m, value);
}

/* NULL after a failure only: a mark is none of the values that instructions ask for. */
gf__pickle_value *gf__pickle_pop(gf__pickle_machine *m)
{
    if (m->st == GF_OK && (m->n_stack == 0 || m->stack[m->n_stack - 1] == NULL))
        gf__pickle_fail(m, GF_EFORMAT, "takes from an empty stack");
    return m->st == GF_OK ? m->stack[--m->n_stack] : NULL;
}

gf__pickle_value *gf__pickle_top(gf__pickle_machine *m, gf__pickle_kind kind, const char *what)
{
    if (m->st == GF_OK && (m->n_stack == 0 || m->stack[m->n_stack - 1] == NULL ||
                           m->stack[m->n_stack - 1]->kind != kind))
        gf__pickle_fail(m, GF_EFORMAT, what);
    return m->st == GF_OK ? m->stack[m->n_stack - 1] : NULL;
}

/* The index behind the last mark; what lies there are the items. */
static size_t first_marked(gf__pickle_machine *m)
{
    size_t i = m->n_stack;
    while (i > 0 && m->stack[i - 1] != NULL)
        i--;
    if (i == 0)
        gf__pickle_fail(m, GF_EFORMAT, "has no mark on the stack");
    return i;
}

static gf__pickle_value *pop_items(gf__pickle_machine *m, gf__pickle_kind kind, size_t first)
{
    gf__pickle_value *value = gf__pickle_new(m, kind);
    for (size_t i = first; m->st == GF_OK && i < m->n_stack; i++) {
        if (m->stack[i] == NULL)
            gf__pickle_fail(m, GF_EFORMAT, "takes a mark for a value");
        else
            add_item(m, value, m->stack[i]);
    }
    return value;
}

void gf__pickle_push_tuple(gf__pickle_machine *m, size_t n)
{
    if (m->st == GF_OK && m->n_stack < n)
        gf__pickle_fail(m, GF_EFORMAT, "takes from an empty stack");
    if (m->st != GF_OK)
        return;
    gf__pickle_value *tuple = pop_items(m, GF__PICKLE_TUPLE, m->n_stack - n);
    m->n_stack -= n;
    gf__pickle_push(m, tuple);
}

void gf__pickle_push_marked(gf__pickle_machine *m, gf__pickle_kind kind)
{
    const size_t first = first_marked(m);
    if (m->st != GF_OK)
        return;
    gf__pickle_value *value = pop_items(m, kind, first);
    m->n_stack = first - 1;
    gf__pickle_push(m, value);
}

/* Items behind the mark go into the container below it. */
void gf__pickle_append_marked(gf__pickle_machine *m, gf__pickle_kind kind)
{
    const size_t first = first_marked(m);
    if (m->st != GF_OK)
        return;
    const size_t n = m->n_stack - first;
    gf__pickle_value **items = m->stack + first;
    m->n_stack = first - 1;
    gf__pickle_value *into = gf__pickle_top(m, kind, "fills what is no list or dict");
    if (kind == GF__PICKLE_DICT && n % 2 != 0)
        gf__pickle_fail(m, GF_EFORMAT, "has a key without a value");
    for (size_t i = 0; m->st == GF_OK && i < n; i++)
        add_item(m, into, items[i]);
}

void gf__pickle_append_one(gf__pickle_machine *m, gf__pickle_kind kind, size_t n)
{
    gf__pickle_value *last = gf__pickle_pop(m), *before = n == 2 ? gf__pickle_pop(m) : NULL;
    gf__pickle_value *into = gf__pickle_top(m, kind, "fills what is no list or dict");
    if (into == NULL)
        return;
    if (before != NULL)
        add_item(m, into, before);
    add_item(m, into, last);
}

void gf__pickle_free(gf__pickle *pickle)
{
    while (pickle->blocks != NULL) {
        struct gf__pickle_block *next = pickle->blocks->next;
        gf__free(pickle->blocks);
        pickle->blocks = next;
    }
    *pickle = (gf__pickle){0};
}
