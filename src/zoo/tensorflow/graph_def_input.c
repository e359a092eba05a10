/* zoo/tensorflow/graph_def_input.c: where the network begins: a placeholder of pictures or numbers, or, in
 * old graphs, the resized picture. What stands in front of it is not looked at, but for being
 * nothing else than decoding. */
#include <string.h>

#include "zoo/tensorflow/graph_def_priv.h"

bool gf__def_is_placeholder(const char *op)
{
    return strcmp(op, "Placeholder") == 0 || strcmp(op, "PlaceholderWithDefault") == 0 ||
           strcmp(op, "PlaceholderV2") == 0;
}

/* (batch, height, width, channels), all but the batch written down, or (batch, values). */
static gf_status input_shape(const gf__def_op *at, size_t shape[3], size_t *n_dims, gf_error *err)
{
    const GfTf__AttrValue *value = gf__def_attr(at->node, "shape");
    const GfTf__TensorShape *s = value != NULL ? value->shape : NULL;
    if (s == NULL || s->unknown_rank || (s->n_dim != 2 && s->n_dim != 4))
        return gf__def_refuse(at, "whose shape is not (batch,height,width,channels)", err);
    *n_dims = s->n_dim - 1;
    for (size_t i = 0; i < *n_dims; i++) {
        int64_t side = s->dim[i + 1]->size;
        if (side == -1 && *n_dims == 3 && at->l->picture != NULL)
            side = (int64_t)at->l->picture[i];
        if (side < 1 || side > 1 << 30)
            return gf__def_refuse(at,
                                  "of pictures of any size; save the network with a fixed height "
                                  "and width",
                                  err);
        shape[i] = (size_t)side;
    }
    return GF_OK;
}

/* As the signature calls it: "serving_default_input_1" is input_1. */
static const char *input_name(const char *node)
{
    static const char *const prefixes[] = {"serving_default_", "serve_"};
    for (size_t i = 0; i < 2; i++) {
        const size_t n = strlen(prefixes[i]);
        if (strncmp(node, prefixes[i], n) == 0 && node[n] != '\0')
            return node + n;
    }
    return node;
}

gf_status gf__def_add_input(const gf__def_op *at, size_t *out, gf_error *err)
{
    size_t shape[3], n_dims = 0;
    const GfTf__AttrValue *dtype = gf__def_attr(at->node, "dtype");
    if (at->l->has_input)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "nodes \"%.100s\" and \"%.100s\" are both inputs; networks with one "
                            "can be run",
                            gf__def_node_at(at->l->graph, at->l->input)->name, at->node->name);
    if (dtype != NULL && dtype->type != GF__DEF_TYPE_FLOAT && dtype->type != GF__DEF_TYPE_UINT8)
        return gf__def_refuse(at, "that takes no pictures of float or uint8", err);
    gf_status st = input_shape(at, shape, &n_dims, err);
    if (st == GF_OK)
        st = gf__op_input(at->l->ops, input_name(at->node->name), shape, n_dims, out, err);
    at->l->has_input = true;
    at->l->input = at->ref;
    return st;
}

/* Behind it is nothing but a picture being decoded. */
static gf_status check_decoding(const gf__def_op *at, gf_error *err)
{
    gf__def_ref ref = at->ref;
    for (int n = 0; n < 16; n++) {
        const gf_status st = gf__def_input(at->l->graph, ref, 0, &ref, err);
        if (st != GF_OK)
            return st;
        const char *op = gf__def_node_at(at->l->graph, ref)->op;
        if (strncmp(op, "Decode", 6) == 0 || gf__def_is_placeholder(op))
            return GF_OK;
        if (strcmp(op, "Cast") != 0 && strcmp(op, "ExpandDims") != 0)
            break;
    }
    return gf__def_refuse(at, "in the middle of the network, which graft does not have", err);
}

/* The old way: the graph decodes a JPEG and resizes it; the network begins with what comes out. */
gf_status gf__def_add_resized(const gf__def_op *at, size_t *out, gf_error *err)
{
    gf__def_ref ref;
    int64_t size[2] = {0};
    size_t n = 0;
    gf_status st = at->l->has_input ? gf__def_refuse(at, "beside another input", err)
                                    : check_decoding(at, err);
    if (st == GF_OK)
        st = gf__def_input(at->l->graph, at->ref, 1, &ref, err);
    if (st == GF_OK)
        st = gf__def_numbers(at->l->graph, ref, size, 2, &n, err);
    if (st != GF_OK)
        return st;
    if (n != 2 || size[0] < 1 || size[1] < 1 || size[0] > 1 << 16 || size[1] > 1 << 16)
        return gf__def_refuse(at, "to no usable size", err);
    const size_t shape[3] = {(size_t)size[0], (size_t)size[1], 3};
    at->l->has_input = true;
    at->l->input = at->ref;
    return gf__op_input(at->l->ops, "input", shape, 3, out, err);
}
