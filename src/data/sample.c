/* sample.c: one item's picture: mapped while it is looked at, or a row of an .npz. */
#include <assert.h>
#include <math.h>

#include "data/dataset_priv.h"

static void read_row(const gf_dataset *set, size_t i, gf_sample *out)
{
    const size_t *shape = gf_tensor_shape(set->features);
    if (set->columns.n > 0) {
        *out = (gf_sample){.kind = GF_SAMPLE_NUMBERS, .width = shape[1], .height = 1};
        out->n_bytes = shape[1] * sizeof(float);
        out->data = gf_tensor_f32(set->features) + i * shape[1];
        return;
    }
    const bool is_bytes = gf_tensor_dtype(set->features) == GF_DTYPE_U8;

    out->kind = is_bytes ? GF_SAMPLE_PIXELS : GF_SAMPLE_SCALED;
    out->height = shape[1];
    out->width = shape[2];
    out->n_bytes = gf_tensor_size_bytes(set->features) / shape[0];
    out->data = (const uint8_t *)gf_tensor_data(set->features) + i * out->n_bytes;
}

gf_status gf_dataset_read(const gf_dataset *dataset, size_t i, gf_sample *out, gf_error *err)
{
    gf_status st;
    gf__mapping *file;

    assert(i < dataset->n_items);
    *out = (gf_sample){.kind = GF_SAMPLE_ENCODED};
    if (dataset->features != NULL) {
        read_row(dataset, i, out);
        return GF_OK;
    }
    file = gf__calloc(1, sizeof *file);
    if (file == NULL)
        return gf__error_nomem(err, "a sample", sizeof *file);
    st = gf__map_file(dataset->items[i].text, file, err);
    if (st != GF_OK) {
        gf__free(file);
        return st;
    }
    out->data = file->size > 0 ? (const void *)file->data : "";
    out->n_bytes = file->size;
    out->owner = file;
    return GF_OK;
}

void gf_sample_release(gf_sample *sample)
{
    if (sample->owner != NULL) {
        gf__unmap(sample->owner);
        gf__free(sample->owner);
    }
    *sample = (gf_sample){0};
}

void gf__sample_to_bytes(const gf_sample *sample, uint8_t *rgb)
{
    const size_t n = sample->width * sample->height * 3;
    const float *scaled = sample->data;

    assert(sample->kind == GF_SAMPLE_SCALED);
    for (size_t i = 0; i < n; i++) {
        const float value = (scaled[i] + 1.0F) * 127.5F;
        rgb[i] = (uint8_t)lrintf(fminf(fmaxf(value, 0.0F), 255.0F));
    }
}
