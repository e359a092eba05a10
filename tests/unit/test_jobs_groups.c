/* Cgroups of an attempt, of version 1, 2 and both, on folders that look like them. */
#include <unistd.h>

#include "check.h"
#include "jobs/local_priv.h"

static void make_file(const char *root, const char *name, const char *text)
{
    char *path = gf__path_join(root, name), *slash = NULL, *folder = gf__strdup(path);
    slash = strrchr(folder, '/');
    *slash = '\0';
    CHECK_OK(gf__make_dirs(folder, &check_err));
    CHECK_OK(gf__write_file(path, text, strlen(text), &check_err));
    gf__free(folder);
    gf__free(path);
}

static void check_file(const char *root, const char *name, const char *want)
{
    char *path = gf__path_join(root, name), *text = NULL;
    size_t size = 0;
    CHECK_OK(gf__read_file(path, 4096, &text, &size, &check_err));
    if (strncmp(text, want, strlen(want)) != 0) /* a plain file is not cut as a kernel's is */
        fail_msg("%s is \"%s\", expected \"%s\"", name, text, want);
    gf__free(text);
    gf__free(path);
}

static void make_group(const gf__groups *groups)
{
    int fds[GF__MAX_GROUPS];
    size_t n_fds = 0;
    bool has_memory = false;
    const gf__group_limits limits = {.n_cpus = 2, .max_memory_bytes = 1000000};
    CHECK_OK(gf__group_make(groups, "j", &limits, fds, &n_fds, &has_memory, &check_err));
    CHECK(has_memory);
    for (size_t i = 0; i < n_fds; i++)
        close(fds[i]);
    CHECK_EQ(n_fds, groups->n_trees);
}

TEST(groups__of_version_2)
{
    char *root = check_temp_dir();
    gf__groups groups;
    make_file(root, "proc/self/cgroup", "0::/a.service\n");
    make_file(root, "sys/fs/cgroup/cgroup.controllers", "cpu memory pids");
    make_file(root, "sys/fs/cgroup/a.service/cgroup.subtree_control", "");
#define TOP2 "sys/fs/cgroup/a.service/graft-jobs/"
    static const char *const files[] = {
        TOP2 "cgroup.subtree_control",
        TOP2 "cpu.weight",
        TOP2 "memory.max",
        TOP2 "j/cpu.max",
        TOP2 "j/memory.max",
        TOP2 "j/cgroup.kill",
        TOP2 "j/pids.max",
        TOP2 "j/cgroup.procs",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        make_file(root, files[i], "");
    CHECK_OK(gf__groups_open(root, 5000000, &groups, &check_err));
    CHECK_EQ(groups.n_trees, 1);
    char *text = gf__groups_describe(&groups);
    CHECK_STR(text, "cgroup v2 cpu memory pids");
    gf__free(text);
    make_group(&groups);
    check_file(root, TOP2 "memory.max", "5000000");
    check_file(root, TOP2 "cpu.weight", "11");
    check_file(root, TOP2 "j/cpu.max", "200000 100000");
    check_file(root, TOP2 "j/memory.max", "1000000");
    check_file(root, TOP2 "j/pids.max", "4096");
    gf__group_kill(&groups, "j");
    check_file(root, TOP2 "j/cgroup.kill", "1");
    make_file(root, TOP2 "j/memory.events", "low 0\noom 1\noom_kill 1\n");
    CHECK(gf__group_was_out_of_memory(&groups, "j"));
    gf__groups_close(&groups);
    check_remove_dir(root);
}

TEST(groups__of_version_1_and_of_both)
{
    char *root = check_temp_dir();
    gf__groups groups;
    make_file(root, "proc/self/cgroup",
              "4:memory:/m/x\n3:cpu,cpuacct:/\n2:freezer:/\n1:name=systemd:/\n0::/\n");
#define MEMORY1 "sys/fs/cgroup/memory/m/x/graft-jobs/"
#define CPU1    "sys/fs/cgroup/cpu/graft-jobs/"
    static const char *const files[] = {
        MEMORY1 "memory.limit_in_bytes",
        MEMORY1 "j/memory.limit_in_bytes",
        MEMORY1 "j/cgroup.procs",
        CPU1 "cpu.shares",
        CPU1 "j/cpu.cfs_quota_us",
        CPU1 "j/cpu.cfs_period_us",
        CPU1 "j/cgroup.procs",
        "sys/fs/cgroup/unified/graft-jobs/j/cgroup.procs",
        "sys/fs/cgroup/unified/graft-jobs/j/cgroup.kill",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        make_file(root, files[i], "");
    CHECK_OK(gf__groups_open(root, 5000000, &groups, &check_err));
    char *text = gf__groups_describe(&groups);
    CHECK_STR(text, "cgroup v1 memory, cgroup v1 cpu, cgroup v2");
    gf__free(text);
    make_group(&groups);
    check_file(root, MEMORY1 "memory.limit_in_bytes", "5000000");
    check_file(root, MEMORY1 "j/memory.limit_in_bytes", "1000000");
    check_file(root, CPU1 "cpu.shares", "110");
    check_file(root, CPU1 "j/cpu.cfs_quota_us", "200000");
    gf__group_kill(&groups, "j");
    check_file(root, "sys/fs/cgroup/unified/graft-jobs/j/cgroup.kill", "1");
    make_file(root, MEMORY1 "j/memory.oom_control",
              "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
    CHECK(!gf__group_was_out_of_memory(&groups, "j"));
    gf__groups_close(&groups);
    check_remove_dir(root);
}

TEST(groups__where_there_are_none_are_none)
{
    char *root = check_temp_dir();
    gf__groups groups;
    CHECK_OK(gf__groups_open(root, 0, &groups, &check_err));
    CHECK_EQ(groups.n_trees, 0);
    make_file(root, "proc/self/cgroup", "garbage\n0::/x\n");
    CHECK_OK(gf__groups_open(root, 0, &groups, &check_err));
    CHECK_EQ(groups.n_trees, 0);
    gf__groups_close(&groups);
    check_remove_dir(root);
}

TESTS_MAIN(UNIT(groups__of_version_2), UNIT(groups__of_version_1_and_of_both),
           UNIT(groups__where_there_are_none_are_none))
