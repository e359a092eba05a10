/* proto/arena.c: memory of a message in the making. */
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "proto/proto.h"

struct gf__proto_arena_block {
    struct gf__proto_arena_block *next;
    alignas(max_align_t) unsigned char bytes[];
};

void *gf__proto_new(gf__proto_arena *arena, size_t size_bytes)
{
    size_t n_bytes = 0;
    struct gf__proto_arena_block *block = NULL;
    if (gf__add_size(sizeof *block, size_bytes, &n_bytes))
        block = gf__calloc(1, n_bytes);
    if (block == NULL) {
        arena->is_out_of_memory = true;
        return NULL;
    }
    block->next = arena->blocks;
    arena->blocks = block;
    return block->bytes;
}

const char *gf__proto_text(gf__proto_arena *arena, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = n < 0 ? NULL : gf__proto_new(arena, (size_t)n + 1);
    if (text == NULL)
        return "";
    va_start(args, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, args);
    va_end(args);
    return text;
}

bool gf__proto_grow(gf__proto_arena *arena, void *list, size_t n, size_t *capacity)
{
    void *old = NULL;
    if (n < *capacity)
        return true;
    const size_t bigger = *capacity == 0 ? 16 : 2 * *capacity;
    void **fresh = gf__proto_new(arena, bigger * sizeof *fresh);
    if (fresh == NULL)
        return false;
    memcpy(&old, list, sizeof old);
    if (n > 0)
        memcpy(fresh, old, n * sizeof *fresh);
    memcpy(list, &fresh, sizeof fresh);
    *capacity = bigger;
    return true;
}

void gf__proto_arena_free(gf__proto_arena *arena)
{
    while (arena->blocks != NULL) {
        struct gf__proto_arena_block *next = arena->blocks->next;
        gf__free(arena->blocks);
        arena->blocks = next;
    }
}

char *gf__proto_borrow(const char *text)
{
    union {
        const char *in;
        char *out;
    } same = {.in = text};
    return same.out;
}
