/* base/mem.c: the allocator behind one door.
 *
 * Everything ends with free(), aligned memory too, so gf__free() needs no bookkeeping. The counter
 * of the failure injection is the library's only mutable global: tests alone write it, and
 * everybody else pays one relaxed load of a value that never changes. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem_priv.h"

#define CACHE_LINE 64u
#define HUGE_PAGE  ((size_t)2 << 20)
#define NEVER      SIZE_MAX

static atomic_size_t allocations_left = NEVER;

bool gf__mem_refuses(void)
{
    size_t left = atomic_load_explicit(&allocations_left, memory_order_relaxed);
    while (left != NEVER && left != 0) {
        if (atomic_compare_exchange_weak(&allocations_left, &left, left - 1))
            return false;
    }
    return left == 0;
}

void gf__mem_fail_after(size_t n)
{
    atomic_store(&allocations_left, n);
}

void gf__mem_fail_never(void)
{
    atomic_store(&allocations_left, NEVER);
}

void *gf__malloc(size_t size_bytes)
{
    return gf__mem_refuses() ? NULL : malloc(size_bytes > 0 ? size_bytes : 1);
}

void *gf__calloc(size_t n_items, size_t item_bytes)
{
    if (n_items == 0 || item_bytes == 0)
        n_items = item_bytes = 1;
    return gf__mem_refuses() ? NULL : calloc(n_items, item_bytes);
}

void *gf__realloc(void *old, size_t size_bytes)
{
    return gf__mem_refuses() ? NULL : realloc(old, size_bytes > 0 ? size_bytes : 1);
}

void gf__free(void *memory)
{
    free(memory);
}

char *gf__strdup(const char *text)
{
    return gf__mem_refuses() ? NULL : strdup(text);
}

char *gf__strndup(const char *text, size_t n_chars)
{
    return gf__mem_refuses() ? NULL : strndup(text, n_chars);
}

char *gf__asprintf(const char *fmt, ...)
{
    if (gf__mem_refuses())
        return NULL;
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    const int n_chars = vasprintf(&text, fmt, args);
    va_end(args);
    return n_chars >= 0 ? text : NULL;
}

void *gf__alloc_aligned(size_t size_bytes)
{
    size_t padded;
    if (gf__mem_refuses() || !gf__add_size(size_bytes, CACHE_LINE - 1, &padded))
        return NULL;
    padded = padded / CACHE_LINE * CACHE_LINE;
    if (padded == 0)
        padded = CACHE_LINE;

    void *memory = NULL;
    const bool is_huge = padded >= HUGE_PAGE;
    if (posix_memalign(&memory, is_huge ? HUGE_PAGE : CACHE_LINE, padded) != 0)
        return NULL;
    /* Before the first touch, or the kernel has already handed out small pages. Only a hint: where
     * it is refused the memory is as good, with more page faults. */
    if (is_huge)
        (void)madvise(memory, padded / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return memset(memory, 0, padded);
}

bool gf__mul_size(size_t a, size_t b, size_t *out)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

bool gf__add_size(size_t a, size_t b, size_t *out)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

gf_status gf__error_nomem(gf_error *err, const char *what, size_t size_bytes)
{
    return gf_error_set(err, GF_ENOMEM, "out of memory (%zu bytes for %s)", size_bytes, what);
}
