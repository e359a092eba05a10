/* server/http_mhd_priv.h: what the files around libmicrohttpd share: http.c (the listener),
 * http_incoming.c (a request on its way) and http_outgoing.c (its answer). Nobody else sees that
 * library. */
#ifndef GRAFT_SERVER_HTTP_MHD_PRIV_H
#define GRAFT_SERVER_HTTP_MHD_PRIV_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdatomic.h>

#include "server/http_priv.h"

struct gf__listener {
    gf__listener_options options;
    struct MHD_Daemon *daemon;
    int port;
    gf__acceptor *acceptor;
    atomic_bool lets_go;
    atomic_size_t n_in_flight;
    gf__peers *peers;
};

/* One request on its way, and its answer. */
typedef struct gf__incoming {
    gf__request request;
    gf__exchange exchange;
    gf__listener *listener;
    gf__peer *peer;
    struct MHD_Connection *http;
    char *target;
    char client[INET6_ADDRSTRLEN];
    bool has_begun, is_early, is_hopeless, was_answered;
    bool is_last; /* what comes behind it on the connection cannot be told from its body */
    gf_status st; /* why it is refused, with err and the request's refused_code */
    gf_error err;
    gf__body body;
    uint64_t n_discarded;
    gf__response response;
    double begin_s;
    uint64_t n_sent_bytes;
} gf__incoming;

/* ---- http_incoming.c: three of the library's callbacks; user is the listener ------------------- */

/* With the request line; what it returns comes with every later call of the request. */
void *gf__incoming_begin(void *user, const char *target, struct MHD_Connection *http);
/* With the headers, with each piece of the body, and once more after the last. */
enum MHD_Result gf__incoming_take(void *user, struct MHD_Connection *http, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *n_bytes, void **context);
/* After the answer, or when the client has gone. */
void gf__incoming_end(void *user, struct MHD_Connection *http, void **context,
                      enum MHD_RequestTerminationCode code);
/* Refuses the request: with code, or 0 for the status's own. Returns st. */
gf_status gf__incoming_refuse(gf__incoming *in, int code, gf_status st);

/* ---- http_outgoing.c ------------------------------------------------------------------------- */

/* Lets the request be answered and sends the answer; only the first call of a request does. */
enum MHD_Result gf__outgoing_send(gf__incoming *in);
/* How long a client may take to read: the library's own clock, which runs only while an answer is
 * being sent; switching it on winds it. */
void gf__outgoing_set_timeout(gf__incoming *in, bool is_on);

#endif
