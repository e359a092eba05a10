/* fuzz.h: what every fuzz target defines. It returns 0; a failure is a crash, a hang or a
 * sanitizer's report. */
#ifndef GRAFT_TESTS_FUZZ_H
#define GRAFT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

#endif
