/* server/ml_v1_models.c: projects.models of Cloud ML Engine v1. */
#include "server/ml_v1_priv.h"

gf_status gf__models_create(gf_server *server, gf__request *request, gf__response *response,
                            gf_error *err)
{
    char *parent = NULL, *text = NULL, *created = NULL;
    gf_status st = gf__request_name(request, 1, &parent, err);
    if (st == GF_OK)
        st = gf_registry_create_model(server->registry, parent, request->body, &text, err);
    if (st == GF_OK)
        created = gf__subject_of(text);
    st = gf__respond_registry(server, request, response, st, text, created, err);
    gf__free(created);
    gf__free(parent);
    return st;
}

gf_status gf__models_get(gf_server *server, gf__request *request, gf__response *response,
                         gf_error *err)
{
    char *name = NULL, *text = NULL;
    gf_status st = gf__request_name(request, 2, &name, err);
    if (st == GF_OK)
        st = gf_registry_get_model(server->registry, name, &text, err);
    st = gf__respond_registry(server, request, response, st, text, NULL, err);
    gf__free(name);
    return st;
}

gf_status gf__models_list(gf_server *server, gf__request *request, gf__response *response,
                          gf_error *err)
{
    gf_registry_page page;
    char *parent = NULL, *text = NULL;
    gf_status st = gf__request_page(request, &page, err);
    if (st == GF_OK)
        st = gf__request_name(request, 1, &parent, err);
    if (st == GF_OK)
        st = gf_registry_list_models(server->registry, parent, &page, &text, err);
    st = gf__respond_registry(server, request, response, st, text, NULL, err);
    gf__free(parent);
    return st;
}

gf_status gf__models_patch(gf_server *server, gf__request *request, gf__response *response,
                           gf_error *err)
{
    const char *mask = gf__query_either(request, "updateMask", "update_mask");
    char *name = NULL, *text = NULL;
    gf_status st = gf__request_name(request, 2, &name, err);
    if (st == GF_OK)
        st = gf_registry_patch_model(server->registry, name, request->body, mask, &text, err);
    st = gf__respond_registry(server, request, response, st, text, name, err);
    gf__free(name);
    return st;
}

gf_status gf__models_delete(gf_server *server, gf__request *request, gf__response *response,
                            gf_error *err)
{
    char *name = NULL, *text = NULL;
    gf_status st = gf__request_name(request, 2, &name, err);
    if (st == GF_OK)
        st = gf_registry_delete_model(server->registry, name, &text, err);
    st = gf__respond_registry(server, request, response, st, text, name, err);
    gf__free(name);
    return st;
}
