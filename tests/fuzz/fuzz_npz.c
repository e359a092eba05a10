/* fuzz_npz.c: any bytes as .npy and as .npz; every member is read both as numbers and as text. */
#include "fuzz.h"
#include "tensor/tensor.h"

static void read_npy(const uint8_t *bytes, size_t n_bytes)
{
    gf_tensor *tensor = NULL, *floats = NULL;
    gf_error err;
    if (gf__npy_parse(bytes, n_bytes, &tensor, &err) == GF_OK)
        (void)gf_tensor_to_f32(tensor, &floats, &err);
    gf_tensor_free(floats);
    gf_tensor_free(tensor);
}

static void read_npz(const uint8_t *bytes, size_t n_bytes)
{
    gf_npz *file = NULL;
    gf_error err;
    if (gf__npz_parse(bytes, n_bytes, &file, &err) != GF_OK)
        return;
    for (size_t i = 0; i < gf_npz_n_members(file); i++) {
        gf_tensor *tensor = NULL;
        char **strings = NULL;
        size_t n_strings;
        (void)gf_npz_load(file, gf_npz_name_at(file, i), &tensor, &err);
        (void)gf_npz_load_strings(file, gf_npz_name_at(file, i), &strings, &n_strings, &err);
        gf_strings_free(strings);
        gf_tensor_free(tensor);
    }
    gf_npz_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    read_npy(bytes, n_bytes);
    read_npz(bytes, n_bytes);
    return 0;
}
