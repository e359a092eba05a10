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

bool gf_precision_is_native(gf_precision precision)
{
    return precision != GF_PRECISION_BF16 || gf__dnnl_has_bf16();
}

/* Decided by what the CPU is, not by a measurement: a model must not depend on how busy the machine
 * was. An Inception-v3 takes 0.55 of its f32 time in bf16 on a Zen 5, 1.6 of it on an Emerald Rapids
 * whose AMX a hypervisor hides: vdpbf16ps goes at a quarter of the rate of AMD's there. */
static bool is_bf16_faster(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return gf__dnnl_has_bf16() && (gf__dnnl_has_amx() || !__builtin_cpu_is("intel"));
#else
    return gf__dnnl_has_bf16();
#endif
}

gf_precision gf_precision_resolve(gf_precision precision)
{
    if (precision != GF_PRECISION_AUTO)
        return precision;
    return is_bf16_faster() ? GF_PRECISION_BF16 : GF_PRECISION_F32;
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
