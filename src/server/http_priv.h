/* server/http_priv.h: the parts of a request that are read without the library that speaks HTTP:
 * target, query, headers, identity. http_incoming.c fills them, tests and fuzzers too. */
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
/* How long the body will be: 0 without one, GF__CHUNKED. What two readers could understand in two
 * ways is refused, with *code. */
#define GF__CHUNKED UINT64_MAX
gf_status gf__request_framing(const gf__request *request, uint64_t *n_bytes, int *code,
                              gf_error *err);
/* Frees what the calls above made, params, model and version. Not the body. */
void gf__request_clear(gf__request *request);

/* Percent-decoding in place; plus: '+' is a blank. GF_EFORMAT a broken escape, %00, or bytes that
 * are not UTF-8. */
gf_status gf__unescape(char *text, bool plus, gf_error *err);

void gf__response_clear(gf__response *response);

/* ---- http_body.c: a body on its way ---------------------------------------------------------- */

typedef struct gf__body {
    uint64_t max_bytes;
    char *spool_path; /* owned; NULL: into memory */
    int fd;           /* -1 to begin with */
    char *bytes;
    uint64_t n_bytes;
    size_t capacity;
} gf__body;
/* max_bytes and spool_path are set. GF_ELIMIT: more than max_bytes; also of take. */
gf_status gf__body_begin(gf__body *body, uint64_t n_announced, gf_error *err);
gf_status gf__body_take(gf__body *body, const char *bytes, size_t n_bytes, gf_error *err);
gf_status gf__body_finish(gf__body *body, gf_error *err); /* NUL, or the file closed */
void gf__body_free(gf__body *body);                       /* and the file removed */

/* ---- http_stream.c: a body that comes piece by piece ----------------------------------------- */

typedef enum gf__stream_look { GF__STREAM_MORE, GF__STREAM_END, GF__STREAM_BROKEN } gf__stream_look;
/* Up to n_room bytes, at least one with MORE: waits for them, or until the client at fd has gone. */
gf__stream_look gf__stream_read(gf__stream *stream, int fd, char *bytes, size_t n_room, size_t *n);
void gf__stream_clear(gf__stream *stream); /* a zeroed one is fine */

/* ---- http_peers.c: clients and their patience ------------------------------------------------ */

typedef struct gf__peers gf__peers;
typedef struct gf__peer gf__peer;
/* read_timeout_ms 0: nobody is ever too slow. */
gf_status gf__peers_start(int read_timeout_ms, gf__peers **out, gf_error *err);
void gf__peers_stop(gf__peers *peers); /* after the last is removed; NULL is fine */
/* A connection; it is waited for from now on. NULL (and the socket shut down) out of memory. Is to
 * be removed before fd is closed. */
gf__peer *gf__peers_add(gf__peers *peers, int fd);
void gf__peers_remove(gf__peers *peers, gf__peer *peer);
int gf__peer_fd(const gf__peer *peer);
void gf__peer_wait(gf__peer *peer); /* for the client: a request, or its body */
void gf__peer_received(gf__peer *peer, size_t n_bytes);
void gf__peer_is_served(gf__peer *peer); /* it waits for us */
/* Reads what the client of a refused request still sends, for a moment and without looking: were
 * the socket closed with bytes unread, the client's system would throw the answer away. */
#define GF__MAX_DISCARD ((uint64_t)64 << 20)
void gf__peer_linger(const gf__peer *peer, bool is_tls);

/* ---- http_accept.c: connections out of the listen queue -------------------------------------- */

typedef struct gf__acceptor gf__acceptor;
struct sockaddr;
/* A connection is there, and fd the callee's. false: it could not be kept, and is closed. */
typedef bool gf__take_connection(void *user, int fd, const struct sockaddr *address,
                                 unsigned int n_bytes);
/* fd listens, and is the acceptor's from now on where that succeeds. */
gf_status gf__acceptor_new(int fd, size_t max_connections, gf__take_connection *take, void *user,
                           gf__acceptor **out, gf_error *err);
gf_status gf__acceptor_start(gf__acceptor *acceptor, gf_error *err);
void gf__acceptor_give_back(gf__acceptor *acceptor); /* one has ended: there is room for another */
void gf__acceptor_close(gf__acceptor *acceptor);     /* the port; what waits there is taken first */
void gf__acceptor_free(gf__acceptor *acceptor);      /* NULL is fine */

/* ---- http_port.c ----------------------------------------------------------------------------- */

/* Listens; port 0 takes any free one. GF_EINVAL no such address; GF_EIO with what to do. */
gf_status gf__port_open(const char *address, int port, int *fd, int *bound_port, gf_error *err);

#endif
