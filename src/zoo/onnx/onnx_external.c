/* zoo/onnx/onnx_external.c: values that lie in a file beside the model's: what PyTorch's newer exporter does, and
 * whoever has more than 2 GB. The model says which file and where in it, so only plain names are taken:
 * a model from somewhere must not read what lies anywhere. */
#include <inttypes.h>
#include <string.h>

#include "zoo/onnx/onnx_priv.h"

typedef struct place {
    const char *file;
    uint64_t offset, n_bytes; /* UINT64_MAX: not said */
} place;

/* Decimal digits, all of them; false for anything else. */
static bool read_number(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (text[0] == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > UINT64_MAX / 10 - 1)
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *out = value;
    return true;
}

static bool read_place(const GfOnnx__Tensor *tensor, place *out)
{
    bool is_good = true;
    *out = (place){.n_bytes = UINT64_MAX};
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const GfOnnx__Property *one = tensor->external_data[i];
        if (one->key == NULL || one->value == NULL)
            continue;
        if (strcmp(one->key, "location") == 0)
            out->file = one->value;
        else if (strcmp(one->key, "offset") == 0)
            is_good = is_good && read_number(one->value, &out->offset);
        else if (strcmp(one->key, "length") == 0)
            is_good = is_good && read_number(one->value, &out->n_bytes);
    }
    return is_good && out->file != NULL;
}

static bool is_plain(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
           strchr(name, '\\') == NULL && strlen(name) <= 255;
}

/* One file at a time stays open: all values are in one, as exporters write them. */
static gf_status open_data(gf__onnx_model *model, const char *file, gf_error *err)
{
    if (model->data_name != NULL && strcmp(model->data_name, file) == 0)
        return GF_OK;
    gf__onnx_end_outside(model);
    char *path = gf__path_join(model->folder, file);
    model->data_name = gf__strdup(file);
    gf_status st = GF_OK;
    if (path == NULL || model->data_name == NULL)
        st = gf__error_nomem(err, "a path", strlen(file));
    else
        st = gf__map_file(path, &model->data, err);
    gf__free(path);
    if (st != GF_OK)
        gf__onnx_end_outside(model);
    return st;
}

gf_status gf__onnx_find_outside(const gf__onnx_at *at, const GfOnnx__Tensor *tensor, size_t n_bytes,
                                const void **out, gf_error *err)
{
    place found;
    gf__onnx_model *model = at->model;
    const char *name = tensor->name != NULL ? tensor->name : "a constant";
    if (!read_place(tensor, &found))
        return gf__onnx_refuse(at, GF_EFORMAT, err,
                               "\"%.40s\" is in another file, and it does not say where", name);
    if (model->folder == NULL || !is_plain(found.file))
        return gf__onnx_refuse(
            at, GF_EUNSUPPORTED, err,
            "\"%.40s\" is in the file \"%.60s\"; only files beside the model are "
            "read",
            name, found.file);
    const gf_status st = open_data(model, found.file, err);
    if (st != GF_OK)
        return st;
    if ((found.n_bytes != UINT64_MAX && found.n_bytes != n_bytes) ||
        found.offset > model->data.size || n_bytes > model->data.size - found.offset)
        return gf__onnx_refuse(at, GF_EFORMAT, err,
                               "\"%.40s\" has %zu bytes, \"%.40s\" has no such part at %" PRIu64,
                               name, n_bytes, found.file, found.offset);
    *out = (const char *)model->data.data + found.offset;
    return GF_OK;
}

void gf__onnx_end_outside(gf__onnx_model *model)
{
    if (model->data.data != NULL)
        gf__unmap(&model->data);
    model->data = (gf__mapping){0};
    gf__free(model->data_name);
    model->data_name = NULL;
}
