/* jobs/log_priv.h: what the writer and the readers of a job's log share: names and first lines. */
#ifndef GRAFT_JOBS_LOG_PRIV_H
#define GRAFT_JOBS_LOG_PRIV_H

#include "jobs/log.h"

/* DIR/log for 0, DIR/log.1 for 1 ...: new. */
char *gf__job_log_name(const char *dir, int i);
/* One of the files: *start is the offset of its first line, *head_bytes how long the line is that
 * says so. false: it has none (yet). */
bool gf__job_log_head(int fd, uint64_t *start, size_t *head_bytes);

#endif
