/* server_asked.h: a request from its first line to its answer without a socket: the listener's questions are
 * asked here, for the tests of routes and handlers. */
#ifndef GRAFT_TESTS_SERVER_ASKED_H
#define GRAFT_TESTS_SERVER_ASKED_H

#include <unistd.h>

#include "check.h"
#include "server/http_priv.h"
#include "server/server_priv.h"

/* A request and what became of it. Ended with forget(). */
typedef struct asked {
    gf__exchange exchange;
    gf__request request;
    gf__response response;
    char *sent;       /* the body */
    char *spool_path; /* where it lies in a file; NULL: it does not */
} asked;

static inline void ask_for(gf_server *of, const char *method, const char *target, const char *body,
                           const gf__pair *headers, size_t n_headers, asked *out)
{
    uint64_t max_body_bytes = 0;
    gf_error err = {0};
    memset(out, 0, sizeof *out);
    out->request.exchange = &out->exchange;
    out->response.code = 200;
    for (size_t i = 0; i < n_headers; i++)
        out->exchange.headers[out->exchange.n_headers++] = headers[i];
    gf_status st = gf__request_read(&out->request, method, target, &err);
    if (st == GF_OK)
        st = gf__routes_admit(of, &out->request, &max_body_bytes, &out->spool_path, &err);
    out->sent = gf__strdup(body);
    if (out->spool_path != NULL)
        CHECK_OK(gf__write_file(out->spool_path, body, strlen(body), &check_err));
    out->request.body = out->spool_path != NULL ? out->spool_path : out->sent;
    out->request.body_bytes = strlen(body);
    gf__routes_respond(of, &out->request, st, &err, &out->response);
}

static inline const char *body_of(const asked *a)
{
    return a->response.body.data != NULL ? a->response.body.data : "";
}

/* "" where the answer has no such header. */
static inline const char *header_of(const asked *a, const char *name)
{
    for (size_t i = 0; i < a->response.n_headers; i++)
        if (strcmp(a->response.headers[i].name, name) == 0)
            return a->response.headers[i].value;
    return "";
}

static inline void forget(asked *a)
{
    if (a->spool_path != NULL)
        (void)unlink(a->spool_path);
    gf__free(a->spool_path);
    gf__free(a->sent);
    a->request.body = NULL;
    gf__request_clear(&a->request);
    gf__response_clear(&a->response);
}

/* ASK(200, "GET", target, body): with an ask() that gives the code and leaves the body in answer. */
#define ASK(code, method, target, body)                                                           \
    do {                                                                                          \
        const int got_ = ask(method, target, body);                                               \
        if (got_ != (code))                                                                       \
            fail_msg("%s %s got %d, expected %d: %s", method, target, got_, (int)(code), answer); \
    } while (0)

#endif
