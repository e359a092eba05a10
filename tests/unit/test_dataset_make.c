/* Packing pictures from folders into an .npz. */
#include "dataset_packing.h"

/* ---- from a folder --------------------------------------------------------------------------- */

TEST(make__packs_a_folder_and_lists_what_it_left_out)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    static const char *const names[] = {"cat/1.png", "cat/2.png", "cat/3.png", "dog/5.png"};

    for (int is_compressed = 0; is_compressed < 2; is_compressed++) {
        options.is_compressed = is_compressed != 0;
        CHECK_OK(gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
        CHECK_EQ(result->n_written, 4);
        CHECK_EQ(result->n_skipped, 1);
        CHECK(strncmp(result->skipped[0], "dog/4.png: ", 11) == 0);
        CHECK(strstr(result->skipped[0], f.dir) == NULL);
        gf_make_result_free(result);

        gf_dataset *set = open_output(&f);
        CHECK_EQ(gf_dataset_n_items(set), 4);
        CHECK_STR(gf_dataset_class_at(set, 0), "cat");
        CHECK_STR(gf_dataset_class_at(set, 1), "dog");
        for (size_t i = 0; i < 4; i++) {
            char file[1024];
            snprintf(file, sizeof file, "%s/%s", f.source, names[i]);
            CHECK_EQ(gf_dataset_label_at(set, i), i == 3);
            check_row(set, i, file);
        }
        gf_dataset_free(set);
    }
    check_left(&f, "out.npz set");
    check_remove_dir(f.dir);
}

TEST(make__writes_what_the_article_reads)
{
    fixture f = make_fixture();
    gf_make_options options = gf_make_options_default();
    gf_make_result *result = NULL;
    gf_npz *file = NULL;
    gf_tensor *tensor = NULL;

    CHECK_EQ(options.size, 299);
    CHECK_OK(gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
    gf_make_result_free(result);
    CHECK_OK(gf_npz_open(f.output, &file, &check_err));
    CHECK_STR(gf_npz_name_at(file, 0), "features");
    CHECK_OK(gf_npz_load(file, "features", &tensor, &check_err));
    CHECK_EQ(gf_tensor_dtype(tensor), GF_DTYPE_U8);
    CHECK_EQ(gf_tensor_n_dims(tensor), 4);
    CHECK_EQ(gf_tensor_shape(tensor)[1], 299);
    gf_tensor_free(tensor);
    CHECK_OK(gf_npz_load(file, "labels", &tensor, &check_err));
    CHECK_EQ(gf_tensor_dtype(tensor), GF_DTYPE_I64);
    CHECK_EQ(((const int64_t *)gf_tensor_data(tensor))[3], 1);
    gf_tensor_free(tensor);
    gf_npz_close(file);
    check_remove_dir(f.dir);
}

TEST(make__gives_the_same_bytes_on_any_number_of_threads)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    char hex[2][65];

    for (int i = 0; i < 2; i++) {
        options.n_threads = i == 0 ? 1 : 3;
        CHECK_OK(gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
        gf_make_result_free(result);
        CHECK_OK(gf__hash_file(GF__HASH_SHA256, f.output, hex[i], &check_err));
    }
    CHECK_STR(hex[0], hex[1]);
    check_remove_dir(f.dir);
}

TEST(make__resizes_an_npz)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    char again[600];

    CHECK_OK(gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
    gf_make_result_free(result);
    options.size = 8;
    snprintf(again, sizeof again, "%s/8.npz", f.dir);
    CHECK_OK(gf_dataset_make(f.output, again, &options, NULL, &result, &check_err));
    CHECK_EQ(result->n_written, 4);
    gf_make_result_free(result);
    gf_dataset *set = NULL;
    gf_sample sample;
    CHECK_OK(gf_dataset_open(again, NULL, NULL, &set, &check_err));
    CHECK_STR(gf_dataset_class_at(set, 1), "dog");
    CHECK_OK(gf_dataset_read(set, 0, &sample, &check_err));
    CHECK_EQ(sample.width, 8);
    gf_sample_release(&sample);
    gf_dataset_free(set);
    check_remove_dir(f.dir);
}

TEST(make__refuses_options_and_sources_that_cannot_be)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    char path[600];

    options.size = 4097;
    CHECK_FAILS(GF_EINVAL, "size is 4097 pixels, expected 1 to 4096",
                gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
    options = small_options();
    options.n_connections = 0;
    CHECK_FAILS(GF_EINVAL, "0 connections, expected 1 to 64",
                gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
    options = small_options();
    options.n_retries = -1;
    CHECK_FAILS(GF_EINVAL, "-1 retries",
                gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
    options = small_options();
    snprintf(path, sizeof path, "%s/gone", f.dir);
    CHECK_FAILS(GF_ENOTFOUND, "gone",
                gf_dataset_make(path, f.output, &options, NULL, &result, &check_err));
    snprintf(path, sizeof path, "%s/gone/out.npz", f.dir);
    CHECK_FAILS(GF_ENOTFOUND, "gone",
                gf_dataset_make(f.source, path, &options, NULL, &result, &check_err));
    CHECK(result == NULL);
    check_left(&f, "set");
    check_remove_dir(f.dir);
}

TEST(make__fails_where_nothing_can_be_read)
{
    fixture f = {.dir = check_temp_dir()};
    gf_make_result *result = NULL;
    gf_make_options options = small_options();

    snprintf(f.source, sizeof f.source, "%s/set", f.dir);
    snprintf(f.output, sizeof f.output, "%s/out.npz", f.dir);
    add_file(f.source, "cat/1.png", "hello", 5);
    add_file(f.source, "dog/2.png", "hello", 5);
    CHECK_FAILS(GF_ENOTFOUND, "none of the 2 pictures could be had; cat/1.png: ",
                gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
    check_left(&f, "set");
    check_remove_dir(f.dir);
}

/* ---- stopping -------------------------------------------------------------------------------- */

TEST(make__stopped_leaves_nothing_of_the_npz)
{
    fixture f = make_fixture();

    check_stopped(&f, f.source, "decode", 0, "set");
    check_stopped(&f, f.source, "decode", 2, "set");
    check_stopped(&f, f.source, "write", 0, "set");
    check_stopped(&f, f.source, "write", 2, "set");
    check_remove_dir(f.dir);
}

TEST(make__survives_every_allocation_failure)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;

    options.n_threads = 1;
    options.n_connections = 1;
    write_list(&f, "file://%s/cat/1.png cat\nfile://%s/dog/gone.png dog\n");
    for (int i = 0; i < 2; i++) {
        gf_status st = GF_ENOMEM;
        for (size_t n = 0; st == GF_ENOMEM || st == GF_ENOTFOUND; n++) {
            gf__mem_fail_after(n);
            st = gf_dataset_make(i == 0 ? f.source : f.list, f.output, &options, NULL, &result,
                                 NULL);
            gf__mem_fail_never();
            CHECK(st == GF_OK || result == NULL);
        }
        CHECK_EQ(st, GF_OK);
        gf_make_result_free(result);
        result = NULL;
    }
    /* Where memory ran out while tidying up, the downloads stay for the next run. */
    CHECK_OK(gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    gf_make_result_free(result);
    remove(f.output);
    check_left(&f, "list.txt set");
    check_remove_dir(f.dir);
}

TESTS_MAIN(UNIT(make__packs_a_folder_and_lists_what_it_left_out),
           UNIT(make__writes_what_the_article_reads),
           UNIT(make__gives_the_same_bytes_on_any_number_of_threads), UNIT(make__resizes_an_npz),
           UNIT(make__refuses_options_and_sources_that_cannot_be),
           UNIT(make__fails_where_nothing_can_be_read),
           UNIT(make__stopped_leaves_nothing_of_the_npz),
           UNIT(make__survives_every_allocation_failure))
