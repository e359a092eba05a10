/* service/context.c: what a home folder and a machine give to every use case. */
#include "service/service_priv.h"

int gf__service_threads(const gf_context *context)
{
    return context->n_threads > 0 ? context->n_threads : gf_threads_available();
}

/* Extractor options with the two folders of the home that they point to. */
typedef struct home_options {
    gf_extractor_options options;
    char *packs, *cache;
} home_options;

static gf_status open_home(const gf_context *context, gf_precision precision, bool is_cached,
                           home_options *out, gf_error *err)
{
    *out = (home_options){.options = gf_extractor_options_default(),
                          .packs = gf__path_join(context->home, "packs"),
                          .cache = gf__path_join(context->home, "features")};
    if (out->packs == NULL || out->cache == NULL)
        return gf__error_nomem(err, "paths", 0);
    out->options.precision = precision;
    out->options.n_threads = gf__service_threads(context);
    out->options.pack_dir = out->packs;
    out->options.cache_dir = is_cached ? out->cache : NULL;
    out->options.max_pixels = context->max_pixels;
    out->options.for_latency = !is_cached;
    return GF_OK;
}

static void close_home(home_options *home)
{
    gf__free(home->packs);
    gf__free(home->cache);
}

gf_status gf__service_extractor(const gf_context *context, gf_trunk *trunk,
                                const gf_output_spec *outputs, size_t n_outputs,
                                gf_precision precision, bool is_cached, gf_extractor **out,
                                gf_error *err)
{
    home_options home;
    gf_status st = open_home(context, precision, is_cached, &home, err);
    if (st == GF_OK)
        st = gf_extractor_new(trunk, outputs, n_outputs, &home.options, out, err);
    close_home(&home);
    return st;
}

gf_status gf__service_model_extractor(const gf_context *context, gf_model *model,
                                      gf_extractor **out, gf_error *err)
{
    home_options home;
    gf_status st = open_home(context, GF_PRECISION_AUTO, true, &home, err);
    if (st == GF_OK)
        st = gf__model_extractor(model, context->home, &home.options, out, err);
    close_home(&home);
    return st;
}

gf_status gf__check_spares(const char *path, const char *input, const char *what, gf_error *err)
{
    if (gf__is_same_file(path, input))
        return gf_error_set(err, GF_EINVAL, "%s is the %s: give another name to write to", path,
                            what);
    return GF_OK;
}
