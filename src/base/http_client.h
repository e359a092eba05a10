/* base/http_client.h: requests to an HTTP(S) server, one after the other on a connection that stays.
 *
 *     gf__http_client *client = NULL;
 *     gf__http_answer answer = {0};
 *     st = gf__http_client_new(NULL, &client, err);
 *     st = gf__http_send(client, &(gf__http_request){.url = "http://127.0.0.1:8080/v1/models/m"},
 *                        &answer, err);
 *     if (st == GF_OK && answer.code == 200) ... answer.body.data ...
 *     gf__http_answer_free(&answer);
 *     gf__http_client_free(client);
 *
 * libcurl is loaded at the first client. Redirects are not followed: a token must not travel on. */
#ifndef GRAFT_BASE_HTTP_CLIENT_H
#define GRAFT_BASE_HTTP_CLIENT_H

#include "base/buffer.h"
#include "graft/base.h"

typedef struct gf__http_options {
    const char *token;       /* sent as "Authorization: Bearer TOKEN"; NULL for none */
    const char *ca_file;     /* PEM: trust these authorities instead of the system's; NULL */
    long connect_timeout_ms; /* default 10000 */
    long stall_timeout_ms;   /* no byte either way for so long is a failure; default 120000 */
    size_t limit_bytes;      /* of an answer kept in memory; default 256 MiB */
    /* Asked at least once a second: true stops the request with GF_ECANCELED. May be NULL. */
    bool (*is_stopped)(void *user);
    void *user;
    gf_observer observer; /* stages "upload" and "download", bytes, where files are sent, fetched */
} gf__http_options;
gf__http_options gf__http_options_default(void);

/* One a thread. */
typedef struct gf__http_client gf__http_client;
/* options: copied, its texts kept; NULL for the defaults. GF_EUNSUPPORTED without libcurl. */
gf_status gf__http_client_new(const gf__http_options *options, gf__http_client **out,
                              gf_error *err);
void gf__http_client_free(gf__http_client *client); /* NULL is fine */

typedef struct gf__http_request {
    const char *method;       /* NULL: POST where there is a body, else GET */
    const char *url;          /* http:// or https:// */
    const char *content_type; /* of the body; NULL: application/json */
    const char *accept;       /* NULL: anything */
    /* The body: bytes, or a whole file; neither: none. */
    const void *body;
    size_t n_body_bytes;
    const char *body_path;
    /* Where the body of a 2xx answer goes, whole or not at all; NULL: into answer->body. */
    const char *answer_path;
    /* Or given to this as it comes: an answer without an end. What it returns, other than GF_OK,
     * stops the request and is its status. NULL: none. */
    gf_status (*take)(void *user, const char *bytes, size_t n_bytes, gf_error *err);
    void *take_user;
    /* Sent as it is, "Last-Event-ID: 17"; NULL: none. */
    const char *extra_header;
} gf__http_request;

typedef struct gf__http_answer {
    int code;
    gf__buffer body;       /* also what an error answers, whatever answer_path says */
    char content_type[96]; /* lower case, without parameters; "" unknown */
    int retry_after_s;     /* 0: not said */
} gf__http_answer;

/* Sends and waits. An error that the server answers is an answer: look at answer->code. The answer
 * is set whatever comes back, and ended with gf__http_answer_free().
 * Errors  GF_ENETWORK names the server and why; GF_EINVAL for another kind of address; GF_ELIMIT an
 *         answer over the limit; GF_ECANCELED; the reading and writing of the two files. */
gf_status gf__http_send(gf__http_client *client, const gf__http_request *request,
                        gf__http_answer *answer, gf_error *err);
void gf__http_answer_free(gf__http_answer *answer); /* a zeroed one is fine */

#endif
