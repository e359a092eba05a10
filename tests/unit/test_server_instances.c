/* test_server_instances.c: every spelling of an instance gives the same bytes, and what cannot be one
 * is refused by its number and reason. */
#include "two_models.h"

#include "server/instances_priv.h"

static gf_server server = {.options = {.max_instances = 4}};

/* A body being asked; end with end_asked(). */
typedef struct question {
    char *body;
    gf__asked asked;
} question;

static question ask(const gf_model *model, const char *body)
{
    question result = {.body = gf__strdup(body)};
    CHECK_OK(gf__asked_parse(&server, model, result.body, strlen(body), &result.asked, &check_err));
    return result;
}

static void end_asked(question *one)
{
    gf__asked_free(&one->asked);
    gf__free(one->body);
}

static void refuse(const gf_model *model, gf_status want, const char *part, const char *body)
{
    gf__asked asked;
    char *copy = gf__strdup(body);
    CHECK_FAILS(want, part,
                gf__asked_parse(&server, model, copy, strlen(copy), &asked, &check_err));
    assert_null(asked.memory);
    gf__free(copy);
}

static void check_picture(const gf__instance *instance, const void *bytes, size_t n_bytes)
{
    CHECK_EQ(instance->kind, GF__RUN_PICTURE);
    CHECK_EQ(instance->n_bytes, n_bytes);
    CHECK(memcmp(instance->bytes, bytes, n_bytes) == 0);
}

/* Bytes whose base64 has both letters in which the alphabets differ, n of them. New. */
static uint8_t *make_bytes(size_t n)
{
    uint8_t *bytes = malloc(n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = i % 3 == 0 ? 0xfb : i % 3 == 1 ? 0xff : (uint8_t)(i * 7);
    return bytes;
}

static char *base64(const uint8_t *bytes, size_t n, bool is_url_safe, bool is_padded)
{
    gf__buffer text = {0};
    gf__buffer_base64(&text, bytes, n);
    char *result = gf__buffer_take(&text, NULL);
    for (char *at = result; *at != '\0'; at++) {
        if (is_url_safe && *at == '+')
            *at = '-';
        if (is_url_safe && *at == '/')
            *at = '_';
        if (!is_padded && *at == '=')
            *at = '\0';
    }
    return result;
}

TEST(asked__takes_base64_in_every_spelling_and_length)
{
    static const char *const forms[] = {
        "{\"instances\":[\"%s\"]}",
        "{\"instances\":[{\"b64\":\"%s\"}]}",
        "{\"instances\":[{\"inputs\":\"%s\"}]}",
        "{\"instances\":[{\"bytes_inputs\":{\"b64\":\"%s\"}}]}",
        "{\"instances\":[{\"image_bytes\":{\"b64\":\"%s\"},\"key\":\"0\"}]}",
        "{\"instances\":[\"data:image/jpeg;base64,%s\"]}",
        "{\"signature_name\":\"x\",\"inputs\":[{\"b64\":\"%s\"}]}",
        "{\"inputs\":{\"b64\":\"%s\"}}",
        "{\"inputs\":\"%s\"}",
        "{\"inputs\":{\"x\":[\"%s\"]}}",
        "{\"inputs\":{\"x\":{\"b64\":\"%s\"}}}",
        "{\"inputs\":{\"x\":\"%s\",\"key\":[1]}}",
    };
    models all = open_models();
    for (size_t n = 1; n < 1000; n += n < 8 ? 1 : 331) {
        uint8_t *bytes = make_bytes(n);
        for (unsigned how = 0; how < 4; how++) {
            char *text = base64(bytes, n, (how & 1) != 0, (how & 2) != 0);
            for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
                const char *hole = strstr(forms[f], "%s");
                char *body = gf__asprintf("%.*s%s%s", (int)(hole - forms[f]), forms[f], text,
                                          hole + 2);
                question one = ask(all.pictures, body);
                CHECK_EQ(one.asked.n_instances, 1);
                check_picture(&one.asked.instances[0], bytes, n);
                end_asked(&one);
                gf__free(body);
            }
            gf__free(text);
        }
        free(bytes);
    }
    close_models(&all);
}

TEST(asked__takes_escaped_slashes_and_line_breaks)
{
    models all = open_models();
    question one = ask(all.pictures, "{\"instances\":[\"\\/\\/79\\n\\/P8=\\r\\n\"]}");
    check_picture(&one.asked.instances[0], "\xff\xfe\xfd\xfc\xff", 5);
    end_asked(&one);
    close_models(&all);
}

TEST(asked__gives_keys_and_the_rest_of_the_body_back)
{
    models all = open_models();
    question one = ask(all.pictures, "{\"instances\":[{\"x\":\"AAAA\",\"key\":\"a\"},\"BBBB\","
                                     "{\"x\":{\"b64\":\"CCCC\"},\"key\":7}],"
                                     "\"signature_name\":\"s\",\"parameters\":{\"k\":3}}");
    CHECK_EQ(one.asked.n_instances, 3);
    CHECK_STR(gf__json_string(one.asked.keys[0], ""), "a");
    assert_null(one.asked.keys[1]);
    CHECK_EQ(gf__json_int(one.asked.keys[2], 0), 7);
    CHECK_STR(one.asked.signature_name, "s");
    CHECK_EQ(gf__json_n_items(one.asked.rest), 1);
    CHECK_EQ(gf__json_int(gf__json_find(gf__json_find(one.asked.rest, "parameters"), "k"), 0), 3);
    CHECK(!one.asked.is_column_form);
    end_asked(&one);
    close_models(&all);
}

TEST(asked__gives_long_keys_back_as_they_came)
{
    char long_key[600] = {0};
    memset(long_key, 'k', sizeof long_key - 1);
    models all = open_models();
    char *body = gf__asprintf("{\"instances\":[{\"x\":\"AAAA\",\"key\":\"%s\"}],\"p\":[\"%s\"],"
                              "\"signature_name\":\"%s\"}",
                              long_key, long_key, long_key);
    question one = ask(all.pictures, body);
    CHECK_STR(gf__json_string(one.asked.keys[0], ""), long_key);
    CHECK_STR(gf__json_string(gf__json_at(gf__json_find(one.asked.rest, "p"), 0), ""), long_key);
    CHECK_STR(one.asked.signature_name, long_key);
    end_asked(&one);
    gf__free(body);
    close_models(&all);
}

/* {"instances":[...]} of one (side, side, 3) picture; value(i) is printed by the format. New. */
static char *picture_body(size_t side, const char *format, double first, double step)
{
    gf__buffer text = {0};
    gf__buffer_puts(&text, "{\"instances\":[[");
    for (size_t i = 0; i < side * side * 3; i++) {
        if (i % 3 == 0)
            gf__buffer_puts(&text, i == 0 ? "[[" : i % (3 * side) == 0 ? "]],[[" : "],[");
        char number[40];
        snprintf(number, sizeof number, strcmp(format, "%d") == 0 ? "%.0f" : "%.7f",
                 first + step * (double)(i % 256));
        gf__buffer_printf(&text, "%s%s", i % 3 > 0 ? "," : "", number);
    }
    gf__buffer_puts(&text, "]]]]}");
    return gf__buffer_take(&text, NULL);
}

static void check_kind(const gf_model *model, size_t side, const char *format, double first,
                       double step, gf__run_kind kind)
{
    char *body = picture_body(side, format, first, step);
    question one = ask(model, body);
    const gf__instance *instance = &one.asked.instances[0];
    CHECK_EQ(one.asked.n_instances, 1);
    CHECK_EQ(instance->kind, kind);
    CHECK_EQ(instance->height, side);
    CHECK_EQ(instance->width, side);
    const size_t n = side * side * 3;
    CHECK_EQ(instance->n_bytes, kind == GF__RUN_PIXELS ? n : n * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        const double want = first + step * (double)(i % 256);
        float value = 0;
        if (kind == GF__RUN_PIXELS)
            value = ((const uint8_t *)instance->bytes)[i];
        else
            memcpy(&value, (const char *)instance->bytes + i * sizeof value, sizeof value);
        CHECK_NEAR(value, want, kind == GF__RUN_PIXELS ? 0.5 : 1e-6);
    }
    end_asked(&one);
    gf__free(body);
}

TEST(asked__tells_bytes_from_scaled_pictures)
{
    models all = open_models();
    for (size_t side = 2; side < 30; side += 13) { /* short arrays, and such as are cut out */
        check_kind(all.pictures, side, "%d", 0, 1, GF__RUN_PIXELS);
        check_kind(all.pictures, side, "%d", 0, 0, GF__RUN_PIXELS); /* black, not grey */
        check_kind(all.pictures, side, "%f", 0, 0, GF__RUN_SCALED);
        check_kind(all.pictures, side, "%f", -1, 1.0 / 128, GF__RUN_SCALED);
        check_kind(all.pictures, side, "%d", -1, 0, GF__RUN_SCALED);
        check_kind(all.pictures, side, "%f", 0.25, 0.99, GF__RUN_PIXELS);
    }
    char *body = picture_body(2, "%d", -3, 1);
    refuse(all.pictures, GF_EFORMAT, "instances[0]: values from -3 to 8", body);
    gf__free(body);
    body = picture_body(20, "%d", 3, 1);
    refuse(all.pictures, GF_EFORMAT, "instances[0]: values from 3 to 258", body);
    gf__free(body);
    close_models(&all);
}

static void check_row(const gf__instance *instance, float a, float b)
{
    float values[2];
    CHECK_EQ(instance->kind, GF__RUN_NUMBERS);
    CHECK_EQ(instance->n_bytes, sizeof values);
    memcpy(values, instance->bytes, sizeof values);
    CHECK(values[0] == a && values[1] == b);
}

TEST(asked__takes_rows_of_a_table_by_place_and_by_name)
{
    static const char *const bodies[] = {
        "{\"instances\":[[5.5,3],[1e0,-2]]}",
        "{\"instances\":[{\"width\":3,\"length\":5.5},{\"length\":[1],\"width\":-2}]}",
        "{\"instances\":[{\"x\":[5.5,3]},{\"features\":[1,-2],\"key\":1}]}",
        "{\"inputs\":{\"length\":[5.5,1],\"width\":[3,-2]}}",
        "{\"inputs\":{\"x\":[[5.5,3],[1,-2]]}}",
        "{\"inputs\":[[5.5,3],[1,-2]]}",
    };
    models all = open_models();
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        question one = ask(all.table, bodies[i]);
        CHECK_EQ(one.asked.n_instances, 2);
        CHECK_EQ(one.asked.is_column_form, i >= 3);
        check_row(&one.asked.instances[0], 5.5f, 3);
        check_row(&one.asked.instances[1], 1, -2);
        end_asked(&one);
    }
    refuse(all.table, GF_EFORMAT, "instances[0]: width: expected a number, found nothing",
           "{\"instances\":[{\"length\":3,\"height\":4}]}");
    refuse(all.table, GF_EFORMAT, "instances[0]: width: too large for a float32",
           "{\"instances\":[{\"length\":3,\"width\":1e39}]}");
    refuse(all.table, GF_ESHAPE, "inputs: width: 1 values, the first column has 2",
           "{\"inputs\":{\"length\":[5.5,1],\"width\":[3]}}");
    refuse(all.table, GF_EFORMAT, "takes numbers", "{\"instances\":[\"AAAA\"]}");
    close_models(&all);
}

TEST(asked__names_the_instance_that_is_wrong)
{
    static const struct {
        gf_status status;
        const char *part, *body;
    } wrong[] = {
        {GF_EFORMAT, "instances[1]: base64: byte 2 (0x2a)", "{\"instances\":[\"AAAA\",\"AA*A\"]}"},
        {GF_EFORMAT, "instances[0]: base64: wrong length", "{\"instances\":[\"AAAAA\"]}"},
        {GF_EFORMAT, "instances[0]: an empty string", "{\"instances\":[{\"b64\":\"\"}]}"},
        {GF_EFORMAT, "instances[0]: b64: expected a string", "{\"instances\":[{\"b64\":1}]}"},
        {GF_EFORMAT, "instances[0]: a data URL", "{\"instances\":[\"data:image/png,AAAA\"]}"},
        {GF_EFORMAT, "instances[0]: expected a picture", "{\"instances\":[null]}"},
        {GF_EFORMAT, "instances[0]: an object of 0 members", "{\"instances\":[{}]}"},
        {GF_EFORMAT, "instances[0]: an object of 3", "{\"instances\":[{\"a\":1,\"b\":2,\"c\":3}]}"},
        {GF_ESHAPE, "instances[0]: numbers of shape (1,2)", "{\"instances\":[[[1,2]]]}"},
        {GF_ESHAPE, "lists of different lengths", "{\"instances\":[[[[1,2,3]],[[1,2]]]]}"},
        {GF_ESHAPE, "deeper", "{\"instances\":[[[[[[[[1]]]]]]]]}"},
        {GF_ESHAPE, "an empty list", "{\"instances\":[[]]}"},
        {GF_EFORMAT, "expected numbers", "{\"instances\":[[1,\"2\"]]}"},
        {GF_EFORMAT, "too large", "{\"instances\":[[1,1e39]]}"},
        {GF_EINVAL, "instances: an empty list", "{\"instances\":[]}"},
        {GF_EINVAL, "instances: expected a list", "{\"instances\":\"AAAA\"}"},
        {GF_EINVAL, "no \"instances\"", "{\"instance\":[]}"},
        {GF_EINVAL, "both", "{\"instances\":[],\"inputs\":[]}"},
        {GF_EINVAL, "expected an object", "[]"},
        {GF_EINVAL, "signature_name", "{\"instances\":[\"AAAA\"],\"signature_name\":1}"},
        {GF_ESHAPE, "inputs: key: expected a list of 1", "{\"inputs\":{\"x\":\"AAAA\",\"key\":1}}"},
        {GF_EFORMAT, "JSON, line 1", "{\"instances\":[\"AAAA\"}"},
        {GF_EFORMAT, "duplicate", "{\"instances\":[\"AAAA\"],\"instances\":[]}"},
    };
    models all = open_models();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refuse(all.pictures, wrong[i].status, wrong[i].part, wrong[i].body);
    close_models(&all);
}

TEST(asked__takes_so_many_instances_and_no_more)
{
    models all = open_models();
    question one = ask(all.table, "{\"instances\":[[1,2],[1,2],[1,2],[1,2]]}");
    CHECK_EQ(one.asked.n_instances, 4);
    end_asked(&one);
    refuse(all.table, GF_ELIMIT, "instances: 5 items, at most 4",
           "{\"instances\":[[1,2],[1,2],[1,2],[1,2],[1,2]]}");
    refuse(all.table, GF_ELIMIT, "inputs: 5 items",
           "{\"inputs\":{\"length\":[1,2,3,4,5],\"width\":[1,2,3,4,5]}}");
    close_models(&all);
}

TEST(asked__survives_every_allocation_failure)
{
    static const char body[] = "{\"instances\":[{\"x\":{\"b64\":\"AAAA\"},\"key\":1},[1,2]],"
                               "\"signature_name\":\"\",\"p\":{}}";
    models all = open_models();
    gf_status st = GF_ENOMEM;
    size_t n = 0;
    for (; st == GF_ENOMEM; n++) {
        gf__asked asked;
        char *copy = gf__strdup(body);
        gf__mem_fail_after(n);
        st = gf__asked_parse(&server, all.pictures, copy, strlen(copy), &asked, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && asked.memory == NULL));
        if (st == GF_OK)
            gf__asked_free(&asked);
        gf__free(copy);
    }
    CHECK(n > 5);
    close_models(&all);
}

TESTS_MAIN(UNIT(asked__takes_base64_in_every_spelling_and_length),
           UNIT(asked__takes_escaped_slashes_and_line_breaks),
           UNIT(asked__gives_keys_and_the_rest_of_the_body_back),
           UNIT(asked__gives_long_keys_back_as_they_came),
           UNIT(asked__tells_bytes_from_scaled_pictures),
           UNIT(asked__takes_rows_of_a_table_by_place_and_by_name),
           UNIT(asked__names_the_instance_that_is_wrong),
           UNIT(asked__takes_so_many_instances_and_no_more),
           UNIT(asked__survives_every_allocation_failure))
