/* base/download_priv.h: one request of a download. download.c decides how often and into what. */
#ifndef GRAFT_BASE_DOWNLOAD_PRIV_H
#define GRAFT_BASE_DOWNLOAD_PRIV_H

#include "base/download.h"

/* What is carried from one request to the next. */
typedef struct gf__partial {
    const char *path; /* PATH.part */
    int fd;
    uint64_t n_have;  /* bytes in it */
    uint64_t n_total; /* 0 while unknown */
    char etag[256];   /* of the answer they came from, "" where that is not known */
} gf__partial;

/* What a failed request leaves to decide on. */
typedef struct gf__request_verdict {
    bool is_passing; /* another try may well succeed */
    int64_t wait_ms; /* the server asked to wait so long, or 0 */
} gf__request_verdict;

/* Asks for the bytes of url that part does not have yet, and appends them. */
gf_status gf__request_rest(const char *url, const gf__download_options *options,
                           const gf_observer *obs, gf__partial *part, gf__request_verdict *verdict,
                           gf_error *err);

/* fd cut to nothing. */
gf_status gf__partial_clear(gf__partial *part, gf_error *err);

#endif
