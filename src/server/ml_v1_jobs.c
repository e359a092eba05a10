/* server/ml_v1_jobs.c: jobs of Cloud ML Engine v1. The registry keeps them and speaks the API's own
 * documents, jobs/ works them off; their logs are ml_v1_job_logs.c's. */
#include <ctype.h>
#include <string.h>

#include "server/ml_v1_priv.h"

gf_status gf__request_job_name(const gf__request *request, char **out, gf_error *err)
{
    *out = request->params[1] != NULL
               ? gf__asprintf("projects/%s/jobs/%s", request->params[0], request->params[1])
               : gf__asprintf("projects/%s", request->params[0]);
    return *out != NULL ? GF_OK : gf__error_nomem(err, "a name", 0);
}

/* ---- what a token of one project may name ---------------------------------------------------- */

/* The object's name ends where the string ends: a ',' may be a part of it, and of a list in one
 * argument every address is looked at by itself. */
static gf_status check_objects(const gf__request *request, const char *text, gf_error *err)
{
    gf_status st = GF_OK;
    for (const char *at = strstr(text, "gs://"); st == GF_OK && at != NULL;
         at = strstr(at + 5, "gs://")) {
        const char *slash = strchr(at + 5, '/');
        st = gf__token_may_use(request, slash != NULL ? slash + 1 : "", err);
        if (st == GF_OK && slash != NULL && strstr(slash, "/../") != NULL)
            st = gf_error_set(err, GF_EDENIED, "%.160s: .. is no name here", at);
    }
    return st;
}

/* In any spelling that the registry could take for it. */
static bool is_key(const char *key, const char *wanted)
{
    for (; *key != '\0'; key++)
        if (*key != '_' && tolower((unsigned char)*key) != *wanted++)
            return false;
    return *wanted == '\0';
}

static gf_status check_model(const gf__request *request, const char *name, gf_error *err)
{
    const size_t n_chars = strlen(request->token_project);
    if (strncmp(name, "projects/", 9) != 0 ||
        (strncmp(name + 9, request->token_project, n_chars) == 0 && name[9 + n_chars] == '/'))
        return GF_OK;
    return gf_error_set(err, GF_EDENIED, "this token is for the project %.128s, not for %.128s",
                        request->token_project, name);
}

#define MAX_DEPTH 32 /* of a Job there are five levels */

/* A job's process reads and writes with the rights of the server: whatever address stands in the
 * document, in args too, must be one that the token itself could use. */
static gf_status check_value(const gf__request *request, const char *key, const gf__json *value,
                             int depth, gf_error *err)
{
    const gf__json *member = NULL;
    gf_status st = GF_OK;
    if (depth > MAX_DEPTH)
        return gf_error_set(err, GF_EINVAL, "the job is nested too deeply");
    if (gf__json_is_string(value)) {
        const char *text = gf__json_string(value, "");
        if (is_key(key, "modelname") || is_key(key, "versionname"))
            st = check_model(request, text, err);
        return st == GF_OK ? check_objects(request, text, err) : st;
    }
    if (gf__json_is_array(value)) {
        for (size_t i = 0; i < gf__json_n_items(value) && st == GF_OK; i++)
            st = check_value(request, key, gf__json_at(value, i), depth + 1, err);
        return st;
    }
    if (!gf__json_is_object(value))
        return GF_OK;
    for (const char *name = gf__json_next(value, NULL, &member); st == GF_OK && name != NULL;
         name = gf__json_next(value, name, &member))
        st = check_value(request, name, member, depth + 1, err);
    return st;
}

static gf_status check_token(const gf__request *request, gf_error *err)
{
    gf__json *body = NULL;
    if (request->token_project == NULL)
        return GF_OK;
    gf_status st = gf__request_json(request, &body, err);
    if (st == GF_OK)
        st = check_value(request, "", body, 0, err);
    gf__json_free(body);
    return st;
}

/* ---- the handlers ---------------------------------------------------------------------------- */

#define HANDLER(name) \
    gf_status name(gf_server *server, gf__request *request, gf__response *response, gf_error *err)

HANDLER(gf__jobs_create)
{
    char *parent = NULL, *text = NULL;
    gf_status st = check_token(request, err);
    if (st == GF_OK && server->jobs == NULL)
        st = gf_error_set(err, GF_EPRECONDITION, "this server runs no jobs (--no-jobs)");
    if (st == GF_OK)
        st = gf__request_job_name(request, &parent, err);
    if (st == GF_OK)
        st = gf_registry_create_job(server->registry, parent, request->body, &text, err);
    if (st == GF_OK) {
        gf__jobs_wake(server->jobs);
        st = gf__respond_text(request, response, text, err);
    }
    gf__free(parent);
    return st;
}

HANDLER(gf__jobs_get)
{
    char *name = NULL, *text = NULL;
    gf_status st = gf__request_job_name(request, &name, err);
    if (st == GF_OK)
        st = gf_registry_get_job(server->registry, name, &text, err);
    if (st == GF_OK)
        st = gf__respond_text(request, response, text, err);
    gf__free(name);
    return st;
}

HANDLER(gf__jobs_list)
{
    gf_registry_page page;
    char *parent = NULL, *text = NULL;
    gf_status st = gf__request_page(request, &page, err);
    if (st == GF_OK)
        st = gf__request_job_name(request, &parent, err);
    if (st == GF_OK)
        st = gf_registry_list_jobs(server->registry, parent, &page, &text, err);
    if (st == GF_OK)
        st = gf__respond_text(request, response, text, err);
    gf__free(parent);
    return st;
}

HANDLER(gf__jobs_patch)
{
    const char *mask = gf__query_either(request, "updateMask", "update_mask");
    char *name = NULL, *text = NULL;
    gf_status st = gf__request_job_name(request, &name, err);
    if (st == GF_OK)
        st = gf_registry_patch_job(server->registry, name, request->body, mask, &text, err);
    if (st == GF_OK)
        st = gf__respond_text(request, response, text, err);
    gf__free(name);
    return st;
}

/* Without jobs here one that waits can be cancelled all the same: nobody else has the home. */
HANDLER(gf__jobs_cancel)
{
    char *name = NULL;
    gf_status st = gf__request_job_name(request, &name, err);
    if (st == GF_OK)
        st = gf_registry_cancel_job(server->registry, name, err);
    if (st == GF_OK && server->jobs != NULL)
        gf__jobs_wake(server->jobs);
    if (st == GF_OK)
        st = gf__respond_json(request, response, gf__json_object(), err);
    gf__free(name);
    return st;
}
