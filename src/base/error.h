/* base/error.h: what the library does with errors beyond setting them. */
#ifndef GRAFT_BASE_ERROR_H
#define GRAFT_BASE_ERROR_H

#include <stdarg.h>

#include "graft/base.h"

/* Puts "PREFIX: " before the message, once, by the layer that knows which item it was. The code
 * stays. */
void gf__error_prefix(gf_error *err, const char *fmt, ...) GF_PRINTF(2, 3);

/* gf_error_set() with ": strerror(errno_value)" at the end. ENOSPC gets a message that says the
 * disk is full, ENOENT the code GF_ENOTFOUND, ENOMEM GF_ENOMEM, everything else GF_EIO. */
gf_status gf__error_errno(gf_error *err, int errno_value, const char *fmt, ...) GF_PRINTF(3, 4);

/* Observers, with the NULL checks in one place. progress returns GF_OK or GF_ECANCELED
 * ("stopped"). */
gf_status gf__observe_progress(const gf_observer *obs, const char *stage, uint64_t n_done,
                               uint64_t n_total, const char *item, gf_error *err);
void gf__observe_log(const gf_observer *obs, gf_log_level level, const char *fmt, ...)
    GF_PRINTF(3, 4);

#endif
