/* test_tensor.c: gf_tensor and conversions. Expected values: tests/golden/make_tensor.py. */
#include "tensor_files.h"

TEST(tensor_new__is_zeroed_aligned_and_of_its_shape)
{
    const size_t shape[] = {3, 1, 17};
    gf_tensor *t = NULL;
    CHECK_OK(gf_tensor_new(GF_DTYPE_F64, shape, 3, &t, &check_err));
    CHECK_EQ(gf_tensor_n_values(t), 51);
    CHECK_EQ(gf_tensor_size_bytes(t), 408);
    CHECK_EQ((uintptr_t)gf_tensor_data(t) % 64, 0);
    const double *values = gf_tensor_data(t);
    for (size_t i = 0; i < 51; i++)
        CHECK(values[i] == 0.0);
    CHECK(gf_tensor_f32(t) == NULL);
    CHECK(gf_tensor_mutable_data(t) == gf_tensor_data(t));
    gf_tensor_free(t);
}

TEST(tensor_new__takes_no_dimensions_and_empty_ones)
{
    gf_tensor *t = NULL;
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, NULL, 0, &t, &check_err));
    CHECK_EQ(gf_tensor_n_values(t), 1);
    check_shape(t, "()");
    gf_tensor_free(t);
    const size_t empty[] = {5, 0, 3};
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, empty, 3, &t, &check_err));
    CHECK_EQ(gf_tensor_n_values(t), 0);
    CHECK(gf_tensor_data(t) != NULL);
    gf_tensor_free(t);
}

TEST(tensor_new__refuses_sizes_that_do_not_fit)
{
    gf_tensor *t = NULL;
    const size_t wrapping[] = {SIZE_MAX / 2, 3}, huge[] = {SIZE_MAX / 4};
    const size_t hidden[] = {0, SIZE_MAX, SIZE_MAX}; /* empty, but rows that wrap */
    const size_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    CHECK_FAILS(GF_ESHAPE, "float32 values of shape (9223372036854775807,3)",
                gf_tensor_new(GF_DTYPE_F32, wrapping, 2, &t, &check_err));
    CHECK_FAILS(GF_ESHAPE, "do not fit", gf_tensor_new(GF_DTYPE_F32, huge, 1, &t, &check_err));
    CHECK_FAILS(GF_ESHAPE, "do not fit", gf_tensor_new(GF_DTYPE_U8, hidden, 3, &t, &check_err));
    CHECK_FAILS(GF_ESHAPE, "9 dimensions", gf_tensor_new(GF_DTYPE_U8, nine, 9, &t, &check_err));
    CHECK(t == NULL);
}

TEST(tensor_free__waits_for_the_last_owner)
{
    const size_t shape[] = {4};
    gf_tensor *t = NULL;
    CHECK_OK(gf_tensor_new(GF_DTYPE_U8, shape, 1, &t, &check_err));
    gf_tensor *other = gf__tensor_ref(t);
    gf_tensor_free(t);
    CHECK_EQ(gf_tensor_n_values(other), 4);
    gf_tensor_free(other);
    gf_tensor_free(NULL);
}

TEST(tensor_view__shares_and_copy_does_not)
{
    const float values[] = {1, 2, 3};
    const size_t shape[] = {3};
    gf_tensor *view = NULL, *copy = NULL;
    CHECK_OK(gf__tensor_view(GF_DTYPE_F32, shape, 1, values, &view, &check_err));
    CHECK(gf_tensor_f32(view) == values);
    CHECK(gf_tensor_mutable_data(view) == NULL);
    CHECK_OK(gf__tensor_copy(view, &copy, &check_err));
    CHECK(gf_tensor_f32(copy) != values);
    CHECK(gf_tensor_f32(copy)[2] == 3.0f);
    gf_tensor_free(copy);
    gf_tensor_free(view);
}

TEST(dtype__names_and_sizes_are_numpys)
{
    CHECK_STR(gf_dtype_name(GF_DTYPE_F32), "float32");
    CHECK_STR(gf_dtype_name(GF_DTYPE_BOOL), "bool");
    CHECK_EQ(gf_dtype_size(GF_DTYPE_U8), 1);
    CHECK_EQ(gf_dtype_size(GF_DTYPE_I64), 8);
    CHECK_EQ(gf_dtype_size(GF_DTYPE_BF16), 2);
}

TEST(shape_text__cuts_what_does_not_fit)
{
    const size_t shape[] = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX,
                            SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    char text[GF__SHAPE_TEXT];
    gf__shape_text(shape, 8, text);
    CHECK_EQ(strlen(text), GF__SHAPE_TEXT - 1);
    CHECK(text[GF__SHAPE_TEXT - 2] == ')');
}

/* Every finite half is a small multiple of 2^-24, so scalbn of its parts is an independent
 * answer. */
TEST(f16_to_f32__is_exact_for_every_half)
{
    for (uint32_t half = 0; half <= 0xffff; half++) {
        const int exponent = (int)(half >> 10 & 0x1f), fraction = (int)(half & 0x3ff);
        const float got = gf__f16_to_f32((uint16_t)half);
        float want = exponent == 0 ? ldexpf((float)fraction, -24)
                                   : ldexpf((float)(1024 + fraction), exponent - 25);
        if (exponent == 31)
            want = fraction == 0 ? INFINITY : NAN;
        if (half & 0x8000)
            want = -want;
        if (isnan(want))
            CHECK(isnan(got));
        else
            CHECK(got == want && signbit(got) == signbit(want));
    }
}

TEST(f32_to_bf16__rounds_to_nearest_even_and_keeps_nan)
{
    for (uint32_t bits = 0; bits <= 0xffff; bits++) {
        const float value = gf__bf16_to_f32((uint16_t)bits);
        if (!isnan(value))
            CHECK_EQ(gf__f32_to_bf16(value), bits);
        else
            CHECK(isnan(gf__bf16_to_f32(gf__f32_to_bf16(value))));
    }
    CHECK_EQ(gf__f32_to_bf16(1.00390625f), 0x3f80);   /* 1 + 2^-8: a tie, down to even */
    CHECK_EQ(gf__f32_to_bf16(1.01171875f), 0x3f82);   /* 1 + 3 * 2^-8: a tie, up to even */
    CHECK_EQ(gf__f32_to_bf16(1.00390637f), 0x3f81);   /* just over a tie */
    CHECK_EQ(gf__f32_to_bf16(3.4028235e38f), 0x7f80); /* rounds to infinity */
}

TEST(tensor_to_f32__converts_every_dtype)
{
    static const int8_t i8[] = {-128, 127};
    static const uint8_t u8[] = {0, 255}, truth[] = {0, 7};
    static const int16_t i16[] = {-32768, 5};
    static const uint16_t u16[] = {65535, 1}, f16[] = {0x3c00, 0xc100}, bf16[] = {0x3f80, 0xc020};
    static const int32_t i32[] = {INT32_MIN, 16777217};
    static const uint32_t u32[] = {UINT32_MAX, 1};
    static const int64_t i64[] = {INT64_MIN, 3};
    static const uint64_t u64[] = {UINT64_MAX, 1};
    static const double f64[] = {1e300, 0.1};
    static const float f32[] = {-0.5f, 2.0f};
    const struct {
        gf_dtype dtype;
        const void *values;
        float want[2];
    } cases[] = {
        {GF_DTYPE_F32, f32, {-0.5f, 2.0f}},
        {GF_DTYPE_F64, f64, {INFINITY, 0.1f}},
        {GF_DTYPE_F16, f16, {1.0f, -2.5f}},
        {GF_DTYPE_BF16, bf16, {1.0f, -2.5f}},
        {GF_DTYPE_U8, u8, {0.0f, 255.0f}},
        {GF_DTYPE_I8, i8, {-128.0f, 127.0f}},
        {GF_DTYPE_U16, u16, {65535.0f, 1.0f}},
        {GF_DTYPE_I16, i16, {-32768.0f, 5.0f}},
        {GF_DTYPE_U32, u32, {4294967296.0f, 1.0f}},
        {GF_DTYPE_I32, i32, {-2147483648.0f, 16777216.0f}},
        {GF_DTYPE_U64, u64, {18446744073709551616.0f, 1.0f}},
        {GF_DTYPE_I64, i64, {-9223372036854775808.0f, 3.0f}},
        {GF_DTYPE_BOOL, truth, {0.0f, 1.0f}},
    };
    const size_t shape[] = {2};
    for (size_t i = 0; i < N_OF(cases); i++) {
        gf_tensor *view = NULL, *f = NULL;
        CHECK_OK(gf__tensor_view(cases[i].dtype, shape, 1, cases[i].values, &view, &check_err));
        CHECK_OK(gf_tensor_to_f32(view, &f, &check_err));
        CHECK_EQ(gf_tensor_dtype(f), GF_DTYPE_F32);
        for (size_t k = 0; k < 2; k++)
            if (gf_tensor_f32(f)[k] != cases[i].want[k])
                fail_msg("%s, value %zu: got %g, expected %g", gf_dtype_name(cases[i].dtype), k,
                         (double)gf_tensor_f32(f)[k], (double)cases[i].want[k]);
        gf_tensor_free(f);
        gf_tensor_free(view);
    }
}

TESTS_MAIN(UNIT(tensor_new__is_zeroed_aligned_and_of_its_shape),
           UNIT(tensor_new__takes_no_dimensions_and_empty_ones),
           UNIT(tensor_new__refuses_sizes_that_do_not_fit),
           UNIT(tensor_free__waits_for_the_last_owner), UNIT(tensor_view__shares_and_copy_does_not),
           UNIT(dtype__names_and_sizes_are_numpys), UNIT(shape_text__cuts_what_does_not_fit),
           UNIT(f16_to_f32__is_exact_for_every_half),
           UNIT(f32_to_bf16__rounds_to_nearest_even_and_keeps_nan),
           UNIT(tensor_to_f32__converts_every_dtype))
