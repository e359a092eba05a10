/* base/cpus.c: how many threads are worth starting here.
 *
 * A container is given a quota (4 CPUs' worth of time in each period) on a host of 64 CPUs, and one
 * that starts 64 threads is stopped for most of each period. The quota is found by walking from the
 * process's own cgroup up to the root, since any of its ancestors may hold the tightest one. */
#include "base/cpus_priv.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graft/base.h"

/* The first line of ROOT/sys/fs/cgroup/MOUNT GROUP/FILE; false where there is no such file. */
static bool read_setting(const char *mount, const char *group, const char *file, char *line,
                         int line_bytes)
{
    char path[PATH_MAX];
    const int n_chars = snprintf(path, sizeof path, "%s%s/%s", mount, group, file);
    if (n_chars < 0 || (size_t)n_chars >= sizeof path)
        return false;
    FILE *stream = fopen(path, "re");
    if (stream == NULL)
        return false;
    const bool is_read = fgets(line, line_bytes, stream) != NULL;
    fclose(stream);
    return is_read;
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static int quota_to_cpus(long long quota_us, long long period_us)
{
    if (quota_us <= 0 || period_us <= 0)
        return INT_MAX;
    const long long n_cpus = quota_us / period_us;
    return n_cpus < 1 ? 1 : n_cpus < INT_MAX ? (int)n_cpus : INT_MAX;
}

/* Version 2: cpu.max holds "150000 100000", or "max 100000" for no quota. */
static int read_quota_v2(const char *mount, const char *group)
{
    char line[128];
    if (!read_setting(mount, group, "cpu.max", line, sizeof line))
        return INT_MAX;
    char *end = line;
    const long long quota_us = strtoll(line, &end, 10);
    return end == line ? INT_MAX : quota_to_cpus(quota_us, strtoll(end, NULL, 10));
}

/* Version 1: two files, -1 for no quota. */
static int read_quota_v1(const char *mount, const char *group)
{
    char quota[64], period[64];
    if (!read_setting(mount, group, "cpu.cfs_quota_us", quota, sizeof quota) ||
        !read_setting(mount, group, "cpu.cfs_period_us", period, sizeof period))
        return INT_MAX;
    return quota_to_cpus(strtoll(quota, NULL, 10), strtoll(period, NULL, 10));
}

/* The least of the group and its ancestors. Inside a container the name is often the host's and
 * exists here only as far as "/": the walk ends there in any case. */
static int walk_up(const char *root, const char *mount_name, const char *group_name,
                   int (*read_quota)(const char *mount, const char *group))
{
    char mount[PATH_MAX], group[PATH_MAX];
    const int n_mount = snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s", root, mount_name);
    const int n_group = snprintf(group, sizeof group, "%s", group_name);
    if (n_mount < 0 || (size_t)n_mount >= sizeof mount || n_group < 0 ||
        (size_t)n_group >= sizeof group)
        return INT_MAX;

    int n_cpus = INT_MAX;
    for (;;) {
        n_cpus = min_int(n_cpus, read_quota(mount, group));
        char *slash = strrchr(group, '/');
        if (slash == NULL)
            return n_cpus;
        *slash = '\0';
    }
}

/* Whether name is one of "cpu,cpuacct". */
static bool lists_controller(const char *controllers, const char *name)
{
    const size_t n_chars = strlen(name);
    for (const char *at = controllers; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, n_chars) == 0 && (at[n_chars] == ',' || at[n_chars] == '\0'))
            return true;
    }
    return false;
}

/* One line of /proc/self/cgroup: "0::/user.slice" (version 2) or "4:cpu,cpuacct:/docker/1f" (1). */
static int read_cgroup_line(const char *root, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL)
        return INT_MAX;
    controllers++;
    *group++ = '\0';
    if (controllers[0] == '\0') {
        const int pure = walk_up(root, "", group, read_quota_v2);
        return min_int(pure, walk_up(root, "/unified", group, read_quota_v2));
    }
    if (!lists_controller(controllers, "cpu"))
        return INT_MAX;
    const int alone = walk_up(root, "/cpu", group, read_quota_v1);
    return min_int(alone, walk_up(root, "/cpu,cpuacct", group, read_quota_v1));
}

int gf__cgroup_cpus(const char *root)
{
    char line[PATH_MAX + 256];
    const int n_chars = snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    if (n_chars < 0 || (size_t)n_chars >= sizeof line)
        return INT_MAX;
    FILE *stream = fopen(line, "re");
    if (stream == NULL)
        return INT_MAX;
    int n_cpus = INT_MAX;
    while (fgets(line, sizeof line, stream) != NULL)
        n_cpus = min_int(n_cpus, read_cgroup_line(root, line));
    fclose(stream);
    return n_cpus;
}

static int count_allowed_cpus(void)
{
    cpu_set_t allowed[8]; /* 8192 CPUs, as many as Linux can be built for */
    if (sched_getaffinity(0, sizeof allowed, allowed) != 0)
        return 1;
    return CPU_COUNT_S(sizeof allowed, allowed);
}

int gf_threads_available(void)
{
    const int n_threads = min_int(count_allowed_cpus(), gf__cgroup_cpus(""));
    return n_threads > 1 ? n_threads : 1;
}
