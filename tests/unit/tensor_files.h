/* tensor_files.h: golden files of tests/golden/make_tensor.py, for the tests of .npy, .npz and safetensors. */
#ifndef GRAFT_TESTS_TENSOR_FILES_H
#define GRAFT_TESTS_TENSOR_FILES_H

#include "base/base.h"
#include "check.h"
#include "tensor/tensor.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static inline void check_shape(const gf_tensor *tensor, const char *want)
{
    char text[GF__SHAPE_TEXT];
    CHECK_STR(gf__shape_text(gf_tensor_shape(tensor), gf_tensor_n_dims(tensor), text), want);
}

static inline const char *golden_npz(const char *name)
{
    char relative[64];
    snprintf(relative, sizeof relative, "golden/tensor/%s.npz", name);
    return check_fixture(relative);
}

static inline gf_tensor *load_member(gf_npz *file, const char *name)
{
    gf_tensor *tensor = NULL;
    CHECK_OK(gf_npz_load(file, name, &tensor, &check_err));
    return tensor;
}

#endif
