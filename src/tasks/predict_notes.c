/* tasks/predict_notes.c: what a shard has done, kept while it does it. A process that a picture
 * kills leaves two things behind: the lines of inputs that were done (shards/K.notes), and what
 * its threads had in their hands (shards/K.busy, shared memory on a file, which outlives the
 * process without a system call an input). The next process does only what is missing, and holds
 * each of those inputs for suspect.
 *
 *     {"i": 17, "result": {...}}      {"i": 18, "error": {...}}      {"i": 19, "strike": true} */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tasks/predict_priv.h"

#define MAX_NOTES_BYTES ((size_t)8 << 30)
#define FLUSH_BYTES     65536u
#define FLUSH_MS        1000
#define N_BUSY          1024 /* threads there may be */

struct gf__notes {
    gf__note *notes;
    size_t n;
    pthread_mutex_t mutex; /* of all below and of notes being added */
    gf__note_counts counts;
    gf__buffer pending; /* not written yet: what a crash costs */
    int64_t flushed_ms;
    char *path;
    int fd;
    _Atomic int64_t *busy; /* N_BUSY; input + 1, 0: nothing */
};

/* ---- what an earlier process left ------------------------------------------------------------ */

static void count(gf__notes *notes, bool is_error)
{
    if (is_error)
        notes->counts.n_errors++;
    else
        notes->counts.n_results++;
}

static gf_status take_line(gf__notes *notes, const char *text, size_t n_chars, gf_error *err)
{
    gf__json *line = NULL;
    size_t i = 0;
    gf_status st = gf__json_parse(text, n_chars, &line, NULL);
    if (st != GF_OK) /* half a line of a killed process, with the next one's behind it */
        return st == GF_ENOMEM ? gf__error_nomem(err, "a line", n_chars) : GF_OK;
    const gf__json *result = gf__json_find(line, "result"), *error = gf__json_find(line, "error");
    st = gf__json_get_size(line, "i", &i, NULL);
    if (st == GF_OK && i < notes->n && result == NULL && error == NULL) {
        notes->notes[i].strikes++;
    } else if (st == GF_OK && i < notes->n && notes->notes[i].line == NULL) {
        gf__buffer copy = {0};
        gf__json_write(result != NULL ? result : error, false, &copy);
        notes->notes[i].line = gf__buffer_take(&copy, NULL);
        notes->notes[i].is_error = result == NULL;
        gf__buffer_free(&copy);
        count(notes, result == NULL);
    }
    gf__json_free(line);
    return GF_OK;
}

static gf_status take_lines(gf__notes *notes, gf_error *err)
{
    char *text = NULL;
    size_t size = 0;
    gf_status st = gf__is_file(notes->path)
                       ? gf__read_file(notes->path, MAX_NOTES_BYTES, &text, &size, err)
                       : GF_OK;
    for (char *at = text, *end; st == GF_OK && text != NULL; at = end + 1) {
        end = memchr(at, '\n', size - (size_t)(at - text));
        if (end == NULL)
            break;
        st = take_line(notes, at, (size_t)(end - at), err);
    }
    gf__free(text);
    return st;
}

static gf_status flush(gf__notes *notes, gf_error *err)
{
    gf_status st = gf__buffer_status(&notes->pending, err);
    size_t n_written = 0;
    while (st == GF_OK && n_written < notes->pending.size) {
        const ssize_t n = write(notes->fd, notes->pending.data + n_written,
                                notes->pending.size - n_written);
        if (n > 0)
            n_written += (size_t)n;
        else if (errno != EINTR)
            st = gf__error_errno(err, errno, "%s: cannot write", notes->path);
    }
    if (st == GF_OK)
        notes->pending.size = 0;
    notes->flushed_ms = gf__clock_ms();
    return st;
}

/* Who was in a hand when the process died gets a strike, at once on the disk. */
static gf_status take_busy(gf__notes *notes, gf_error *err)
{
    for (size_t t = 0; t < N_BUSY; t++) {
        const int64_t i = atomic_load(&notes->busy[t]) - 1;
        if (i < 0 || (size_t)i >= notes->n || notes->notes[i].line != NULL)
            continue;
        notes->notes[i].strikes++;
        gf__buffer_printf(&notes->pending, "{\"i\":%lld,\"strike\":true}\n", (long long)i);
    }
    const gf_status st = flush(notes, err);
    for (size_t t = 0; t < N_BUSY && st == GF_OK; t++)
        atomic_store(&notes->busy[t], 0);
    return st;
}

/* ---- opening --------------------------------------------------------------------------------- */

static gf_status map_busy(gf__notes *notes, const char *path, gf_error *err)
{
    const size_t size = N_BUSY * sizeof *notes->busy;
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    void *memory = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const gf_status st = memory != MAP_FAILED ? GF_OK
                                              : gf__error_errno(err, errno, "%s: cannot map", path);
    if (st == GF_OK)
        notes->busy = memory;
    if (fd >= 0)
        close(fd);
    return st;
}

/* A half line of a killed process is ended, so that it spoils no line of ours. */
static gf_status open_notes(gf__notes *notes, gf_error *err)
{
    notes->fd = open(notes->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (notes->fd < 0)
        return gf__error_errno(err, errno, "%s: cannot open", notes->path);
    char last = '\n';
    const off_t size = lseek(notes->fd, 0, SEEK_END);
    if (size > 0 && pread(notes->fd, &last, 1, size - 1) == 1 && last != '\n')
        gf__buffer_puts(&notes->pending, "\n");
    return GF_OK;
}

gf_status gf__notes_open(const char *base, size_t n, gf__notes **out, gf_error *err)
{
    *out = NULL;
    gf__notes *notes = gf__calloc(1, sizeof *notes);
    if (notes == NULL)
        return gf__error_nomem(err, "notes", sizeof *notes);
    pthread_mutex_init(&notes->mutex, NULL);
    char *busy = gf__asprintf("%s.busy", base);
    notes->fd = -1;
    notes->n = n;
    notes->path = gf__asprintf("%s.notes", base);
    notes->notes = gf__calloc(n, sizeof *notes->notes);
    gf_status st = busy != NULL && notes->path != NULL && notes->notes != NULL
                       ? GF_OK
                       : gf__error_nomem(err, "notes", n * sizeof *notes->notes);
    if (st == GF_OK)
        st = take_lines(notes, err);
    if (st == GF_OK)
        st = open_notes(notes, err);
    if (st == GF_OK)
        st = map_busy(notes, busy, err);
    if (st == GF_OK)
        st = take_busy(notes, err);
    gf__free(busy);
    if (st == GF_OK) {
        *out = notes;
        notes = NULL;
    }
    gf__notes_close(notes);
    return st;
}

void gf__notes_close(gf__notes *notes)
{
    if (notes == NULL)
        return;
    if (notes->fd >= 0) {
        (void)flush(notes, NULL);
        close(notes->fd);
    }
    if (notes->busy != NULL)
        munmap((void *)notes->busy, N_BUSY * sizeof *notes->busy);
    for (size_t i = 0; notes->notes != NULL && i < notes->n; i++)
        gf__free(notes->notes[i].line);
    gf__free(notes->notes);
    gf__free(notes->path);
    gf__buffer_free(&notes->pending);
    pthread_mutex_destroy(&notes->mutex);
    gf__free(notes);
}

/* ---- noting ---------------------------------------------------------------------------------- */

const gf__note *gf__notes_at(const gf__notes *notes, size_t i)
{
    return &notes->notes[i];
}

void gf__notes_begin(gf__notes *notes, size_t thread, size_t i)
{
    atomic_store(&notes->busy[thread % N_BUSY], (int64_t)i + 1);
}

void gf__notes_end(gf__notes *notes, size_t thread)
{
    atomic_store(&notes->busy[thread % N_BUSY], 0);
}

gf_status gf__notes_add(gf__notes *notes, size_t i, char *line, bool is_error, gf_error *err)
{
    if (line == NULL)
        return gf__error_nomem(err, "a line", 0);
    pthread_mutex_lock(&notes->mutex);
    notes->notes[i].line = line;
    notes->notes[i].is_error = is_error;
    count(notes, is_error);
    gf__buffer_printf(&notes->pending, "{\"i\":%zu,\"%s\":%s}\n", i, is_error ? "error" : "result",
                      line);
    gf_status st = GF_OK;
    if (notes->pending.size >= FLUSH_BYTES || gf__clock_ms() - notes->flushed_ms >= FLUSH_MS)
        st = flush(notes, err);
    pthread_mutex_unlock(&notes->mutex);
    return st;
}

gf__note_counts gf__notes_count(gf__notes *notes)
{
    pthread_mutex_lock(&notes->mutex);
    const gf__note_counts counts = notes->counts;
    pthread_mutex_unlock(&notes->mutex);
    return counts;
}
