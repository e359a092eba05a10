/* test_npz.c: reading and refusing .npz. Files by numpy and odd zips: tests/golden/make_tensor.py. */
#include "tensor_files.h"

static gf_npz *open_golden(const char *name)
{
    gf_npz *file = NULL;
    CHECK_OK(gf_npz_open(golden_npz(name), &file, &check_err));
    return file;
}

static void check_floats(gf_npz *file, const char *name)
{
    gf_tensor *t = load_member(file, name);
    CHECK_EQ(gf_tensor_n_dims(t), 2);
    CHECK_EQ(gf_tensor_shape(t)[0], 3);
    for (size_t i = 0; i < 12; i++)
        CHECK(gf_tensor_f32(t)[i] == (float)i / 4 - 1);
    gf_tensor_free(t);
}

static void check_numpys_arrays(const char *name)
{
    gf_npz *file = open_golden(name);
    CHECK_EQ(gf_npz_n_members(file), 11);
    CHECK_STR(gf_npz_name_at(file, 0), "features");
    CHECK_STR(gf_npz_name_at(file, 10), "text_2d");
    CHECK(gf_npz_name_at(file, 11) == NULL);
    CHECK(gf_npz_has(file, "labels") && !gf_npz_has(file, "label"));

    gf_tensor *t = load_member(file, "features");
    CHECK_EQ(gf_tensor_dtype(t), GF_DTYPE_U8);
    for (size_t i = 0; i < 24; i++)
        CHECK_EQ(((const uint8_t *)gf_tensor_data(t))[i], i * 7 % 256);
    gf_tensor_free(t);
    t = load_member(file, "labels");
    CHECK(((const int64_t *)gf_tensor_data(t))[0] == 1);
    gf_tensor_free(t);
    t = load_member(file, "empty");
    CHECK_EQ(gf_tensor_n_values(t), 0);
    gf_tensor_free(t);
    t = load_member(file, "scalar");
    CHECK(gf_tensor_f32(t)[0] == 2.5f);
    gf_tensor_free(t);
    check_floats(file, "scaled");
    check_floats(file, "fortran");
    check_floats(file, "big");
    gf_npz_close(file);
}

TEST(npz_open__reads_what_numpy_wrote)
{
    check_numpys_arrays("stored");
    check_numpys_arrays("deflated");
}

TEST(npz_load_strings__gives_utf8)
{
    static const char *const want[] = {"rose", "Zoë", "花", "", "\xf0\x9f\x8c\xb9x"};
    gf_npz *file = open_golden("stored");
    char **strings = NULL;
    size_t n;
    CHECK_OK(gf_npz_load_strings(file, "classes", &strings, &n, &check_err));
    CHECK_EQ(n, N_OF(want));
    for (size_t i = 0; i < n; i++)
        CHECK_STR(strings[i], want[i]);
    gf_strings_free(strings);
    CHECK_OK(gf_npz_load_strings(file, "big_text", &strings, &n, &check_err));
    CHECK_EQ(n, 2);
    CHECK_STR(strings[1], "é");
    gf_strings_free(strings);
    gf_npz_close(file);
}

TEST(npz_load_strings__refuses_what_is_no_text)
{
    gf_npz *file = open_golden("bad_text");
    char **strings = NULL;
    size_t n;
    CHECK_FAILS(GF_EFORMAT, "'surrogate': string 0, character 1: U+D800 is not text",
                gf_npz_load_strings(file, "surrogate", &strings, &n, &check_err));
    CHECK_FAILS(GF_EFORMAT, "string 0, character 0: U+110000",
                gf_npz_load_strings(file, "beyond", &strings, &n, &check_err));
    CHECK_FAILS(GF_EFORMAT, "string 1, character 0: U+0000",
                gf_npz_load_strings(file, "nul", &strings, &n, &check_err));
    CHECK(strings == NULL && n == 0);
    gf_npz_close(file);
}

TEST(npz_load__says_what_does_not_fit)
{
    gf_npz *file = open_golden("stored");
    gf_tensor *t = NULL;
    char **strings = NULL;
    size_t n;
    CHECK_FAILS(GF_ENOTFOUND, "stored.npz: no array 'x' in it; it holds features, labels, classes",
                gf_npz_load(file, "x", &t, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "stored.npz: 'classes': the array holds text",
                gf_npz_load(file, "classes", &t, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "'labels': the array holds int64 values, expected text",
                gf_npz_load_strings(file, "labels", &strings, &n, &check_err));
    CHECK_FAILS(GF_ESHAPE, "'text_2d': text of shape (1,2)",
                gf_npz_load_strings(file, "text_2d", &strings, &n, &check_err));
    CHECK(t == NULL && strings == NULL && n == 0);
    gf_npz_close(file);
    file = open_golden("none");
    CHECK_EQ(gf_npz_n_members(file), 0);
    CHECK_FAILS(GF_ENOTFOUND, "it holds nothing", gf_npz_load(file, "x", &t, &check_err));
    gf_npz_close(file);
}

TEST(npz_load__reads_zip64_and_skips_what_is_no_array)
{
    gf_npz *file = open_golden("zip64");
    check_floats(file, "x");
    gf_npz_close(file);
    file = open_golden("notes");
    gf_tensor *t = NULL;
    check_floats(file, "x");
    CHECK_FAILS(GF_EFORMAT, "'notes.txt': not a .npy array",
                gf_npz_load(file, "notes.txt", &t, &check_err));
    gf_npz_close(file);
}

TEST(npz_open__refuses_what_is_no_npz)
{
    gf_npz *file = NULL;
    CHECK_FAILS(GF_ENOTFOUND, "/missing.npz", gf_npz_open("/missing.npz", &file, &check_err));
    CHECK_FAILS(GF_EFORMAT, "it is empty", gf__npz_parse(NULL, 0, &file, &check_err));
    CHECK_FAILS(GF_EFORMAT, "u8_3d.npy: not a .npz file but a single .npy array",
                gf_npz_open(check_fixture("golden/tensor/u8_3d.npy"), &file, &check_err));
    CHECK_FAILS(GF_EFORMAT, "all.safetensors: not a usable zip file",
                gf_npz_open(check_fixture("golden/tensor/all.safetensors"), &file, &check_err));
    CHECK_FAILS(GF_EFORMAT, "two arrays are called 'x'",
                gf_npz_open(golden_npz("twice"), &file, &check_err));
    CHECK_FAILS(GF_EFORMAT, "not a usable zip file",
                gf_npz_open(golden_npz("crowd"), &file, &check_err));
    CHECK(file == NULL);
}

TEST(npz_load__refuses_bombs_and_foreign_methods)
{
    static const struct {
        gf_status status;
        const char *name, *part;
    } cases[] = {
        {GF_EFORMAT, "bomb",
         "'x': shape (3) with 1 bytes a value needs 3 bytes, 1048579 are there"},
        {GF_EFORMAT, "claims", "'x': 77 packed bytes claim to be 4294967040, which they cannot be"},
        {GF_EUNSUPPORTED, "bzip2", "'x': zip compression method 12"},
        {GF_EFORMAT, "stub", "'x': .npy header is empty"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gf_npz *file = open_golden(cases[i].name);
        gf_tensor *t = NULL;
        CHECK_FAILS(cases[i].status, cases[i].part, gf_npz_load(file, "x", &t, &check_err));
        CHECK(t == NULL);
        gf_npz_close(file);
    }
}

/* Reads everything there is; whatever comes back, it must not crash, and errors must say
 * something. */
static size_t read_all(const uint8_t *bytes, size_t n_bytes)
{
    gf_npz *file = NULL;
    size_t n_failed = 0;
    check_err.message[0] = '\0';
    if (gf__npz_parse(bytes, n_bytes, &file, &check_err) != GF_OK) {
        CHECK(file == NULL && check_err.message[0] != '\0');
        return 1;
    }
    for (size_t i = 0; i < gf_npz_n_members(file); i++) {
        const char *name = gf_npz_name_at(file, i);
        gf_tensor *t = NULL;
        char **strings = NULL;
        size_t n;
        if (gf_npz_load(file, name, &t, &check_err) != GF_OK &&
            gf_npz_load_strings(file, name, &strings, &n, &check_err) != GF_OK)
            n_failed++;
        gf_tensor_free(t);
        gf_strings_free(strings);
    }
    gf_npz_close(file);
    return n_failed;
}

TEST(npz_parse__refuses_a_file_cut_anywhere)
{
    static const char *const names[] = {"deflated", "zip64"};
    for (size_t k = 0; k < N_OF(names); k++) {
        char *bytes = NULL;
        size_t size;
        CHECK_OK(gf__read_file(golden_npz(names[k]), 1 << 20, &bytes, &size, &check_err));
        for (size_t n = 0; n < size; n++) {
            uint8_t *part = gf__malloc(n);
            CHECK(part != NULL);
            memcpy(part, bytes, n);
            CHECK(read_all(part, n) > 0);
            gf__free(part);
        }
        gf__free(bytes);
    }
}

TEST(npz_parse__survives_every_flipped_byte)
{
    static const char *const names[] = {"stored", "deflated"};
    for (size_t k = 0; k < N_OF(names); k++) {
        char *bytes = NULL;
        size_t size;
        CHECK_OK(gf__read_file(golden_npz(names[k]), 1 << 20, &bytes, &size, &check_err));
        const size_t n_failed_whole = read_all((uint8_t *)bytes, size);
        CHECK_EQ(n_failed_whole, 1); /* text_2d is no use to either call */
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (char)~bytes[i];
            read_all((uint8_t *)bytes, size);
            bytes[i] = (char)~bytes[i];
        }
        gf__free(bytes);
    }
}

TEST(npz_load__notices_a_flipped_value)
{
    char *bytes = NULL;
    size_t size;
    CHECK_OK(gf__read_file(golden_npz("stored"), 1 << 20, &bytes, &size, &check_err));
    static const uint8_t pixels[] = {0, 7, 14, 21};
    char *at = memmem(bytes, size, pixels, sizeof pixels);
    CHECK(at != NULL);
    at[1] = 8;
    gf_npz *file = NULL;
    gf_tensor *t = NULL;
    CHECK_OK(gf__npz_parse((uint8_t *)bytes, size, &file, &check_err));
    CHECK_FAILS(GF_EFORMAT, "'features': cannot unpack: CRC error",
                gf_npz_load(file, "features", &t, &check_err));
    CHECK(t == NULL);
    gf_npz_close(file);
    gf__free(bytes);
}

static void load_features(void *user, size_t i, int thread)
{
    gf_tensor *t = NULL;
    if (gf_npz_load(user, i % 2 == 0 ? "features" : "scaled", &t, NULL) != GF_OK)
        abort(); /* cmocka's checks work in one thread only */
    gf_tensor_free(t);
    (void)thread;
}

TEST(npz_load__may_be_called_by_several_threads)
{
    gf_npz *file = open_golden("deflated");
    gf__pool *pool = NULL;
    CHECK_OK(gf__pool_new(4, &pool, &check_err));
    gf__pool_run(pool, 200, load_features, file);
    gf__pool_free(pool);
    gf_npz_close(file);
}

TESTS_MAIN(UNIT(npz_open__reads_what_numpy_wrote), UNIT(npz_load_strings__gives_utf8),
           UNIT(npz_load_strings__refuses_what_is_no_text), UNIT(npz_load__says_what_does_not_fit),
           UNIT(npz_load__reads_zip64_and_skips_what_is_no_array),
           UNIT(npz_open__refuses_what_is_no_npz),
           UNIT(npz_load__refuses_bombs_and_foreign_methods),
           UNIT(npz_parse__refuses_a_file_cut_anywhere),
           UNIT(npz_parse__survives_every_flipped_byte), UNIT(npz_load__notices_a_flipped_value),
           UNIT(npz_load__may_be_called_by_several_threads))
