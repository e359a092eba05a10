/* server/vertex.c: the contract of Vertex AI's containers: the operator says two paths, and the
 * container answers for one model. */
#include <string.h>

#include "model/model.h"
#include "server/predict_priv.h"

/* The project's only model. */
typedef struct only_model {
    char *name;
    bool is_several;
} only_model;

static void note_model(void *user, const gf__catalog_version *version)
{
    only_model *only = user;
    if (only->name == NULL)
        only->name = gf__strdup(version->model);
    else if (strcmp(only->name, version->model) != 0)
        only->is_several = true;
}

static gf_status find_model(gf_server *server, gf__served **out, gf_error *err)
{
    only_model only = {0};
    gf_status st = GF_OK;
    const char *name = server->options.vertex_model;
    if (name == NULL) {
        gf__catalog_visit(server->catalog, server->options.project, NULL, note_model, &only);
        if (only.is_several)
            st = gf_error_set(err, GF_EPRECONDITION,
                              "project %.100s has several models, expected one: delete the "
                              "others, or say which with AIP_STORAGE_URI and AIP_MODEL_NAME",
                              server->options.project);
        else if (only.name == NULL)
            st = gf_error_set(err, GF_EUNAVAILABLE, "project %.100s has no model yet",
                              server->options.project);
        name = only.name;
    }
    if (st == GF_OK)
        st = gf__find_served(server, NULL, name, server->options.vertex_version, NULL, out, err);
    gf__free(only.name);
    return st;
}

static gf_status handle_health(gf_server *server, gf__request *request, gf__response *response,
                               gf_error *err)
{
    gf__served *served = NULL;
    gf_error why = {0};
    gf_status st = find_model(server, &served, &why);
    gf__served_unref(served);
    if (st == GF_OK && !gf__server_is_ready(server))
        st = gf_error_set(&why, GF_EUNAVAILABLE, "the server is starting or stopping");
    if (st != GF_OK)
        return gf_error_set(err, GF_EUNAVAILABLE, "not ready: %.400s", why.message);
    gf__json *document = gf__json_object();
    gf__json_set_string(document, "status", "ready");
    return gf__respond_json(request, response, document, err);
}

/* The members beside predictions are what Vertex AI adds for its clients; in front of a container of
 * one's own nobody else does. */
static gf_status write_predictions(const gf__request *request, const gf__predictions *predictions,
                                   gf__buffer *out, gf_error *err)
{
    gf__buffer_puts(out, "{\"predictions\":");
    gf__write_predictions(out, predictions);
    gf__buffer_puts(out, ",\"deployedModelId\":");
    gf__write_string(out, request->version);
    gf__buffer_puts(out, ",\"model\":");
    gf__write_string(out, request->model);
    gf__buffer_puts(out, ",\"modelDisplayName\":");
    gf__write_string(out, request->model);
    gf__buffer_puts(out, ",\"modelVersionId\":");
    gf__write_string(out, request->version);
    if (gf__request_flag(request, "debug")) {
        gf__buffer_puts(out, ",");
        gf__write_debug(out, predictions);
    }
    gf__buffer_puts(out, "}");
    return gf__buffer_status(out, err);
}

/* What "parameters" mean is a container's own matter. Those that clients of Google's image classifiers
 * send choose which labels come back: here all scores do, and clients choose. Any other one would be
 * asked for and not heeded. */
static gf_status check_parameters(const gf__asked *asked, gf_error *err)
{
    const gf__json *parameters = gf__json_find(asked->rest, "parameters"), *value = NULL;
    if (parameters == NULL || gf__json_is_null(parameters))
        return GF_OK;
    if (!gf__json_is_object(parameters))
        return gf_error_set(err, GF_EINVAL, "parameters: expected an object");
    for (const char *name = gf__json_next(parameters, NULL, &value); name != NULL;
         name = gf__json_next(parameters, name, &value))
        if (strcmp(name, "confidenceThreshold") != 0 && strcmp(name, "maxPredictions") != 0)
            return gf_error_set(err, GF_EINVAL, "parameters: \"%.60s\": these models take none",
                                name);
    return GF_OK;
}

static gf_status handle_predict(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err)
{
    gf__served *served = NULL;
    gf__asked asked = {0};
    gf__predictions *predictions = NULL;
    gf_status st = find_model(server, &served, err);
    if (st == GF_OK)
        st = gf__asked_parse_rows(server, gf__served_model(served), "instances", request->body,
                                  request->body_bytes, &asked, err);
    if (st == GF_OK)
        st = check_parameters(&asked, err);
    if (st == GF_OK)
        st = gf__predict(server, request, response, served, asked.instances, asked.n_instances,
                         &predictions, err);
    if (st == GF_OK)
        st = write_predictions(request, predictions, &response->body, err);
    gf__predictions_free(predictions);
    gf__asked_free(&asked);
    gf__served_unref(served);
    return st;
}

/* The container's network is closed by Vertex AI: health is open, predictions are the role's. */
const gf__route gf__routes_vertex[] = {
    {"GET", "$health", GF__FAMILY_TENSORFLOW, GF__ROLE_NONE, handle_health, -1, false},
    {"POST", "$predict", GF__FAMILY_TENSORFLOW, GF__ROLE_PREDICT, handle_predict, -1, false},
    GF__ROUTES_END,
};
