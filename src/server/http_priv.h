/* server/http_priv.h: the parts of a request that are read without the library that speaks HTTP:
 * target, query, headers, identity. http.c fills them, tests and fuzzers too. */
#ifndef GRAFT_SERVER_HTTP_PRIV_H
#define GRAFT_SERVER_HTTP_PRIV_H

#include "server/http.h"

#define GF__MAX_HEADERS 128
#define GF__MAX_QUERY   64

typedef struct gf__pair {
    const char *name, *value;
} gf__pair;

/* What a request points into. headers are borrowed from whoever filled them; the rest is owned. */
typedef struct gf__exchange {
    char *target; /* as it came; path and query point into it */
    char *query_text;
    gf__pair query[GF__MAX_QUERY];
    size_t n_query;
    gf__pair headers[GF__MAX_HEADERS];
    size_t n_headers;
    char no_body[1]; /* "" */
} gf__exchange;

/* Takes method and target apart: "/v1/models/m?alt=json" or "http://host/v1/...". The request's
 * exchange must be there, with its headers. Sets path, query, id, trace and the overridden method.
 * GF_EFORMAT a target that cannot be: broken percent-encoding, NUL, control characters. The request
 * can be answered (and logged) then, too. */
gf_status gf__request_read(gf__request *request, const char *method, const char *target,
                           gf_error *err);
/* A body that holds the query: what Google's client sends for a long one, as POST with
 * X-HTTP-Method-Override: GET. Called when the body is in; others stay as they are. */
gf_status gf__request_take_query_body(gf__request *request, gf_error *err);
/* Frees what the calls above made, params, model and version. Not the body. */
void gf__request_clear(gf__request *request);

/* Percent-decoding in place; plus: '+' is a blank. GF_EFORMAT a broken escape, %00, or bytes that
 * are not UTF-8. */
gf_status gf__unescape(char *text, bool plus, gf_error *err);

#endif
