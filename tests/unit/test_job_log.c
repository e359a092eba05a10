/* A job's log: lines in order whatever becomes of the writer, offsets that rotation does not move,
 * readers beside a writer. */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "jobs/log.h"

static void say(gf__job_log *log, const char *text)
{
    CHECK_OK(gf__job_log_write(log, "stdout", NULL, text, strlen(text), &check_err));
}

static gf__job_log *open_log(const char *dir)
{
    gf__job_log *log = NULL;
    CHECK_OK(gf__job_log_open(dir, &log, &check_err));
    return log;
}

/* All that is there from *offset on. */
static char *read_all(const char *dir, uint64_t *offset)
{
    gf__buffer text = {0};
    size_t before;
    do {
        before = text.size;
        CHECK_OK(gf__job_log_read(dir, offset, 1 << 20, &text, &check_err));
    } while (text.size > before);
    return gf__buffer_take(&text, NULL);
}

/* The messages of lines, joined by '|'. */
static char *messages(const char *text)
{
    gf__buffer out = {0};
    while (*text != '\0') {
        const char *end = strchr(text, '\n');
        assert_non_null(end);
        gf__json *line = NULL;
        CHECK_OK(gf__json_parse(text, (size_t)(end - text), &line, &check_err));
        gf__buffer_printf(&out, "%s%s", out.size > 0 ? "|" : "",
                          gf__json_string(gf__json_find(line, "message"), "?"));
        gf__json_free(line);
        text = end + 1;
    }
    return gf__buffer_take(&out, NULL);
}

static void check_messages(const char *dir, uint64_t *offset, const char *want)
{
    char *text = read_all(dir, offset), *got = messages(text);
    CHECK_STR(got, want);
    gf__free(got);
    gf__free(text);
}

TEST(log_write__makes_json_lines_with_time_stream_and_trial)
{
    char *dir = check_temp_dir();
    uint64_t offset = 0, n_lost = 9;
    gf__job_log *log = open_log(dir);
    CHECK_OK(
        gf__job_log_write(log, "stderr", "3", "a \"b\"\t\\ \n\x01", 11 /* NUL, too */, &check_err));
    gf__job_log_close(log, &n_lost);
    CHECK_EQ(n_lost, 0);
    char *text = read_all(dir, &offset);
    gf__json *line = NULL;
    CHECK_OK(gf__json_parse(text, strlen(text), &line, &check_err));
    CHECK_STR(gf__json_string(gf__json_find(line, "stream"), ""), "stderr");
    CHECK_STR(gf__json_string(gf__json_find(line, "trialId"), ""), "3");
    CHECK_STR(gf__json_string(gf__json_find(line, "message"), ""),
              "a \"b\"\t\\ \n\x01\xef\xbf\xbd");
    const char *time = gf__json_string(gf__json_find(line, "time"), "");
    CHECK_EQ(strlen(time), strlen("2026-11-24T15:00:00.123Z"));
    CHECK(time[10] == 'T' && time[19] == '.' && time[23] == 'Z');
    CHECK_EQ(offset, strlen(text));
    gf__json_free(line);
    gf__free(text);
    check_remove_dir(dir);
}

TEST(log_write__replaces_what_is_no_utf8)
{
    char *dir = check_temp_dir();
    uint64_t offset = 0;
    gf__job_log *log = open_log(dir);
    CHECK_OK(gf__job_log_write(log, "stdout", NULL,
                               "a\xff"
                               "b\xc3\xa9\xc3",
                               6, &check_err));
    gf__job_log_close(log, NULL);
    check_messages(dir, &offset,
                   "a\xef\xbf\xbd"
                   "b\xc3\xa9\xef\xbf\xbd");
    check_remove_dir(dir);
}

TEST(log_write__cuts_long_messages_between_characters)
{
    char *dir = check_temp_dir();
    const size_t n = GF__JOB_LINE_BYTES + 10;
    char *text = malloc(n + 1);
    memset(text, 'x', n);
    memcpy(text + GF__JOB_LINE_BYTES - 1, "\xe2\x82\xac", 3); /* lies across the cut */
    text[n] = '\0';
    uint64_t offset = 0;
    gf__job_log *log = open_log(dir);
    CHECK_OK(gf__job_log_write(log, "stdout", NULL, text, n, &check_err));
    gf__job_log_close(log, NULL);
    char *lines = read_all(dir, &offset), *got = messages(lines);
    char *cut = strchr(got, '|');
    assert_non_null(cut);
    CHECK_EQ(cut - got, GF__JOB_LINE_BYTES - 1);
    memmove(cut, cut + 1, strlen(cut));
    CHECK_STR(got, text);
    gf__free(got);
    gf__free(lines);
    free(text);
    check_remove_dir(dir);
}

TEST(log_write__takes_a_line_of_exactly_the_limit_and_an_empty_one)
{
    char *dir = check_temp_dir();
    char *text = malloc(GF__JOB_LINE_BYTES);
    memset(text, 'y', GF__JOB_LINE_BYTES);
    uint64_t offset = 0;
    gf__job_log *log = open_log(dir);
    say(log, "");
    CHECK_OK(gf__job_log_write(log, "stdout", NULL, text, GF__JOB_LINE_BYTES, &check_err));
    gf__job_log_close(log, NULL);
    char *lines = read_all(dir, &offset), *got = messages(lines);
    CHECK_EQ(strlen(got), GF__JOB_LINE_BYTES);
    gf__free(got);
    gf__free(lines);
    free(text);
    check_remove_dir(dir);
}

TEST(log_read__without_a_log_gives_nothing)
{
    char *dir = check_temp_dir(), *tail = NULL;
    uint64_t offset = 5;
    check_messages(dir, &offset, "");
    CHECK_EQ(offset, 5);
    CHECK_OK(gf__job_log_tail(dir, 5, 100, &tail, &check_err));
    CHECK_STR(tail, "");
    gf__free(tail);
    check_remove_dir(dir);
}

TEST(log_read__goes_on_where_it_was_and_gives_at_least_a_line)
{
    char *dir = check_temp_dir();
    uint64_t offset = 0, at = 0;
    gf__job_log *log = open_log(dir);
    say(log, "one");
    check_messages(dir, &offset, "one");
    check_messages(dir, &offset, "");
    say(log, "two");
    say(log, "three");
    check_messages(dir, &offset, "two|three");
    gf__buffer first = {0};
    CHECK_OK(gf__job_log_read(dir, &at, 1, &first, &check_err));
    char *got = messages(first.data);
    CHECK_STR(got, "one");
    gf__free(got);
    gf__buffer_free(&first);
    check_messages(dir, &at, "two|three");
    gf__job_log_close(log, NULL);
    check_remove_dir(dir);
}

TEST(log_read__from_within_a_line_begins_at_the_next)
{
    char *dir = check_temp_dir();
    gf__job_log *log = open_log(dir);
    say(log, "one");
    say(log, "two");
    gf__job_log_close(log, NULL);
    uint64_t end = 0;
    char *text = read_all(dir, &end);
    const uint64_t second = (uint64_t)(strchr(text, '\n') - text) + 1;
    uint64_t at = second - 3, far = end + 100;
    check_messages(dir, &at, "two");
    CHECK_EQ(at, end);
    check_messages(dir, &far, "");
    gf__free(text);
    check_remove_dir(dir);
}

static char *log_path(const char *dir)
{
    return gf__path_join(dir, "log");
}

TEST(log_open__goes_on_behind_what_is_there_and_cuts_half_a_line_off)
{
    char *dir = check_temp_dir(), *path = log_path(dir);
    uint64_t offset = 0;
    gf__job_log *log = open_log(dir);
    say(log, "one");
    gf__job_log_close(log, NULL);
    const int fd = open(path, O_WRONLY | O_APPEND);
    CHECK_EQ(write(fd, "{\"time\": \"2026", 14), 14);
    close(fd);
    check_messages(dir, &offset, "one"); /* nobody is shown the half one */
    log = open_log(dir);
    say(log, "two");
    check_messages(dir, &offset, "two");
    gf__job_log_close(log, NULL);
    gf__free(path);
    check_remove_dir(dir);
}

/* Numbered lines of about 16 KB; false where one could not be written. For any thread: check_err is
 * the main one's. */
static bool write_lines(gf__job_log *log, size_t from, size_t n)
{
    bool is_written = true;
    char *text = malloc(16001);
    for (size_t i = from; i < from + n; i++) {
        memset(text, '.', 16000);
        text[16000] = '\0';
        const int digits = snprintf(text, 16000, "%zu", i);
        text[digits] = ' ';
        is_written = gf__job_log_write(log, "stdout", NULL, text, 16000, NULL) == GF_OK &&
                     is_written;
    }
    free(text);
    return is_written;
}

/* Returns the next number. */
static size_t fill(gf__job_log *log, size_t from, size_t n)
{
    CHECK(write_lines(log, from, n));
    return from + n;
}

#define PER_FILE ((size_t)GF__JOB_LOG_BYTES / 16000)

/* Numbers of the lines of text, which must follow each other; *next is the one expected. */
static void check_numbers(const char *text, size_t *next)
{
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *number = strstr(line, "\"message\": \"");
        assert_non_null(number);
        CHECK_EQ(strtoull(number + 12, NULL, 10), *next);
        (*next)++;
    }
}

TEST(log__rotates_keeps_offsets_and_drops_the_oldest)
{
    char *dir = check_temp_dir();
    uint64_t offset = 0, from_start = 0;
    size_t next = 0, n = 0;
    gf__job_log *log = open_log(dir);
    for (int i = 0; i < 6; i++) {
        n = fill(log, n, PER_FILE);
        char *text = read_all(dir, &offset);
        check_numbers(text, &next);
        gf__free(text);
        CHECK_EQ(next, n);
    }
    gf__job_log_close(log, NULL);
    gf__dir_list names;
    CHECK_OK(gf__list_dir(dir, &names, &check_err));
    CHECK_EQ(names.n_names, GF__JOB_LOG_FILES);
    gf__dir_list_free(&names);
    char *text = read_all(dir, &from_start);
    const char *first = strstr(text, "\"message\": \"");
    next = strtoull(first + 12, NULL, 10);
    CHECK(next > PER_FILE && next < 3 * PER_FILE);
    check_numbers(text, &next);
    CHECK_EQ(next, n);
    CHECK_EQ(from_start, offset); /* the same bytes have the same offsets, from wherever one came */
    gf__free(text);
    check_remove_dir(dir);
}

TEST(log_open__finds_its_place_after_a_rotation_that_was_killed)
{
    char *dir = check_temp_dir(), *path = log_path(dir), *older = gf__path_join(dir, "log.1");
    uint64_t offset = 0;
    gf__job_log *log = open_log(dir);
    say(log, "one");
    gf__job_log_close(log, NULL);
    CHECK_EQ(rename(path, older), 0); /* and then the power went */
    check_messages(dir, &offset, "one");
    log = open_log(dir);
    say(log, "two");
    gf__job_log_close(log, NULL);
    check_messages(dir, &offset, "two");
    offset = 0;
    check_messages(dir, &offset, "one|two");
    CHECK_EQ(truncate(path, 0), 0); /* the name was on the disk, the bytes not yet */
    log = open_log(dir);
    say(log, "three");
    gf__job_log_close(log, NULL);
    offset = 0;
    check_messages(dir, &offset, "one|three");
    gf__free(path);
    gf__free(older);
    check_remove_dir(dir);
}

static void *write_beside(void *dir)
{
    gf__job_log *log = NULL;
    const bool is_good = gf__job_log_open(dir, &log, NULL) == GF_OK &&
                         write_lines(log, 0, 3 * PER_FILE);
    gf__job_log_close(log, NULL);
    return is_good ? dir : NULL;
}

TEST(log_read__beside_a_writer_sees_every_line_once)
{
    char *dir = check_temp_dir();
    pthread_t writer;
    uint64_t offset = 0;
    size_t next = 0;
    CHECK_EQ(pthread_create(&writer, NULL, write_beside, dir), 0);
    while (next < 3 * PER_FILE) {
        gf__buffer text = {0};
        CHECK_OK(gf__job_log_read(dir, &offset, 1 << 18, &text, &check_err));
        check_numbers(text.data, &next);
        gf__buffer_free(&text);
    }
    void *good = NULL;
    pthread_join(writer, &good);
    assert_non_null(good);
    CHECK_EQ(next, 3 * PER_FILE);
    check_remove_dir(dir);
}

static void *write_numbered(void *log)
{
    void *good = log;
    for (int i = 0; i < 500; i++)
        if (gf__job_log_write(log, "stdout", NULL, "a line of a thread", 18, NULL) != GF_OK)
            good = NULL;
    return good;
}

TEST(log_write__from_several_threads_keeps_lines_whole)
{
    char *dir = check_temp_dir();
    pthread_t threads[4];
    uint64_t offset = 0;
    gf__job_log *log = open_log(dir);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, write_numbered, log), 0);
    for (int i = 0; i < 4; i++) {
        void *good = NULL;
        pthread_join(threads[i], &good);
        assert_non_null(good);
    }
    gf__job_log_close(log, NULL);
    char *text = read_all(dir, &offset), *got = messages(text);
    CHECK_EQ(strlen(got), 2000 * 19 - 1);
    gf__free(got);
    gf__free(text);
    check_remove_dir(dir);
}

/* RLIMIT_FSIZE stops a file in the middle of a line as a full disk does. */
TEST(log_write__on_a_full_disk_loses_lines_and_goes_on)
{
    char *dir = check_temp_dir(), *path = log_path(dir);
    struct rlimit before;
    uint64_t offset = 0, n_lost = 0;
    signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    gf__job_log *log = open_log(dir);
    say(log, "one");
    struct stat info;
    CHECK_EQ(stat(path, &info), 0);
    const struct rlimit full = {(rlim_t)info.st_size + 20, before.rlim_max};
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
    const gf_status st = gf__job_log_write(log, "stdout", NULL, "lost", 4, &check_err);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    CHECK_EQ(st, GF_EIO);
    say(log, "two");
    gf__job_log_close(log, &n_lost);
    CHECK_EQ(n_lost, 1);
    check_messages(dir, &offset, "one|two");
    gf__free(path);
    check_remove_dir(dir);
}

TEST(log_tail__is_the_last_words_of_the_program)
{
    char *dir = check_temp_dir(), *tail = NULL;
    gf__job_log *log = open_log(dir);
    say(log, "one");
    say(log, "two");
    CHECK_OK(gf__job_log_write(log, "stderr", NULL, "three", 5, &check_err));
    for (int i = 0; i < 3000; i++) /* more than a block of ours, which are not the program's */
        CHECK_OK(gf__job_log_write(log, "graft", NULL, "ours", 4, &check_err));
    gf__job_log_close(log, NULL);
    CHECK_OK(gf__job_log_tail(dir, 2, 1000, &tail, &check_err));
    CHECK_STR(tail, "two\nthree");
    gf__free(tail);
    CHECK_OK(gf__job_log_tail(dir, 10, 1000, &tail, &check_err));
    CHECK_STR(tail, "one\ntwo\nthree");
    gf__free(tail);
    CHECK_OK(gf__job_log_tail(dir, 10, 7, &tail, &check_err));
    CHECK_STR(tail, "o\nthree");
    gf__free(tail);
    check_remove_dir(dir);
}

TEST(log_tail__crosses_files_and_long_lines)
{
    char *dir = check_temp_dir(), *tail = NULL;
    gf__job_log *log = open_log(dir);
    const size_t n = fill(log, 0, PER_FILE + 2);
    gf__job_log_close(log, NULL);
    CHECK_OK(gf__job_log_tail(dir, 40, 16001 * 40, &tail, &check_err));
    size_t want = n - 40;
    for (const char *line = tail; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        CHECK_EQ(strtoull(line, NULL, 10), want);
        want++;
    }
    CHECK_EQ(want, n);
    gf__free(tail);
    check_remove_dir(dir);
}

TEST(log__survives_every_allocation_failure)
{
    char *dir = check_temp_dir();
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__job_log *log = NULL;
        gf__buffer text = {0};
        char *tail = NULL;
        uint64_t offset = 0;
        gf__mem_fail_after(n);
        st = gf__job_log_open(dir, &log, NULL);
        if (st == GF_OK)
            st = gf__job_log_write(log, "stdout", NULL, "one", 3, NULL);
        if (st == GF_OK)
            st = gf__job_log_read(dir, &offset, 1 << 16, &text, NULL);
        if (st == GF_OK)
            st = gf__job_log_tail(dir, 1, 100, &tail, NULL);
        gf__mem_fail_never();
        gf__job_log_close(log, NULL);
        gf__buffer_free(&text);
        gf__free(tail);
        CHECK(st == GF_OK || st == GF_ENOMEM);
    }
    check_remove_dir(dir);
}

TESTS_MAIN(UNIT(log_write__makes_json_lines_with_time_stream_and_trial),
           UNIT(log_write__replaces_what_is_no_utf8),
           UNIT(log_write__cuts_long_messages_between_characters),
           UNIT(log_write__takes_a_line_of_exactly_the_limit_and_an_empty_one),
           UNIT(log_read__without_a_log_gives_nothing),
           UNIT(log_read__goes_on_where_it_was_and_gives_at_least_a_line),
           UNIT(log_read__from_within_a_line_begins_at_the_next),
           UNIT(log_open__goes_on_behind_what_is_there_and_cuts_half_a_line_off),
           UNIT(log__rotates_keeps_offsets_and_drops_the_oldest),
           UNIT(log_open__finds_its_place_after_a_rotation_that_was_killed),
           UNIT(log_read__beside_a_writer_sees_every_line_once),
           UNIT(log_write__from_several_threads_keeps_lines_whole),
           UNIT(log_write__on_a_full_disk_loses_lines_and_goes_on),
           UNIT(log_tail__is_the_last_words_of_the_program),
           UNIT(log_tail__crosses_files_and_long_lines),
           UNIT(log__survives_every_allocation_failure))
