/* server/respond.c: answers as each family's clients expect them: errors, documents, the registry's
 * texts; the HTTP code of a status; and what requests of all families are read with. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/routes_priv.h"

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

bool gf__is_about_instances(gf_status st)
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

void gf__say_when_to_come_again(gf__response *response)
{
    if (response->code == 429 || response->code == 503)
        gf__response_header(response, "Retry-After", "1");
}

void gf__respond_error_code(gf_server *server, gf__family family, int code, gf_status st,
                            const char *message, gf__response *response)
{
    gf__json *document = NULL;
    response->code = code;
    gf__buffer_free(&response->body);
    response->body = (gf__buffer){0};
    gf__say_when_to_come_again(response);
    if (code == 401)
        gf__response_header(response, "WWW-Authenticate", "Bearer realm=\"graft\"");
    if (family == GF__FAMILY_PLAIN) {
        response->content_type = "text/plain; charset=utf-8";
        gf__buffer_printf(&response->body, "%s\n", message);
        return;
    }
    response->content_type = "application/json";
    const bool is_text = family == GF__FAMILY_TENSORFLOW || family == GF__FAMILY_V2 ||
                         (family == GF__FAMILY_ML_PREDICT && gf__is_about_instances(st));
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
    gf__respond_error_code(server, family, gf__http_code(st), st, message, response);
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

const char *gf__query_either(const gf__request *request, const char *camel, const char *snake)
{
    const char *value = gf__request_query(request, camel);
    return value != NULL ? value : gf__request_query(request, snake);
}

gf_status gf__request_page(const gf__request *request, gf_registry_page *out, gf_error *err)
{
    const char *size = gf__query_either(request, "pageSize", "page_size");
    char *end = NULL;
    *out = (gf_registry_page){.token = gf__query_either(request, "pageToken", "page_token"),
                              .filter = gf__request_query(request, "filter")};
    if (size == NULL || size[0] == '\0')
        return GF_OK;
    errno = 0;
    const long number = strtol(size, &end, 10);
    if (*end != '\0' || errno != 0 || number < 0 || number > INT32_MAX)
        return gf_error_set(err, GF_EINVAL, "pageSize: \"%.40s\", expected a whole number", size);
    out->size = (int)number;
    return GF_OK;
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
