/* bench_process.c: runs a command and prints its wall time, CPU time and largest resident memory as
 * one JSON line. It is as small as it is for a reason: ru_maxrss of a child starts at what its
 * parent held, so a Python parent cannot measure.
 *
 *     bench_process COMMAND [ARGUMENT...]        its standard output goes to /dev/null */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double in_ms(struct timeval t)
{
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

int main(int argc, char **argv)
{
    posix_spawn_file_actions_t actions;
    struct rusage usage;
    pid_t child;
    int status = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: bench_process COMMAND [ARGUMENT...]\n");
        return 2;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    const double start = now_ms();
    const int failed = posix_spawnp(&child, argv[1], &actions, NULL, argv + 1, environ);
    if (failed != 0) {
        fprintf(stderr, "bench_process: %s: %s\n", argv[1], strerror(failed));
        return 1;
    }
    while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR)
        continue;
    const double wall_ms = now_ms() - start;
    posix_spawn_file_actions_destroy(&actions);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "bench_process: %s failed (status %d)\n", argv[1], status);
        return 1;
    }
    printf("{\"wall_ms\": %.3f, \"user_ms\": %.3f, \"system_ms\": %.3f, \"max_rss_mb\": %.1f}\n",
           wall_ms, in_ms(usage.ru_utime), in_ms(usage.ru_stime), (double)usage.ru_maxrss / 1024.0);
    return 0;
}
