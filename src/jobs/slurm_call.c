/* slurm_call.c: one of Slurm's commands run to its end. A slurmctld that hangs makes its commands hang, for
 * minutes: nothing here waits longer than it was told. No shell: what is in a path or a name stays a
 * word. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs/slurm_priv.h"

/* ---- starting it ---- */

typedef struct running {
    pid_t pid;
    int out_fd, err_fd;
} running;

enum { KEPT_FD = 3 };

static void set_files(posix_spawn_file_actions_t *actions, const int *fds, int kept_fd)
{
    posix_spawn_file_actions_adddup2(actions, fds[0], 0);
    posix_spawn_file_actions_adddup2(actions, fds[1], 1);
    posix_spawn_file_actions_adddup2(actions, fds[2], 2);
    if (kept_fd >= 0)
        posix_spawn_file_actions_adddup2(actions, kept_fd, KEPT_FD);
    posix_spawn_file_actions_addclosefrom_np(actions, kept_fd >= 0 ? KEPT_FD + 1 : KEPT_FD);
}

/* What the commands, and through sbatch the jobs, get of ours: variables that change what the
 * commands print (SQUEUE_STATES, SLURM_TIME_FORMAT) are not among it. 0, or an errno. */
static int spawn(const gf__slurm_command *command, const int *fds, pid_t *pid)
{
    char *const added[] = {(char *)(uintptr_t) "LC_ALL=C.UTF-8", NULL};
    char **environment = NULL;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (gf__environment_new(gf__job_variables, added, &environment, NULL) != GF_OK)
        return ENOMEM;
    posix_spawn_file_actions_init(&actions);
    set_files(&actions, fds, command->kept_fd);
    gf__spawn_attributes(&attributes);
    const int failure = posix_spawnp(pid, command->argv[0], &actions, &attributes,
                                     (char *const *)(uintptr_t)command->argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    gf__free(environment);
    return failure;
}

static void close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* The input is written before anybody reads it: scripts of ours are smaller than a pipe. */
static gf_status write_input(const gf__slurm_command *command, int fd, gf_error *err)
{
    const size_t n_bytes = command->input != NULL ? strlen(command->input) : 0;
    if (n_bytes == 0)
        return GF_OK;
    const ssize_t n_written = write(fd, command->input, n_bytes);
    if (n_written != (ssize_t)n_bytes)
        return gf_error_set(err, GF_ELIMIT, "%s: an input of %zu bytes does not fit a pipe",
                            command->argv[0], n_bytes);
    return GF_OK;
}

static gf_status start(const gf__slurm_command *command, running *out, gf_error *err)
{
    /* The child's ends in front: input, output, errors; then ours of the same. */
    int fds[6] = {-1, -1, -1, -1, -1, -1}, pair[2];
    gf_status st = GF_OK;
    for (size_t i = 0; i < 3 && st == GF_OK; i++) {
        if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) != 0) {
            st = gf__error_errno(err, errno, "a pipe to %s", command->argv[0]);
            break;
        }
        fds[i] = i == 0 ? pair[0] : pair[1];
        fds[3 + i] = i == 0 ? pair[1] : pair[0];
    }
    if (st == GF_OK)
        st = write_input(command, fds[3], err);
    for (size_t i = 0; i < 3 && st == GF_OK; i++) /* the child reads and writes as usual */
        if (fcntl(fds[i], F_SETFL, 0) != 0)
            st = gf__error_errno(err, errno, "a pipe to %s", command->argv[0]);
    const int failure = st == GF_OK ? spawn(command, fds, &out->pid) : 0;
    close_all(fds, 4);
    if (failure == 0 && st == GF_OK) {
        out->out_fd = fds[4];
        out->err_fd = fds[5];
        return GF_OK;
    }
    close_all(fds + 4, 2);
    if (failure == ENOENT)
        return gf_error_set(err, GF_EUNAVAILABLE,
                            "there is no %s in the path; install Slurm's client commands",
                            command->argv[0]);
    return failure != 0 ? gf__error_errno(err, failure, "starting %s", command->argv[0]) : st;
}

/* ---- what it says ---- */

#define MAX_WORDS_BYTES 4096

/* What there is to read; *fd is closed and -1 at the end. What is above the limit is dropped; false then. */
static bool take(int *fd, gf__buffer *buffer, size_t max_bytes)
{
    char chunk[16384];
    const ssize_t n = read(*fd, chunk, sizeof chunk);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0) {
        close(*fd);
        *fd = -1;
        return true;
    }
    const size_t room = max_bytes - buffer->size;
    gf__buffer_append(buffer, chunk, (size_t)n < room ? (size_t)n : room);
    return (size_t)n <= room;
}

/* Until it has closed both ends. GF_EUNAVAILABLE, GF_ELIMIT: it has to be killed. */
static gf_status listen(const gf__slurm_command *command, running *child, int64_t end_ms,
                        gf__buffer *out, gf__buffer *words, gf_error *err)
{
    while (child->out_fd >= 0 || child->err_fd >= 0) {
        const int64_t left_ms = end_ms - gf__clock_ms();
        struct pollfd fds[2] = {{.fd = child->out_fd, .events = POLLIN},
                                {.fd = child->err_fd, .events = POLLIN}};
        const int n = left_ms > 0 ? poll(fds, 2, (int)left_ms) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return gf_error_set(err, GF_EUNAVAILABLE,
                                "%s was not done after %d s; is slurmctld well?", command->argv[0],
                                (command->timeout_ms + 999) / 1000);
        if (fds[1].revents != 0)
            (void)take(&child->err_fd, words, MAX_WORDS_BYTES);
        if (fds[0].revents != 0 && !take(&child->out_fd, out, command->max_bytes))
            return gf_error_set(err, GF_ELIMIT, "%s said more than %zu bytes", command->argv[0],
                                command->max_bytes);
    }
    return gf__buffer_status(out, err);
}

/* Its ends closed, it is about to exit; one that does not is killed as well. */
static int wait_for(pid_t pid, bool is_killed, int64_t end_ms)
{
    int status = 0;
    if (is_killed)
        kill(-pid, SIGKILL);
    for (;;) {
        const pid_t ended = waitpid(pid, &status, is_killed ? 0 : WNOHANG);
        if (ended == pid)
            return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
        if (ended < 0 && errno != EINTR)
            return -SIGKILL; /* somebody else has waited for it */
        if (is_killed)
            continue;
        poll(NULL, 0, 1);
        if (gf__clock_ms() >= end_ms) {
            kill(-pid, SIGKILL);
            is_killed = true;
        }
    }
}

/* The last line, which is the one that says why; what comes before it are attempts. */
static void keep_words(const gf__buffer *buffer, char *words, size_t size)
{
    static const char marker[] = "error: ";
    const char *line = "", *text = buffer->data != NULL ? buffer->data : "";
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n"), at += *at == '\n')
        if (*at != '\n')
            line = at;
    size_t n = strcspn(line, "\n");
    const char *behind = memmem(line, n, marker, sizeof marker - 1);
    if (behind != NULL) {
        behind += sizeof marker - 1;
        n -= (size_t)(behind - line);
        line = behind;
    }
    n = n < size - 1 ? n : size - 1;
    for (size_t i = 0; i < n; i++)
        words[i] = line[i] >= 0x20 && line[i] <= 0x7e ? line[i] : '?';
    words[n] = '\0';
}

gf_status gf__slurm_run(const gf__slurm_command *command, gf__slurm_answer *out, gf_error *err)
{
    running child = {.out_fd = -1, .err_fd = -1};
    gf__buffer text = {0}, words = {0};
    *out = (gf__slurm_answer){.out = NULL};
    const int64_t end_ms = gf__clock_ms() + command->timeout_ms;
    gf_status st = start(command, &child, err);
    if (st != GF_OK)
        return st;
    st = listen(command, &child, end_ms, &text, &words, err);
    out->exit_status = wait_for(child.pid, st != GF_OK, end_ms);
    close_all((int[]){child.out_fd, child.err_fd}, 2);
    keep_words(&words, out->words, sizeof out->words);
    if (st == GF_OK) {
        out->out = gf__buffer_take(&text, &out->n_out);
        if (out->out == NULL)
            st = gf__error_nomem(err, "an answer of Slurm", text.size);
    }
    gf__buffer_free(&text);
    gf__buffer_free(&words);
    return st;
}
