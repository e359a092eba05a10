/* tasks/child_start.c: a program becomes a child: pipes, environment, fork, exec. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tasks/child_priv.h"

typedef struct start {
    const gf__child_options *options;
    char **env;
    pid_t parent;
    int ends[3][2]; /* stdout, stderr, and what says why it could not be started; read end first */
} start;

/* In the new process; nothing here may take a lock. */
static _Noreturn void become(const start *s)
{
    static const int reset[] = {SIGTERM, SIGINT, SIGPIPE, SIGXFSZ, SIGHUP, SIGCHLD, SIGQUIT};
    sigset_t none;
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    setpgid(0, 0);
    for (size_t i = 0; i < sizeof reset / sizeof *reset; i++)
        signal(reset[i], SIG_DFL);
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == s->parent && null >= 0 &&
        dup2(null, STDIN_FILENO) == 0 && dup2(s->ends[0][1], STDOUT_FILENO) == STDOUT_FILENO &&
        dup2(s->ends[1][1], STDERR_FILENO) == STDERR_FILENO && chdir(s->options->dir) == 0)
        execvpe(s->options->argv[0], s->options->argv, s->env);
    const int failure = errno;
    (void)!write(s->ends[2][1], &failure, sizeof failure);
    _exit(127);
}

static gf_status start_process(start *s, gf__child *child, gf_error *err)
{
    int failure = 0;
    for (size_t i = 0; i < 3; i++)
        if (pipe2(s->ends[i], O_CLOEXEC) != 0)
            return gf__error_errno(err, errno, "a pipe to %s", s->options->argv[0]);
    s->parent = getpid();
    child->pid = fork();
    if (child->pid < 0) {
        child->pid = 0;
        return gf__error_errno(err, errno, "a process for %s", s->options->argv[0]);
    }
    if (child->pid == 0)
        become(s);
    setpgid(child->pid, child->pid); /* whoever is first */
    close(s->ends[2][1]);
    s->ends[2][1] = -1;
    ssize_t n;
    do
        n = read(s->ends[2][0], &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    if (n != sizeof failure)
        return GF_OK; /* it is the program by now */
    waitpid(child->pid, NULL, 0);
    child->pid = 0;
    return gf__error_errno(err, failure, "cannot start %s in %s", s->options->argv[0],
                           s->options->dir);
}

static gf_status make_room(gf__children *all, gf_error *err)
{
    const size_t n_bytes = (2 + 2 * (all->n + 1)) * sizeof *all->polled;
    struct pollfd *polled = gf__realloc(all->polled, n_bytes);
    if (polled == NULL)
        return gf__error_nomem(err, "a list of children", n_bytes);
    all->polled = polled;
    return GF_OK;
}

static gf_status new_child(gf__task *task, const gf__child_options *options, gf__child **out,
                           gf_error *err)
{
    gf__child *child = gf__calloc(1, sizeof *child);
    if (child == NULL)
        return gf__error_nomem(err, "a child", sizeof *child);
    *out = child;
    child->task = task;
    child->user = options->user;
    child->streams[0].fd = child->streams[1].fd = -1;
    child->streams[0].name = "stdout";
    child->streams[1].name = "stderr";
    if (options->trial == NULL)
        return GF_OK;
    child->trial = gf__strdup(options->trial);
    return child->trial != NULL ? GF_OK : gf__error_nomem(err, "a trial's name", 0);
}

/* The new process' end of each pipe is its alone: otherwise there would be no end to the output. */
static void take_pipes(start *s, gf__child *child)
{
    for (size_t i = 0; i < 2; i++) {
        child->streams[i].fd = s->ends[i][0];
        s->ends[i][0] = -1;
        fcntl(child->streams[i].fd, F_SETFL, O_NONBLOCK);
    }
}

gf_status gf__child_start(gf__task *task, const gf__child_options *options, gf__child **out,
                          gf_error *err)
{
    start s = {.options = options, .ends = {{-1, -1}, {-1, -1}, {-1, -1}}};
    gf__child *child = NULL;
    *out = NULL;
    gf_status st = make_room(task->children, err);
    if (st == GF_OK)
        st = new_child(task, options, &child, err);
    if (st == GF_OK)
        st = gf__environment_new(NULL, options->env, &s.env, err);
    if (st == GF_OK)
        st = start_process(&s, child, err);
    if (st == GF_OK) {
        take_pipes(&s, child);
        child->next = task->children->first;
        task->children->first = child;
        task->children->n++;
        *out = child;
        child = NULL;
    }
    for (size_t i = 0; i < 6; i++)
        gf__close_if_open(s.ends[i / 2][i % 2]);
    gf__free(s.env);
    gf__child_free(child);
    return st;
}
