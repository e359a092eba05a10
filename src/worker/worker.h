/* worker/worker.h: the door of worker: a sandboxed process that turns pictures into scores, and the
 * handle that whoever started it holds.
 *
 *     gf__worker *worker = NULL;
 *     gf__report report;
 *     st = gf__worker_start(&options, &worker, err);          it is being made ready meanwhile
 *     st = gf__worker_load(worker, 7, "/home/x/blobs/ab/abcd...", err);
 *     st = gf__worker_run(worker, &(gf__run){.id = 1, .head = 7, .kind = GF__RUN_PICTURE, ...}, err);
 *     while (gf__worker_receive(worker, &report, err) == GF_OK)
 *         READY, LOADED, RESULT ... one after the other
 *     gf__worker_stop(worker); gf__worker_wait(worker, &end); gf__worker_free(worker);
 *
 * One process runs one trunk (or none: heads that are fed numbers) and any number of heads on any of
 * the cuts that were named at the start. It maps trunk and packs, compiles its plans, then gives up
 * the file system, the network, new processes and its capabilities for good, and only then decodes
 * what strangers sent. Model files reach it as open files. It ends when its socket does.
 *
 * Messages go over one socket pair, framed (worker/protocol.h). Requests are taken in order: a load
 * is done before the runs that were sent after it. Runs are answered as they are done.
 * Threads: one thread receives; any threads send; one waits. */
#ifndef GRAFT_SRC_WORKER_H
#define GRAFT_SRC_WORKER_H

#include <sys/types.h>

#include "base/base.h"
#include "graft/engine.h"
#include "graft/model.h"

typedef struct gf__worker_options {
    const char *program; /* started as `PROGRAM worker`: the program graft itself */
    const char *home;    /* trunks/ and packs/ */
    /* The trunk: by name and SHA-256 from HOME/trunks; or the one inside the model file trunk_file
     * (made with --bundle); both NULL: no trunk, GF__RUN_NUMBERS only. */
    const char *trunk_sha256, *trunk_name;
    const char *trunk_file;
    gf_precision precision; /* never AUTO where there is a trunk */
    const gf_output_spec
        *cuts; /* the layers that heads may be loaded for; n_cuts > 0 with a trunk */
    size_t n_cuts;
    int n_threads;             /* at least 1 */
    uint64_t max_pixels;       /* 0: the default of gf_image_options */
    uint64_t max_memory_bytes; /* address space (RLIMIT_AS); 0: none */
} gf__worker_options;

typedef struct gf__worker gf__worker;

/* Starts the process; it reports READY (or FAILED and then its end) later. GF_EIO, GF_ENOMEM. */
gf_status gf__worker_start(const gf__worker_options *options, gf__worker **out, gf_error *err);
pid_t gf__worker_pid(const gf__worker *worker);

/* Hands the model file over, to be known as head from now on; reports LOADED. The worker checks
 * that the model's trunk and cut are its own. It reads the weights where they lie: the file may be
 * removed or replaced meanwhile, but not written to. GF_ENOTFOUND, GF_EIO the file cannot be opened;
 * GF_EUNAVAILABLE (of all sends) the worker is gone. */
gf_status gf__worker_load(gf__worker *worker, uint64_t head, const char *model_path, gf_error *err);
/* Frees the head after the runs sent before, and gives its memory back to the system. No report. */
gf_status gf__worker_unload(gf__worker *worker, uint64_t head, gf_error *err);
/* How many of its threads may run at the same time from now on, 1 to n_threads: with fewer than
 * all, pictures get one thread each. */
gf_status gf__worker_share(gf__worker *worker, int n_threads, gf_error *err);

typedef enum gf__run_kind {
    GF__RUN_PICTURE, /* an encoded picture (JPEG, PNG ...): decoded, turned, resized */
    GF__RUN_PIXELS,  /* uint8 RGB (height, width, 3): resized where the size differs */
    GF__RUN_SCALED,  /* float32 (height, width, 3) in [-1,1]: as gf__preprocess() takes SCALED */
    GF__RUN_NUMBERS, /* float32 (n): what the head itself takes: a feature vector, or table columns */
    GF__RUN_SELF_TEST /* no bytes: replays the head's samples. scores[0]: largest difference found */
} gf__run_kind;

typedef struct gf__run {
    uint64_t id;   /* the caller's; comes back in the report */
    uint64_t head; /* of a gf__worker_load() before */
    gf__run_kind kind;
    const void *bytes; /* borrowed for the call */
    size_t n_bytes;
    size_t height, width; /* PIXELS, SCALED */
    bool wants_debug;     /* logits and hashes in the report */
} gf__run;
gf_status gf__worker_run(gf__worker *worker, const gf__run *run, gf_error *err);

/* Where a run's time went, and with whom it shared it. */
typedef struct gf__run_timing {
    double wait_ms; /* in the worker, before a thread took it */
    double decode_ms, network_ms, head_ms;
    uint32_t n_batch;   /* runs that were under way or answered by the same pass, itself included */
    uint32_t n_threads; /* that shared its network pass */
} gf__run_timing;

typedef enum gf__report_kind {
    GF__REPORT_READY,  /* plans compiled, locked down: start_ms, precision */
    GF__REPORT_FAILED, /* it could not be made ready (status, message); its end follows */
    GF__REPORT_LOADED, /* head; status and message, or resident_bytes and load_ms */
    GF__REPORT_RESULT  /* id; status and message, or scores ... */
} gf__report_kind;

/* What a worker tells. Pointers are valid until the next receive. */
typedef struct gf__report {
    gf__report_kind kind;
    gf_status status;
    const char *message; /* "" with GF_OK */
    /* READY */
    gf_precision precision;
    double start_ms;        /* from the start of the process until now */
    bool is_locked_down_fs; /* Landlock as well as seccomp: tells how, not whether */
    /* LOADED, RESULT */
    uint64_t head;
    size_t resident_bytes;
    double load_ms;
    /* RESULT */
    uint64_t id;
    const float *scores; /* n_scores: the probabilities of the head's classes */
    size_t n_scores;
    const float *logits; /* n_scores, before the softmax; NULL unless debug */
    gf__run_timing timing;
    /* SHA-256 in hex of: the decoded uint8 tensor that the network reads; the float32 features; the
     * float32 logits. "" unless debug, or where there is no such thing. */
    char tensor_sha256[GF__SHA256_HEX], features_sha256[GF__SHA256_HEX],
        logits_sha256[GF__SHA256_HEX];
    uint64_t rss_bytes; /* of the worker, as of this report; in every kind */
} gf__report;

/* Waits for the next report. GF_EUNAVAILABLE once the worker is gone; GF_EFORMAT for a frame that
 * breaks the protocol (the worker is to be killed then). */
gf_status gf__worker_receive(gf__worker *worker, gf__report *report, gf_error *err);

/* The ids of the runs that threads of the worker are busy with, from memory shared with it: also
 * after it died. That is who may have killed it; runs that only waited did not. At most max are
 * written; returns how many there are. */
size_t gf__worker_busy_with(const gf__worker *worker, uint64_t *ids, size_t max);

/* No more requests: the worker answers what it has and ends. */
void gf__worker_stop(gf__worker *worker);
void gf__worker_kill(gf__worker *worker, int signal_number);

typedef struct gf__worker_end {
    bool is_crash;        /* killed by a signal, or exited with an error */
    int signal_number;    /* 0 where it exited */
    bool is_from_outside; /* the signal was sent by a process, or by the kernel for memory */
    int exit_code;
    char text[80]; /* "killed by signal 11 (Segmentation fault)", "exited with 3", "ended" */
} gf__worker_end;
/* Waits until the process is gone and reaps it. To be called once. */
void gf__worker_wait(gf__worker *worker, gf__worker_end *end);
/* After wait (or kills and waits itself). NULL is fine. */
void gf__worker_free(gf__worker *worker);

/* The process itself: what `graft worker` is. fd is its end of the socket pair. Returns the exit
 * code, when the socket ends. */
int gf__worker_main(int fd);

#endif
