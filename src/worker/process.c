/* worker/process.c: the process itself. Before it is locked down: set-up, trunk, plans. After: one
 * thread that reads requests, one that loads heads, and those that run pictures. When the other
 * side is gone, the process is, whatever it is busy with. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/engine.h"
#include "worker/worker_priv.h"

enum { EXIT_ENDED = 0, EXIT_SET_UP = 1, EXIT_PROTOCOL = 3 };

/* Blocks of at least this many bytes are the system's again when they are freed: heads, pictures. */
#define GIVEN_BACK_BYTES (128 << 10)

void gf__process_report(gf__process *process, const gf__report *report)
{
    gf__buffer payload = {0};
    gf__report_write(report, &payload);
    pthread_mutex_lock(&process->send_mutex);
    const gf_status st = gf__frame_send(process->socket, GF__FRAME_REPORT, NULL, payload.data,
                                        payload.size, -1, NULL);
    pthread_mutex_unlock(&process->send_mutex);
    if (st != GF_OK || payload.failed)
        _exit(EXIT_ENDED); /* nobody listens, or a report would be lost: the other side sees it */
    gf__buffer_free(&payload);
}

/* ---- set-up ---- */

static gf_status map_busy_table(gf__process *process, gf_error *err)
{
    const size_t n_bytes = (size_t)process->setup.options.n_threads * sizeof(gf__busy);
    if (process->setup_frame.fd < 0)
        return gf_error_set(err, GF_EFORMAT, "a set-up without the busy table's file");
    void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, process->setup_frame.fd,
                        0);
    if (memory == MAP_FAILED)
        return gf__error_errno(err, errno, "mapping the busy table");
    process->busy = memory;
    return GF_OK;
}

static gf_status receive_setup(gf__process *process, gf_error *err)
{
    gf__frame *frame = &process->setup_frame;
    gf_status st = gf__frame_receive(process->socket, 1 << 20, true, frame, err);
    if (st == GF_OK && frame->kind != GF__FRAME_SETUP)
        st = gf_error_set(err, GF_EFORMAT, "a frame of kind %u, expected the set-up", frame->kind);
    if (st == GF_OK)
        st = gf__setup_read(frame->payload, frame->n_bytes, &process->setup, err);
    return st == GF_OK ? map_busy_table(process, err) : st;
}

/* The engine's threads of packing, if there were any, are not under what follows: they go first. */
static gf_status make_ready(gf__process *process, bool *has_landlock, gf_error *err)
{
    const gf__worker_options *options = &process->setup.options;
    gf_status st = GF_OK;
    if (options->trunk_name != NULL || options->trunk_file != NULL)
        st = gf__plans_new(options, &process->plans, err);
    gf__engine_end_threads();
    if (st == GF_OK)
        st = gf__queue_new(options->n_threads, &process->queue, err);
    if (st != GF_OK)
        return st;
    const gf__sandbox_options sandbox = {
        .max_memory_bytes = options->max_memory_bytes, .fds = &process->socket, .n_fds = 1};
    return gf__sandbox_enter(&sandbox, has_landlock, err);
}

static void *run_thread(void *argument)
{
    gf__runner_work(argument);
    return NULL;
}

typedef struct threads {
    pthread_t handles[GF__WORKER_MAX_THREADS];
    gf__runner *runners[GF__WORKER_MAX_THREADS];
    int n;
} threads;

static gf_status start_threads(gf__process *process, threads *all, gf_error *err)
{
    gf_status st = gf__heads_new(process, &process->heads, err);
    for (int i = 0; i < process->setup.options.n_threads && st == GF_OK; i++) {
        st = gf__runner_new(process, i, &all->runners[i], err);
        if (st != GF_OK)
            break;
        const int failure = pthread_create(&all->handles[i], NULL, run_thread, all->runners[i]);
        if (failure != 0)
            st = gf__error_errno(err, failure, "starting a thread");
        else
            all->n++;
    }
    return st;
}

/* ---- requests ---- */

static gf_status submit_run(gf__process *process, gf__frame *frame, gf_error *err)
{
    gf__job *job = gf__calloc(1, sizeof *job);
    if (job == NULL)
        return gf__error_nomem(err, "a run", sizeof *job);
    const gf_status st = gf__run_read(frame->payload, frame->n_bytes, &job->run, err);
    job->frame = *frame;
    *frame = (gf__frame){.fd = -1}; /* the job's now */
    job->received_s = gf__clock_s();
    if (st == GF_OK)
        gf__heads_submit(process->heads, job);
    else
        gf__job_free(job);
    return st;
}

static gf_status load_head(gf__process *process, uint64_t id, gf__frame *frame, gf_error *err)
{
    if (frame->fd < 0)
        return gf_error_set(err, GF_EFORMAT, "a head to be loaded without its file");
    gf__heads_load(process->heads, id, frame->fd);
    frame->fd = -1;
    return GF_OK;
}

static gf_status share(gf__process *process, uint64_t n_threads, gf_error *err)
{
    const int n_all = process->setup.options.n_threads;
    if (n_threads < 1 || n_threads > (uint64_t)n_all)
        return gf_error_set(err, GF_EFORMAT, "a share of %llu threads of %d",
                            (unsigned long long)n_threads, n_all);
    gf__queue_share(process->queue, (int)n_threads);
    return GF_OK;
}

static gf_status handle(gf__process *process, gf__frame *frame, bool *is_stopped, gf_error *err)
{
    uint64_t number = 0;
    if (frame->kind == GF__FRAME_RUN)
        return submit_run(process, frame, err);
    if (frame->kind == GF__FRAME_STOP) {
        *is_stopped = true;
        return GF_OK;
    }
    const gf_status st = gf__number_read(frame->payload, frame->n_bytes, &number, err);
    if (st != GF_OK)
        return st;
    switch (frame->kind) {
    case GF__FRAME_LOAD:
        return load_head(process, number, frame, err);
    case GF__FRAME_UNLOAD:
        gf__heads_unload(process->heads, number);
        return GF_OK;
    case GF__FRAME_SHARE:
        return share(process, number, err);
    default:
        return gf_error_set(err, GF_EFORMAT, "a frame of kind %u, which is no request",
                            frame->kind);
    }
}

/* Until STOP. Where the other side ends or breaks the protocol, so does this process, at once. */
static void read_requests(gf__process *process)
{
    bool is_stopped = false;
    while (!is_stopped) {
        gf__frame frame;
        gf_error err;
        gf_status st = gf__frame_receive(process->socket, GF__REQUEST_MAX_BYTES, true, &frame,
                                         &err);
        if (st == GF_EUNAVAILABLE)
            _exit(EXIT_ENDED);
        if (st == GF_OK)
            st = handle(process, &frame, &is_stopped, &err);
        if (st != GF_OK)
            _exit(EXIT_PROTOCOL);
        gf__frame_clear(&frame);
    }
}

static void report_start(gf__process *process, gf_status st, const gf_error *err, bool has_landlock)
{
    gf__report report = {.kind = st == GF_OK ? GF__REPORT_READY : GF__REPORT_FAILED,
                         .status = st,
                         .message = st == GF_OK ? "" : err->message,
                         .is_locked_down_fs = has_landlock};
    if (process->plans != NULL)
        report.precision = gf__plans_precision(process->plans);
    report.start_ms = 1e3 * (gf__clock_s() - process->setup.started_s);
    if (report.start_ms < 0 || process->setup.started_s <= 0)
        report.start_ms = 0;
    gf__process_report(process, &report);
}

/* A fault of our own is the doing of what we were busy with; a signal that somebody sent is not. The
 * kernel tells them apart for us alone: whoever waits for the process sees the same death. */
static void end_by_signal(int signal_number, siginfo_t *info, void *context)
{
    if (info->si_code == SI_USER)
        _exit(128 + signal_number);
    signal(signal_number, SIG_DFL); /* and the faulting instruction is run again */
}

static void tell_faults_from_kills(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    struct sigaction action = {.sa_sigaction = end_by_signal, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction before;
        /* A sanitizer has something better to do with it. */
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(signals[i], &action, NULL);
    }
}

int gf__worker_main(int fd)
{
    gf__process process = {.socket = fd, .setup_frame = {.fd = -1}};
    threads all = {.n = 0};
    gf_error err = {0};
    bool has_landlock = false;
    pthread_mutex_init(&process.send_mutex, NULL);
    tell_faults_from_kills();
    mallopt(M_MMAP_THRESHOLD, GIVEN_BACK_BYTES);
    gf_status st = receive_setup(&process, &err);
    if (st == GF_EUNAVAILABLE)
        return EXIT_ENDED;
    if (st == GF_OK)
        st = make_ready(&process, &has_landlock, &err);
    if (st == GF_OK)
        st = start_threads(&process, &all, &err);
    report_start(&process, st, &err, has_landlock);
    if (st != GF_OK)
        _exit(EXIT_SET_UP);
    read_requests(&process);
    gf__heads_finish(process.heads);
    gf__queue_close(process.queue);
    for (int i = 0; i < all.n; i++)
        pthread_join(all.handles[i], NULL);
    _exit(EXIT_ENDED);
}
