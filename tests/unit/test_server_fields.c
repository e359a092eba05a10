/* Partial responses: what fields= keeps. */
#include "check.h"

#include "base/base.h"
#include "server/server_priv.h"

static const char document[] =
    "{\"models\":[{\"name\":\"a\",\"defaultVersion\":{\"name\":\"v1\",\"state\":\"READY\"},"
    "\"labels\":{\"k\":\"x\",\"l\":\"y\"}},{\"name\":\"b\",\"regions\":[\"r\"]}],"
    "\"nextPageToken\":\"t\",\"n\":3}";

static char *keep(const char *mask)
{
    gf__json *in = NULL, *out = NULL;
    gf__buffer text = {0};
    CHECK_OK(gf__json_parse(document, strlen(document), &in, &check_err));
    CHECK_OK(gf__fields_mask(in, mask, &out, &check_err));
    gf__json_write(out, false, &text);
    gf__json_free(in);
    gf__json_free(out);
    return gf__buffer_take(&text, NULL);
}

static void check_keeps(const char *mask, const char *wanted)
{
    char *kept = keep(mask);
    CHECK_STR(kept, wanted);
    gf__free(kept);
}

TEST(fields__keep_members_by_name)
{
    check_keeps("n", "{\"n\":3}");
    check_keeps("n,nextPageToken", "{\"nextPageToken\":\"t\",\"n\":3}");
    check_keeps("none", "{}");
    check_keeps("*", document);
}

TEST(fields__go_down_by_slash_and_look_through_arrays)
{
    check_keeps("models/name", "{\"models\":[{\"name\":\"a\"},{\"name\":\"b\"}]}");
    check_keeps("models/defaultVersion/state",
                "{\"models\":[{\"defaultVersion\":{\"state\":\"READY\"}},{}]}");
    check_keeps("models/labels/*", "{\"models\":[{\"labels\":{\"k\":\"x\",\"l\":\"y\"}},{}]}");
    check_keeps("models/regions", "{\"models\":[{},{\"regions\":[\"r\"]}]}");
    check_keeps("n/deeper", "{}");
}

TEST(fields__go_down_by_parentheses)
{
    check_keeps(
        "models(name,labels(k)),n",
        "{\"models\":[{\"name\":\"a\",\"labels\":{\"k\":\"x\"}},{\"name\":\"b\"}],\"n\":3}");
    check_keeps(
        "models(defaultVersion/name,name)",
        "{\"models\":[{\"name\":\"a\",\"defaultVersion\":{\"name\":\"v1\"}},{\"name\":\"b\"}]}");
    check_keeps("*/name", "{\"models\":[{\"name\":\"a\"},{\"name\":\"b\"}]}");
}

TEST(fields__that_name_a_member_twice_keep_both_parts)
{
    check_keeps("models/name,models/labels/k",
                "{\"models\":[{\"name\":\"a\",\"labels\":{\"k\":\"x\"}},{\"name\":\"b\"}]}");
    check_keeps("models/labels/k,models/labels/l",
                "{\"models\":[{\"labels\":{\"k\":\"x\",\"l\":\"y\"}},{}]}");
}

TEST(fields__that_cannot_be_read_are_refused)
{
    static const char *const broken[] = {",",     "a,",   "a(",   "a()",   "a(b",  "a)",
                                         "a/",    "/a",   "()",   "a(b))", "a(,)", "a//b",
                                         "a(b)c", "a, b", "a/ b", "a;b",   "a b"};
    gf__json *in = NULL, *out = NULL;
    CHECK_OK(gf__json_parse(document, strlen(document), &in, &check_err));
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        CHECK_FAILS(GF_EINVAL, "expected", gf__fields_mask(in, broken[i], &out, &check_err));
    char deep[100];
    memset(deep, 0, sizeof deep);
    for (size_t i = 0; i < 40; i++)
        memcpy(deep + 2 * i, "a(", 2);
    CHECK_FAILS(GF_EINVAL, "32 levels", gf__fields_mask(in, deep, &out, &check_err));
    gf__json_free(in);
}

TESTS_MAIN(UNIT(fields__keep_members_by_name),
           UNIT(fields__go_down_by_slash_and_look_through_arrays),
           UNIT(fields__go_down_by_parentheses),
           UNIT(fields__that_name_a_member_twice_keep_both_parts),
           UNIT(fields__that_cannot_be_read_are_refused))
