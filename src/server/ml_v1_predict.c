/* server/ml_v1_predict.c: projects.predict of Cloud ML Engine v1.
 *
 *     POST /v1/projects/P/models/M[/versions/V]:predict   {"instances": [...]}
 *     {"predictions": [{"outputs": [0.997, 0.003]}, ...]}
 *
 * The output keeps its name: ML Engine did so even where there is one output only. */
#include <string.h>

#include "server/ml_v1_priv.h"

#define OUTPUT    "outputs"
#define SIGNATURE "serving_default"

static gf_status check_asked(const gf__asked *asked, gf_error *err)
{
    if (asked->is_column_form)
        return gf_error_set(err, GF_EINVAL,
                            "inputs: this is TensorFlow Serving's form; expected \"instances\"");
    if (asked->signature_name != NULL && strcmp(asked->signature_name, SIGNATURE) != 0)
        return gf_error_set(err, GF_EINVAL,
                            "signature_name: %.100s; the model has one signature, " SIGNATURE,
                            asked->signature_name);
    return GF_OK;
}

static gf__json *prediction_document(const gf__prediction *item, const gf__json *key,
                                     bool wants_debug)
{
    gf__json *document = gf__json_object(), *scores = gf__json_array();
    for (size_t k = 0; k < item->n_scores; k++)
        gf__json_append(scores, gf__json_new_number((double)item->scores[k]));
    gf__json_set(document, OUTPUT, scores);
    if (key != NULL)
        gf__json_set(document, "key", gf__json_copy(key));
    if (wants_debug)
        gf__json_set(document, "debug", gf__debug_json(item));
    return document;
}

static gf_status respond(const gf__request *request, gf__response *response, const gf__asked *asked,
                         const gf__predictions *answer, gf_error *err)
{
    const bool wants_debug = gf__request_flag(request, "debug");
    gf__json *document = gf__json_object(), *predictions = gf__json_array();
    for (size_t i = 0; i < answer->n_items; i++)
        gf__json_append(predictions,
                        prediction_document(&answer->items[i], asked->keys[i], wants_debug));
    gf__json_set(document, "predictions", predictions);
    return gf__respond_json(request, response, document, err);
}

/* What the served version answers to the body. */
static gf_status answer(gf_server *server, gf__request *request, gf__response *response,
                        gf__served *served, gf_error *err)
{
    gf__asked asked = {0};
    gf__predictions *predictions = NULL;
    gf_error own;
    gf_status st = gf__asked_parse(server, gf__served_model(served), request->body,
                                   request->body_bytes, &asked, err);
    if (st == GF_OK)
        st = check_asked(&asked, err);
    if (st != GF_OK)
        goto done;
    st = gf__predict(server, request, response, served, asked.instances, asked.n_instances,
                     &predictions, &own);
    if (st == GF_OK) {
        st = respond(request, response, &asked, predictions, err);
    } else if (gf__is_about_instances(st)) { /* has a shape of its own from here on */
        gf__respond_error(server, GF__FAMILY_ML_PREDICT, st, own.message, response);
        st = GF_OK;
    } else {
        gf_error_set(err, st, "%s", own.message);
    }
done:
    gf__predictions_free(predictions);
    gf__asked_free(&asked);
    return st;
}

static gf_status predict(gf_server *server, gf__request *request, gf__response *response,
                         gf_error *err)
{
    char *const *params = request->params;
    char *name = NULL;
    gf__served *served = NULL;
    gf_status st = gf__request_name(request, params[2] != NULL ? 3 : 2, &name, err);
    if (st == GF_OK)
        st = gf__catalog_find(server->catalog, params[0], params[1], params[2], NULL, &served, err);
    if (st == GF_OK)
        st = answer(server, request, response, served, err);
    gf__served_unref(served);
    gf__free(name);
    return st;
}

const gf__route gf__routes_ml_v1_predict[] = {
    {"POST", GF__ML_V1 "/models/{model}:predict", GF__FAMILY_GOOGLE, GF__ROLE_PREDICT, predict, 0,
     false},
    {"POST", GF__ML_V1 "/models/{model}/versions/{version}:predict", GF__FAMILY_GOOGLE,
     GF__ROLE_PREDICT, predict, 0, false},
    GF__ROUTES_END,
};
