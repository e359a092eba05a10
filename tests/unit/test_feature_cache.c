/* test_feature_cache.c: rows on disk: what is kept comes back, what is damaged does not, whoever
 * kills, shares or fills the disk meanwhile. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "features/cache_priv.h"
#include "tiny.h"

#define N_VALUES 64
#define HEADER   4096
#define SLOTS    256
#define ENTRY    64

static const char *const identity = "trunk 0123\nlayer avg_pool\n";

static void make_key(uint64_t number, uint8_t key[GF__CACHE_KEY])
{
    char hex[GF__SHA256_HEX];
    gf__sha256_hex(&number, sizeof number, hex);
    for (size_t i = 0; i < GF__CACHE_KEY; i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        key[i] = (uint8_t)byte;
    }
}

static void make_row(uint64_t number, float row[N_VALUES])
{
    for (size_t i = 0; i < N_VALUES; i++)
        row[i] = (float)number + (float)i / N_VALUES;
}

static void put(gf__cache *cache, uint64_t number)
{
    uint8_t key[GF__CACHE_KEY];
    float row[N_VALUES];
    make_key(number, key);
    make_row(number, row);
    gf__cache_put(cache, &(gf__cache_row){key, row}, 1);
}

/* Whether the row is there; it must then be right. */
static bool get(gf__cache *cache, uint64_t number)
{
    uint8_t key[GF__CACHE_KEY];
    float row[N_VALUES], want[N_VALUES];
    make_key(number, key);
    make_row(number, want);
    if (!gf__cache_get(cache, key, row))
        return false;
    assert_memory_equal(row, want, sizeof row);
    return true;
}

static size_t count(gf__cache *cache, uint64_t n)
{
    size_t n_found = 0;
    for (uint64_t number = 0; number < n; number++)
        n_found += get(cache, number);
    return n_found;
}

static gf__cache *open_with(const char *dir, const gf_observer *obs)
{
    gf__cache *cache = NULL;
    CHECK_OK(gf__cache_open(dir, identity, N_VALUES, obs, &cache, &check_err));
    return cache;
}

static gf__cache *open_cache(const char *dir)
{
    gf__cache *cache = open_with(dir, NULL);
    assert_non_null(cache);
    return cache;
}

static char *filled(const char *dir, uint64_t n)
{
    gf__cache *cache = open_cache(dir);
    for (uint64_t number = 0; number < n; number++)
        put(cache, number);
    gf__cache_close(cache);
    return gf__cache_path(dir, identity);
}

static void overwrite(const char *path, long offset, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

static long row_offset(size_t number)
{
    return (long)(HEADER + number / SLOTS * SLOTS * (ENTRY + N_VALUES * sizeof(float)) +
                  SLOTS * ENTRY + number % SLOTS * N_VALUES * sizeof(float));
}

static long entry_offset(size_t number)
{
    return (long)(HEADER + number / SLOTS * SLOTS * (ENTRY + N_VALUES * sizeof(float)) +
                  number % SLOTS * ENTRY);
}

static void count_warning(void *user, gf_log_level level, const char *message)
{
    (void)message;
    if (level == GF_LOG_WARNING)
        ++*(int *)user;
}

/* ---- the checksum ---- */

/* The short ones are in the specification, the others from Python's xxhash 4.1.0 (xxHash 0.8.4). */
TEST(xxh64__gives_the_published_values)
{
    const char *text = "xxHash is an extremely fast non-cryptographic hash algorithm";
    assert_true(gf__xxh64("", 0, 0) == 0xEF46DB3751D8E999u);
    assert_true(gf__xxh64("a", 1, 0) == 0xD24EC4F1A98C6E5Bu);
    assert_true(gf__xxh64("abc", 3, 0) == 0x44BC2CF5AD770999u);
    assert_true(gf__xxh64(text, strlen(text), 0) == 0x93D1C28A200B225Fu);
    assert_true(gf__xxh64(text, strlen(text), 20141025) == 0x0E910C7A39A45D83u);
    assert_true(gf__xxh64(text, 37, 7) == 0x0A80EBB76357BC5Cu);
}

/* ---- keeping ---- */

TEST(cache__gives_back_what_was_put_also_to_the_next_process)
{
    char *dir = check_temp_dir();
    gf__cache *cache = open_cache(dir);
    CHECK(!get(cache, 1));
    put(cache, 1);
    CHECK(get(cache, 1));
    CHECK(!get(cache, 2));
    gf__cache_close(cache);
    cache = open_cache(dir);
    CHECK(get(cache, 1));
    CHECK_EQ(gf__cache_n_rows(cache), 1);
    gf__cache_close(cache);
    check_remove_dir(dir);
}

TEST(cache__goes_on_past_the_first_segment_and_table)
{
    char *dir = check_temp_dir();
    gf__free(filled(dir, 3 * SLOTS + 17));
    gf__cache *cache = open_cache(dir);
    CHECK_EQ(gf__cache_n_rows(cache), 3 * SLOTS + 17);
    CHECK_EQ(count(cache, 4 * SLOTS), 3 * SLOTS + 17);
    gf__cache_close(cache);
    check_remove_dir(dir);
}

TEST(cache__keeps_a_row_once)
{
    char *dir = check_temp_dir();
    gf__cache *one = open_cache(dir), *other = open_cache(dir);
    put(one, 5);
    put(one, 5);
    put(other, 5); /* did not know of it when it was opened */
    CHECK_EQ(gf__cache_n_rows(other), 1);
    CHECK(get(other, 5));
    gf__cache_close(one);
    gf__cache_close(other);
    one = open_cache(dir);
    CHECK_EQ(gf__cache_n_rows(one), 1);
    gf__cache_close(one);
    check_remove_dir(dir);
}

TEST(cache__has_a_file_for_each_identity)
{
    char *dir = check_temp_dir();
    gf__cache *one = open_cache(dir), *other = NULL;
    CHECK_OK(gf__cache_open(dir, "another", N_VALUES, NULL, &other, &check_err));
    put(one, 5);
    CHECK(!get(other, 5));
    gf__cache_close(one);
    gf__cache_close(other);
    check_remove_dir(dir);
}

TEST(cache__leaves_rows_of_unpooled_layers_out)
{
    char *dir = check_temp_dir();
    int n_warnings = 0;
    const gf_observer obs = {.log = count_warning, .user = &n_warnings};
    gf__cache *cache = NULL;
    const size_t most = GF__CACHE_MAX_ROW_BYTES / sizeof(float);
    CHECK_OK(gf__cache_open(dir, identity, most, &obs, &cache, &check_err));
    assert_non_null(cache);
    gf__cache_close(cache);
    CHECK_OK(gf__cache_open(dir, "longer", most + 1, &obs, &cache, &check_err));
    assert_null(cache);
    CHECK_EQ(n_warnings, 0);
    check_remove_dir(dir);
}

/* ---- damage ---- */

TEST(cache__never_trusts_a_damaged_row_and_writes_it_again)
{
    char *dir = check_temp_dir();
    char *path = filled(dir, 10);
    overwrite(path, row_offset(3) + 20, "\xff", 1);
    gf__cache *cache = open_cache(dir);
    CHECK(!get(cache, 3));
    CHECK_EQ(count(cache, 10), 9);
    put(cache, 3);
    CHECK(get(cache, 3));
    gf__cache_close(cache);
    cache = open_cache(dir);
    CHECK_EQ(count(cache, 10), 10);
    CHECK_EQ(gf__cache_n_rows(cache), 10); /* in its old place */
    gf__cache_close(cache);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(cache__never_trusts_a_damaged_entry)
{
    for (long byte = 0; byte < ENTRY; byte += 7) {
        char *dir = check_temp_dir();
        char *path = filled(dir, 10);
        overwrite(path, entry_offset(3) + byte, "\x5a", 1);
        gf__cache *cache = open_cache(dir);
        CHECK_EQ(count(cache, 10), 9);
        put(cache, 3);
        CHECK(get(cache, 3));
        gf__cache_close(cache);
        cache = open_cache(dir);
        CHECK_EQ(count(cache, 10), 10);
        gf__cache_close(cache);
        gf__free(path);
        check_remove_dir(dir);
    }
}

TEST(cache__takes_a_slot_moved_elsewhere_for_damaged)
{
    char *dir = check_temp_dir();
    char *path = filled(dir, 10);
    char entry[ENTRY];
    FILE *file = fopen(path, "rb");
    assert_int_equal(fseek(file, entry_offset(3), SEEK_SET), 0);
    assert_int_equal(fread(entry, 1, ENTRY, file), ENTRY);
    fclose(file);
    overwrite(path, entry_offset(4), entry, ENTRY);
    gf__cache *cache = open_cache(dir);
    CHECK(get(cache, 3));
    CHECK(!get(cache, 4));
    gf__cache_close(cache);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(cache__survives_a_file_cut_anywhere)
{
    const long cuts[] = {0,
                         1,
                         HEADER - 1,
                         HEADER,
                         HEADER + 10,
                         HEADER + 2 * ENTRY + 5,
                         HEADER + SLOTS * ENTRY,
                         HEADER + SLOTS * ENTRY + 777,
                         HEADER + SLOTS * ENTRY + 9 * N_VALUES * 4 + 1};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        char *dir = check_temp_dir();
        char *path = filled(dir, 10);
        gf__cache *before = open_cache(dir); /* knows ten rows, and is cut while it is open */
        assert_int_equal(truncate(path, cuts[i]), 0);
        gf__cache *cache = open_cache(dir);
        CHECK(count(cache, 10) < 10);
        CHECK(count(before, 10) < 10);
        for (uint64_t number = 0; number < 20; number++)
            put(cache, number);
        CHECK_EQ(count(cache, 20), 20);
        for (uint64_t number = 0; number < 20; number++)
            put(before, number);
        CHECK_EQ(count(before, 20), 20);
        gf__cache_close(before);
        gf__cache_close(cache);
        cache = open_cache(dir);
        CHECK_EQ(count(cache, 20), 20);
        gf__cache_close(cache);
        gf__free(path);
        check_remove_dir(dir);
    }
}

TEST(cache__starts_over_a_file_of_something_else)
{
    char *dir = check_temp_dir();
    char *path = filled(dir, 10);
    char noise[2 * HEADER];
    memset(noise, 'x', sizeof noise);
    CHECK_OK(gf__write_file(path, noise, sizeof noise, &check_err));
    gf__cache *cache = open_cache(dir);
    CHECK_EQ(count(cache, 10), 0);
    put(cache, 1);
    CHECK(get(cache, 1));
    gf__cache_close(cache);
    gf__free(path);
    check_remove_dir(dir);
}

/* ---- others ---- */

/* A child that exits with 0 when its work is right. */
static pid_t start_child(void (*work)(const char *dir, int number), const char *dir, int number)
{
    fflush(NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        work(dir, number);
        _exit(0);
    }
    return pid;
}

static void check_child(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define N_SHARED 700

/* Each in an order of its own, looking before it writes as the extractor does. */
static void fill_in_own_order(const char *dir, int number)
{
    gf__cache *cache = NULL;
    if (gf__cache_open(dir, identity, N_VALUES, NULL, &cache, NULL) != GF_OK || cache == NULL)
        _exit(1);
    for (uint64_t i = 0; i < N_SHARED; i++) {
        const uint64_t item = number == 0 ? i : (i * 89 + 13) % N_SHARED;
        uint8_t key[GF__CACHE_KEY];
        float row[N_VALUES], want[N_VALUES];
        make_key(item, key);
        make_row(item, want);
        if (gf__cache_get(cache, key, row)) {
            if (memcmp(row, want, sizeof row) != 0)
                _exit(2);
        } else {
            gf__cache_put(cache, &(gf__cache_row){key, want}, 1);
        }
    }
    gf__cache_close(cache);
}

TEST(cache__is_filled_by_two_processes_at_once)
{
    char *dir = check_temp_dir();
    const pid_t one = start_child(fill_in_own_order, dir, 0);
    const pid_t other = start_child(fill_in_own_order, dir, 1);
    check_child(one);
    check_child(other);
    gf__cache *cache = open_cache(dir);
    CHECK_EQ(count(cache, N_SHARED), N_SHARED);
    CHECK_EQ(gf__cache_n_rows(cache), N_SHARED);
    gf__cache_close(cache);
    /* No slot was used twice for one row: the file ends with the last row. */
    char *path = gf__cache_path(dir, identity);
    uint64_t size_bytes = 0;
    CHECK_OK(gf__file_size(path, &size_bytes, &check_err));
    CHECK_EQ(size_bytes, row_offset(N_SHARED));
    gf__free(path);
    check_remove_dir(dir);
}

static void fill_forever(const char *dir, int number)
{
    gf__cache *cache = NULL;
    if (gf__cache_open(dir, identity, N_VALUES, NULL, &cache, NULL) != GF_OK || cache == NULL)
        _exit(1);
    for (uint64_t i = 0;; i++) {
        uint8_t key[GF__CACHE_KEY];
        float row[N_VALUES];
        make_key(i, key);
        make_row(i, row);
        gf__cache_put(cache, &(gf__cache_row){key, row}, 1);
    }
}

TEST(cache__is_whole_after_kill_at_any_moment)
{
    char *dir = check_temp_dir();
    size_t n_before = 0;
    for (int round = 0; round < 25 || (round < 2500 && n_before == 0); round++) {
        const pid_t pid = start_child(fill_forever, dir, round);
        usleep((useconds_t)(1000 + 731 * round));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        gf__cache *cache = open_cache(dir);
        const size_t n = gf__cache_n_rows(cache);
        CHECK(n >= n_before);
        CHECK_EQ(count(cache, n), n); /* get() compares every row */
        n_before = n;
        gf__cache_close(cache);
    }
    CHECK(n_before > 0);
    check_remove_dir(dir);
}

/* As a full disk: writes beyond a size fail. */
static void fill_full_disk(const char *dir, int number)
{
    int n_warnings = 0;
    const gf_observer obs = {.log = count_warning, .user = &n_warnings};
    const struct rlimit limit = {(rlim_t)row_offset(5) + 100, (rlim_t)row_offset(5) + 100};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        _exit(1);
    gf__cache *cache = open_with(dir, &obs);
    for (uint64_t i = 0; i < 20; i++)
        put(cache, i);
    if (n_warnings != 1)
        _exit(2);
    if (count(cache, 20) != 5)
        _exit(3);
    gf__cache_close(cache);
}

TEST(cache__warns_once_when_the_disk_is_full)
{
    char *dir = check_temp_dir();
    check_child(start_child(fill_full_disk, dir, 0));
    gf__cache *cache = open_cache(dir);
    CHECK_EQ(count(cache, 20), 5);
    put(cache, 9); /* there is room again */
    CHECK_EQ(count(cache, 20), 6);
    gf__cache_close(cache);
    check_remove_dir(dir);
}

TEST(cache__warns_once_where_there_can_be_none)
{
    char *dir = check_temp_dir();
    char *path = tiny_path(dir, "file");
    int n_warnings = 0;
    const gf_observer obs = {.log = count_warning, .user = &n_warnings};
    CHECK_OK(gf__write_file(path, "x", 1, &check_err));
    assert_null(open_with(path, &obs));
    CHECK_EQ(n_warnings, 1);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(cache__survives_every_allocation_failure)
{
    char *dir = check_temp_dir();
    gf__free(filled(dir, 300));
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__cache *cache = NULL;
        gf__mem_fail_after(n);
        st = gf__cache_open(dir, identity, N_VALUES, NULL, &cache, NULL);
        if (cache != NULL) {
            put(cache, 1000 + n);
            CHECK(count(cache, 300) <= 300);
        }
        gf__mem_fail_never();
        CHECK(st == GF_OK || cache == NULL);
        gf__cache_close(cache);
    }
    gf__cache *cache = open_cache(dir);
    CHECK(count(cache, 300) >= 299);
    gf__cache_close(cache);
    check_remove_dir(dir);
}

TESTS_MAIN(
    UNIT(xxh64__gives_the_published_values),
    UNIT(cache__gives_back_what_was_put_also_to_the_next_process),
    UNIT(cache__goes_on_past_the_first_segment_and_table), UNIT(cache__keeps_a_row_once),
    UNIT(cache__has_a_file_for_each_identity), UNIT(cache__leaves_rows_of_unpooled_layers_out),
    UNIT(cache__never_trusts_a_damaged_row_and_writes_it_again),
    UNIT(cache__never_trusts_a_damaged_entry),
    UNIT(cache__takes_a_slot_moved_elsewhere_for_damaged),
    UNIT(cache__survives_a_file_cut_anywhere), UNIT(cache__starts_over_a_file_of_something_else),
    UNIT(cache__is_filled_by_two_processes_at_once), UNIT(cache__is_whole_after_kill_at_any_moment),
    UNIT(cache__warns_once_when_the_disk_is_full), UNIT(cache__warns_once_where_there_can_be_none),
    UNIT(cache__survives_every_allocation_failure))
