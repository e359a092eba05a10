/* fuzz_worker_frame.c: any bytes as what the two sides of a worker's socket send each other. The first
 * says as what: f (frames, off a socket), s (set-up), n (number), r (run), p (report). What was read is
 * written and read again, and must be the same: nothing is taken for what it is not. */
#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "worker/protocol.h"

#define MAX_FRAME 4096

/* Both written; they are ended here. */
static void check_same(gf__buffer *a, gf__buffer *b)
{
    assert(gf__buffer_status(a, NULL) == GF_OK && gf__buffer_status(b, NULL) == GF_OK);
    assert(a->size == b->size && memcmp(a->data, b->data, a->size) == 0);
    gf__buffer_free(a);
    gf__buffer_free(b);
}

static const uint8_t *bytes_of(const gf__buffer *buffer)
{
    return (const uint8_t *)buffer->data;
}

static void read_setup(const uint8_t *bytes, size_t n_bytes)
{
    gf__setup setup, again;
    gf__buffer first = {0}, second = {0};
    gf_error err = {.message = ""};
    if (gf__setup_read(bytes, n_bytes, &setup, &err) != GF_OK) {
        assert(err.message[0] != '\0' && setup.cuts == NULL);
        return;
    }
    assert(setup.options.home != NULL && setup.options.n_threads >= 1 &&
           setup.options.n_threads <= GF__WORKER_MAX_THREADS);
    for (size_t i = 0; i < setup.options.n_cuts; i++)
        assert(setup.options.cuts[i].layer != NULL);
    gf__setup_write(&setup.options, setup.started_s, &first);
    assert(gf__setup_read(bytes_of(&first), first.size, &again, &err) == GF_OK);
    gf__setup_write(&again.options, again.started_s, &second);
    check_same(&first, &second);
    gf__free(setup.cuts);
    gf__free(again.cuts);
}

static void read_number(const uint8_t *bytes, size_t n_bytes)
{
    uint64_t number = 0;
    gf__buffer out = {0};
    if (gf__number_read(bytes, n_bytes, &number, NULL) != GF_OK)
        return;
    gf__number_write(number, &out);
    assert(out.size == n_bytes && memcmp(out.data, bytes, n_bytes) == 0);
    gf__buffer_free(&out);
}

static void read_run(const uint8_t *bytes, size_t n_bytes)
{
    gf__run run;
    gf__buffer out = {0};
    gf_error err = {.message = ""};
    if (gf__run_read(bytes, n_bytes, &run, &err) != GF_OK) {
        assert(err.message[0] != '\0');
        return;
    }
    gf__run_write(&run, &out);
    gf__buffer_append(&out, run.bytes, run.n_bytes);
    assert(out.size == n_bytes && memcmp(out.data, bytes, n_bytes) == 0);
    gf__buffer_free(&out);
}

static void read_report(const uint8_t *bytes, size_t n_bytes)
{
    gf__report report, again;
    gf__buffer first = {0}, second = {0};
    float *floats = NULL, *more = NULL;
    gf_error err = {.message = ""};
    if (gf__report_read(bytes, n_bytes, &report, &floats, &err) != GF_OK) {
        assert(err.message[0] != '\0' && floats == NULL);
        return;
    }
    for (size_t i = 0; i < report.n_scores; i++)
        assert(report.scores[i] - report.scores[i] == 0.0f);
    gf__report_write(&report, &first);
    assert(gf__report_read(bytes_of(&first), first.size, &again, &more, &err) == GF_OK);
    gf__report_write(&again, &second);
    check_same(&first, &second);
    gf__free(floats);
    gf__free(more);
}

static void read_frames(const uint8_t *bytes, size_t n_bytes)
{
    int ends[2];
    gf__frame frame;
    gf_error err = {.message = ""};
    gf_status st = GF_OK;
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const ssize_t n_sent = send(ends[0], bytes, n_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    assert(n_sent >= 0 || n_bytes == 0);
    close(ends[0]);
    for (size_t n_frames = 0; st == GF_OK; n_frames++) {
        st = gf__frame_receive(ends[1], MAX_FRAME, n_frames % 2 == 0, &frame, &err);
        assert(frame.fd == -1 && frame.n_bytes <= MAX_FRAME);
        if (st != GF_OK)
            assert(err.message[0] != '\0' && frame.payload == NULL);
        else if (frame.kind == GF__FRAME_RUN)
            read_run(frame.payload, frame.n_bytes);
        else if (frame.kind == GF__FRAME_REPORT)
            read_report(frame.payload, frame.n_bytes);
        gf__frame_clear(&frame);
    }
    close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    if (n_bytes == 0)
        return 0;
    switch (bytes[0]) {
    case 'f':
        read_frames(bytes + 1, n_bytes - 1);
        break;
    case 's':
        read_setup(bytes + 1, n_bytes - 1);
        break;
    case 'n':
        read_number(bytes + 1, n_bytes - 1);
        break;
    case 'r':
        read_run(bytes + 1, n_bytes - 1);
        break;
    case 'p':
        read_report(bytes + 1, n_bytes - 1);
        break;
    default:
        break;
    }
    return 0;
}
