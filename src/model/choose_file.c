/* model/choose_file.c: of the files of a version, or of a folder, the one that is the model. */
#include <string.h>

#include "model/model.h"
#include "tensor/tensor.h"

/* A file that is something else is none; one that cannot be read is an error. */
static gf_status look_at(const char *path, bool *has_document, gf_error *err)
{
    gf_safetensors *file = NULL;
    gf_error own = {0};
    const gf_status st = gf_safetensors_open(path, &file, &own);
    *has_document = st == GF_OK && gf_safetensors_metadata(file, "graft") != NULL;
    gf_safetensors_close(file);
    if (st != GF_EIO && st != GF_ENOTFOUND && st != GF_ENOMEM)
        return GF_OK;
    return gf_error_set(err, st, "%s", own.message);
}

gf_status gf__model_choose_file(const gf__model_candidate *files, size_t n, size_t *index,
                                gf_error *err)
{
    size_t n_weights = 0, n_found = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(gf__path_extension(files[i].name), ".safetensors") != 0)
            continue;
        n_weights++;
        bool has_document = false;
        const gf_status st = look_at(files[i].path, &has_document, err);
        if (st != GF_OK)
            return st;
        if (!has_document)
            continue;
        if (n_found++ > 0)
            return gf_error_set(err, GF_EFORMAT,
                                "two model files, %.150s and %.150s, expected one: put each into a "
                                "folder of its own",
                                files[*index].name, files[i].name);
        *index = i;
    }
    if (n_found == 0)
        return gf_error_set(err, GF_EFORMAT,
                            "no model file: of %zu files, %zu end in .safetensors, and none of "
                            "those holds a graft document; deploy what graft train wrote",
                            n, n_weights);
    return GF_OK;
}
