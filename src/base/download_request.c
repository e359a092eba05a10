/* base/download_request.c: one HTTP request of a download.
 *
 * The first byte of the answer decides what happens to the bytes already there: 206 goes on behind
 * them, 200 starts over, anything else is an error whose body is thrown away. */
#include "base/download_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/curl_priv.h"
#include "base/error.h"
#include "base/mem.h"

#define N_REDIRECTS        10L
#define PROGRESS_EVERY_MS  100
#define MAX_RETRY_AFTER_MS 60000

typedef struct request {
    gf__curl curl;
    CURL *handle;
    const char *url;
    const gf__download_options *options;
    const gf_observer *obs;
    gf__partial *part;

    bool is_answered;                  /* a header or a byte has come */
    bool is_begun;                     /* begin_body() has decided */
    bool is_discarding;                /* the body is an error page */
    uint64_t range_start, range_total; /* from Content-Range */
    char etag[sizeof((gf__partial *)0)->etag];
    curl_off_t n_seen; /* at last_change_ms */
    int64_t last_change_ms, last_progress_ms;

    gf_status status; /* of what a callback found: a full disk, a limit, a stop */
    gf_error failure;
    char own_reason[128]; /* why a callback gave the request up */
    char curl_reason[CURL_ERROR_SIZE];
} request;

static bool give_up(request *r, gf_status status)
{
    r->status = status;
    return false;
}

gf_status gf__partial_clear(gf__partial *part, gf_error *err)
{
    part->n_have = 0;
    part->etag[0] = '\0';
    if (ftruncate(part->fd, 0) != 0)
        return gf__error_errno(err, errno, "%s: cannot write", part->path);
    return GF_OK;
}

static bool clear_part(request *r)
{
    const gf_status st = gf__partial_clear(r->part, &r->failure);
    return st == GF_OK || give_up(r, st);
}

static bool is_within_limit(request *r, uint64_t n_bytes)
{
    const uint64_t limit = r->options->limit_bytes;
    if (limit == 0 || n_bytes <= limit)
        return true;
    return give_up(r,
                   gf_error_set(&r->failure, GF_ELIMIT,
                                "%s: larger than the limit of %" PRIu64 " bytes", r->url, limit));
}

static long response_code(const request *r)
{
    long code = 0;
    r->curl.getinfo(r->handle, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

/* Whether a 206 is the rest of what is there. A server that ignores If-Range may send that of a
 * newer file. */
static bool continues_part(request *r)
{
    const gf__partial *part = r->part;
    if (r->range_start != part->n_have)
        snprintf(r->own_reason, sizeof r->own_reason,
                 "asked for bytes from %" PRIu64 " on, the server sent those from %" PRIu64,
                 part->n_have, r->range_start);
    else if (part->etag[0] != '\0' && r->etag[0] != '\0' && strcmp(part->etag, r->etag) != 0)
        snprintf(r->own_reason, sizeof r->own_reason, "the file changed while it was downloaded");
    return r->own_reason[0] == '\0';
}

/* Called at the first byte of a body, or after a body without one; false stops the attempt. */
static bool begin_body(request *r)
{
    const long code = response_code(r); /* 0 for file:// */
    r->is_begun = true;
    if (code != 0 && (code < 200 || code > 299)) {
        r->is_discarding = true;
        return true;
    }
    if (code == 206 && !continues_part(r)) {
        clear_part(r);
        return false;
    }
    if (code != 206) {
        if (!clear_part(r))
            return false;
        memcpy(r->part->etag, r->etag, sizeof r->etag);
    }
    curl_off_t n_coming = -1;
    r->curl.getinfo(r->handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &n_coming);
    r->part->n_total = n_coming >= 0 ? r->part->n_have + (uint64_t)n_coming : 0;
    return is_within_limit(r, r->part->n_total);
}

static size_t receive_body(char *bytes, size_t item_bytes, size_t n_items, void *user)
{
    request *r = user;
    const size_t n_bytes = item_bytes * n_items;
    if (!r->is_begun && !begin_body(r))
        return 0;
    if (r->is_discarding)
        return n_bytes;
    if (!is_within_limit(r, r->part->n_have + n_bytes))
        return 0;
    for (size_t n_done = 0; n_done < n_bytes;) {
        const ssize_t n = pwrite(r->part->fd, bytes + n_done, n_bytes - n_done,
                                 (off_t)r->part->n_have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            give_up(r, gf__error_errno(&r->failure, errno, "%s: cannot write", r->part->path));
            return 0;
        }
        n_done += (size_t)n;
        r->part->n_have += (uint64_t)n;
    }
    return n_bytes;
}

/* The value of a header line of that name without the white space around it, or NULL. */
static char *match_header(char *line, const char *name)
{
    const size_t n_chars = strlen(name);
    if (strncasecmp(line, name, n_chars) != 0 || line[n_chars] != ':')
        return NULL;
    char *value = line + n_chars + 1;
    value += strspn(value, " \t");
    size_t n_value = strlen(value);
    while (n_value > 0 && strchr(" \t\r\n", value[n_value - 1]) != NULL)
        value[--n_value] = '\0';
    return value;
}

/* "bytes 100-199/200", "bytes 100-199/" and a star, or (416) "bytes " and a star "/200". */
static void read_content_range(request *r, const char *value)
{
    if (strncasecmp(value, "bytes ", 6) != 0)
        return;
    r->range_start = strtoull(value + 6, NULL, 10);
    const char *slash = strchr(value, '/');
    r->range_total = slash != NULL ? strtoull(slash + 1, NULL, 10) : 0;
}

static size_t receive_header(char *bytes, size_t item_bytes, size_t n_items, void *user)
{
    request *r = user;
    const size_t n_bytes = item_bytes * n_items;
    char line[512];
    r->is_answered = true;
    if (n_bytes >= sizeof line)
        return n_bytes; /* nothing that is looked at here is that long */
    memcpy(line, bytes, n_bytes);
    line[n_bytes] = '\0';

    if (strncasecmp(line, "HTTP/", 5) == 0) { /* a new answer: after a redirect, or 100 Continue */
        r->range_start = r->range_total = 0;
        r->etag[0] = '\0';
    }
    const char *range = match_header(line, "Content-Range");
    if (range != NULL)
        read_content_range(r, range);
    const char *etag = match_header(line, "ETag");
    if (etag != NULL && etag[0] == '"') /* a weak one (W/"...") does not promise the same bytes */
        snprintf(r->etag, sizeof r->etag, "%s", strlen(etag) < sizeof r->etag ? etag : "");
    return n_bytes;
}

static bool report_progress(request *r)
{
    r->last_progress_ms = gf__clock_ms();
    const gf_status st = gf__observe_progress(r->obs, "download", r->part->n_have, r->part->n_total,
                                              r->url, &r->failure);
    return st == GF_OK || give_up(r, st);
}

/* curl calls this all the time, and at least once a second while nothing happens. */
static int watch_request(void *user, curl_off_t n_expected, curl_off_t n_received,
                         curl_off_t n_to_send, curl_off_t n_sent)
{
    request *r = user;
    const int64_t now = gf__clock_ms();
    if (n_received != r->n_seen) {
        r->n_seen = n_received;
        r->last_change_ms = now;
    }
    const int64_t patience_ms = r->options->stall_timeout_ms +
                                (r->is_answered ? 0 : r->options->connect_timeout_ms);
    if (now - r->last_change_ms > patience_ms) {
        snprintf(r->own_reason, sizeof r->own_reason, "nothing came for %" PRId64 " ms",
                 now - r->last_change_ms);
        return 1;
    }
    if (now - r->last_progress_ms >= PROGRESS_EVERY_MS && !report_progress(r))
        return 1;
    return 0;
}

static CURLcode limit_protocols(const request *r)
{
    const gf__curl *curl = &r->curl;
#if LIBCURL_VERSION_NUM >= 0x075500
    const CURLcode code = curl->setopt(r->handle, CURLOPT_PROTOCOLS_STR, "http,https,file");
    if (code != CURLE_OK)
        return code;
    return curl->setopt(r->handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    curl->setopt(r->handle, CURLOPT_PROTOCOLS,
                 (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS | CURLPROTO_FILE));
    return curl->setopt(r->handle, CURLOPT_REDIR_PROTOCOLS,
                        (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

static CURLcode set_options(request *r)
{
    const gf__curl *curl = &r->curl;
    CURL *handle = r->handle;
    curl->setopt(handle, CURLOPT_URL, r->url);
    curl->setopt(handle, CURLOPT_USERAGENT, "graft/" GRAFT_VERSION);
    curl->setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl->setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
    curl->setopt(handle, CURLOPT_MAXREDIRS, N_REDIRECTS);
    curl->setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, r->options->connect_timeout_ms);
    curl->setopt(handle, CURLOPT_ERRORBUFFER, r->curl_reason);
    curl->setopt(handle, CURLOPT_HEADERFUNCTION, receive_header);
    curl->setopt(handle, CURLOPT_HEADERDATA, r);
    curl->setopt(handle, CURLOPT_WRITEFUNCTION, receive_body);
    curl->setopt(handle, CURLOPT_WRITEDATA, r);
    curl->setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl->setopt(handle, CURLOPT_XFERINFOFUNCTION, watch_request);
    curl->setopt(handle, CURLOPT_XFERINFODATA, r);
    return limit_protocols(r);
}

/* "If-Range: ETAG" makes a server whose file has changed send all of the new one. */
static CURLcode ask_for_rest(request *r, struct curl_slist **headers)
{
    if (r->part->n_have == 0 || strncasecmp(r->url, "file:", 5) == 0)
        return CURLE_OK;
    char text[sizeof r->part->etag + 16];
    snprintf(text, sizeof text, "%" PRIu64 "-", r->part->n_have);
    const CURLcode code = r->curl.setopt(r->handle, CURLOPT_RANGE, text);
    if (code != CURLE_OK || r->part->etag[0] == '\0')
        return code;
    snprintf(text, sizeof text, "If-Range: %s", r->part->etag);
    *headers = r->curl.slist_append(NULL, text);
    if (*headers == NULL)
        return CURLE_OUT_OF_MEMORY;
    return r->curl.setopt(r->handle, CURLOPT_HTTPHEADER, *headers);
}

static bool is_passing_code(CURLcode code)
{
    static const CURLcode codes[] = {
        CURLE_COULDNT_RESOLVE_PROXY,
        CURLE_COULDNT_RESOLVE_HOST,
        CURLE_COULDNT_CONNECT,
        CURLE_PARTIAL_FILE,
        CURLE_OPERATION_TIMEDOUT,
        CURLE_SSL_CONNECT_ERROR,
        CURLE_GOT_NOTHING,
        CURLE_SEND_ERROR,
        CURLE_RECV_ERROR,
        CURLE_HTTP2,
        CURLE_HTTP2_STREAM,
        CURLE_WRITE_ERROR,
        CURLE_ABORTED_BY_CALLBACK, /* these two by ourselves: a wrong range, a stall */
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] == code)
            return true;
    }
    return false;
}

static bool is_passing_answer(long answer)
{
    return answer == 408 || answer == 416 || answer == 429 || (answer >= 500 && answer != 501);
}

/* What a callback put into r->status is final; what it put into own_reason (a stall, a wrong range)
 * is worth another try. */
static gf_status judge_curl_code(const request *r, CURLcode code, bool *is_passing, gf_error *err)
{
    if (r->status != GF_OK)
        return gf_error_set(err, r->status, "%s", r->failure.message);
    if (code == CURLE_OUT_OF_MEMORY)
        return gf__error_nomem(err, "a download", 0);
    const char *reason = r->own_reason;
    if (reason[0] == '\0')
        reason = r->curl_reason[0] != '\0' ? r->curl_reason : r->curl.strerror(code);
    *is_passing = is_passing_code(code) || r->own_reason[0] != '\0';
    return gf_error_set(err, code == CURLE_FILE_COULDNT_READ_FILE ? GF_ENOTFOUND : GF_ENETWORK,
                        "%s: %s", r->url, reason);
}

static gf_status judge_answer(request *r, long answer, bool *is_passing, gf_error *err)
{
    if (!r->is_discarding)
        return GF_OK;
    if (answer == 416 && r->part->n_have > 0 && r->range_total == r->part->n_have)
        return GF_OK; /* nothing was left to send */
    if (answer == 416 && !clear_part(r))
        return gf_error_set(err, r->status, "%s", r->failure.message);
    *is_passing = is_passing_answer(answer);
    return gf_error_set(err, answer == 404 || answer == 410 ? GF_ENOTFOUND : GF_ENETWORK,
                        "%s: the server answered %ld", r->url, answer);
}

static int64_t asked_wait_ms(const request *r)
{
    curl_off_t wait_s = 0;
    r->curl.getinfo(r->handle, CURLINFO_RETRY_AFTER, &wait_s);
    if (wait_s <= 0)
        return 0;
    return wait_s < MAX_RETRY_AFTER_MS / 1000 ? wait_s * 1000 : MAX_RETRY_AFTER_MS;
}

static gf_status send_request(request *r, gf__request_verdict *verdict, gf_error *err)
{
    struct curl_slist *headers = NULL;
    CURLcode code = set_options(r);
    if (code == CURLE_OK)
        code = ask_for_rest(r, &headers);
    if (code == CURLE_OK)
        code = gf__curl_perform(&r->curl, r->handle);
    if (code == CURLE_OK && !r->is_begun && !begin_body(r))
        code = CURLE_WRITE_ERROR;

    verdict->wait_ms = asked_wait_ms(r);
    const gf_status st = code == CURLE_OK
                             ? judge_answer(r, response_code(r), &verdict->is_passing, err)
                             : judge_curl_code(r, code, &verdict->is_passing, err);
    r->curl.slist_free_all(headers);
    return st;
}

gf_status gf__request_rest(const char *url, const gf__download_options *options,
                           const gf_observer *obs, gf__partial *part, gf__request_verdict *verdict,
                           gf_error *err)
{
    request r = {.url = url, .options = options, .obs = obs, .part = part};
    r.last_change_ms = gf__clock_ms();
    *verdict = (gf__request_verdict){0};
    gf_status st = gf__curl_load(&r.curl, "downloads", err);
    if (st != GF_OK)
        return st;
    r.handle = r.curl.easy_init();
    if (r.handle == NULL)
        return gf__error_nomem(err, "a download", 0);
    st = send_request(&r, verdict, err);
    r.curl.easy_cleanup(r.handle);
    return st;
}
