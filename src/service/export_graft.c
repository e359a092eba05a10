/* service/export_graft.c: a model file of graft that runs on a machine without the trunk, or the other way,
 * one without the trunk that it brought. */
#include "service/service_priv.h"

static gf_status copy_file(const char *from, const char *to, gf_error *err)
{
    gf__mapping file = {0};
    gf_status st = gf__map_file(from, &file, err);
    if (st == GF_OK)
        st = gf__write_file(to, file.data, file.size, err);
    gf__unmap(&file);
    return st;
}

static gf_status save_bundle(const gf_export_request *request, gf_model *model, gf_error *err)
{
    gf_trunk *trunk = NULL;
    gf_status st = GF_OK;
    if (!request->is_head_only)
        st = gf_model_trunk(model, request->context.home, &trunk, err);
    if (st == GF_OK)
        st = gf__model_save_bundle(model, request->model, trunk, request->output, err);
    gf_trunk_free(trunk);
    return st;
}

gf_status gf__export_graft(const gf_export_request *request, gf_model *model, gf_error *err)
{
    const bool is_table = gf_model_trunk_name(model) == NULL; /* nothing to bring or to leave */
    if (request->quantisation != GF_QUANTISE_NONE)
        return gf_error_set(err, GF_EUNSUPPORTED, "graft's own files are written in float32 only");
    gf_status st = gf__observe_progress(request->observer, "export", 0, 1, NULL, err);
    if (st == GF_OK)
        st = is_table || gf_model_is_bundle(model) != request->is_head_only
                 ? copy_file(request->model, request->output, err)
                 : save_bundle(request, model, err);
    if (st == GF_OK) /* it has its name: too late to be stopped */
        (void)gf__observe_progress(request->observer, "export", 1, 1, NULL, NULL);
    return st;
}
