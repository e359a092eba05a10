/* server/http_request.c: a request's target, query and headers, apart from how they came. Nothing
 * here trusts a byte of them. */
#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "server/http_priv.h"

const char *gf__request_header(const gf__request *request, const char *name)
{
    const gf__exchange *exchange = request->exchange;
    for (size_t i = 0; i < exchange->n_headers; i++)
        if (strcasecmp(exchange->headers[i].name, name) == 0)
            return exchange->headers[i].value;
    return NULL;
}

const char *gf__request_query(const gf__request *request, const char *name)
{
    const gf__exchange *exchange = request->exchange;
    for (size_t i = 0; i < exchange->n_query; i++)
        if (strcmp(exchange->query[i].name, name) == 0)
            return exchange->query[i].value;
    return NULL;
}

bool gf__request_flag(const gf__request *request, const char *name)
{
    const char *value = gf__request_query(request, name);
    return value != NULL && (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0);
}

/* ---- percent-encoding ------------------------------------------------------------------------ */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

gf_status gf__unescape(char *text, bool plus, gf_error *err)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != '%') {
            *to++ = plus && *from == '+' ? ' ' : *from;
            continue;
        }
        const int high = hex_digit(from[1]);
        const int low = high < 0 ? -1 : hex_digit(from[2]);
        if (low < 0)
            return gf_error_set(err, GF_EFORMAT,
                                "the address has a '%%' without two hex digits behind it");
        if (high == 0 && low == 0)
            return gf_error_set(err, GF_EFORMAT, "the address has %%00 in it");
        *to++ = (char)(high * 16 + low);
        from += 2;
    }
    *to = '\0';
    for (const char *p = text; p < to;) {
        const size_t n = gf__utf8_length(p, (size_t)(to - p));
        if (n == 0)
            return gf_error_set(err, GF_EFORMAT, "the address is not UTF-8");
        p += n;
    }
    return GF_OK;
}

/* ---- target ---------------------------------------------------------------------------------- */

/* Each name=value of the text, decoded where it lies. */
static gf_status read_query(gf__exchange *exchange, char *text, gf_error *err)
{
    exchange->n_query = 0;
    while (text != NULL && *text != '\0') {
        char *name = text;
        char *next = strchr(text, '&');
        if (next != NULL)
            *next++ = '\0';
        text = next;
        if (*name == '\0')
            continue;
        if (exchange->n_query == GF__MAX_QUERY)
            return gf_error_set(err, GF_EFORMAT, "the query has more than %d parameters",
                                GF__MAX_QUERY);
        char *value = strchr(name, '=');
        if (value != NULL)
            *value++ = '\0';
        gf_status st = gf__unescape(name, true, err);
        if (st == GF_OK && value != NULL)
            st = gf__unescape(value, true, err);
        if (st != GF_OK)
            return st;
        exchange->query[exchange->n_query++] = (gf__pair){.name = name,
                                                          .value = value != NULL ? value : ""};
    }
    return GF_OK;
}

static gf_status check_characters(const char *target, gf_error *err)
{
    for (const char *p = target; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return gf_error_set(err, GF_EFORMAT, "the address has a blank or control character");
    return GF_OK;
}

/* The path stays as it came; what it would decode to is looked at once, here. */
static gf_status check_path(const char *path, gf_error *err)
{
    char *copy = gf__strdup(path);
    if (copy == NULL)
        return gf__error_nomem(err, "an address", strlen(path));
    const gf_status st = gf__unescape(copy, false, err);
    gf__free(copy);
    return st;
}

/* Where the path begins: behind "http://host" where a proxy's form was sent. */
static char *skip_host(char *target)
{
    char *host = NULL;
    if (strncasecmp(target, "http://", 7) == 0)
        host = target + 7;
    else if (strncasecmp(target, "https://", 8) == 0)
        host = target + 8;
    if (host == NULL)
        return target;
    char *path = strpbrk(host, "/?");
    return path != NULL ? path : host + strlen(host);
}

static gf_status read_target(gf__request *request, const char *target, gf_error *err)
{
    gf__exchange *exchange = request->exchange;
    exchange->target = gf__strdup(target);
    if (exchange->target == NULL)
        return gf__error_nomem(err, "an address", strlen(target));
    gf_status st = check_characters(exchange->target, err);
    char *path = skip_host(exchange->target);
    char *query = strchr(path, '?');
    if (query != NULL)
        *query++ = '\0';
    request->path = *path != '\0' ? path : "/";
    if (request->path[0] != '/' && strcmp(request->path, "*") != 0)
        return gf_error_set(err, GF_EFORMAT, "the address does not begin with '/'");
    if (st == GF_OK)
        st = check_path(request->path, err);
    if (st == GF_OK)
        st = read_query(exchange, query, err);
    return st;
}

/* ---- identity -------------------------------------------------------------------------------- */

static bool is_all_hex(const char *text, size_t n)
{
    bool is_zero = true;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)text[i]) && (text[i] < 'a' || text[i] > 'f'))
            return false;
        is_zero = is_zero && text[i] == '0';
    }
    return !is_zero;
}

/* W3C: "00-" 32 digits "-" 16 digits "-" 2 digits; a later version may have more behind. */
static void read_trace(gf__request *request)
{
    const char *parent = gf__request_header(request, "traceparent");
    request->trace[0] = '\0';
    if (parent == NULL || strlen(parent) < 55 || parent[2] != '-' || parent[35] != '-' ||
        parent[52] != '-' || strncmp(parent, "ff", 2) == 0 || !is_all_hex(parent + 3, 32) ||
        !is_all_hex(parent + 36, 16))
        return;
    memcpy(request->trace, parent + 3, 32);
    request->trace[32] = '\0';
}

static bool is_sensible_id(const char *id)
{
    const size_t n = strlen(id);
    if (n == 0 || n >= GF__REQUEST_ID)
        return false;
    return strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == n;
}

static void random_id(char id[GF__REQUEST_ID])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[16] = {0};
    /* Without randomness (there is none to be had only while a machine boots) ids repeat; nothing
     * but a log depends on them. */
    (void)getrandom(bytes, sizeof bytes, GRND_NONBLOCK);
    for (size_t i = 0; i < sizeof bytes; i++) {
        id[2 * i] = digits[bytes[i] >> 4];
        id[2 * i + 1] = digits[bytes[i] & 15];
    }
    id[32] = '\0';
}

static void read_id(gf__request *request)
{
    read_trace(request);
    const char *id = gf__request_header(request, "X-Request-Id");
    if (id != NULL && is_sensible_id(id))
        memcpy(request->id, id, strlen(id) + 1);
    else if (request->trace[0] != '\0')
        memcpy(request->id, request->trace, sizeof request->trace);
    else
        random_id(request->id);
}

/* Methods that a POST may stand for. Static texts, so that nothing has to be kept. */
static const char *overridden(const gf__request *request, const char *method)
{
    static const char *const methods[] = {"GET", "PUT", "PATCH", "DELETE"};
    const char *wanted = gf__request_header(request, "X-HTTP-Method-Override");
    if (wanted == NULL || strcmp(method, "POST") != 0)
        return method;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcasecmp(wanted, methods[i]) == 0)
            return methods[i];
    return method;
}

gf_status gf__request_read(gf__request *request, const char *method, const char *target,
                           gf_error *err)
{
    request->body = request->exchange->no_body;
    request->path = "/";
    read_id(request);
    request->method = overridden(request, method);
    return read_target(request, target, err);
}

gf_status gf__request_take_query_body(gf__request *request, gf_error *err)
{
    gf__exchange *exchange = request->exchange;
    const char *type = gf__request_header(request, "Content-Type");
    if (request->body_bytes == 0 || strcmp(request->method, "GET") != 0 || type == NULL ||
        strncasecmp(type, "application/x-www-form-urlencoded", 33) != 0)
        return GF_OK;
    if (memchr(request->body, '\0', request->body_bytes) != NULL)
        return gf_error_set(err, GF_EFORMAT, "the query in the body has a NUL in it");
    gf__free(exchange->query_text);
    exchange->query_text = gf__strndup(request->body, request->body_bytes);
    if (exchange->query_text == NULL)
        return gf__error_nomem(err, "a query", request->body_bytes);
    return read_query(exchange, exchange->query_text, err);
}

/* "Content-Length : 5" is none to some and one to others, who would see another request in the body. */
static gf_status check_names(const gf__exchange *exchange, gf_error *err)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < exchange->n_headers; i++) {
        const char *name = exchange->headers[i].name;
        if (name[0] == '\0' || name[strspn(name, allowed)] != '\0')
            return gf_error_set(err, GF_EFORMAT, "\"%.40s\" is no header's name", name);
    }
    return GF_OK;
}

gf_status gf__request_framing(const gf__request *request, uint64_t *n_bytes, int *code,
                              gf_error *err)
{
    const char *length = NULL, *encoding = NULL;
    size_t n_lengths = 0, n_encodings = 0;
    for (size_t i = 0; i < request->exchange->n_headers; i++) {
        const gf__pair *header = &request->exchange->headers[i];
        if (strcasecmp(header->name, "Content-Length") == 0) {
            length = header->value;
            n_lengths++;
        } else if (strcasecmp(header->name, "Transfer-Encoding") == 0) {
            encoding = header->value;
            n_encodings++;
        }
    }
    *code = 400;
    *n_bytes = GF__CHUNKED; /* of a refused one nothing is known */
    const gf_status st = check_names(request->exchange, err);
    if (st != GF_OK)
        return st;
    if (n_lengths + n_encodings > 1)
        return gf_error_set(err, GF_EFORMAT,
                            "the request says more than once how long its body is");
    if (encoding != NULL && strcasecmp(encoding, "chunked") != 0) {
        *code = 501;
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "Transfer-Encoding: %.40s; only chunked is understood", encoding);
    }
    uint64_t n = encoding != NULL ? GF__CHUNKED : 0;
    for (const char *p = length; p != NULL && *p != '\0'; p++) {
        if (*p < '0' || *p > '9' || n > (UINT64_MAX >> 1) / 10)
            return gf_error_set(err, GF_EFORMAT, "Content-Length: %.40s is no length", length);
        n = n * 10 + (uint64_t)(*p - '0');
    }
    *n_bytes = n;
    return GF_OK;
}

void gf__request_clear(gf__request *request)
{
    for (size_t i = 0; i < GF__MAX_PARAMS; i++) {
        gf__free(request->params[i]);
        request->params[i] = NULL;
    }
    gf__free(request->token_project);
    gf__free(request->model);
    gf__free(request->version);
    request->token_project = request->model = request->version = NULL;
    gf__free(request->exchange->target);
    gf__free(request->exchange->query_text);
    request->exchange->target = request->exchange->query_text = NULL;
}

/* ---- responses ------------------------------------------------------------------------------- */

void gf__response_header(gf__response *response, const char *name, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *value = n < 0 ? NULL : gf__malloc((size_t)n + 1);
    if (value != NULL)
        (void)vsnprintf(value, (size_t)n + 1, fmt, again);
    va_end(again);
    if (value == NULL)
        return; /* a header less, and an answer */
    for (size_t i = 0; i < response->n_headers; i++) {
        if (strcasecmp(response->headers[i].name, name) == 0) {
            gf__free(response->headers[i].value);
            response->headers[i].value = value;
            return;
        }
    }
    assert(response->n_headers < GF__MAX_RESPONSE_HEADERS);
    response->headers[response->n_headers].name = name;
    response->headers[response->n_headers++].value = value;
}

void gf__response_clear(gf__response *response)
{
    for (size_t i = 0; i < response->n_headers; i++)
        gf__free(response->headers[i].value);
    response->n_headers = 0;
    gf__buffer_free(&response->body);
    gf__free(response->file_path);
    response->file_path = NULL;
    gf__stream_clear(&response->stream);
}
