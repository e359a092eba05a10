/* server/graft_v1.c: what the other families lack: pools, jobs, tokens, projects, buckets. */
#include <string.h>

#include "server/graft_v1_priv.h"

static gf_status get_version(gf_server *server, gf__request *request, gf__response *response,
                             gf_error *err)
{
    gf__json *document = gf__json_object();
    gf__json_set_string(document, "version", gf_version());
    return gf__respond_json(request, response, document, err);
}

static gf_status get_pools(gf_server *server, gf__request *request, gf__response *response,
                           gf_error *err)
{
    gf__json *document = NULL;
    const gf_status st = gf__pools_describe(server->pools, &document, err);
    return st == GF_OK ? gf__respond_json(request, response, document, err) : st;
}

/* Of all projects: what waits, waits for the jobs of others. */
static gf_status get_jobs(gf_server *server, gf__request *request, gf__response *response,
                          gf_error *err)
{
    gf__json *document = NULL;
    if (server->jobs == NULL)
        return gf_error_set(err, GF_EPRECONDITION, "this server runs no jobs (--no-jobs)");
    const gf_status st = gf__jobs_describe(server->jobs, &document, err);
    return st == GF_OK ? gf__respond_json(request, response, document, err) : st;
}

/* A token of one project is told of that one. */
static gf_status list_projects(gf_server *server, gf__request *request, gf__response *response,
                               gf_error *err)
{
    char *text = NULL;
    if (request->token_project == NULL) {
        const gf_status st = gf_registry_list_projects(server->registry, &text, err);
        return st == GF_OK ? gf__respond_text(request, response, text, err) : st;
    }
    gf__json *document = gf__json_object(), *projects = gf__json_array();
    gf__json_append(projects, gf__json_new_string(request->token_project));
    gf__json_set(document, "projects", projects);
    return gf__respond_json(request, response, document, err);
}

/* ---- tokens ---- */

static gf_status list_tokens(gf_server *server, gf__request *request, gf__response *response,
                             gf_error *err)
{
    char *text = NULL;
    const gf_status st = gf_registry_list_tokens(server->registry, &text, err);
    return st == GF_OK ? gf__respond_text(request, response, text, err) : st;
}

static gf_status create_token(gf_server *server, gf__request *request, gf__response *response,
                              gf_error *err)
{
    char *text = NULL;
    const gf_status st = gf_registry_create_token(server->registry, request->body, &text, err);
    if (st != GF_OK)
        return st;
    gf__response_header(response, "Cache-Control", "no-store"); /* there is a secret in it */
    return gf__respond_text(request, response, text, err);
}

static gf_status delete_token(gf_server *server, gf__request *request, gf__response *response,
                              gf_error *err)
{
    char *name = gf__asprintf("tokens/%s", request->params[0]);
    if (name == NULL)
        return gf__error_nomem(err, "a name", strlen(request->params[0]));
    const gf_status st = gf_registry_revoke_token(server->registry, name, err);
    gf__free(name);
    return st == GF_OK ? gf__respond_json(request, response, gf__json_object(), err) : st;
}

#define DEPLOY  GF__FAMILY_GRAFT, GF__ROLE_DEPLOY
#define ADMIN   GF__FAMILY_GRAFT, GF__ROLE_ADMIN
#define OF_NONE GF__PROJECT_OF_NONE, false
#define OF_ALL  GF__PROJECT_OF_ALL, false
#define TOKENS  "/graft/v1/tokens"
#define BUCKETS "/graft/v1/buckets"
#define OBJECTS BUCKETS "/{bucket}/objects"
#define OBJECT  OBJECTS "/{rest*}"
const gf__route gf__routes_graft_v1[] = {
    {"GET", "/graft/v1/version", GF__FAMILY_GRAFT, GF__ROLE_NONE, get_version, OF_NONE},
    {"GET", "/graft/v1/pools", DEPLOY, get_pools, OF_NONE},
    {"GET", "/graft/v1/jobs", DEPLOY, get_jobs, OF_ALL},
    {"GET", "/graft/v1/projects", DEPLOY, list_projects, OF_NONE},
    {"GET", TOKENS, ADMIN, list_tokens, OF_ALL},
    {"POST", TOKENS, ADMIN, create_token, OF_ALL},
    {"DELETE", TOKENS "/{token}", ADMIN, delete_token, OF_ALL},
    {"GET", BUCKETS, DEPLOY, gf__handle_list_buckets, OF_ALL},
    {"GET", OBJECTS, DEPLOY, gf__handle_list_objects, OF_NONE},
    {"GET", OBJECT, DEPLOY, gf__handle_get_object, GF__PROJECT_OF_OBJECT, false},
    {"PUT", OBJECT, DEPLOY, gf__handle_put_object, GF__PROJECT_OF_OBJECT, true},
    {"POST", OBJECT, DEPLOY, gf__handle_put_object, GF__PROJECT_OF_OBJECT, true},
    {"DELETE", OBJECT, DEPLOY, gf__handle_delete_object, GF__PROJECT_OF_OBJECT, false},
    GF__ROUTES_END,
};
