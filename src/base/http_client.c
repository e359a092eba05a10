/* base/http_client.c: one curl handle a client: its connections stay open between requests. */
#include "base/http_client.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/curl_priv.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/mem.h"

#define PROGRESS_EVERY_MS 100

struct gf__http_client {
    gf__curl curl;
    CURL *handle;
    gf__http_options options;
};

/* One request while it runs. */
typedef struct exchange {
    gf__http_client *client;
    const gf__http_request *request;
    gf__http_answer *answer;
    gf__mapping file;   /* body_path */
    size_t n_sent;      /* of the body */
    gf__writer *writer; /* answer_path, from the first byte of a 2xx on */
    uint64_t n_received;
    int64_t last_change_ms, last_progress_ms;
    curl_off_t n_moved; /* both ways, at last_change_ms */
    gf_status status;   /* of what a callback found */
    gf_error failure;
    char reason[CURL_ERROR_SIZE];
} exchange;

gf__http_options gf__http_options_default(void)
{
    return (gf__http_options){
        .connect_timeout_ms = 10000,
        .stall_timeout_ms = 120000,
        .limit_bytes = (size_t)256 << 20,
    };
}

gf_status gf__http_client_new(const gf__http_options *options, gf__http_client **out, gf_error *err)
{
    gf__http_client *client = gf__calloc(1, sizeof *client);
    *out = NULL;
    if (client == NULL)
        return gf__error_nomem(err, "an HTTP client", sizeof *client);
    client->options = options != NULL ? *options : gf__http_options_default();
    gf_status st = gf__curl_load(&client->curl, "requests to a server", err);
    if (st == GF_OK) {
        client->handle = client->curl.easy_init();
        if (client->handle == NULL)
            st = gf__error_nomem(err, "an HTTP client", 0);
    }
    if (st == GF_OK) {
        *out = client;
        client = NULL;
    }
    gf__http_client_free(client);
    return st;
}

void gf__http_client_free(gf__http_client *client)
{
    if (client == NULL)
        return;
    if (client->handle != NULL)
        client->curl.easy_cleanup(client->handle);
    gf__free(client);
}

void gf__http_answer_free(gf__http_answer *answer)
{
    gf__buffer_free(&answer->body);
    *answer = (gf__http_answer){0};
}

/* The part of an address that messages name: what follows may hold a key. */
static int n_server_chars(const char *url)
{
    const char *host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    return (int)(host - url + (ptrdiff_t)strcspn(host, "/?#"));
}

static bool is_loopback(const char *url)
{
    static const char *const hosts[] = {"127.", "localhost", "[::1]"};
    const char *host = strstr(url, "://");
    for (size_t i = 0; host != NULL && i < sizeof hosts / sizeof hosts[0]; i++)
        if (strncasecmp(host + 3, hosts[i], strlen(hosts[i])) == 0)
            return true;
    return false;
}

static bool is_good(const exchange *e)
{
    long code = 0;
    e->client->curl.getinfo(e->client->handle, CURLINFO_RESPONSE_CODE, &code);
    return code >= 200 && code <= 299;
}

static bool is_answer_to_file(const exchange *e)
{
    return e->request->answer_path != NULL && is_good(e);
}

static size_t receive_body(char *bytes, size_t item_bytes, size_t n_items, void *user)
{
    exchange *e = user;
    const size_t n_bytes = item_bytes * n_items;
    e->n_received += n_bytes;
    if (is_answer_to_file(e)) {
        if (e->writer == NULL)
            e->status = gf__writer_open(e->request->answer_path, &e->writer, &e->failure);
        if (e->status != GF_OK)
            return 0;
        gf__writer_write(e->writer, bytes, n_bytes);
        return n_bytes;
    }
    if (e->request->take != NULL && is_good(e)) {
        e->status = e->request->take(e->request->take_user, bytes, n_bytes, &e->failure);
        return e->status == GF_OK ? n_bytes : 0;
    }
    if (n_bytes > e->client->options.limit_bytes - e->answer->body.size) {
        e->status = gf_error_set(
            &e->failure, GF_ELIMIT, "%.*s: the answer is larger than the limit of %zu bytes",
            n_server_chars(e->request->url), e->request->url, e->client->options.limit_bytes);
        return 0;
    }
    gf__buffer_append(&e->answer->body, bytes, n_bytes);
    e->status = gf__buffer_status(&e->answer->body, &e->failure);
    return e->status == GF_OK ? n_bytes : 0;
}

static size_t send_body(char *bytes, size_t item_bytes, size_t n_items, void *user)
{
    exchange *e = user;
    const size_t n_room = item_bytes * n_items, n_left = e->file.size - e->n_sent;
    const size_t n_bytes = n_left < n_room ? n_left : n_room;
    if (n_bytes > 0)
        memcpy(bytes, e->file.data + e->n_sent, n_bytes);
    e->n_sent += n_bytes;
    return n_bytes;
}

/* A connection that was kept open and turns out to be closed makes curl start the body again. */
static int rewind_body(void *user, curl_off_t offset, int origin)
{
    exchange *e = user;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > e->file.size)
        return CURL_SEEKFUNC_CANTSEEK;
    e->n_sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static bool report_progress(exchange *e, curl_off_t n_expected)
{
    const gf_observer *obs = &e->client->options.observer;
    e->last_progress_ms = gf__clock_ms();
    if (e->request->body_path != NULL)
        e->status = gf__observe_progress(obs, "upload", e->n_sent, e->file.size,
                                         e->request->body_path, &e->failure);
    else if (e->request->answer_path != NULL && e->writer != NULL)
        e->status = gf__observe_progress(obs, "download", e->n_received,
                                         n_expected > 0 ? (uint64_t)n_expected : 0,
                                         e->request->answer_path, &e->failure);
    return e->status == GF_OK;
}

/* curl calls this all the time, and at least once a second while nothing happens. */
static int watch(void *user, curl_off_t n_expected, curl_off_t n_received, curl_off_t n_to_send,
                 curl_off_t n_sent)
{
    exchange *e = user;
    const gf__http_options *options = &e->client->options;
    const int64_t now = gf__clock_ms();
    if (options->is_stopped != NULL && options->is_stopped(options->user)) {
        e->status = gf_error_set(&e->failure, GF_ECANCELED, "stopped");
        return 1;
    }
    if (n_received + n_sent != e->n_moved) {
        e->n_moved = n_received + n_sent;
        e->last_change_ms = now;
    }
    if (now - e->last_change_ms > options->stall_timeout_ms) {
        e->status = gf_error_set(&e->failure, GF_ENETWORK, "%.*s: no answer for %" PRId64 " ms",
                                 n_server_chars(e->request->url), e->request->url,
                                 now - e->last_change_ms);
        return 1;
    }
    return now - e->last_progress_ms < PROGRESS_EVERY_MS || report_progress(e, n_expected) ? 0 : 1;
}

static CURLcode limit_protocols(const exchange *e)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return e->client->curl.setopt(e->client->handle, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    return e->client->curl.setopt(e->client->handle, CURLOPT_PROTOCOLS,
                                  (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

/* The handle may still have the body of the request before: it has been reset. */
static CURLcode set_body(exchange *e, const char *method)
{
    const gf__curl *curl = &e->client->curl;
    CURL *handle = e->client->handle;
    if (e->request->body_path != NULL) {
        curl->setopt(handle, CURLOPT_UPLOAD, 1L);
        curl->setopt(handle, CURLOPT_READFUNCTION, send_body);
        curl->setopt(handle, CURLOPT_READDATA, e);
        curl->setopt(handle, CURLOPT_SEEKFUNCTION, rewind_body);
        curl->setopt(handle, CURLOPT_SEEKDATA, e);
        curl->setopt(handle, CURLOPT_INFILESIZE_LARGE, (curl_off_t)e->file.size);
    } else if (e->request->body != NULL) {
        curl->setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)e->request->n_body_bytes);
        curl->setopt(handle, CURLOPT_POSTFIELDS, (const char *)e->request->body);
    }
    return curl->setopt(handle, CURLOPT_CUSTOMREQUEST, method);
}

static CURLcode set_options(exchange *e)
{
    const gf__curl *curl = &e->client->curl;
    const gf__http_options *options = &e->client->options;
    CURL *handle = e->client->handle;
    curl->easy_reset(handle); /* connections stay */
    curl->setopt(handle, CURLOPT_URL, e->request->url);
    curl->setopt(handle, CURLOPT_USERAGENT, "graft/" GRAFT_VERSION);
    curl->setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl->setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, options->connect_timeout_ms);
    curl->setopt(handle, CURLOPT_ERRORBUFFER, e->reason);
    curl->setopt(handle, CURLOPT_WRITEFUNCTION, receive_body);
    curl->setopt(handle, CURLOPT_WRITEDATA, e);
    curl->setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl->setopt(handle, CURLOPT_XFERINFOFUNCTION, watch);
    curl->setopt(handle, CURLOPT_XFERINFODATA, e);
    if (options->ca_file != NULL) {
        curl->setopt(handle, CURLOPT_CAINFO, options->ca_file);
        curl->setopt(handle, CURLOPT_CAPATH, NULL);
    }
    if (is_loopback(e->request->url)) /* no proxy can reach this machine's own loopback */
        curl->setopt(handle, CURLOPT_PROXY, "");
    const bool has_body = e->request->body != NULL || e->request->body_path != NULL;
    const char *method = e->request->method;
    if (method == NULL)
        method = has_body ? "POST" : "GET";
    if (strcmp(method, "HEAD") == 0)
        curl->setopt(handle, CURLOPT_NOBODY, 1L);
    const CURLcode code = set_body(e, method);
    return code == CURLE_OK ? limit_protocols(e) : code;
}

/* Appends "NAME: VALUE"; false where memory is out. */
static bool add_header(const exchange *e, struct curl_slist **list, const char *name,
                       const char *value)
{
    char *line = gf__asprintf("%s: %s", name, value);
    struct curl_slist *longer = line != NULL ? e->client->curl.slist_append(*list, line) : NULL;
    gf__free(line);
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

static CURLcode set_headers(const exchange *e, struct curl_slist **list, char **authorization)
{
    const gf__http_request *request = e->request;
    const char *token = e->client->options.token;
    bool is_added = true;
    if (request->body != NULL || request->body_path != NULL)
        is_added = add_header(e, list, "Content-Type",
                              request->content_type != NULL ? request->content_type
                                                            : "application/json");
    if (is_added && request->accept != NULL)
        is_added = add_header(e, list, "Accept", request->accept);
    if (is_added && token != NULL) {
        *authorization = gf__asprintf("Bearer %s", token);
        is_added = *authorization != NULL && add_header(e, list, "Authorization", *authorization);
    }
    if (is_added && request->extra_header != NULL) {
        struct curl_slist *longer = e->client->curl.slist_append(*list, request->extra_header);
        is_added = longer != NULL;
        *list = longer != NULL ? longer : *list;
    }
    if (!is_added)
        return CURLE_OUT_OF_MEMORY;
    return e->client->curl.setopt(e->client->handle, CURLOPT_HTTPHEADER, *list);
}

/* libcurl's own words for a refused connection hold milliseconds and no reason. */
static gf_status judge_failure(const exchange *e, CURLcode code, gf_error *err)
{
    long os_errno = 0;
    if (e->status != GF_OK)
        return gf_error_set(err, e->status, "%s", e->failure.message);
    if (code == CURLE_OUT_OF_MEMORY)
        return gf__error_nomem(err, "a request", 0);
    e->client->curl.getinfo(e->client->handle, CURLINFO_OS_ERRNO, &os_errno);
    const char *reason = e->reason[0] != '\0' ? e->reason : e->client->curl.strerror(code);
    if (code == CURLE_COULDNT_CONNECT && os_errno != 0)
        reason = strerror((int)os_errno);
    const gf_status st = code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT
                             ? GF_EINVAL
                             : GF_ENETWORK;
    return gf_error_set(err, st, "%.*s: %s", n_server_chars(e->request->url), e->request->url,
                        reason);
}

/* What the headers said. */
static void note_answer(const exchange *e)
{
    gf__http_answer *answer = e->answer;
    long code = 0;
    char *type = NULL;
    curl_off_t retry_s = 0;
    e->client->curl.getinfo(e->client->handle, CURLINFO_RESPONSE_CODE, &code);
    e->client->curl.getinfo(e->client->handle, CURLINFO_CONTENT_TYPE, &type);
    e->client->curl.getinfo(e->client->handle, CURLINFO_RETRY_AFTER, &retry_s);
    answer->code = (int)code;
    answer->retry_after_s = retry_s > 0 && retry_s < 86400 ? (int)retry_s : 0;
    if (type == NULL)
        return;
    const size_t n_chars = strcspn(type, "; ");
    for (size_t i = 0; i < n_chars && i + 1 < sizeof answer->content_type; i++)
        answer->content_type[i] = (char)tolower((unsigned char)type[i]);
}

/* An empty file has no first byte that would have opened it. */
static gf_status finish_file(exchange *e, gf_error *err)
{
    gf_status st = GF_OK;
    if (e->writer == NULL && is_answer_to_file(e))
        st = gf__writer_open(e->request->answer_path, &e->writer, err);
    if (st == GF_OK && e->writer != NULL) {
        st = gf__writer_commit(e->writer, err);
        e->writer = NULL;
    }
    return st;
}

static gf_status perform(exchange *e, gf_error *err)
{
    struct curl_slist *headers = NULL;
    char *authorization = NULL;
    gf_status st = GF_OK;
    CURLcode code = set_options(e);
    if (code == CURLE_OK)
        code = set_headers(e, &headers, &authorization);
    if (code == CURLE_OK)
        code = gf__curl_perform(&e->client->curl, e->client->handle);
    note_answer(e);
    if (code == CURLE_OK && !report_progress(e, 0))
        code = CURLE_ABORTED_BY_CALLBACK;
    st = code == CURLE_OK ? finish_file(e, err) : judge_failure(e, code, err);
    e->client->curl.slist_free_all(headers);
    gf__free(authorization);
    return st;
}

gf_status gf__http_send(gf__http_client *client, const gf__http_request *request,
                        gf__http_answer *answer, gf_error *err)
{
    exchange e = {.client = client, .request = request, .answer = answer};
    gf_status st = GF_OK;
    *answer = (gf__http_answer){0};
    if (strncasecmp(request->url, "http://", 7) != 0 &&
        strncasecmp(request->url, "https://", 8) != 0)
        return gf_error_set(err, GF_EINVAL,
                            "%s: expected an address that begins with http:// or https://",
                            request->url);
    if (request->body_path != NULL)
        st = gf__map_file(request->body_path, &e.file, err);
    e.last_change_ms = gf__clock_ms();
    if (st == GF_OK)
        st = perform(&e, err);
    gf__writer_abort(e.writer);
    gf__unmap(&e.file);
    if (answer->body.data == NULL && st == GF_OK) {
        gf__buffer_puts(&answer->body, ""); /* a text, even if it is none */
        st = gf__buffer_status(&answer->body, err);
    }
    return st;
}
