/* server/routes.c: which handler a request is for, and what becomes of it before and after: found by
 * method and path in the families' tables, allowed by its token, limited, answered; a failure in the
 * shape that the family's clients expect. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "server/http_priv.h"
#include "server/routes_priv.h"

/* ---- finding --------------------------------------------------------------------------------- */

static bool is_method(const gf__route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

typedef struct route_search {
    gf__request *request;
    bool is_path_known;
    gf__family family; /* of the path, if known */
    gf_status st;
    gf_error *err;
} route_search;

static bool try_route(void *user, const gf__route *route, const gf__path_match *found)
{
    route_search *search = user;
    search->family = search->is_path_known ? search->family : route->family;
    search->is_path_known = true;
    if (!is_method(route, search->request->method))
        return true;
    search->request->route = route;
    search->st = gf__routes_keep_params(search->request, found, search->err);
    return false;
}

/* The methods that a path can be asked with, for Allow. */
typedef struct method_list {
    char text[80];
    size_t n_chars;
} method_list;

static bool add_method(void *user, const gf__route *route, const gf__path_match *found)
{
    method_list *list = user;
    const char *more = strcmp(route->method, "GET") == 0 ? "GET, HEAD" : route->method;
    const size_t n = strlen(more);
    if (strstr(list->text, more) != NULL || list->n_chars + n + 3 > sizeof list->text)
        return true;
    if (list->n_chars > 0) {
        memcpy(list->text + list->n_chars, ", ", 2);
        list->n_chars += 2;
    }
    memcpy(list->text + list->n_chars, more, n + 1);
    list->n_chars += n;
    return true;
}

static method_list methods_of(const gf_server *server, const char *path)
{
    method_list list = {.text = ""};
    (void)gf__routes_each(server, path, add_method, &list, NULL);
    gf__path_match none = {0};
    (void)add_method(&list, &(gf__route){.method = "OPTIONS"}, &none);
    return list;
}

/* ---- families -------------------------------------------------------------------------------- */

static bool begins_with(const char *path, const char *prefix)
{
    const size_t n = strlen(prefix);
    return strncmp(path, prefix, n) == 0 && (path[n] == '\0' || path[n] == '/' || path[n] == ':');
}

/* Whose client asks for a path that nobody has. */
static gf__family family_of(const char *path)
{
    static const struct {
        const char *prefix;
        gf__family family;
    } families[] = {
        {"/v1/models", GF__FAMILY_TENSORFLOW}, {"/v2", GF__FAMILY_V2},
        {"/graft", GF__FAMILY_GRAFT},          {"/v1", GF__FAMILY_GOOGLE},
        {"/discovery", GF__FAMILY_GOOGLE},     {"/$discovery", GF__FAMILY_GOOGLE},
        {"/%24discovery", GF__FAMILY_GOOGLE},
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (begins_with(path, families[i].prefix))
            return families[i].family;
    return GF__FAMILY_PLAIN;
}

static gf__family family_for(const gf__request *request)
{
    return request->route != NULL ? request->route->family : family_of(request->path);
}

/* ---- admitting ------------------------------------------------------------------------------- */

static gf_status refuse_path(gf__request *request, const route_search *search, gf_error *err)
{
    const gf__family family = search->is_path_known ? search->family : family_of(request->path);
    if (family == GF__FAMILY_TENSORFLOW) { /* in the words of TensorFlow Serving */
        request->refused_code = search->is_path_known ? 405 : 0;
        return gf_error_set(err, GF_EINVAL, "Malformed request: %.10s %.300s", request->method,
                            request->path);
    }
    request->refused_code = search->is_path_known ? 405 : 404;
    if (search->is_path_known)
        return gf_error_set(err, GF_EINVAL, "%.300s cannot be asked with %.10s", request->path,
                            request->method);
    return gf_error_set(err, GF_ENOTFOUND, "there is nothing at %.10s %.300s", request->method,
                        request->path);
}

static gf_status spool_for(gf_server *server, char **spool_path, gf_error *err)
{
    const uint64_t n = atomic_fetch_add(&server->n_uploads, 1);
    *spool_path = gf__asprintf("%s/%llu", server->uploads_dir, (unsigned long long)n);
    if (*spool_path == NULL)
        return gf__error_nomem(err, "a path", strlen(server->uploads_dir));
    return GF_OK;
}

static bool is_options(const gf__request *request)
{
    return strcmp(request->method, "OPTIONS") == 0;
}

gf_status gf__routes_admit(void *user, gf__request *request, uint64_t *max_body_bytes,
                           char **spool_path, gf_error *err)
{
    gf_server *server = user;
    *max_body_bytes = server->options.max_body_bytes;
    route_search search = {.request = request, .err = err};
    gf_status st = gf__routes_each(server, request->path, try_route, &search, err);
    if (st != GF_OK || search.st != GF_OK)
        return st != GF_OK ? st : search.st;
    if (is_options(request) && (search.is_path_known || strcmp(request->path, "*") == 0))
        return GF_OK;
    if (request->route == NULL)
        return refuse_path(request, &search, err);
    st = gf__authorize(server, request->route, request, err);
    if (st != GF_OK || !request->route->is_upload)
        return st;
    *max_body_bytes = server->options.max_upload_bytes;
    return spool_for(server, spool_path, err);
}

/* ---- cross-origin requests ------------------------------------------------------------------- */

static void allow_origin(const gf_server *server, const gf__request *request,
                         gf__response *response)
{
    const char *allowed = server->options.cors_origin;
    const char *origin = gf__request_header(request, "Origin");
    if (allowed == NULL || origin == NULL)
        return;
    if (strcmp(allowed, "*") != 0) {
        gf__response_header(response, "Vary", "Origin");
        if (strcmp(allowed, origin) != 0)
            return;
    }
    gf__response_header(response, "Access-Control-Allow-Origin", "%s", allowed);
    gf__response_header(response, "Access-Control-Expose-Headers",
                        "X-Request-Id, Retry-After, Inference-Header-Content-Length");
}

static void respond_options(gf_server *server, gf__request *request, gf__response *response)
{
    const method_list list = methods_of(server, request->path);
    response->code = 204;
    gf__response_header(response, "Allow", "%s", list.text);
    if (server->options.cors_origin == NULL)
        return;
    gf__response_header(response, "Access-Control-Allow-Methods", "%s", list.text);
    gf__response_header(response, "Access-Control-Allow-Headers",
                        "Authorization, Content-Type, Inference-Header-Content-Length, "
                        "X-Request-Id, X-HTTP-Method-Override, traceparent");
    gf__response_header(response, "Access-Control-Max-Age", "600");
}

/* Where the server's own files lie is for its log; a client is told what is wrong with them. */
static void hide_paths(const gf_server *server, const gf__request *request, gf_error *failure)
{
    const char *reason = failure->message;
    for (const char *at = strstr(reason, ": "); at != NULL; at = strstr(reason, ": "))
        reason = at + 2;
    char *text = gf__strdup(reason);
    gf__observe_log(&server->options.observer, GF_LOG_WARNING, "request %s: %s", request->id,
                    failure->message);
    gf_error_set(failure, GF_EIO, "a file of the server cannot be read or written: %.200s",
                 text != NULL ? text : "see its log");
    gf__free(text);
}

/* Where the home is, is nobody's business but the log's. */
static void hide_home(const gf_server *server, gf_error *failure)
{
    static const char word[] = "HOME";
    const char *home = server->options.home != NULL ? server->options.home : "";
    const size_t n_word = sizeof word - 1, n_home = strlen(home);
    char *at = n_home >= n_word ? strstr(failure->message, home) : NULL;
    while (at != NULL) {
        memmove(at + n_word, at + n_home, strlen(at + n_home) + 1);
        memcpy(at, word, n_word);
        at = strstr(at + n_word, home);
    }
}

/* Answers are JSON: for what else a client asks it would take them. */
static gf_status check_alt(const gf__request *request, gf_error *err)
{
    const gf__family family = request->route->family;
    const char *alt = gf__request_query(request, "alt");
    if (alt == NULL || (family != GF__FAMILY_GOOGLE && family != GF__FAMILY_ML_PREDICT) ||
        strcmp(alt, "") == 0 || strcmp(alt, "json") == 0)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL, "alt: \"%.40s\", expected json", alt);
}

void gf__routes_respond(void *user, gf__request *request, gf_status st, const gf_error *err,
                        gf__response *response)
{
    gf_server *server = user;
    gf_error failure = {0};
    if (st != GF_OK) {
        failure = *err;
    } else if (is_options(request)) {
        respond_options(server, request, response);
    } else {
        st = check_alt(request, &failure);
        if (st == GF_OK)
            st = request->route->handle(server, request, response, &failure);
    }
    if (st == GF_EIO)
        hide_paths(server, request, &failure);
    hide_home(server, &failure);
    if (st != GF_OK) {
        const int code = request->refused_code != 0 ? request->refused_code : gf__http_code(st);
        gf__respond_error_code(server, family_for(request), code, st, failure.message, response);
        if (code == 405)
            gf__response_header(response, "Allow", "%s", methods_of(server, request->path).text);
    }
    gf__say_when_to_come_again(response); /* a handler may have a 503 in a shape of its own */
    allow_origin(server, request, response);
}

void gf__routes_done(void *user, const gf__request *request, const gf__response *response,
                     double total_ms, uint64_t n_sent_bytes, const char *client_address,
                     bool is_complete)
{
    gf_server *server = user;
    gf__metrics_request(server->metrics, family_for(request), response->code, total_ms);
    gf__access_log_write(server->access_log, request, response, total_ms, n_sent_bytes,
                         client_address, is_complete);
}
