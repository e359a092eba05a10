/* exec.c: runs a plan. An exec owns all that changes during a run: the arena, oneDNN's scratch, the results, and the
 * calls that bind the plan's primitives to them. Running takes no lock and allocates nothing. */
#include "engine/dnnl_priv.h"
#include "engine/kernels_priv.h"

struct gf_exec {
    const gf_plan *plan;
    uint8_t *arena;
    uint8_t *scratch;
    float **results;  /* for each output, max_batch * size floats */
    gf__call **calls; /* for each operation; NULL for our own kernels */
    gf__stream *stream;
};

static uint8_t *address(const gf_exec *exec, size_t value)
{
    return exec->arena + exec->plan->program.values[value].offset;
}

static gf_status bind_calls(gf_exec *exec, gf_error *err)
{
    const gf_plan *plan = exec->plan;
    gf_status st = gf__stream_new(plan->device, &exec->stream, err);
    for (size_t i = 0; st == GF_OK && i < plan->program.n_ops; i++) {
        const gf__op *op = &plan->program.ops[i];
        const bool has_weights = op->weights.size_bytes > 0;
        if (op->prim == NULL)
            continue;
        st = gf__call_new(plan->device, op->prim, address(exec, op->src[0]),
                          has_weights ? plan->weights + op->weights.offset : NULL,
                          has_weights ? plan->weights + op->bias.offset : NULL,
                          address(exec, op->dst), exec->scratch, &exec->calls[i], err);
    }
    return st;
}

static gf_status make_results(gf_exec *exec, gf_error *err)
{
    for (size_t k = 0; k < exec->plan->n_outputs; k++) {
        size_t n_bytes = 0;
        if (gf__mul_size(exec->plan->outputs[k].size, exec->plan->options.max_batch, &n_bytes) &&
            gf__mul_size(n_bytes, sizeof(float), &n_bytes))
            exec->results[k] = gf__alloc_aligned(n_bytes);
        if (exec->results[k] == NULL)
            return gf__error_nomem(err, "results", n_bytes);
    }
    return GF_OK;
}

gf_status gf_exec_new(const gf_plan *plan, gf_exec **out, gf_error *err)
{
    gf_status st;
    gf_exec *exec = gf__calloc(1, sizeof *exec);

    *out = NULL;
    if (exec == NULL)
        return gf__error_nomem(err, "an exec", sizeof *exec);
    exec->plan = plan;
    exec->arena = gf__alloc_aligned(plan->arena_bytes);
    exec->scratch = gf__alloc_aligned(plan->scratch_bytes);
    exec->results = gf__calloc(plan->n_outputs, sizeof(float *));
    exec->calls = gf__calloc(plan->program.n_ops, sizeof(gf__call *));
    if (exec->arena == NULL || exec->scratch == NULL || exec->results == NULL ||
        exec->calls == NULL) {
        st = gf__error_nomem(err, "an exec", plan->arena_bytes + plan->scratch_bytes);
        goto done;
    }
    st = make_results(exec, err);
    if (st != GF_OK)
        goto done;
    st = bind_calls(exec, err);
    if (st != GF_OK)
        goto done;
    *out = exec;
    exec = NULL;
done:
    gf_exec_free(exec);
    return st;
}

void gf_exec_free(gf_exec *exec)
{
    if (exec == NULL)
        return;
    for (size_t i = 0; exec->calls != NULL && i < exec->plan->program.n_ops; i++)
        gf__call_free(exec->calls[i]);
    for (size_t k = 0; exec->results != NULL && k < exec->plan->n_outputs; k++)
        gf__free(exec->results[k]);
    gf__stream_free(exec->stream);
    gf__free(exec->calls);
    gf__free(exec->results);
    gf__free(exec->scratch);
    gf__free(exec->arena);
    gf__free(exec);
}

static void load_input(gf_exec *exec, const gf__op *op, const void *input, size_t picture)
{
    const gf_plan *plan = exec->plan;
    const gf__value *dst = &plan->program.values[op->dst];
    const size_t n = plan->program.input_values;
    if (plan->options.input == GF_INPUT_U8)
        gf__load_pixels(address(exec, op->dst), dst->dtype, (const uint8_t *)input + picture * n, n,
                        op->scale, op->shift);
    else
        gf__convert(address(exec, op->dst), dst->dtype, (const float *)input + picture * n,
                    GF_DTYPE_F32, n);
}

static void place(gf_exec *exec, const gf__op *op)
{
    const gf__value *src = &exec->plan->program.values[op->src[0]];
    const gf__value *dst = &exec->plan->program.values[op->dst];
    const gf__value *host = &exec->plan->program.values[dst->host];
    const size_t number_bytes = gf_dtype_size(src->dtype);
    gf__place_rows(address(exec, op->dst), host->channels * number_bytes, address(exec, op->src[0]),
                   src->channels * number_bytes, src->height * src->width);
}

/* An operation that is not oneDNN's. result is where output op->output of this picture goes. */
static void run_own(gf_exec *exec, const gf__op *op, float *result)
{
    const gf__value *src = &exec->plan->program.values[op->src[0]];
    const size_t n_pixels = src->height * src->width;
    const uint8_t *from = address(exec, op->src[0]);
    uint8_t *to = op->dst != GF__NONE ? address(exec, op->dst) : (uint8_t *)result;
    const uint8_t *weights = exec->plan->weights;
    switch (op->kind) {
    case GF__OP_PLACE:
        place(exec, op);
        break;
    case GF__OP_GLOBAL_POOL:
        gf__global_pool((float *)(void *)to, from, src->dtype, n_pixels, src->channels, op->is_max);
        break;
    case GF__OP_AFFINE:
        gf__affine(to, from, src->dtype,
                   (const float *)(const void *)(weights + op->weights.offset),
                   (const float *)(const void *)(weights + op->bias.offset), n_pixels,
                   src->channels, op->activation);
        break;
    case GF__OP_PAD:
        gf__pad(to, from, src->height, src->width, src->channels * gf_dtype_size(src->dtype),
                op->padding);
        break;
    case GF__OP_ADD:
        gf__add(to, from, address(exec, op->src[1]), src->dtype, n_pixels * src->channels,
                op->activation);
        break;
    case GF__OP_ACTIVATION:
        gf__activate(to, from, src->dtype, n_pixels, src->channels, op->activation);
        break;
    case GF__OP_CONVERT:
    case GF__OP_OUTPUT:
        gf__convert(to, GF_DTYPE_F32, from, src->dtype, n_pixels * src->channels);
        break;
    case GF__OP_INPUT:
    case GF__OP_CONV:
    case GF__OP_DENSE:
    case GF__OP_POOL:
        break; /* run_picture does these */
    }
}

static gf_status run_picture(gf_exec *exec, const void *input, size_t picture, gf_error *err)
{
    const gf_plan *plan = exec->plan;
    for (size_t i = 0; i < plan->program.n_ops; i++) {
        const gf__op *op = &plan->program.ops[i];
        if (op->kind == GF__OP_INPUT) {
            load_input(exec, op, input, picture);
        } else if (op->prim != NULL) {
            gf_status st = gf__call_run(exec->calls[i], exec->stream, err);
            if (st != GF_OK)
                return st;
        } else {
            float *result = NULL;
            if (op->output != GF__NONE)
                result = exec->results[op->output] + picture * plan->outputs[op->output].size;
            run_own(exec, op, result);
        }
    }
    return GF_OK;
}

gf_status gf_exec_run(gf_exec *exec, const void *input, size_t n, gf_error *err)
{
    const gf_plan *plan = exec->plan;
    gf_status st = GF_OK;
    if (n == 0 || n > plan->options.max_batch)
        return gf_error_set(err, GF_EINVAL, "a run of %zu pictures, expected 1 to %zu", n,
                            plan->options.max_batch);
    const int before = gf__threads_enter(plan->options.n_threads);
    for (size_t picture = 0; st == GF_OK && picture < n; picture++)
        st = run_picture(exec, input, picture, err);
    gf__threads_leave(before);
    return st;
}

const float *gf_exec_output(const gf_exec *exec, size_t i)
{
    return exec->results[i];
}
