/* test_worker_sandbox.c: what a process can and cannot do once it has entered the sandbox: each
 * claim in a process of its own, made by fork(), that tells by its exit code. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "worker/worker_priv.h"

enum { DONE = 42, NOT_ENTERED = 43, NOT_DONE = 44 };

/* The wait status of a process that enters the sandbox and then acts. */
static int in_sandbox(const gf__sandbox_options *options, bool (*act)(int fd))
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        gf__sandbox_options mine = *options;
        mine.fds = &ends[0];
        mine.n_fds = 1;
        if (gf__sandbox_enter(&mine, NULL, NULL) != GF_OK)
            _exit(NOT_ENTERED);
        _exit(act(ends[0]) ? DONE : NOT_DONE);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(ends[0]);
    close(ends[1]);
    return status;
}

static void check_done(bool (*act)(int fd))
{
    const gf__sandbox_options options = {0};
    const int status = in_sandbox(&options, act);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != DONE)
        fail_msg("exit code %d, signal %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static bool is_refused(long result)
{
    return result == -1 && errno == EPERM;
}

static bool opens_nothing(int fd)
{
    struct stat info;
    return is_refused(open("/dev/null", O_RDONLY)) && is_refused(open("/", O_RDONLY)) &&
           is_refused(openat(AT_FDCWD, "x", O_CREAT | O_WRONLY, 0600)) &&
           is_refused(unlink("/tmp/graft-none")) && is_refused(mkdir("/tmp/graft-none", 0700)) &&
           is_refused(stat("/", &info)) && is_refused(chdir("/"));
}

static bool connects_nowhere(int fd)
{
    const struct sockaddr address = {.sa_family = AF_UNIX};
    int pair[2];
    return is_refused(socket(AF_INET, SOCK_STREAM, 0)) &&
           is_refused(socket(AF_UNIX, SOCK_STREAM, 0)) &&
           is_refused(connect(fd, &address, sizeof address)) &&
           is_refused(bind(fd, &address, sizeof address)) && is_refused(listen(fd, 1)) &&
           is_refused(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static bool makes_no_process(int fd)
{
    return is_refused(fork()) && is_refused(vfork()) && is_refused(kill(getppid(), 0)) &&
           is_refused(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0)) &&
           is_refused(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static bool has_only_its_socket(int fd)
{
    for (int other = 3; other < 1024; other++)
        if (other != fd && lseek(other, 0, SEEK_CUR) >= 0)
            return false;
    struct rlimit limit = {1, 1};
    return is_refused(setrlimit(RLIMIT_CORE, &limit)) && write(fd, "x", 1) == 1;
}

static void *say_done(void *argument)
{
    *(int *)argument = DONE;
    return NULL;
}

/* What kernels are compiled into, and what runs them. */
static bool computes(int fd)
{
    static const uint8_t code[] = {0xb8, DONE, 0, 0, 0, 0xc3}; /* mov eax, 42; ret */
    pthread_t thread;
    int said = 0;
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    memcpy(memory, code, sizeof code);
    if (mprotect(memory, 4096, PROT_READ | PROT_EXEC) != 0)
        return false;
#if defined(__x86_64__)
    int (*function)(void);
    memcpy(&function, &memory, sizeof function);
    if (function() != DONE)
        return false;
#endif
    char *large = gf__malloc(64 << 20);
    if (large == NULL)
        return false;
    memset(large, 1, 64 << 20);
    gf__free(large);
    return pthread_create(&thread, NULL, say_done, &said) == 0 && pthread_join(thread, NULL) == 0 &&
           said == DONE;
}

static bool starts_a_program(int fd)
{
    char *argv[] = {(char *)(uintptr_t) "/bin/true", NULL};
    return execv("/bin/true", argv) == 0;
}

static bool traces(int fd)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool aborts(int fd)
{
    abort();
}

TEST(sandbox__opens_no_file)
{
    check_done(opens_nothing);
}

TEST(sandbox__reaches_no_network)
{
    check_done(connects_nowhere);
}

TEST(sandbox__makes_no_process_and_signals_none)
{
    check_done(makes_no_process);
}

TEST(sandbox__holds_no_other_file)
{
    check_done(has_only_its_socket);
}

TEST(sandbox__leaves_memory_code_and_threads)
{
    check_done(computes);
}

TEST(sandbox__kills_who_starts_a_program_or_traces)
{
    const gf__sandbox_options options = {0};
    int status = in_sandbox(&options, starts_a_program);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    status = in_sandbox(&options, traces);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

TEST(sandbox__lets_an_assertion_end_the_process)
{
    const gf__sandbox_options options = {0};
    const int status = in_sandbox(&options, aborts);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TESTS_MAIN(UNIT(sandbox__opens_no_file), UNIT(sandbox__reaches_no_network),
           UNIT(sandbox__makes_no_process_and_signals_none), UNIT(sandbox__holds_no_other_file),
           UNIT(sandbox__leaves_memory_code_and_threads),
           UNIT(sandbox__kills_who_starts_a_program_or_traces),
           UNIT(sandbox__lets_an_assertion_end_the_process))
