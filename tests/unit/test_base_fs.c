/* test_base_fs.c: files appear whole or not at all, errors name the path, lists have one order. */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

/* Every test works in a folder of its own; paths made by at() live until the test ends. */
static char *dir;
static char *paths[16];
static size_t n_paths;

static const char *at(const char *name)
{
    assert_true(n_paths < 16);
    paths[n_paths] = gf__path_join(dir, name);
    return paths[n_paths++];
}

static int enter(void **state)
{
    dir = check_temp_dir();
    return 0;
}

static int leave(void **state)
{
    while (n_paths > 0)
        gf__free(paths[--n_paths]);
    check_remove_dir(dir);
    return 0;
}

static void put(const char *path, const char *text)
{
    CHECK_OK(gf__write_file(path, text, strlen(text), &check_err));
}

static void check_holds(const char *path, const char *want)
{
    char *text = NULL;
    size_t size = 0;
    CHECK_OK(gf__read_file(path, 1 << 20, &text, &size, &check_err));
    CHECK_STR(text, want);
    CHECK_EQ(size, strlen(want));
    gf__free(text);
}

static size_t count_files(void)
{
    gf__dir_list list;
    CHECK_OK(gf__list_dir(dir, &list, &check_err));
    const size_t n = list.n_names;
    gf__dir_list_free(&list);
    return n;
}

TEST(map_file__shows_the_bytes_of_a_file)
{
    gf__mapping mapping;
    put(at("a"), "roses");
    CHECK_OK(gf__map_file(at("a"), &mapping, &check_err));
    CHECK_EQ(mapping.size, 5);
    assert_memory_equal(mapping.data, "roses", 5);
    gf__unmap(&mapping);
    gf__unmap(&mapping); /* zeroed, and fine */
    put(at("empty"), "");
    CHECK_OK(gf__map_file(at("empty"), &mapping, &check_err));
    assert_null(mapping.data);
    CHECK_EQ(mapping.size, 0);
    gf__unmap(&mapping);
}

TEST(map_file__says_what_is_wrong_with_a_path)
{
    gf__mapping mapping;
    CHECK_FAILS(GF_ENOTFOUND, "missing: cannot open: No such file",
                gf__map_file(at("missing"), &mapping, &check_err));
    CHECK_FAILS(GF_EINVAL, "expected a file, found a folder",
                gf__map_file(dir, &mapping, &check_err));
    assert_int_equal(mkfifo(at("pipe"), 0600), 0);
    CHECK_FAILS(GF_EINVAL, "found a device or pipe",
                gf__map_file(at("pipe"), &mapping, &check_err)); /* and does not wait */
}

TEST(read_file__stops_at_its_limit)
{
    char *text = NULL;
    size_t size = 9;
    put(at("a"), "12345");
    CHECK_OK(gf__read_file(at("a"), 5, &text, &size, &check_err));
    CHECK_STR(text, "12345");
    gf__free(text);
    CHECK_FAILS(GF_ELIMIT, "a: larger than the 4 bytes",
                gf__read_file(at("a"), 4, &text, &size, &check_err));
    assert_null(text);
    CHECK_EQ(size, 0);
    CHECK_FAILS(GF_ELIMIT, "/dev/zero", /* a file without an end */
                gf__read_file("/dev/zero", 1000, &text, &size, &check_err));
    CHECK_OK(gf__read_file("/dev/null", 0, &text, &size, &check_err));
    CHECK_STR(text, "");
    gf__free(text);
    CHECK_FAILS(GF_ENOTFOUND, "missing", gf__read_file(at("missing"), 4, &text, &size, &check_err));
    CHECK_FAILS(GF_EIO, "Is a directory", gf__read_file(dir, 4, &text, &size, &check_err));
}

TEST(read_file__reads_files_larger_than_its_buffer)
{
    const size_t n_bytes = 200001;
    char *bytes = gf__malloc(n_bytes), *back = NULL;
    size_t size = 0;
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (char)(i % 251);
    CHECK_OK(gf__write_file(at("a"), bytes, n_bytes, &check_err));
    CHECK_OK(gf__read_file(at("a"), n_bytes, &back, &size, &check_err));
    CHECK_EQ(size, n_bytes);
    assert_memory_equal(back, bytes, n_bytes);
    gf__free(back);
    gf__free(bytes);
}

TEST(writer__shows_nothing_before_commit)
{
    gf__writer *writer = NULL;
    put(at("a"), "old");
    CHECK_OK(gf__writer_open(at("a"), &writer, &check_err));
    gf__writer_printf(writer, "n = %d", 7);
    gf__writer_write(writer, "!", 1);
    check_holds(at("a"), "old");
    CHECK_OK(gf__writer_commit(writer, &check_err));
    check_holds(at("a"), "n = 7!");
    CHECK_EQ(count_files(), 1);
}

TEST(writer_abort__leaves_the_old_file_and_no_other)
{
    gf__writer *writer = NULL;
    put(at("a"), "old");
    CHECK_OK(gf__writer_open(at("a"), &writer, &check_err));
    gf__writer_write(writer, "new", 3);
    gf__writer_abort(writer);
    gf__writer_abort(NULL);
    check_holds(at("a"), "old");
    CHECK_EQ(count_files(), 1);
}

TEST(writer__keeps_many_pieces_in_order)
{
    gf__writer *writer = NULL;
    gf__buffer want = {0};
    char *big = gf__calloc(1, 70001);
    memset(big, 'b', 70000);
    CHECK_OK(gf__writer_open(at("a"), &writer, &check_err));
    for (int i = 0; i < 20000; i++) {
        gf__writer_printf(writer, "%d ", i);
        gf__buffer_printf(&want, "%d ", i);
    }
    gf__writer_printf(writer, "%s", big); /* more than the buffer holds */
    gf__writer_write(writer, big, 65536);
    gf__writer_write(writer, big, 0);
    gf__writer_write(writer, "end", 3);
    gf__buffer_append(&want, big, 70000);
    gf__buffer_append(&want, big, 65536);
    gf__buffer_puts(&want, "end");
    CHECK_OK(gf__writer_commit(writer, &check_err));
    check_holds(at("a"), want.data);
    gf__buffer_free(&want);
    gf__free(big);
}

TEST(writer__lets_two_write_one_name_and_the_last_commit_wins)
{
    gf__writer *first = NULL, *second = NULL;
    CHECK_OK(gf__writer_open(at("a"), &first, &check_err));
    CHECK_OK(gf__writer_open(at("a"), &second, &check_err));
    CHECK(strcmp(gf__writer_path(first), gf__writer_path(second)) != 0);
    gf__writer_write(first, "first", 5);
    gf__writer_write(second, "second", 6);
    CHECK_OK(gf__writer_commit(second, &check_err));
    CHECK_OK(gf__writer_commit(first, &check_err));
    check_holds(at("a"), "first");
    CHECK_EQ(count_files(), 1);
}

TEST(writer_path__may_be_replaced_by_another_library)
{
    gf__writer *writer = NULL;
    CHECK_OK(gf__writer_open(at("a.npz"), &writer, &check_err));
    put(at("theirs"), "zip"); /* libzip writes a file of its own and renames it */
    assert_int_equal(rename(at("theirs"), gf__writer_path(writer)), 0);
    CHECK_OK(gf__writer_commit(writer, &check_err));
    check_holds(at("a.npz"), "zip");
}

TEST(writer__respects_the_umask_and_follows_links)
{
    struct stat info;
    const mode_t before = umask(027);
    put(at("a"), "old");
    umask(before);
    assert_int_equal(stat(at("a"), &info), 0);
    CHECK_EQ(info.st_mode & 0777, 0640);
    assert_int_equal(symlink("a", at("link")), 0);
    put(at("link"), "new");
    check_holds(at("a"), "new");
    assert_int_equal(lstat(at("link"), &info), 0);
    CHECK(S_ISLNK(info.st_mode));
}

TEST(writer_open__refuses_folders_devices_and_missing_folders)
{
    gf__writer *writer = NULL;
    CHECK_FAILS(GF_EINVAL, "it is a folder", gf__writer_open(dir, &writer, &check_err));
    CHECK_FAILS(GF_EINVAL, "/dev/null: cannot write here, it is a device",
                gf__writer_open("/dev/null", &writer, &check_err));
    CHECK_FAILS(GF_ENOTFOUND, "no/such/folder: cannot create",
                gf__writer_open(at("no/such/folder"), &writer, &check_err));
    assert_null(writer);
    CHECK_EQ(count_files(), 0);
}

/* Puts /dev/full, where every write fails with ENOSPC, under the writer's descriptor. */
static void fill_disk_of(const gf__writer *writer)
{
    char link[64], target[4096];
    for (int fd = 3; fd < 256; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const ssize_t n = readlink(link, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strcmp(target, gf__writer_path(writer)) == 0) {
            const int full = open("/dev/full", O_WRONLY);
            assert_int_equal(dup2(full, fd), fd);
            close(full);
            return;
        }
    }
    fail_msg("no descriptor is open on %s", gf__writer_path(writer));
}

TEST(writer__says_that_the_disk_is_full_and_keeps_the_old_file)
{
    gf__writer *writer = NULL;
    put(at("a"), "old");
    CHECK_OK(gf__writer_open(at("a"), &writer, &check_err));
    fill_disk_of(writer);
    gf__writer_write(writer, "new", 3);
    CHECK_FAILS(GF_EIO, "a: cannot write: the disk is full", gf__writer_commit(writer, &check_err));
    check_holds(at("a"), "old");
    CHECK_EQ(count_files(), 1);
}

TEST(writer__reports_the_first_failure_and_ignores_what_follows)
{
    gf__writer *writer = NULL;
    struct rlimit before, tight;
    char *big = gf__calloc(1, 200000);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 100000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    CHECK_OK(gf__writer_open(at("a"), &writer, &check_err));
    for (int i = 0; i < 5; i++)
        gf__writer_write(writer, big, 50000 + (size_t)i * 30000);
    gf__writer_printf(writer, "more");
    const gf_status st = gf__writer_commit(writer, &check_err);
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK_EQ(st, GF_EIO);
    assert_non_null(strstr(check_err.message, "File too large"));
    CHECK_EQ(count_files(), 0);
    gf__free(big);
}

TEST(writer__killed_midway_leaves_the_old_file)
{
    put(at("a"), "old");
    const pid_t child = fork();
    if (child == 0) {
        gf__writer *writer = NULL;
        static char big[200000];
        if (gf__writer_open(at("a"), &writer, NULL) == GF_OK)
            gf__writer_write(writer, big, sizeof big);
        raise(SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status));
    check_holds(at("a"), "old");
    put(at("a"), "new"); /* what the dead one left is in nobody's way */
    check_holds(at("a"), "new");
}

TEST(write_file__survives_every_allocation_failure)
{
    gf_status st = GF_ENOMEM;
    put(at("a"), "old");
    const char *path = at("a");
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__write_file(path, "new", 3, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || st == GF_ENOMEM);
        CHECK_EQ(count_files(), 1);
        check_holds(path, st == GF_OK ? "new" : "old");
    }
}

TEST(make_dirs__makes_parents_and_is_content_with_what_is_there)
{
    CHECK_OK(gf__make_dirs(at("x/y/z"), &check_err));
    CHECK(gf__is_dir(at("x/y/z")));
    CHECK_OK(gf__make_dirs(at("x/y/z"), &check_err));
    CHECK_OK(gf__make_dirs(at("x//w/"), &check_err));
    CHECK(gf__is_dir(at("x/w")));
    CHECK_OK(gf__make_dirs("/", &check_err));
    put(at("file"), "");
    CHECK_FAILS(GF_EIO, "file: cannot make this folder, a file has its name",
                gf__make_dirs(at("file/below"), &check_err));
    CHECK_FAILS(GF_EIO, "a file has its name", gf__make_dirs(at("file"), &check_err));
}

TEST(is_file__and_is_dir_tell_the_two_apart)
{
    uint64_t size = 0;
    put(at("a"), "123");
    CHECK(gf__is_file(at("a")) && !gf__is_dir(at("a")));
    CHECK(!gf__is_file(dir) && gf__is_dir(dir));
    CHECK(!gf__is_file(at("missing")) && !gf__is_dir(at("missing")));
    CHECK_OK(gf__file_size(at("a"), &size, &check_err));
    CHECK_EQ(size, 3);
    CHECK_FAILS(GF_ENOTFOUND, "missing", gf__file_size(at("missing"), &size, &check_err));
    CHECK_FAILS(GF_EINVAL, "found a folder", gf__file_size(dir, &size, &check_err));
}

static void check_joined(const char *a, const char *b, const char *want)
{
    char *path = gf__path_join(a, b);
    CHECK_STR(path, want);
    gf__free(path);
}

TEST(is_same_file__sees_through_links_and_compares_names_of_files_to_come)
{
    const char *file = at("file"), *link = at("link"), *other = at("other"),
               *missing = at("missing");
    put(file, "1");
    put(other, "1");
    CHECK_EQ(symlink(file, link), 0);
    CHECK(gf__is_same_file(file, link));
    CHECK(gf__is_same_file(dir, dir));
    CHECK(!gf__is_same_file(file, other));
    CHECK(!gf__is_same_file(file, missing));
    CHECK(gf__is_same_file(missing, missing));
    CHECK(!gf__is_same_file(NULL, file) && !gf__is_same_file(NULL, NULL));
}

TEST(path_join__puts_exactly_one_slash)
{
    check_joined("a", "b", "a/b");
    check_joined("a/", "b", "a/b");
    check_joined("a//", "/b", "a/b");
    check_joined("/", "b", "/b");
    check_joined("", "b", "b");
    check_joined("", "/b", "/b");
    check_joined("a", "", "a/");
}

TEST(path_parts__are_the_name_and_its_extension)
{
    CHECK_STR(gf__path_base("a/b.png"), "b.png");
    CHECK_STR(gf__path_base("b"), "b");
    CHECK_STR(gf__path_base("a/"), "");
    CHECK_STR(gf__path_extension("a.b/c.PNG"), ".PNG");
    CHECK_STR(gf__path_extension("a.b/c"), "");
    CHECK_STR(gf__path_extension("x.tar.gz"), ".gz");
    CHECK_STR(gf__path_extension("a/.hidden"), "");
    CHECK_STR(gf__path_extension("a."), ".");
}

TEST(list_dir__sorts_by_bytes)
{
    gf__dir_list list;
    put(at("b"), "");
    put(at("a"), "");
    put(at("B"), "");
    put(at(".hidden"), "");
    put(at("\xc3\xa4"), "");
    CHECK_OK(gf__list_dir(dir, &list, &check_err));
    static const char *const want[] = {".hidden", "B", "a", "b", "\xc3\xa4"};
    CHECK_EQ(list.n_names, 5);
    for (size_t i = 0; i < 5; i++)
        CHECK_STR(list.names[i], want[i]);
    gf__dir_list_free(&list);
    gf__dir_list_free(&list);
    CHECK_FAILS(GF_ENOTFOUND, "missing: cannot open this folder",
                gf__list_dir(at("missing"), &list, &check_err));
    CHECK_FAILS(GF_EIO, "Not a directory", gf__list_dir(at("a"), &list, &check_err));
}

TEST(list_dir__survives_every_allocation_failure)
{
    gf_status st = GF_ENOMEM;
    char name[8];
    for (int i = 0; i < 70; i++) { /* past the first 64, so that the list grows */
        snprintf(name, sizeof name, "%d", i);
        char *path = gf__path_join(dir, name);
        assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
        gf__free(path);
    }
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__dir_list list;
        gf__mem_fail_after(n);
        st = gf__list_dir(dir, &list, NULL);
        gf__mem_fail_never();
        CHECK_EQ(list.n_names, st == GF_OK ? 70 : 0);
        gf__dir_list_free(&list);
    }
    CHECK_OK(st);
}

TEST(lock__is_held_by_one_at_a_time)
{
    gf__lock *mine = NULL, *yours = NULL;
    CHECK_OK(gf__lock_acquire(at("lock"), false, &mine, &check_err));
    CHECK_FAILS(GF_EBUSY, "lock: another process holds this lock",
                gf__lock_acquire(at("lock"), false, &yours, &check_err));
    assert_null(yours);
    gf__lock_release(mine);
    CHECK_OK(gf__lock_acquire(at("lock"), false, &yours, &check_err));
    gf__lock_release(yours);
    gf__lock_release(NULL);
    CHECK_FAILS(GF_ENOTFOUND, "cannot open this lock",
                gf__lock_acquire(at("no/folder"), false, &mine, &check_err));
}

static void *wait_for_lock(void *path)
{
    gf__lock *lock = NULL;
    const gf_status st = gf__lock_acquire(path, true, &lock, NULL);
    gf__lock_release(lock);
    return st == GF_OK ? path : NULL;
}

TEST(lock__waits_where_told_to)
{
    gf__lock *mine = NULL;
    pthread_t waiter;
    void *result = NULL;
    const char *path = at("lock");
    CHECK_OK(gf__lock_acquire(path, false, &mine, &check_err));
    assert_int_equal(pthread_create(&waiter, NULL, wait_for_lock, (void *)(uintptr_t)path), 0);
    gf__lock_release(mine);
    assert_int_equal(pthread_join(waiter, &result), 0);
    assert_ptr_equal(result, path);
}

#define IN_DIR(name) cmocka_unit_test_setup_teardown(name, enter, leave)

/* ---- what killed writers have left ---- */

static void write_old(const char *name, long age_s)
{
    struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
    char *path = gf__path_join(dir, name);
    CHECK_OK(gf__write_file(path, "half", 4, &check_err));
    CHECK_EQ(utimensat(AT_FDCWD, path, times, 0), 0);
    gf__free(path);
}

static bool is_there(const char *name)
{
    char *path = gf__path_join(dir, name);
    const bool is = gf__is_file(path);
    gf__free(path);
    return is;
}

TEST(sweep__takes_what_the_dead_have_left_and_nothing_else)
{
    static const char *const others[] = {
        "x.tmp",    "x.tmp.1", "x.tmp.a.0",  "x.tmp.1.0x",
        ".tmp.1.0", "tmp.1.0", "x.tmp.-1.0", "x.tmp.99999999999999999999.0"};
    char dead[64], alive[64], deep[64], deeper[64], young[64];
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    snprintf(dead, sizeof dead, "a.tmp.b.json.tmp.%ld.0", (long)pid);
    snprintf(young, sizeof young, "young.tmp.%ld.17", (long)pid);
    snprintf(alive, sizeof alive, "x.tmp.%ld.1", (long)getpid());
    snprintf(deep, sizeof deep, "7/x.tmp.%ld.1", (long)pid);
    snprintf(deeper, sizeof deeper, "7/8/x.tmp.%ld.1", (long)pid);
    CHECK_OK(gf__make_dirs(at("7/8"), &check_err));
    write_old(dead, 7200);
    write_old(young, 60);
    write_old(alive, 7200);
    write_old(deep, 7200);
    write_old(deeper, 7200);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        write_old(others[i], 7200);
    CHECK_EQ(gf__sweep_temporaries(dir, 1), 2);
    CHECK(!is_there(dead) && !is_there(deep));
    CHECK(is_there(young) && is_there(alive) && is_there(deeper));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(is_there(others[i]));
    CHECK_EQ(gf__sweep_temporaries(at("nowhere"), 1), 0);
}

TESTS_MAIN(IN_DIR(sweep__takes_what_the_dead_have_left_and_nothing_else),
           IN_DIR(map_file__shows_the_bytes_of_a_file),
           IN_DIR(map_file__says_what_is_wrong_with_a_path), IN_DIR(read_file__stops_at_its_limit),
           IN_DIR(read_file__reads_files_larger_than_its_buffer),
           IN_DIR(writer__shows_nothing_before_commit),
           IN_DIR(writer_abort__leaves_the_old_file_and_no_other),
           IN_DIR(writer__keeps_many_pieces_in_order),
           IN_DIR(writer__lets_two_write_one_name_and_the_last_commit_wins),
           IN_DIR(writer_path__may_be_replaced_by_another_library),
           IN_DIR(writer__respects_the_umask_and_follows_links),
           IN_DIR(writer_open__refuses_folders_devices_and_missing_folders),
           IN_DIR(writer__says_that_the_disk_is_full_and_keeps_the_old_file),
           IN_DIR(writer__reports_the_first_failure_and_ignores_what_follows),
           IN_DIR(writer__killed_midway_leaves_the_old_file),
           IN_DIR(write_file__survives_every_allocation_failure),
           IN_DIR(make_dirs__makes_parents_and_is_content_with_what_is_there),
           IN_DIR(is_file__and_is_dir_tell_the_two_apart),
           IN_DIR(is_same_file__sees_through_links_and_compares_names_of_files_to_come),
           UNIT(path_join__puts_exactly_one_slash),
           UNIT(path_parts__are_the_name_and_its_extension), IN_DIR(list_dir__sorts_by_bytes),
           IN_DIR(list_dir__survives_every_allocation_failure),
           IN_DIR(lock__is_held_by_one_at_a_time), IN_DIR(lock__waits_where_told_to))
