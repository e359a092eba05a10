/* make_model.c: writes tests/golden/model/format-N.safetensors, a small model with its trunk
 * inside, for the tests that open it in every later version. Run once when the format's number
 * changes, never to make an old file anew:
 *
 *     ninja -C build tests/golden/make_model && build/tests/golden/make_model
 * tests/golden/model/format-1.safetensors */
#include "tiny_model.h"

static const char *path;

TEST(model_of_this_format_is_written)
{
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_head *head = tiny_head(3);
    tiny_save_model(path, trunk, head, true);
    gf_head_free(head);
    gf_trunk_free(trunk);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {UNIT(model_of_this_format_is_written)};
    if (argc != 2) {
        fprintf(stderr, "usage: make_model FILE\n");
        return 2;
    }
    path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
