/* zoo/torch/torch.h: files of tensors with names: what torch.save() writes, and safetensors. Which
 * layer a name means is known by the networks (inception_torch.c, efficientnet.c), which take their
 * weights from here. */
#ifndef GRAFT_ZOO_TORCH_H
#define GRAFT_ZOO_TORCH_H

#include "zoo/zoo_priv.h"

/* A file of torch.save() into a network that graft knows: the one whose names it has, whatever is asked
 * for; `name` decides what is said to be missing where it has none. GF_EMISMATCH names the tensor that is
 * missing, left over or of another shape. */
gf_status gf__torch_read(const char *path, const char *name, gf__checkpoint *out, gf_error *err);
/* The same from a safetensors file, which may also have Keras' names, or be a trunk of graft's own. */
gf_status gf__safetensors_read(const char *path, const char *name, gf__checkpoint *out,
                               gf_error *err);

/* ---- for the networks ---- */

/* The tensors of a file, by name, as contiguous float32 in PyTorch's order of dimensions. */
typedef struct gf__torch_tensor {
    char *name;
    gf_tensor *tensor; /* NULL for whole numbers (num_batches_tracked), which no network needs */
} gf__torch_tensor;
typedef struct gf__torch_file {
    gf__torch_tensor *tensors;
    size_t n_tensors;
    bool is_zip;      /* the form since PyTorch 1.6; otherwise the older one */
    bool is_inside;   /* in an archive, as packages carry it */
    const char *kind; /* of file, for the origin; static */
} gf__torch_file;
/* Borrowed; NULL. */
gf_tensor *gf__torch_find(const gf__torch_file *file, const char *name);

/* A file on its way into a network's graph. Set the first three, then begin, set..., end. */
typedef struct gf__state_dict {
    const gf__torch_file *file;
    const char *title;  /* of the network, for messages */
    const char *prefix; /* before every name in the file: "", "module." */
    bool *is_used;      /* for each tensor */
} gf__state_dict;
gf_status gf__state_dict_begin(gf__state_dict *dict, gf_error *err);
/* Gives weight `ours` of layer `index` the tensor MODULE.THEIRS, with its dimensions in our order. */
gf_status gf__state_dict_set(gf__state_dict *dict, gf_graph *graph, size_t index, const char *ours,
                             const char *module, const char *theirs, gf_error *err);
/* The two halves of that: the tensor (borrowed) by its name, for a layer of that name; and giving. */
gf_status gf__state_dict_find(gf__state_dict *dict, const char *name, const char *layer,
                              const gf_tensor **out, gf_error *err);
gf_status gf__state_dict_give(const gf__state_dict *dict, gf_graph *graph, size_t index,
                              const char *ours, const char *name, const gf_tensor *tensor,
                              gf_error *err);
/* Frees what begin made. With err, a tensor that was not used is a failure. */
gf_status gf__state_dict_end(gf__state_dict *dict, gf_error *err);

/* The networks. prefix: what stands before each name. */
gf_status gf__inception_v3_read_torch(const gf__torch_file *file, const char *prefix,
                                      gf__checkpoint *out, gf_error *err);
gf_status gf__efficientnet_lite0_read_torch(const gf__torch_file *file, const char *prefix,
                                            gf__checkpoint *out, gf_error *err);

#endif
