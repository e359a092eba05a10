/* server/routes.c: which handler a request is for, and what becomes of it before and after: found by
 * method and path in the families' tables, allowed by its token, limited, answered; a failure in the
 * shape that the family's clients expect. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "server/http_priv.h"
#include "server/server_priv.h"

#define MAX_SEGMENTS 48

/* Vertex first: its routes are the operator's wish and may be spelled like another family's. */
static const gf__route *const tables[] = {gf__routes_vertex,    gf__routes_health,
                                          gf__routes_discovery, gf__routes_openapi,
                                          gf__routes_ml_v1,     gf__routes_ml_v1_predict,
                                          gf__routes_graft_v1,  gf__routes_graft_v1_classify,
                                          gf__routes_tfserving, gf__routes_kserve_v2};
#define N_TABLES (sizeof tables / sizeof *tables)

/* ---- matching -------------------------------------------------------------------------------- */

/* A path's segments, decoded. */
typedef struct path_parts {
    char *text;
    const char *raw[MAX_SEGMENTS]; /* where the segment begins in the path as it came */
    char *segments[MAX_SEGMENTS];
    size_t n_segments;
    bool is_cut; /* there are more: only {rest*} can take them */
} path_parts;

static gf_status split_path(const char *path, path_parts *parts, gf_error *err)
{
    memset(parts, 0, sizeof *parts);
    parts->text = gf__strdup(path);
    if (parts->text == NULL)
        return gf__error_nomem(err, "a path", strlen(path));
    char *at = parts->text[0] == '/' ? parts->text + 1 : parts->text;
    while (at != NULL && parts->n_segments < MAX_SEGMENTS) {
        parts->raw[parts->n_segments] = path + (at - parts->text);
        parts->segments[parts->n_segments++] = at;
        at = strchr(at, '/');
        if (at != NULL)
            *at++ = '\0';
    }
    parts->is_cut = at != NULL;
    gf_status st = GF_OK;
    for (size_t i = 0; i < parts->n_segments && st == GF_OK; i++)
        st = gf__unescape(parts->segments[i], false, err);
    return st;
}

/* One decoded segment against one of a pattern (n chars): a literal, {name} or {name}:verb. What
 * stands for the name is *n_value characters of it; 0 for a literal. */
static bool match_segment(const char *pattern, size_t n, bool is_last, const char *segment,
                          size_t *n_value)
{
    const size_t length = strlen(segment);
    *n_value = 0;
    if (pattern[0] != '{')
        return length == n && memcmp(pattern, segment, n) == 0;
    const char *close = memchr(pattern, '}', n);
    const char *verb = close + 1;
    const size_t n_verb = n - (size_t)(verb - pattern);
    if (length <= n_verb || memcmp(segment + length - n_verb, verb, n_verb) != 0)
        return false;
    *n_value = length - n_verb;
    return n_verb > 0 || !is_last || strchr(segment, ':') == NULL;
}

typedef struct path_match {
    const char *values[GF__MAX_PARAMS];
    size_t n_chars[GF__MAX_PARAMS];
    const char *raw_rest; /* not NULL: the last value is all of this, decoded */
    size_t n_values;
} path_match;

static bool match_pattern(const char *pattern, const path_parts *parts, path_match *found)
{
    *found = (path_match){0};
    for (size_t i = 0; *pattern == '/'; i++) {
        pattern++;
        const size_t n = strcspn(pattern, "/");
        const bool is_last = pattern[n] == '\0';
        if (i >= parts->n_segments)
            return false;
        if (is_last && n > 3 && pattern[0] == '{' && pattern[n - 2] == '*') {
            found->raw_rest = parts->raw[i];
            return parts->segments[i][0] != '\0' || parts->is_cut || i + 1 < parts->n_segments;
        }
        size_t n_value;
        if (!match_segment(pattern, n, is_last, parts->segments[i], &n_value))
            return false;
        if (n_value > 0) {
            found->values[found->n_values] = parts->segments[i];
            found->n_chars[found->n_values++] = n_value;
        }
        pattern += n;
        if (is_last)
            return i + 1 == parts->n_segments && !parts->is_cut;
    }
    return false;
}

static bool match_route(const gf_server *server, const gf__route *route, const char *path,
                        const path_parts *parts, path_match *found)
{
    if (route->pattern[0] != '$')
        return match_pattern(route->pattern, parts, found);
    const char *wanted = strcmp(route->pattern, "$health") == 0 ? server->options.health_route
                                                                : server->options.predict_route;
    *found = (path_match){0};
    return wanted != NULL && strcmp(wanted, path) == 0;
}

static gf_status keep_params(gf__request *request, const path_match *found, gf_error *err)
{
    size_t n = 0;
    for (; n < found->n_values; n++) {
        request->params[n] = gf__strndup(found->values[n], found->n_chars[n]);
        if (request->params[n] == NULL)
            return gf__error_nomem(err, "a path", found->n_chars[n]);
    }
    if (found->raw_rest == NULL)
        return GF_OK;
    request->params[n] = gf__strdup(found->raw_rest);
    if (request->params[n] == NULL)
        return gf__error_nomem(err, "a path", strlen(found->raw_rest));
    return gf__unescape(request->params[n], false, err);
}

static bool is_method(const gf__route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

/* Calls each(user, route) for every route whose pattern takes the path, until it says stop. */
static gf_status each_match(const gf_server *server, const char *path,
                            bool (*each)(void *user, const gf__route *route,
                                         const path_match *found),
                            void *user, gf_error *err)
{
    path_parts parts;
    path_match found;
    gf_status st = split_path(path, &parts, err);
    for (size_t t = 0; t < N_TABLES && st == GF_OK; t++) {
        for (const gf__route *route = tables[t]; route->method != NULL; route++) {
            if (match_route(server, route, path, &parts, &found) && !each(user, route, &found))
                goto done;
        }
    }
done:
    gf__free(parts.text);
    return st;
}

typedef struct route_search {
    gf__request *request;
    bool is_path_known;
    gf__family family; /* of the path, if known */
    gf_status st;
    gf_error *err;
} route_search;

static bool try_route(void *user, const gf__route *route, const path_match *found)
{
    route_search *search = user;
    search->family = search->is_path_known ? search->family : route->family;
    search->is_path_known = true;
    if (!is_method(route, search->request->method))
        return true;
    search->request->route = route;
    search->st = keep_params(search->request, found, search->err);
    return false;
}

/* The methods that a path can be asked with, for Allow. */
typedef struct method_list {
    char text[80];
    size_t n_chars;
} method_list;

static bool add_method(void *user, const gf__route *route, const path_match *found)
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
    (void)each_match(server, path, add_method, &list, NULL);
    path_match none = {0};
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

static const char *family_name(gf__family family)
{
    switch (family) {
    case GF__FAMILY_GOOGLE:
        return "ml_v1";
    case GF__FAMILY_ML_PREDICT:
        return "ml_v1_predict";
    case GF__FAMILY_TENSORFLOW:
        return "tensorflow";
    case GF__FAMILY_V2:
        return "v2";
    case GF__FAMILY_GRAFT:
        return "graft";
    case GF__FAMILY_PLAIN:
        return "plain";
    }
    return "plain";
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
    gf_status st = each_match(server, request->path, try_route, &search, err);
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

/* ---- answering ------------------------------------------------------------------------------- */

typedef struct meaning {
    int code;
    const char *rpc_name;
} meaning;

static meaning meaning_of(gf_status status)
{
    switch (status) {
    case GF_OK:
        return (meaning){200, "OK"};
    case GF_EINVAL:
        return (meaning){400, "INVALID_ARGUMENT"};
    case GF_ENOMEM:
        return (meaning){503, "UNAVAILABLE"};
    case GF_EIO:
        return (meaning){500, "INTERNAL"};
    case GF_ENOTFOUND:
        return (meaning){404, "NOT_FOUND"};
    case GF_EFORMAT:
        return (meaning){400, "INVALID_ARGUMENT"};
    case GF_ESHAPE:
        return (meaning){400, "INVALID_ARGUMENT"};
    case GF_EUNSUPPORTED:
        return (meaning){400, "INVALID_ARGUMENT"};
    case GF_ELIMIT:
        return (meaning){400, "INVALID_ARGUMENT"};
    case GF_EMISMATCH:
        return (meaning){400, "FAILED_PRECONDITION"};
    case GF_EBUSY:
        return (meaning){409, "ABORTED"};
    case GF_EEXISTS:
        return (meaning){409, "ALREADY_EXISTS"};
    case GF_EPRECONDITION:
        return (meaning){400, "FAILED_PRECONDITION"};
    case GF_ENETWORK:
        return (meaning){503, "UNAVAILABLE"};
    case GF_ECANCELED:
        return (meaning){499, "CANCELLED"};
    case GF_EAUTH:
        return (meaning){401, "UNAUTHENTICATED"};
    case GF_EDENIED:
        return (meaning){403, "PERMISSION_DENIED"};
    case GF_EOVERLOAD:
        return (meaning){429, "RESOURCE_EXHAUSTED"};
    case GF_EUNAVAILABLE:
        return (meaning){503, "UNAVAILABLE"};
    case GF_ETIMEOUT:
        return (meaning){504, "DEADLINE_EXCEEDED"};
    }
    return (meaning){500, "UNKNOWN"};
}

int gf__http_code(gf_status status)
{
    return meaning_of(status).code;
}

const char *gf__rpc_name(gf_status status)
{
    return meaning_of(status).rpc_name;
}

/* What is wrong with the instances, as far as a status can tell. */
static bool is_about_instances(gf_status st)
{
    return st == GF_EINVAL || st == GF_EFORMAT || st == GF_ESHAPE || st == GF_EUNSUPPORTED;
}

static gf__json *google_error(int code, gf_status st, const char *message)
{
    gf__json *error = gf__json_object();
    gf__json_set_int(error, "code", code);
    gf__json_set_string(error, "message", message);
    gf__json_set_string(error, "status", code == 501 ? "UNIMPLEMENTED" : gf__rpc_name(st));
    gf__json *document = gf__json_object();
    gf__json_set(document, "error", error);
    return document;
}

static void say_when_to_come_again(gf__response *response)
{
    if (response->code == 429 || response->code == 503)
        gf__response_header(response, "Retry-After", "1");
}

static void respond_error_code(gf_server *server, gf__family family, int code, gf_status st,
                               const char *message, gf__response *response)
{
    gf__json *document = NULL;
    response->code = code;
    gf__buffer_free(&response->body);
    response->body = (gf__buffer){0};
    say_when_to_come_again(response);
    if (code == 401)
        gf__response_header(response, "WWW-Authenticate", "Bearer realm=\"graft\"");
    if (family == GF__FAMILY_PLAIN) {
        response->content_type = "text/plain; charset=utf-8";
        gf__buffer_printf(&response->body, "%s\n", message);
        return;
    }
    response->content_type = "application/json";
    const bool is_text = family == GF__FAMILY_TENSORFLOW || family == GF__FAMILY_V2 ||
                         (family == GF__FAMILY_ML_PREDICT && is_about_instances(st));
    if (is_text) {
        document = gf__json_object();
        gf__json_set_string(document, "error", message);
    } else {
        document = google_error(code, st, message);
    }
    if (is_text && family == GF__FAMILY_ML_PREDICT && code < 500 &&
        server->options.ml_v1_errors_200)
        response->code = 200;
    gf__json_write(document, false, &response->body);
    gf__buffer_puts(&response->body, "\n");
    gf__json_free(document);
}

void gf__respond_error(gf_server *server, gf__family family, gf_status st, const char *message,
                       gf__response *response)
{
    respond_error_code(server, family, gf__http_code(st), st, message, response);
}

/* GF_EUNSUPPORTED is otherwise about what a client sent, and a 400. */
gf_status gf__unimplemented(gf__request *request, const char *message, gf_error *err)
{
    request->refused_code = 501;
    return gf_error_set(err, GF_EUNSUPPORTED, "%s", message);
}

static bool is_google(const gf__request *request)
{
    if (request->route == NULL)
        return false;
    const gf__family family = request->route->family;
    return family == GF__FAMILY_GOOGLE || family == GF__FAMILY_ML_PREDICT ||
           family == GF__FAMILY_GRAFT;
}

gf_status gf__respond_json(const gf__request *request, gf__response *response, gf__json *document,
                           gf_error *err)
{
    gf__json *part = NULL;
    gf_status st = gf__json_status(document, err);
    const char *mask = is_google(request) ? gf__request_query(request, "fields") : NULL;
    if (st == GF_OK && mask != NULL && mask[0] != '\0')
        st = gf__fields_mask(document, mask, &part, err);
    if (st == GF_OK) {
        gf__json_write(part != NULL ? part : document, gf__request_flag(request, "prettyPrint"),
                       &response->body);
        gf__buffer_puts(&response->body, "\n");
        st = gf__buffer_status(&response->body, err);
    }
    gf__json_free(part);
    gf__json_free(document);
    return st;
}

gf_status gf__respond_text(const gf__request *request, gf__response *response, char *text,
                           gf_error *err)
{
    gf__json *document = NULL;
    gf_status st = GF_OK;
    if (gf__request_query(request, "fields") == NULL && !gf__request_flag(request, "prettyPrint")) {
        gf__buffer_puts(&response->body, text);
        gf__buffer_puts(&response->body, "\n");
        st = gf__buffer_status(&response->body, err);
    } else {
        st = gf__json_parse(text, strlen(text), &document, err);
        if (st == GF_OK)
            st = gf__respond_json(request, response, document, err);
    }
    gf_registry_free_text(text);
    return st;
}

gf_status gf__request_json(const gf__request *request, gf__json **out, gf_error *err)
{
    *out = NULL;
    if (request->body_bytes == 0) {
        *out = gf__json_object();
        return *out != NULL ? GF_OK : gf__error_nomem(err, "a document", 0);
    }
    return gf__json_parse(request->body, request->body_bytes, out, err);
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
    gf__response_header(response, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
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
    if (st != GF_OK) {
        const int code = request->refused_code != 0 ? request->refused_code : gf__http_code(st);
        respond_error_code(server, family_for(request), code, st, failure.message, response);
        if (code == 405)
            gf__response_header(response, "Allow", "%s", methods_of(server, request->path).text);
    }
    say_when_to_come_again(response); /* also where a handler answers that in a shape of its own */
    allow_origin(server, request, response);
}

void gf__routes_done(void *user, const gf__request *request, const gf__response *response,
                     double total_ms, uint64_t n_sent_bytes, const char *client_address,
                     bool is_complete)
{
    gf_server *server = user;
    gf__metrics_request(server->metrics, family_name(family_for(request)), response->code,
                        total_ms);
    gf__access_log_write(server->access_log, request, response, total_ms, n_sent_bytes,
                         client_address, is_complete);
}
