/* fuzz_model_file.c: any bytes as a model file: its document, its head's weights, its pictures, the
 * trunk inside. */
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    gf_model *model = NULL;
    gf_trunk *trunk = NULL;
    gf_error err;
    if (gf__model_parse(bytes, n_bytes, &model, &err) != GF_OK)
        return 0;
    for (size_t k = 0; k < gf_model_n_classes(model); k++)
        (void)gf_model_class_at(model, k)[0];
    (void)gf_model_trunk(model, NULL, &trunk, &err);
    gf_trunk_free(trunk);
    gf_model_unref(model);
    return 0;
}
