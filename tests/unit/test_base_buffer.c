/* test_base_buffer.c: growth, remembered failure, and base64 both ways. */
#include "check.h"

#include "base/base.h"

TEST(buffer__grows_and_stays_terminated)
{
    gf__buffer buffer = {0};
    for (int i = 0; i < 1000; i++) {
        gf__buffer_printf(&buffer, "%d,", i);
        CHECK_EQ(buffer.data[buffer.size], '\0');
    }
    gf__buffer_puts(&buffer, "end");
    gf__buffer_append(&buffer, "\0x", 2);
    CHECK_OK(gf__buffer_status(&buffer, &check_err));
    CHECK_EQ(buffer.size, 10 * 2 + 90 * 3 + 900 * 4 + 5);
    CHECK(strncmp(buffer.data, "0,1,2,3,", 8) == 0);
    gf__buffer_free(&buffer);
    CHECK_EQ(buffer.size, 0);
}

TEST(buffer_printf__writes_text_longer_than_the_room_left)
{
    gf__buffer buffer = {0};
    char text[5000];
    memset(text, 'y', sizeof text);
    text[sizeof text - 1] = '\0';
    gf__buffer_printf(&buffer, "<%s>", text);
    CHECK_EQ(buffer.size, sizeof text + 1);
    CHECK_EQ(buffer.data[buffer.size - 1], '>');
    gf__buffer_free(&buffer);
}

TEST(buffer_take__hands_the_bytes_over)
{
    gf__buffer buffer = {0};
    size_t size = 9;
    char *text = gf__buffer_take(&buffer, &size);
    CHECK_STR(text, "");
    CHECK_EQ(size, 0);
    gf__free(text);
    gf__buffer_puts(&buffer, "abc");
    text = gf__buffer_take(&buffer, &size);
    CHECK_STR(text, "abc");
    CHECK_EQ(size, 3);
    assert_null(buffer.data);
    gf__free(text);
}

TEST(buffer__remembers_that_memory_was_out)
{
    gf__buffer buffer = {0};
    gf__buffer_puts(&buffer, "kept");
    char text[4096] = {0};
    memset(text, 'z', sizeof text - 1);
    gf__mem_fail_after(0);
    gf__buffer_puts(&buffer, text);
    gf__mem_fail_never();
    gf__buffer_puts(&buffer, "ignored");
    gf__buffer_printf(&buffer, "ignored");
    gf__buffer_base64(&buffer, "ignored", 7);
    CHECK_STR(buffer.data, "kept");
    CHECK_FAILS(GF_ENOMEM, "out of memory", gf__buffer_status(&buffer, &check_err));
    assert_null(gf__buffer_take(&buffer, NULL));
    CHECK(!buffer.failed); /* empty again */
}

TEST(buffer_printf__survives_every_allocation_failure)
{
    char text[2000] = {0};
    memset(text, 'z', sizeof text - 1);
    for (size_t n = 0; n < 3; n++) {
        gf__buffer buffer = {0};
        gf__mem_fail_after(n);
        gf__buffer_printf(&buffer, "%s", text);
        gf__mem_fail_never();
        CHECK_EQ(buffer.failed, n < 2);
        CHECK_EQ(buffer.size, n < 2 ? 0 : 1999);
        gf__buffer_free(&buffer);
    }
}

static void check_base64(const char *plain, size_t n_bytes, const char *want)
{
    gf__buffer buffer = {0};
    gf__buffer_puts(&buffer, "data:");
    gf__buffer_base64(&buffer, plain, n_bytes);
    CHECK_STR(buffer.data + 5, want);
    uint8_t *back = NULL;
    size_t n_back = 0;
    CHECK_OK(gf__base64_decode(want, strlen(want), &back, &n_back, &check_err));
    CHECK_EQ(n_back, n_bytes);
    assert_memory_equal(back, plain, n_bytes);
    gf__free(back);
    gf__buffer_free(&buffer);
}

TEST(base64__agrees_with_the_vectors_of_rfc_4648)
{
    check_base64("", 0, "");
    check_base64("f", 1, "Zg==");
    check_base64("fo", 2, "Zm8=");
    check_base64("foo", 3, "Zm9v");
    check_base64("foob", 4, "Zm9vYg==");
    check_base64("fooba", 5, "Zm9vYmE=");
    check_base64("foobar", 6, "Zm9vYmFy");
    check_base64("\xfb\xff\xfe\x00\x10", 5, "+//+ABA=");
}

TEST(base64_decode__takes_url_safe_and_unpadded_text)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    CHECK_OK(gf__base64_decode("-__-ABA", 7, &bytes, &n, &check_err));
    CHECK_EQ(n, 5);
    assert_memory_equal(bytes, "\xfb\xff\xfe\x00\x10", 5);
    gf__free(bytes);
    CHECK_OK(gf__base64_decode("Zg", 2, &bytes, &n, &check_err));
    CHECK_EQ(n, 1);
    gf__free(bytes);
}

static void check_not_base64(const char *text, const char *message)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    CHECK_FAILS(GF_EFORMAT, message, gf__base64_decode(text, strlen(text), &bytes, &n, &check_err));
    assert_null(bytes);
    CHECK_EQ(n, 0);
}

TEST(base64_decode__names_the_byte_that_does_not_belong)
{
    check_not_base64("Zm9v\nZm9v", "byte 4 (0x0a)");
    check_not_base64("Zm 9", "byte 2 (0x20)");
    check_not_base64("Zg==Zg==", "byte 2 (0x3d)");
    check_not_base64("Zm9\xc3", "byte 3 (0xc3)");
    check_not_base64("Z", "byte 1");        /* six bits are no byte */
    check_not_base64("Zg=", "byte 2");      /* padding that does not fill the group */
    check_not_base64("Zm9v=", "byte 4");    /* nothing to pad */
    check_not_base64("Zm9v====", "byte 4"); /* at most two are padding */
    check_not_base64("====", "byte 0");
}

TEST(base64_decode__survives_memory_running_out)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    gf__mem_fail_after(0);
    const gf_status st = gf__base64_decode("Zm9v", 4, &bytes, &n, &check_err);
    gf__mem_fail_never();
    CHECK_EQ(st, GF_ENOMEM);
    assert_null(bytes);
}

TESTS_MAIN(UNIT(buffer__grows_and_stays_terminated),
           UNIT(buffer_printf__writes_text_longer_than_the_room_left),
           UNIT(buffer_take__hands_the_bytes_over), UNIT(buffer__remembers_that_memory_was_out),
           UNIT(buffer_printf__survives_every_allocation_failure),
           UNIT(base64__agrees_with_the_vectors_of_rfc_4648),
           UNIT(base64_decode__takes_url_safe_and_unpadded_text),
           UNIT(base64_decode__names_the_byte_that_does_not_belong),
           UNIT(base64_decode__survives_memory_running_out))
