/* The real trunk (Inception-v3 of the npm package, imported into $GRAFT_TEST_HOME) against ONNX
 * Runtime's numbers for two pictures; tests/golden/make_engine.py made them. A missing trunk is
 * a failure: `make test` imports it first. */
#include <pthread.h>

#include "engine_graphs.h"
#include "zoo/zoo.h"

#define SIZE         299
#define N_BYTES      (SIZE * SIZE * 3)
#define N_FEATURES   2048
#define N_CHECKPOINT 4 /* outputs there are golden values for */

static gf_trunk *trunk;
static gf_safetensors *golden;
static uint8_t *noise, *waves; /* the two pictures */

static int open_all(void **state)
{
    (void)state;
    const char *home = getenv("GRAFT_TEST_HOME");
    if (home == NULL) {
        print_error("GRAFT_TEST_HOME is not set: run this through make test\n");
        return 1;
    }
    CHECK_OK(gf_trunk_load(home, "inception_v3", &trunk, &check_err));
    CHECK_OK(gf_safetensors_open(check_fixture("golden/engine/inception.safetensors"), &golden,
                                 &check_err));
    noise = malloc(N_BYTES);
    waves = malloc(N_BYTES);
    hash_bytes(noise, N_BYTES, 0);
    for (int y = 0; y < SIZE; y++) {
        for (int x = 0; x < SIZE; x++) {
            for (int c = 0; c < 3; c++) {
                const int first = abs((3 * x + 5 * y + 90 * c) % 512 - 256);
                const int second = abs((11 * x + (y * y) / 64 + 200 * c) % 512 - 256);
                const int value = (first + second) / 2;
                waves[(y * SIZE + x) * 3 + c] = (uint8_t)(value < 255 ? value : 255);
            }
        }
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    free(noise);
    free(waves);
    gf_safetensors_close(golden);
    gf_trunk_free(trunk);
    return 0;
}

/* Two blocks pooled, the features, and the checkpoint's own scores. */
static void fill_outputs(gf_output_spec outputs[N_CHECKPOINT])
{
    bool needs_pool = false;
    outputs[0] = (gf_output_spec){"mixed0", GF_POOL_AVG};
    outputs[1] = (gf_output_spec){"mixed4", GF_POOL_AVG};
    CHECK_OK(gf__zoo_resolve_cut(gf_trunk_graph(trunk), "avg_pool", &outputs[2].layer, &needs_pool,
                                 &check_err));
    outputs[2].pool = needs_pool ? GF_POOL_AVG : GF_POOL_NONE;
    outputs[3] = (gf_output_spec){"-1", GF_POOL_NONE};
}

static const float *golden_values(const char *picture, size_t output, size_t *n)
{
    static const char *const names[N_CHECKPOINT] = {"mixed0", "mixed4", "avg_pool", "softmax"};
    char key[64];
    snprintf(key, sizeof key, "%s_%s", picture, names[output]);
    const gf_tensor *tensor = gf_safetensors_find(golden, key);
    assert_non_null(tensor);
    *n = gf_tensor_n_values(tensor);
    return gf_tensor_f32(tensor);
}

static gf_plan_options options_of(gf_precision precision, int n_threads)
{
    gf_plan_options options = gf_plan_options_default();
    options.precision = precision;
    options.n_threads = n_threads;
    options.max_batch = 2;
    return options;
}

/* All outputs of the picture at `place` in the last run. */
static void check_golden(const ran *r, const gf_output_spec *outputs, const char *picture,
                         size_t place)
{
    for (size_t k = 0; k < N_CHECKPOINT; k++) {
        size_t n = 0;
        const float *want = golden_values(picture, k, &n);
        CHECK_EQ(gf_plan_output_size(r->plan, k), n);
        check_values(outputs[k].layer, gf_exec_output(r->exec, k) + place * n, want, n, 1e-4);
    }
}

/* Both pictures, in one run or in two. */
static void check_f32(int n_threads, size_t max_batch)
{
    gf_plan_options options = options_of(GF_PRECISION_F32, n_threads);
    gf_output_spec outputs[N_CHECKPOINT];
    uint8_t *both = malloc(2 * N_BYTES);
    memcpy(both, noise, N_BYTES);
    memcpy(both + N_BYTES, waves, N_BYTES);
    fill_outputs(outputs);
    options.max_batch = max_batch;
    ran r = run_plan(gf_trunk_graph(trunk), outputs, N_CHECKPOINT, &options, both, max_batch);
    check_golden(&r, outputs, "noise", 0);
    if (max_batch == 1)
        CHECK_OK(gf_exec_run(r.exec, waves, 1, &check_err));
    check_golden(&r, outputs, "waves", max_batch - 1);
    end_run(&r);
    free(both);
}

TEST(inception__f32_agrees_with_onnx_runtime)
{
    check_f32(1, 2);
}

TEST(inception__f32_agrees_with_onnx_runtime_on_two_threads)
{
    check_f32(2, 1); /* on one picture together */
    check_f32(2, 2); /* on one each */
}

TEST(inception__bf16_points_where_f32_points)
{
    if (!gf_precision_is_native(GF_PRECISION_BF16))
        skip();
    const gf_plan_options options = options_of(GF_PRECISION_BF16, 1);
    gf_output_spec outputs[N_CHECKPOINT];
    fill_outputs(outputs);
    const char *const names[] = {"noise", "waves"};
    const uint8_t *const pictures[] = {noise, waves};
    for (size_t i = 0; i < 2; i++) {
        ran r = run_plan(gf_trunk_graph(trunk), outputs, N_CHECKPOINT, &options, pictures[i], 1);
        for (size_t k = 0; k < N_CHECKPOINT; k++) {
            size_t n = 0;
            const float *want = golden_values(names[i], k, &n);
            const double c = cosine(gf_exec_output(r.exec, k), want, n);
            if (!(c > 0.999))
                fail_msg("%s of %s: cosine to f32 is %.6f", outputs[k].layer, names[i], c);
            check_values(outputs[k].layer, gf_exec_output(r.exec, k), want, n,
                         0.03 * largest(want, n));
        }
        end_run(&r);
    }
}

/* ---- bytes: one picture's features are the same whoever computes them, with what neighbours,
 * in which precision ---- */

typedef struct shared_run {
    const gf_plan *plan;
    float features[N_FEATURES];
    gf_status status;
} shared_run;

static void *run_waves(void *user)
{
    shared_run *run = user;
    gf_exec *exec = NULL;
    run->status = gf_exec_new(run->plan, &exec, NULL);
    for (int i = 0; run->status == GF_OK && i < 2; i++)
        run->status = gf_exec_run(exec, waves, 1, NULL);
    if (run->status == GF_OK)
        memcpy(run->features, gf_exec_output(exec, 0), sizeof run->features);
    gf_exec_free(exec);
    return NULL;
}

static void check_bytes(gf_precision precision)
{
    const gf_plan_options options = options_of(precision, 1);
    gf_output_spec outputs[N_CHECKPOINT];
    float alone[N_FEATURES];
    uint8_t *both = malloc(2 * N_BYTES);
    fill_outputs(outputs);
    ran r = run_plan(gf_trunk_graph(trunk), &outputs[2], 1, &options, waves, 1);
    memcpy(alone, gf_exec_output(r.exec, 0), sizeof alone);
    memcpy(both, noise, N_BYTES);
    memcpy(both + N_BYTES, waves, N_BYTES);
    CHECK_OK(gf_exec_run(r.exec, both, 2, &check_err));
    assert_memory_equal(gf_exec_output(r.exec, 0) + N_FEATURES, alone, sizeof alone);
    free(both);

    shared_run runs[2];
    pthread_t threads[2];
    for (size_t t = 0; t < 2; t++) {
        runs[t] = (shared_run){.plan = r.plan};
        CHECK_EQ(pthread_create(&threads[t], NULL, run_waves, &runs[t]), 0);
    }
    for (size_t t = 0; t < 2; t++) {
        pthread_join(threads[t], NULL);
        CHECK_EQ(runs[t].status, GF_OK);
        assert_memory_equal(runs[t].features, alone, sizeof alone);
    }
    end_run(&r);
}

TEST(inception__features_do_not_depend_on_neighbours_or_thread)
{
    check_bytes(GF_PRECISION_F32);
    if (gf_precision_is_native(GF_PRECISION_BF16))
        check_bytes(GF_PRECISION_BF16);
}

static void check_same_outputs(const gf_plan *plan, const gf_exec *a, const gf_exec *b, size_t n)
{
    for (size_t k = 0; k < n; k++)
        assert_memory_equal(gf_exec_output(a, k), gf_exec_output(b, k),
                            gf_plan_output_size(plan, k) * sizeof(float));
}

/* A plan for several threads, run by one: the bytes that all of them give; and but for the last
 * layer, whose long sums are shared out among threads, those of a plan for one. Execs that share
 * memory keep their outputs. */
static void check_single(gf_precision precision, int n_threads)
{
    gf_plan_options options = options_of(precision, 1);
    gf_output_spec outputs[N_CHECKPOINT];
    gf_plan *plan = NULL;
    gf_exec *single = NULL, *together = NULL;
    fill_outputs(outputs);
    options.max_batch = 1;
    ran one = run_plan(gf_trunk_graph(trunk), outputs, N_CHECKPOINT, &options, waves, 1);
    options.n_threads = n_threads;
    CHECK_OK(
        gf_plan_new(gf_trunk_graph(trunk), outputs, N_CHECKPOINT, &options, &plan, &check_err));
    const size_t n_bytes = gf_plan_arena_bytes(plan);
    uint8_t *memory = gf__alloc_aligned(n_bytes);
    CHECK_OK(gf__exec_new_in(plan, memory, n_bytes, &single, &check_err));
    CHECK_OK(gf__exec_new_in(plan, memory, n_bytes, &together, &check_err));
    CHECK_OK(gf__exec_run_single(single, waves, &check_err));
    CHECK_OK(gf_exec_run(together, waves, 1, &check_err));
    check_same_outputs(plan, single, together, N_CHECKPOINT);
    check_same_outputs(plan, single, one.exec, N_CHECKPOINT - 1);
    gf_exec_free(together);
    CHECK_OK(gf__exec_new_in(plan, memory, n_bytes - 1, &together, &check_err)); /* its own */
    CHECK_OK(gf_exec_run(together, noise, 1, &check_err));
    CHECK_OK(gf__exec_run_single(single, noise, &check_err));
    check_same_outputs(plan, single, together, N_CHECKPOINT);
    gf_exec_free(single);
    gf_exec_free(together);
    gf__free(memory);
    gf_plan_free(plan);
    end_run(&one);
}

TEST(inception__one_thread_runs_a_plan_for_several)
{
    check_single(GF_PRECISION_F32, 2);
    check_single(GF_PRECISION_F32, 5);
    if (!gf_precision_is_native(GF_PRECISION_BF16))
        return;
    check_single(GF_PRECISION_BF16, 2);
    check_single(GF_PRECISION_BF16, 5);
}

/* Asking for every block in the same pass changes what is fused, not what comes out. */
TEST(inception__all_blocks_in_one_pass_give_what_single_passes_give)
{
    const gf_plan_options options = options_of(GF_PRECISION_F32, 1);
    size_t n_blocks = 0;
    const char *const *blocks = gf__zoo_block_outputs(gf_trunk_graph(trunk), &n_blocks);
    gf_output_spec outputs[32];
    CHECK(n_blocks > 8 && n_blocks <= 32);
    for (size_t k = 0; k < n_blocks; k++)
        outputs[k] = (gf_output_spec){blocks[k], GF_POOL_AVG};
    ran all = run_plan(gf_trunk_graph(trunk), outputs, n_blocks, &options, waves, 1);
    for (size_t k = 0; k < n_blocks; k += 5) {
        ran one = run_plan(gf_trunk_graph(trunk), &outputs[k], 1, &options, waves, 1);
        assert_memory_equal(gf_exec_output(one.exec, 0), gf_exec_output(all.exec, k),
                            gf_plan_output_size(one.plan, 0) * sizeof(float));
        end_run(&one);
    }
    end_run(&all);
}

/* What a worker holds: weights once, and an arena of what is alive at the widest place. */
TEST(inception__memory_stays_small)
{
    gf_output_spec outputs[N_CHECKPOINT];
    gf_plan *plan = NULL;
    gf_plan_options options = options_of(GF_PRECISION_F32, 1);
    fill_outputs(outputs);
    CHECK_OK(gf_plan_new(gf_trunk_graph(trunk), &outputs[2], 1, &options, &plan, &check_err));
    CHECK(gf_plan_memory_bytes(plan) < 90u << 20);
    CHECK(gf_plan_arena_bytes(plan) < 9u << 20);
    gf_plan_free(plan);
    plan = NULL;
    if (!gf_precision_is_native(GF_PRECISION_BF16))
        return;
    options.precision = GF_PRECISION_BF16;
    CHECK_OK(gf_plan_new(gf_trunk_graph(trunk), &outputs[2], 1, &options, &plan, &check_err));
    CHECK(gf_plan_memory_bytes(plan) < 45u << 20);
    CHECK(gf_plan_arena_bytes(plan) < 9u << 19);
    gf_plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(inception__f32_agrees_with_onnx_runtime),
        UNIT(inception__f32_agrees_with_onnx_runtime_on_two_threads),
        UNIT(inception__bf16_points_where_f32_points),
        UNIT(inception__features_do_not_depend_on_neighbours_or_thread),
        UNIT(inception__one_thread_runs_a_plan_for_several),
        UNIT(inception__all_blocks_in_one_pass_give_what_single_passes_give),
        UNIT(inception__memory_stays_small),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
