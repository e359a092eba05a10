/* server/graft_v1_classify.c: the shortest way from a picture to an answer: the file itself as the
 * body, or several in a form; back come labels, scores and where the time went. */
#include <string.h>
#include <strings.h>

#include "model/model.h"
#include "server/predict_priv.h"

#define DEFAULT_TOP 5

/* The pictures of a request. Bytes and names lie in its body. */
typedef struct pictures {
    gf__form form;
    gf__instance *instances;
    const char **names; /* each NULL where none was given */
    size_t n;
} pictures;

static bool is_type(const char *type, const char *wanted)
{
    return type != NULL && strncasecmp(type, wanted, strlen(wanted)) == 0;
}

static gf_status add_picture(pictures *all, const char *bytes, size_t n_bytes, const char *name,
                             gf_error *err)
{
    if (n_bytes == 0)
        return gf_error_set(err, GF_EINVAL, "picture %zu is empty: expected the bytes of a file",
                            all->n);
    all->instances[all->n] = (gf__instance){
        .kind = GF__RUN_PICTURE, .bytes = bytes, .n_bytes = n_bytes};
    all->names[all->n++] = name;
    return GF_OK;
}

static gf_status make_room(const gf_server *server, pictures *all, size_t n, gf_error *err)
{
    if (n > server->options.max_instances)
        return gf_error_set(err, GF_ELIMIT, "%zu pictures, at most %zu may come at once", n,
                            server->options.max_instances);
    all->instances = gf__calloc(n + 1, sizeof *all->instances);
    all->names = gf__calloc(n + 1, sizeof *all->names);
    if (all->instances == NULL || all->names == NULL)
        return gf__error_nomem(err, "pictures", n * sizeof *all->instances);
    return GF_OK;
}

static gf_status read_form(const gf_server *server, const gf__request *request, pictures *all,
                           gf_error *err)
{
    gf_status st = gf__request_form(request, &all->form, err);
    if (st == GF_OK)
        st = make_room(server, all, all->form.n_parts, err);
    for (size_t i = 0; i < all->form.n_parts && st == GF_OK; i++) {
        const gf__part_of_form *part = &all->form.parts[i];
        st = add_picture(all, part->bytes, part->n_bytes,
                         part->file_name != NULL ? part->file_name : part->name, err);
    }
    if (st == GF_OK && all->n == 0)
        st = gf_error_set(err, GF_EINVAL, "a form without parts: expected one file a picture");
    return st;
}

/* curl sends application/x-www-form-urlencoded where nothing is said: the bytes decide then. */
static gf_status read_pictures(const gf_server *server, const gf__request *request, pictures *all,
                               gf_error *err)
{
    const char *type = gf__request_header(request, "Content-Type");
    if (is_type(type, "multipart/form-data"))
        return read_form(server, request, all, err);
    if (is_type(type, "application/json"))
        return gf_error_set(err, GF_EINVAL,
                            "a JSON body: this path takes a picture's own bytes or a form; JSON "
                            "goes to :predict");
    const gf_status st = make_room(server, all, 1, err);
    return st == GF_OK ? add_picture(all, request->body, request->body_bytes, NULL, err) : st;
}

static void free_pictures(pictures *all)
{
    gf__form_free(&all->form);
    gf__free(all->instances);
    gf__free(all->names);
}

/* ?top=K, at most the number of classes. */
static gf_status read_top(const gf__request *request, size_t n_classes, size_t *top, gf_error *err)
{
    const char *text = gf__request_query(request, "top");
    size_t value = 0;
    *top = n_classes < DEFAULT_TOP ? n_classes : DEFAULT_TOP;
    if (text == NULL)
        return GF_OK;
    if (strspn(text, "0123456789") == strlen(text) && strlen(text) < 10)
        for (const char *at = text; *at != '\0'; at++)
            value = value * 10 + (size_t)(*at - '0');
    if (value == 0)
        return gf_error_set(err, GF_EINVAL, "top is \"%.40s\", expected a number from 1", text);
    *top = value < n_classes ? value : n_classes;
    return GF_OK;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static gf__json *label_of(const gf_model *model, const gf__prediction *item, size_t k)
{
    gf__json *label = gf__json_object();
    gf__json_set_string(label, "label", gf_model_class_at(model, k));
    gf__json_set_number(label, "score", (double)item->scores[k]);
    return label;
}

static gf__json *answer_of(const gf_model *model, const gf__prediction *item, size_t n_top,
                           const char *name, bool wants_debug)
{
    size_t *top = gf__top_classes(item->scores, item->n_scores, n_top);
    if (top == NULL)
        return NULL;
    gf__json *answer = label_of(model, item, top[0]);
    if (name != NULL)
        gf__json_set_string(answer, "file", name);
    gf__json *list = gf__json_array(), *scores = gf__json_object();
    for (size_t i = 0; i < n_top; i++)
        gf__json_append(list, label_of(model, item, top[i]));
    for (size_t k = 0; k < item->n_scores; k++)
        gf__json_set_number(scores, gf_model_class_at(model, k), (double)item->scores[k]);
    gf__json_set(answer, "top", list);
    gf__json_set(answer, "scores", scores);
    if (wants_debug)
        gf__json_set(answer, "debug", gf__debug_json(item));
    gf__free(top);
    return answer;
}

/* Of decoding, network and head the sums over all pictures: more than total_ms where several were
 * worked on at the same time. */
static gf__json *timings_of(const gf__predictions *predictions)
{
    gf__run_timing sum = {0};
    for (size_t i = 0; i < predictions->n_items; i++) {
        const gf__run_timing *timing = &predictions->items[i].timing;
        sum.wait_ms += timing->wait_ms;
        sum.decode_ms += timing->decode_ms;
        sum.network_ms += timing->network_ms;
        sum.head_ms += timing->head_ms;
    }
    gf__json *timings = gf__json_object();
    gf__json_set_number(timings, "queue_ms", predictions->queue_ms);
    gf__json_set_number(timings, "cold_start_ms", predictions->cold_start_ms);
    gf__json_set_number(timings, "load_ms", predictions->load_ms);
    gf__json_set_number(timings, "wait_ms", sum.wait_ms);
    gf__json_set_number(timings, "decode_ms", sum.decode_ms);
    gf__json_set_number(timings, "network_ms", sum.network_ms);
    gf__json_set_number(timings, "head_ms", sum.head_ms);
    gf__json_set_number(timings, "total_ms", predictions->total_ms);
    return timings;
}

static gf_status respond(const gf__request *request, gf__response *response,
                         const gf__served *served, const pictures *all,
                         const gf__predictions *predictions, size_t n_top, gf_error *err)
{
    const gf_model *model = gf__served_model(served);
    gf__json *document = gf__json_object(), *list = gf__json_array();
    for (size_t i = 0; i < predictions->n_items; i++)
        gf__json_append(list, answer_of(model, &predictions->items[i], n_top, all->names[i],
                                        gf__request_flag(request, "debug")));
    gf__json_set_string(document, "model", request->model);
    gf__json_set_string(document, "version", request->version);
    gf__json_set(document, "predictions", list);
    gf__json_set(document, "timings", timings_of(predictions));
    return gf__respond_json(request, response, document, err);
}

static gf_status classify(gf_server *server, gf__request *request, gf__response *response,
                          const char *project, const char *model, const char *version,
                          gf_error *err)
{
    gf__served *served = NULL;
    gf__predictions *predictions = NULL;
    pictures all = {0};
    size_t n_top = 0;
    gf_status st = gf__find_served(server, project, model, version, NULL, &served, err);
    if (st == GF_OK)
        st = read_top(request, gf_model_n_classes(gf__served_model(served)), &n_top, err);
    if (st == GF_OK && !gf__model_takes_pictures(gf__served_model(served)))
        st = gf_error_set(err, GF_EUNSUPPORTED,
                          "model %.100s takes numbers, not pictures: ask :predict", model);
    if (st == GF_OK)
        st = read_pictures(server, request, &all, err);
    if (st == GF_OK)
        st = gf__predict(server, request, response, served, all.instances, all.n, &predictions,
                         err);
    if (st == GF_OK)
        st = respond(request, response, served, &all, predictions, n_top, err);
    gf__predictions_free(predictions);
    gf__served_unref(served);
    free_pictures(&all);
    return st;
}

static gf_status handle_classify(gf_server *server, gf__request *request, gf__response *response,
                                 gf_error *err)
{
    return classify(server, request, response, NULL, request->params[0], request->params[1], err);
}

static gf_status handle_project_classify(gf_server *server, gf__request *request,
                                         gf__response *response, gf_error *err)
{
    return classify(server, request, response, request->params[0], request->params[1],
                    request->params[2], err);
}

#define GRAFT      GF__FAMILY_GRAFT, GF__ROLE_PREDICT
#define MODEL      "/graft/v1/models/{model}"
#define IN_PROJECT "/graft/v1/projects/{project}/models/{model}"
const gf__route gf__routes_graft_v1_classify[] = {
    {"POST", MODEL ":classify", GRAFT, handle_classify, -1, false},
    {"POST", MODEL "/versions/{version}:classify", GRAFT, handle_classify, -1, false},
    {"POST", IN_PROJECT ":classify", GRAFT, handle_project_classify, 0, false},
    {"POST", IN_PROJECT "/versions/{version}:classify", GRAFT, handle_project_classify, 0, false},
    GF__ROUTES_END,
};
