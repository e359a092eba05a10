/* Precisions: names, what this CPU computes natively, and how far bf16 is from f32. The program
 * starts itself again with oneDNN held to AVX2, to see what happens on a CPU without bf16. */
#include <sys/wait.h>
#include <unistd.h>

#include "engine_graphs.h"

TEST(precision__names_go_both_ways)
{
    const gf_precision all[] = {GF_PRECISION_AUTO, GF_PRECISION_F32, GF_PRECISION_BF16};
    for (size_t i = 0; i < 3; i++) {
        gf_precision parsed;
        CHECK_OK(gf_precision_parse(gf_precision_name(all[i]), &parsed, &check_err));
        CHECK_EQ(parsed, all[i]);
    }
    CHECK_STR(gf_precision_name((gf_precision)99), "?");
}

TEST(precision__an_unknown_name_is_refused)
{
    gf_precision parsed = GF_PRECISION_F32;
    CHECK_FAILS(GF_EINVAL, "\"f16\"", gf_precision_parse("f16", &parsed, &check_err));
    CHECK_FAILS(GF_EINVAL, "expected auto, f32 or bf16",
                gf_precision_parse("", &parsed, &check_err));
    CHECK_EQ(parsed, GF_PRECISION_F32);
}

TEST(precision__a_plan_never_says_auto)
{
    gf_graph *graph = small_graph();
    gf_plan_options options = gf_plan_options_default();
    gf_plan *plan = NULL;
    CHECK_EQ(options.precision, GF_PRECISION_AUTO);
    CHECK_OK(gf_plan_new(graph, &(gf_output_spec){"softmax", GF_POOL_NONE}, 1, &options, &plan,
                         &check_err));
    CHECK_EQ(gf_plan_precision(plan), gf_precision_resolve(GF_PRECISION_AUTO));
    CHECK(gf_plan_precision(plan) != GF_PRECISION_AUTO);
    CHECK(strlen(gf_engine_isa()) > 0);
    CHECK(strncmp(gf_engine_library(), "oneDNN ", 7) == 0);
    gf_plan_free(plan);
    gf_graph_free(graph);
}

/* Whatever a hypervisor lets through: the choice is one of the two, and the same every time. */
TEST(precision__auto_is_never_an_emulated_one)
{
    const gf_precision choice = gf_precision_resolve(GF_PRECISION_AUTO);
    CHECK(choice == GF_PRECISION_F32 || choice == GF_PRECISION_BF16);
    CHECK(gf_precision_is_native(choice));
    CHECK(gf_precision_is_native(GF_PRECISION_F32));
#if defined(__x86_64__)
    if (__builtin_cpu_is("intel") && strcmp(gf_engine_isa(), "avx512_core_amx") != 0)
        CHECK_EQ(choice, GF_PRECISION_F32);
#endif
    if (strcmp(gf_engine_isa(), "avx512_core_amx") == 0)
        CHECK_EQ(choice, GF_PRECISION_BF16);
    CHECK_EQ(gf_precision_resolve(GF_PRECISION_F32), GF_PRECISION_F32);
    CHECK_EQ(gf_precision_resolve(GF_PRECISION_BF16), GF_PRECISION_BF16);
}

/* bfloat16 has 8 bits; eight layers of it stay within some percent of the largest value of each
 * layer. */
TEST(precision__bf16_is_close_to_f32_in_every_layer)
{
    if (!gf_precision_is_native(GF_PRECISION_BF16))
        skip();
    gf_graph *graph = small_graph();
    uint8_t *pixels = make_pixels(graph, 21);
    float *input = scale_pixels(graph, pixels);
    gf_plan_options options = f32_options();
    options.precision = GF_PRECISION_BF16;
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_output_spec output = {gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)i)),
                                       GF_POOL_NONE};
        float *want = NULL;
        CHECK_OK(gf__engine_run_reference(graph, &output, 1, input, &want, &check_err));
        for (int kind = GF_INPUT_F32; kind <= GF_INPUT_U8; kind++) {
            options.input = (gf_input_kind)kind;
            ran r = run_plan(graph, &output, 1, &options,
                             kind == GF_INPUT_U8 ? (const void *)pixels : input, 1);
            const size_t n = gf_plan_output_size(r.plan, 0);
            check_values(output.layer, gf_exec_output(r.exec, 0), want, n, 0.03 * largest(want, n));
            CHECK(cosine(gf_exec_output(r.exec, 0), want, n) > 0.999);
            end_run(&r);
        }
        gf__free(want);
    }
    gf_graph_free(graph);
    free(input);
    free(pixels);
}

/* Pooled features are not rounded to 8 bits at the end. */
TEST(precision__bf16_pools_into_float)
{
    if (!gf_precision_is_native(GF_PRECISION_BF16))
        skip();
    gf_graph *graph = small_graph();
    uint8_t *pixels = make_pixels(graph, 21);
    gf_plan_options options = f32_options();
    options.precision = GF_PRECISION_BF16;
    const gf_output_spec outputs[] = {{"mean", GF_POOL_NONE}, {"concat", GF_POOL_AVG}};
    ran r = run_plan(graph, outputs, 2, &options, pixels, 1);
    size_t n_fine = 0;
    for (size_t i = 0; i < 21; i++) {
        const float value = gf_exec_output(r.exec, 0)[i];
        n_fine += gf__bf16_to_f32(gf__f32_to_bf16(value)) != value;
    }
    CHECK(n_fine > 10);
    check_values("mean", gf_exec_output(r.exec, 1), gf_exec_output(r.exec, 0), 21, 0.0);
    end_run(&r);
    free(pixels);
    gf_graph_free(graph);
}

/* Runs in the second process, held to AVX2: 0 where everything is as it should be, else the
 * line. */
static int check_avx2(void)
{
    gf_graph *graph = small_graph();
    gf_plan_options options = f32_options();
    const gf_output_spec output = {"softmax", GF_POOL_NONE};
    gf_plan *plan = NULL;
    float *want = NULL;
    gf_error err;
    if (strcmp(gf_engine_isa(), "avx2") != 0)
        return __LINE__;
    if (gf_precision_resolve(GF_PRECISION_AUTO) != GF_PRECISION_F32)
        return __LINE__;
    options.precision = GF_PRECISION_BF16;
    if (gf_plan_new(graph, &output, 1, &options, &plan, &err) != GF_EUNSUPPORTED ||
        strstr(err.message, "avx2") == NULL)
        return __LINE__;
    options.precision = GF_PRECISION_AUTO;
    uint8_t *pixels = make_pixels(graph, 2);
    float *input = scale_pixels(graph, pixels);
    ran r = run_plan(graph, &output, 1, &options, pixels, 1);
    if (gf__engine_run_reference(graph, &output, 1, input, &want, NULL) != GF_OK)
        return __LINE__;
    for (size_t k = 0; k < 4; k++)
        if (!(fabsf(gf_exec_output(r.exec, 0)[k] - want[k]) < 1e-5f))
            return __LINE__;
    end_run(&r);
    gf__free(want);
    free(input);
    free(pixels);
    gf_graph_free(graph);
    return 0;
}

TEST(precision__bf16_is_refused_where_it_would_be_emulated)
{
    const pid_t child = fork();
    if (child == 0) {
        setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);
        setenv("DNNL_MAX_CPU_ISA", "AVX2", 1);
        execl("/proc/self/exe", "test_engine_precision", "avx2", (char *)NULL);
        _exit(126);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    if (WEXITSTATUS(status) != 0)
        fail_msg("the process held to AVX2 failed at line %d (modulo 256)", WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        UNIT(precision__names_go_both_ways),
        UNIT(precision__an_unknown_name_is_refused),
        UNIT(precision__a_plan_never_says_auto),
        UNIT(precision__auto_is_never_an_emulated_one),
        UNIT(precision__bf16_is_close_to_f32_in_every_layer),
        UNIT(precision__bf16_pools_into_float),
        UNIT(precision__bf16_is_refused_where_it_would_be_emulated),
    };
    if (argc > 1 && strcmp(argv[1], "avx2") == 0)
        return check_avx2();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
