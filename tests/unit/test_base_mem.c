/* test_base_mem.c: the allocator's edges, alignment, sizes that do not fit, and failing on
 * demand. */
#include "check.h"

#include "base/base.h"

TEST(malloc__of_nothing_gives_a_pointer_to_free)
{
    void *a = gf__malloc(0), *b = gf__calloc(0, 8), *c = gf__realloc(NULL, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    gf__free(a);
    gf__free(b);
    gf__free(c);
    gf__free(NULL);
}

/* Volatile, so that no compiler works the sizes out and warns. */
static volatile size_t too_many = SIZE_MAX / 2 + 1;

TEST(calloc__refuses_a_product_that_wraps)
{
    assert_null(gf__calloc(too_many, 2));
    assert_null(gf__malloc(too_many));
    assert_null(gf__alloc_aligned(too_many));
    assert_null(gf__alloc_aligned(too_many + (too_many - 1))); /* SIZE_MAX: the padding wraps */
}

TEST(strdup__and_its_kin_copy_text)
{
    char *whole = gf__strdup("roses"), *part = gf__strndup("roses", 3);
    char *long_limit = gf__strndup("roses", 100), *text = gf__asprintf("%s %d", "rose", 7);
    CHECK_STR(whole, "roses");
    CHECK_STR(part, "ros");
    CHECK_STR(long_limit, "roses");
    CHECK_STR(text, "rose 7");
    gf__free(whole);
    gf__free(part);
    gf__free(long_limit);
    gf__free(text);
}

static void check_aligned(size_t size_bytes, size_t alignment)
{
    unsigned char *memory = gf__alloc_aligned(size_bytes);
    assert_non_null(memory);
    CHECK_EQ((uintptr_t)memory % alignment, 0);
    for (size_t i = 0; i < size_bytes; i++) {
        if (memory[i] != 0)
            fail_msg("byte %zu of %zu is %d", i, size_bytes, memory[i]);
    }
    memset(memory, 0xab, size_bytes); /* dirt for whoever gets it next */
    gf__free(memory);
}

TEST(alloc_aligned__is_aligned_and_zeroed_at_every_size)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4097, ((size_t)2 << 20) - 64};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            check_aligned(sizes[i], 64);
        check_aligned((size_t)2 << 20, (size_t)2 << 20);
        check_aligned(((size_t)5 << 20) + 1, (size_t)2 << 20);
    }
}

TEST(mul_size__fails_where_the_product_wraps)
{
    size_t out = 7;
    CHECK(gf__mul_size(3, 5, &out));
    CHECK_EQ(out, 15);
    CHECK(gf__mul_size(SIZE_MAX, 1, &out));
    CHECK(gf__mul_size(SIZE_MAX, 0, &out));
    CHECK_EQ(out, 0);
    out = 7;
    CHECK(!gf__mul_size(SIZE_MAX / 2 + 1, 2, &out));
    CHECK_EQ(out, 7);
}

TEST(add_size__fails_where_the_sum_wraps)
{
    size_t out = 7;
    CHECK(gf__add_size(SIZE_MAX - 1, 1, &out));
    CHECK_EQ(out, SIZE_MAX);
    out = 7;
    CHECK(!gf__add_size(SIZE_MAX, 1, &out));
    CHECK_EQ(out, 7);
}

TEST(error_nomem__names_the_size_and_the_purpose)
{
    CHECK_FAILS(GF_ENOMEM, "out of memory (12 bytes for a picture)",
                gf__error_nomem(&check_err, "a picture", 12));
    CHECK_EQ(gf__error_nomem(NULL, "a picture", 12), GF_ENOMEM);
}

TEST(mem_fail_after__lets_n_allocations_pass_and_refuses_all_later_ones)
{
    gf__mem_fail_after(2);
    void *first = gf__malloc(8), *second = gf__calloc(1, 8);
    void *third = gf__malloc(8);
    void *grown = gf__realloc(first, 16);
    char *copy = gf__strdup("x"), *text = gf__asprintf("x");
    void *aligned = gf__alloc_aligned(64);
    gf__mem_fail_never();
    assert_non_null(first);
    assert_non_null(second);
    assert_null(third);
    assert_null(grown); /* first is still ours */
    assert_null(copy);
    assert_null(text);
    assert_null(aligned);
    gf__free(first);
    gf__free(second);
    void *later = gf__malloc(8);
    assert_non_null(later);
    gf__free(later);
}

TESTS_MAIN(UNIT(malloc__of_nothing_gives_a_pointer_to_free),
           UNIT(calloc__refuses_a_product_that_wraps), UNIT(strdup__and_its_kin_copy_text),
           UNIT(alloc_aligned__is_aligned_and_zeroed_at_every_size),
           UNIT(mul_size__fails_where_the_product_wraps), UNIT(add_size__fails_where_the_sum_wraps),
           UNIT(error_nomem__names_the_size_and_the_purpose),
           UNIT(mem_fail_after__lets_n_allocations_pass_and_refuses_all_later_ones))
