/* server/openapi.c: the description of every family's paths that tools read, as it lies in assets/. */
#include "server/assets_priv.h"
#include "server/server_priv.h"

static gf_status handle_openapi(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err)
{
    gf__buffer_append(&response->body, gf__openapi_document, gf__openapi_document_size);
    return gf__buffer_status(&response->body, err);
}

const gf__route gf__routes_openapi[] = {
    {"GET", "/openapi.json", GF__FAMILY_PLAIN, GF__ROLE_NONE, handle_openapi, -1, false},
    GF__ROUTES_END,
};
