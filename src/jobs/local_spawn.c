/* jobs/local_spawn.c: fork and exec of a job's process. By hand, since posix_spawn() cannot put the
 * child into a cgroup, nice it or limit it before it is the program. Between fork and exec the child
 * makes system calls only: other threads of ours may hold any lock. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs/local_priv.h"

#define NICENESS 10 /* below serving */
/* linux/ioprio.h: class best effort (2), the last of its eight levels. The class idle would stand still
 * beside a busy neighbour. */
#define IOPRIO_LOW         ((2 << 13) | 7)
#define IOPRIO_WHO_PROCESS 1
#define OOM_SCORE          "500" /* whom the kernel kills first when memory is out: not the server */
#define START_LOCK         "start.lock"
#define EXIT_BEFORE_EXEC   127

/* ---- words ---- */

typedef struct job_words {
    char *argv[5];
    char **env; /* new */
    char number[16], variable[sizeof GF__JOB_ATTEMPT_VARIABLE + 16];
    char *dir_variable; /* new */
} job_words;

static gf_status choose_words(const gf__spawn *spawn, job_words *out, gf_error *err)
{
    snprintf(out->number, sizeof out->number, "%d", spawn->attempt);
    snprintf(out->variable, sizeof out->variable, "%s=%d", GF__JOB_ATTEMPT_VARIABLE,
             spawn->attempt);
    out->dir_variable = gf__asprintf("%s=%s", GF__JOB_DIR_VARIABLE, spawn->dir);
    if (out->dir_variable == NULL)
        return gf__error_nomem(err, "an environment", strlen(spawn->dir));
    char *const argv[5] = {(char *)(uintptr_t)spawn->program, (char *)(uintptr_t) "job",
                           (char *)(uintptr_t)spawn->dir, out->number, NULL};
    memcpy(out->argv, argv, sizeof argv);
    char *const added[] = {out->dir_variable, out->variable, NULL};
    return gf__environment_new(gf__job_variables, added, &out->env, err);
}

/* ---- the child ---- */

typedef struct job_child {
    const gf__spawn *spawn;
    const job_words *words;
    int null_fd, log_fd, report_fd;
} job_child;

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL); /* those that we ignore would stay ignored */
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void write_once(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0)
        errno = 0; /* a limit or a preference that cannot be had; the job runs without */
}

static void lower_ourselves(const gf__spawn *spawn)
{
    for (size_t i = 0; i < spawn->n_group_fds; i++)
        write_once(spawn->group_fds[i], "0");
    (void)setpriority(PRIO_PROCESS, 0, NICENESS);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_LOW);
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        write_once(fd, OOM_SCORE);
        close(fd);
    }
    if (spawn->max_address_bytes > 0) {
        const struct rlimit bound = {spawn->max_address_bytes, spawn->max_address_bytes};
        (void)setrlimit(RLIMIT_AS, &bound);
    }
}

_Noreturn static void become_job(const job_child *child)
{
    reset_signals();
    (void)setsid();
    lower_ourselves(child->spawn);
    if (dup2(child->null_fd, 0) == 0 && dup2(child->log_fd, 1) == 1 &&
        dup2(child->log_fd, 2) == 2 && chdir(child->spawn->dir) == 0) {
        (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
        execve(child->spawn->program, child->words->argv, child->words->env);
    }
    const int why = errno;
    if (write(child->report_fd, &why, sizeof why) < 0)
        _exit(EXIT_BEFORE_EXEC);
    _exit(EXIT_BEFORE_EXEC);
}

/* ---- the parent ---- */

static gf_status open_in(const char *dir, const char *name, int flags, int *fd, gf_error *err)
{
    char *path = gf__path_join(dir, name);
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(dir));
    *fd = open(path, flags | O_CREAT | O_CLOEXEC, 0666);
    if (*fd >= 0 && *fd < 3) { /* a server without standard files: the child's go there */
        const int low = *fd;
        *fd = fcntl(low, F_DUPFD_CLOEXEC, 3);
        close(low);
    }
    const gf_status st = *fd >= 0 ? GF_OK : gf__error_errno(err, errno, "%s: cannot open", path);
    gf__free(path);
    return st;
}

static gf_status take_start_lock(const char *dir, int *fd, gf_error *err)
{
    const gf_status st = open_in(dir, START_LOCK, O_RDWR, fd, err);
    if (st != GF_OK)
        return st;
    while (flock(*fd, LOCK_EX) != 0)
        if (errno != EINTR)
            return gf__error_errno(err, errno, "%s/%s: cannot lock", dir, START_LOCK);
    return GF_OK;
}

gf_status gf__spawn_settle(const char *dir, gf_error *err)
{
    int fd = -1;
    const gf_status st = take_start_lock(dir, &fd, err);
    if (fd >= 0)
        close(fd);
    return st;
}

/* The report pipe ends without a word when exec closes it. */
static gf_status wait_for_exec(const gf__spawn *spawn, pid_t pid, int fd, gf_error *err)
{
    int why = 0;
    ssize_t n = read(fd, &why, sizeof why);
    while (n < 0 && errno == EINTR)
        n = read(fd, &why, sizeof why);
    if (n == 0)
        return GF_OK;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return gf__error_errno(err, n == (ssize_t)sizeof why ? why : EIO, "starting %s",
                           spawn->program);
}

static gf_status fork_child(job_child *child, pid_t *pid, gf_error *err)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0)
        return gf__error_errno(err, errno, "starting a job");
    child->report_fd = report[1];
    const pid_t made = fork();
    if (made == 0)
        become_job(child);
    const int why = errno;
    close(report[1]);
    gf_status st = GF_OK;
    if (made < 0)
        st = gf__error_errno(err, why, "starting a job");
    else
        st = wait_for_exec(child->spawn, made, report[0], err);
    close(report[0]);
    if (st == GF_OK)
        *pid = made;
    return st;
}

gf_status gf__spawn_job(const gf__spawn *spawn, pid_t *pid, gf_error *err)
{
    job_words words = {.dir_variable = NULL};
    int lock_fd = -1;
    job_child child = {.spawn = spawn, .words = &words, .null_fd = -1, .log_fd = -1};
    gf_status st = choose_words(spawn, &words, err);
    if (st == GF_OK)
        st = open_in("/dev", "null", O_RDWR, &child.null_fd, err);
    if (st == GF_OK)
        st = open_in(spawn->dir, "process.log", O_WRONLY | O_APPEND, &child.log_fd, err);
    if (st == GF_OK)
        st = take_start_lock(spawn->dir, &lock_fd, err);
    if (st == GF_OK)
        st = fork_child(&child, pid, err);
    if (lock_fd >= 0)
        close(lock_fd);
    if (child.log_fd >= 0)
        close(child.log_fd);
    if (child.null_fd >= 0)
        close(child.null_fd);
    gf__free(words.env);
    gf__free(words.dir_variable);
    return st;
}
