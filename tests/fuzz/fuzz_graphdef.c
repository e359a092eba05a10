/* fuzz_graphdef.c: any bytes as a .pb file: a SavedModel or a GraphDef, as its first byte says, after a look at whether it is
 * one of them. */
#include "fuzz.h"
#include "scratch.h"
#include "zoo/tensorflow/tensorflow.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    scratch s;
    gf_error err;
    gf__checkpoint checkpoint = {0};
    gf__source_kind kind;
    (void)gf__savedmodel_recognise(bytes, n_bytes, &kind);
    if (scratch_write(&s, "graph.pb", bytes, n_bytes)) {
        const gf__source source = {.kind = n_bytes > 0 && bytes[0] == 0x08 ? GF__SOURCE_SAVEDMODEL
                                                                           : GF__SOURCE_GRAPHDEF,
                                   .path = s.file};
        (void)gf__savedmodel_read(&source, "net", NULL, &checkpoint, &err);
    }
    gf__checkpoint_free(&checkpoint);
    scratch_remove(&s);
    return 0;
}
