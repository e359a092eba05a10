/* server/ml_v1_resources.c: models, versions and operations of Cloud ML Engine v1. The registry speaks
 * the API's own documents, so that a handler is a name, a call of the registry, and the text that
 * comes back; the calls are of four shapes. */
#include <ctype.h>
#include <string.h>

#include "server/ml_v1_priv.h"

/* What a call leaves to be done before it is answered. */
typedef enum follow_up { READS, CHANGES, CREATES } follow_up;

typedef gf_status name_call(gf_registry *registry, const char *name, char **text, gf_error *err);
typedef gf_status body_call(gf_registry *registry, const char *parent, const char *body,
                            char **text, gf_error *err);
typedef gf_status patch_call(gf_registry *registry, const char *name, const char *body,
                             const char *mask, char **text, gf_error *err);
typedef gf_status list_call(gf_registry *registry, const char *parent, const gf_registry_page *page,
                            char **list, gf_error *err);

/* The answer is the registry's text. The catalog follows first, so that requests that begin after
 * the answer meet what it says; operations that wait are told of. */
static gf_status finish(gf_server *server, const gf__request *request, gf__response *response,
                        follow_up follow, const char *name, char *text, gf_error *err)
{
    char *created = follow == CREATES ? gf__subject_of(text) : NULL;
    if (follow != READS) {
        gf__operations_wake(server->operations);
        gf__ml_v1_follow(server, created != NULL ? created : name);
    }
    gf__free(created);
    return gf__respond_text(request, response, text, err);
}

static gf_status call_named(gf_server *server, gf__request *request, gf__response *response,
                            size_t n_parts, name_call *call, follow_up follow, gf_error *err)
{
    char *name = NULL, *text = NULL;
    gf_status st = gf__request_name(request, n_parts, &name, err);
    if (st == GF_OK)
        st = call(server->registry, name, &text, err);
    if (st == GF_OK)
        st = finish(server, request, response, follow, name, text, err);
    gf__free(name);
    return st;
}

static gf_status call_create(gf_server *server, gf__request *request, gf__response *response,
                             size_t n_parts, body_call *call, gf_error *err)
{
    char *parent = NULL, *text = NULL;
    gf_status st = gf__request_name(request, n_parts, &parent, err);
    if (st == GF_OK)
        st = call(server->registry, parent, request->body, &text, err);
    if (st == GF_OK)
        st = finish(server, request, response, CREATES, parent, text, err);
    gf__free(parent);
    return st;
}

static gf_status call_patch(gf_server *server, gf__request *request, gf__response *response,
                            size_t n_parts, patch_call *call, gf_error *err)
{
    const char *mask = gf__query_either(request, "updateMask", "update_mask");
    char *name = NULL, *text = NULL;
    gf_status st = gf__request_name(request, n_parts, &name, err);
    if (st == GF_OK)
        st = call(server->registry, name, request->body, mask, &text, err);
    if (st == GF_OK)
        st = finish(server, request, response, CHANGES, name, text, err);
    gf__free(name);
    return st;
}

static gf_status call_list(gf_server *server, gf__request *request, gf__response *response,
                           size_t n_parts, list_call *call, gf_error *err)
{
    gf_registry_page page;
    char *parent = NULL, *text = NULL;
    gf_status st = gf__request_page(request, &page, err);
    if (st == GF_OK)
        st = gf__request_name(request, n_parts, &parent, err);
    if (st == GF_OK)
        st = call(server->registry, parent, &page, &text, err);
    if (st == GF_OK)
        st = gf__respond_text(request, response, text, err);
    gf__free(parent);
    return st;
}

/* ---- where a version may come from ----------------------------------------------------------- */

/* In any spelling that the registry could take for it. */
static bool is_deployment_uri(const char *key)
{
    static const char wanted[] = "deploymenturi";
    size_t n = 0;
    for (; *key != '\0'; key++)
        if (*key != '_' && tolower((unsigned char)*key) != wanted[n++])
            return false;
    return n == sizeof wanted - 1;
}

/* gs:// is read by the server: what the token may not read, no version of it is made of. */
static gf_status check_origin(const gf__request *request, gf_error *err)
{
    gf__json *body = NULL;
    const gf__json *value = NULL;
    if (request->token_project == NULL)
        return GF_OK;
    gf_status st = gf__request_json(request, &body, err);
    const char *key = gf__json_is_object(body) ? gf__json_next(body, NULL, &value) : NULL;
    for (; st == GF_OK && key != NULL; key = gf__json_next(body, key, &value)) {
        const char *address = gf__json_string(value, "");
        if (!is_deployment_uri(key) || strncmp(address, "gs://", 5) != 0)
            continue;
        const char *slash = strchr(address + 5, '/');
        st = gf__token_may_use(request, slash != NULL ? slash + 1 : "", err);
    }
    gf__json_free(body);
    return st;
}

/* ---- the handlers ---------------------------------------------------------------------------- */

#define HANDLER(name) \
    gf_status name(gf_server *server, gf__request *request, gf__response *response, gf_error *err)

HANDLER(gf__models_create)
{
    return call_create(server, request, response, 1, gf_registry_create_model, err);
}

HANDLER(gf__models_get)
{
    return call_named(server, request, response, 2, gf_registry_get_model, READS, err);
}

HANDLER(gf__models_list)
{
    return call_list(server, request, response, 1, gf_registry_list_models, err);
}

HANDLER(gf__models_patch)
{
    return call_patch(server, request, response, 2, gf_registry_patch_model, err);
}

HANDLER(gf__models_delete)
{
    return call_named(server, request, response, 2, gf_registry_delete_model, CHANGES, err);
}

HANDLER(gf__versions_create)
{
    const gf_status st = check_origin(request, err);
    return st == GF_OK ? call_create(server, request, response, 2, gf_registry_create_version, err)
                       : st;
}

HANDLER(gf__versions_get)
{
    return call_named(server, request, response, 3, gf_registry_get_version, READS, err);
}

HANDLER(gf__versions_list)
{
    return call_list(server, request, response, 2, gf_registry_list_versions, err);
}

HANDLER(gf__versions_patch)
{
    return call_patch(server, request, response, 3, gf_registry_patch_version, err);
}

HANDLER(gf__versions_delete)
{
    return call_named(server, request, response, 3, gf_registry_delete_version, CHANGES, err);
}

HANDLER(gf__versions_set_default)
{
    return call_named(server, request, response, 3, gf_registry_set_default_version, CHANGES, err);
}

HANDLER(gf__operations_list)
{
    return call_list(server, request, response, 1, gf_registry_list_operations, err);
}
