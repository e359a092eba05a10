/* server/health.c: what probes and scrapers ask. Nothing here waits for a model or the registry. */
#include "server/server_priv.h"

static gf_status say(gf__response *response, const char *text)
{
    response->content_type = "text/plain; charset=utf-8";
    gf__buffer_puts(&response->body, text);
    return GF_OK;
}

static gf_status handle_live(gf_server *server, gf__request *request, gf__response *response,
                             gf_error *err)
{
    return say(response, "ok\n");
}

static gf_status handle_ready(gf_server *server, gf__request *request, gf__response *response,
                              gf_error *err)
{
    if (gf__server_is_ready(server))
        return say(response, "ok\n");
    return gf_error_set(err, GF_EUNAVAILABLE, "%s",
                        atomic_load(&server->is_draining) ? "shutting down" : "starting");
}

static gf_status write_metrics(gf_server *server, bool wants_aliases, gf__response *response,
                               gf_error *err)
{
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    gf__metrics_write(server, wants_aliases, &response->body);
    return gf__buffer_status(&response->body, err);
}

static gf_status handle_metrics(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err)
{
    return write_metrics(server, gf__request_flag(request, "aliases"), response, err);
}

/* Where TensorFlow Serving has its page: what dashboards for it, or for Triton, read. */
static gf_status handle_alias_metrics(gf_server *server, gf__request *request,
                                      gf__response *response, gf_error *err)
{
    return write_metrics(server, true, response, err);
}

/* As KServe has it. */
static gf_status handle_root(gf_server *server, gf__request *request, gf__response *response,
                             gf_error *err)
{
    gf__json *document = gf__json_object();
    gf__json_set_string(document, "status", "alive");
    gf__json_set_string(document, "server", "graft");
    gf__json_set_string(document, "version", gf_version());
    return gf__respond_json(request, response, document, err);
}

/* Metrics name every project's models: where tokens are needed, they need one of no project alone. */
#define OPEN    GF__FAMILY_PLAIN, GF__ROLE_NONE
#define METRICS GF__FAMILY_PLAIN, GF__ROLE_PREDICT
#define OF_ALL  GF__PROJECT_OF_ALL, false
const gf__route gf__routes_health[] = {
    {"GET", "/", OPEN, handle_root, -1, false},
    {"GET", "/livez", OPEN, handle_live, -1, false},
    {"GET", "/readyz", OPEN, handle_ready, -1, false},
    {"GET", "/healthz", OPEN, handle_live, -1, false},
    {"GET", "/metrics", METRICS, handle_metrics, OF_ALL},
    {"GET", "/monitoring/prometheus/metrics", METRICS, handle_alias_metrics, OF_ALL},
    GF__ROUTES_END,
};
