/* zoo/torch/torch_priv.h: PyTorch checkpoints: a pickle that may build tensors and nothing else, the files it
 * comes in, and which tensor is whose weight.
 *
 * A pickle is a program. This one runs on a machine that knows the instructions by which numbers,
 * texts, tuples, lists, dicts and tensors are made; whatever it would import or call beyond the names
 * that torch.save() itself writes for a state dict is refused with that name. Nothing is executed. */
#ifndef GRAFT_ZOO_TORCH_PRIV_H
#define GRAFT_ZOO_TORCH_PRIV_H

#include "zoo/torch/torch.h"

typedef enum gf__pickle_kind {
    GF__PICKLE_NONE,
    GF__PICKLE_BOOL,
    GF__PICKLE_INTEGER,
    GF__PICKLE_REAL,
    GF__PICKLE_TEXT,
    GF__PICKLE_TUPLE,
    GF__PICKLE_LIST,
    GF__PICKLE_DICT, /* items: key, value, key, value ... */
    GF__PICKLE_NAME, /* of what would be imported: "torch.FloatStorage" */
    GF__PICKLE_STORAGE,
    GF__PICKLE_TENSOR
} gf__pickle_kind;

typedef struct gf__pickle_value {
    gf__pickle_kind kind;
    bool truth;
    int64_t integer;
    double real;
    const char *text; /* TEXT, NAME: NUL-terminated; STORAGE: its key */
    size_t n_chars;
    struct gf__pickle_value **items; /* TUPLE, LIST, DICT */
    size_t n_items, capacity;
    gf_dtype dtype;                                                                /* STORAGE */
    struct gf__pickle_value *storage;                                              /* TENSOR */
    size_t offset, n_dims, shape[GF_TENSOR_MAX_DIMS], strides[GF_TENSOR_MAX_DIMS]; /* in values */
} gf__pickle_value;

typedef struct gf__pickle {
    gf__pickle_value *value; /* what the pickle came to */
    size_t n_used;           /* bytes, its STOP included */
    struct gf__pickle_block *blocks;
    size_t n_block_bytes;
} gf__pickle;
/* Runs it. Start zeroed; ended with gf__pickle_free(), also after a failure. GF_EFORMAT damaged;
 * GF_EUNSUPPORTED wants more than tensors, says what and where; GF_ELIMIT too much of it. */
gf_status gf__pickle_run(const uint8_t *bytes, size_t n_bytes, gf__pickle *out, gf_error *err);
void gf__pickle_free(gf__pickle *pickle);
/* The value of a dict's text key; NULL. */
const gf__pickle_value *gf__pickle_find(const gf__pickle_value *dict, const char *key);

/* A state dict, bare or below "state_dict" or "model". Start zeroed; ended with
 * gf__torch_file_free(), also after a failure. */
gf_status gf__torch_open(const char *path, gf__torch_file *out, gf_error *err);
/* The same from memory. */
gf_status gf__torch_parse(const uint8_t *bytes, size_t n_bytes, gf__torch_file *out, gf_error *err);
void gf__torch_file_free(gf__torch_file *file);

/* ---- into networks: state_dict.c ---- */

/* Reads it into a network that graft knows: the one whose names it has, whatever is asked for; `name`
 * decides what is said to be missing where it has none. GF_EMISMATCH names the tensor that is missing, left over
 * or of another shape. */
gf_status gf__state_dict_read(const gf__torch_file *file, const char *name, gf__checkpoint *out,
                              gf_error *err);

/* ---- names of Keras: keras_names.c ---- */

/* A tensor is called LAYER/kernel. */
bool gf__has_keras_names(const gf__torch_file *file);
/* Keras' Inception-v3, by places: the n-th conv2d of the file is the n-th of the network. The weights are
 * the file's tensors. */
gf_status gf__keras_names_read(const gf__torch_file *file, gf__checkpoint *out, gf_error *err);

/* A safetensors file of others, opened: tensors by either names. The weights may be views of it. */
gf_status gf__safetensors_read_tensors(const gf_safetensors *file, const char *name,
                                       gf__checkpoint *out, gf_error *err);

#endif
