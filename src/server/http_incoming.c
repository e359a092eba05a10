/* server/http_incoming.c: a request on its way: its head, its body, its end. It is refused as soon
 * as something is wrong with it.
 *
 * A refusal is sent before the body is in, and what the client still sends is read for a moment,
 * since closing at once would take the answer from it. */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "server/http_mhd_priv.h"

#define SMALL_DISCARD ((uint64_t)64 << 10)

/* ---- the head of a request ------------------------------------------------------------------- */

void *gf__incoming_begin(void *user, const char *target, struct MHD_Connection *http)
{
    gf__listener *listener = user;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        http, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    gf__incoming *in = gf__calloc(1, sizeof *in);
    if (in == NULL || info == NULL || info->socket_context == NULL) {
        gf__free(in);
        return NULL;
    }
    in->listener = listener;
    in->http = http;
    in->peer = info->socket_context;
    in->request.exchange = &in->exchange;
    in->body.fd = -1;
    in->begin_s = gf__clock_s();
    in->target = gf__strdup(target != NULL ? target : "");
    atomic_fetch_add(&listener->n_in_flight, 1);
    return in;
}

static void read_client(gf__incoming *in, struct MHD_Connection *http)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        http, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info == NULL || info->client_addr == NULL)
        return;
    const struct sockaddr *address = info->client_addr;
    if (address->sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
                        in->client, sizeof in->client);
    else if (address->sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
                        in->client, sizeof in->client);
}

static enum MHD_Result add_header(void *user, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    gf__incoming *in = user;
    gf__exchange *exchange = &in->exchange;
    if (exchange->n_headers == GF__MAX_HEADERS) {
        in->request.refused_code = 431;
        in->st = gf_error_set(&in->err, GF_ELIMIT, "the request has more than %d headers",
                              GF__MAX_HEADERS);
        return MHD_NO;
    }
    exchange->headers[exchange->n_headers++] = (gf__pair){.name = name,
                                                          .value = value != NULL ? value : ""};
    return MHD_YES;
}

gf_status gf__incoming_refuse(gf__incoming *in, int code, gf_status st)
{
    in->request.refused_code = code;
    in->st = st;
    return st;
}

/* One, and in HTTP/1.0 none will do. */
static gf_status check_host(gf__incoming *in, const char *version)
{
    size_t n_hosts = 0;
    for (size_t i = 0; i < in->exchange.n_headers; i++)
        n_hosts += strcasecmp(in->exchange.headers[i].name, "Host") == 0 ? 1 : 0;
    if (n_hosts == 1 || (n_hosts == 0 && strcmp(version, "HTTP/1.0") == 0))
        return GF_OK;
    return gf__incoming_refuse(in, 400,
                               gf_error_set(&in->err, GF_EFORMAT,
                                            "the request has %zu Host headers, expected one",
                                            n_hosts));
}

/* Whether the whole is within the limits that hold before anybody looked at it. */
static gf_status check_head(gf__incoming *in, struct MHD_Connection *http, const char *method,
                            const char *version)
{
    const gf__listener_options *options = &in->listener->options;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        http, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const size_t n_header_bytes = info != NULL ? info->header_size : 0;
    (void)MHD_get_connection_values(http, MHD_HEADER_KIND, add_header, in);
    if (in->target == NULL)
        return gf__incoming_refuse(in, 0, gf__error_nomem(&in->err, "an address", 0));
    gf_error err = {0};
    const gf_status st = gf__request_read(&in->request, method, in->target, &err);
    if (in->st != GF_OK)
        return in->st;
    if (st != GF_OK) {
        in->err = err;
        return gf__incoming_refuse(in, st == GF_EFORMAT ? 400 : 0, st);
    }
    if (n_header_bytes > options->max_header_bytes)
        return gf__incoming_refuse(
            in, 431,
            gf_error_set(&in->err, GF_ELIMIT,
                         "the request line and headers have %zu bytes, more than %zu",
                         n_header_bytes, options->max_header_bytes));
    const char *coding = gf__request_header(&in->request, "Content-Encoding");
    if (coding != NULL && strcasecmp(coding, "identity") != 0)
        return gf__incoming_refuse(in, 415,
                                   gf_error_set(&in->err, GF_EUNSUPPORTED,
                                                "Content-Encoding: %.40s; send the body as it is",
                                                coding));
    return check_host(in, version);
}

static gf_status admit(gf__incoming *in, uint64_t n_announced)
{
    const gf__listener_options *options = &in->listener->options;
    gf_status st = options->admit(options->user, &in->request, &in->body.max_bytes,
                                  &in->body.spool_path, &in->err);
    if (st != GF_OK)
        return gf__incoming_refuse(in, in->request.refused_code, st);
    st = gf__body_begin(&in->body, n_announced, &in->err);
    return st == GF_OK ? GF_OK : gf__incoming_refuse(in, st == GF_ELIMIT ? 413 : 0, st);
}

/* ---- the body -------------------------------------------------------------------------------- */

static void take_bytes(gf__incoming *in, const char *bytes, size_t n_bytes)
{
    gf__peer_received(in->peer, n_bytes);
    if (in->st == GF_OK) {
        const gf_status st = gf__body_take(&in->body, bytes, n_bytes, &in->err);
        if (st != GF_OK)
            gf__incoming_refuse(in, st == GF_ELIMIT ? 413 : 0, st);
    }
    if (in->st != GF_OK) { /* an answer cannot be given in the middle of a chunked body */
        in->n_discarded += n_bytes;
        in->is_hopeless = in->n_discarded > GF__MAX_DISCARD;
    }
}

static enum MHD_Result begin(gf__incoming *in, struct MHD_Connection *http, const char *method,
                             const char *version)
{
    uint64_t n_body_bytes = 0;
    in->has_begun = true;
    read_client(in, http);
    if (check_head(in, http, method, version) == GF_OK) {
        int code = 0;
        const gf_status st = gf__request_framing(&in->request, &n_body_bytes, &code, &in->err);
        in->is_last = st != GF_OK;
        (void)(st == GF_OK ? admit(in, n_body_bytes) : gf__incoming_refuse(in, code, st));
    }
    gf__peer_wait(in->peer);
    if (in->st == GF_OK || n_body_bytes == 0)
        return MHD_YES;
    /* A short body that is coming anyway is taken, and the connection lives on. */
    if (n_body_bytes <= SMALL_DISCARD && gf__request_header(&in->request, "Expect") == NULL)
        return MHD_YES;
    in->is_early = true;
    return gf__outgoing_send(in);
}

enum MHD_Result gf__incoming_take(void *user, struct MHD_Connection *http, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *n_bytes, void **context)
{
    gf__incoming *in = *context;
    if (in == NULL)
        return MHD_NO;
    if (!in->has_begun)
        return begin(in, http, method, version);
    if (*n_bytes > 0) {
        take_bytes(in, bytes, *n_bytes);
        *n_bytes = 0;
        return in->is_hopeless ? MHD_NO : MHD_YES;
    }
    return gf__outgoing_send(in);
}

void gf__incoming_end(void *user, struct MHD_Connection *http, void **context,
                      enum MHD_RequestTerminationCode code)
{
    gf__incoming *in = *context;
    *context = NULL;
    if (in == NULL)
        return;
    gf__listener *listener = in->listener;
    const bool is_complete = code == MHD_REQUEST_TERMINATED_COMPLETED_OK && in->was_answered;
    const bool is_head = in->has_begun && strcmp(in->request.method, "HEAD") == 0;
    if (in->has_begun)
        listener->options.done(listener->options.user, &in->request, &in->response,
                               (gf__clock_s() - in->begin_s) * 1e3,
                               is_complete && !is_head ? in->n_sent_bytes : 0, in->client,
                               is_complete);
    gf__body_free(&in->body);
    atomic_fetch_sub(&listener->n_in_flight, 1);
    gf__outgoing_set_timeout(in, false);
    if (in->is_early && is_complete && !atomic_load(&listener->lets_go))
        gf__peer_linger(in->peer, listener->options.tls_cert_pem != NULL);
    gf__peer_wait(in->peer);
    gf__request_clear(&in->request);
    gf__response_clear(&in->response);
    gf__free(in->target);
    gf__free(in);
}
