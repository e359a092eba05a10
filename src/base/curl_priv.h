/* base/curl_priv.h: libcurl, loaded when it is first needed; for downloads (download_request.c) and
 * requests (http_client.c). */
#ifndef GRAFT_BASE_CURL_PRIV_H
#define GRAFT_BASE_CURL_PRIV_H

#include <curl/curl.h>

#include "graft/base.h"

/* The functions used, with the types that curl's header gives them. */
typedef struct gf__curl {
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_easy_init) *easy_init;
    __typeof__(curl_easy_reset) *easy_reset;
    __typeof__(curl_easy_setopt) *setopt;
    __typeof__(curl_easy_perform) *perform;
    __typeof__(curl_easy_getinfo) *getinfo;
    __typeof__(curl_easy_strerror) *strerror;
    __typeof__(curl_easy_cleanup) *easy_cleanup;
    __typeof__(curl_slist_append) *slist_append;
    __typeof__(curl_slist_free_all) *slist_free_all;
} gf__curl;

/* what: who needs it, "downloads". GF_EUNSUPPORTED where there is no libcurl 4. */
gf_status gf__curl_load(gf__curl *curl, const char *what, gf_error *err);

/* curl_easy_perform() without a SIGPIPE: OpenSSL may raise one when a server hangs up. */
CURLcode gf__curl_perform(const gf__curl *curl, CURL *handle);

#endif
