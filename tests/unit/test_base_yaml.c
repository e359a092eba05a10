/* test_base_yaml.c: what YAML means as JSON, and what is refused with its line. */
#include "check.h"

#include <stdlib.h>

#include "base/base.h"

static void check_means(const char *yaml, const char *json)
{
    gf__json *doc = NULL, *list = gf__json_array();
    gf__buffer out = {0};
    CHECK_OK(gf__yaml_parse(yaml, strlen(yaml), &doc, &check_err));
    gf__json_append(list, doc);
    gf__json_write(list, false, &out);
    CHECK_OK(gf__buffer_status(&out, &check_err));
    out.data[out.size - 1] = '\0';
    CHECK_STR(out.data + 1, json);
    gf__buffer_free(&out);
    gf__json_free(list);
}

static void check_refused(const char *yaml, const char *message)
{
    gf__json *doc = NULL;
    CHECK_FAILS(GF_EFORMAT, message, gf__yaml_parse(yaml, strlen(yaml), &doc, &check_err));
    assert_null(doc);
}

TEST(yaml__is_mappings_lists_and_scalars)
{
    check_means("a: 1\nb:\n- x\n- {c: [1, 2]}\n# words\nd:\n  e: f\n",
                "{\"a\":1,\"b\":[\"x\",{\"c\":[1,2]}],\"d\":{\"e\":\"f\"}}");
    check_means("--- \na: |\n  two\n  lines\n...\n", "{\"a\":\"two\\nlines\\n\"}");
    check_means("{\"json\": [true, null, \"x\"]}", "{\"json\":[true,null,\"x\"]}");
    check_means("", "null");
    check_means("a:\n", "{\"a\":null}");
}

TEST(yaml__plain_scalars_are_what_they_look_like)
{
    check_means("[true, True, FALSE, ~, null, yes, no, on]",
                "[true,true,false,null,null,\"yes\",\"no\",\"on\"]");
    check_means("[0, -7, +7, 0.01, 1e-4, .5, 5., 1E3]", "[0,-7,7,0.01,0.0001,0.5,5.0,1000.0]");
    check_means(
        "[7200s, 1.2.3, -, 0x10, 0o7, 017, 1_000, .inf, .nan, 1e, e1, ., '.']",
        "[\"7200s\",\"1.2.3\",\"-\",\"0x10\",\"0o7\",\"017\",\"1_000\",\".inf\",\".nan\",\"1e\","
        "\"e1\",\".\",\".\"]");
    check_means("['7', \"true\", '', \"\\u00fc\"]", "[\"7\",\"true\",\"\",\"\xc3\xbc\"]");
    check_means("[9223372036854775807, 9223372036854775808, 1e999]",
                "[9223372036854775807,\"9223372036854775808\",\"1e999\"]");
}

TEST(yaml__errors_name_line_and_column)
{
    check_refused("a: b: c\n", "YAML, line 1, column 5: mapping values are not allowed");
    check_refused("a: 1\nb: [1, 2\n", "YAML, line 3, column 1: did not find expected ',' or ']'");
    check_refused("a:\n\t- x\n", "YAML, line 2, column 1: found character that cannot start");
    check_refused("a: 1\na: 2\n", "YAML, line 2, column 1: the name is there twice");
    check_refused("a: \xff\n", "YAML, byte 3: ");
    check_refused("a: \"\\0\"\n", "YAML, line 1, column 4: a NUL in a text");
    check_refused("? [a]\n: b\n", "line 1, column 3: expected a name, found a list");
    check_refused("a: 1\n---\nb: 2\n", "line 2, column 1: a second document; expected one");
}

/* None of it can make a document larger than its text. */
TEST(yaml__anchors_aliases_and_tags_are_refused)
{
    check_refused("a: &x 1\nb: *x\n", "line 1, column 4: anchors (&name) are not read here");
    check_refused("a: *x\n", "line 1, column 4: aliases (*name) are not read here");
    check_refused("a: !!python/object:os.system ls\n", "tags (!name) are not read here");
    check_refused("<<: {a: 1}\n", "<< (merging) is not read here");
}

TEST(yaml__depth_is_limited)
{
    char deep[2 * 65 + 1] = "";
    gf__json *doc = NULL;
    memset(deep, '[', 64);
    memset(deep + 64, ']', 64);
    CHECK_OK(gf__yaml_parse(deep, 128, &doc, &check_err));
    gf__json_free(doc);
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    check_refused(deep, "column 65: too many lists and mappings in one another");
}

TEST(yaml__survives_every_allocation_failure)
{
    static const char text[] = "a: [1, x, {b: ~}]\nc: 2.5\n";
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__json *doc = NULL;
        gf__mem_fail_after(n);
        st = gf__yaml_parse(text, sizeof text - 1, &doc, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && doc == NULL));
        gf__json_free(doc);
    }
}

TESTS_MAIN(UNIT(yaml__is_mappings_lists_and_scalars),
           UNIT(yaml__plain_scalars_are_what_they_look_like),
           UNIT(yaml__errors_name_line_and_column),
           UNIT(yaml__anchors_aliases_and_tags_are_refused), UNIT(yaml__depth_is_limited),
           UNIT(yaml__survives_every_allocation_failure))
