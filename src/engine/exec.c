/* exec.c: runs a plan. An exec owns all that changes during a run: arena, oneDNN's scratch, the
 * results, and the calls that bind the plan's primitives to them. Running takes no lock of ours and
 * allocates nothing.
 *
 * A plan for one picture puts all its threads into each operation. A plan for several has lanes
 * instead, one for each thread: a lane works alone on its own picture, so nobody waits at the
 * end of every layer (14 to 20 percent more pictures on two cores, and no collapse when a core
 * is busy with something else). */
#include "engine/dnnl_priv.h"
#include "engine/kernels_priv.h"

typedef struct lane {
    uint8_t *arena;
    uint8_t *scratch; /* behind it */
    uint8_t *owned;   /* both; NULL where they are lent */
    gf__call **calls; /* for each operation; NULL for our own kernels */
    gf__stream *stream;
    gf_status status;
    gf_error err;
} lane;

struct gf_exec {
    const gf_plan *plan;
    float **results; /* for each output, max_batch * size floats */
    lane *lanes;
    gf__pool *pool; /* NULL for one lane */
    /* Of the run going on. */
    const void *input;
    bool is_single; /* by the calling thread, whatever the plan was made for */
};

static uint8_t *address(const lane *l, const gf_plan *plan, size_t value)
{
    return l->arena + plan->program.values[value].offset;
}

static gf_status bind_calls(lane *l, const gf_plan *plan, gf_error *err)
{
    gf_status st = gf__stream_new(plan->device, &l->stream, err);
    for (size_t i = 0; st == GF_OK && i < plan->program.n_ops; i++) {
        const gf__op *op = &plan->program.ops[i];
        const bool has_weights = op->weights.size_bytes > 0;
        if (op->prim == NULL)
            continue;
        st = gf__call_new(plan->device, op->prim, address(l, plan, op->src[0]),
                          has_weights ? op->weights_at : NULL, has_weights ? op->bias_at : NULL,
                          address(l, plan, op->dst), l->scratch, &l->calls[i], err);
    }
    return st;
}

static size_t lane_bytes(const gf_plan *plan)
{
    return plan->arena_bytes + plan->scratch_bytes; /* both aligned */
}

/* lent NULL: the lane takes memory of its own. */
static gf_status open_lane(lane *l, const gf_plan *plan, uint8_t *lent, gf_error *err)
{
    if (lent == NULL)
        l->owned = gf__alloc_aligned(lane_bytes(plan));
    l->arena = lent != NULL ? lent : l->owned;
    l->calls = gf__calloc(plan->program.n_ops, sizeof(gf__call *));
    if (l->arena == NULL || l->calls == NULL)
        return gf__error_nomem(err, "an exec", lane_bytes(plan));
    l->scratch = l->arena + plan->arena_bytes;
    return bind_calls(l, plan, err);
}

static void close_lane(lane *l, const gf_plan *plan)
{
    for (size_t i = 0; l->calls != NULL && i < plan->program.n_ops; i++)
        gf__call_free(l->calls[i]);
    gf__stream_free(l->stream);
    gf__free(l->calls);
    gf__free(l->owned);
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
    return gf__exec_new_in(plan, NULL, 0, out, err);
}

gf_status gf__exec_new_in(const gf_plan *plan, uint8_t *memory, size_t n_bytes, gf_exec **out,
                          gf_error *err)
{
    gf_status st;
    const bool is_lent = plan->n_lanes == 1 && n_bytes >= lane_bytes(plan);
    gf_exec *exec = gf__calloc(1, sizeof *exec);

    *out = NULL;
    if (exec == NULL)
        return gf__error_nomem(err, "an exec", sizeof *exec);
    exec->plan = plan;
    exec->results = gf__calloc(plan->n_outputs, sizeof(float *));
    exec->lanes = gf__calloc(plan->n_lanes, sizeof *exec->lanes);
    if (exec->results == NULL || exec->lanes == NULL) {
        st = gf__error_nomem(err, "an exec", plan->n_lanes * sizeof *exec->lanes);
        goto done;
    }
    st = make_results(exec, err);
    for (size_t i = 0; st == GF_OK && i < plan->n_lanes; i++)
        st = open_lane(&exec->lanes[i], plan, is_lent ? memory : NULL, err);
    if (st == GF_OK && plan->n_lanes > 1)
        st = gf__pool_new((int)plan->n_lanes, &exec->pool, err);
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
    gf__pool_free(exec->pool);
    for (size_t i = 0; exec->lanes != NULL && i < exec->plan->n_lanes; i++)
        close_lane(&exec->lanes[i], exec->plan);
    for (size_t k = 0; exec->results != NULL && k < exec->plan->n_outputs; k++)
        gf__free(exec->results[k]);
    gf__free(exec->lanes);
    gf__free(exec->results);
    gf__free(exec);
}

static void load_input(const lane *l, const gf_plan *plan, const gf__op *op, const void *input,
                       size_t picture)
{
    const gf__value *dst = &plan->program.values[op->dst];
    const size_t n = plan->program.input_values;
    if (plan->options.input == GF_INPUT_U8)
        gf__load_pixels(address(l, plan, op->dst), dst->dtype, (const uint8_t *)input + picture * n,
                        n, op->scale, op->shift);
    else
        gf__convert(address(l, plan, op->dst), dst->dtype, (const float *)input + picture * n,
                    GF_DTYPE_F32, n);
}

static void place(const lane *l, const gf_plan *plan, const gf__op *op)
{
    const gf__value *src = &plan->program.values[op->src[0]];
    const gf__value *dst = &plan->program.values[op->dst];
    const gf__value *host = &plan->program.values[dst->host];
    const size_t number_bytes = gf_dtype_size(src->dtype);
    gf__place_rows(address(l, plan, op->dst), host->channels * number_bytes,
                   address(l, plan, op->src[0]), src->channels * number_bytes,
                   src->height * src->width);
}

/* An operation that is not oneDNN's. result is where output op->output of this picture goes. */
static void run_own(const lane *l, const gf_plan *plan, const gf__op *op, float *result)
{
    const gf__value *src = &plan->program.values[op->src[0]];
    const size_t n_pixels = src->height * src->width;
    const uint8_t *from = address(l, plan, op->src[0]);
    uint8_t *to = op->dst != GF__NONE ? address(l, plan, op->dst) : (uint8_t *)result;
    switch (op->kind) {
    case GF__OP_PLACE:
        place(l, plan, op);
        break;
    case GF__OP_GLOBAL_POOL:
        gf__global_pool((float *)(void *)to, from, src->dtype, n_pixels, src->channels, op->is_max);
        break;
    case GF__OP_AFFINE:
        gf__affine(to, from, src->dtype, (const float *)(const void *)op->weights_at,
                   (const float *)(const void *)op->bias_at, n_pixels, src->channels,
                   op->activation);
        break;
    case GF__OP_PAD:
        gf__pad(to, from, src->height, src->width, src->channels * gf_dtype_size(src->dtype),
                op->padding);
        break;
    case GF__OP_ADD:
        gf__add(to, from, address(l, plan, op->src[1]), src->dtype, n_pixels * src->channels,
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

/* A DENSE keeps the threads that its primitive was made for: see gf__team_forbid(). */
static gf_status run_prim(const gf_exec *exec, const lane *l, size_t i, gf_error *err)
{
    if (!exec->is_single || exec->plan->program.ops[i].kind == GF__OP_DENSE)
        return gf__call_run(l->calls[i], l->stream, err);
    const int before = gf__team_forbid();
    const gf_status st = gf__call_run(l->calls[i], l->stream, err);
    gf__team_allow(before);
    return st;
}

static gf_status run_picture(gf_exec *exec, const lane *l, size_t picture, gf_error *err)
{
    const gf_plan *plan = exec->plan;
    for (size_t i = 0; i < plan->program.n_ops; i++) {
        const gf__op *op = &plan->program.ops[i];
        if (op->kind == GF__OP_INPUT) {
            load_input(l, plan, op, exec->input, picture);
        } else if (op->prim != NULL) {
            gf_status st = run_prim(exec, l, i, err);
            if (st != GF_OK)
                return st;
        } else {
            float *result = NULL;
            if (op->output != GF__NONE)
                result = exec->results[op->output] + picture * plan->outputs[op->output].size;
            run_own(l, plan, op, result);
        }
    }
    return GF_OK;
}

/* One picture in the lane of the thread that came for it. After a failure the lane does no more. */
static void run_in_lane(void *user, size_t picture, int thread)
{
    gf_exec *exec = user;
    lane *l = &exec->lanes[thread];
    if (l->status != GF_OK)
        return;
    const int before = gf__threads_enter(exec->plan->n_inner_threads);
    l->status = run_picture(exec, l, picture, &l->err);
    gf__threads_leave(before);
}

static gf_status run(gf_exec *exec, const void *input, size_t n, gf_error *err)
{
    const gf_plan *plan = exec->plan;
    if (n == 0 || n > plan->options.max_batch)
        return gf_error_set(err, GF_EINVAL, "a run of %zu pictures, expected 1 to %zu", n,
                            plan->options.max_batch);
    exec->input = input;
    for (size_t i = 0; i < plan->n_lanes; i++)
        exec->lanes[i].status = GF_OK;
    gf__pool_run(exec->pool, n, run_in_lane, exec);
    exec->input = NULL;
    for (size_t i = 0; i < plan->n_lanes; i++)
        if (exec->lanes[i].status != GF_OK)
            return gf_error_set(err, exec->lanes[i].status, "%s", exec->lanes[i].err.message);
    return GF_OK;
}

gf_status gf_exec_run(gf_exec *exec, const void *input, size_t n, gf_error *err)
{
    exec->is_single = false;
    return run(exec, input, n, err);
}

gf_status gf__exec_run_single(gf_exec *exec, const void *input, gf_error *err)
{
    exec->is_single = true;
    return run(exec, input, 1, err);
}

const float *gf_exec_output(const gf_exec *exec, size_t i)
{
    return exec->results[i];
}
