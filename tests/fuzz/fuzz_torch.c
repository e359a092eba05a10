/* fuzz_torch.c: any bytes as a file of torch.save(), what comes of it as Inception-v3, and as the pickle inside
 * one. */
#include "fuzz.h"
#include "zoo/torch/torch_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    gf__torch_file file = {0};
    gf__pickle pickle = {0};
    gf_error err;
    gf__checkpoint checkpoint = {0};
    file.kind = "file";
    if (gf__torch_parse(bytes, n_bytes, &file, &err) == GF_OK)
        (void)gf__state_dict_read(&file, "inception_v3", &checkpoint, &err);
    gf__checkpoint_free(&checkpoint);
    gf__torch_file_free(&file);
    (void)gf__pickle_run(bytes, n_bytes, &pickle, &err);
    gf__pickle_free(&pickle);
    return 0;
}
