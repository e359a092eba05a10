/* zoo/torch/safetensors.c: safetensors files of others, and graft's own trunks. The format says nothing of what
 * its tensors are; their names do: PyTorch's (state_dict.c) or Keras' (keras_names.c). */
#include <string.h>

#include "zoo/torch/torch_priv.h"

#define MAX_TENSORS    8192
#define MAX_READ_BYTES ((size_t)4 << 30) /* of float32 made from narrower or wider types */

/* float32 tensors stay views of the file. */
static gf_status take_tensor(const gf_tensor *tensor, size_t *n_made, gf_tensor **out,
                             gf_error *err)
{
    const gf_dtype dtype = gf_tensor_dtype(tensor);
    if (dtype == GF_DTYPE_F32) {
        *out = gf__tensor_ref((gf_tensor *)tensor);
        return GF_OK;
    }
    if (dtype != GF_DTYPE_F16 && dtype != GF_DTYPE_BF16 && dtype != GF_DTYPE_F64)
        return GF_OK;
    const size_t n_bytes = gf_tensor_n_values(tensor) * sizeof(float);
    if (n_bytes > MAX_READ_BYTES - *n_made)
        return gf_error_set(err, GF_ELIMIT, "has more than 4 GiB of values");
    *n_made += n_bytes;
    return gf_tensor_to_f32(tensor, out, err);
}

static gf_status take_all(const gf_safetensors *file, gf__torch_file *out, gf_error *err)
{
    const size_t n = gf_safetensors_n_tensors(file);
    gf_status st = GF_OK;
    size_t n_made = 0;
    if (n == 0)
        return gf_error_set(err, GF_EFORMAT, "holds no tensors");
    if (n > MAX_TENSORS)
        return gf_error_set(err, GF_ELIMIT, "has %zu tensors, at most %d are read", n, MAX_TENSORS);
    out->kind = "safetensors";
    out->tensors = gf__calloc(n, sizeof *out->tensors);
    if (out->tensors == NULL)
        return gf__error_nomem(err, "a table of tensors", n);
    for (size_t i = 0; i < n && st == GF_OK; i++) {
        gf__torch_tensor *to = &out->tensors[out->n_tensors++];
        const char *name = gf_safetensors_name_at(file, i);
        to->name = gf__strdup(name);
        if (to->name == NULL)
            st = gf__error_nomem(err, "a tensor's name", strlen(name));
        else
            st = take_tensor(gf_safetensors_find(file, name), &n_made, &to->tensor, err);
    }
    return st;
}

gf_status gf__safetensors_read_tensors(const gf_safetensors *file, const char *name,
                                       gf__checkpoint *out, gf_error *err)
{
    gf__torch_file tensors = {0};
    gf_status st = take_all(file, &tensors, err);
    if (st == GF_OK)
        st = gf__has_keras_names(&tensors) ? gf__keras_names_read(&tensors, out, err)
                                           : gf__state_dict_read(&tensors, name, out, err);
    gf__torch_file_free(&tensors);
    return st;
}

gf_status gf__safetensors_read(const char *path, const char *name, gf__checkpoint *out,
                               gf_error *err)
{
    gf_status st = gf_safetensors_open(path, &out->file, err);
    if (st != GF_OK)
        return st; /* names the path itself */
    if (gf_safetensors_metadata(out->file, "graft") != NULL) {
        gf_safetensors_close(out->file);
        out->file = NULL;
        return gf__trunk_read(path, out, err);
    }
    st = gf__safetensors_read_tensors(out->file, name, out, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    return st;
}
