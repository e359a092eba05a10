/* test_npy.c: reading, refusing and writing .npy. Files by numpy: tests/golden/make_tensor.py. */
#include <unistd.h>

#include "tensor_files.h"

static gf_tensor *load(const char *name)
{
    gf_tensor *tensor = NULL;
    char relative[128];
    snprintf(relative, sizeof relative, "golden/tensor/%s.npy", name);
    CHECK_OK(gf_npy_load(check_fixture(relative), &tensor, &check_err));
    return tensor;
}

TEST(npy_load__reads_what_numpy_wrote)
{
    gf_tensor *t = load("u8_3d");
    CHECK_EQ(gf_tensor_dtype(t), GF_DTYPE_U8);
    check_shape(t, "(2,3,4)");
    for (size_t i = 0; i < 24; i++)
        CHECK_EQ(((const uint8_t *)gf_tensor_data(t))[i], i * 7 % 256);
    gf_tensor_free(t);

    static const char *const same[] = {"f32_2d", "f32_v2", "f32_v3", "f32_big_endian"};
    for (size_t k = 0; k < N_OF(same); k++) {
        t = load(same[k]);
        check_shape(t, "(3,4)");
        for (size_t i = 0; i < 12; i++)
            CHECK(gf_tensor_f32(t)[i] == (float)i / 4 - 1);
        gf_tensor_free(t);
    }
}

TEST(npy_load__reads_every_number_type)
{
    gf_tensor *t = load("i64_1d");
    const int64_t *wide = gf_tensor_data(t);
    CHECK(wide[1] == -1 && wide[2] == INT64_C(1) << 40 && wide[3] == INT64_MIN);
    gf_tensor_free(t);
    t = load("f64_1d");
    CHECK(((const double *)gf_tensor_data(t))[3] == 3.141592653589793);
    gf_tensor_free(t);
    t = load("f16_1d");
    CHECK_EQ(gf_tensor_dtype(t), GF_DTYPE_F16);
    CHECK(gf__f16_to_f32(((const uint16_t *)gf_tensor_data(t))[2]) == 65504.0f);
    gf_tensor_free(t);
    t = load("u16_1d");
    CHECK_EQ(((const uint16_t *)gf_tensor_data(t))[1], 258);
    gf_tensor_free(t);
    t = load("i8_1d");
    CHECK_EQ(((const int8_t *)gf_tensor_data(t))[0], -128);
    gf_tensor_free(t);
    t = load("bool_1d");
    CHECK_EQ(gf_tensor_dtype(t), GF_DTYPE_BOOL);
    CHECK_EQ(((const uint8_t *)gf_tensor_data(t))[2], 1);
    gf_tensor_free(t);
}

TEST(npy_load__puts_fortran_order_into_c_order)
{
    static const char *const names[] = {"i32_fortran", "i32_big_fortran"};
    for (size_t k = 0; k < N_OF(names); k++) {
        gf_tensor *t = load(names[k]);
        check_shape(t, "(2,3,4)");
        for (size_t i = 0; i < 24; i++)
            CHECK_EQ(((const int32_t *)gf_tensor_data(t))[i], i);
        gf_tensor_free(t);
    }
}

TEST(npy_load__reads_no_dimensions_and_empty)
{
    gf_tensor *t = load("f32_0d");
    CHECK_EQ(gf_tensor_n_dims(t), 0);
    CHECK(gf_tensor_f32(t)[0] == 2.5f);
    gf_tensor_free(t);
    t = load("f32_empty");
    check_shape(t, "(0,4)");
    CHECK_EQ(gf_tensor_n_values(t), 0);
    gf_tensor_free(t);
}

TEST(npy_load__says_what_it_cannot_use)
{
    static const struct {
        const char *name, *part;
    } cases[] = {
        {"text", "text.npy: the array holds text"},
        {"objects", "Python objects"},
        {"records", "several fields"},
        {"complex", "complex numbers"},
    };
    gf_tensor *t = NULL;
    for (size_t i = 0; i < N_OF(cases); i++) {
        char relative[64];
        snprintf(relative, sizeof relative, "golden/tensor/%s.npy", cases[i].name);
        CHECK_FAILS(GF_EUNSUPPORTED, cases[i].part,
                    gf_npy_load(check_fixture(relative), &t, &check_err));
        CHECK(t == NULL);
    }
    CHECK_FAILS(GF_ENOTFOUND, "missing.npy", gf_npy_load("/missing.npy", &t, &check_err));
}

/* A .npy of version 1.0 with this dict and n_data zero bytes behind it. */
static gf_status parse_with_header(const char *dict, size_t n_data)
{
    uint8_t bytes[512] = "\x93NUMPY\x01";
    const size_t n_dict = strlen(dict);
    bytes[8] = (uint8_t)n_dict;
    memcpy(bytes + 10, dict, n_dict);
    /* An own block of the exact size, so that the sanitizer sees a read past its end. */
    uint8_t *exact = gf__malloc(10 + n_dict + n_data);
    CHECK(exact != NULL);
    memcpy(exact, bytes, 10 + n_dict + n_data);
    gf_tensor *t = NULL;
    const gf_status st = gf__npy_parse(exact, 10 + n_dict + n_data, &t, &check_err);
    CHECK((st == GF_OK) == (t != NULL));
    gf_tensor_free(t);
    gf__free(exact);
    return st;
}

#define REST "'fortran_order': False, 'shape': (2,)}"

TEST(npy_parse__takes_every_way_to_write_the_dict)
{
    static const char *const good[] = {
        "{'descr': '<f4', " REST,
        "{\"shape\":(2,),\"descr\":\"<f4\",\"fortran_order\":True}",
        "  {  'shape' : ( 2 , ) , 'fortran_order' : False , 'descr' : '=f4' , }  \n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 1L, 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,2)}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': ()}",
        "{'descr': '|S1', " REST, /* last: not usable, but understood */
    };
    for (size_t i = 0; i + 1 < N_OF(good); i++)
        CHECK_OK(parse_with_header(good[i], 8));
    CHECK_FAILS(GF_EUNSUPPORTED, "byte strings", parse_with_header(good[N_OF(good) - 1], 2));
}

TEST(npy_parse__refuses_every_abuse_of_the_header)
{
    static const struct {
        gf_status status;
        const char *dict, *part;
    } cases[] = {
        {GF_EFORMAT, "", "expected '{', found its end"},
        {GF_EFORMAT, "{", "expected a quoted string, found its end"},
        {GF_EFORMAT, "{}", "key 'descr' is missing"},
        {GF_EFORMAT, "{'descr': '<f4', 'shape': (2,)}", "'fortran_order' is missing"},
        {GF_EFORMAT, "{'descr': '<f4', 'fortran_order': False}", "'shape' is missing"},
        {GF_EFORMAT, "{'descr': '<f4', 'descr': '<f4', " REST, "'descr' twice"},
        {GF_EFORMAT, "{'x': 1, 'descr': '<f4', " REST, "key descr, fortran_order or shape"},
        {GF_EFORMAT, "{'descr' '<f4', " REST, "expected ':' at character 9"},
        {GF_EFORMAT, "{'descr': '<f4' " REST, "expected ',' or '}'"},
        {GF_EFORMAT, "{'descr': <f4, " REST, "a quoted string at character 10"},
        {GF_EFORMAT, "{'descr': '<f4, ", "a string that ends"},
        {GF_EFORMAT, "{'descr': '<f4', " REST "x", "nothing more"},
        {GF_EFORMAT, "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "True or False"},
        {GF_EFORMAT, "{'descr': '<f4', 'fortran_order': False, 'shape': 2}", "in parentheses"},
        {GF_EFORMAT, "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "a dimension"},
        {GF_EFORMAT, "{'descr': '<f4', 'fortran_order': False, 'shape': (2 2)}", "',' or ')'"},
        {GF_EFORMAT, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,", "found its end"},
        {GF_EFORMAT, "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,)}",
         "too large"},
        {GF_EFORMAT, "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,4)}",
         "does not fit into memory"},
        {GF_EFORMAT, "{'descr': '<f4', 'fortran_order': False, 'shape': (0,4611686018427387904,4)}",
         "does not fit into memory"},
        {GF_EFORMAT, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
         "shape (3) with 4 bytes a value needs 12 bytes, 8 are there"},
        {GF_EFORMAT, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "8 are there"},
        {GF_EUNSUPPORTED, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2)}",
         "more than 8 dimensions"},
        {GF_EUNSUPPORTED, "{'descr': '<f16', " REST, "dtype '<f16' is not supported"},
        {GF_EUNSUPPORTED, "{'descr': '', " REST, "dtype '' is not supported"},
        {GF_EUNSUPPORTED, "{'descr': 'f4', " REST, "dtype 'f4'"},
        {GF_EUNSUPPORTED, "{'descr': '<f', " REST, "dtype '<f'"},
        {GF_EUNSUPPORTED, "{'descr': '<f4\n', " REST, "dtype '<f4 '"},
        {GF_EFORMAT, "{'descr': '<U', " REST, "dimension"},
        {GF_EFORMAT, "{'descr': '<U0', " REST, "usable length"},
        {GF_EFORMAT, "{'descr': '<U9223372036854775807', " REST, "usable length"},
        {GF_EFORMAT, "{'descr': '<U1x', " REST, "usable length"},
        {GF_EUNSUPPORTED, "{'descr': '<U1', " REST, "holds text"},
        {GF_EUNSUPPORTED, "{'descr': ('<f4', (2,)), " REST, "several fields"},
    };
    for (size_t i = 0; i < N_OF(cases); i++)
        CHECK_FAILS(cases[i].status, cases[i].part, parse_with_header(cases[i].dict, 8));
}

TEST(npy_parse__refuses_other_versions_and_short_preambles)
{
    gf_tensor *t = NULL;
    CHECK_FAILS(GF_EFORMAT, "not a .npy", gf__npy_parse(NULL, 0, &t, &check_err));
    CHECK_FAILS(GF_EFORMAT, "not a .npy",
                gf__npy_parse((const uint8_t *)"PK\3\4zipzipzip", 13, &t, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "version 4.0",
                gf__npy_parse((const uint8_t *)"\x93NUMPY\4\0\0\0\0\0", 12, &t, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "version 1.1",
                gf__npy_parse((const uint8_t *)"\x93NUMPY\1\1\0\0\0\0", 12, &t, &check_err));
    CHECK_FAILS(GF_EFORMAT, "header of 65535 bytes, only 2 are there",
                gf__npy_parse((const uint8_t *)"\x93NUMPY\1\0\xff\xff{}", 12, &t, &check_err));
    CHECK_FAILS(
        GF_EFORMAT, "header of 4294967295 bytes, only 0",
        gf__npy_parse((const uint8_t *)"\x93NUMPY\2\0\xff\xff\xff\xff", 12, &t, &check_err));
}

static void check_every_truncation(const char *name)
{
    char relative[64];
    snprintf(relative, sizeof relative, "golden/tensor/%s.npy", name);
    char *bytes = NULL;
    size_t size;
    CHECK_OK(gf__read_file(check_fixture(relative), 1 << 20, &bytes, &size, &check_err));
    for (size_t n = 0; n < size; n++) {
        uint8_t *part = gf__malloc(n);
        gf_tensor *t = NULL;
        CHECK(part != NULL);
        memcpy(part, bytes, n);
        CHECK_FAILS(GF_EFORMAT, "", gf__npy_parse(part, n, &t, &check_err));
        CHECK(check_err.message[0] != '\0' && t == NULL);
        gf__free(part);
    }
    gf__free(bytes);
}

TEST(npy_parse__refuses_a_file_cut_anywhere)
{
    check_every_truncation("u8_3d");
    check_every_truncation("f32_v2");
    check_every_truncation("i32_fortran");
}

TEST(npy_save__writes_the_bytes_that_numpy_writes)
{
    static const char *const names[] = {"u8_3d", "f32_2d", "f64_1d",  "f16_1d", "i64_1d",
                                        "i8_1d", "u16_1d", "bool_1d", "f32_0d", "f32_empty"};
    char *dir = check_temp_dir();
    char *path = gf__path_join(dir, "saved.npy");
    for (size_t i = 0; i < N_OF(names); i++) {
        char relative[64], *got = NULL, *want = NULL;
        size_t n_got, n_want;
        gf_tensor *t = load(names[i]);
        CHECK_OK(gf_npy_save(path, t, &check_err));
        snprintf(relative, sizeof relative, "golden/tensor/%s.npy", names[i]);
        CHECK_OK(gf__read_file(check_fixture(relative), 1 << 20, &want, &n_want, &check_err));
        CHECK_OK(gf__read_file(path, 1 << 20, &got, &n_got, &check_err));
        CHECK_EQ(n_got, n_want);
        assert_memory_equal(got, want, n_want);
        gf__free(got);
        gf__free(want);
        gf_tensor_free(t);
    }
    unlink(path);
    rmdir(dir);
    gf__free(path);
    free(dir);
}

TEST(npy_save__refuses_bfloat16_and_leaves_nothing)
{
    const uint16_t values[] = {0x3f80};
    const size_t shape[] = {1};
    gf_tensor *view = NULL;
    char *dir = check_temp_dir();
    char *path = gf__path_join(dir, "x.npy");
    CHECK_OK(gf__tensor_view(GF_DTYPE_BF16, shape, 1, values, &view, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "x.npy: numpy has no bfloat16",
                gf_npy_save(path, view, &check_err));
    CHECK(!gf__is_file(path));
    CHECK_EQ(rmdir(dir), 0);
    gf_tensor_free(view);
    gf__free(path);
    free(dir);
}

TEST(npy__survives_every_allocation_failure)
{
    char *dir = check_temp_dir();
    char *path = gf__path_join(dir, "x.npy");
    gf_tensor *t = NULL;
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_npy_load(check_fixture("golden/tensor/i32_big_fortran.npy"), &t, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && t == NULL));
    }
    gf_tensor *f = NULL;
    st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_tensor_to_f32(t, &f, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && f == NULL));
    }
    st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_npy_save(path, f, &check_err);
        gf__mem_fail_never();
    }
    CHECK_EQ(st, GF_OK);
    gf_tensor_free(f);
    gf_tensor_free(t);
    unlink(path);
    CHECK_EQ(rmdir(dir), 0);
    gf__free(path);
    free(dir);
}

TESTS_MAIN(UNIT(npy_load__reads_what_numpy_wrote), UNIT(npy_load__reads_every_number_type),
           UNIT(npy_load__puts_fortran_order_into_c_order),
           UNIT(npy_load__reads_no_dimensions_and_empty), UNIT(npy_load__says_what_it_cannot_use),
           UNIT(npy_parse__takes_every_way_to_write_the_dict),
           UNIT(npy_parse__refuses_every_abuse_of_the_header),
           UNIT(npy_parse__refuses_other_versions_and_short_preambles),
           UNIT(npy_parse__refuses_a_file_cut_anywhere),
           UNIT(npy_save__writes_the_bytes_that_numpy_writes),
           UNIT(npy_save__refuses_bfloat16_and_leaves_nothing),
           UNIT(npy__survives_every_allocation_failure))
