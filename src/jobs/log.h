/* jobs/log.h: a job's log: written by its process, read by whoever streams it, at the same time. The
 * log is one sequence of lines however often it was rotated; an offset counts its bytes from the very
 * first. The oldest parts go when GF__JOB_LOG_FILES are full; offsets stay what they are.
 *
 * Files DIR/log (newest), DIR/log.1, ...; the first line of each is {"offset": N}, not a part of the
 * log. Writers: one at a time (the holder of DIR/lock). Readers: any, lock-free. */
#ifndef GRAFT_SRC_JOBS_LOG_H
#define GRAFT_SRC_JOBS_LOG_H

#include "base/base.h"

#define GF__JOB_LOG_BYTES  (16u << 20)
#define GF__JOB_LOG_FILES  4
#define GF__JOB_LINE_BYTES 16384 /* of a message; longer ones are cut into several lines */

typedef struct gf__job_log gf__job_log;
/* Appends to what is there; a half line that a killed writer left is cut off: no reader was shown
 * it. */
gf_status gf__job_log_open(const char *dir, gf__job_log **out, gf_error *err);
/* One line; what is no UTF-8, and NUL, is replaced. trial NULL: none. stream: "stdout", "stderr", "graft". Any thread.
 * GF_EIO: a full disk loses lines, never the job; *n_lost of close says how many. */
gf_status gf__job_log_write(gf__job_log *log, const char *stream, const char *trial,
                            const char *message, size_t n_bytes, gf_error *err);
void gf__job_log_close(gf__job_log *log, uint64_t *n_lost); /* NULL is fine, both */

/* Appends whole lines from *offset on, at most max_bytes (at least one line), and moves *offset behind
 * them. An offset before the oldest line begins there, one within a line at the next. Nothing new:
 * nothing appended, GF_OK; as long as something was, there may be more. No log yet: the same. */
gf_status gf__job_log_read(const char *dir, uint64_t *offset, size_t max_bytes, gf__buffer *out,
                           gf_error *err);
/* The messages of the last n_lines lines of the streams stdout and stderr, joined by '\n', at most max_bytes: what an errorMessage
 * ends with. New, "" without any. */
gf_status gf__job_log_tail(const char *dir, size_t n_lines, size_t max_bytes, char **out,
                           gf_error *err);

#endif
