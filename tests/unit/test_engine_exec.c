/* Runs of a plan: results do not depend on batch, neighbours, exec or thread; lanes; more pictures than
 * planned. */
#include <pthread.h>

#include "engine/dnnl_priv.h"
#include "engine_graphs.h"

/* ---- what results must not depend on ---- */

#define N_PICTURES 5

typedef struct shared_run {
    const gf_plan *plan;
    const uint8_t *pixels;
    size_t n;
    float results[N_PICTURES * 4];
    gf_status status;
} shared_run;

static void *run_in_thread(void *user)
{
    shared_run *run = user;
    gf_exec *exec = NULL;
    run->status = gf_exec_new(run->plan, &exec, NULL);
    for (int i = 0; run->status == GF_OK && i < 20; i++)
        run->status = gf_exec_run(exec, run->pixels, run->n, NULL);
    if (run->status == GF_OK)
        memcpy(run->results, gf_exec_output(exec, 0), run->n * 4 * sizeof(float));
    gf_exec_free(exec);
    return NULL;
}

/* Pictures one at a time by a plan for one, as the results that everything else is compared
 * with. */
static void run_alone(const gf_graph *graph, gf_plan_options options, const uint8_t *pixels,
                      float *results)
{
    const gf_output_spec output = {"softmax", GF_POOL_NONE};
    options.max_batch = 1;
    options.n_threads = 1;
    for (size_t i = 0; i < N_PICTURES; i++) {
        ran r = run_plan(graph, &output, 1, &options, pixels + i * SMALL_PIXELS, 1);
        memcpy(results + i * 4, gf_exec_output(r.exec, 0), 4 * sizeof(float));
        end_run(&r);
    }
}

/* Pictures on n_threads at once, and three execs at once beside each other. */
static void check_independence(gf_precision precision, int n_threads)
{
    gf_graph *graph = small_graph();
    gf_plan_options options = f32_options();
    const gf_output_spec output = {"softmax", GF_POOL_NONE};
    uint8_t pixels[N_PICTURES * SMALL_PIXELS];
    float alone[N_PICTURES * 4];
    options.precision = precision;
    hash_bytes(pixels, sizeof pixels, 77);
    run_alone(graph, options, pixels, alone);
    options.max_batch = N_PICTURES;
    options.n_threads = n_threads;
    ran r = run_plan(graph, &output, 1, &options, pixels, N_PICTURES);
    for (size_t n = 1; n <= N_PICTURES; n++) {
        CHECK_OK(gf_exec_run(r.exec, pixels, n, &check_err));
        assert_memory_equal(gf_exec_output(r.exec, 0), alone, n * 4 * sizeof(float));
    }
    CHECK_OK(gf_exec_run(r.exec, pixels + SMALL_PIXELS, 2, &check_err)); /* another place */
    assert_memory_equal(gf_exec_output(r.exec, 0), alone + 4, 8 * sizeof(float));

    shared_run runs[3];
    pthread_t threads[3];
    for (size_t t = 0; t < 3; t++) {
        runs[t] = (shared_run){.plan = r.plan, .pixels = pixels, .n = N_PICTURES};
        CHECK_EQ(pthread_create(&threads[t], NULL, run_in_thread, &runs[t]), 0);
    }
    for (size_t t = 0; t < 3; t++) {
        pthread_join(threads[t], NULL);
        CHECK_EQ(runs[t].status, GF_OK);
        assert_memory_equal(runs[t].results, alone, sizeof alone);
    }
    end_run(&r);
    gf_graph_free(graph);
}

TEST(exec__results_do_not_depend_on_batch_neighbours_or_thread)
{
    for (int n_threads = 1; n_threads <= 8; n_threads += n_threads == 1 ? 1 : 6) {
        check_independence(GF_PRECISION_F32, n_threads);
        if (gf_precision_is_native(GF_PRECISION_BF16))
            check_independence(GF_PRECISION_BF16, n_threads);
    }
}

TEST(exec__two_threads_give_the_same_bytes_every_time)
{
    gf_graph *graph = nested_concatenates();
    gf_plan_options options = f32_options();
    const gf_output_spec output = {"end", GF_POOL_NONE};
    options.n_threads = 2;
    check_against_reference(graph, &output, 1, &options, 1e-4);
    uint8_t *pixels = make_pixels(graph, 9);
    ran a = run_plan(graph, &output, 1, &options, pixels, 1);
    ran b = run_plan(graph, &output, 1, &options, pixels, 1);
    for (int i = 0; i < 10; i++) {
        CHECK_OK(gf_exec_run(b.exec, pixels, 1, &check_err));
        assert_memory_equal(gf_exec_output(a.exec, 0), gf_exec_output(b.exec, 0),
                            gf_plan_output_size(a.plan, 0) * sizeof(float));
    }
    end_run(&a);
    end_run(&b);
    free(pixels);
    gf_graph_free(graph);
}

/* Lanes are for pictures at once, and no more of them are made than there can be pictures. */
TEST(exec__has_a_lane_for_each_thread_when_there_are_several_pictures)
{
    gf_graph *graph = small_graph();
    const struct {
        int n_threads;
        size_t max_batch, n_lanes;
        int n_inner_threads;
    } rows[] = {{1, 1, 1, 1}, {2, 1, 1, 2}, {1, 16, 1, 1}, {2, 16, 2, 1}, {8, 3, 3, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gf_plan_options options = f32_options();
        gf_plan *plan = NULL;
        options.n_threads = rows[i].n_threads;
        options.max_batch = rows[i].max_batch;
        CHECK_OK(gf_plan_new(graph, &(gf_output_spec){"softmax", GF_POOL_NONE}, 1, &options, &plan,
                             &check_err));
        CHECK_EQ(plan->n_lanes, rows[i].n_lanes);
        CHECK_EQ(plan->n_inner_threads, rows[i].n_inner_threads);
        CHECK_EQ(gf_plan_arena_bytes(plan),
                 plan->n_lanes * (plan->arena_bytes + plan->scratch_bytes));
        gf_plan_free(plan);
    }
    gf_graph_free(graph);
}

TEST(exec__leaves_the_callers_openmp_setting_alone)
{
    gf_graph *graph = small_graph();
    gf_plan_options options = f32_options();
    const gf_output_spec output = {"softmax", GF_POOL_NONE};
    uint8_t *pixels = make_pixels(graph, 0);
    const int before = gf__threads_enter(3);
    ran r = run_plan(graph, &output, 1, &options, pixels, 1);
    CHECK_EQ(gf__threads_enter(before), 3);
    end_run(&r);
    free(pixels);
    gf_graph_free(graph);
}

/* ---- what is refused ---- */

TEST(exec__refuses_more_pictures_than_planned)
{
    gf_graph *graph = small_graph();
    gf_plan_options options = f32_options();
    uint8_t pixels[4 * SMALL_PIXELS] = {0};
    options.max_batch = 3;
    ran r = run_plan(graph, &(gf_output_spec){"softmax", GF_POOL_NONE}, 1, &options, pixels, 3);
    CHECK_FAILS(GF_EINVAL, "4 pictures", gf_exec_run(r.exec, pixels, 4, &check_err));
    CHECK_FAILS(GF_EINVAL, "0 pictures", gf_exec_run(r.exec, pixels, 0, &check_err));
    end_run(&r);
    gf_graph_free(graph);
}

TESTS_MAIN(UNIT(exec__results_do_not_depend_on_batch_neighbours_or_thread),
           UNIT(exec__two_threads_give_the_same_bytes_every_time),
           UNIT(exec__has_a_lane_for_each_thread_when_there_are_several_pictures),
           UNIT(exec__leaves_the_callers_openmp_setting_alone),
           UNIT(exec__refuses_more_pictures_than_planned))
