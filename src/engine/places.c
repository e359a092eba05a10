/* places.c: the parts of a Concatenate in its memory.
 *
 * Copied, not written in place by whoever makes them: oneDNN (2.6 and 3.2, tried) has only its
 * reference implementation for a convolution or pooling whose destination is a slice of a wider
 * tensor. Copied right after they are made, while they are in the cache, all parts of
 * Inception-v3 cost 0.7 percent of a run. */
#include "engine/engine_priv.h"

/* Views of views become views of the memory itself, so that nobody else has to follow a chain. */
static void resolve_hosts(gf__program *program)
{
    for (size_t v = 0; v < program->n_values; v++) {
        gf__value *value = &program->values[v];
        while (value->host != GF__NONE && program->values[value->host].host != GF__NONE) {
            value->first_channel += program->values[value->host].first_channel;
            value->host = program->values[value->host].host;
        }
    }
}

/* Moves every PLACE right behind the operation that makes its part: the part is still in the
 * cache then, and its memory is free for the next branch. */
static gf_status hoist_places(gf__program *program, gf_error *err)
{
    const size_t n_ops = program->n_ops;
    gf__op *ops = gf__malloc(program->ops_capacity * sizeof *ops);
    size_t *maker = gf__calloc(program->n_values + n_ops + 1, sizeof *maker);
    if (ops == NULL || maker == NULL) {
        gf__free(ops);
        gf__free(maker);
        return gf__error_nomem(err, "the plan", n_ops * sizeof *ops);
    }
    size_t *at = maker + program->n_values; /* where the group of operation i starts */
    for (size_t i = 0; i < n_ops; i++) {
        const gf__op *op = &program->ops[i];
        const size_t group = op->kind == GF__OP_PLACE ? maker[op->src[0]] : i;
        at[group + 1]++;
        if (op->dst == GF__NONE)
            continue;
        const size_t host = program->values[op->dst].host;
        size_t *last = &maker[host == GF__NONE ? op->dst : host];
        if (*last < group)
            *last = group; /* a Concatenate is there when the last of its parts is */
    }
    for (size_t i = 0; i < n_ops; i++)
        at[i + 1] += at[i];
    for (size_t i = 0; i < n_ops; i++) {
        const gf__op *op = &program->ops[i];
        ops[at[op->kind == GF__OP_PLACE ? maker[op->src[0]] : i]++] = *op;
    }
    gf__free(program->ops);
    gf__free(maker);
    program->ops = ops;
    return GF_OK;
}

gf_status gf__place_parts(gf__program *program, gf_error *err)
{
    resolve_hosts(program);
    return hoist_places(program, err);
}
