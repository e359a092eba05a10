/* service/context.c: what a home folder and a machine give to every use case. */
#include "service/service_priv.h"

int gf__service_threads(const gf_context *context)
{
    return context->n_threads > 0 ? context->n_threads : gf_threads_available();
}

gf_status gf__service_extractor(const gf_context *context, gf_trunk *trunk,
                                const gf_output_spec *outputs, size_t n_outputs,
                                gf_precision precision, bool is_cached, gf_extractor **out,
                                gf_error *err)
{
    gf_status st = GF_OK;
    char *packs = gf__path_join(context->home, "packs");
    char *cache = gf__path_join(context->home, "features");
    if (packs == NULL || cache == NULL) {
        st = gf__error_nomem(err, "paths", 0);
        goto done;
    }
    gf_extractor_options options = gf_extractor_options_default();
    options.precision = precision;
    options.n_threads = gf__service_threads(context);
    options.pack_dir = packs;
    options.cache_dir = is_cached ? cache : NULL;
    options.max_pixels = context->max_pixels;
    options.for_latency = !is_cached;
    st = gf_extractor_new(trunk, outputs, n_outputs, &options, out, err);
done:
    gf__free(packs);
    gf__free(cache);
    return st;
}
