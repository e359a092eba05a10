/* tasks/descend.c: all that a process has started, and what that has started. A program may
 * leave its process group and its session, but not its place in the tree: orphans go to the
 * nearest ancestor that takes them (gf__children_new()), and are found again there. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tasks/tasks_priv.h"

typedef struct entry {
    pid_t pid, parent;
    bool is_meant;
} entry;

typedef struct table {
    entry *entries;
    size_t n, capacity;
} table;

/* The fourth field of /proc/PID/stat; the second one, the name, may hold anything, ")" too. 0:
 * gone, or dead already and only waited for. */
static pid_t read_parent(const char *pid)
{
    char path[64], text[512], state = 'Z';
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%.16s/stat", pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *after = strrchr(text, ')');
    if (after == NULL || sscanf(after + 1, " %c %d", &state, &parent) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : parent;
}

static bool add(table *all, pid_t pid, pid_t parent)
{
    if (all->n == all->capacity) {
        const size_t capacity = all->capacity == 0 ? 256 : 2 * all->capacity;
        entry *entries = gf__realloc(all->entries, capacity * sizeof *entries);
        if (entries == NULL)
            return false;
        all->entries = entries;
        all->capacity = capacity;
    }
    all->entries[all->n++] = (entry){.pid = pid, .parent = parent};
    return true;
}

static bool list_processes(table *all)
{
    DIR *proc = opendir("/proc");
    const struct dirent *found;
    bool is_whole = proc != NULL;
    while (is_whole && (found = readdir(proc)) != NULL) {
        if (!isdigit((unsigned char)found->d_name[0]))
            continue;
        const pid_t parent = read_parent(found->d_name);
        if (parent > 0)
            is_whole = add(all, (pid_t)strtol(found->d_name, NULL, 10), parent);
    }
    if (proc != NULL)
        closedir(proc);
    return is_whole;
}

static bool is_meant(const table *all, pid_t pid)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->entries[i].pid == pid)
            return all->entries[i].is_meant;
    return false;
}

/* Children of what is meant are meant, until nothing changes any more: a list in no order. */
static void mark_descendants(table *all, pid_t root)
{
    bool has_changed = true;
    while (has_changed) {
        has_changed = false;
        for (size_t i = 0; i < all->n; i++) {
            entry *e = &all->entries[i];
            if (e->is_meant || (e->parent != root && !is_meant(all, e->parent)))
                continue;
            e->is_meant = has_changed = true;
        }
    }
}

size_t gf__descendants_kill(pid_t root)
{
    table all = {0};
    size_t n_killed = 0;
    (void)list_processes(&all); /* what was found before memory was out is better than nothing */
    mark_descendants(&all, root);
    /* All are stopped first: none can start another while its brothers are being killed. */
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < all.n; i++)
            if (all.entries[i].is_meant &&
                kill(all.entries[i].pid, round == 0 ? SIGSTOP : SIGKILL) == 0)
                n_killed += (size_t)round;
    gf__free(all.entries);
    return n_killed;
}
