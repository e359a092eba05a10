/* cli/serve_container.c: what containers' platforms say to graft serve by their environment: where to
 * listen, and which model to serve. */
#include <stdlib.h>
#include <string.h>

#include "cli/remote.h"
#include "cli/serve_container.h"
#include "registry/registry.h"

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static gf_status read_port(const char *name, const char *text, int *port, gf_error *err)
{
    char *end = NULL;
    const long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < 0 || number > 65535)
        return gf_error_set(err, GF_EINVAL, "$%s is %s: expected a port from 0 to 65535", name,
                            text);
    *port = (int)number;
    return GF_OK;
}

/* Vertex AI says AIP_HTTP_PORT, Knative PORT; both want all addresses, and both keep strangers out by
 * themselves. PORT alone may be anything's: it opens nothing. */
gf_status gf__serve_apply_container(const gf__serve_wishes *wishes, gf_server_options *o,
                                    gf_error *err)
{
    const char *vertex = environment("AIP_HTTP_PORT"), *port = environment("PORT");
    gf_status st = GF_OK;
    if (!wishes->has_port && vertex != NULL)
        st = read_port("AIP_HTTP_PORT", vertex, &o->port, err);
    else if (!wishes->has_port && port != NULL)
        st = read_port("PORT", port, &o->port, err);
    if (!wishes->has_address && (vertex != NULL || port != NULL))
        o->address = "0.0.0.0";
    if (vertex != NULL || (port != NULL && environment("K_REVISION") != NULL))
        o->is_open = !wishes->needs_tokens;
    o->health_route = environment("AIP_HEALTH_ROUTE");
    o->predict_route = environment("AIP_PREDICT_ROUTE");
    if (environment("AIP_STORAGE_URI") != NULL) {
        o->vertex_model = environment("AIP_MODEL_NAME");
        if (o->vertex_model == NULL)
            o->vertex_model = "model";
    }
    return st;
}

/* ---- the model of AIP_STORAGE_URI ------------------------------------------------------------ */

/* What is known of the versions there are. */
typedef struct version_search {
    const char *uri;
    char *name; /* of one that was made of uri and did not fail */
    size_t n_versions;
} version_search;

static void look_at_page(const gf__json *versions, version_search *search)
{
    search->n_versions += gf__json_n_items(versions);
    for (size_t i = 0; i < gf__json_n_items(versions); i++) {
        const gf__json *version = gf__json_at(versions, i);
        const char *state = gf__json_string(gf__json_find(version, "state"), "");
        const char *origin = gf__json_string(gf__json_find(version, "deploymentUri"), "");
        if (strcmp(origin, search->uri) == 0 && strcmp(state, "FAILED") != 0)
            snprintf(search->name, GF__SERVE_NAME_SIZE, "%s", gf__short_name(version, "name"));
    }
}

/* The version of the model that was made of uri and did not fail; "" where there is none.
 * n_versions: of all. */
static gf_status find_version_of(gf_registry *registry, const char *model, const char *uri,
                                 char name[GF__SERVE_NAME_SIZE], size_t *n_versions, gf_error *err)
{
    version_search search = {.uri = uri, .name = name};
    char *token = NULL;
    gf_status st = GF_OK;
    name[0] = '\0';
    do {
        char *text = NULL;
        gf__json *list = NULL;
        const gf_registry_page page = {.size = 100, .token = token};
        st = gf_registry_list_versions(registry, model, &page, &text, err);
        gf__free(token);
        token = NULL;
        if (st == GF_OK)
            st = gf__json_parse(text, strlen(text), &list, err);
        if (st == GF_OK) {
            look_at_page(gf__json_find(list, "versions"), &search);
            const char *next = gf__json_string(gf__json_find(list, "nextPageToken"), "");
            token = next[0] != '\0' ? gf__strdup(next) : NULL;
        }
        gf__json_free(list);
        gf_registry_free_text(text);
    } while (token != NULL);
    *n_versions = search.n_versions;
    return st;
}

/* The two bodies as the API has them; what is there already is fine. */
static gf_status create_model(gf_registry *registry, const char *parent, const char *name,
                              gf_error *err)
{
    char *body = gf__asprintf("{\"name\":\"%s\"}", name), *text = NULL;
    gf_error problem = {0};
    const gf_status st = body == NULL
                             ? gf__error_nomem(&problem, "a model", strlen(name))
                             : gf_registry_create_model(registry, parent, body, &text, &problem);
    gf_registry_free_text(text);
    gf__free(body);
    return st == GF_OK || st == GF_EEXISTS ? GF_OK : gf_error_set(err, st, "%s", problem.message);
}

static gf_status create_version(gf_registry *registry, const char *model, const char *name,
                                const char *uri, gf_error *err)
{
    gf__json *version = gf__json_object();
    gf__buffer body = {0};
    char *operation = NULL;
    gf__json_set_string(version, "name", name);
    gf__json_set_string(version, "deploymentUri", uri);
    gf__json_write(version, false, &body);
    gf_status st = gf__buffer_status(&body, err);
    if (st == GF_OK)
        st = gf_registry_create_version(registry, model, body.data, &operation, err);
    gf_registry_free_text(operation);
    gf__buffer_free(&body);
    gf__json_free(version);
    return st;
}

/* The first number from n_versions + 1 on that is free: after deletions there are higher ones. */
static gf_status add_version(gf_registry *registry, const char *model, size_t n_versions,
                             const char *uri, char name[GF__SERVE_NAME_SIZE], gf_error *err)
{
    gf_error own = {0};
    gf_status st = GF_EEXISTS;
    for (size_t number = n_versions + 1; st == GF_EEXISTS && number < SIZE_MAX; number++) {
        snprintf(name, GF__SERVE_NAME_SIZE, "v%zu", number);
        st = create_version(registry, model, name, uri, &own);
    }
    return st == GF_OK ? GF_OK : gf_error_set(err, st, "%s", own.message);
}

gf_status gf__serve_register_storage(const gf_server_options *o, char version[GF__SERVE_NAME_SIZE],
                                     gf_error *err)
{
    const char *uri = environment("AIP_STORAGE_URI");
    gf_registry_options options = gf_registry_options_default();
    gf_registry *registry = NULL;
    size_t n_versions = 0;
    if (uri == NULL)
        return GF_OK;
    options.home = o->home;
    options.takes_local_paths = true;
    char *parent = gf__asprintf("projects/%s", o->project);
    char *model = gf__asprintf("projects/%s/models/%s", o->project, o->vertex_model);
    gf_status st = parent != NULL && model != NULL ? gf_registry_open(&options, &registry, err)
                                                   : gf__error_nomem(err, "a name", 0);
    if (st == GF_OK)
        st = create_model(registry, parent, o->vertex_model, err);
    if (st == GF_OK)
        st = find_version_of(registry, model, uri, version, &n_versions, err);
    if (st == GF_OK && version[0] == '\0')
        st = add_version(registry, model, n_versions, uri, version, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", "AIP_STORAGE_URI");
    gf_registry_close(registry);
    gf__free(parent);
    gf__free(model);
    return st;
}
