/* model/choose_file.c: of the files of a version, or of a folder, the one that is the model. */
#include <string.h>

#include "model/model.h"
#include "tensor/tensor.h"

static bool has_document(const char *path)
{
    gf_safetensors *file = NULL;
    const bool has = gf_safetensors_open(path, &file, NULL) == GF_OK &&
                     gf_safetensors_metadata(file, "graft") != NULL;
    gf_safetensors_close(file);
    return has;
}

gf_status gf__model_choose_file(const gf__model_candidate *files, size_t n, size_t *index,
                                gf_error *err)
{
    size_t n_weights = 0, n_found = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(gf__path_extension(files[i].name), ".safetensors") != 0)
            continue;
        n_weights++;
        if (!has_document(files[i].path))
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
