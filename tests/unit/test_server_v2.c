/* test_server_v2.c: tensors of the Open Inference Protocol into instances: JSON flat and nested, bytes
 * behind the JSON, the body as one picture; and sizes that do not agree. */
#include "two_models.h"

#include "server/kserve_v2_priv.h"

#define MAX_INSTANCES 4

/* A request being read; end with end_asked(). */
typedef struct question {
    char *body;
    gf__v2_request request;
} question;

/* JSON, and n_tail bytes behind it; header: "auto" is the length of the JSON. */
static gf_status parse(const gf_model *model, const char *header, const char *json,
                       const void *tail, size_t n_tail, question *out)
{
    char length[24];
    const size_t n_json = strlen(json);
    snprintf(length, sizeof length, "%zu", n_json);
    out->body = gf__malloc(n_json + n_tail + 1);
    memcpy(out->body, json, n_json);
    if (n_tail > 0)
        memcpy(out->body + n_json, tail, n_tail);
    out->body[n_json + n_tail] = '\0';
    if (header != NULL && strcmp(header, "auto") == 0)
        header = length;
    return gf__v2_request_parse(model, MAX_INSTANCES, header, out->body, n_json + n_tail,
                                &out->request, &check_err);
}

static void end_asked(question *one)
{
    gf__v2_request_free(&one->request);
    gf__free(one->body);
}

static void refuse(const gf_model *model, const char *header, gf_status want, const char *part,
                   const char *json, const void *tail, size_t n_tail)
{
    question one = {0};
    CHECK_FAILS(want, part, parse(model, header, json, tail, n_tail, &one));
    CHECK_EQ(one.request.n_instances, 0);
    gf__free(one.body);
}

static void check_instance(const question *one, size_t i, gf__run_kind kind, const void *bytes,
                           size_t n_bytes)
{
    CHECK(i < one->request.n_instances);
    const gf__instance *instance = &one->request.instances[i];
    CHECK_EQ(instance->kind, kind);
    CHECK_EQ(instance->n_bytes, n_bytes);
    CHECK(memcmp(instance->bytes, bytes, n_bytes) == 0);
}

#define INPUT(rest) "{\"inputs\":[{\"name\":\"inputs\"," rest "}]}"

TEST(v2__takes_base64_pictures_flat_and_nested)
{
    models all = open_models();
    question one;
    CHECK_OK(parse(all.pictures, NULL,
                   INPUT("\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"AAEC\",\"__79\"]"), "",
                   0, &one));
    CHECK_EQ(one.request.n_instances, 2);
    check_instance(&one, 0, GF__RUN_PICTURE, "\0\1\2", 3);
    check_instance(&one, 1, GF__RUN_PICTURE, "\xff\xfe\xfd", 3);
    assert_null(one.request.id);
    end_asked(&one);
    CHECK_OK(parse(all.pictures, NULL,
                   INPUT("\"datatype\":\"BYTES\",\"shape\":[2,1],\"data\":[[\"AAEC\"],[\"//79\"]]"),
                   "", 0, &one));
    check_instance(&one, 1, GF__RUN_PICTURE, "\xff\xfe\xfd", 3);
    end_asked(&one);
    close_models(&all);
}

TEST(v2__takes_pictures_behind_the_json)
{
    models all = open_models();
    question one;
    CHECK_OK(parse(all.pictures, "auto",
                   INPUT("\"datatype\":\"BYTES\",\"shape\":[2],"
                         "\"parameters\":{\"binary_data_size\":12}"),
                   "\3\0\0\0abc\1\0\0\0d", 12, &one));
    CHECK_EQ(one.request.n_instances, 2);
    check_instance(&one, 0, GF__RUN_PICTURE, "abc", 3);
    check_instance(&one, 1, GF__RUN_PICTURE, "d", 1);
    end_asked(&one);
    close_models(&all);
}

TEST(v2__takes_the_body_as_one_picture)
{
    models all = open_models();
    question one;
    CHECK_OK(parse(all.pictures, "0", "", "\xff\xd8\xff\xe0picture", 11, &one));
    CHECK_EQ(one.request.n_instances, 1);
    check_instance(&one, 0, GF__RUN_PICTURE, "\xff\xd8\xff\xe0picture", 11);
    CHECK(one.request.is_binary);
    end_asked(&one);
    refuse(all.pictures, "0", GF_EINVAL, "an empty body", "", "", 0);
    /* Of a table, as one row. */
    refuse(all.table, "0", GF_ESHAPE, "one row of 2 FP32 numbers has 8", "", "abc", 3);
    close_models(&all);
}

TEST(v2__takes_pixels_and_rows_in_json_and_in_bytes)
{
    static const float row[4] = {1, -2.5f, 3, 4};
    static const uint8_t pixels[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255};
    models all = open_models();
    question one;
    CHECK_OK(parse(all.table, NULL,
                   INPUT("\"datatype\":\"FP32\",\"shape\":[2,2],\"data\":[1,-2.5,3,4]"), "", 0,
                   &one));
    check_instance(&one, 0, GF__RUN_NUMBERS, row, 8);
    check_instance(&one, 1, GF__RUN_NUMBERS, row + 2, 8);
    end_asked(&one);
    CHECK_OK(parse(all.table, "auto",
                   INPUT("\"datatype\":\"FP32\",\"shape\":[2,2],"
                         "\"parameters\":{\"binary_data_size\":16}"),
                   row, sizeof row, &one));
    check_instance(&one, 1, GF__RUN_NUMBERS, row + 2, 8);
    end_asked(&one);
    CHECK_OK(parse(all.pictures, "auto",
                   INPUT("\"datatype\":\"UINT8\",\"shape\":[1,2,2,3],"
                         "\"parameters\":{\"binary_data_size\":12}"),
                   pixels, sizeof pixels, &one));
    check_instance(&one, 0, GF__RUN_PIXELS, pixels, 12);
    CHECK_EQ(one.request.instances[0].height, 2);
    end_asked(&one);
    CHECK_OK(parse(all.pictures, NULL,
                   INPUT("\"datatype\":\"FP32\",\"shape\":[1,1,2,3],"
                         "\"data\":[[[[1,-1,0.5],[0,0,0]]]]"),
                   "", 0, &one));
    CHECK_EQ(one.request.instances[0].kind, GF__RUN_SCALED);
    end_asked(&one);
    close_models(&all);
}

TEST(v2__reads_what_is_asked_for_the_answer)
{
    char id[601] = {0};
    memset(id, 'i', sizeof id - 1);
    char *json = gf__asprintf(
        "{\"id\":\"%s\",\"parameters\":{\"binary_data_output\":true},\"inputs\":[{\"name\":\"x\","
        "\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"AAAA\"]}],\"outputs\":[{\"name\":"
        "\"outputs\",\"parameters\":{\"classification\":3}}]}",
        id);
    models all = open_models();
    question one;
    CHECK_OK(parse(all.pictures, NULL, json, "", 0, &one));
    CHECK_STR(one.request.id, id); /* also such that was cut out */
    CHECK(one.request.is_binary);
    CHECK_EQ(one.request.n_classes, 3);
    end_asked(&one);
    gf__free(json);
    close_models(&all);
}

TEST(v2__refuses_sizes_that_do_not_agree)
{
    static const struct {
        gf_status status;
        const char *part, *json;
        size_t n_tail; /* of "\x10\x27", all zero behind */
    } wrong[] = {
        {GF_EINVAL, "expected a list of one tensor", "{\"inputs\":[]}", 0},
        {GF_EINVAL, "shape", INPUT("\"datatype\":\"BYTES\",\"data\":[]"), 0},
        {GF_ESHAPE, "shape[0]", INPUT("\"datatype\":\"FP32\",\"shape\":[-1,2],\"data\":[1]"), 0},
        {GF_ESHAPE, "more values than",
         INPUT("\"datatype\":\"UINT8\",\"shape\":[4294967296,4294967296,4294967296,3],\"data\":[]"),
         0},
        {GF_EUNSUPPORTED, "datatype \"FP8\"",
         INPUT("\"datatype\":\"FP8\",\"shape\":[1],\"data\":[1]"), 0},
        {GF_EINVAL, "neither", INPUT("\"datatype\":\"FP32\",\"shape\":[1]"), 0},
        {GF_EINVAL, "both",
         INPUT("\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1],"
               "\"parameters\":{\"binary_data_size\":4}"),
         4},
        {GF_EINVAL, "8 bytes are left",
         INPUT("\"datatype\":\"FP32\",\"shape\":[1,3],\"parameters\":{\"binary_data_size\":12}"),
         8},
        {GF_ESHAPE, "binary_data_size is 8",
         INPUT("\"datatype\":\"FP32\",\"shape\":[1,3],\"parameters\":{\"binary_data_size\":8}"), 8},
        {GF_EINVAL, "belong to no tensor",
         INPUT("\"datatype\":\"FP32\",\"shape\":[1,2],\"parameters\":{\"binary_data_size\":8}"), 9},
        {GF_ESHAPE, "element 0 says it has 10000 bytes",
         INPUT("\"datatype\":\"BYTES\",\"shape\":[1],\"parameters\":{\"binary_data_size\":8}"), 8},
        {GF_ESHAPE, "end at element 0",
         INPUT("\"datatype\":\"BYTES\",\"shape\":[1],\"parameters\":{\"binary_data_size\":3}"), 3},
        {GF_ELIMIT, "5 instances, at most 4",
         INPUT("\"datatype\":\"BYTES\",\"shape\":[5],\"data\":[\"AAAA\"]"), 0},
        {GF_ESHAPE, "data has 1 strings",
         INPUT("\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"AAAA\"]"), 0},
        {GF_ESHAPE, "more strings",
         INPUT("\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"AAAA\",\"AAAA\"]"), 0},
        {GF_ESHAPE, "data has 2 values",
         INPUT("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2]"), 0},
        {GF_EFORMAT, "data[0]: base64: byte 1",
         INPUT("\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"A*AA\"]"), 0},
        {GF_EINVAL, "outputs",
         "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]}],"
         "\"outputs\":[{\"name\":\"y\"}]}",
         0},
    };
    static const char tail[16] = "\x10\x27";
    models all = open_models();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refuse(all.pictures, wrong[i].n_tail > 0 ? "auto" : NULL, wrong[i].status, wrong[i].part,
               wrong[i].json, tail, wrong[i].n_tail);
    refuse(all.pictures, "99999", GF_EINVAL, "Inference-Header-Content-Length", "{}", "", 0);
    refuse(all.pictures, "-1", GF_EINVAL, "Inference-Header-Content-Length", "{}", "", 0);
    refuse(all.pictures, "99999999999999999999999", GF_EINVAL, "Inference-Header-Content-Length",
           "{}", "", 0);
    close_models(&all);
}

/* Microseconds, never rounded down to none. */
TEST(v2__reads_how_long_the_answer_is_waited_for)
{
    static const struct {
        const char *text;
        int want_ms;
    } cases[] = {{"0", 0}, {"1", 1}, {"1000", 1}, {"1001", 2}, {"9223372036854775807", INT32_MAX}};
    models all = open_models();
    char json[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        question one;
        snprintf(json, sizeof json,
                 "{\"parameters\":{\"timeout\":%s},\"inputs\":[{\"name\":\"inputs\",\"datatype\":"
                 "\"BYTES\",\"shape\":[1],\"data\":[\"AAEC\"]}]}",
                 cases[i].text);
        CHECK_OK(parse(all.pictures, NULL, json, "", 0, &one));
        CHECK_EQ(one.request.timeout_ms, cases[i].want_ms);
        end_asked(&one);
    }
    refuse(all.pictures, NULL, GF_EINVAL, "timeout: expected a number of microseconds",
           "{\"parameters\":{\"timeout\":-1},\"inputs\":[]}", "", 0);
    refuse(all.pictures, NULL, GF_EINVAL, "timeout: expected a number of microseconds",
           "{\"parameters\":{\"timeout\":\"5\"},\"inputs\":[]}", "", 0);
    close_models(&all);
}

TESTS_MAIN(UNIT(v2__takes_base64_pictures_flat_and_nested),
           UNIT(v2__takes_pictures_behind_the_json), UNIT(v2__takes_the_body_as_one_picture),
           UNIT(v2__takes_pixels_and_rows_in_json_and_in_bytes),
           UNIT(v2__reads_what_is_asked_for_the_answer),
           UNIT(v2__reads_how_long_the_answer_is_waited_for),
           UNIT(v2__refuses_sizes_that_do_not_agree))
