/* base/error.c: filling a gf_error, and calling an observer that may not be there.
 *
 * A message is one line of UTF-8 whatever went into it: names of files and bytes of broken input
 * end up in messages, and messages end up in terminals, logs and JSON. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

const char *gf_status_name(gf_status status)
{
    switch (status) {
    case GF_OK:
        return "GF_OK";
    case GF_EINVAL:
        return "GF_EINVAL";
    case GF_ENOMEM:
        return "GF_ENOMEM";
    case GF_EIO:
        return "GF_EIO";
    case GF_ENOTFOUND:
        return "GF_ENOTFOUND";
    case GF_EFORMAT:
        return "GF_EFORMAT";
    case GF_ESHAPE:
        return "GF_ESHAPE";
    case GF_EUNSUPPORTED:
        return "GF_EUNSUPPORTED";
    case GF_ELIMIT:
        return "GF_ELIMIT";
    case GF_EMISMATCH:
        return "GF_EMISMATCH";
    case GF_EBUSY:
        return "GF_EBUSY";
    case GF_EEXISTS:
        return "GF_EEXISTS";
    case GF_EPRECONDITION:
        return "GF_EPRECONDITION";
    case GF_ENETWORK:
        return "GF_ENETWORK";
    case GF_ECANCELED:
        return "GF_ECANCELED";
    case GF_EAUTH:
        return "GF_EAUTH";
    case GF_EDENIED:
        return "GF_EDENIED";
    case GF_EOVERLOAD:
        return "GF_EOVERLOAD";
    case GF_EUNAVAILABLE:
        return "GF_EUNAVAILABLE";
    case GF_ETIMEOUT:
        return "GF_ETIMEOUT";
    }
    return "GF_?";
}

const char *gf_version(void)
{
    return GRAFT_VERSION;
}

/* In place: control characters become spaces, bytes that are not UTF-8 question marks. A character
 * that truncation cut in two is dropped. */
static void make_presentable(char *text)
{
    const size_t n_bytes = strlen(text);
    const bool is_truncated = n_bytes == GF_ERROR_MAX - 1;
    size_t i = 0;
    while (i < n_bytes) {
        const size_t length = gf__utf8_length(text + i, n_bytes - i);
        if (length == 0 && is_truncated && n_bytes - i < 4 && (text[i] & 0x40) != 0) {
            text[i] = '\0';
            return;
        }
        if (length == 0)
            text[i] = '?';
        else if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = ' ';
        else if (text[i] == '\xc2' && (unsigned char)text[i + 1] < 0xa0)
            text[i] = text[i + 1] = ' '; /* U+0080 to U+009F: terminals obey these as well */
        i += length > 0 ? length : 1;
    }
}

/* Cuts what does not fit. Through a copy, since an argument may be err->message itself. */
static void format_message(gf_error *err, const char *fmt, va_list args) GF_PRINTF(2, 0);
static void format_message(gf_error *err, const char *fmt, va_list args)
{
    char text[GF_ERROR_MAX];
    if (vsnprintf(text, sizeof text, fmt, args) < 0)
        text[0] = '\0';
    make_presentable(text);
    memcpy(err->message, text, strlen(text) + 1);
}

gf_status gf_error_set(gf_error *err, gf_status code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, fmt);
    err->code = code;
    format_message(err, fmt, args);
    va_end(args);
    return code;
}

static void join_message(gf_error *err, const char *head, const char *tail)
{
    gf_error_set(err, err->code, "%s: %s", head, tail);
}

void gf__error_prefix(gf_error *err, const char *fmt, ...)
{
    if (err == NULL)
        return;
    gf_error prefix;
    va_list args;
    va_start(args, fmt);
    format_message(&prefix, fmt, args);
    va_end(args);
    join_message(err, prefix.message, err->message);
}

static gf_status status_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOENT:
        return GF_ENOTFOUND;
    case ENOMEM:
        return GF_ENOMEM;
    default:
        return GF_EIO;
    }
}

gf_status gf__error_errno(gf_error *err, int errno_value, const char *fmt, ...)
{
    const gf_status code = status_of_errno(errno_value);
    if (err == NULL)
        return code;

    char text[128];
    const char *reason = strerror_r(errno_value, text, sizeof text);
    if (errno_value == ENOSPC)
        reason = "the disk is full; free some space and try again";
    if (errno_value == EDQUOT)
        reason = "the disk quota is used up; free some space and try again";

    va_list args;
    va_start(args, fmt);
    err->code = code;
    format_message(err, fmt, args);
    va_end(args);
    join_message(err, err->message, reason);
    return code;
}

gf_status gf__observe_progress(const gf_observer *obs, const char *stage, uint64_t n_done,
                               uint64_t n_total, const char *item, gf_error *err)
{
    if (obs == NULL || obs->progress == NULL)
        return GF_OK;
    const gf_progress progress = {
        .stage = stage, .n_done = n_done, .n_total = n_total, .item = item};
    if (obs->progress(obs->user, &progress))
        return GF_OK;
    return gf_error_set(err, GF_ECANCELED, "stopped");
}

void gf__observe_log(const gf_observer *obs, gf_log_level level, const char *fmt, ...)
{
    if (obs == NULL || obs->log == NULL)
        return;
    gf_error line;
    va_list args;
    va_start(args, fmt);
    format_message(&line, fmt, args);
    va_end(args);
    obs->log(obs->user, level, line.message);
}
