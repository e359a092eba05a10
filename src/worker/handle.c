/* worker/handle.c: a worker as seen by who started it: the process, its end of the socket, and the
 * memory that tells what it is busy with. Nothing that comes from the process is trusted: it may
 * have been taken over by a picture. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/protocol.h"

#define SOCKET_FD 3 /* what the process finds its end under */

struct gf__worker {
    pid_t pid;
    int socket;
    int statm_fd; /* /proc/PID/statm; -1 where there is no /proc */
    gf__busy *busy;
    int n_threads;
    uint64_t rss_bytes; /* as it was last seen */
    gf__frame frame;    /* of the last report */
    float *floats;

    pthread_mutex_t send_mutex; /* of the two below */
    bool is_broken;             /* a frame was sent in part: no other may follow */
    bool is_stopped;

    pthread_mutex_t end_mutex; /* of the one below: no signal to somebody else's process */
    bool is_reaped;
};

/* ---- starting ---- */

static size_t busy_bytes(int n_threads)
{
    return (size_t)n_threads * sizeof(gf__busy);
}

/* Sealed: a process that has been taken over cannot make it smaller under our eyes. */
static gf_status make_busy_table(gf__worker *worker, int *fd, gf_error *err)
{
    const size_t n_bytes = busy_bytes(worker->n_threads);
    *fd = memfd_create("graft-busy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0)
        return gf__error_errno(err, errno, "memory shared with a worker");
    void *memory = MAP_FAILED;
    if (ftruncate(*fd, (off_t)n_bytes) == 0 &&
        fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (memory == MAP_FAILED)
        return gf__error_errno(err, errno, "memory shared with a worker");
    worker->busy = memory;
    return GF_OK;
}

/* What the process gets of our environment: what its libraries are steered by. Nothing else: a
 * secret in it is none of the business of a process that decodes what strangers send. */
static const char *const kept_variables[] = {"DNNL_",
                                             "ONEDNN_",
                                             "GOMP_",
                                             "OMP_",
                                             "ASAN_OPTIONS",
                                             "UBSAN_OPTIONS",
                                             "TSAN_OPTIONS",
                                             "LSAN_OPTIONS",
                                             "LD_LIBRARY_PATH",
                                             "MALLOC_PERTURB_",
                                             NULL};

/* See tame_spinning() in cli/main.c; somebody who has chosen is left alone. */
static gf_status choose_environment(char ***out, gf_error *err)
{
    char *const added[] = {(char *)(uintptr_t) "LC_ALL=C",
                           (char *)(uintptr_t) "GOMP_SPINCOUNT=1000", NULL};
    char *const language[] = {added[0], NULL};
    gf_status st = gf__environment_new(kept_variables, language, out, err);
    if (st != GF_OK || gf__environment_has(*out, "GOMP_SPINCOUNT") ||
        gf__environment_has(*out, "OMP_WAIT_POLICY"))
        return st;
    gf__free(*out);
    return gf__environment_new(kept_variables, added, out, err);
}

/* Standard error stays: what an assertion says belongs into the log. */
static void set_files(posix_spawn_file_actions_t *actions, int socket)
{
    posix_spawn_file_actions_adddup2(actions, socket, SOCKET_FD);
    posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(actions, SOCKET_FD + 1);
}

static gf_status spawn(gf__worker *worker, const char *program, int socket, gf_error *err)
{
    char *argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "worker",
                    (char *)(uintptr_t) "--fd", (char *)(uintptr_t) "3", NULL};
    char **environment = NULL;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    const gf_status st = choose_environment(&environment, err);
    if (st != GF_OK)
        return st;
    posix_spawn_file_actions_init(&actions);
    gf__spawn_attributes(&attributes);
    set_files(&actions, socket);
    const int failure = posix_spawn(&worker->pid, program, &actions, &attributes, argv,
                                    environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    gf__free(environment);
    if (failure != 0) {
        worker->pid = 0;
        return gf__error_errno(err, failure, "starting %s as a worker", program);
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/statm", (int)worker->pid);
    worker->statm_fd = open(path, O_RDONLY | O_CLOEXEC);
    return GF_OK;
}

static gf_status send_setup(gf__worker *worker, const gf__worker_options *options, double started_s,
                            int busy_fd, gf_error *err)
{
    gf__buffer payload = {0};
    gf__setup_write(options, started_s, &payload);
    const gf_status st = gf__frame_send(worker->socket, GF__FRAME_SETUP, &payload, NULL, 0, busy_fd,
                                        err);
    gf__buffer_free(&payload);
    return st;
}

static gf_status check_options(const gf__worker_options *options, gf_error *err)
{
    const bool has_trunk = options->trunk_file != NULL || options->trunk_name != NULL;
    if (options->n_threads < 1 || options->n_threads > GF__WORKER_MAX_THREADS)
        return gf_error_set(err, GF_EINVAL, "a worker with %d threads, expected 1 to %d",
                            options->n_threads, GF__WORKER_MAX_THREADS);
    if (has_trunk && (options->n_cuts == 0 || options->n_cuts > GF__WORKER_MAX_CUTS))
        return gf_error_set(err, GF_EINVAL, "a worker for %zu cuts of its trunk, expected 1 to %d",
                            options->n_cuts, GF__WORKER_MAX_CUTS);
    return GF_OK;
}

/* A worker whose process runs and that may be ended; NULL out of memory. */
static gf__worker *new_worker(int n_threads)
{
    gf__worker *worker = gf__calloc(1, sizeof *worker);
    if (worker == NULL)
        return NULL;
    pthread_mutex_init(&worker->send_mutex, NULL);
    pthread_mutex_init(&worker->end_mutex, NULL);
    worker->n_threads = n_threads;
    worker->socket = worker->statm_fd = -1;
    worker->frame.fd = -1;
    return worker;
}

gf_status gf__worker_start(const gf__worker_options *options, gf__worker **out, gf_error *err)
{
    int ends[2] = {-1, -1}, busy_fd = -1;
    *out = NULL;
    gf_status st = check_options(options, err);
    if (st != GF_OK)
        return st;
    const double started_s = gf__clock_s();
    gf__worker *worker = new_worker(options->n_threads);
    if (worker == NULL)
        return gf__error_nomem(err, "a worker", sizeof *worker);
    st = make_busy_table(worker, &busy_fd, err);
    if (st == GF_OK && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        st = gf__error_errno(err, errno, "a socket to a worker");
    if (st == GF_OK) {
        worker->socket = ends[0];
        st = spawn(worker, options->program, ends[1], err);
        close(ends[1]);
    }
    if (st == GF_OK)
        st = send_setup(worker, options, started_s, busy_fd, err);
    /* A program that ends at once is not a failure to start: its end is reported like any other. */
    if (st == GF_EUNAVAILABLE)
        st = GF_OK;
    if (busy_fd >= 0)
        close(busy_fd);
    if (st == GF_OK) {
        *out = worker;
        worker = NULL;
    }
    gf__worker_free(worker);
    return st;
}

pid_t gf__worker_pid(const gf__worker *worker)
{
    return worker->pid;
}

/* ---- requests ---- */

/* head is used up. */
static gf_status send_request(gf__worker *worker, gf__frame_kind kind, gf__buffer *head,
                              const void *body, size_t n_body, int fd, gf_error *err)
{
    gf_status st = gf__buffer_status(head, err);
    pthread_mutex_lock(&worker->send_mutex);
    if (st == GF_OK && (worker->is_broken || worker->is_stopped))
        st = gf_error_set(err, GF_EUNAVAILABLE, "the worker %s",
                          worker->is_broken ? "is gone" : "was told to stop");
    if (st == GF_OK) {
        st = gf__frame_send(worker->socket, kind, head, body, n_body, fd, err);
        worker->is_broken = st != GF_OK;
        worker->is_stopped = kind == GF__FRAME_STOP;
    }
    pthread_mutex_unlock(&worker->send_mutex);
    gf__buffer_free(head);
    return st;
}

static gf_status send_number(gf__worker *worker, gf__frame_kind kind, uint64_t number, int fd,
                             gf_error *err)
{
    gf__buffer head = {0};
    gf__number_write(number, &head);
    return send_request(worker, kind, &head, NULL, 0, fd, err);
}

gf_status gf__worker_load(gf__worker *worker, uint64_t head, const char *model_path, gf_error *err)
{
    struct stat info;
    const int fd = open(model_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return gf__error_errno(err, errno, "%s: cannot open", model_path);
    gf_status st = GF_OK;
    if (fstat(fd, &info) != 0)
        st = gf__error_errno(err, errno, "%s: cannot look at it", model_path);
    else if (!S_ISREG(info.st_mode))
        st = gf_error_set(err, GF_EIO, "%s: a model is a file, this is a folder or a device",
                          model_path);
    if (st == GF_OK)
        st = send_number(worker, GF__FRAME_LOAD, head, fd, err);
    close(fd);
    return st;
}

gf_status gf__worker_unload(gf__worker *worker, uint64_t head, gf_error *err)
{
    return send_number(worker, GF__FRAME_UNLOAD, head, -1, err);
}

gf_status gf__worker_share(gf__worker *worker, int n_threads, gf_error *err)
{
    if (n_threads < 1 || n_threads > worker->n_threads)
        return gf_error_set(err, GF_EINVAL, "%d threads of a worker that has %d", n_threads,
                            worker->n_threads);
    return send_number(worker, GF__FRAME_SHARE, (uint64_t)n_threads, -1, err);
}

gf_status gf__worker_run(gf__worker *worker, const gf__run *run, gf_error *err)
{
    gf__buffer head = {0};
    gf__run_write(run, &head);
    if (run->n_bytes > GF__REQUEST_MAX_BYTES - head.size) {
        gf__buffer_free(&head);
        return gf_error_set(err, GF_ELIMIT, "a picture of %zu bytes, workers take at most %llu",
                            run->n_bytes, (unsigned long long)GF__REQUEST_MAX_BYTES);
    }
    return send_request(worker, GF__FRAME_RUN, &head, run->bytes, run->n_bytes, -1, err);
}

void gf__worker_stop(gf__worker *worker)
{
    gf__buffer nothing = {0};
    (void)send_request(worker, GF__FRAME_STOP, &nothing, NULL, 0, -1, NULL);
}

/* ---- reports ---- */

/* Read by us and not told by the process, which may lie. Of one that is just dying: as it was. */
static uint64_t read_rss(gf__worker *worker)
{
    char text[128];
    unsigned long long n_pages = 0;
    const ssize_t n = worker->statm_fd >= 0 ? pread(worker->statm_fd, text, sizeof text - 1, 0)
                                            : -1;
    if (n > 0) {
        text[n] = '\0';
        if (sscanf(text, "%*u %llu", &n_pages) == 1 && n_pages > 0)
            worker->rss_bytes = (uint64_t)n_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    }
    return worker->rss_bytes;
}

gf_status gf__worker_receive(gf__worker *worker, gf__report *report, gf_error *err)
{
    gf__frame_clear(&worker->frame);
    gf__free(worker->floats);
    worker->floats = NULL;
    *report = (gf__report){.message = ""};
    gf_status st = gf__frame_receive(worker->socket, GF__REPORT_MAX_BYTES, false, &worker->frame,
                                     err);
    if (st == GF_OK && worker->frame.kind != GF__FRAME_REPORT)
        st = gf_error_set(err, GF_EFORMAT, "a frame of kind %u from a worker, expected a report",
                          worker->frame.kind);
    if (st == GF_OK)
        st = gf__report_read(worker->frame.payload, worker->frame.n_bytes, report, &worker->floats,
                             err);
    if (st == GF_OK)
        report->rss_bytes = read_rss(worker);
    return st;
}

size_t gf__worker_busy_with(const gf__worker *worker, uint64_t *ids, size_t max)
{
    size_t n_found = 0;
    for (int thread = 0; thread < worker->n_threads; thread++) {
        const gf__busy *busy = &worker->busy[thread];
        uint32_t n = atomic_load_explicit(&busy->n, memory_order_acquire);
        if (n > GF__GROUP_MAX)
            n = GF__GROUP_MAX; /* the other side writes what it likes */
        for (uint32_t i = 0; i < n; i++) {
            if (n_found < max)
                ids[n_found] = atomic_load_explicit(&busy->ids[i], memory_order_relaxed);
            n_found++;
        }
    }
    return n_found;
}

/* ---- the end ---- */

void gf__worker_kill(gf__worker *worker, int signal_number)
{
    pthread_mutex_lock(&worker->end_mutex);
    if (!worker->is_reaped && worker->pid > 0)
        kill(worker->pid, signal_number);
    pthread_mutex_unlock(&worker->end_mutex);
}

static void describe_signal(int signal_number, bool is_from_outside, gf__worker_end *end)
{
    const char *name = sigdescr_np(signal_number);
    end->signal_number = signal_number;
    end->is_from_outside = is_from_outside;
    snprintf(end->text, sizeof end->text, "killed by signal %d (%s)", signal_number,
             name != NULL ? name : "unknown");
}

static void describe_end(int status, gf__worker_end *end)
{
    *end = (gf__worker_end){.is_crash = true};
    if (WIFSIGNALED(status)) {
        describe_signal(WTERMSIG(status), WTERMSIG(status) == SIGKILL, end);
        return;
    }
    end->exit_code = WEXITSTATUS(status);
    end->is_crash = end->exit_code != 0;
    if (end->exit_code > 128) /* see end_by_signal() in process.c */
        describe_signal(end->exit_code - 128, true, end);
    else if (end->is_crash)
        snprintf(end->text, sizeof end->text, "exited with %d", end->exit_code);
    else
        snprintf(end->text, sizeof end->text, "ended");
}

void gf__worker_wait(gf__worker *worker, gf__worker_end *end)
{
    siginfo_t info;
    int status = 0;
    /* The number stays the process's own until it is reaped, which nobody sees half done. */
    while (waitid(P_PID, (id_t)worker->pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        continue;
    pthread_mutex_lock(&worker->end_mutex);
    while (waitpid(worker->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    worker->is_reaped = true;
    pthread_mutex_unlock(&worker->end_mutex);
    describe_end(status, end);
}

void gf__worker_free(gf__worker *worker)
{
    if (worker == NULL)
        return;
    if (worker->pid > 0 && !worker->is_reaped) {
        gf__worker_end end;
        gf__worker_kill(worker, SIGKILL);
        gf__worker_wait(worker, &end);
    }
    if (worker->socket >= 0)
        close(worker->socket);
    if (worker->statm_fd >= 0)
        close(worker->statm_fd);
    if (worker->busy != NULL)
        munmap(worker->busy, busy_bytes(worker->n_threads));
    gf__frame_clear(&worker->frame);
    gf__free(worker->floats);
    pthread_mutex_destroy(&worker->send_mutex);
    pthread_mutex_destroy(&worker->end_mutex);
    gf__free(worker);
}
