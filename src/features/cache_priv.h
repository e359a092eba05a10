/* features/cache_priv.h: feature rows kept on disk, one file per identity (trunk, cut, precision,
 * recipe, view), found by the picture's SHA-256. docs/formats.md, "Feature cache", has the bytes.
 *
 *     gf__cache_open(dir, identity, 2048, obs, &cache, err);
 *     if (!gf__cache_get(cache, key, row)) {
 *         compute row;
 *         gf__cache_put(cache, &(gf__cache_row){key, row}, 1);
 *     }
 *     gf__cache_close(cache);
 *
 * Processes share a file: appends are made under flock, reads take no lock. A process may be killed
 * at any moment, a disk may be full, a row may rot: each row has a checksum, and what does not
 * check is not there. A cache that cannot be used costs one warning through the observer, never the
 * work. */
#ifndef GRAFT_FEATURES_CACHE_PRIV_H
#define GRAFT_FEATURES_CACHE_PRIV_H

#include "features/features_priv.h"

#define GF__CACHE_KEY 32 /* bytes of a SHA-256 */
/* Longer rows are not kept: an unpooled layer would fill a disk in an hour, and reading it back
 * saves little. */
#define GF__CACHE_MAX_ROW_BYTES (256u * 1024u)

typedef struct gf__cache gf__cache; /* opaque */

/* obs is kept for the warnings of gf__cache_put(). *out is NULL where there is no usable cache;
 * only GF_ENOMEM is an error. */
gf_status gf__cache_open(const char *dir, const char *identity, size_t n_values,
                         const gf_observer *obs, gf__cache **out, gf_error *err);
void gf__cache_close(gf__cache *cache); /* NULL is fine */

/* Copies the row of a key, checked; false where there is none or it is damaged. Any number of
 * threads. */
bool gf__cache_get(gf__cache *cache, const uint8_t key[GF__CACHE_KEY], float *row);

typedef struct gf__cache_row {
    const uint8_t *key;
    const float *values;
} gf__cache_row;
/* Keeps rows; those that another process has kept meanwhile are left, damaged ones are written
 * again. One call at a time, beside any number of gets. */
void gf__cache_put(gf__cache *cache, const gf__cache_row *rows, size_t n_rows);

/* Rows that can be found now. */
size_t gf__cache_n_rows(const gf__cache *cache);
/* Whether the file of an identity has room for a row: false where there is no file. */
bool gf__cache_may_have_rows(const char *dir, const char *identity);
/* The file of an identity: new, ended with gf__free(). */
char *gf__cache_path(const char *dir, const char *identity);

#endif
