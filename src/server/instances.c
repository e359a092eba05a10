/* server/instances.c: a prediction's JSON body (model/instances.h) as a pool takes it. */
#include "server/instances_priv.h"

gf__instance gf__instance_of_sample(const gf_sample *sample)
{
    static const gf__run_kind kinds[] = {[GF_SAMPLE_ENCODED] = GF__RUN_PICTURE,
                                         [GF_SAMPLE_PIXELS] = GF__RUN_PIXELS,
                                         [GF_SAMPLE_SCALED] = GF__RUN_SCALED,
                                         [GF_SAMPLE_NUMBERS] = GF__RUN_NUMBERS};
    return (gf__instance){.kind = kinds[sample->kind],
                          .bytes = sample->data,
                          .n_bytes = sample->n_bytes,
                          .height = sample->height,
                          .width = sample->width};
}

static gf_status take(const gf__instances *all, gf__asked *out, gf_error *err)
{
    out->instances = gf__calloc(all->n, sizeof *out->instances);
    if (out->instances == NULL)
        return gf__error_nomem(err, "instances", all->n * sizeof *out->instances);
    for (size_t i = 0; i < all->n; i++)
        out->instances[i] = gf__instance_of_sample(&all->samples[i]);
    out->n_instances = all->n;
    out->keys = all->keys;
    out->is_column_form = all->is_column_form;
    out->signature_name = all->signature_name;
    out->rest = all->rest;
    return GF_OK;
}

static gf_status parse_body(gf_server *server, const gf_model *model, const char *rows,
                            const char *columns, char *body, size_t n_bytes, gf__asked *out,
                            gf_error *err)
{
    const gf__instances_form form = {
        .rows = rows, .columns = columns, .max_instances = server->options.max_instances};
    *out = (gf__asked){0};
    gf__instances *all = gf__calloc(1, sizeof *all);
    if (all == NULL)
        return gf__error_nomem(err, "a request", sizeof *all);
    out->memory = all;
    gf_status st = gf__instances_parse(model, &form, body, n_bytes, all, err);
    if (st == GF_OK)
        st = take(all, out, err);
    if (st != GF_OK)
        gf__asked_free(out);
    return st;
}

gf_status gf__asked_parse(gf_server *server, const gf_model *model, char *body, size_t n_bytes,
                          gf__asked *out, gf_error *err)
{
    return parse_body(server, model, "instances", "inputs", body, n_bytes, out, err);
}

gf_status gf__asked_parse_rows(gf_server *server, const gf_model *model, const char *rows,
                               char *body, size_t n_bytes, gf__asked *out, gf_error *err)
{
    return parse_body(server, model, rows, "", body, n_bytes, out, err);
}

void gf__asked_free(gf__asked *asked)
{
    gf__instances *all = asked->memory;
    if (all != NULL)
        gf__instances_free(all);
    gf__free(all);
    gf__free(asked->instances);
    *asked = (gf__asked){0};
}
