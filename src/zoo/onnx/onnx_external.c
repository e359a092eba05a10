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

static gf_status open_data(gf__onnx_model *model, const char *file, gf_error *err)
{
    gf__onnx_data *list = gf__realloc(model->data, (model->n_data + 1) * sizeof *list);
    if (list == NULL)
        return gf__error_nomem(err, "files", (model->n_data + 1) * sizeof *list);
    model->data = list;
    gf__onnx_data *data = &list[model->n_data];
    *data = (gf__onnx_data){.name = gf__strdup(file)};
    char *path = gf__path_join(model->folder, file);
    const gf_status st = path != NULL && data->name != NULL
                             ? gf__map_file(path, &data->file, err)
                             : gf__error_nomem(err, "a path", strlen(file));
    gf__free(path);
    if (st != GF_OK) {
        gf__free(data->name);
        return st;
    }
    if (!gf__add_size(model->n_file_bytes, data->file.size, &model->n_file_bytes))
        model->n_file_bytes = SIZE_MAX;
    model->n_data++;
    return GF_OK;
}

/* Exporters write one file, or one a value: from the last, the one before is found at once. */
static gf_status find_data(gf__onnx_model *model, const char *file, const gf__mapping **out,
                           gf_error *err)
{
    size_t i = model->n_data;
    while (i > 0 && strcmp(model->data[i - 1].name, file) != 0)
        i--;
    if (i == 0) {
        const gf_status st = open_data(model, file, err);
        if (st != GF_OK)
            return st;
        i = model->n_data;
    }
    *out = &model->data[i - 1].file;
    return GF_OK;
}

gf_status gf__onnx_find_outside(const gf__onnx_at *at, const GfOnnx__Tensor *tensor, size_t n_bytes,
                                const void **out, gf_error *err)
{
    place found;
    const gf__mapping *data = NULL;
    const char *name = tensor->name != NULL ? tensor->name : "a constant";
    if (!read_place(tensor, &found))
        return gf__onnx_refuse(at, GF_EFORMAT, err,
                               "\"%.40s\" is in another file, and it does not say where", name);
    if (at->model->folder == NULL || !is_plain(found.file))
        return gf__onnx_refuse(
            at, GF_EUNSUPPORTED, err,
            "\"%.40s\" is in the file \"%.60s\"; only files beside the model are "
            "read",
            name, found.file);
    const gf_status st = find_data(at->model, found.file, &data, err);
    if (st != GF_OK)
        return st;
    if ((found.n_bytes != UINT64_MAX && found.n_bytes != n_bytes) || found.offset > data->size ||
        n_bytes > data->size - found.offset)
        return gf__onnx_refuse(at, GF_EFORMAT, err,
                               "\"%.40s\" has %zu bytes, \"%.40s\" has no such part at %" PRIu64,
                               name, n_bytes, found.file, found.offset);
    *out = (const char *)data->data + found.offset;
    return GF_OK;
}

void gf__onnx_end_outside(gf__onnx_model *model)
{
    for (size_t i = 0; i < model->n_data; i++) {
        gf__unmap(&model->data[i].file);
        gf__free(model->data[i].name);
    }
    gf__free(model->data);
    model->data = NULL;
    model->n_data = 0;
}
