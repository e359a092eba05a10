/* check.h: the words our tests are written in, on top of cmocka.
 *
 *     TEST(split__keeps_every_row_once) { CHECK_OK(gf_split_new(...)); CHECK_EQ(n, 8); }
 *     TESTS_MAIN(UNIT(split__keeps_every_row_once)) */
#ifndef GRAFT_TESTS_CHECK_H
#define GRAFT_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graft/base.h"

#define TEST(name) static void name(void **cmocka_state __attribute__((unused)))
#define UNIT(name) cmocka_unit_test(name)
#define TESTS_MAIN(...)                                   \
    int main(void)                                        \
    {                                                     \
        const struct CMUnitTest tests[] = {__VA_ARGS__};  \
        return cmocka_run_group_tests(tests, NULL, NULL); \
    }

#define CHECK(condition)     assert_true(condition)
#define CHECK_EQ(got, want)  assert_int_equal((uintmax_t)(got), (uintmax_t)(want))
#define CHECK_STR(got, want) assert_string_equal(got, want)

/* Under a sanitizer, too, an allocation that cannot be had gives NULL: that is what the tests ask
 * about. */
GF_API const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
GF_API const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* CHECK_OK(call(..., &check_err)): prints the message of an unexpected failure. */
static gf_error check_err __attribute__((unused));
#define CHECK_OK(call)                                                                          \
    do {                                                                                        \
        check_err.message[0] = '\0';                                                            \
        const gf_status check_status = (call);                                                  \
        if (check_status != GF_OK)                                                              \
            fail_msg("%s gave %s: %s", #call, gf_status_name(check_status), check_err.message); \
    } while (0)

/* CHECK_FAILS(GF_EFORMAT, "byte 12", call(..., &check_err)): the code, and a part of the
 * message. */
#define CHECK_FAILS(want, part, call)                                                            \
    do {                                                                                         \
        check_err.message[0] = '\0';                                                             \
        const gf_status check_status = (call);                                                   \
        if (check_status != (want))                                                              \
            fail_msg("%s gave %s (%s), expected %s", #call, gf_status_name(check_status),        \
                     check_err.message, gf_status_name(want));                                   \
        if (strstr(check_err.message, (part)) == NULL)                                           \
            fail_msg("%s said \"%s\", expected a message with \"%s\"", #call, check_err.message, \
                     (part));                                                                    \
    } while (0)

/* |got - want| <= tolerance, both printed. */
#define CHECK_NEAR(got, want, tolerance)                                             \
    do {                                                                             \
        const double check_got = (got), check_want = (want);                         \
        if (!(fabs(check_got - check_want) <= (tolerance)))                          \
            fail_msg("%s is %.9g, expected %.9g +- %g", #got, check_got, check_want, \
                     (double)(tolerance));                                           \
    } while (0)

/* A file below tests/, as GRAFT_TESTS says (meson sets it). Static buffer, valid until the next
 * call. */
static inline const char *check_fixture(const char *relative)
{
    static char path[4096];
    const char *root = getenv("GRAFT_TESTS");
    snprintf(path, sizeof path, "%s/%s", root != NULL ? root : "tests", relative);
    return path;
}

/* A fresh folder for one test, below $TMPDIR or /tmp; ended with check_remove_dir(). */
static inline char *check_temp_dir(void)
{
    const char *base = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/graft-test-XXXXXX", base != NULL ? base : "/tmp");
    char *dir = mkdtemp(path);
    assert_non_null(dir);
    return strdup(dir);
}

static inline int check_remove_entry(const char *path, const struct stat *info, int kind,
                                     struct FTW *where)
{
    return remove(path);
}

/* The folder with all in it; frees the name that check_temp_dir() gave. */
static inline void check_remove_dir(char *dir)
{
    assert_int_equal(nftw(dir, check_remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(dir);
}

#endif
