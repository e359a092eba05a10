/* test_safetensors.c: reading, refusing and writing safetensors. Files by the safetensors library:
 * tests/golden/make_tensor.py. */
#include <unistd.h>

#include "tensor_files.h"

static gf_safetensors *open_golden(const char *name)
{
    char relative[64];
    gf_safetensors *file = NULL;
    snprintf(relative, sizeof relative, "golden/tensor/%s.safetensors", name);
    CHECK_OK(gf_safetensors_open(check_fixture(relative), &file, &check_err));
    return file;
}

/* A header and n_data zero bytes, in a block of the exact size. *n_bytes is set. End with
 * gf__free(). */
static uint8_t *make_file(const char *header, size_t n_data, size_t *n_bytes)
{
    const uint64_t n_header = strlen(header);
    *n_bytes = 8 + (size_t)n_header + n_data;
    uint8_t *bytes = gf__calloc(1, *n_bytes);
    CHECK(bytes != NULL);
    memcpy(bytes, &n_header, 8);
    memcpy(bytes + 8, header, (size_t)n_header);
    return bytes;
}

static gf_status parse_header(const char *header, size_t n_data)
{
    size_t n_bytes;
    uint8_t *bytes = make_file(header, n_data, &n_bytes);
    gf_safetensors *file = NULL;
    const gf_status st = gf_safetensors_parse(bytes, n_bytes, &file, &check_err);
    CHECK((st == GF_OK) == (file != NULL));
    gf_safetensors_close(file);
    gf__free(bytes);
    return st;
}

TEST(safetensors_open__reads_what_the_library_wrote)
{
    gf_safetensors *file = open_golden("all");
    CHECK_EQ(gf_safetensors_n_tensors(file), 10);
    const gf_tensor *t = gf_safetensors_find(file, "f32_2d");
    CHECK(t != NULL);
    CHECK_EQ(gf_tensor_shape(t)[0], 3);
    for (size_t i = 0; i < 12; i++)
        CHECK(gf_tensor_f32(t)[i] == (float)i / 4 - 1);
    t = gf_safetensors_find(file, "u8_3d");
    for (size_t i = 0; i < 24; i++)
        CHECK_EQ(((const uint8_t *)gf_tensor_data(t))[i], i * 7 % 256);
    t = gf_safetensors_find(file, "i64_1d");
    CHECK(((const int64_t *)gf_tensor_data(t))[3] == INT64_MIN);
    CHECK_EQ(gf_tensor_dtype(gf_safetensors_find(file, "bool_1d")), GF_DTYPE_BOOL);
    CHECK_EQ(gf_tensor_dtype(gf_safetensors_find(file, "f16_1d")), GF_DTYPE_F16);
    CHECK_EQ(gf_tensor_n_values(gf_safetensors_find(file, "f32_empty")), 0);
    CHECK_EQ(gf_tensor_n_dims(gf_safetensors_find(file, "f32_0d")), 0);
    CHECK(gf_safetensors_find(file, "nothing") == NULL);
    gf_safetensors_close(file);
}

TEST(safetensors_open__lists_names_and_metadata)
{
    gf_safetensors *file = open_golden("all");
    for (size_t i = 0; i < gf_safetensors_n_tensors(file); i++)
        CHECK(gf_safetensors_find(file, gf_safetensors_name_at(file, i)) != NULL);
    CHECK(gf_safetensors_name_at(file, 10) == NULL);
    CHECK_STR(gf_safetensors_metadata(file, "graft"), "{\"a\":1}");
    CHECK_STR(gf_safetensors_metadata(file, "by"), "Zoë");
    CHECK(gf_safetensors_metadata(file, "nothing") == NULL);
    gf_safetensors_close(file);
    file = open_golden("misaligned");
    CHECK(gf_safetensors_metadata(file, "graft") == NULL);
    gf_safetensors_close(file);
}

TEST(safetensors_open__copies_values_that_lie_badly)
{
    gf_safetensors *file = open_golden("misaligned");
    const gf_tensor *t = gf_safetensors_find(file, "x");
    CHECK_EQ((uintptr_t)gf_tensor_data(t) % sizeof(float), 0);
    CHECK(gf_tensor_f32(t)[0] == 1.5f && gf_tensor_f32(t)[1] == -2.0f);
    gf_safetensors_close(file);
}

TEST(safetensors_parse__views_the_bytes)
{
    size_t n_bytes;
    uint8_t *bytes = make_file("{\"x\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3,
                               &n_bytes);
    gf_safetensors *file = NULL;
    CHECK_OK(gf_safetensors_parse(bytes, n_bytes, &file, &check_err));
    CHECK(gf_tensor_data(gf_safetensors_find(file, "x")) == bytes + n_bytes - 3);
    gf_safetensors_close(file);
    gf__free(bytes);
}

#define X(dtype, shape, offsets) \
    "{\"x\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define F32(name, from, to) \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[" from "," to "]}"
#define EMPTY(name, at) \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[" at "," at "]}"

TEST(safetensors_parse__takes_what_the_format_allows)
{
    static const char *const good[] = {
        "{}",
        "{ }   ",
        "{\"__metadata__\":{}}",
        "{" EMPTY("a", "0") "}",
    };
    for (size_t i = 0; i < N_OF(good); i++)
        CHECK_OK(parse_header(good[i], 0));
    CHECK_OK(parse_header("{" F32("b", "4", "8") "," F32("a", "0", "4") "}", 8));
    CHECK_OK(parse_header("{" F32("z", "0", "4") "," EMPTY("b", "4") "," EMPTY("a", "4") "," EMPTY(
                              "c", "0") "," F32("d", "4", "8") "}",
                          8));
    CHECK_OK(parse_header(X("F32", "[1,1,1,1,1,1,1,2]", "[0,8]"), 8));
    CHECK_OK(parse_header(X("BF16", "[]", "[0,2]"), 2));
}

TEST(safetensors_parse__refuses_every_abuse_of_the_header)
{
    static const struct {
        gf_status status;
        const char *header, *part;
    } cases[] = {
        {GF_EFORMAT, "", "does not begin with '{'"},
        {GF_EFORMAT, " {}", "does not begin with '{'"},
        {GF_EFORMAT, "[]", "does not begin with '{'"},
        {GF_EFORMAT, "{", "safetensors header: JSON, line 1"},
        {GF_EFORMAT, "{}x", "safetensors header: JSON"},
        {GF_EFORMAT, "{\"a\":1}", "tensor 'a': expected an object"},
        {GF_EFORMAT, "{\"x\":{}}", "tensor 'x': dtype"},
        {GF_EFORMAT, "{\"x\":{\"dtype\":1}}", "tensor 'x': dtype"},
        {GF_EFORMAT, "{\"x\":{\"dtype\":\"F32\"}}", "tensor 'x': shape"},
        {GF_EFORMAT, "{\"x\":{\"dtype\":\"F32\",\"shape\":[2]}}", "tensor 'x': data_offsets"},
        {GF_EUNSUPPORTED, X("F8_E4M3", "[8]", "[0,8]"), "dtype F8_E4M3 is not supported"},
        {GF_EFORMAT, X("F32", "2", "[0,8]"), "shape"},
        {GF_EFORMAT, X("F32", "[2.0]", "[0,8]"), "shape: item 0 is not an integer"},
        {GF_EFORMAT, X("F32", "[-2]", "[0,8]"), "shape: item 0"},
        {GF_EFORMAT, X("F32", "[1,\"2\"]", "[0,8]"), "shape: item 1"},
        {GF_EFORMAT, X("F32", "[99999999999999999999]", "[0,8]"), "JSON"},
        {GF_EUNSUPPORTED, X("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), "shape: 9 numbers"},
        {GF_EFORMAT, X("F32", "[4611686018427387904,2]", "[0,8]"), "does not fit into memory"},
        {GF_EFORMAT, X("F32", "[0,4611686018427387904,2]", "[0,0]"), "does not fit into memory"},
        {GF_EFORMAT, X("F32", "[2]", "[0]"), "data_offsets: 1 numbers, expected 2"},
        {GF_EUNSUPPORTED, X("F32", "[2]", "[0,8,8]"), "data_offsets: 3 numbers"},
        {GF_EFORMAT, X("F32", "[2]", "[8,0]"), "bytes 8 to 0"},
        {GF_EFORMAT, X("F32", "[2]", "[0,9]"), "bytes 0 to 9, the file has 8"},
        {GF_EFORMAT, X("F32", "[2]", "[4,9223372036854775807]"), "the file has 8"},
        {GF_EFORMAT, X("F32", "[3]", "[0,8]"), "float32 (3) needs 12 bytes, data_offsets give 8"},
        {GF_EFORMAT, X("F32", "[1]", "[0,4]"), "4 bytes at the end belong to no tensor"},
        {GF_EFORMAT, X("F32", "[1]", "[4,8]"), "'x' begins at byte 4, the one before it ends at 0"},
        {GF_EFORMAT, "{" F32("a", "0", "4") "," F32("b", "0", "4") "}", "'b' begins at byte 0"},
        {GF_EFORMAT, "{" EMPTY("a", "2") "," F32("b", "0", "4") "," F32("c", "4", "8") "}",
         "'a' begins at byte 2"},
        {GF_EFORMAT, "{" F32("a", "0", "4") "," F32("a", "4", "8") "}", "duplicate"},
        {GF_EFORMAT, "{\"__metadata__\":[]}", "__metadata__ is not an object"},
        {GF_EFORMAT, "{\"__metadata__\":{\"k\":1}}", "'k' is not a string"},
        {GF_EFORMAT, "{\"\xff\":1}", "JSON"},
    };
    for (size_t i = 0; i < N_OF(cases); i++)
        CHECK_FAILS(cases[i].status, cases[i].part, parse_header(cases[i].header, 8));
}

TEST(safetensors_parse__refuses_lengths_beyond_the_file)
{
    gf_safetensors *file = NULL;
    static const uint8_t limit[10] = {0x00, 0xe1, 0xf5, 0x05}, over[10] = {0x01, 0xe1, 0xf5, 0x05};
    static const uint8_t huge[10] = {255, 255, 255, 255, 255, 255, 255, 255};
    CHECK_FAILS(GF_EFORMAT, "0 bytes", gf_safetensors_parse(NULL, 0, &file, &check_err));
    CHECK_FAILS(GF_EFORMAT, "header of 100000000 bytes, 2 are there",
                gf_safetensors_parse(limit, 10, &file, &check_err));
    CHECK_FAILS(GF_EFORMAT, "at most 100000000", gf_safetensors_parse(over, 10, &file, &check_err));
    CHECK_FAILS(GF_EFORMAT, "at most 100000000", gf_safetensors_parse(huge, 10, &file, &check_err));
    CHECK(file == NULL);
}

TEST(safetensors_parse__refuses_a_file_cut_anywhere)
{
    char *bytes = NULL;
    size_t size;
    CHECK_OK(gf__read_file(check_fixture("golden/tensor/all.safetensors"), 1 << 20, &bytes, &size,
                           &check_err));
    for (size_t n = 0; n < size; n++) {
        uint8_t *part = gf__malloc(n);
        gf_safetensors *file = NULL;
        CHECK(part != NULL);
        memcpy(part, bytes, n);
        CHECK_FAILS(GF_EFORMAT, "", gf_safetensors_parse(part, n, &file, &check_err));
        CHECK(check_err.message[0] != '\0' && file == NULL);
        gf__free(part);
    }
    gf__free(bytes);
}

TEST(safetensors_parse__is_quick_with_many_tensors)
{
    enum { N = 200000 };
    gf__buffer header = {0};
    for (size_t i = 0; i < N; i++)
        gf__buffer_printf(&header,
                          "%s\"t%zu\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%zu,%zu]}",
                          i == 0 ? "{" : ",", i, i, i + 1);
    gf__buffer_puts(&header, "}");
    CHECK_OK(parse_header(header.data, N)); /* the test's time limit is the check */
    gf__buffer_free(&header);
}

TEST(safetensors_open__names_the_file)
{
    gf_safetensors *file = NULL;
    CHECK_FAILS(GF_ENOTFOUND, "/missing.safetensors",
                gf_safetensors_open("/missing.safetensors", &file, &check_err));
    CHECK_FAILS(GF_EFORMAT, "u8_3d.npy: not a safetensors file",
                gf_safetensors_open(check_fixture("golden/tensor/u8_3d.npy"), &file, &check_err));
    CHECK(file == NULL);
}

typedef struct scratch {
    char *dir, *path;
    gf_tensor *matrix, *byte, *nothing;
} scratch;

static scratch make_scratch(void)
{
    scratch s = {.dir = check_temp_dir()};
    const size_t shape[] = {2, 3}, empty[] = {4, 0};
    s.path = gf__path_join(s.dir, "x.safetensors");
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, shape, 2, &s.matrix, &check_err));
    CHECK_OK(gf_tensor_new(GF_DTYPE_U8, NULL, 0, &s.byte, &check_err));
    CHECK_OK(gf_tensor_new(GF_DTYPE_BF16, empty, 2, &s.nothing, &check_err));
    float *values = gf_tensor_mutable_data(s.matrix);
    for (size_t i = 0; i < 6; i++)
        values[i] = (float)i + 0.5f;
    *(uint8_t *)gf_tensor_mutable_data(s.byte) = 77;
    return s;
}

/* Fails if anything but the saved file is left in the folder. */
static void end_scratch(scratch *s)
{
    unlink(s->path);
    CHECK_EQ(rmdir(s->dir), 0);
    gf_tensor_free(s->matrix);
    gf_tensor_free(s->byte);
    gf_tensor_free(s->nothing);
    gf__free(s->path);
    free(s->dir);
}

TEST(safetensors_save__comes_back_in_order_and_aligned)
{
    scratch s = make_scratch();
    const gf_named_tensor tensors[] = {{"z/byte", s.byte}, {"a \"q\"", s.matrix}, {"é", s.nothing}};
    const gf_metadata metadata[] = {{"graft", "{\"n\":1}\n"}, {"k", ""}};
    gf_safetensors *file = NULL;
    CHECK_OK(gf_safetensors_save(s.path, tensors, 3, metadata, 2, &check_err));
    CHECK_OK(gf_safetensors_open(s.path, &file, &check_err));
    CHECK_EQ(gf_safetensors_n_tensors(file), 3);
    CHECK_STR(gf_safetensors_name_at(file, 0), "z/byte");
    CHECK_STR(gf_safetensors_name_at(file, 1), "a \"q\"");
    CHECK_STR(gf_safetensors_metadata(file, "graft"), "{\"n\":1}\n");
    CHECK_STR(gf_safetensors_metadata(file, "k"), "");
    CHECK_EQ((uintptr_t)gf_tensor_data(gf_safetensors_find(file, "z/byte")) % 64, 0);
    CHECK_EQ(*(const uint8_t *)gf_tensor_data(gf_safetensors_find(file, "z/byte")), 77);
    CHECK(gf_tensor_f32(gf_safetensors_find(file, "a \"q\""))[5] == 5.5f);
    CHECK_EQ(gf_tensor_dtype(gf_safetensors_find(file, "é")), GF_DTYPE_BF16);
    gf_safetensors_close(file);
    end_scratch(&s);
}

TEST(safetensors_save__takes_no_tensors)
{
    scratch s = make_scratch();
    gf_safetensors *file = NULL;
    CHECK_OK(gf_safetensors_save(s.path, NULL, 0, NULL, 0, &check_err));
    CHECK_OK(gf_safetensors_open(s.path, &file, &check_err));
    CHECK_EQ(gf_safetensors_n_tensors(file), 0);
    gf_safetensors_close(file);
    end_scratch(&s);
}

TEST(safetensors_save__refuses_names_that_cannot_be_read_back)
{
    scratch s = make_scratch();
    const gf_named_tensor twice[] = {{"a", s.byte}, {"a", s.matrix}};
    const gf_named_tensor reserved[] = {{"__metadata__", s.byte}};
    const gf_named_tensor broken[] = {{"\xfe", s.byte}, {"\xff", s.matrix}};
    const gf_metadata keys[] = {{"k", "1"}, {"k", "2"}};
    CHECK_FAILS(GF_EINVAL, "x.safetensors: two tensors are called 'a'",
                gf_safetensors_save(s.path, twice, 2, NULL, 0, &check_err));
    CHECK_FAILS(GF_EINVAL, "cannot be called __metadata__",
                gf_safetensors_save(s.path, reserved, 1, NULL, 0, &check_err));
    CHECK_FAILS(GF_EINVAL, "not UTF-8",
                gf_safetensors_save(s.path, broken, 2, NULL, 0, &check_err));
    CHECK_FAILS(GF_EINVAL, "metadata key 'k' twice",
                gf_safetensors_save(s.path, twice, 1, keys, 2, &check_err));
    CHECK(!gf__is_file(s.path));
    end_scratch(&s);
}

TEST(safetensors__survives_every_allocation_failure)
{
    scratch s = make_scratch();
    const gf_named_tensor tensors[] = {{"a", s.byte}, {"b", s.matrix}};
    const gf_metadata metadata[] = {{"k", "v"}};
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_safetensors_save(s.path, tensors, 2, metadata, 1, &check_err);
        gf__mem_fail_never();
    }
    CHECK_EQ(st, GF_OK);
    static const char *const names[] = {"all", "misaligned"};
    for (size_t i = 0; i < N_OF(names); i++) {
        char relative[64];
        snprintf(relative, sizeof relative, "golden/tensor/%s.safetensors", names[i]);
        gf_safetensors *file = NULL;
        st = GF_ENOMEM;
        for (size_t n = 0; st == GF_ENOMEM; n++) {
            gf__mem_fail_after(n);
            st = gf_safetensors_open(check_fixture(relative), &file, &check_err);
            gf__mem_fail_never();
            CHECK(st == GF_OK || (st == GF_ENOMEM && file == NULL));
        }
        CHECK_EQ(st, GF_OK);
        gf_safetensors_close(file);
    }
    end_scratch(&s);
}

TESTS_MAIN(UNIT(safetensors_open__reads_what_the_library_wrote),
           UNIT(safetensors_open__lists_names_and_metadata),
           UNIT(safetensors_open__copies_values_that_lie_badly),
           UNIT(safetensors_parse__views_the_bytes),
           UNIT(safetensors_parse__takes_what_the_format_allows),
           UNIT(safetensors_parse__refuses_every_abuse_of_the_header),
           UNIT(safetensors_parse__refuses_lengths_beyond_the_file),
           UNIT(safetensors_parse__refuses_a_file_cut_anywhere),
           UNIT(safetensors_parse__is_quick_with_many_tensors),
           UNIT(safetensors_open__names_the_file),
           UNIT(safetensors_save__comes_back_in_order_and_aligned),
           UNIT(safetensors_save__takes_no_tensors),
           UNIT(safetensors_save__refuses_names_that_cannot_be_read_back),
           UNIT(safetensors__survives_every_allocation_failure))
