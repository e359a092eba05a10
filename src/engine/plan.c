/* plan.c: a plan is made here, step by step: lower, primitives, memory, weights. Nothing in it
 * changes afterwards. */
#include <math.h>
#include <string.h>

#include "engine/dnnl_priv.h"

gf_plan_options gf_plan_options_default(void)
{
    return (gf_plan_options){.precision = GF_PRECISION_AUTO,
                             .max_batch = 1,
                             .n_threads = 1,
                             .input = GF_INPUT_U8,
                             .scale = 1.0f / 127.5f,
                             .shift = -1.0f};
}

static gf_status check_options(gf_plan_options *options, gf_error *err)
{
    if (options->max_batch == 0)
        return gf_error_set(err, GF_EINVAL, "a batch of 0 pictures, expected at least 1");
    if (options->n_threads < 0)
        return gf_error_set(err, GF_EINVAL, "%d threads, expected 0 (all available) or more",
                            options->n_threads);
    if (!isfinite(options->scale) || !isfinite(options->shift) || options->scale == 0.0f)
        return gf_error_set(err, GF_EINVAL,
                            "pixels scaled by %g and shifted by %g, expected finite numbers and a "
                            "scale that is not 0",
                            (double)options->scale, (double)options->shift);
    if (options->pack_dir != NULL && options->weights_key == NULL)
        return gf_error_set(err, GF_EINVAL, "a pack folder without the identity of the weights");
    options->precision = gf_precision_resolve(options->precision);
    if (options->precision == GF_PRECISION_BF16 && !gf__dnnl_has_bf16())
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "this CPU (%s) only emulates bf16, slower than f32: use f32",
                            gf_engine_isa());
    if (options->n_threads == 0)
        options->n_threads = gf_threads_available();
    return GF_OK;
}

/* One picture gets all threads; several get a lane each, as far as there are threads. */
static void share_out_threads(gf_plan *plan)
{
    const gf_plan_options *options = &plan->options;
    plan->n_lanes = 1;
    plan->n_inner_threads = options->n_threads;
    if (options->max_batch == 1)
        return;
    plan->n_lanes = (size_t)options->n_threads < options->max_batch ? (size_t)options->n_threads
                                                                    : options->max_batch;
    plan->n_inner_threads = 1;
}

static bool needs_prim(const gf__op *op)
{
    return op->kind == GF__OP_CONV || op->kind == GF__OP_DENSE || op->kind == GF__OP_POOL;
}

static void prefix_layer(const gf__op *op, gf_error *err)
{
    if (op->layer != NULL)
        gf__error_prefix(err, "%s", gf_layer_name(op->layer));
}

static gf_status make_prims(gf_plan *plan, gf_error *err)
{
    for (size_t i = 0; i < plan->program.n_ops; i++) {
        gf__op *op = &plan->program.ops[i];
        if (!needs_prim(op))
            continue;
        gf_status st = gf__prim_new(plan->device, &plan->program, op, &op->prim, err);
        if (st != GF_OK) {
            prefix_layer(op, err);
            return st;
        }
        const size_t scratch_bytes = gf__align(gf__prim_scratch_bytes(op->prim));
        if (scratch_bytes > plan->scratch_bytes)
            plan->scratch_bytes = scratch_bytes;
    }
    return GF_OK;
}

static gf_status build(gf_plan *plan, const gf_plan_options *options, const gf_plan *lender,
                       gf_error *err)
{
    gf_status st = gf__device_new(&plan->device, err);
    if (st == GF_OK && lender == NULL)
        st = gf__packs_begin(plan, options, err);
    if (st != GF_OK)
        return st;
    st = make_prims(plan, err);
    if (st != GF_OK)
        return st;
    st = gf__layout(&plan->program, &plan->arena_bytes, err);
    if (st != GF_OK)
        return st;
    plan->weights_bytes = gf__weights_layout(&plan->program);
    st = lender != NULL ? gf__packs_borrow(plan, lender, err) : gf__packs_load(plan, options, err);
    for (size_t i = 0; i < plan->program.n_ops; i++) {
        plan->program.ops[i].layer = NULL; /* the graph may go now */
        plan->program.ops[i].norm = NULL;
    }
    return st;
}

gf_status gf_plan_new(const gf_graph *graph, const gf_output_spec *outputs, size_t n_outputs,
                      const gf_plan_options *options, gf_plan **out, gf_error *err)
{
    return gf__plan_new_borrowing(graph, outputs, n_outputs, options, NULL, out, err);
}

gf_status gf__plan_new_borrowing(const gf_graph *graph, const gf_output_spec *outputs,
                                 size_t n_outputs, const gf_plan_options *options,
                                 const gf_plan *lender, gf_plan **out, gf_error *err)
{
    gf_status st;
    gf_plan *plan = gf__calloc(1, sizeof *plan);
    gf_plan_options resolved = options != NULL ? *options : gf_plan_options_default();

    *out = NULL;
    if (plan == NULL)
        return gf__error_nomem(err, "the plan", sizeof *plan);
    st = n_outputs > 0
             ? check_options(&resolved, err)
             : gf_error_set(err, GF_EINVAL, "a plan without outputs, expected at least 1");
    if (st != GF_OK)
        goto done;
    plan->options = resolved;
    plan->options.pack_dir = NULL;
    plan->options.weights_key = NULL;
    plan->n_outputs = n_outputs;
    plan->outputs = gf__calloc(n_outputs, sizeof *plan->outputs);
    if (plan->outputs == NULL) {
        st = gf__error_nomem(err, "the plan", n_outputs * sizeof *plan->outputs);
        goto done;
    }
    st = gf__lower(graph, outputs, n_outputs, &plan->options, &plan->program, plan->outputs, err);
    if (st != GF_OK)
        goto done;
    share_out_threads(plan);
    const int before = gf__threads_enter(plan->n_inner_threads);
    st = build(plan, &resolved, lender, err);
    gf__packs_end(plan);
    gf__threads_leave(before);
    if (st != GF_OK)
        goto done;
    *out = plan;
    plan = NULL;
done:
    gf_plan_free(plan);
    return st;
}

void gf_plan_free(gf_plan *plan)
{
    if (plan == NULL)
        return;
    for (size_t i = 0; i < plan->program.n_ops; i++)
        gf__prim_free(plan->program.ops[i].prim);
    gf__program_clear(&plan->program);
    gf__device_free(plan->device);
    gf__unmap(&plan->pack);
    gf__free(plan->owned_weights);
    gf__free(plan->outputs);
    gf__free(plan);
}

gf_precision gf_plan_precision(const gf_plan *plan)
{
    return plan->options.precision;
}

size_t gf_plan_n_outputs(const gf_plan *plan)
{
    return plan->n_outputs;
}

size_t gf_plan_output_size(const gf_plan *plan, size_t i)
{
    return plan->outputs[i].size;
}

size_t gf_plan_output_shape(const gf_plan *plan, size_t i, size_t shape[3])
{
    memcpy(shape, plan->outputs[i].shape, plan->outputs[i].n_dims * sizeof *shape);
    return plan->outputs[i].n_dims;
}

size_t gf_plan_memory_bytes(const gf_plan *plan)
{
    return plan->weights_bytes;
}

size_t gf__plan_owned_bytes(const gf_plan *plan)
{
    return plan->owned_bytes;
}

size_t gf_plan_arena_bytes(const gf_plan *plan)
{
    return plan->n_lanes * (plan->arena_bytes + plan->scratch_bytes);
}
