/* test_base_error.c: messages are one line of UTF-8 that says what happened; observers may be
 * missing. */
#include "check.h"

#include <errno.h>

#include "base/base.h"

TEST(status_name__knows_every_status_and_admits_the_rest)
{
    CHECK_STR(gf_status_name(GF_OK), "GF_OK");
    CHECK_STR(gf_status_name(GF_ECANCELED), "GF_ECANCELED");
    CHECK_STR(gf_status_name((gf_status)999), "GF_?");
    for (int i = GF_OK; i <= GF_ETIMEOUT; i++)
        CHECK(strcmp(gf_status_name((gf_status)i), "GF_?") != 0);
    CHECK_STR(gf_status_name((gf_status)(GF_ETIMEOUT + 1)), "GF_?");
}

TEST(version__has_three_numbers)
{
    int major, minor, patch;
    CHECK_EQ(sscanf(gf_version(), "%d.%d.%d", &major, &minor, &patch), 3);
}

TEST(error_set__fills_and_returns_the_code)
{
    gf_error err;
    CHECK_EQ(gf_error_set(&err, GF_ESHAPE, "%d rows, expected %d", 3, 4), GF_ESHAPE);
    CHECK_EQ(err.code, GF_ESHAPE);
    CHECK_STR(err.message, "3 rows, expected 4");
    CHECK_EQ(gf_error_set(NULL, GF_EIO, "nobody listens"), GF_EIO);
}

TEST(error_set__takes_its_own_message_as_an_argument)
{
    gf_error err;
    gf_error_set(&err, GF_EIO, "inner");
    gf_error_set(&err, GF_EFORMAT, "outer (%s)", err.message);
    CHECK_STR(err.message, "outer (inner)");
}

TEST(error_set__makes_one_line_of_utf8_out_of_anything)
{
    gf_error err;
    gf_error_set(&err, GF_EFORMAT, "%s", "a\nb\tc\x1b[31m\x7f");
    CHECK_STR(err.message, "a b c [31m ");
    /* U+009B begins a terminal's command by itself; U+00A0 is a space and no control character. */
    gf_error_set(&err, GF_EFORMAT, "%s",
                 "\xc2\x9b"
                 "31m\xc2\xa0");
    CHECK_STR(err.message, "  31m\xc2\xa0");
    gf_error_set(&err, GF_EFORMAT, "%s", "caf\xc3\xa9 \xff \xc3( \xe2\x82\xac \xf0\x9f\x8c\xb9");
    CHECK_STR(err.message, "caf\xc3\xa9 ? ?( \xe2\x82\xac \xf0\x9f\x8c\xb9");
    /* An overlong slash, a surrogate, and something past U+10FFFF are not UTF-8. */
    gf_error_set(&err, GF_EFORMAT, "%s", "\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80");
    CHECK_STR(err.message, "??|???|????");
}

TEST(error_set__cuts_a_long_message_between_characters)
{
    gf_error err;
    char text[GF_ERROR_MAX * 2];
    memset(text, 'x', sizeof text);
    memcpy(text + GF_ERROR_MAX - 3, "\xe2\x82\xac", 3); /* its third byte is over the end */
    text[sizeof text - 1] = '\0';
    gf_error_set(&err, GF_EFORMAT, "%s", text);
    CHECK_EQ(strlen(err.message), GF_ERROR_MAX - 3);
    CHECK_EQ(err.message[GF_ERROR_MAX - 4], 'x');
}

TEST(error_prefix__goes_before_the_message_and_keeps_the_code)
{
    gf_error err;
    gf_error_set(&err, GF_EFORMAT, "truncated JPEG at byte 8113");
    gf__error_prefix(&err, "cats/%d.jpg", 7);
    CHECK_EQ(err.code, GF_EFORMAT);
    CHECK_STR(err.message, "cats/7.jpg: truncated JPEG at byte 8113");
    gf__error_prefix(NULL, "nobody");
}

TEST(error_errno__tells_missing_files_memory_and_a_full_disk_apart)
{
    CHECK_FAILS(GF_ENOTFOUND, "a.png: No such file", gf__error_errno(&check_err, ENOENT, "a.png"));
    CHECK_FAILS(GF_ENOMEM, "a.png: Cannot allocate", gf__error_errno(&check_err, ENOMEM, "a.png"));
    CHECK_FAILS(GF_EIO, "a.png: Permission denied", gf__error_errno(&check_err, EACCES, "a.png"));
    CHECK_FAILS(GF_EIO, "a.png: the disk is full", gf__error_errno(&check_err, ENOSPC, "a.png"));
    CHECK_FAILS(GF_EIO, "a.png: the disk quota", gf__error_errno(&check_err, EDQUOT, "a.png"));
    CHECK_EQ(gf__error_errno(NULL, ENOENT, "a.png"), GF_ENOTFOUND);
}

typedef struct seen {
    gf_progress progress;
    gf_log_level level;
    char line[64];
    bool goes_on;
} seen;

static bool see_progress(void *user, const gf_progress *progress)
{
    seen *s = user;
    s->progress = *progress;
    return s->goes_on;
}

static void see_log(void *user, gf_log_level level, const char *message)
{
    seen *s = user;
    s->level = level;
    snprintf(s->line, sizeof s->line, "%s", message);
}

TEST(observe_progress__passes_numbers_on_and_stops_when_told)
{
    seen s = {.goes_on = true};
    const gf_observer obs = {.progress = see_progress, .log = see_log, .user = &s};
    CHECK_OK(gf__observe_progress(&obs, "features", 3, 10, "c.jpg", &check_err));
    CHECK_STR(s.progress.stage, "features");
    CHECK_EQ(s.progress.n_done, 3);
    CHECK_EQ(s.progress.n_total, 10);
    CHECK_STR(s.progress.item, "c.jpg");
    s.goes_on = false;
    CHECK_FAILS(GF_ECANCELED, "stopped", gf__observe_progress(&obs, "x", 0, 0, NULL, &check_err));
    gf__observe_log(&obs, GF_LOG_WARNING, "%d duplicates", 4);
    CHECK_EQ(s.level, GF_LOG_WARNING);
    CHECK_STR(s.line, "4 duplicates");
}

TEST(observe__does_nothing_where_nobody_observes)
{
    const gf_observer silent = {0};
    CHECK_OK(gf__observe_progress(NULL, "x", 0, 0, NULL, &check_err));
    CHECK_OK(gf__observe_progress(&silent, "x", 0, 0, NULL, &check_err));
    gf__observe_log(NULL, GF_LOG_INFO, "x");
    gf__observe_log(&silent, GF_LOG_INFO, "x");
}

TESTS_MAIN(UNIT(status_name__knows_every_status_and_admits_the_rest),
           UNIT(version__has_three_numbers), UNIT(error_set__fills_and_returns_the_code),
           UNIT(error_set__takes_its_own_message_as_an_argument),
           UNIT(error_set__makes_one_line_of_utf8_out_of_anything),
           UNIT(error_set__cuts_a_long_message_between_characters),
           UNIT(error_prefix__goes_before_the_message_and_keeps_the_code),
           UNIT(error_errno__tells_missing_files_memory_and_a_full_disk_apart),
           UNIT(observe_progress__passes_numbers_on_and_stops_when_told),
           UNIT(observe__does_nothing_where_nobody_observes))
