/* proto/arena.c: memory of a message in the making. */
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "proto/proto.h"

/* A graph of some hundred nodes is ten thousand small pieces: they share blocks. */
#define BLOCK_BYTES ((size_t)32 << 10)
#define LARGE_BYTES (BLOCK_BYTES / 8) /* has a block of its own */

struct gf__proto_arena_block {
    struct gf__proto_arena_block *next;
    size_t n_used, n_bytes;
    alignas(max_align_t) unsigned char bytes[];
};

/* In front, where the next small piece is looked for; one for a large piece behind that. */
static struct gf__proto_arena_block *add_block(gf__proto_arena *arena, size_t room_bytes,
                                               bool is_large)
{
    size_t n_bytes = 0;
    struct gf__proto_arena_block *block = NULL;
    if (gf__add_size(sizeof *block, room_bytes, &n_bytes))
        block = gf__calloc(1, n_bytes);
    if (block == NULL) {
        arena->is_out_of_memory = true;
        return NULL;
    }
    block->n_bytes = room_bytes;
    struct gf__proto_arena_block **before = is_large && arena->blocks != NULL ? &arena->blocks->next
                                                                              : &arena->blocks;
    block->next = *before;
    *before = block;
    return block;
}

void *gf__proto_new(gf__proto_arena *arena, size_t size_bytes)
{
    struct gf__proto_arena_block *block = arena->blocks;
    if (size_bytes >= LARGE_BYTES) {
        block = add_block(arena, size_bytes, true);
        if (block != NULL)
            block->n_used = size_bytes;
        return block != NULL ? block->bytes : NULL;
    }
    const size_t step = alignof(max_align_t);
    const size_t n_bytes = (size_bytes + step - 1) / step * step;
    if (block == NULL || n_bytes > block->n_bytes - block->n_used)
        block = add_block(arena, BLOCK_BYTES, false);
    if (block == NULL)
        return NULL;
    void *piece = block->bytes + block->n_used;
    block->n_used += n_bytes;
    return piece;
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
