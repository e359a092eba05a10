/* server/ml_v1.c: Cloud ML Engine v1 without predictions: its routes, what they share, operations,
 * locations and the project's config. Models and versions are ml_v1_resources.c's, jobs
 * ml_v1_jobs.c's. */
#include "server/ml_v1_priv.h"

#include <string.h>

/* All of this machine is one place. */
#define LOCATION "local"

static gf_status keep_text(char **at, const char *text, gf_error *err)
{
    gf__free(*at);
    *at = gf__strdup(text);
    return *at != NULL ? GF_OK : gf__error_nomem(err, "a name", 0);
}

gf_status gf__request_name(gf__request *request, size_t n_parts, char **out, gf_error *err)
{
    char *const *params = request->params;
    gf_status st = GF_OK;
    *out = NULL;
    if (n_parts > 1)
        st = keep_text(&request->model, params[1], err);
    if (st == GF_OK && n_parts > 2)
        st = keep_text(&request->version, params[2], err);
    if (st != GF_OK)
        return st;
    *out = n_parts == 1 ? gf__asprintf("projects/%s", params[0])
                        : gf__name_of(params[0], params[1], n_parts > 2 ? params[2] : NULL);
    return *out != NULL ? GF_OK : gf__error_nomem(err, "a name", 0);
}

void gf__ml_v1_follow(gf_server *server, const char *changed)
{
    gf_error err;
    /* The change is made and will be there after a restart: not to be answered with an error. */
    if (gf__catalog_refresh(server->catalog, changed, &err) != GF_OK)
        gf__observe_log(&server->options.observer, GF_LOG_WARNING,
                        "%s: the catalog was not brought up to date: %s", changed, err.message);
}

char *gf__subject_of(const char *document)
{
    gf__json *parsed = NULL;
    char *name = NULL;
    if (gf__json_parse(document, strlen(document), &parsed, NULL) != GF_OK)
        return NULL;
    const gf__json *metadata = gf__json_find(parsed, "metadata");
    const gf__json *subject = metadata != NULL ? gf__json_find(metadata, "version") : parsed;
    const char *text = gf__json_string(gf__json_find(subject, "name"), NULL);
    if (text != NULL)
        name = gf__strdup(text);
    gf__json_free(parsed);
    return name;
}

/* ---- operations ------------------------------------------------------------------------------ */

/* They have no place: under a location they are the project's. */
static gf_status check_location(const char *name, gf_error *err)
{
    if (strcmp(name, LOCATION) == 0)
        return GF_OK;
    return gf_error_set(err, GF_ENOTFOUND,
                        "location not found: %.100s; this server has one: " LOCATION, name);
}

static gf_status name_operation(const gf__request *request, const char *id, char **name,
                                gf_error *err)
{
    *name = gf__asprintf("projects/%s/operations/%s", request->params[0], id);
    return *name != NULL ? GF_OK : gf__error_nomem(err, "a name", 0);
}

static gf_status get_operation(gf_server *server, gf__request *request, gf__response *response,
                               const char *id, gf_error *err)
{
    char *name = NULL, *text = NULL;
    gf_status st = name_operation(request, id, &name, err);
    if (st == GF_OK)
        st = gf_registry_get_operation(server->registry, name, &text, err);
    if (st == GF_OK)
        st = gf__respond_text(request, response, text, err);
    gf__free(name);
    return st;
}

/* A waiting one is done at once, and its version FAILED, or READY again. */
static void follow_operation(gf_server *server, const char *name)
{
    char *text = NULL;
    if (gf_registry_get_operation(server->registry, name, &text, NULL) != GF_OK)
        return;
    char *version = gf__subject_of(text);
    if (version != NULL)
        gf__ml_v1_follow(server, version);
    gf__free(version);
    gf_registry_free_text(text);
}

static gf_status cancel_operation(gf_server *server, gf__request *request, gf__response *response,
                                  const char *id, gf_error *err)
{
    char *name = NULL;
    gf_status st = name_operation(request, id, &name, err);
    if (st == GF_OK)
        st = gf_registry_cancel_operation(server->registry, name, err);
    if (st == GF_OK) {
        follow_operation(server, name);
        st = gf__respond_json(request, response, gf__json_object(), err);
    }
    gf__free(name);
    return st;
}

static gf_status operations_get(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err)
{
    return get_operation(server, request, response, request->params[1], err);
}

static gf_status operations_cancel(gf_server *server, gf__request *request, gf__response *response,
                                   gf_error *err)
{
    return cancel_operation(server, request, response, request->params[1], err);
}

static gf_status location_operations_list(gf_server *server, gf__request *request,
                                          gf__response *response, gf_error *err)
{
    const gf_status st = check_location(request->params[1], err);
    return st == GF_OK ? gf__operations_list(server, request, response, err) : st;
}

static gf_status location_operations_get(gf_server *server, gf__request *request,
                                         gf__response *response, gf_error *err)
{
    const gf_status st = check_location(request->params[1], err);
    return st == GF_OK ? get_operation(server, request, response, request->params[2], err) : st;
}

static gf_status location_operations_cancel(gf_server *server, gf__request *request,
                                            gf__response *response, gf_error *err)
{
    const gf_status st = check_location(request->params[1], err);
    return st == GF_OK ? cancel_operation(server, request, response, request->params[2], err) : st;
}

/* ---- locations, config ----------------------------------------------------------------------- */

static void add_capability(gf__json *capabilities, const char *type)
{
    gf__json *capability = gf__json_object();
    gf__json_set_string(capability, "type", type);
    gf__json_append(capabilities, capability);
}

/* All on the CPU; no accelerators are used, so none are listed. */
static gf__json *location_document(const gf_server *server, const char *project)
{
    gf__json *location = gf__json_object();
    gf__json *capabilities = gf__json_array();
    char *name = gf__asprintf("projects/%s/locations/" LOCATION, project);
    gf__json_set(location, "name", name != NULL ? gf__json_new_string(name) : NULL);
    gf__free(name);
    add_capability(capabilities, "ONLINE_PREDICTION");
    if (server->jobs != NULL) {
        add_capability(capabilities, "TRAINING");
        add_capability(capabilities, "BATCH_PREDICTION");
    }
    gf__json_set(location, "capabilities", capabilities);
    return location;
}

static gf_status locations_get(gf_server *server, gf__request *request, gf__response *response,
                               gf_error *err)
{
    const gf_status st = check_location(request->params[1], err);
    if (st != GF_OK)
        return st;
    return gf__respond_json(request, response, location_document(server, request->params[0]), err);
}

static gf_status locations_list(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err)
{
    gf_registry_page page;
    gf_status st = gf__request_page(request, &page, err);
    if (st == GF_OK && page.token != NULL && page.token[0] != '\0')
        st = gf_error_set(err, GF_EINVAL, "pageToken: this list has one page only");
    if (st != GF_OK)
        return st;
    gf__json *list = gf__json_object(), *locations = gf__json_array();
    gf__json_append(locations, location_document(server, request->params[0]));
    gf__json_set(list, "locations", locations);
    return gf__respond_json(request, response, list, err);
}

/* There is no service account: workers reach nothing but what they are handed. */
static gf_status get_config(gf_server *server, gf__request *request, gf__response *response,
                            gf_error *err)
{
    gf__json *document = gf__json_object();
    gf__json_set(document, "config", gf__json_object());
    return gf__respond_json(request, response, document, err);
}

/* ---- what this server does not do ------------------------------------------------------------ */

static gf_status refuse_iam(gf_server *server, gf__request *request, gf__response *response,
                            gf_error *err)
{
    return gf__unimplemented(request,
                             "there are no IAM policies here; access is given by tokens: graft "
                             "token create --role admin|deploy|predict --project P",
                             err);
}

static gf_status refuse_explain(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err)
{
    return gf__unimplemented(
        request, "feature attributions are not computed here; :predict answers the scores", err);
}

static gf_status refuse_studies(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err)
{
    return gf__unimplemented(request,
                             "there are no studies here; a training job with \"hyperparameters\" "
                             "searches for the best",
                             err);
}

/* ---- routes ---------------------------------------------------------------------------------- */

#define MODEL     GF__ML_V1 "/models/{model}"
#define VERSION   MODEL "/versions/{version}"
#define OPERATION GF__ML_V1 "/operations/{operation}"
#define PLACE     GF__ML_V1 "/locations/{location}"
#define JOBS      GF__ML_V1 "/jobs"
#define JOB       JOBS "/{job}"
#define STUDIES   PLACE "/studies"

#define ROUTE(method, pattern, role, handle)                       \
    {                                                              \
        method, pattern, GF__FAMILY_GOOGLE, role, handle, 0, false \
    }
#define DEPLOY(method, pattern, handle) ROUTE(method, pattern, GF__ROLE_DEPLOY, handle)

const gf__route gf__routes_ml_v1[] = {
    DEPLOY("POST", GF__ML_V1 "/models", gf__models_create),
    DEPLOY("GET", GF__ML_V1 "/models", gf__models_list),
    DEPLOY("GET", MODEL, gf__models_get),
    DEPLOY("PATCH", MODEL, gf__models_patch),
    DEPLOY("DELETE", MODEL, gf__models_delete),
    DEPLOY("POST", MODEL "/versions", gf__versions_create),
    DEPLOY("GET", MODEL "/versions", gf__versions_list),
    DEPLOY("GET", VERSION, gf__versions_get),
    DEPLOY("PATCH", VERSION, gf__versions_patch),
    DEPLOY("DELETE", VERSION, gf__versions_delete),
    DEPLOY("POST", VERSION ":setDefault", gf__versions_set_default),
    DEPLOY("GET", GF__ML_V1 "/operations", gf__operations_list),
    DEPLOY("GET", OPERATION, operations_get),
    DEPLOY("POST", OPERATION ":cancel", operations_cancel),
    DEPLOY("GET", PLACE "/operations", location_operations_list),
    DEPLOY("GET", PLACE "/operations/{operation}", location_operations_get),
    DEPLOY("POST", PLACE "/operations/{operation}:cancel", location_operations_cancel),
    ROUTE("GET", GF__ML_V1 "/locations", GF__ROLE_PREDICT, locations_list),
    ROUTE("GET", PLACE, GF__ROLE_PREDICT, locations_get),
    ROUTE("GET", GF__ML_V1 ":getConfig", GF__ROLE_PREDICT, get_config),
    ROUTE("POST", GF__ML_V1 ":explain", GF__ROLE_PREDICT, refuse_explain),
    DEPLOY("GET", MODEL ":getIamPolicy", refuse_iam),
    DEPLOY("POST", MODEL ":setIamPolicy", refuse_iam),
    DEPLOY("POST", MODEL ":testIamPermissions", refuse_iam),
    ROUTE("POST", MODEL ":explain", GF__ROLE_PREDICT, refuse_explain),
    ROUTE("POST", VERSION ":explain", GF__ROLE_PREDICT, refuse_explain),
    DEPLOY("POST", JOBS, gf__jobs_create),
    DEPLOY("GET", JOBS, gf__jobs_list),
    DEPLOY("GET", JOB, gf__jobs_get),
    DEPLOY("PATCH", JOB, gf__jobs_patch),
    DEPLOY("POST", JOB ":cancel", gf__jobs_cancel),
    DEPLOY("GET", JOB ":streamLogs", gf__jobs_stream_logs),
    DEPLOY("GET", JOB ":getIamPolicy", refuse_iam),
    DEPLOY("POST", JOB ":setIamPolicy", refuse_iam),
    DEPLOY("POST", JOB ":testIamPermissions", refuse_iam),
    DEPLOY("GET", STUDIES, refuse_studies),
    DEPLOY("POST", STUDIES, refuse_studies),
    DEPLOY("GET", STUDIES "/{rest*}", refuse_studies),
    DEPLOY("POST", STUDIES "/{rest*}", refuse_studies),
    DEPLOY("DELETE", STUDIES "/{rest*}", refuse_studies),
    GF__ROUTES_END,
};
