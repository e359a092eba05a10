/* jobs/local_group.c: cgroups, version 1, version 2 and both at once. A job's group holds it to its
 * CPUs, memory and number of processes, and tells which processes are its own, daemons and all.
 * Where no group may be made (a container, an ordinary user) the job runs without. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/local_priv.h"

#define TOP          "graft-jobs"
#define PERIOD_US    100000
#define MAX_PIDS     4096
#define MAX_SETTING  65536
#define V1_SHARES    "110" /* the kernel's weight of niceness 10, where 0 is 1024 */
#define V2_WEIGHT    "11"  /* where 0 is 100 */
#define SMALL_NUMBER 64

/* ---- files of a group ---- */

static bool write_setting(const char *group, const char *file, const char *value)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", group, file) >= sizeof path)
        return false;
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t n = write(fd, value, strlen(value));
    close(fd);
    return n == (ssize_t)strlen(value);
}

static bool write_number(const char *group, const char *file, uint64_t number)
{
    char text[SMALL_NUMBER];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return write_setting(group, file, text);
}

/* New; NULL where it cannot be read. */
static char *read_setting(const char *group, const char *file)
{
    char *text = NULL;
    size_t size = 0;
    char *path = gf__path_join(group, file);
    if (path != NULL)
        (void)gf__read_file(path, MAX_SETTING, &text, &size, NULL);
    gf__free(path);
    return text;
}

static bool has_file(const char *group, const char *file)
{
    char *path = gf__path_join(group, file);
    const bool has = path != NULL && access(path, F_OK) == 0;
    gf__free(path);
    return has;
}

/* ---- finding the trees ---- */

/* The line of /proc/self/cgroup, "4:cpu,cpuacct:/docker/1f" or "0::/user.slice". */
typedef struct membership {
    const char *controllers, *path;
} membership;

static bool split_line(char *line, membership *out)
{
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL)
        return false;
    *controllers++ = '\0';
    *path++ = '\0';
    *out = (membership){controllers, path};
    return true;
}

static bool lists(const char *controllers, const char *name)
{
    const size_t n = strlen(name);
    for (const char *at = controllers; *at != '\0'; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return true;
    return false;
}

/* Our own group there. Inside a container its name is often the host's and not to be seen: the
 * tree's root is ours then. New, NULL: the tree is not mounted. */
static char *own_group(const char *root, const char *mount, const char *path)
{
    char *base = gf__asprintf("%s/sys/fs/cgroup%s%s", root, mount[0] != '\0' ? "/" : "", mount);
    char *own = base != NULL ? gf__path_join(base, path) : NULL;
    if (own != NULL && !gf__is_dir(own)) {
        gf__free(own);
        own = gf__is_dir(base) ? gf__strdup(base) : NULL;
    }
    gf__free(base);
    return own;
}

/* Whether we are the one process in a group: then we may step aside into one below. */
static bool is_alone(const char *own)
{
    char *text = read_setting(own, "cgroup.procs"), number[SMALL_NUMBER];
    snprintf(number, sizeof number, "%ld\n", (long)getpid());
    const bool is = text != NULL && strcmp(text, number) == 0;
    gf__free(text);
    return is;
}

/* Version 2 hands a controller down only from a group without processes of its own (but for the
 * root): a service that was given its group has to move below it first. */
static void hand_down(const char *own, const char *controller)
{
    char word[SMALL_NUMBER];
    snprintf(word, sizeof word, "+%s", controller);
    if (write_setting(own, "cgroup.subtree_control", word) || errno != EBUSY || !is_alone(own))
        return;
    char *aside = gf__path_join(own, "graft-server");
    if (aside != NULL && (mkdir(aside, 0755) == 0 || errno == EEXIST) &&
        write_number(aside, "cgroup.procs", (uint64_t)getpid()))
        (void)write_setting(own, "cgroup.subtree_control", word);
    gf__free(aside);
}

static void set_up_v2(const char *own, gf__group_tree *tree)
{
    static const char *const controllers[] = {"cpu", "memory", "pids"};
    bool *const has[] = {&tree->has_cpu, &tree->has_memory, &tree->has_pids};
    for (size_t i = 0; i < 3; i++) {
        char word[SMALL_NUMBER];
        hand_down(own, controllers[i]);
        snprintf(word, sizeof word, "+%s", controllers[i]);
        *has[i] = write_setting(tree->top, "cgroup.subtree_control", word);
    }
    (void)write_setting(tree->top, "cpu.weight", V2_WEIGHT);
}

/* Takes own over. Below it a folder of ours, in which the jobs' are. */
static void add_tree(gf__groups *groups, char *own, const gf__group_tree *kind,
                     uint64_t max_memory_bytes)
{
    char *top = own != NULL ? gf__path_join(own, TOP) : NULL;
    if (groups->n_trees < GF__MAX_GROUPS && top != NULL &&
        (mkdir(top, 0755) == 0 || errno == EEXIST)) {
        gf__group_tree *tree = &groups->trees[groups->n_trees++];
        *tree = *kind;
        tree->top = top;
        top = NULL;
        if (tree->is_v2)
            set_up_v2(own, tree);
        if (tree->has_cpu && !tree->is_v2)
            (void)write_setting(tree->top, "cpu.shares", V1_SHARES);
        if (tree->has_memory && max_memory_bytes > 0)
            (void)write_number(tree->top, tree->is_v2 ? "memory.max" : "memory.limit_in_bytes",
                               max_memory_bytes);
    }
    gf__free(top);
    gf__free(own);
}

static void take_line(gf__groups *groups, const char *root, char *line, uint64_t max_memory_bytes)
{
    membership m;
    if (!split_line(line, &m))
        return;
    gf__group_tree kind = {.is_v2 = m.controllers[0] == '\0'};
    if (kind.is_v2) {
        char *pure = gf__asprintf("%s/sys/fs/cgroup", root);
        const bool is_pure = pure != NULL && has_file(pure, "cgroup.controllers");
        gf__free(pure);
        add_tree(groups, own_group(root, is_pure ? "" : "unified", m.path), &kind,
                 max_memory_bytes);
        return;
    }
    kind.has_cpu = lists(m.controllers, "cpu");
    kind.has_memory = lists(m.controllers, "memory");
    kind.has_pids = lists(m.controllers, "pids");
    if (!kind.has_cpu && !kind.has_memory && !kind.has_pids)
        return;
    char *own = own_group(root, m.controllers, m.path);
    if (own == NULL) /* mounted by one of its names */
        own = own_group(root, kind.has_cpu ? "cpu" : kind.has_memory ? "memory" : "pids", m.path);
    add_tree(groups, own, &kind, max_memory_bytes);
}

gf_status gf__groups_open(const char *root, uint64_t max_memory_bytes, gf__groups *out,
                          gf_error *err)
{
    *out = (gf__groups){.n_trees = 0};
    char *path = gf__asprintf("%s/proc/self/cgroup", root), *text = NULL;
    size_t size = 0;
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(root));
    const gf_status st = gf__read_file(path, MAX_SETTING, &text, &size, NULL);
    gf__free(path);
    for (char *line = text; st == GF_OK && line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        take_line(out, root, line, max_memory_bytes);
        line = end != NULL ? end + 1 : NULL;
    }
    gf__free(text);
    return GF_OK;
}

void gf__groups_close(gf__groups *groups)
{
    for (size_t i = 0; i < groups->n_trees; i++)
        gf__free(groups->trees[i].top);
    *groups = (gf__groups){.n_trees = 0};
}

char *gf__groups_describe(const gf__groups *groups)
{
    gf__buffer text = {0};
    for (size_t i = 0; i < groups->n_trees; i++) {
        const gf__group_tree *tree = &groups->trees[i];
        gf__buffer_printf(&text, "%scgroup v%d%s%s%s", i > 0 ? ", " : "", tree->is_v2 ? 2 : 1,
                          tree->has_cpu ? " cpu" : "", tree->has_memory ? " memory" : "",
                          tree->has_pids ? " pids" : "");
    }
    return gf__buffer_take(&text, NULL);
}

/* ---- groups of jobs ---- */

static bool limit(const gf__group_tree *tree, const char *group, const gf__group_limits *limits)
{
    const uint64_t quota_us = (uint64_t)limits->n_cpus * PERIOD_US;
    bool has_memory = false;
    if (tree->has_cpu && tree->is_v2) {
        char text[SMALL_NUMBER];
        snprintf(text, sizeof text, "%llu %d", (unsigned long long)quota_us, PERIOD_US);
        (void)write_setting(group, "cpu.max", text);
    } else if (tree->has_cpu) {
        (void)write_number(group, "cpu.cfs_period_us", PERIOD_US);
        (void)write_number(group, "cpu.cfs_quota_us", quota_us);
    }
    if (tree->has_memory && limits->max_memory_bytes > 0)
        has_memory = write_number(group, tree->is_v2 ? "memory.max" : "memory.limit_in_bytes",
                                  limits->max_memory_bytes);
    if (tree->has_pids)
        (void)write_number(group, "pids.max", MAX_PIDS);
    return has_memory;
}

gf_status gf__group_make(const gf__groups *groups, const char *name, const gf__group_limits *limits,
                         int *fds, size_t *n_fds, bool *has_memory, gf_error *err)
{
    *n_fds = 0;
    *has_memory = false;
    for (size_t i = 0; i < groups->n_trees; i++) {
        char *group = gf__path_join(groups->trees[i].top, name);
        char *procs = group != NULL ? gf__path_join(group, "cgroup.procs") : NULL;
        if (procs == NULL) {
            gf__free(group);
            for (size_t k = 0; k < *n_fds; k++)
                close(fds[k]);
            *n_fds = 0;
            return gf__error_nomem(err, "a path", strlen(name));
        }
        if (mkdir(group, 0755) == 0 || errno == EEXIST) {
            *has_memory = limit(&groups->trees[i], group, limits) || *has_memory;
            const int fd = open(procs, O_WRONLY | O_CLOEXEC);
            if (fd >= 0)
                fds[(*n_fds)++] = fd;
        }
        gf__free(procs);
        gf__free(group);
    }
    return GF_OK;
}

static void each_group(const gf__groups *groups, const char *name,
                       void (*act)(const gf__group_tree *tree, const char *group, void *user),
                       void *user)
{
    for (size_t i = 0; i < groups->n_trees; i++) {
        char *group = gf__path_join(groups->trees[i].top, name);
        if (group != NULL)
            act(&groups->trees[i], group, user);
        gf__free(group);
    }
}

static void kill_one(const gf__group_tree *tree, const char *group, void *user)
{
    if (tree->has_pids)
        (void)write_setting(group, "pids.max", "0"); /* who forks faster than we kill */
    if (tree->is_v2)
        (void)write_setting(group, "cgroup.kill", "1");
}

void gf__group_kill(const gf__groups *groups, const char *name)
{
    each_group(groups, name, kill_one, NULL);
}

typedef struct visit {
    void (*visit)(void *user, pid_t pid);
    void *user;
} visit;

static void visit_one(const gf__group_tree *tree, const char *group, void *user)
{
    const visit *v = user;
    char *text = read_setting(group, "cgroup.procs");
    for (const char *line = text; line != NULL && *line != '\0';) {
        const long pid = strtol(line, NULL, 10);
        if (pid > 0)
            v->visit(v->user, (pid_t)pid);
        line = strchr(line, '\n');
        line += line != NULL ? 1 : 0;
    }
    gf__free(text);
}

void gf__group_visit(const gf__groups *groups, const char *name,
                     void (*visit_pid)(void *user, pid_t pid), void *user)
{
    visit v = {visit_pid, user};
    each_group(groups, name, visit_one, &v);
}

/* "oom_kill 1" in memory.events (2) or memory.oom_control (1). */
static void look_for_kills(const gf__group_tree *tree, const char *group, void *user)
{
    bool *was = user;
    if (!tree->has_memory)
        return;
    char *text = read_setting(group, tree->is_v2 ? "memory.events" : "memory.oom_control");
    const char *at = text != NULL ? strstr(text, "oom_kill ") : NULL;
    *was = *was || (at != NULL && strtol(at + strlen("oom_kill "), NULL, 10) > 0);
    gf__free(text);
}

bool gf__group_was_out_of_memory(const gf__groups *groups, const char *name)
{
    bool was = false;
    each_group(groups, name, look_for_kills, &was);
    return was;
}

static void remove_one(const gf__group_tree *tree, const char *group, void *user)
{
    (void)rmdir(group);
}

void gf__group_remove(const gf__groups *groups, const char *name)
{
    each_group(groups, name, remove_one, NULL);
}
