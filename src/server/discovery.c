/* server/discovery.c: the description of Cloud ML Engine v1 that Google's client libraries build
 * themselves from: Google's own document, with this server's address in it. */
#include <ctype.h>
#include <string.h>

#include "server/assets_priv.h"
#include "server/server_priv.h"

#define REST_PATH "discovery/v1/apis/ml/v1/rest"

/* What a Host header may consist of: it goes into addresses that clients will call. */
static bool is_host(const char *host)
{
    const char *at = host;
    while (isalnum((unsigned char)*at) || (*at != '\0' && strchr("-._~:[]%", *at) != NULL))
        at++;
    return at > host && *at == '\0' && at - host < 300;
}

/* "http://HOST:PORT/": the server as whoever asks has reached it. New. */
static char *root_of(const gf_server *server, const gf__request *request)
{
    const char *host = gf__request_header(request, "Host");
    if (host == NULL || !is_host(host))
        return gf__asprintf("%s/", server->url);
    return gf__asprintf("%s://%s/", server->options.tls_cert != NULL ? "https" : "http", host);
}

static gf_status read_document(gf__json **out, gf_error *err)
{
    return gf__json_parse(gf__ml_v1_document, gf__ml_v1_document_size, out, err);
}

/* {"oauth2": {"scopes": {}}}: where a document names scopes, Google's clients want an account of Google's
 * before they ask anything. Here a token is sent where the user gives one, and none is needed on
 * loopback. */
static gf__json *no_scopes(void)
{
    gf__json *auth = gf__json_object(), *oauth2 = gf__json_object();
    gf__json_set(oauth2, "scopes", gf__json_object());
    gf__json_set(auth, "oauth2", oauth2);
    return auth;
}

static gf_status respond_document(gf_server *server, gf__request *request, gf__response *response,
                                  gf_error *err)
{
    gf__json *document = NULL;
    char *root = root_of(server, request);
    gf_status st = root != NULL ? read_document(&document, err)
                                : gf__error_nomem(err, "an address", 0);
    if (st == GF_OK) {
        gf__json_set_string(document, "rootUrl", root);
        gf__json_set_string(document, "baseUrl", root);
        gf__json_set_string(document, "mtlsRootUrl", root);
        gf__json_set_string(document, "servicePath", "");
        gf__json_set(document, "auth", no_scopes());
        st = gf__respond_json(request, response, document, err);
    }
    gf__free(root);
    return st;
}

/* /$discovery/rest?version=v1: at ml.googleapis.com the host says which API is meant. */
static gf_status service_rest(gf_server *server, gf__request *request, gf__response *response,
                              gf_error *err)
{
    const char *version = gf__request_query(request, "version");
    if (version != NULL && strcmp(version, "v1") != 0)
        return gf_error_set(err, GF_ENOTFOUND, "version %.40s: expected v1", version);
    return respond_document(server, request, response, err);
}

static gf_status list_apis(gf_server *server, gf__request *request, gf__response *response,
                           gf_error *err)
{
    static const char *const kept[] = {"id",    "name",        "version",
                                       "title", "description", "documentationLink"};
    gf__json *document = NULL;
    char *root = root_of(server, request);
    char *rest = root != NULL ? gf__asprintf("%s" REST_PATH, root) : NULL;
    gf_status st = rest != NULL ? read_document(&document, err)
                                : gf__error_nomem(err, "an address", 0);
    if (st == GF_OK) {
        gf__json *list = gf__json_object(), *items = gf__json_array(), *item = gf__json_object();
        gf__json_set_string(item, "kind", "discovery#directoryItem");
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
            gf__json_set_string(item, kept[i],
                                gf__json_string(gf__json_find(document, kept[i]), ""));
        gf__json_set_string(item, "discoveryRestUrl", rest);
        gf__json_set_bool(item, "preferred", true);
        gf__json_append(items, item);
        gf__json_set_string(list, "kind", "discovery#directoryList");
        gf__json_set_string(list, "discoveryVersion", "v1");
        gf__json_set(list, "items", items);
        st = gf__respond_json(request, response, list, err);
    }
    gf__json_free(document);
    gf__free(rest);
    gf__free(root);
    return st;
}

const gf__route gf__routes_discovery[] = {
    {"GET", "/$discovery/rest", GF__FAMILY_GOOGLE, GF__ROLE_NONE, service_rest, -1, false},
    {"GET", "/" REST_PATH, GF__FAMILY_GOOGLE, GF__ROLE_NONE, respond_document, -1, false},
    {"GET", "/discovery/v1/apis", GF__FAMILY_GOOGLE, GF__ROLE_NONE, list_apis, -1, false},
    GF__ROUTES_END,
};
