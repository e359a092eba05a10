/* base/fs_sweep.c: NAME.tmp.PID.N files (fs_write.c) of processes that were killed before they could give them their
 * name. */
#include "base/fs.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

/* A number that is nobody's here may be somebody's on another machine that shares the folder: who still writes, has
 * written within the hour. */
#define LEAST_AGE_S 3600

static bool read_number(const char **at, long *out)
{
    char *end = NULL;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *out = strtol(*at, &end, 10);
    *at = end;
    return errno == 0;
}

/* The process of "NAME.tmp.PID.N"; 0: it is no such name. */
static pid_t writer_of(const char *name)
{
    const char *at = NULL;
    long pid = 0, n = 0;
    for (const char *next = name; (next = strstr(next, ".tmp.")) != NULL; next += 5)
        at = next + 5; /* the last one: NAME may have it, too */
    if (at == NULL || at == name + 5 || !read_number(&at, &pid) || *at++ != '.' ||
        !read_number(&at, &n) || *at != '\0')
        return 0;
    return pid > 0 && (pid_t)pid == pid ? (pid_t)pid : 0;
}

static bool is_dead(pid_t pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static bool is_own_dir(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static size_t sweep_entry(const char *path, const char *name, int depth)
{
    struct stat info;
    const pid_t pid = writer_of(name);
    if (pid == 0)
        return depth > 0 && is_own_dir(path) ? gf__sweep_temporaries(path, depth - 1) : 0;
    if (!is_dead(pid) || lstat(path, &info) != 0 || !S_ISREG(info.st_mode) ||
        time(NULL) - info.st_mtime < LEAST_AGE_S)
        return 0;
    return unlink(path) == 0;
}

size_t gf__sweep_temporaries(const char *dir, int depth)
{
    gf__dir_list list = {0};
    size_t n_swept = 0;
    if (!gf__is_dir(dir) || gf__list_dir(dir, &list, NULL) != GF_OK)
        return 0;
    for (size_t i = 0; i < list.n_names; i++) {
        char *path = gf__path_join(dir, list.names[i]);
        if (path != NULL)
            n_swept += sweep_entry(path, list.names[i], depth);
        gf__free(path);
    }
    gf__dir_list_free(&list);
    return n_swept;
}
