/* server/ml_v1_versions.c: projects.models.versions of Cloud ML Engine v1. Creating and deleting
 * leave an operation that the operations thread is woken for. */
#include "server/ml_v1_priv.h"

gf_status gf__versions_create(gf_server *server, gf__request *request, gf__response *response,
                              gf_error *err)
{
    char *model = NULL, *text = NULL, *created = NULL;
    gf_status st = gf__request_name(request, 2, &model, err);
    if (st == GF_OK)
        st = gf_registry_create_version(server->registry, model, request->body, &text, err);
    if (st == GF_OK) {
        gf__operations_wake(server->operations);
        created = gf__subject_of(text);
    }
    st = gf__respond_registry(server, request, response, st, text,
                              created != NULL ? created : model, err);
    gf__free(created);
    gf__free(model);
    return st;
}

gf_status gf__versions_get(gf_server *server, gf__request *request, gf__response *response,
                           gf_error *err)
{
    char *name = NULL, *text = NULL;
    gf_status st = gf__request_name(request, 3, &name, err);
    if (st == GF_OK)
        st = gf_registry_get_version(server->registry, name, &text, err);
    st = gf__respond_registry(server, request, response, st, text, NULL, err);
    gf__free(name);
    return st;
}

gf_status gf__versions_list(gf_server *server, gf__request *request, gf__response *response,
                            gf_error *err)
{
    gf_registry_page page;
    char *model = NULL, *text = NULL;
    gf_status st = gf__request_page(request, &page, err);
    if (st == GF_OK)
        st = gf__request_name(request, 2, &model, err);
    if (st == GF_OK)
        st = gf_registry_list_versions(server->registry, model, &page, &text, err);
    st = gf__respond_registry(server, request, response, st, text, NULL, err);
    gf__free(model);
    return st;
}

gf_status gf__versions_patch(gf_server *server, gf__request *request, gf__response *response,
                             gf_error *err)
{
    const char *mask = gf__query_either(request, "updateMask", "update_mask");
    char *name = NULL, *text = NULL;
    gf_status st = gf__request_name(request, 3, &name, err);
    if (st == GF_OK)
        st = gf_registry_patch_version(server->registry, name, request->body, mask, &text, err);
    st = gf__respond_registry(server, request, response, st, text, name, err);
    gf__free(name);
    return st;
}

gf_status gf__versions_delete(gf_server *server, gf__request *request, gf__response *response,
                              gf_error *err)
{
    char *name = NULL, *text = NULL;
    gf_status st = gf__request_name(request, 3, &name, err);
    if (st == GF_OK)
        st = gf_registry_delete_version(server->registry, name, &text, err);
    if (st == GF_OK)
        gf__operations_wake(server->operations);
    st = gf__respond_registry(server, request, response, st, text, name, err);
    gf__free(name);
    return st;
}

/* Requests that begin after the answer reach the new default: the catalog is switched before. */
gf_status gf__versions_set_default(gf_server *server, gf__request *request, gf__response *response,
                                   gf_error *err)
{
    char *name = NULL, *text = NULL;
    gf_status st = gf__request_name(request, 3, &name, err);
    if (st == GF_OK)
        st = gf_registry_set_default_version(server->registry, name, &text, err);
    st = gf__respond_registry(server, request, response, st, text, name, err);
    gf__free(name);
    return st;
}
