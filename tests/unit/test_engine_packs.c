/* Packed weights in a file: mapped instead of made, made again when it is not what it should be,
 * shared by processes. */
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine_graphs.h"

static const gf_output_spec output = {"softmax", GF_POOL_NONE};

static gf_plan_options pack_options(const char *dir)
{
    gf_plan_options options = f32_options();
    options.pack_dir = dir;
    options.weights_key = "0123456789abcdef";
    return options;
}

static void remove_dir(char *dir)
{
    gf__dir_list list = {0};
    char path[4400];
    CHECK_OK(gf__list_dir(dir, &list, &check_err));
    for (size_t i = 0; i < list.n_names; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, list.names[i]);
        unlink(path);
    }
    gf__dir_list_free(&list);
    rmdir(dir);
    free(dir);
}

/* Path of the only file in dir; static buffer. */
static const char *only_file(const char *dir)
{
    static char path[4400];
    gf__dir_list list = {0};
    CHECK_OK(gf__list_dir(dir, &list, &check_err));
    CHECK_EQ(list.n_names, 1);
    snprintf(path, sizeof path, "%s/%s", dir, list.names[0]);
    gf__dir_list_free(&list);
    return path;
}

static size_t count_files(const char *dir)
{
    gf__dir_list list = {0};
    CHECK_OK(gf__list_dir(dir, &list, &check_err));
    const size_t n = list.n_names;
    gf__dir_list_free(&list);
    return n;
}

static void run_graph(const gf_graph *graph, const gf_plan_options *options, float scores[4])
{
    uint8_t *pixels = make_pixels(graph, 11);
    ran r = run_plan(graph, &output, 1, options, pixels, 1);
    memcpy(scores, gf_exec_output(r.exec, 0), 4 * sizeof *scores);
    end_run(&r);
    free(pixels);
}

/* What the network gives without any pack file. */
static void right_scores(float scores[4])
{
    gf_graph *graph = small_graph();
    const gf_plan_options options = f32_options();
    run_graph(graph, &options, scores);
    gf_graph_free(graph);
}

static void check_scores(const gf_plan_options *options)
{
    float want[4], got[4];
    gf_graph *graph = small_graph();
    right_scores(want);
    run_graph(graph, options, got);
    assert_memory_equal(got, want, sizeof want);
    gf_graph_free(graph);
}

/* A graph whose weights are all zero gets the right answer: they were never looked at. */
TEST(packs__a_mapped_pack_leaves_the_graphs_weights_alone)
{
    char *dir = check_temp_dir();
    const gf_plan_options options = pack_options(dir);
    float want[4], got[4];
    right_scores(want);
    check_scores(&options);
    gf_graph *empty = small_graph_without_weights();
    run_graph(empty, &options, got);
    assert_memory_equal(got, want, sizeof want);
    gf_graph_free(empty);
    CHECK_EQ(count_files(dir), 1); /* and nothing temporary is left */
    remove_dir(dir);
}

TEST(packs__makes_the_folder_it_needs)
{
    char *dir = check_temp_dir();
    char inner[4200];
    snprintf(inner, sizeof inner, "%s/packs", dir);
    const gf_plan_options options = pack_options(inner);
    check_scores(&options);
    CHECK_EQ(count_files(inner), 1);
    remove_dir(strdup(inner));
    remove_dir(dir);
}

static void write_at(const char *path, long offset, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    CHECK_EQ(fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET), 0);
    CHECK_EQ(fwrite(bytes, 1, n, file), n);
    CHECK_EQ(fclose(file), 0);
}

static ino_t inode_of(const char *path)
{
    struct stat status;
    CHECK_EQ(stat(path, &status), 0);
    return status.st_ino;
}

/* Every kind of damage is noticed and the file made again, whole. */
TEST(packs__makes_a_damaged_file_again)
{
    char *dir = check_temp_dir();
    const gf_plan_options options = pack_options(dir);
    check_scores(&options);
    const char *path = only_file(dir);
    struct stat whole;
    CHECK_EQ(stat(path, &whole), 0);
    const long size = (long)whole.st_size;
    const long flips[] = {0, 9, 80, 100, 127, 128, 200, size / 2, size - 65, size - 64, size - 57};
    for (size_t i = 0; i < sizeof flips / sizeof *flips; i++) {
        const ino_t before = inode_of(path);
        char byte = 0;
        FILE *file = fopen(path, "rb");
        fseek(file, flips[i], SEEK_SET);
        CHECK_EQ(fread(&byte, 1, 1, file), 1);
        fclose(file);
        byte = (char)(byte ^ 0x10);
        write_at(path, flips[i], &byte, 1);
        check_scores(&options);
        if (inode_of(path) == before)
            fail_msg("byte %ld of %ld was changed and nobody noticed", flips[i], size);
    }
    const long sizes[] = {0, 1, 127, 128, size - 64, size - 1, size + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK_EQ(truncate(path, sizes[i]), 0);
        check_scores(&options);
        struct stat again;
        CHECK_EQ(stat(path, &again), 0);
        CHECK_EQ(again.st_size, size);
    }
    CHECK_EQ(count_files(dir), 1);
    remove_dir(dir);
}

TEST(packs__other_weights_threads_precision_or_cut_get_their_own_file)
{
    char *dir = check_temp_dir();
    gf_graph *graph = small_graph();
    float scores[4];
    gf_plan_options options = pack_options(dir);
    run_graph(graph, &options, scores);
    CHECK_EQ(count_files(dir), 1);
    options.n_threads = 2;
    run_graph(graph, &options, scores);
    CHECK_EQ(count_files(dir), 2);
    options = pack_options(dir);
    options.weights_key = "other";
    run_graph(graph, &options, scores);
    CHECK_EQ(count_files(dir), 3);
    options = pack_options(dir);
    options.shift = 0.0f; /* folded into the weights */
    run_graph(graph, &options, scores);
    options = pack_options(dir);
    options.max_batch = 8; /* does not touch the weights */
    run_graph(graph, &options, scores);
    CHECK_EQ(count_files(dir), 3);
    gf_plan *plan = NULL;
    CHECK_OK(gf_plan_new(graph, &(gf_output_spec){"relu6", GF_POOL_NONE}, 1, &options, &plan,
                         &check_err));
    gf_plan_free(plan);
    CHECK_EQ(count_files(dir), 4);
    if (gf_precision_is_native(GF_PRECISION_BF16)) {
        options.precision = GF_PRECISION_BF16;
        run_graph(graph, &options, scores);
        CHECK_EQ(count_files(dir), 5);
    }
    gf_graph_free(graph);
    remove_dir(dir);
}

/* A plain file stands where the folder should be: nothing can be written, and nothing is lost but
 * time. */
TEST(packs__a_folder_that_cannot_be_written_is_no_error)
{
    char *dir = check_temp_dir();
    char blocked[4200];
    snprintf(blocked, sizeof blocked, "%s/file", dir);
    CHECK_OK(gf__write_file(blocked, "x", 1, &check_err));
    const gf_plan_options options = pack_options(blocked);
    check_scores(&options);
    remove_dir(dir);
}

TEST(packs__survives_every_allocation_failure)
{
    char *dir = check_temp_dir();
    gf_graph *graph = small_graph();
    const gf_plan_options options = pack_options(dir);
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf_plan *plan = NULL;
        gf__mem_fail_after(n);
        st = gf_plan_new(graph, &output, 1, &options, &plan, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && plan == NULL));
        gf_plan_free(plan);
    }
    CHECK_EQ(st, GF_OK);
    check_scores(&options);
    gf_graph_free(graph);
    remove_dir(dir);
}

/* Four processes start at once on an empty folder, and again on a damaged file. */
TEST(packs__processes_may_make_the_file_at_once)
{
    char *dir = check_temp_dir();
    const gf_plan_options options = pack_options(dir);
    float want[4];
    right_scores(want);
    for (int round = 0; round < 4; round++) {
        pid_t children[4];
        for (size_t i = 0; i < 4; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                float got[4];
                gf_graph *graph = small_graph();
                run_graph(graph, &options, got);
                _exit(memcmp(got, want, sizeof want) == 0 ? 0 : 1);
            }
        }
        for (size_t i = 0; i < 4; i++) {
            int status = -1;
            CHECK_EQ(waitpid(children[i], &status, 0), children[i]);
            CHECK_EQ(status, 0);
        }
        CHECK_EQ(truncate(only_file(dir), 300 * round), 0);
    }
    remove_dir(dir);
}

/* A plan of a graph without weights is right with the weights that another lends: of the same
 * threads all of them, of others those that are packed alike. */
TEST(packs__a_plan_borrows_what_another_has_packed)
{
    gf_graph *graph = small_graph(), *empty = small_graph_without_weights();
    gf_plan_options options = f32_options();
    gf_plan *lender = NULL;
    float want[4];
    uint8_t *pixels = make_pixels(graph, 11);
    right_scores(want);
    CHECK_OK(gf_plan_new(graph, &output, 1, &options, &lender, &check_err));
    CHECK_EQ(gf__plan_owned_bytes(lender), gf_plan_memory_bytes(lender));
    for (int n_threads = 1; n_threads <= 2; n_threads++) {
        ran r = {NULL, NULL};
        options.n_threads = n_threads;
        CHECK_OK(gf__plan_new_borrowing(n_threads == 1 ? empty : graph, &output, 1, &options,
                                        lender, &r.plan, &check_err));
        CHECK(gf__plan_owned_bytes(r.plan) <= (n_threads == 1 ? 0 : gf_plan_memory_bytes(r.plan)));
        CHECK_OK(gf_exec_new(r.plan, &r.exec, &check_err));
        CHECK_OK(gf_exec_run(r.exec, pixels, 1, &check_err));
        check_values("scores", gf_exec_output(r.exec, 0), want, 4, n_threads == 1 ? 0 : 1e-6);
        end_run(&r);
    }
    gf_plan_free(lender);
    free(pixels);
    gf_graph_free(empty);
    gf_graph_free(graph);
}

TESTS_MAIN(UNIT(packs__a_plan_borrows_what_another_has_packed),
           UNIT(packs__a_mapped_pack_leaves_the_graphs_weights_alone),
           UNIT(packs__makes_the_folder_it_needs), UNIT(packs__makes_a_damaged_file_again),
           UNIT(packs__other_weights_threads_precision_or_cut_get_their_own_file),
           UNIT(packs__a_folder_that_cannot_be_written_is_no_error),
           UNIT(packs__survives_every_allocation_failure),
           UNIT(packs__processes_may_make_the_file_at_once))
