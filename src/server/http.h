/* server/http.h: requests and responses as handlers see them, and the listener that carries them.
 * The library that speaks HTTP is the secret of http_mhd_priv.h. Handlers run on the connection's own
 * thread, may block, see no socket, and fail by returning a status: routes.c makes the answer of it. */
#ifndef GRAFT_SERVER_HTTP_H
#define GRAFT_SERVER_HTTP_H

#include "base/base.h"

#define GF__MAX_PARAMS 6
#define GF__REQUEST_ID 37

typedef struct gf__request {
    const char *method; /* "GET"; after X-HTTP-Method-Override */
    const char *path; /* as it came, without the query; percent-encoding undone per segment only */
    /* body_bytes, NUL behind; "" without one. A handler may change it in place. Of an upload: the
     * path of the file it lies in. */
    char *body;
    size_t body_bytes;
    char id[GF__REQUEST_ID];    /* X-Request-Id if sensible, else the trace id of traceparent, else
                                   random; echoed, logged */
    char trace[GF__REQUEST_ID]; /* trace id of traceparent, "" without */
    char *params[GF__MAX_PARAMS]; /* what the route's {..} stood for, decoded; NULL past the last */
    char *token_project;          /* of the token: only this project; NULL: any (owned) */
    char *model, *version; /* for the access log and metrics; a handler may set them (owned) */
    int deadline_ms;       /* of its prediction, where that is shorter than the server's; 0: none */
    int refused_code; /* refused with this code (413, 431, 501 ...); 0: with the status's own */
    const struct gf__route *route; /* routes.c: what it was matched with; NULL: nothing */
    struct gf__exchange *exchange; /* http_incoming.c's */
} gf__request;

/* NULL where there is none. Header names in any case. Borrowed for the request. */
const char *gf__request_header(const gf__request *request, const char *name);
/* Query parameter, decoded; the first of that name. */
const char *gf__request_query(const gf__request *request, const char *name);
/* "1" or "true"; absent is false. */
bool gf__request_flag(const gf__request *request, const char *name);

/* The parts of a multipart/form-data body, in order. Texts and bytes lie in the request's body, which
 * is changed in place: to be asked for once. GF_EFORMAT for a body that is none. */
typedef struct gf__part_of_form {
    const char *name, *file_name, *content_type; /* NULL where the part has none */
    const char *bytes;
    size_t n_bytes;
} gf__part_of_form;
typedef struct gf__form {
    gf__part_of_form *parts;
    size_t n_parts;
} gf__form;
gf_status gf__request_form(const gf__request *request, gf__form *out, gf_error *err);
void gf__form_free(gf__form *form);

/* A body that comes while it is being made: a log that grows. The connection's thread asks for it,
 * sends what it gets at once (chunked), and asks again until the end. */
typedef struct gf__stream {
    /* Appends what is there, or waits for it, at most a second; appending nothing is fine. After
     * *is_end it is not asked again. A failure breaks the connection off: the client sees that the
     * answer is not whole. NULL: no stream. */
    gf_status (*pull)(void *user, gf__buffer *out, bool *is_end, gf_error *err);
    void (*end)(void *user); /* once, whatever happened: also for HEAD, which pulls nothing */
    void *user;
    gf__buffer ready; /* the listener's: not sent yet, from n_taken on */
    size_t n_taken;
    bool is_at_end;
} gf__stream;

#define GF__MAX_RESPONSE_HEADERS 12
typedef struct gf__response {
    int code;                 /* 200 unless set */
    const char *content_type; /* "application/json" unless set; static storage */
    gf__buffer body;
    struct {
        const char *name; /* static storage */
        char *value;      /* owned */
    } headers[GF__MAX_RESPONSE_HEADERS];
    size_t n_headers;
    char *file_path;   /* owned: send this file instead of body */
    gf__stream stream; /* send this instead of body; what is needed of the request is the stream's
                          own copy */
    double queue_ms, predict_ms; /* for the access log */
} gf__response;
void gf__response_header(gf__response *response, const char *name, const char *fmt, ...)
    GF_PRINTF(3, 4);

/* ---- the listener ---------------------------------------------------------------------------- */

typedef struct gf__listener gf__listener;

typedef struct gf__listener_options {
    const char *address;
    int port;
    const char *tls_cert_pem, *tls_key_pem; /* texts, NULL without TLS */
    size_t max_header_bytes, max_connections;
    int read_timeout_ms;
    void *user;
    /* Asked when the headers are in, before any body: how many bytes it may have, and whether it
     * goes to a file instead of memory (*spool_path new: made by the listener, which removes what is
     * left there after the answer). A status refuses the request at once, by respond(). */
    gf_status (*admit)(void *user, gf__request *request, uint64_t *max_body_bytes,
                       char **spool_path, gf_error *err);
    /* The whole request is in (or was refused: st and err say why): fill the response. Called on
     * many threads at the same time. */
    void (*respond)(void *user, gf__request *request, gf_status st, const gf_error *err,
                    gf__response *response);
    /* After the last byte of the answer (or the client went): for the access log. */
    void (*done)(void *user, const gf__request *request, const gf__response *response,
                 double total_ms, uint64_t n_sent_bytes, const char *client_address,
                 bool is_complete);
} gf__listener_options;
/* Opens the port; whoever connects waits until gf__listener_accept(). */
gf_status gf__listener_open(const gf__listener_options *options, gf__listener **out, gf_error *err);
gf_status gf__listener_accept(gf__listener *listener, gf_error *err);
int gf__listener_port(const gf__listener *listener);
size_t gf__listener_n_in_flight(const gf__listener *listener); /* requests being answered */
/* From now on answers carry "Connection: close"; new connections are still taken. */
void gf__listener_let_go(gf__listener *listener);
/* Takes no new connections; and let_go. */
void gf__listener_close(gf__listener *listener);
void gf__listener_free(gf__listener *listener); /* ends what is left; NULL is fine */

#endif
