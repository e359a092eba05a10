/* server/kserve_v2.c: the Open Inference Protocol (KServe v2, Triton): server and model metadata,
 * readiness, the repository, inference. Names are the server's own project's. */
#include <string.h>

#include "model/model.h"
#include "server/kserve_v2_priv.h"

/* ---- the server ------------------------------------------------------------------------------ */

static gf_status handle_server(gf_server *server, gf__request *request, gf__response *response,
                               gf_error *err)
{
    static const char *const extensions[] = {"binary_tensor_data", "classification",
                                             "model_repository"};
    gf__json *document = gf__json_object(), *list = gf__json_array();
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        gf__json_append(list, gf__json_new_string(extensions[i]));
    gf__json_set_string(document, "name", "graft");
    gf__json_set_string(document, "version", gf_version());
    gf__json_set(document, "extensions", list);
    return gf__respond_json(request, response, document, err);
}

static gf_status respond_health(gf__request *request, gf__response *response, bool is_ready,
                                gf_error *err)
{
    gf__json *document = gf__json_object();
    gf__json_set_bool(document, "live", true);
    gf__json_set_bool(document, "ready", is_ready);
    response->code = is_ready ? 200 : 503;
    return gf__respond_json(request, response, document, err);
}

static gf_status handle_live(gf_server *server, gf__request *request, gf__response *response,
                             gf_error *err)
{
    return respond_health(request, response, true, err);
}

static gf_status handle_ready(gf_server *server, gf__request *request, gf__response *response,
                              gf_error *err)
{
    return respond_health(request, response, gf__server_is_ready(server), err);
}

/* ---- models ---------------------------------------------------------------------------------- */

static gf_status find(gf_server *server, const gf__request *request, gf__served **out,
                      gf_error *err)
{
    return gf__find_served(server, NULL, request->params[0], request->params[1], NULL, out, err);
}

static void add_version(void *user, const gf__catalog_version *version)
{
    if (version->version != NULL && strcmp(version->state, "READY") == 0)
        gf__json_append(user, gf__json_new_string(version->version));
}

/* size 0: open, or not known. */
static gf__json *tensor_info(const char *name, const char *datatype, size_t size)
{
    gf__json *shape = gf__json_array(), *info = gf__json_object(), *list = gf__json_array();
    gf__json_append(shape, gf__json_new_int(-1));
    if (size > 0)
        gf__json_append(shape, gf__json_new_int((int64_t)size));
    gf__json_set_string(info, "name", name);
    gf__json_set_string(info, "datatype", datatype);
    gf__json_set(info, "shape", shape);
    gf__json_append(list, info);
    return list;
}

static gf_status handle_model(gf_server *server, gf__request *request, gf__response *response,
                              gf_error *err)
{
    gf__served *served = NULL;
    const gf_status st = find(server, request, &served, err);
    if (st != GF_OK)
        return st;
    const gf_model *model = gf__served_model(served);
    const bool takes_pictures = gf__model_takes_pictures(model);
    gf__json *document = gf__json_object(), *versions = gf__json_array();
    gf__catalog_visit(server->catalog, server->options.project, request->params[0], add_version,
                      versions);
    gf__json_set_string(document, "name", request->params[0]);
    gf__json_set(document, "versions", versions);
    gf__json_set_string(document, "platform", "graft");
    gf__json_set(document, "inputs",
                 tensor_info(GF__V2_INPUT, takes_pictures ? "BYTES" : "FP32",
                             takes_pictures ? 0 : gf_model_n_inputs(model)));
    gf__json_set(document, "outputs",
                 tensor_info(GF__V2_OUTPUT, "FP32", gf_model_n_classes(model)));
    gf__served_unref(served);
    return gf__respond_json(request, response, document, err);
}

static gf_status handle_model_ready(gf_server *server, gf__request *request, gf__response *response,
                                    gf_error *err)
{
    gf__served *served = NULL;
    const gf_status st = find(server, request, &served, err);
    if (st != GF_OK)
        return st;
    gf__served_unref(served);
    gf__json *document = gf__json_object();
    gf__json_set_string(document, "name", request->params[0]);
    gf__json_set_bool(document, "ready", true);
    return gf__respond_json(request, response, document, err);
}

/* ---- the repository -------------------------------------------------------------------------- */

typedef struct index_page {
    gf__json *list;
    bool ready_only;
} index_page;

static void add_to_index(void *user, const gf__catalog_version *version)
{
    index_page *page = user;
    if (version->version == NULL || version->version[0] == '\0')
        return;
    const bool is_ready = strcmp(version->state, "READY") == 0;
    if (page->ready_only && !is_ready)
        return;
    gf__json *item = gf__json_object();
    gf__json_set_string(item, "name", version->model);
    gf__json_set_string(item, "version", version->version);
    gf__json_set_string(item, "state",
                        is_ready                                  ? "READY"
                        : strcmp(version->state, "CREATING") == 0 ? "LOADING"
                        : strcmp(version->state, "DELETING") == 0 ? "UNLOADING"
                                                                  : "UNAVAILABLE");
    gf__json_set_string(item, "reason",
                        version->error_message != NULL ? version->error_message : "");
    gf__json_append(page->list, item);
}

static gf_status handle_index(gf_server *server, gf__request *request, gf__response *response,
                              gf_error *err)
{
    gf__json *body = NULL;
    const gf_status st = gf__request_json(request, &body, err);
    if (st != GF_OK)
        return st;
    index_page page = {.list = gf__json_array(),
                       .ready_only = gf__json_bool(gf__json_find(body, "ready"), false)};
    gf__json_free(body);
    gf__catalog_visit(server->catalog, server->options.project, NULL, add_to_index, &page);
    return gf__respond_json(request, response, page.list, err);
}

/* A READY version needs no loading: it is loaded when it is asked. What a client would have loaded
 * instead (parameters.config, "file:1/model.x") is not. */
static gf_status handle_load(gf_server *server, gf__request *request, gf__response *response,
                             gf_error *err)
{
    gf__served *served = NULL;
    gf__json *body = NULL;
    const gf__json *first = NULL;
    gf_status st = gf__request_json(request, &body, err);
    const char *key = gf__json_next(gf__json_find(body, "parameters"), NULL, &first);
    if (st == GF_OK && key != NULL)
        st = gf_error_set(err, GF_EUNSUPPORTED,
                          "parameters: \"%.60s\": a version is loaded as it was deployed; create "
                          "another one instead",
                          key);
    gf__json_free(body);
    if (st == GF_OK)
        st = find(server, request, &served, err);
    gf__served_unref(served);
    return st == GF_OK ? gf__respond_json(request, response, gf__json_object(), err) : st;
}

static gf_status handle_unload(gf_server *server, gf__request *request, gf__response *response,
                               gf_error *err)
{
    return gf__unimplemented(request,
                             "models are unloaded by themselves when memory is short or nobody "
                             "asks; to take one out for good, delete its versions",
                             err);
}

/* ---- inference ------------------------------------------------------------------------------- */

static gf_status handle_infer(gf_server *server, gf__request *request, gf__response *response,
                              gf_error *err)
{
    gf__served *served = NULL;
    gf__v2_request asked = {0};
    gf__predictions *predictions = NULL;
    gf_status st = find(server, request, &served, err);
    if (st == GF_OK)
        st = gf__v2_request_parse(gf__served_model(served), server->options.max_instances,
                                  gf__request_header(request, "Inference-Header-Content-Length"),
                                  request->body, request->body_bytes, &asked, err);
    request->deadline_ms = asked.timeout_ms;
    if (st == GF_OK)
        st = gf__predict(server, request, response, served, asked.instances, asked.n_instances,
                         &predictions, err);
    if (st == GF_OK)
        st = gf__v2_respond(&asked, served, predictions, gf__request_flag(request, "debug"),
                            response, err);
    gf__predictions_free(predictions);
    gf__v2_request_free(&asked);
    gf__served_unref(served);
    return st;
}

#define OPEN       GF__FAMILY_V2, GF__ROLE_NONE
#define ASK        GF__FAMILY_V2, GF__ROLE_PREDICT
#define MODEL      "/v2/models/{model}"
#define OF_VERSION MODEL "/versions/{version}"
const gf__route gf__routes_kserve_v2[] = {
    {"GET", "/v2", OPEN, handle_server, -1, false},
    {"GET", "/v2/health/live", OPEN, handle_live, -1, false},
    {"GET", "/v2/health/ready", OPEN, handle_ready, -1, false},
    {"GET", "/v2/models", ASK, gf__respond_models, -1, false},
    {"GET", MODEL, ASK, handle_model, -1, false},
    {"GET", OF_VERSION, ASK, handle_model, -1, false},
    {"GET", MODEL "/ready", ASK, handle_model_ready, -1, false},
    {"GET", OF_VERSION "/ready", ASK, handle_model_ready, -1, false},
    {"POST", MODEL "/infer", ASK, handle_infer, -1, false},
    {"POST", OF_VERSION "/infer", ASK, handle_infer, -1, false},
    {"POST", "/v2/repository/index", ASK, handle_index, -1, false},
    {"POST", "/v2/repository/models/{model}/load", ASK, handle_load, -1, false},
    {"POST", "/v2/repository/models/{model}/unload", ASK, handle_unload, -1, false},
    GF__ROUTES_END,
};
