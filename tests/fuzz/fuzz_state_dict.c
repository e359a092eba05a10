/* fuzz_state_dict.c: any bytes as a safetensors file of somebody's Inception-v3, by PyTorch's names or by Keras',
 * and as the config.json beside it. */
#include "fuzz.h"
#include "zoo/torch/torch_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    gf_safetensors *file = NULL;
    gf__checkpoint checkpoint = {0};
    gf__normalization normalization;
    bool is_there;
    gf_error err;
    (void)gf__parse_normalization((const char *)bytes, n_bytes, &normalization, &is_there, &err);
    if (gf_safetensors_parse(bytes, n_bytes, &file, &err) != GF_OK)
        return 0;
    (void)gf__safetensors_read_tensors(file, "inception_v3", &checkpoint, &err);
    gf__checkpoint_free(&checkpoint);
    gf_safetensors_close(file);
    return 0;
}
