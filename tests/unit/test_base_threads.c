/* test_base_threads.c: the pool does each item once, and threads are counted as cgroups allow. */
#include "check.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/cpus_priv.h"

#define N_ITEMS 1000

typedef struct tally {
    unsigned char n_times[N_ITEMS];
    size_t n_by_thread[8];
    atomic_int n_inside;
    int n_threads;
} tally;

static void count_item(void *user, size_t i, int thread)
{
    tally *t = user;
    assert_true(thread >= 0 && thread < t->n_threads);
    t->n_times[i]++; /* plain: TSan sees an item that two threads were given */
    t->n_by_thread[thread]++;
}

static void check_every_item_once(gf__pool *pool, size_t n_items)
{
    tally t = {.n_threads = gf__pool_n_threads(pool)};
    gf__pool_run(pool, n_items, count_item, &t);
    size_t sum = 0;
    for (size_t i = 0; i < N_ITEMS; i++)
        CHECK_EQ(t.n_times[i], i < n_items);
    for (size_t k = 0; k < 8; k++)
        sum += t.n_by_thread[k];
    CHECK_EQ(sum, n_items);
}

TEST(pool_run__does_every_item_once)
{
    for (int n_threads = 1; n_threads <= 8; n_threads++) {
        gf__pool *pool = NULL;
        CHECK_OK(gf__pool_new(n_threads, &pool, &check_err));
        CHECK_EQ(gf__pool_n_threads(pool), n_threads);
        static const size_t sizes[] = {0, 1, 2, 7, N_ITEMS};
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            check_every_item_once(pool, sizes[i]);
        gf__pool_free(pool);
    }
}

TEST(pool_run__runs_in_the_caller_without_a_pool)
{
    check_every_item_once(NULL, N_ITEMS);
    CHECK_EQ(gf__pool_n_threads(NULL), 1);
    gf__pool_free(NULL);
}

TEST(pool_run__makes_results_visible_call_after_call)
{
    gf__pool *pool = NULL;
    CHECK_OK(gf__pool_new(4, &pool, &check_err));
    for (int call = 0; call < 2000; call++)
        check_every_item_once(pool, (size_t)call % 9);
    gf__pool_free(pool);
}

/* Returns only when every thread of the pool is inside at once. */
static void meet_the_others(void *user, size_t i, int thread)
{
    tally *t = user;
    atomic_fetch_add(&t->n_inside, 1);
    while (atomic_load(&t->n_inside) < t->n_threads)
        sched_yield();
}

TEST(pool_run__uses_all_its_threads_at_the_same_time)
{
    gf__pool *pool = NULL;
    CHECK_OK(gf__pool_new(4, &pool, &check_err));
    tally t = {.n_threads = 4};
    gf__pool_run(pool, 4, meet_the_others, &t);
    CHECK_EQ(t.n_inside, 4);
    gf__pool_free(pool);
}

TEST(pool_new__refuses_no_threads)
{
    gf__pool *pool = NULL;
    CHECK_FAILS(GF_EINVAL, "0 threads", gf__pool_new(0, &pool, &check_err));
    CHECK_FAILS(GF_EINVAL, "-1 threads", gf__pool_new(-1, &pool, &check_err));
    assert_null(pool);
}

TEST(pool_new__survives_every_allocation_failure)
{
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__pool *pool = NULL;
        gf__mem_fail_after(n);
        st = gf__pool_new(3, &pool, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && pool == NULL));
        gf__pool_free(pool);
    }
    CHECK_OK(st);
}

TEST(threads_available__obeys_the_affinity_mask)
{
    cpu_set_t before, one;
    CHECK(gf_threads_available() >= 1);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (size_t cpu = 0; CPU_COUNT(&one) == 0 && cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    CHECK_EQ(gf_threads_available(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

/* A made-up root directory: pairs of file name and contents, ended with NULL. */
static int cpus_in(const char *const *files)
{
    char *root = check_temp_dir();
    for (; *files != NULL; files += 2) {
        char *path = gf__path_join(root, files[0]);
        char *dir = gf__strndup(path, (size_t)(gf__path_base(path) - path));
        CHECK_OK(gf__make_dirs(dir, &check_err));
        CHECK_OK(gf__write_file(path, files[1], strlen(files[1]), &check_err));
        gf__free(dir);
        gf__free(path);
    }
    const int n_cpus = gf__cgroup_cpus(root);
    check_remove_dir(root);
    return n_cpus;
}

#define CPUS_IN(...) cpus_in((const char *const[]){__VA_ARGS__, NULL})

TEST(cgroup_cpus__reads_version_2)
{
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "400000 100000\n"), 4);
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "max 100000\n"),
             INT_MAX);
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "299999 100000\n"), 2);
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "50000 100000\n"), 1);
}

TEST(cgroup_cpus__takes_the_tightest_of_all_ancestors)
{
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "0::/a/b/c\n",              /* */
                     "sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n",  /* */
                     "sys/fs/cgroup/a/b/cpu.max", "300000 100000\n", /* */
                     "sys/fs/cgroup/a/cpu.max", "800000 100000\n"),
             3);
}

TEST(cgroup_cpus__finds_the_mount_of_a_container_that_names_host_groups)
{
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "0::/../../docker/1f\n", "sys/fs/cgroup/cpu.max",
                     "200000 100000\n"),
             2);
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "4:cpu,cpuacct:/docker/1f\n0::/docker/1f\n",
                     "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "600000\n",
                     "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
             6);
}

TEST(cgroup_cpus__reads_version_1)
{
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "9:cpuset:/x\n2:cpuacct,cpu:/x\n",
                     "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "500000\n",
                     "sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"),
             5);
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "2:cpu:/x\n", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us",
                     "-1\n", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"),
             INT_MAX);
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "2:cpuset:/x\n", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us",
                     "100000\n", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"),
             INT_MAX); /* cpuset is not cpu */
}

TEST(cgroup_cpus__shrugs_at_nonsense)
{
    CHECK_EQ(CPUS_IN("etc/nothing", "x"), INT_MAX);
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "", "sys/fs/cgroup/cpu.max", "1 1\n"), INT_MAX);
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "no colons\n::\n0:\n"), INT_MAX);
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "\n"), INT_MAX);
    CHECK_EQ(CPUS_IN("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "-5 0\n"), INT_MAX);
    CHECK_EQ(
        CPUS_IN("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "9223372036854775807 1\n"),
        INT_MAX);
}

TESTS_MAIN(UNIT(pool_run__does_every_item_once), UNIT(pool_run__runs_in_the_caller_without_a_pool),
           UNIT(pool_run__makes_results_visible_call_after_call),
           UNIT(pool_run__uses_all_its_threads_at_the_same_time),
           UNIT(pool_new__refuses_no_threads), UNIT(pool_new__survives_every_allocation_failure),
           UNIT(threads_available__obeys_the_affinity_mask), UNIT(cgroup_cpus__reads_version_2),
           UNIT(cgroup_cpus__takes_the_tightest_of_all_ancestors),
           UNIT(cgroup_cpus__finds_the_mount_of_a_container_that_names_host_groups),
           UNIT(cgroup_cpus__reads_version_1), UNIT(cgroup_cpus__shrugs_at_nonsense))
