/* test_base_json_long.c: a text with long strings and arrays of numbers cut out says what it said
 * before, and is refused where it was refused before. */
#include "check.h"

#include "base/base.h"

typedef struct parsed {
    gf__json *doc;
    gf__json_spans *spans;
} parsed;

static parsed parse(const char *text)
{
    parsed result;
    CHECK_OK(gf__json_parse_long(text, strlen(text), 64, &result.doc, &result.spans, &check_err));
    return result;
}

static void end(parsed *result)
{
    gf__json_free(result->doc);
    gf__json_spans_free(result->spans);
}

/* A text of n times c between the two. New. */
static char *padded(const char *before, char c, size_t n, const char *after)
{
    char *fill = gf__malloc(n + 1);
    memset(fill, c, n);
    fill[n] = '\0';
    char *text = gf__asprintf("%s%s%s", before, fill, after);
    gf__free(fill);
    return text;
}

static void check_string(const parsed *result, const gf__json *value, char c, size_t n)
{
    const char *text = NULL;
    size_t n_chars = 0;
    CHECK(gf__json_long_string(result->spans, value, &text, &n_chars));
    CHECK_EQ(n_chars, n);
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(text[i], c);
}

TEST(parse_long__gives_long_and_short_strings_alike)
{
    char *text = padded("{\"a\":[{\"b64\":\"", 'A', 1000, "\"},\"BBBB\",\"\"],\"n\":5}");
    parsed result = parse(text);
    const gf__json *a = gf__json_find(result.doc, "a");
    check_string(&result, gf__json_find(gf__json_at(a, 0), "b64"), 'A', 1000);
    check_string(&result, gf__json_at(a, 1), 'B', 4);
    check_string(&result, gf__json_at(a, 2), 'x', 0);
    CHECK_EQ(gf__json_int(gf__json_find(result.doc, "n"), 0), 5);
    end(&result);
    gf__free(text);
}

TEST(parse_long__points_into_the_text)
{
    char *text = padded("[\"", 'A', 64, "\"]");
    parsed result = parse(text);
    const char *at = NULL;
    size_t n = 0;
    CHECK(gf__json_long_string(result.spans, gf__json_at(result.doc, 0), &at, &n));
    CHECK(at == text + 2);
    end(&result);
    gf__free(text);
}

TEST(parse_long__leaves_strings_with_escapes_and_other_letters_to_the_parser)
{
    char *text = padded("[\"", 'A', 200, "\\n\\\"\\\\\"]");
    parsed result = parse(text);
    const char *at = NULL;
    size_t n = 0;
    CHECK(gf__json_long_string(result.spans, gf__json_at(result.doc, 0), &at, &n));
    CHECK_EQ(n, 203);
    CHECK_STR(at + 200, "\n\"\\");
    end(&result);
    gf__free(text);

    text = padded("[\"", 'A', 200, "\xc3\xa4\"]");
    result = parse(text);
    CHECK_STR(gf__json_string(gf__json_at(result.doc, 0), "") + 200, "\xc3\xa4");
    end(&result);
    gf__free(text);
}

TEST(parse_long__keeps_long_keys_and_refuses_them_twice)
{
    char *key = padded("\"", 'k', 300, "\"");
    char *text = gf__asprintf("{%s \n: 1}", key);
    parsed result = parse(text);
    CHECK_EQ(strlen(gf__json_key_at(result.doc, 0)), 300);
    end(&result);
    gf__free(text);
    text = gf__asprintf("{%s:1,%s:2}", key, key);
    CHECK_FAILS(
        GF_EFORMAT, "duplicate",
        gf__json_parse_long(text, strlen(text), 64, &result.doc, &result.spans, &check_err));
    gf__free(text);
    gf__free(key);
}

TEST(parse_long__refuses_what_the_parser_refuses_at_the_same_place)
{
    static const char *const after[] = {
        "\"",
        "\"]]",
        "\"] x",
        "",
        "\\",
        "\\\"]",
        "\"\"]",
        "\",]",
        "\x01\"]",
        "\xff\"]",
        "\" \"b\"]",
        "\",\n tru]",
        "\",\n\n  [1,,2]]",
        "\",[01]]",
        "\\q\"]",
        "\",{\"a\"}]",
        "\":1]",
        "\",\"\\ud800\"]",
        "\n\"]",
        "\",\"\xc3\"]",
        "\",1e999]",
        "\",[1 2]]",
        "\",[1,2,]]",
        "\",[\x02]]",
        "\",[1,\"\xe4\",}",
    };
    for (size_t i = 0; i < sizeof after / sizeof after[0]; i++) {
        char *text = padded("[\"", 'A', 500, after[i]);
        gf__json *doc = NULL;
        gf__json_spans *spans = NULL;
        gf_error plain = {0}, cut = {0};
        CHECK_EQ(gf__json_parse(text, strlen(text), &doc, &plain), GF_EFORMAT);
        CHECK_EQ(gf__json_parse_long(text, strlen(text), 64, &doc, &spans, &cut), GF_EFORMAT);
        CHECK_STR(cut.message, plain.message);
        gf__free(text);
    }
}

TEST(parse_long__refuses_a_nul_byte_where_it_is)
{
    char *text = padded("[\"", 'A', 500, "\", ?]");
    gf__json *doc = NULL;
    gf__json_spans *spans = NULL;
    const size_t n = strlen(text);
    text[n - 2] = '\0';
    CHECK_FAILS(GF_EFORMAT, "JSON, byte 505: a NUL byte",
                gf__json_parse_long(text, n, 64, &doc, &spans, &check_err));
    text[n - 2] = ' ';
    text[100] = '\0';
    CHECK_FAILS(GF_EFORMAT, "JSON, byte 100: a NUL byte",
                gf__json_parse_long(text, n, 64, &doc, &spans, &check_err));
    gf__free(text);
}

TEST(parse_long__survives_every_end_of_the_text)
{
    char *text = padded("{\"a\\\\\":\"", 'A', 80, "\",\"b\":[[1,2],[3.5e1,4]],\"c\":\"\\\"\"}");
    const size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        char *part = gf__strndup(text, i); /* its own memory: reading past it is seen */
        gf__json *doc = NULL;
        gf__json_spans *spans = NULL;
        CHECK_EQ(gf__json_parse_long(part, i, 64, &doc, &spans, NULL), GF_EFORMAT);
        gf__free(part);
    }
    gf__free(text);
}

TEST(parse_long__knows_a_stand_in_that_a_client_copied_from_another_answer)
{
    char *text = padded("[\"", 'A', 100, "\"]");
    parsed first = parse(text);
    const char *word = gf__json_string(gf__json_at(first.doc, 0), "");
    char *forged = gf__asprintf("[\"%s\",\"%.*s\"]", word, 200, text + 2);
    gf__free(text);
    text = padded("[\"", 'B', 100, "\"]");
    char *both = gf__asprintf("[\"%s\",%s", word, text + 1);
    parsed second = parse(both);
    const char *at = NULL;
    size_t n = 0;
    CHECK(gf__json_long_string(second.spans, gf__json_at(second.doc, 0), &at, &n));
    CHECK_STR(at, word);
    check_string(&second, gf__json_at(second.doc, 1), 'B', 100);
    end(&first);
    end(&second);
    gf__free(forged);
    gf__free(both);
    gf__free(text);
}

static void check_numbers(const char *text, const size_t *shape, size_t n_dims, bool is_integers)
{
    parsed result = parse(text);
    gf__json_numbers numbers;
    CHECK(gf__json_long_numbers(result.spans, gf__json_find(result.doc, "x"), &numbers));
    CHECK_EQ(numbers.n_dims, n_dims);
    for (size_t i = 0; i < n_dims; i++)
        CHECK_EQ(numbers.shape[i], shape[i]);
    CHECK_EQ(numbers.is_integers, is_integers);
    const char *at = NULL;
    size_t n = 0;
    CHECK(!gf__json_long_string(result.spans, gf__json_find(result.doc, "x"), &at, &n));
    end(&result);
}

TEST(parse_long__cuts_rectangular_arrays_of_numbers)
{
    check_numbers("{\"x\":[[[1,2,3],[4,5,6]],[[7,8,9],[10,11,12]], [ [7,8 , 9],\n[10,11,12]]]}",
                  (size_t[]){3, 2, 3}, 3, true);
    check_numbers("{\"x\":[-1.5,0.25,1e3,2E-4,0,-0,1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0,1.5]}",
                  (size_t[]){16}, 1, false);
}

TEST(parse_long__leaves_other_arrays_to_the_parser)
{
    static const char *const arrays[] = {
        "[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15],[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]]",
        "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,null,18,19,20,21,22,23,24,25,26,27]",
        "[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15],1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]",
        "[1,[2,3,4,5,6,7,8,9,10,11,12,13,14,15],1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]",
        "[[[[[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]]]]]]",
        "[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]",
    };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        char *text = gf__asprintf("{\"x\":%s}", arrays[i]);
        parsed result = parse(text);
        gf__json_numbers numbers;
        CHECK(!gf__json_long_numbers(result.spans, gf__json_find(result.doc, "x"), &numbers));
        CHECK(gf__json_is_array(gf__json_find(result.doc, "x")));
        end(&result);
        gf__free(text);
    }
}

TEST(numbers_read__agrees_with_strtod)
{
    gf__rng rng;
    gf__rng_seed(&rng, 7, 0);
    for (int round = 0; round < 2000; round++) {
        gf__buffer text = {0};
        double want[40];
        gf__buffer_puts(&text, "{\"x\":[");
        for (size_t i = 0; i < 40; i++) {
            char number[64];
            const int n_digits = (int)gf__rng_below(&rng, 18) + 1;
            const int power = (int)gf__rng_below(&rng, 60) - 45;
            float exact = (float)ldexp(gf__rng_uniform(&rng) - 0.5, power);
            /* Also the very middle between two floats, and just beside it. */
            const double value = (double)exact +
                                 (i % 4 == 0 ? ((double)nextafterf(exact, 9e9f) - (double)exact) / 2
                                             : gf__rng_uniform(&rng) * (double)exact * 1e-7);
            snprintf(number, sizeof number, i % 3 == 0 ? "%.*e" : "%.*f", n_digits, value);
            want[i] = strtod(number, NULL);
            gf__buffer_printf(&text, "%s%s", i > 0 ? "," : "", number);
        }
        gf__buffer_puts(&text, "]}");
        parsed result = parse(text.data);
        gf__json_numbers numbers;
        float got[40];
        if (gf__json_long_numbers(result.spans, gf__json_find(result.doc, "x"), &numbers)) {
            gf__json_numbers_read(&numbers, got);
            for (size_t i = 0; i < 40; i++)
                CHECK(got[i] == (float)want[i]);
        }
        end(&result);
        gf__buffer_free(&text);
    }
}

TEST(copy_long__puts_back_what_was_cut_out)
{
    char *numbers = padded("[1", '1', 16, ",22,3.5,1e3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19]");
    char *front = gf__asprintf("{\"k\":{\"n\":%s,\"s\":[null,\"", numbers);
    char *text = padded(front, 'A', 300, "\"]},\"t\":true}");
    gf__json *plain = NULL;
    gf__buffer want = {0}, got = {0};
    CHECK_OK(gf__json_parse(text, strlen(text), &plain, &check_err));
    parsed result = parse(text);
    gf__json *copy = gf__json_copy_long(result.spans, result.doc);
    end(&result);
    memset(text, 'x', strlen(text));
    gf__json_write(plain, false, &want);
    gf__json_write(copy, false, &got);
    CHECK_STR(got.data, want.data);
    gf__json_free(copy);
    gf__json_free(plain);
    gf__buffer_free(&want);
    gf__buffer_free(&got);
    gf__free(text);
    gf__free(front);
    gf__free(numbers);
}

TEST(parse_long__survives_every_allocation_failure)
{
    char *text = padded("{\"a\":\"", 'A', 100, "\"}");
    gf__json *doc = NULL;
    gf__json_spans *spans = NULL;
    gf_status st = GF_ENOMEM;
    size_t n = 0;
    for (; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__json_parse_long(text, strlen(text), 64, &doc, &spans, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && doc == NULL && spans == NULL));
    }
    CHECK(n > 3);
    gf__json_free(doc);
    gf__json_spans_free(spans);
    gf__free(text);
}

TESTS_MAIN(UNIT(parse_long__gives_long_and_short_strings_alike),
           UNIT(parse_long__points_into_the_text),
           UNIT(parse_long__leaves_strings_with_escapes_and_other_letters_to_the_parser),
           UNIT(parse_long__keeps_long_keys_and_refuses_them_twice),
           UNIT(parse_long__refuses_what_the_parser_refuses_at_the_same_place),
           UNIT(parse_long__refuses_a_nul_byte_where_it_is),
           UNIT(parse_long__survives_every_end_of_the_text),
           UNIT(parse_long__knows_a_stand_in_that_a_client_copied_from_another_answer),
           UNIT(parse_long__cuts_rectangular_arrays_of_numbers),
           UNIT(parse_long__leaves_other_arrays_to_the_parser),
           UNIT(numbers_read__agrees_with_strtod), UNIT(copy_long__puts_back_what_was_cut_out),
           UNIT(parse_long__survives_every_allocation_failure))
