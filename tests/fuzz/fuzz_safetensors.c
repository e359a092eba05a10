/* fuzz_safetensors.c: any bytes as a safetensors file; every value of every tensor is touched. */
#include "fuzz.h"
#include "tensor/tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    gf_safetensors *file = NULL;
    gf_error err;
    if (gf_safetensors_parse(bytes, n_bytes, &file, &err) != GF_OK)
        return 0;
    (void)gf_safetensors_metadata(file, "graft");
    for (size_t i = 0; i < gf_safetensors_n_tensors(file); i++) {
        gf_tensor *floats = NULL;
        const gf_tensor *tensor = gf_safetensors_find(file, gf_safetensors_name_at(file, i));
        (void)gf_tensor_to_f32(tensor, &floats, &err);
        gf_tensor_free(floats);
    }
    gf_safetensors_close(file);
    return 0;
}
