/* tasks/child_priv.h: a child in memory. child.c waits and ends, child_output.c reads, child_start.c
 * starts. */
#ifndef GRAFT_TASKS_CHILD_PRIV_H
#define GRAFT_TASKS_CHILD_PRIV_H

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "tasks/tasks_priv.h"

#define GF__CHILD_CHUNK_BYTES ((size_t)64 << 10) /* read at once: a pipe's worth */
#define GF__CHILD_TAIL_BYTES  4096 /* of a child's last words that are kept in memory */

typedef struct gf__child_stream {
    int fd; /* -1: ended */
    const char *name;
    size_t n_bytes; /* of a line that has not ended */
    bool is_cut;    /* its beginning is in the log already */
    char line[GF__JOB_LINE_BYTES];
} gf__child_stream;

struct gf__child {
    gf__child *next;
    gf__task *task;
    pid_t pid;
    gf__child_stream streams[2];
    char *trial;
    void *user;
    bool has_ended, is_given, is_stopping, is_killed;
    int exit; /* as gf__child_exit() gives it */
    int64_t kill_at_ms;
    size_t n_tail;
    char tail[GF__CHILD_TAIL_BYTES + 1];
};

typedef struct gf__last_words { /* of a trial's child that has ended */
    struct gf__last_words *next;
    char *trial;
    char text[GF__CHILD_TAIL_BYTES + 1];
} gf__last_words;

struct gf__children {
    gf__child *first;
    size_t n;
    int stop_fd;  /* readable once SIGTERM or SIGINT came; never read, so that it stays so */
    int child_fd; /* SIGCHLD */
    sigset_t signals_before;
    struct pollfd *polled; /* 2 and 2 a child */
    char *chunk;           /* GF__CHILD_CHUNK_BYTES */
    gf__last_words *words;
};

/* Reads what is there, a pipe's worth at most, into log and tail; closes the stream at its end. */
void gf__child_read(gf__child *child, gf__child_stream *from);
/* What was written of a line without an end is a line. */
void gf__child_close_stream(gf__child *child, gf__child_stream *from);

static inline void gf__close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

#endif
