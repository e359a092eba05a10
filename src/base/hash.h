/* base/hash.h: SHA-256 and MD5 (for checksums others publish), streaming or at once. */
#ifndef GRAFT_BASE_HASH_H
#define GRAFT_BASE_HASH_H

#include "graft/base.h"

#define GF__SHA256_HEX 65 /* 64 digits and the NUL */
#define GF__MD5_HEX    33

typedef enum gf__hash_kind { GF__HASH_SHA256, GF__HASH_MD5 } gf__hash_kind;
typedef struct gf__hash gf__hash;

gf_status gf__hash_new(gf__hash_kind kind, gf__hash **out, gf_error *err);
void gf__hash_update(gf__hash *hash, const void *bytes, size_t n_bytes);
/* Writes lower-case hex with NUL (65 or 33 chars) and frees the hash. hex may be NULL: frees only.
 * Where OpenSSL itself fails (it ran out of memory) hex is "", which equals no checksum; the same
 * in gf__sha256_hex(). */
void gf__hash_finish(gf__hash *hash, char *hex);

void gf__sha256_hex(const void *bytes, size_t n_bytes, char hex[GF__SHA256_HEX]);
/* Takes as long whatever the bytes are: for comparing what a stranger sent with a secret. */
bool gf__constant_time_equal(const void *a, const void *b, size_t n_bytes);
gf_status gf__hash_file(gf__hash_kind kind, const char *path, char *hex, gf_error *err);

#endif
