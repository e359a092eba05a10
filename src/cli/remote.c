/* cli/remote.c: requests to a server, and what its refusals mean here. */
#include "cli/remote.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAGE_SIZE     100
#define FIRST_POLL_MS 20
#define LAST_POLL_MS  1000

static const char *or_environment(const char *value, const char *name, const char *fallback)
{
    if (value == NULL)
        value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : fallback;
}

static bool is_stopped(void *user)
{
    return gf__cli_is_interrupted();
}

void gf__format_apply(gf__cli *cli, const char *format)
{
    cli->is_json = cli->is_json || (format != NULL && strcmp(format, "json") == 0);
}

/* curl would make something of "http:/v1/...", and say of other slips only that they are malformed. */
static bool is_address(const char *text)
{
    const size_t n_scheme = strncmp(text, "http://", 7) == 0    ? 7
                            : strncmp(text, "https://", 8) == 0 ? 8
                                                                : 0;
    const char *host = text + n_scheme;
    const char *inner = host[0] == '[' ? strchr(host, ']') : host;
    if (n_scheme == 0 || inner == NULL || strpbrk(host, " \t\r\n?#") != NULL)
        return false;
    const char *end = inner + strcspn(inner, ":/");
    if (end == host || *end != ':')
        return end != host;
    char *port_end = NULL;
    const long port = strtol(end + 1, &port_end, 10);
    return end[1] >= '0' && end[1] <= '9' && port > 0 && port <= 65535 &&
           (*port_end == '\0' || *port_end == '/');
}

gf_status gf__remote_open(gf__cli *cli, const gf__remote_settings *settings, gf__remote *out,
                          gf_error *err)
{
    const char *server = or_environment(settings->server, "GRAFT_SERVER", "http://127.0.0.1:8080");
    gf__http_options options = gf__http_options_default();
    *out = (gf__remote){.project = or_environment(settings->project, "GRAFT_PROJECT", "default")};
    gf__format_apply(cli, settings->format);
    size_t n_chars = strlen(server);
    while (n_chars > 0 && server[n_chars - 1] == '/')
        n_chars--;
    out->server = strstr(server, "://") != NULL ? gf__strndup(server, n_chars)
                                                : gf__asprintf("http://%.*s", (int)n_chars, server);
    if (out->server == NULL)
        return gf__error_nomem(err, "an address", n_chars);
    if (!is_address(out->server))
        return gf_error_set(err, GF_EINVAL,
                            "%.160s: expected a server's address like http://127.0.0.1:8080 "
                            "(--server, $GRAFT_SERVER)",
                            server);
    options.token = or_environment(settings->token, "GRAFT_TOKEN", NULL);
    options.ca_file = settings->ca_file;
    options.is_stopped = is_stopped;
    options.observer = cli->observer;
    return gf__http_client_new(&options, &out->client, err);
}

void gf__remote_close(gf__remote *remote)
{
    gf__http_client_free(remote->client);
    gf__free(remote->server);
    *remote = (gf__remote){0};
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* Google's status words say more than the codes, which they share. */
static gf_status status_of_word(const char *word)
{
    static const struct {
        const char *word;
        gf_status status;
    } words[] = {
        {"INVALID_ARGUMENT", GF_EINVAL},      {"FAILED_PRECONDITION", GF_EPRECONDITION},
        {"OUT_OF_RANGE", GF_EINVAL},          {"UNAUTHENTICATED", GF_EAUTH},
        {"PERMISSION_DENIED", GF_EDENIED},    {"NOT_FOUND", GF_ENOTFOUND},
        {"ALREADY_EXISTS", GF_EEXISTS},       {"ABORTED", GF_EBUSY},
        {"RESOURCE_EXHAUSTED", GF_EOVERLOAD}, {"CANCELLED", GF_ECANCELED},
        {"UNIMPLEMENTED", GF_EUNSUPPORTED},   {"UNAVAILABLE", GF_EUNAVAILABLE},
        {"DEADLINE_EXCEEDED", GF_ETIMEOUT},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].status;
    return GF_OK;
}

static gf_status status_of_code(int code)
{
    switch (code) {
    case 400:
        return GF_EINVAL;
    case 401:
        return GF_EAUTH;
    case 403:
        return GF_EDENIED;
    case 404:
        return GF_ENOTFOUND;
    case 409:
        return GF_EEXISTS;
    case 413:
    case 431:
        return GF_ELIMIT;
    case 429:
        return GF_EOVERLOAD;
    case 499:
        return GF_ECANCELED;
    case 501:
        return GF_EUNSUPPORTED;
    case 503:
        return GF_EUNAVAILABLE;
    case 504:
        return GF_ETIMEOUT;
    default:
        return GF_ENETWORK;
    }
}

/* The first line of a message. */
static gf_status refuse(gf_status st, const char *message, const char *hint, gf_error *err)
{
    return gf_error_set(err, st, "%.*s%s", (int)strcspn(message, "\r\n"), message, hint);
}

/* {"error":{"code","message","status"}}, {"error":"text"}, or something that is no server of ours. */
static gf_status read_refusal(const gf__remote *remote, const gf__http_answer *answer,
                              gf_error *err)
{
    gf__json *document = NULL;
    gf_status st = status_of_code(answer->code);
    if (gf__json_parse(answer->body.data, answer->body.size, &document, NULL) != GF_OK)
        document = NULL;
    const gf__json *error = gf__json_find(document, "error");
    const char *message = gf__json_string(error, NULL);
    if (gf__json_is_object(error)) {
        const gf_status said = status_of_word(gf__json_string(gf__json_find(error, "status"), ""));
        /* too large a body is RESOURCE_EXHAUSTED as well, and waiting does not help */
        if (said != GF_OK && answer->code != 413 && answer->code != 431)
            st = said;
        message = gf__json_string(gf__json_find(error, "message"), NULL);
    }
    if (message == NULL)
        st = gf_error_set(err, st, "%s: the server answered %d", remote->server, answer->code);
    else
        st = refuse(st, message, answer->code == 401 ? " (set $GRAFT_TOKEN or --token)" : "", err);
    gf__json_free(document);
    return st;
}

/* ---- requests -------------------------------------------------------------------------------- */

gf_status gf__remote_send(gf__remote *remote, const gf__http_request *request,
                          gf__http_answer *answer, gf_error *err)
{
    gf__http_request sent = *request;
    char *url = gf__asprintf("%s%s", remote->server, request->url);
    *answer = (gf__http_answer){0};
    if (url == NULL)
        return gf__error_nomem(err, "an address", strlen(request->url));
    sent.url = url;
    gf_status st = gf__http_send(remote->client, &sent, answer, err);
    gf__free(url);
    if (st == GF_ENETWORK && err != NULL && strstr(err->message, strerror(ECONNREFUSED)) != NULL) {
        gf_error reason = *err;
        return gf_error_set(err, st,
                            "%.300s; is `graft serve` running there? (--server, "
                            "$GRAFT_SERVER)",
                            reason.message);
    }
    if (st == GF_OK && (answer->code < 200 || answer->code > 299))
        st = read_refusal(remote, answer, err);
    return st;
}

gf_status gf__remote_call(gf__remote *remote, const char *method, const char *path,
                          const gf__json *body, gf__json **out, gf_error *err)
{
    gf__http_answer answer = {0};
    gf__buffer text = {0};
    gf_status st = GF_OK;
    if (out != NULL)
        *out = NULL;
    if (path == NULL)
        return gf__error_nomem(err, "an address", 0);
    if (body != NULL) {
        gf__json_write(body, false, &text);
        st = gf__buffer_status(&text, err);
    }
    if (st == GF_OK)
        st = gf__remote_send(remote,
                             &(gf__http_request){.method = method,
                                                 .url = path,
                                                 .body = text.data,
                                                 .n_body_bytes = text.size,
                                                 .accept = "application/json"},
                             &answer, err);
    if (st == GF_OK && out != NULL) {
        st = gf__json_parse(answer.body.data, answer.body.size, out, err);
        if (st != GF_OK)
            gf__error_prefix(err, "the answer of %s", remote->server);
    }
    gf__http_answer_free(&answer);
    gf__buffer_free(&text);
    return st;
}

static bool is_enough(const gf__list_query *query, const gf__json *all)
{
    return query->limit > 0 && gf__json_n_items(all) >= (size_t)query->limit;
}

static gf_status append_page(const gf__json *page, const gf__list_query *query, gf__json *all)
{
    const gf__json *items = gf__json_find(page, query->key);
    for (size_t i = 0; i < gf__json_n_items(items); i++)
        if (!is_enough(query, all))
            gf__json_append(all, gf__json_copy(gf__json_at(items, i)));
    return gf__json_status(all, NULL);
}

/* token: nextPageToken of the page before, "" for the first. */
static gf_status get_page(gf__remote *remote, const char *path, const gf__list_query *query,
                          const char *token, gf__json **page, gf_error *err)
{
    gf__buffer url = {0};
    gf__buffer_printf(&url, "%s?pageSize=%d", path,
                      query->page_size > 0 ? query->page_size : PAGE_SIZE);
    if (query->value != NULL) {
        gf__buffer_printf(&url, "&%s=", query->name);
        gf__url_encode(&url, query->value, false);
    }
    if (token[0] != '\0') {
        gf__buffer_puts(&url, "&pageToken=");
        gf__url_encode(&url, token, false);
    }
    gf_status st = gf__buffer_status(&url, err);
    if (st == GF_OK)
        st = gf__remote_call(remote, "GET", url.data, NULL, page, err);
    gf__buffer_free(&url);
    return st;
}

gf_status gf__remote_list(gf__remote *remote, const char *path, const gf__list_query *query,
                          gf__json **out, gf_error *err)
{
    gf__json *all = gf__json_array(), *page = NULL;
    gf_status st = all != NULL && path != NULL ? GF_OK : gf__error_nomem(err, "a list", 0);
    bool is_more = true;
    *out = NULL;
    while (st == GF_OK && is_more) {
        gf__json *before = page;
        const char *token = gf__json_string(gf__json_find(before, "nextPageToken"), "");
        st = get_page(remote, path, query, token, &page, err);
        gf__json_free(before);
        if (st == GF_OK && append_page(page, query, all) != GF_OK)
            st = gf__error_nomem(err, "a list", 0);
        is_more = gf__json_find(page, "nextPageToken") != NULL && !is_enough(query, all);
    }
    gf__json_free(page);
    if (st != GF_OK) {
        gf__json_free(all);
        return st;
    }
    *out = all;
    return GF_OK;
}

/* ---- names ----------------------------------------------------------------------------------- */

void gf__url_encode(gf__buffer *out, const char *text, bool keeps_slashes)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~";
    for (const char *c = text; *c != '\0'; c++) {
        if (strchr(plain, *c) != NULL || (keeps_slashes && *c == '/'))
            gf__buffer_append(out, c, 1);
        else
            gf__buffer_printf(out, "%%%02X", (unsigned)(unsigned char)*c);
    }
}

static char *take_text(gf__buffer *buffer)
{
    char *text = gf__buffer_take(buffer, NULL);
    gf__buffer_free(buffer);
    return text;
}

static bool is_full_name(const char *name)
{
    return strncmp(name, "projects/", 9) == 0;
}

char *gf__model_path(const gf__remote *remote, const char *model, const char *version,
                     const char *suffix)
{
    gf__buffer path = {0};
    gf__buffer_puts(&path, "/v1/");
    if (version != NULL && is_full_name(version)) {
        gf__url_encode(&path, version, true);
        version = model = NULL;
    } else if (model != NULL && is_full_name(model)) {
        gf__url_encode(&path, model, true);
    } else {
        gf__buffer_puts(&path, "projects/");
        gf__url_encode(&path, remote->project, false);
        gf__buffer_puts(&path, "/models");
        if (model != NULL)
            gf__buffer_puts(&path, "/");
        gf__url_encode(&path, model != NULL ? model : "", false);
    }
    if (version != NULL) {
        gf__buffer_puts(&path, "/versions/");
        gf__url_encode(&path, version, false);
    }
    gf__buffer_puts(&path, suffix != NULL ? suffix : "");
    return take_text(&path);
}

/* Of a collection of the project, or of one in it. */
static char *path_of(const gf__remote *remote, const char *collection, const char *name,
                     const char *suffix)
{
    gf__buffer path = {0};
    gf__buffer_puts(&path, "/v1/");
    if (name != NULL && is_full_name(name)) {
        gf__url_encode(&path, name, true);
    } else {
        gf__buffer_puts(&path, "projects/");
        gf__url_encode(&path, remote->project, false);
        gf__buffer_printf(&path, "/%s%s", collection, name != NULL ? "/" : "");
        gf__url_encode(&path, name != NULL ? name : "", false);
    }
    gf__buffer_puts(&path, suffix != NULL ? suffix : "");
    return take_text(&path);
}

char *gf__operation_path(const gf__remote *remote, const char *operation, const char *suffix)
{
    return path_of(remote, "operations", operation, suffix);
}

char *gf__job_path(const gf__remote *remote, const char *job, const char *suffix)
{
    return path_of(remote, "jobs", job, suffix);
}

/* ---- operations ------------------------------------------------------------------------------ */

/* google.rpc.Code, as an operation's error has it. */
static gf_status status_of_rpc_code(int64_t code)
{
    static const gf_status statuses[] = {
        GF_EIO,          GF_ECANCELED, GF_EIO,          GF_EINVAL,        GF_ETIMEOUT, GF_ENOTFOUND,
        GF_EEXISTS,      GF_EDENIED,   GF_EOVERLOAD,    GF_EPRECONDITION, GF_EBUSY,    GF_EINVAL,
        GF_EUNSUPPORTED, GF_EIO,       GF_EUNAVAILABLE, GF_EFORMAT,       GF_EAUTH,
    };
    return code > 0 && code < (int64_t)(sizeof statuses / sizeof statuses[0]) ? statuses[code]
                                                                              : GF_EIO;
}

static gf_status judge_operation(const gf__json *operation, gf_error *err)
{
    const gf__json *error = gf__json_find(operation, "error");
    if (error == NULL)
        return GF_OK;
    return refuse(status_of_rpc_code(gf__json_int(gf__json_find(error, "code"), 0)),
                  gf__json_string(gf__json_find(error, "message"), "the operation failed"), "",
                  err);
}

gf_status gf__remote_wait(gf__cli *cli, gf__remote *remote, gf__json **operation, gf_error *err)
{
    const char *name = gf__json_string(gf__json_find(*operation, "name"), "");
    char *path = gf__operation_path(remote, name, NULL);
    gf_status st = path != NULL ? GF_OK : gf__error_nomem(err, "an address", 0);
    long wait_ms = FIRST_POLL_MS;
    if (!gf__json_bool(gf__json_find(*operation, "done"), false))
        gf__cli_note(cli, "waiting for %s", name);
    while (st == GF_OK && !gf__json_bool(gf__json_find(*operation, "done"), false)) {
        gf__json *now = NULL;
        nanosleep(
            &(const struct timespec){.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000},
            NULL);
        wait_ms = wait_ms * 3 / 2 < LAST_POLL_MS ? wait_ms * 3 / 2 : LAST_POLL_MS;
        st = gf__cli_is_interrupted() ? GF_ECANCELED
                                      : gf__remote_call(remote, "GET", path, NULL, &now, err);
        if (st == GF_ECANCELED && gf__cli_is_interrupted())
            gf_error_set(err, st, "not waited for any longer; it goes on: graft operations wait %s",
                         name);
        if (st == GF_OK) {
            gf__json_free(*operation);
            *operation = now;
            name = gf__json_string(gf__json_find(now, "name"), "");
        }
    }
    gf__free(path);
    return st == GF_OK ? judge_operation(*operation, err) : st;
}

gf_status gf__confirm(gf__cli *cli, const char *fmt, ...)
{
    char line[16];
    va_list args;
    if (cli->is_quiet || isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1)
        return GF_OK;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, " (y/N) ");
    fflush(stderr);
    if (fgets(line, sizeof line, stdin) != NULL && (line[0] == 'y' || line[0] == 'Y'))
        return GF_OK;
    return GF_ECANCELED;
}
