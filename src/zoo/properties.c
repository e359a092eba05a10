/* properties.c: what graft writes beside a network in others' formats, read again: its classes' names, and how
 * pixels become the input. */
#include <math.h>
#include <string.h>

#include "zoo/zoo_priv.h"

#define MAX_SCALE 1e6

static gf_status read_classes(const gf__json *classes, gf__checkpoint *out, gf_error *err)
{
    const size_t n = gf__json_n_items(classes);
    if (n == 0 || n != gf__graph_n_classes(out->graph))
        return GF_OK;
    out->class_names = gf__calloc(n, sizeof *out->class_names);
    if (out->class_names == NULL)
        return gf__error_nomem(err, "class names", n * sizeof *out->class_names);
    for (; out->n_classes < n; out->n_classes++) {
        const char *name = gf__json_string(gf__json_at(classes, out->n_classes), NULL);
        if (name == NULL)
            return gf_error_set(err, GF_EFORMAT, "classes[%zu] is not a text", out->n_classes);
        out->class_names[out->n_classes] = gf__strdup(name);
        if (out->class_names[out->n_classes] == NULL)
            return gf__error_nomem(err, "a class name", strlen(name));
    }
    return GF_OK;
}

/* The decoding in front of the network scales, too, and is not looked at; this says how. */
static gf_status read_scaling(const gf__json *recipe, gf__checkpoint *out, gf_error *err)
{
    double scale = 0, shift = 0;
    if (recipe == NULL || out->has_input)
        return GF_OK;
    gf_status st = gf__json_get_number(recipe, "scale", &scale, err);
    if (st == GF_OK)
        st = gf__json_get_number(recipe, "shift", &shift, err);
    if (st == GF_OK && !(fabs(scale) > 0 && fabs(scale) < MAX_SCALE && fabs(shift) < MAX_SCALE))
        st = gf_error_set(err, GF_EFORMAT, "scales the input by %g and adds %g", scale, shift);
    out->has_input = st == GF_OK;
    out->scale = (float)scale;
    out->shift = (float)shift;
    return st;
}

gf_status gf__checkpoint_read_properties(const gf__json *properties, gf__checkpoint *out,
                                         gf_error *err)
{
    const gf_status st = read_classes(gf__json_find(properties, "classes"), out, err);
    return st == GF_OK ? read_scaling(gf__json_find(properties, "preprocessing"), out, err) : st;
}
