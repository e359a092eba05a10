/* base/utf8.h: which bytes are UTF-8. Messages and JSON must be, file names need not. */
#ifndef GRAFT_BASE_UTF8_H
#define GRAFT_BASE_UTF8_H

#include <stddef.h>

/* Bytes (1-4) of the valid character at the start of text, 0 where there is none: a stray or
 * missing continuation byte, an overlong form, a surrogate, beyond U+10FFFF, or n_bytes = 0. */
size_t gf__utf8_length(const char *text, size_t n_bytes);

#endif
