/* pull_priv.h: what pull.c does in parts, for its tests. */
#ifndef GRAFT_ZOO_PULL_PRIV_H
#define GRAFT_ZOO_PULL_PRIV_H

#include "zoo/zoo_priv.h"

/* A file at an address. */
typedef struct gf__publication {
    const char *address; /* up to the last slash */
    const char *file;
    const char *md5;     /* NULL: nothing to check it against */
    uint64_t size_bytes; /* exact, or the most that is taken where md5 is NULL */
    bool is_tried_once;  /* without the downloader's retries and their pauses; for tests */
} gf__publication;
gf_status gf__publication_check(const gf__publication *publication, const char *path,
                                gf_error *err);
/* Downloads into HOME/downloads, checks, imports as `name`. */
gf_status gf__pull_publication(const gf__publication *publication, const char *name,
                               const char *home, const gf_observer *obs, gf_error *err);

#endif
