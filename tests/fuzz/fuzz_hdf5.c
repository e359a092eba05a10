/* fuzz_hdf5.c: any bytes as an .h5 file. What libhdf5 does with them is its own affair, in a
 * process of its own; searched for is what gets past the guard: a converted file that hurts the
 * importer. */
#include "fuzz.h"
#include "scratch.h"
#include "zoo/keras/keras.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    scratch s;
    gf_error err;
    gf__checkpoint checkpoint = {0};
    if (scratch_write(&s, "file.h5", bytes, n_bytes))
        (void)gf__hdf5_read(s.file, s.folder, NULL, &checkpoint, &err);
    gf__checkpoint_free(&checkpoint);
    scratch_remove(&s);
    return 0;
}
