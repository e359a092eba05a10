/* fuzz_onnx.c: any bytes as an ONNX model. */
#include "fuzz.h"
#include "zoo/onnx/onnx_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    gf__checkpoint found = {0};
    gf_error err;
    (void)gf__onnx_parse(bytes, n_bytes, "fuzzed", NULL, &found, &err);
    gf__checkpoint_free(&found);
    return 0;
}
