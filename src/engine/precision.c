/* precision.c: names of precisions, and what this CPU computes natively. */
#include <string.h>

#include "engine/dnnl_priv.h"

static const char *const names[] = {
    [GF_PRECISION_AUTO] = "auto",
    [GF_PRECISION_F32] = "f32",
    [GF_PRECISION_BF16] = "bf16",
};
#define N_NAMES (sizeof names / sizeof *names)

const char *gf_precision_name(gf_precision precision)
{
    return (size_t)precision < N_NAMES ? names[precision] : "?";
}

gf_status gf_precision_parse(const char *name, gf_precision *out, gf_error *err)
{
    for (size_t i = 0; i < N_NAMES; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (gf_precision)i;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EINVAL,
                        "precision \"%.32s\" is unknown, expected auto, f32 or bf16", name);
}

gf_precision gf_precision_resolve(gf_precision precision)
{
    if (precision != GF_PRECISION_AUTO)
        return precision;
    return gf__dnnl_has_bf16() ? GF_PRECISION_BF16 : GF_PRECISION_F32;
}

void gf__engine_describe(gf__buffer *out)
{
    gf__dnnl_describe(out);
}

const char *gf_engine_isa(void)
{
    return gf__dnnl_isa();
}

const char *gf_engine_library(void)
{
    return gf__dnnl_version();
}
