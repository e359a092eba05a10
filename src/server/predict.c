/* server/predict.c: from instances to scores, for every family: the pools, and what is noted on the
 * way. */
#include <stdio.h>
#include <string.h>

#include "server/predict_priv.h"

/* For the access log. */
static void note_names(gf__request *request, const char *name)
{
    size_t n_chars = 0;
    const char *model = gf__model_part(name, &n_chars);
    gf__free(request->model);
    gf__free(request->version);
    request->model = gf__strndup(model, n_chars);
    request->version = gf__strdup(gf__version_part(name));
}

static gf_status first_failure(const gf__predictions *predictions, gf_error *err)
{
    for (size_t i = 0; i < predictions->n_items; i++) {
        const gf__prediction *item = &predictions->items[i];
        if (item->status != GF_OK)
            return gf_error_set(err, item->status, "instances[%zu]: %s", i, item->message);
    }
    return GF_OK;
}

static int deadline_of(const gf_server *server, const gf__request *request)
{
    const int most_ms = server->options.deadline_ms;
    return request->deadline_ms > 0 && request->deadline_ms < most_ms ? request->deadline_ms
                                                                      : most_ms;
}

gf_status gf__predict(gf_server *server, gf__request *request, gf__response *response,
                      gf__served *served, const gf__instance *instances, size_t n_instances,
                      gf__predictions **out, gf_error *err)
{
    gf__predictions *predictions = NULL;
    *out = NULL;
    note_names(request, gf__served_name(served));
    const gf__prediction_request wanted = {.version = served,
                                           .instances = instances,
                                           .n_instances = n_instances,
                                           .deadline_ms = deadline_of(server, request),
                                           .wants_debug = gf__request_flag(request, "debug")};
    gf_status st = gf__pools_predict(server->pools, &wanted, &predictions, err);
    if (st != GF_OK)
        goto done;
    response->queue_ms = predictions->queue_ms;
    response->predict_ms = predictions->total_ms - predictions->queue_ms;
    st = first_failure(predictions, err);
    if (st != GF_OK)
        goto done;
    gf__operations_note_use(server->operations, gf__served_name(served));
    *out = predictions;
    predictions = NULL;
done:
    gf__predictions_free(predictions);
    return st;
}

gf__json *gf__debug_json(const gf__prediction *prediction)
{
    gf__json *debug = gf__json_object();
    gf__json_set_string(debug, "tensor", prediction->tensor_sha256);
    gf__json_set_string(debug, "features", prediction->features_sha256);
    gf__json_set_string(debug, "logits", prediction->logits_sha256);
    gf__json *values = gf__json_array();
    for (size_t k = 0; prediction->logits != NULL && k < prediction->n_scores; k++)
        gf__json_append(values, gf__json_new_number((double)prediction->logits[k]));
    gf__json_set(debug, "logitValues", values);
    return debug;
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_number(const char *text)
{
    return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

gf_status gf__find_served(gf_server *server, const char *project, const char *model,
                          const char *version, const char *label, gf__served **out, gf_error *err)
{
    gf_error own = {0};
    if (project == NULL)
        project = server->options.project;
    gf_status st = gf__catalog_find(server->catalog, project, model, version, label, out, err);
    if (st == GF_ENOTFOUND && version != NULL && is_number(version)) {
        char *name = gf__asprintf("v%s", version);
        if (name == NULL)
            return gf__error_nomem(err, "a version's name", strlen(version));
        const gf_status named = gf__catalog_find(server->catalog, project, model, name, NULL, out,
                                                 &own);
        gf__free(name);
        if (named != GF_ENOTFOUND) /* else it is the number that is not there */
            st = named == GF_OK ? GF_OK : gf_error_set(err, named, "%s", own.message);
    }
    if (st == GF_EPRECONDITION && err != NULL)
        err->code = GF_EUNAVAILABLE;
    return st == GF_EPRECONDITION ? GF_EUNAVAILABLE : st;
}

static void add_model(void *user, const gf__catalog_version *version)
{
    gf__json *names = user;
    const size_t n = gf__json_n_items(names);
    const char *last = n > 0 ? gf__json_string(gf__json_at(names, n - 1), "") : "";
    if (strcmp(last, version->model) != 0) /* versions come model by model */
        gf__json_append(names, gf__json_new_string(version->model));
}

gf_status gf__respond_models(gf_server *server, gf__request *request, gf__response *response,
                             gf_error *err)
{
    gf__json *names = gf__json_array(), *document = gf__json_object();
    gf__catalog_visit(server->catalog, server->options.project, NULL, add_model, names);
    gf__json_set(document, "models", names);
    return gf__respond_json(request, response, document, err);
}

/* ---- writing --------------------------------------------------------------------------------- */

void gf__write_number(gf__buffer *out, double number)
{
    char text[40];
    const int n = snprintf(text, sizeof text, "%.9g", number);
    for (char *at = text; *at != '\0'; at++)
        if (*at == ',') /* where the program has set such a locale */
            *at = '.';
    gf__buffer_append(out, text, (size_t)n);
    if (strpbrk(text, ".en") == NULL)
        gf__buffer_puts(out, ".0");
}

static void write_scores(gf__buffer *out, const float *scores, size_t n)
{
    gf__buffer_puts(out, "[");
    for (size_t k = 0; k < n; k++) {
        if (k > 0)
            gf__buffer_puts(out, ",");
        gf__write_number(out, (double)scores[k]);
    }
    gf__buffer_puts(out, "]");
}

void gf__write_predictions(gf__buffer *out, const gf__predictions *predictions)
{
    gf__buffer_puts(out, "[");
    for (size_t i = 0; i < predictions->n_items; i++) {
        if (i > 0)
            gf__buffer_puts(out, ",");
        write_scores(out, predictions->items[i].scores, predictions->items[i].n_scores);
    }
    gf__buffer_puts(out, "]");
}

void gf__write_debug(gf__buffer *out, const gf__predictions *predictions)
{
    gf__json *list = gf__json_array();
    for (size_t i = 0; i < predictions->n_items; i++)
        gf__json_append(list, gf__debug_json(&predictions->items[i]));
    gf__buffer_puts(out, "\"debug\":");
    gf__json_write(list, false, out);
    gf__json_free(list);
}

void gf__write_string(gf__buffer *out, const char *text)
{
    gf__json *value = gf__json_new_string(text);
    gf__json_write(value, false, out);
    gf__json_free(value);
}

size_t *gf__top_classes(const float *scores, size_t n, size_t k)
{
    size_t *top = gf__malloc((k + 1) * sizeof *top);
    size_t n_top = 0;
    for (size_t i = 0; top != NULL && i < n; i++) {
        size_t at = n_top < k ? n_top++ : k;
        for (; at > 0 && scores[top[at - 1]] < scores[i]; at--)
            top[at] = top[at - 1];
        top[at] = i;
    }
    return top;
}
