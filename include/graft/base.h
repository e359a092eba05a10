/* graft/base.h: status codes, errors, progress and version; every other header includes this one.
 *
 *     gf_error err;
 *     gf_dataset *flowers = NULL;
 *     if (gf_dataset_open("flowers/", NULL, NULL, &flowers, &err) != GF_OK)
 *         fprintf(stderr, "%s\n", err.message);
 *
 * Every function that can fail returns a gf_status and takes a gf_error last; the error may be
 * NULL. The library never prints, exits, aborts or reads the environment, and keeps no mutable
 * globals.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_BASE_H
#define GRAFT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define GF_BEGIN_DECLS extern "C" {
#define GF_END_DECLS   }
#else
#define GF_BEGIN_DECLS
#define GF_END_DECLS
#endif

#if defined(__GNUC__)
#define GF_API __attribute__((visibility("default")))
#define GF_PRINTF(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))
#else
#define GF_API
#define GF_PRINTF(format_index, first_index)
#endif

GF_BEGIN_DECLS

typedef enum gf_status {
    GF_OK = 0,
    GF_EINVAL,        /* an option or argument has a value that cannot be used */
    GF_ENOMEM,        /* memory could not be had */
    GF_EIO,           /* the system refused a read, write, open, rename ... */
    GF_ENOTFOUND,     /* a file, layer, class or model of that name does not exist */
    GF_EFORMAT,       /* bytes that are not what their format promises: corrupt, truncated */
    GF_ESHAPE,        /* a tensor or layer of another shape than needed */
    GF_EUNSUPPORTED,  /* well-formed, understood, and not something graft does */
    GF_ELIMIT,        /* over a limit that protects the program; the message names the option */
    GF_EMISMATCH,     /* a checksum, self-test or recorded identity does not agree */
    GF_EBUSY,         /* somebody else holds it, or has changed it meanwhile */
    GF_EEXISTS,       /* something of that name is there already */
    GF_EPRECONDITION, /* not in the present state; the message names what must come first */
    GF_ENETWORK,      /* a host could not be reached or answered with an error */
    GF_ECANCELED,     /* the caller's progress callback asked to stop */
    GF_EAUTH,         /* who asks did not say who they are, or not in a way that holds */
    GF_EDENIED,       /* known, and not allowed to do this */
    GF_EOVERLOAD,     /* a queue is full: nothing was begun, try again a little later */
    GF_EUNAVAILABLE,  /* starting, stopping, or gone in the middle: try again */
    GF_ETIMEOUT       /* not done within the time that was given */
} gf_status;

/* "GF_EFORMAT" for GF_EFORMAT; "GF_?" for a value that is none. Static storage. */
GF_API const char *gf_status_name(gf_status status);

#define GF_ERROR_MAX 512

/* Owned by the caller, filled by the function that failed, untouched on success. */
typedef struct gf_error {
    gf_status code;
    char message[GF_ERROR_MAX]; /* one line, UTF-8, no newline, no "error:" */
} gf_error;

/* Fills *err (if not NULL) and returns code, so that failing is one statement. */
GF_API gf_status gf_error_set(gf_error *err, gf_status code, const char *fmt, ...) GF_PRINTF(3, 4);

typedef enum gf_log_level { GF_LOG_DEBUG, GF_LOG_INFO, GF_LOG_WARNING } gf_log_level;

/* How far a long piece of work is. Strings are valid during the callback only. */
typedef struct gf_progress {
    const char *stage; /* "features", "download", "check" ... */
    uint64_t n_done;
    uint64_t n_total; /* 0 where the end is not known */
    const char *item; /* what was done last, or NULL */
} gf_progress;

/* What long work tells its caller. All members may be NULL; the callbacks of one call are never
 * made by two threads at once. progress returns false to stop the work with GF_ECANCELED. */
typedef struct gf_observer {
    bool (*progress)(void *user, const gf_progress *progress);
    void (*log)(void *user, gf_log_level level, const char *message);
    void *user;
} gf_observer;

/* "0.1.0". Static storage. */
GF_API const char *gf_version(void);

/* Threads worth starting here: the smaller of the CPU affinity mask and the cgroup CPU quota
 * (v1 or v2) rounded down, at least 1. Reads /proc and /sys at every call. */
GF_API int gf_threads_available(void);

GF_END_DECLS

#endif
