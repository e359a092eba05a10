/* base/download.h: one file over HTTP(S), resumed and retried. libcurl is loaded at the first call:
 * it brings thirty shared libraries that a prediction must not wait for. */
#ifndef GRAFT_BASE_DOWNLOAD_H
#define GRAFT_BASE_DOWNLOAD_H

#include "graft/base.h"

typedef struct gf__download_options {
    int n_retries;           /* after the first try, default 3 */
    long retry_wait_ms;      /* before the first retry, doubled for each later one, default 1000 */
    long connect_timeout_ms; /* default 15000 */
    long stall_timeout_ms;   /* no byte for so long is a failure, default 30000 */
    uint64_t limit_bytes;    /* GF_ELIMIT beyond, 0 for none */
    bool is_resumable;       /* keep PATH.part on failure and go on from it next time, default no */
} gf__download_options;
gf__download_options gf__download_options_default(void);

/* GETs an http://, https:// or file:// address into path: written to PATH.part, then renamed.
 * Follows 10 redirects, uses the proxy that libcurl finds in the environment.
 *
 * A retry goes on where the connection broke, provided the server still has the same file. Going on
 * from the PATH.part of an earlier call cannot know that: compare a checksum afterwards.
 *
 * options  NULL for the defaults.
 * Progress stage "download", bytes, total 0 where the server does not say; item is the address.
 * Errors   GF_ENETWORK says what the address answered; GF_ENOTFOUND for 404 and 410 (not retried);
 *          GF_EINVAL for another kind of address; GF_ELIMIT; GF_EBUSY while another download writes
 *          PATH.part; GF_EUNSUPPORTED without libcurl.
 * Threads  any number at once, on different paths. */
gf_status gf__download(const char *url, const char *path, const gf__download_options *options,
                       const gf_observer *obs, gf_error *err);

#endif
