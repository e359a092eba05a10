/* tensor/npy_priv.h: the .npy format for npy.c (files) and npz (members of a zip, read piece by
 * piece).
 *
 * A .npy is a preamble (magic, version, header length), a header (one Python dict as text) and the
 * values. The format: numpy's documentation, numpy.lib.format. */
#ifndef GRAFT_SRC_NPY_PRIV_H
#define GRAFT_SRC_NPY_PRIV_H

#include "tensor/tensor_priv.h"

#define GF__NPY_PREAMBLE 12 /* enough bytes to tell where the values begin */
#define GF__NPY_SUFFIX   ".npy"

typedef struct gf__npy_header {
    bool is_text;   /* numpy's U: UCS-4, padded with NULs; dtype is then meaningless */
    gf_dtype dtype; /* of numbers */
    size_t item_bytes;
    bool is_big_endian;
    bool is_fortran; /* first index fastest */
    size_t shape[GF_TENSOR_MAX_DIMS];
    size_t n_dims;
    size_t n_values;
    size_t size_bytes; /* of all values */
} gf__npy_header;

/* Do these bytes begin as a .npy array does? */
bool gf__npy_is(const uint8_t *bytes, size_t n_bytes);
/* Where the values begin, from the first GF__NPY_PREAMBLE bytes (or all there are) of an array of
 * n_total bytes. */
gf_status gf__npy_data_offset(const uint8_t *bytes, size_t n_bytes, size_t n_total, size_t *offset,
                              gf_error *err);
/* The header, from all bytes before the values. n_total as above: it must be exactly what dtype and
 * shape need. */
gf_status gf__npy_parse_header(const uint8_t *bytes, size_t offset, size_t n_total,
                               gf__npy_header *out, gf_error *err);
/* Preamble and header, padded as numpy does (byte for byte what numpy 2 writes). descr: "<f4". */
void gf__npy_build_header(const char *descr, const size_t *shape, size_t n_dims, gf__buffer *out);
/* "<f4", "|u1" into descr; GF_EUNSUPPORTED for a type that numpy has not. */
#define GF__NPY_DESCR 32
gf_status gf__npy_describe(gf_dtype dtype, char descr[GF__NPY_DESCR], gf_error *err);

/* A tensor for a header's numbers; GF_EUNSUPPORTED for text. */
gf_status gf__npy_new_tensor(const gf__npy_header *header, gf_tensor **out, gf_error *err);
/* The file's values, already in the tensor, into the machine's byte order and C order. May replace
 * *tensor. */
gf_status gf__npy_arrange(const gf__npy_header *header, gf_tensor **tensor, gf_error *err);

/* Text values (one dimension) as UTF-8: one block of n + 1 pointers and the text behind them. */
gf_status gf__npy_check_text(const gf__npy_header *header, gf_error *err);
gf_status gf__npy_decode_text(const gf__npy_header *header, const uint8_t *values, char ***out,
                              gf_error *err);
/* Characters of a UTF-8 text; GF_EINVAL where it is not UTF-8. */
gf_status gf__npy_count_chars(const char *text, size_t *n_chars, gf_error *err);
/* UTF-8 that was counted before, as UCS-4 padded to n_chars. */
void gf__npy_encode_text(const char *text, size_t n_chars, uint8_t *out);

#endif
