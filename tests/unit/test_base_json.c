/* test_base_json.c: reading with useful errors, building that remembers failure, writing. */
#include "check.h"

#include <float.h>
#include <locale.h>

#include "base/base.h"

static gf__json *parse(const char *text)
{
    gf__json *doc = NULL;
    CHECK_OK(gf__json_parse(text, strlen(text), &doc, &check_err));
    return doc;
}

static void check_not_json(const char *text, size_t n_chars, const char *message)
{
    gf__json *doc = NULL;
    CHECK_FAILS(GF_EFORMAT, message, gf__json_parse(text, n_chars, &doc, &check_err));
    assert_null(doc);
}

static void check_written(const gf__json *value, const char *want)
{
    gf__buffer out = {0};
    gf__json_write(value, false, &out);
    CHECK_OK(gf__buffer_status(&out, &check_err));
    CHECK_STR(out.data, want);
    gf__buffer_free(&out);
}

TEST(json_parse__keeps_the_order_of_keys)
{
    gf__json *doc = parse("{\"z\":1,\"a\":[true,null,\"x\",2.5],\"m\":{}}");
    CHECK(gf__json_is_object(doc));
    CHECK_EQ(gf__json_n_items(doc), 3);
    CHECK_STR(gf__json_key_at(doc, 0), "z");
    CHECK_STR(gf__json_key_at(doc, 2), "m");
    assert_null(gf__json_key_at(doc, 3));
    CHECK_EQ(gf__json_int(gf__json_value_at(doc, 0), 0), 1);
    assert_null(gf__json_value_at(doc, 3));

    const gf__json *list = gf__json_find(doc, "a");
    CHECK(gf__json_is_array(list));
    CHECK_EQ(gf__json_n_items(list), 4);
    CHECK(gf__json_is_bool(gf__json_at(list, 0)));
    CHECK(gf__json_is_null(gf__json_at(list, 1)));
    CHECK(gf__json_is_string(gf__json_at(list, 2)));
    CHECK(gf__json_is_number(gf__json_at(list, 3)));
    assert_null(gf__json_at(list, 4));
    check_written(doc, "{\"z\":1,\"a\":[true,null,\"x\",2.5],\"m\":{}}");
    gf__json_free(doc);
}

TEST(json_next__walks_all_members_in_order)
{
    gf__json *doc = parse("{\"b\":1,\"a\":2,\"c\":3}");
    char keys[8] = "";
    int64_t sum = 0;
    const gf__json *value = NULL;
    for (const char *key = gf__json_next(doc, NULL, &value); key != NULL;
         key = gf__json_next(doc, key, &value)) {
        strncat(keys, key, 1);
        sum = sum * 10 + gf__json_int(value, 0);
    }
    CHECK_STR(keys, "bac");
    CHECK_EQ(sum, 123);
    gf__json_free(doc);

    doc = parse("[]");
    assert_null(gf__json_next(doc, NULL, &value));
    assert_null(value);
    gf__json_free(doc);
}

TEST(json_parse__says_where_and_what)
{
    check_not_json("{\"a\":1,\n\"a\":2}", 14, "line 2, column 3: duplicate object key");
    check_not_json("[1,]", 4, "line 1, column 4");
    check_not_json("[1] x", 5, "end of file expected");
    check_not_json("", 0, "line 1");
    check_not_json("[1", 2, "line 1");
    check_not_json("\"text\"", 6, "'[' or '{' expected");
    check_not_json("[\"\xff\"]", 5, "unable to decode byte 0xff");
    check_not_json("[1\0]", 4, "byte 2: a NUL byte");
    check_not_json("[\"\\u0000\"]", 10, "\\u0000");
    check_not_json("[99999999999999999999]", 22, "too big integer");
    check_not_json("[1e999]", 7, "real number overflow");
    check_not_json("[NaN]", 5, "line 1");
}

TEST(json_parse__limits_depth)
{
    char text[10000];
    memset(text, '[', sizeof text);
    check_not_json(text, sizeof text, "depth");
}

TEST(json_find__finds_nothing_in_anything_else)
{
    gf__json *doc = parse("[1]");
    assert_null(gf__json_find(doc, "a"));
    assert_null(gf__json_find(NULL, "a"));
    assert_null(gf__json_at(gf__json_find(doc, "a"), 0));
    assert_null(gf__json_key_at(doc, 0));
    assert_null(gf__json_value_at(NULL, 0));
    CHECK_EQ(gf__json_n_items(NULL), 0);
    CHECK_EQ(gf__json_n_items(gf__json_at(doc, 0)), 0);
    CHECK(!gf__json_is_object(NULL) && !gf__json_is_null(NULL));
    gf__json_free(doc);
    gf__json_free(NULL);
}

TEST(json_values__fall_back_where_the_kind_is_another)
{
    gf__json *doc = parse("[\"s\", 1.5, 7, false]");
    const gf__json *text = gf__json_at(doc, 0), *real = gf__json_at(doc, 1);
    const gf__json *integer = gf__json_at(doc, 2), *no = gf__json_at(doc, 3);
    CHECK_STR(gf__json_string(text, "other"), "s");
    CHECK_STR(gf__json_string(real, "other"), "other");
    CHECK_NEAR(gf__json_number(real, 0), 1.5, 0);
    CHECK_NEAR(gf__json_number(integer, 0), 7, 0);
    CHECK_NEAR(gf__json_number(text, -1), -1, 0);
    CHECK_EQ(gf__json_int(integer, 0), 7);
    CHECK_EQ(gf__json_int(real, 3), 3);
    CHECK(!gf__json_bool(no, true));
    CHECK(gf__json_bool(integer, true));
    CHECK_EQ(gf__json_int(NULL, 4), 4);
    gf__json_free(doc);
}

TEST(json_get__says_what_was_expected_and_found)
{
    gf__json *doc = parse(
        "{\"s\":\"x\",\"n\":-2,\"r\":2.0,\"b\":true,\"o\":{},\"a\":[],\"z\":null}");
    const char *text;
    double number;
    size_t size;
    bool truth;
    const gf__json *inner;
    CHECK_OK(gf__json_get_string(doc, "s", &text, &check_err));
    CHECK_STR(text, "x");
    CHECK_OK(gf__json_get_number(doc, "n", &number, &check_err));
    CHECK_NEAR(number, -2, 0);
    CHECK_OK(gf__json_get_bool(doc, "b", &truth, &check_err));
    CHECK(truth);
    CHECK_OK(gf__json_get_object(doc, "o", &inner, &check_err));
    CHECK_OK(gf__json_get_array(doc, "a", &inner, &check_err));

    CHECK_FAILS(GF_EFORMAT, "s: expected an integer, found a string",
                gf__json_get_size(doc, "s", &size, &check_err));
    CHECK_FAILS(GF_EFORMAT, "n: expected an integer of 0 or more, found -2",
                gf__json_get_size(doc, "n", &size, &check_err));
    CHECK_FAILS(GF_EFORMAT, "r: expected an integer, found a fraction",
                gf__json_get_size(doc, "r", &size, &check_err));
    CHECK_FAILS(GF_EFORMAT, "x: expected a string, found nothing",
                gf__json_get_string(doc, "x", &text, &check_err));
    CHECK_FAILS(GF_EFORMAT, "o: expected a number, found an object",
                gf__json_get_number(doc, "o", &number, &check_err));
    CHECK_FAILS(GF_EFORMAT, "z: expected true or false, found null",
                gf__json_get_bool(doc, "z", &truth, &check_err));
    CHECK_FAILS(GF_EFORMAT, "a: expected an object, found an array",
                gf__json_get_object(doc, "a", &inner, &check_err));
    CHECK_FAILS(GF_EFORMAT, "b: expected an array, found true or false",
                gf__json_get_array(doc, "b", &inner, &check_err));
    CHECK_FAILS(GF_EFORMAT, "k: expected an object around it, found an array",
                gf__json_get_size(gf__json_find(doc, "a"), "k", &size, &check_err));
    gf__json_free(doc);
}

/* A builder of every kind of value; NULL members where memory ran out. */
static gf__json *build(void)
{
    gf__json *doc = gf__json_object(), *list = gf__json_array(), *inner = gf__json_object();
    gf__json_set_string(doc, "name", "roses");
    gf__json_set_string(doc, "none", NULL);
    gf__json_set_number(doc, "score", 0.25);
    gf__json_set_int(doc, "n", -3);
    gf__json_set_bool(doc, "ok", true);
    for (int i = 0; i < 20; i++) /* past the room that a new array has */
        gf__json_append(list, gf__json_new_int(i));
    gf__json_set_string(inner, "kind", "flower");
    gf__json_append(list, inner);
    gf__json_set(doc, "list", list);
    return doc;
}

TEST(json_build__writes_what_was_set)
{
    gf__json *doc = build();
    CHECK_OK(gf__json_status(doc, &check_err));
    check_written(doc, "{\"name\":\"roses\",\"none\":null,\"score\":0.25,\"n\":-3,\"ok\":true,"
                       "\"list\":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,"
                       "{\"kind\":\"flower\"}]}");
    gf__json_set_string(doc, "name", "tulips"); /* replaces, in its place */
    CHECK_STR(gf__json_key_at(doc, 0), "name");
    CHECK_STR(gf__json_string(gf__json_find(doc, "name"), ""), "tulips");
    CHECK_EQ(gf__json_n_items(doc), 6);
    gf__json_free(doc);
}

TEST(json_build__remembers_every_allocation_failure)
{
    gf_status st = GF_ENOMEM;
    size_t n = 0;
    for (; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        gf__json *doc = build();
        gf__mem_fail_never();
        st = gf__json_status(doc, &check_err);
        gf__buffer out = {0};
        gf__json_write(doc, false, &out);
        CHECK_EQ(out.failed, st != GF_OK); /* half a document is never written */
        gf__buffer_free(&out);
        gf__json *copy = gf__json_copy(doc);
        CHECK_EQ(gf__json_status(copy, NULL), st);
        gf__json_free(copy);
        gf__json_free(doc);
    }
    CHECK_OK(st);
    CHECK(n > 50); /* the loop has tried something */
}

TEST(json_status__sees_one_lost_value_deep_inside)
{
    gf__json *doc = build();
    gf__json *inner = gf__json_object();
    gf__json_set(inner, "lost", NULL);
    gf__json_set(inner, "lost too", NULL);
    gf__json_set(doc, "inner", inner);
    CHECK_FAILS(GF_ENOMEM, "out of memory", gf__json_status(doc, &check_err));
    gf__json_set_int(doc, "inner", 1); /* the one that lost something is gone */
    CHECK_OK(gf__json_status(doc, &check_err));
    gf__json_append(NULL, gf__json_new_int(1)); /* nobody to tell, nothing leaks */
    gf__json_set(NULL, "a", gf__json_array());
    CHECK_EQ(gf__json_status(NULL, NULL), GF_ENOMEM);
    gf__json_free(doc);
}

TEST(json_new_string__replaces_what_is_not_utf8)
{
    gf__json *doc = gf__json_object();
    gf__json_set_string(doc, "k\xff", "caf\xc3\xa9 \xe2\x82 \xf0\x9f\x8c\xb9");
    CHECK_OK(gf__json_status(doc, &check_err));
    check_written(doc, "{\"k\xef\xbf\xbd\":\"caf\xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd "
                       "\xf0\x9f\x8c\xb9\"}");
    gf__json_free(doc);
}

TEST(json_write__keeps_every_float)
{
    static const float floats[] = {0.1f,    1.0f / 3, 16777216.0f, 1e-38f, FLT_MAX,
                                   FLT_MIN, -0.0f,    3.14159274f, 1e-45f, 123456.789f};
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++) {
        gf__json *doc = gf__json_array();
        gf__buffer out = {0};
        gf__json_append(doc, gf__json_new_number((double)floats[i]));
        gf__json_write(doc, false, &out);
        gf__json *back = parse(out.data);
        const float got = (float)gf__json_number(gf__json_at(back, 0), 99);
        if (got != floats[i])
            fail_msg("%.9g came back as %.9g from %s", (double)floats[i], (double)got, out.data);
        gf__json_free(back);
        gf__buffer_free(&out);
        gf__json_free(doc);
    }
}

TEST(json_write__turns_numbers_that_json_has_not_into_null)
{
    gf__json *doc = gf__json_array();
    gf__json_append(doc, gf__json_new_number((double)NAN));
    gf__json_append(doc, gf__json_new_number(-(double)INFINITY));
    gf__json_append(doc, gf__json_new_int(INT64_MIN));
    check_written(doc, "[null,null,-9223372036854775808]");
    gf__json_free(doc);
}

TEST(json_write__indents_and_writes_single_values)
{
    gf__json *doc = parse("{\"a\":[1],\"b\":{}}");
    gf__buffer out = {0};
    gf__json_write(doc, true, &out);
    CHECK_STR(out.data, "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}");
    gf__buffer_free(&out);
    gf__json_free(doc);
    gf__json *text = gf__json_new_string("a\"b\n");
    check_written(text, "\"a\\\"b\\n\"");
    gf__json_free(text);
}

TEST(json_write__fails_the_buffer_where_there_is_nothing_to_write)
{
    gf__buffer out = {0};
    gf__json_write(NULL, false, &out);
    CHECK_EQ(gf__buffer_status(&out, NULL), GF_ENOMEM);
    gf__buffer_free(&out);
}

TEST(json_copy__is_deep)
{
    gf__json *doc = parse("{\"a\":[1]}");
    gf__json *copy = gf__json_copy(doc);
    gf__json_set_int(copy, "b", 2);
    gf__json_free(doc);
    check_written(copy, "{\"a\":[1],\"b\":2}");
    gf__json_free(copy);
    assert_null(gf__json_copy(NULL));
}

TEST(json__ignores_the_decimal_comma_of_a_locale)
{
    /* tools/test.sh makes the locale. LOCPATH is set here alone: every program that sees it leaks a
     * few bytes in glibc. */
    const char *locales = getenv("GRAFT_TEST_LOCALES");
    if (locales == NULL || setenv("LOCPATH", locales, 1) != 0 ||
        setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL)
        fail_msg("there is no locale de_DE.UTF-8 in $GRAFT_TEST_LOCALES; run make test");
    gf__json *doc = parse("[1.5]");
    CHECK_NEAR(gf__json_number(gf__json_at(doc, 0), 0), 1.5, 0);
    check_written(doc, "[1.5]");
    gf__json_free(doc);
    setlocale(LC_NUMERIC, "C");
}

TESTS_MAIN(UNIT(json_parse__keeps_the_order_of_keys), UNIT(json_next__walks_all_members_in_order),
           UNIT(json_parse__says_where_and_what), UNIT(json_parse__limits_depth),
           UNIT(json_find__finds_nothing_in_anything_else),
           UNIT(json_values__fall_back_where_the_kind_is_another),
           UNIT(json_get__says_what_was_expected_and_found), UNIT(json_build__writes_what_was_set),
           UNIT(json_build__remembers_every_allocation_failure),
           UNIT(json_status__sees_one_lost_value_deep_inside),
           UNIT(json_new_string__replaces_what_is_not_utf8), UNIT(json_write__keeps_every_float),
           UNIT(json_write__turns_numbers_that_json_has_not_into_null),
           UNIT(json_write__indents_and_writes_single_values),
           UNIT(json_write__fails_the_buffer_where_there_is_nothing_to_write),
           UNIT(json_copy__is_deep), UNIT(json__ignores_the_decimal_comma_of_a_locale))
