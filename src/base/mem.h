/* base/mem.h: the only door to the allocator, and sizes that cannot wrap. */
#ifndef GRAFT_BASE_MEM_H
#define GRAFT_BASE_MEM_H

#include "graft/base.h"

/* As malloc, calloc, realloc, strdup; NULL when memory is out (or a test says so). Zero bytes give
 * a pointer that can be freed. End each with gf__free(); NULL is fine. */
void *gf__malloc(size_t size_bytes);
void *gf__calloc(size_t n_items, size_t item_bytes);
void *gf__realloc(void *old, size_t size_bytes);
void gf__free(void *memory);
char *gf__strdup(const char *text);
char *gf__strndup(const char *text, size_t n_chars);
char *gf__asprintf(const char *fmt, ...) GF_PRINTF(1, 2);

/* size_bytes of zeroed memory, 64-byte aligned (one cache line, one AVX-512 register), on huge
 * pages where the kernel offers them and it is worth it. End with gf__free(). */
void *gf__alloc_aligned(size_t size_bytes);

/* *out = a * b or a + b; false, *out untouched, where that does not fit a size_t. */
bool gf__mul_size(size_t a, size_t b, size_t *out);
bool gf__add_size(size_t a, size_t b, size_t *out);

/* Sets err to "out of memory (N bytes for WHAT)" and returns GF_ENOMEM. */
gf_status gf__error_nomem(gf_error *err, const char *what, size_t size_bytes);

/* For tests: after n further allocations every one fails, until gf__mem_fail_never(). Counts
 * allocations of all threads; the one mutable global of the library, and nothing else may call
 * these. */
void gf__mem_fail_after(size_t n);
void gf__mem_fail_never(void);

#endif
