/* A Keras .h5 that is written is read again, to the bit; a failure leaves nothing. */
#include "small_export.h"
#include "zoo/zoo_priv.h"

static const gf_recipe recipe = {.width = 14, .height = 17, .scale = 1 / 127.5f, .shift = -1};

static void end_source(const gf__export_source *source)
{
    gf_graph_free((gf_graph *)(uintptr_t)source->graph);
}

TEST(export_keras__comes_back_to_the_bit)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "small.h5");
    const gf__export_source source = small_source("softmax", &recipe);
    gf__checkpoint checkpoint = {0};
    char want[GF__SHA256_HEX], got[GF__SHA256_HEX];
    CHECK_OK(gf__export_keras(&source, path, &check_err));
    CHECK_OK(gf__hdf5_read(path, dir, NULL, &checkpoint, &check_err));
    CHECK_OK(gf__graph_sha256(source.graph, want, &check_err));
    CHECK_OK(gf__graph_sha256(checkpoint.graph, got, &check_err));
    CHECK_STR(got, want);
    gf__checkpoint_free(&checkpoint);
    end_source(&source);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(export_keras__writes_the_same_bytes_twice)
{
    char *dir = check_temp_dir(), *bytes[2] = {NULL};
    size_t n_bytes[2] = {0};
    const gf__export_source source = small_source("softmax", &recipe);
    for (size_t i = 0; i < 2; i++) {
        char *path = gf__path_join(dir, i == 0 ? "a.h5" : "b.h5");
        CHECK_OK(gf__export_keras(&source, path, &check_err));
        CHECK_OK(gf__read_file(path, 1 << 20, &bytes[i], &n_bytes[i], &check_err));
        gf__free(path);
    }
    CHECK_EQ(n_bytes[0], n_bytes[1]);
    assert_memory_equal(bytes[0], bytes[1], n_bytes[0]);
    gf__free(bytes[0]);
    gf__free(bytes[1]);
    end_source(&source);
    check_remove_dir(dir);
}

TEST(export_keras__leaves_nothing_where_it_fails)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "small.h5");
    const gf__export_source source = small_source("softmax", &recipe);
    gf__dir_list list = {0};
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__export_keras(&source, path, &check_err);
        gf__mem_fail_never();
        CHECK_OK(gf__list_dir(dir, &list, &check_err));
        CHECK_EQ(list.n_names, st == GF_OK ? 1 : 0);
        gf__dir_list_free(&list);
    }
    CHECK_EQ(st, GF_OK);
    end_source(&source);
    gf__free(path);
    check_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(export_keras__comes_back_to_the_bit),
        UNIT(export_keras__writes_the_same_bytes_twice),
        UNIT(export_keras__leaves_nothing_where_it_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
