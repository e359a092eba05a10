/* server/tfserving.c: TensorFlow Serving's REST API and KServe v1, which share their paths: a model's
 * status is an object that both read.
 *
 * There a version is a number: "v7" of ours is 7 here, and is found as either. Names are the server's
 * own project's. One named output: its name is dropped. */
#include <stdio.h>
#include <string.h>

#include "model/model.h"
#include "server/predict_priv.h"

/* What the path names: /v1/models/{model}[/versions/{version}|/labels/{label}][...]. */
typedef struct target {
    const char *model, *version, *label;
} target;

static target target_of(const gf__request *request)
{
    const bool is_label = strstr(request->route->pattern, "/labels/") != NULL;
    return (target){.model = request->params[0],
                    .version = is_label ? NULL : request->params[1],
                    .label = is_label ? request->params[1] : NULL};
}

static gf_status find_target(gf_server *server, const gf__request *request, gf__served **out,
                             gf_error *err)
{
    const target wanted = target_of(request);
    gf_error own = {0};
    const gf_status st = gf__find_served(server, NULL, wanted.model, wanted.version, wanted.label,
                                         out, &own);
    if (st == GF_OK)
        return GF_OK;
    /* TensorFlow Serving's words; a label is not among its servables. */
    if (st == GF_ENOTFOUND && wanted.version != NULL)
        return gf_error_set(err, st, "Servable not found for request: Specific(%.128s, %.128s)",
                            wanted.model, wanted.version);
    if (st == GF_ENOTFOUND && wanted.label == NULL)
        return gf_error_set(err, st, "Servable not found for request: Latest(%.128s)",
                            wanted.model);
    return gf_error_set(err, st, "%s", own.message);
}

/* ---- status ---------------------------------------------------------------------------------- */

typedef struct status_page {
    target wanted;
    gf__json *versions;
    bool is_known; /* there is such a model, or version */
    bool is_ready;
} status_page;

static const char *state_name(const char *state)
{
    static const char *const names[][2] = {{"READY", "AVAILABLE"},
                                           {"UPDATING", "AVAILABLE"},
                                           {"CREATING", "LOADING"},
                                           {"DELETING", "UNLOADING"},
                                           {"FAILED", "END"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], state) == 0)
            return names[i][1];
    return "UNKNOWN";
}

/* "7" for "v7"; other names as they are. */
static const char *number_of(const char *version)
{
    const bool is_number = version[0] == 'v' && version[1] != '\0' && version[1] != '0' &&
                           strspn(version + 1, "0123456789") == strlen(version + 1);
    return is_number ? version + 1 : version;
}

static bool is_wanted(const target *wanted, const gf__catalog_version *version)
{
    if (wanted->version != NULL)
        return strcmp(wanted->version, version->version) == 0 ||
               strcmp(wanted->version, number_of(version->version)) == 0;
    return wanted->label == NULL || gf__json_find(version->labels, wanted->label) != NULL;
}

static void add_version(void *user, const gf__catalog_version *version)
{
    status_page *page = user;
    if (version->version == NULL || version->version[0] == '\0') {
        page->is_known = page->is_known || page->wanted.version == NULL;
        return;
    }
    if (!is_wanted(&page->wanted, version))
        return;
    const char *state = state_name(version->state);
    page->is_known = true;
    page->is_ready = page->is_ready || strcmp(state, "AVAILABLE") == 0;
    gf__json *status = gf__json_object();
    const bool is_failed = strcmp(version->state, "FAILED") == 0;
    gf__json_set_string(status, "error_code", is_failed ? "INTERNAL" : "OK");
    gf__json_set_string(status, "error_message",
                        version->error_message != NULL ? version->error_message : "");
    gf__json *item = gf__json_object();
    gf__json_set_string(item, "version", number_of(version->version));
    gf__json_set_string(item, "state", state);
    gf__json_set(item, "status", status);
    gf__json_append(page->versions, item);
}

/* Whether there is such a model, if an empty one. */
static bool has_no_versions(gf_server *server, const target *wanted)
{
    gf__served *served = NULL;
    if (wanted->version != NULL || wanted->label != NULL)
        return false;
    const gf_status st = gf__find_served(server, NULL, wanted->model, NULL, NULL, &served, NULL);
    gf__served_unref(served);
    return st == GF_EUNAVAILABLE;
}

/* 503 where nothing is ready: KServe's rule, whose clients look at nothing else. */
static gf_status handle_status(gf_server *server, gf__request *request, gf__response *response,
                               gf_error *err)
{
    status_page page = {.wanted = target_of(request), .versions = gf__json_array()};
    gf__catalog_visit(server->catalog, server->options.project, page.wanted.model, add_version,
                      &page);
    if (!page.is_known && !has_no_versions(server, &page.wanted)) {
        gf__json_free(page.versions);
        return gf_error_set(
            err, GF_ENOTFOUND, "Model with name %.200s does not exist.%s", page.wanted.model,
            page.wanted.version != NULL || page.wanted.label != NULL ? " Or it has no such version."
                                                                     : "");
    }
    gf__json *document = gf__json_object();
    gf__json_set(document, "model_version_status", page.versions);
    gf__json_set_string(document, "name", page.wanted.model);
    gf__json_set_bool(document, "ready", page.is_ready);
    const bool is_whole = page.wanted.version == NULL && page.wanted.label == NULL;
    if (is_whole && !page.is_ready)
        response->code = 503;
    return gf__respond_json(request, response, document, err);
}

/* ---- metadata -------------------------------------------------------------------------------- */

/* A tensor of a signature: dims after the batch's, which is open. */
static gf__json *tensor_info(const char *dtype, const char *name, size_t n_values)
{
    gf__json *dims = gf__json_array();
    for (int i = 0; i < (n_values > 0 ? 2 : 1); i++) {
        char size[24] = "-1";
        if (i == 1)
            snprintf(size, sizeof size, "%zu", n_values);
        gf__json *dim = gf__json_object();
        gf__json_set_string(dim, "size", size);
        gf__json_set_string(dim, "name", "");
        gf__json_append(dims, dim);
    }
    gf__json *shape = gf__json_object();
    gf__json_set(shape, "dim", dims);
    gf__json_set_bool(shape, "unknown_rank", false);
    gf__json *info = gf__json_object();
    gf__json_set_string(info, "dtype", dtype);
    gf__json_set(info, "tensor_shape", shape);
    gf__json_set_string(info, "name", name);
    return info;
}

static gf__json *signature_of(const gf_model *model)
{
    gf__json *inputs = gf__json_object(), *outputs = gf__json_object();
    const bool takes_pictures = gf__model_takes_pictures(model);
    gf__json_set(inputs, "inputs",
                 tensor_info(takes_pictures ? "DT_STRING" : "DT_FLOAT", "inputs:0",
                             takes_pictures ? 0 : gf_model_n_inputs(model)));
    gf__json_set(outputs, "outputs",
                 tensor_info("DT_FLOAT", "outputs:0", gf_model_n_classes(model)));
    gf__json *signature = gf__json_object();
    gf__json_set(signature, "inputs", inputs);
    gf__json_set(signature, "outputs", outputs);
    gf__json_set_string(signature, "method_name", "tensorflow/serving/predict");
    gf__json *defs = gf__json_object();
    gf__json_set(defs, "serving_default", signature);
    return defs;
}

static gf_status handle_metadata(gf_server *server, gf__request *request, gf__response *response,
                                 gf_error *err)
{
    gf__served *served = NULL;
    const gf_status st = find_target(server, request, &served, err);
    if (st != GF_OK)
        return st;
    gf__json *spec = gf__json_object();
    gf__json_set_string(spec, "name", request->params[0]);
    gf__json_set_string(spec, "signature_name", "");
    gf__json_set_string(spec, "version", number_of(gf__version_part(gf__served_name(served))));
    gf__json *definition = gf__json_object(), *metadata = gf__json_object();
    gf__json_set(definition, "signature_def", signature_of(gf__served_model(served)));
    gf__json_set(metadata, "signature_def", definition);
    gf__json *document = gf__json_object();
    gf__json_set(document, "model_spec", spec);
    gf__json_set(document, "metadata", metadata);
    gf__served_unref(served);
    return gf__respond_json(request, response, document, err);
}

/* ---- predict --------------------------------------------------------------------------------- */

static void end_answer(const gf__request *request, const gf__predictions *predictions,
                       gf__buffer *out)
{
    if (gf__request_flag(request, "debug")) {
        gf__buffer_puts(out, ",");
        gf__write_debug(out, predictions);
    }
    gf__buffer_puts(out, "}");
}

static gf_status write_answer(const gf__request *request, const gf__asked *asked,
                              const gf__predictions *predictions, gf__buffer *out, gf_error *err)
{
    gf__buffer_puts(out, asked->is_column_form ? "{\"outputs\":" : "{\"predictions\":");
    gf__write_predictions(out, predictions);
    end_answer(request, predictions, out);
    return gf__buffer_status(out, err);
}

static gf_status check_signature(const gf__asked *asked, gf_error *err)
{
    const char *name = asked->signature_name;
    if (name == NULL || name[0] == '\0' || strcmp(name, "serving_default") == 0)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL,
                        "signature_name: this model has \"serving_default\", found \"%.200s\"",
                        name);
}

static gf_status handle_predict(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err)
{
    gf__served *served = NULL;
    gf__asked asked = {0};
    gf__predictions *predictions = NULL;
    gf_status st = find_target(server, request, &served, err);
    if (st != GF_OK)
        goto done;
    st = gf__asked_parse(server, gf__served_model(served), request->body, request->body_bytes,
                         &asked, err);
    if (st == GF_OK)
        st = check_signature(&asked, err);
    if (st == GF_OK)
        st = gf__predict(server, request, response, served, asked.instances, asked.n_instances,
                         &predictions, err);
    if (st == GF_OK)
        st = write_answer(request, &asked, predictions, &response->body, err);
done:
    gf__predictions_free(predictions);
    gf__asked_free(&asked);
    gf__served_unref(served);
    return st;
}

/* ---- classify -------------------------------------------------------------------------------- */

/* [["rose",0.9],["tulip",0.1]], in the order of the classes. */
static void write_classes(const gf_model *model, const gf__prediction *item, gf__buffer *out)
{
    for (size_t k = 0; k < item->n_scores; k++) {
        gf__buffer_puts(out, k > 0 ? ",[" : "[[");
        gf__write_string(out, gf_model_class_at(model, k));
        gf__buffer_puts(out, ",");
        gf__write_number(out, (double)item->scores[k]);
        gf__buffer_puts(out, "]");
    }
    gf__buffer_puts(out, "]");
}

static gf_status check_context(const gf__asked *asked, gf_error *err)
{
    const gf__json *context = gf__json_find(asked->rest, "context");
    if (context == NULL || (gf__json_is_object(context) && gf__json_n_items(context) == 0))
        return GF_OK;
    return gf_error_set(err, GF_EINVAL,
                        "context: features shared by all examples are not taken, put them into "
                        "each example");
}

static gf_status handle_classify(gf_server *server, gf__request *request, gf__response *response,
                                 gf_error *err)
{
    gf__served *served = NULL;
    gf__asked asked = {0};
    gf__predictions *predictions = NULL;
    gf__buffer *out = &response->body;
    gf_status st = find_target(server, request, &served, err);
    if (st != GF_OK)
        goto done;
    const gf_model *model = gf__served_model(served);
    st = gf__asked_parse_rows(server, model, "examples", request->body, request->body_bytes, &asked,
                              err);
    if (st == GF_OK)
        st = check_signature(&asked, err);
    if (st == GF_OK)
        st = check_context(&asked, err);
    if (st == GF_OK)
        st = gf__predict(server, request, response, served, asked.instances, asked.n_instances,
                         &predictions, err);
    if (st != GF_OK)
        goto done;
    for (size_t i = 0; i < predictions->n_items; i++) {
        gf__buffer_puts(out, i > 0 ? "," : "{\"results\":[");
        write_classes(model, &predictions->items[i], out);
    }
    gf__buffer_puts(out, "]");
    end_answer(request, predictions, out);
    st = gf__buffer_status(out, err);
done:
    gf__predictions_free(predictions);
    gf__asked_free(&asked);
    gf__served_unref(served);
    return st;
}

static gf_status handle_regress(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err)
{
    return gf__unimplemented(
        request, "these models classify: ask :classify or :predict instead of :regress", err);
}

static gf_status handle_explain(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err)
{
    return gf__unimplemented(request, "explanations are not served", err);
}

#define TF         GF__FAMILY_TENSORFLOW, GF__ROLE_PREDICT
#define MODEL      "/v1/models/{model}"
#define OF_VERSION MODEL "/versions/{version}"
#define OF_LABEL   MODEL "/labels/{label}"
const gf__route gf__routes_tfserving[] = {
    {"GET", "/v1/models", TF, gf__respond_models, -1, false},
    {"GET", MODEL, TF, handle_status, -1, false},
    {"GET", OF_VERSION, TF, handle_status, -1, false},
    {"GET", OF_LABEL, TF, handle_status, -1, false},
    {"GET", MODEL "/metadata", TF, handle_metadata, -1, false},
    {"GET", OF_VERSION "/metadata", TF, handle_metadata, -1, false},
    {"GET", OF_LABEL "/metadata", TF, handle_metadata, -1, false},
    {"POST", MODEL ":predict", TF, handle_predict, -1, false},
    {"POST", OF_VERSION ":predict", TF, handle_predict, -1, false},
    {"POST", OF_LABEL ":predict", TF, handle_predict, -1, false},
    {"POST", MODEL ":classify", TF, handle_classify, -1, false},
    {"POST", OF_VERSION ":classify", TF, handle_classify, -1, false},
    {"POST", OF_LABEL ":classify", TF, handle_classify, -1, false},
    {"POST", MODEL ":regress", TF, handle_regress, -1, false},
    {"POST", OF_VERSION ":regress", TF, handle_regress, -1, false},
    {"POST", OF_LABEL ":regress", TF, handle_regress, -1, false},
    {"POST", MODEL ":explain", TF, handle_explain, -1, false},
    {"POST", OF_VERSION ":explain", TF, handle_explain, -1, false},
    {"POST", OF_LABEL ":explain", TF, handle_explain, -1, false},
    GF__ROUTES_END,
};
