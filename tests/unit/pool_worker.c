/* pool_worker.c: a worker that does what its inputs say, for the tests of the pool: it speaks the
 * protocol of the real one, and dies, hangs or dawdles when told to, which the real one does not.
 *
 *     "7"          answers {7, the head's number}
 *     "sleep 30"   the same with 30, after so many milliseconds
 *     "crash"      SIGSEGV          "hang"      never answers
 *     "bad"        fails with GF_EFORMAT
 *     "threads"    answers how many threads it may use
 *
 * A trunk with the layer "broken" among its cuts cannot be made ready. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "worker/protocol.h"

static gf__busy *busy;
static uint64_t n_threads; /* its share */

static void tell(const gf__report *report)
{
    gf__buffer payload = {0};
    gf__report_write(report, &payload);
    if (gf__frame_send(3, GF__FRAME_REPORT, &payload, NULL, 0, -1, NULL) != GF_OK)
        exit(0);
    gf__buffer_free(&payload);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void set_up(const gf__frame *frame)
{
    gf__setup setup;
    gf__report report = {.kind = GF__REPORT_READY, .message = "", .precision = GF_PRECISION_F32};
    if (gf__setup_read(frame->payload, frame->n_bytes, &setup, NULL) != GF_OK)
        exit(4);
    busy = mmap(NULL, sizeof *busy, PROT_READ | PROT_WRITE, MAP_SHARED, frame->fd, 0);
    if (busy == MAP_FAILED)
        exit(5);
    for (size_t i = 0; i < setup.options.n_cuts; i++)
        if (strcmp(setup.cuts[i].layer, "broken") == 0) {
            report = (gf__report){.kind = GF__REPORT_FAILED,
                                  .status = GF_ENOTFOUND,
                                  .message = "there is no layer broken"};
            tell(&report);
            exit(1);
        }
    gf__free(setup.cuts);
    n_threads = (uint64_t)setup.options.n_threads;
    tell(&report);
}

static void run(const gf__frame *frame)
{
    char text[64] = "";
    gf__run r;
    if (gf__run_read(frame->payload, frame->n_bytes, &r, NULL) != GF_OK)
        exit(6);
    memcpy(text, r.bytes, r.n_bytes < sizeof text ? r.n_bytes : sizeof text - 1);
    const bool is_sleep = strncmp(text, "sleep ", 6) == 0;
    const bool is_threads = strcmp(text, "threads") == 0;
    const float scores[2] = {
        is_threads ? (float)n_threads : strtof(is_sleep ? text + 6 : text, NULL), (float)r.head};
    gf__report report = {
        .kind = GF__REPORT_RESULT, .id = r.id, .message = "", .timing = {.n_batch = 1}};
    atomic_store(&busy->ids[0], r.id);
    atomic_store(&busy->n, 1);
    if (strcmp(text, "crash") == 0)
        raise(SIGSEGV);
    while (strcmp(text, "hang") == 0)
        sleep_ms(1000);
    if (is_sleep)
        sleep_ms(atol(text + 6));
    if (strcmp(text, "bad") == 0) {
        report.status = GF_EFORMAT;
        report.message = "bad, as told";
    } else {
        report.scores = scores;
        report.n_scores = 2;
    }
    atomic_store(&busy->n, 0);
    tell(&report);
}

/* As the real one does. */
static void end_by_signal(int signal_number, siginfo_t *info, void *context)
{
    if (info->si_code == SI_USER)
        _exit(128 + signal_number);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = end_by_signal, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    gf__frame frame = {.fd = -1};
    while (gf__frame_receive(3, GF__REQUEST_MAX_BYTES, true, &frame, NULL) == GF_OK) {
        uint64_t head = 0;
        if (frame.kind == GF__FRAME_SETUP)
            set_up(&frame);
        else if (frame.kind == GF__FRAME_RUN)
            run(&frame);
        else if (frame.kind == GF__FRAME_SHARE)
            (void)gf__number_read(frame.payload, frame.n_bytes, &n_threads, NULL);
        else if (frame.kind == GF__FRAME_STOP)
            break;
        else if (frame.kind == GF__FRAME_LOAD &&
                 gf__number_read(frame.payload, frame.n_bytes, &head, NULL) == GF_OK) {
            const gf__report report = {.kind = GF__REPORT_LOADED,
                                       .message = "",
                                       .head = head,
                                       .resident_bytes = 1000,
                                       .load_ms = 1};
            tell(&report);
        }
        gf__frame_clear(&frame);
    }
    gf__frame_clear(&frame);
    return 0;
}
