/* worker/sandbox.c: gives up what decoding pictures and computing does not need. Several walls, each
 * of which holds alone: capabilities and the way back to them are dropped, limits are set, Landlock
 * (where the kernel has it) takes the file system, and a seccomp filter leaves the calls in the list
 * below: memory, threads, the open socket. What is not in it fails with EPERM, so that a library
 * that asks for a file at an odd moment goes on without; what no library here ever asks for ends the
 * process. */
#include <cap-ng.h>
#include <errno.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/worker_priv.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

#define CALL(name) SCMP_SYS(name)

static const int allowed[] = {
    /* the socket, files that were handed over, what an assertion says */
    CALL(read),
    CALL(write),
    CALL(writev),
    CALL(recvmsg),
    CALL(recvfrom),
    CALL(sendmsg),
    CALL(sendto),
    CALL(close),
    CALL(lseek),
    /* memory; the kernels are compiled into it */
    CALL(mmap),
    CALL(munmap),
    CALL(mremap),
    CALL(mprotect),
    CALL(madvise),
    CALL(brk),
    /* threads and what they wait with */
    CALL(futex),
    CALL(set_robust_list),
    CALL(rseq),
    CALL(sched_yield),
    CALL(sched_getaffinity),
    CALL(gettid),
    CALL(getpid),
    CALL(exit),
    CALL(exit_group),
    CALL(restart_syscall),
    CALL(rt_sigprocmask),
    CALL(rt_sigaction),
    CALL(rt_sigreturn),
    CALL(sigaltstack),
    /* time and chance */
    CALL(clock_gettime),
    CALL(clock_nanosleep),
    CALL(nanosleep),
    CALL(gettimeofday),
    CALL(getrandom),
#if HAS_SANITIZER
    /* The sanitizers write their report and look at the process itself when it ends. */
    CALL(getrlimit),
    CALL(prlimit64),
    CALL(pipe2),
    CALL(sched_getparam),
    CALL(sched_getscheduler),
    CALL(getppid),
    CALL(getuid),
    CALL(geteuid),
    CALL(fstat),
    CALL(poll),
    CALL(membarrier),
#endif
};

/* Nobody calls these by accident. */
static const int deadly[] = {
    CALL(execve),
    CALL(execveat),
    CALL(ptrace),
    CALL(process_vm_readv),
    CALL(process_vm_writev),
    CALL(mount),
    CALL(umount2),
    CALL(pivot_root),
    CALL(chroot),
    CALL(unshare),
    CALL(setns),
    CALL(init_module),
    CALL(finit_module),
    CALL(delete_module),
    CALL(kexec_load),
    CALL(bpf),
    CALL(perf_event_open),
    CALL(userfaultfd),
    CALL(keyctl),
    CALL(add_key),
    CALL(request_key),
    CALL(open_by_handle_at),
    CALL(io_uring_setup),
    CALL(reboot),
    CALL(swapon),
    CALL(quotactl),
    CALL(acct),
    CALL(kcmp),
    CALL(personality),
};

/* ---- limits ---- */

static gf_status set_limit(int resource, rlim_t value, const char *what, gf_error *err)
{
    struct rlimit limit = {0};
    /* Whoever started the server may have set a lower one, and that stays. */
    if (getrlimit((__rlimit_resource_t)resource, &limit) == 0 && limit.rlim_max < value)
        value = limit.rlim_max;
    limit = (struct rlimit){value, value};
    if (setrlimit((__rlimit_resource_t)resource, &limit) == 0)
        return GF_OK;
    return gf__error_errno(err, errno, "limiting a worker's %s", what);
}

/* No limit on processes: it counts all of the user's, and threads are started as needed. The filter
 * has no way to a new process. */
static gf_status set_limits(const gf__sandbox_options *options, gf_error *err)
{
    gf_status st = set_limit(RLIMIT_CORE, 0, "core file", err);
    if (st == GF_OK)
        st = set_limit(RLIMIT_FSIZE, 0, "files", err);
    if (st == GF_OK)
        st = set_limit(RLIMIT_NOFILE, 32, "open files", err);
    /* The shadow memory of a sanitizer is terabytes of addresses. */
    if (st == GF_OK && options->max_memory_bytes > 0 && !HAS_SANITIZER)
        st = set_limit(RLIMIT_AS, options->max_memory_bytes, "memory", err);
    return st;
}

static void close_others(const gf__sandbox_options *options)
{
    unsigned first = 3; /* standard error stays, the two before it are /dev/null */
    for (size_t i = 0; i < options->n_fds; i++) {
        const unsigned fd = (unsigned)options->fds[i];
        if (fd > first)
            (void)close_range(first, fd - 1, 0);
        if (fd >= first)
            first = fd + 1;
    }
    (void)close_range(first, ~0U, 0);
}

/* ---- the walls ---- */

static gf_status drop_capabilities(gf_error *err)
{
    capng_clear(CAPNG_SELECT_BOTH);
    if (capng_apply(CAPNG_SELECT_CAPS) != 0)
        return gf_error_set(err, GF_EUNSUPPORTED, "a worker's capabilities cannot be dropped");
    (void)capng_apply(
        CAPNG_SELECT_BOUNDS); /* needs one itself; without it there is nothing to do */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return gf__error_errno(err, errno, "giving up new privileges");
    return GF_OK;
}

/* Everything that the first version of Landlock knows, and no rule: nothing is allowed. False: this
 * kernel has none. */
static bool close_file_system(void)
{
#ifdef SYS_landlock_create_ruleset
    const struct landlock_ruleset_attr attributes = {
        .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                             LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                             LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                             LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
                             LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                             LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                             LANDLOCK_ACCESS_FS_MAKE_SYM};
    const int fd = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (fd < 0)
        return false;
    const bool is_closed = syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    close(fd);
    return is_closed;
#else
    return false;
#endif
}

/* Of the first argument. The library's own macros leave members out, which clang warns of. */
static struct scmp_arg_cmp compare(enum scmp_compare how, scmp_datum_t a, scmp_datum_t b)
{
    return (struct scmp_arg_cmp){.arg = 0, .op = how, .datum_a = a, .datum_b = b};
}

static int add_rules(scmp_filter_ctx filter)
{
    int failure = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed && failure == 0; i++)
        failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly && failure == 0; i++)
        failure = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    /* Threads, not processes. The arguments of clone3 lie in memory, where a filter cannot look:
     * glibc falls back to clone where there is none. */
    const scmp_datum_t thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
    if (failure == 0)
        failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(clone), 1,
                                   compare(SCMP_CMP_MASKED_EQ, thread, thread));
    if (failure == 0)
        failure = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
    /* abort(): signals to this process only. */
    if (failure == 0)
        failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(tgkill), 1,
                                   compare(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    return failure;
}

static gf_status set_filter(gf_error *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return gf__error_nomem(err, "a seccomp filter", 0);
    int failure = add_rules(filter);
    if (failure == 0)
        failure = seccomp_load(filter);
    seccomp_release(filter);
    if (failure == 0)
        return GF_OK;
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "this kernel takes no seccomp filter (error %d): workers are not run "
                        "without one",
                        -failure);
}

gf_status gf__sandbox_enter(const gf__sandbox_options *options, bool *has_landlock, gf_error *err)
{
    close_others(options);
    gf_status st = set_limits(options, err);
    if (st == GF_OK)
        st = drop_capabilities(err);
    if (st != GF_OK)
        return st;
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no other worker looks into this one */
    const bool is_closed = close_file_system();
    if (has_landlock != NULL)
        *has_landlock = is_closed;
    return set_filter(err);
}
