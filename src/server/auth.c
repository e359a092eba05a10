/* server/auth.c: who asks, and whether they may. Tokens are the registry's: it keeps hashes and
 * compares in constant time; what a role includes is decided here. */
#include <string.h>
#include <strings.h>

#include "server/server_priv.h"

/* The secret that came with the request; NULL: none. */
static const char *sent_secret(const gf__request *request)
{
    const char *header = gf__request_header(request, "Authorization");
    if (header != NULL && strncasecmp(header, "Bearer ", 7) == 0) {
        header += 7;
        return header + strspn(header, " ");
    }
    const char *key = gf__request_query(request, "key");
    return key != NULL ? key : gf__request_query(request, "access_token");
}

/* A role that is not known allows nothing. */
static gf__role role_of(const char *text)
{
    if (strcmp(text, "admin") == 0)
        return GF__ROLE_ADMIN;
    if (strcmp(text, "deploy") == 0)
        return GF__ROLE_DEPLOY;
    return strcmp(text, "predict") == 0 ? GF__ROLE_PREDICT : GF__ROLE_NONE;
}

static const char *role_name(gf__role role)
{
    switch (role) {
    case GF__ROLE_ADMIN:
        return "admin";
    case GF__ROLE_DEPLOY:
        return "deploy";
    case GF__ROLE_PREDICT:
        return "predict";
    case GF__ROLE_NONE:
        return "none";
    }
    return "none";
}

static gf_status check_role(const gf__route *route, const char *role, gf_error *err)
{
    if (role_of(role) <= route->role)
        return GF_OK;
    return gf_error_set(err, GF_EDENIED, "a token with role %s is needed; this one has %s",
                        role_name(route->role), role);
}

gf_status gf__token_may_use(const gf__request *request, const char *object, gf_error *err)
{
    const char *project = request->token_project;
    const size_t n_chars = project != NULL ? strlen(project) : 0;
    if (project == NULL || (strncmp(object, project, n_chars) == 0 && object[n_chars] == '/'))
        return GF_OK;
    return gf_error_set(err, GF_EDENIED,
                        "this token is for the project %.128s: of each bucket it may use "
                        "gs://BUCKET/%.128s/... and nothing else",
                        project, project);
}

static gf_status check_project(const gf_server *server, const gf__route *route,
                               gf__request *request, const char *project, gf_error *err)
{
    if (project[0] == '\0')
        return GF_OK;
    request->token_project = gf__strdup(project);
    if (request->token_project == NULL)
        return gf__error_nomem(err, "a name", strlen(project));
    if (route->project_param == GF__PROJECT_OF_ALL)
        return gf_error_set(err, GF_EDENIED, "this token is for the project %s alone", project);
    if (route->project_param == GF__PROJECT_OF_NONE)
        return GF_OK;
    if (route->project_param == GF__PROJECT_OF_OBJECT)
        return gf__token_may_use(request, request->params[1], err);
    const char *asked = route->project_param >= 0 ? request->params[route->project_param]
                                                  : server->options.project;
    if (strcmp(asked, project) == 0)
        return GF_OK;
    return gf_error_set(err, GF_EDENIED, "this token is for the project %s, not for %s", project,
                        asked);
}

gf_status gf__authorize(gf_server *server, const gf__route *route, gf__request *request,
                        gf_error *err)
{
    const char *secret = sent_secret(request);
    if (route->role == GF__ROLE_NONE)
        return GF_OK;
    /* Where nobody needs a token, what clients of Google's send out of habit is no reason to turn
     * them away; one of ours still means what it says. */
    if (!server->needs_tokens && (secret == NULL || strncmp(secret, "graft_", 6) != 0))
        return GF_OK;
    if (secret == NULL || secret[0] == '\0')
        return gf_error_set(err, GF_EAUTH,
                            "a token is needed: Authorization: Bearer TOKEN, or ?key=TOKEN "
                            "(`graft token create` makes one)");
    char *text = NULL;
    gf__json *token = NULL;
    gf_status st = gf_registry_check_token(server->registry, secret, &text, err);
    if (st == GF_OK)
        st = gf__json_parse(text, strlen(text), &token, err);
    if (st == GF_OK)
        st = check_role(route, gf__json_string(gf__json_find(token, "role"), ""), err);
    if (st == GF_OK)
        st = check_project(server, route, request,
                           gf__json_string(gf__json_find(token, "project"), ""), err);
    gf__json_free(token);
    gf_registry_free_text(text);
    return st;
}
