/* write_tensors.c: writes samples of every value type and file format into a folder, through the
 * public calls only. check_tensor.py reads them with numpy and safetensors.
 *
 * Value i of a sample is 3 * i - 5, wrapped into the type; of bool it is i odd. */
#include <stdio.h>
#include <stdlib.h>

#include "graft/tensor.h"

#define N_DTYPES ((size_t)GF_DTYPE_BOOL + 1)

static void check(gf_status st, const gf_error *err)
{
    if (st == GF_OK)
        return;
    fprintf(stderr, "write_tensors: %s\n", err->message);
    exit(1);
}

/* -5, -2, 1, 4, 7, 10 as 16-bit floats. */
static const uint16_t halves[] = {0xc500, 0xc000, 0x3c00, 0x4400, 0x4700, 0x4900};
static const uint16_t bfloats[] = {0xc0a0, 0xc000, 0x3f80, 0x4080, 0x40e0, 0x4120};

static void set_value(gf_dtype dtype, void *data, size_t i)
{
    const int value = 3 * (int)i - 5;
    switch (dtype) {
    case GF_DTYPE_F32:
        ((float *)data)[i] = (float)value;
        return;
    case GF_DTYPE_F64:
        ((double *)data)[i] = value;
        return;
    case GF_DTYPE_F16:
        ((uint16_t *)data)[i] = halves[i];
        return;
    case GF_DTYPE_BF16:
        ((uint16_t *)data)[i] = bfloats[i];
        return;
    case GF_DTYPE_U8:
    case GF_DTYPE_I8:
        ((uint8_t *)data)[i] = (uint8_t)value;
        return;
    case GF_DTYPE_U16:
    case GF_DTYPE_I16:
        ((uint16_t *)data)[i] = (uint16_t)value;
        return;
    case GF_DTYPE_U32:
    case GF_DTYPE_I32:
        ((uint32_t *)data)[i] = (uint32_t)value;
        return;
    case GF_DTYPE_U64:
    case GF_DTYPE_I64:
        ((uint64_t *)data)[i] = (uint64_t)(int64_t)value;
        return;
    case GF_DTYPE_BOOL:
        ((uint8_t *)data)[i] = i % 2;
        return;
    }
}

static gf_tensor *make_sample(gf_dtype dtype)
{
    const size_t shape[] = {2, 3};
    gf_tensor *tensor = NULL;
    gf_error err;
    check(gf_tensor_new(dtype, shape, 2, &tensor, &err), &err);
    for (size_t i = 0; i < 6; i++)
        set_value(dtype, gf_tensor_mutable_data(tensor), i);
    return tensor;
}

static gf_status fill_row(void *user, size_t i, void *row, gf_error *err)
{
    (void)user;
    (void)err;
    for (size_t k = 0; k < 3; k++)
        ((float *)row)[k] = (float)(3 * i + k);
    return GF_OK;
}

static void write_npz(const char *dir, const char *name, const gf_tensor *pixels,
                      bool is_compressed)
{
    static const char *const classes[] = {"rose", "Zoë", "花", "", "\xf0\x9f\x8c\xb9"};
    static const size_t shape[] = {1000, 3};
    const gf_npz_member members[] = {
        {.name = "features", .tensor = pixels},
        {.name = "classes", .strings = classes, .n_strings = 5},
        {.name = "rows", .dtype = GF_DTYPE_F32, .shape = shape, .n_dims = 2, .fill_row = fill_row},
    };
    char path[4096];
    gf_error err;
    snprintf(path, sizeof path, "%s/%s.npz", dir, name);
    check(gf_npz_save(path, members, 3, is_compressed, &err), &err);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: write_tensors DIR\n");
        return 2;
    }
    const char *dir = argv[1];
    gf_tensor *samples[N_DTYPES];
    gf_named_tensor named[N_DTYPES];
    char path[4096];
    gf_error err;
    for (size_t i = 0; i < N_DTYPES; i++) {
        samples[i] = make_sample((gf_dtype)i);
        named[i] = (gf_named_tensor){gf_dtype_name((gf_dtype)i), samples[i]};
        snprintf(path, sizeof path, "%s/%s.npy", dir, named[i].name);
        if (i != GF_DTYPE_BF16) /* numpy has none */
            check(gf_npy_save(path, samples[i], &err), &err);
    }
    write_npz(dir, "stored", samples[GF_DTYPE_U8], false);
    write_npz(dir, "deflated", samples[GF_DTYPE_U8], true);
    const gf_metadata metadata[] = {{"graft", "{\"classes\":[\"Zoë\"]}"}};
    snprintf(path, sizeof path, "%s/all.safetensors", dir);
    check(gf_safetensors_save(path, named, N_DTYPES, metadata, 1, &err), &err);
    for (size_t i = 0; i < N_DTYPES; i++)
        gf_tensor_free(samples[i]);
    return 0;
}
