/* zoo/keras/keras_priv.h: .keras archives, Keras' own format since 2.12: a zip of config.json (the network),
 * metadata.json (who wrote it) and model.weights.h5. */
#ifndef GRAFT_ZOO_KERAS_PRIV_H
#define GRAFT_ZOO_KERAS_PRIV_H

#include "zoo/keras/keras.h"

/* ---- keras_dialect.c ---- */

/* Refuses what config.json can say and a model configuration of Keras 2 cannot: classes of the sender's own,
 * quantised layers, calls with more than the output of another layer. What it lets through,
 * gf__graph_from_config() understands. GF_EUNSUPPORTED names the layer. */
gf_status gf__keras_check_dialect(const gf__json *model, gf_error *err);

/* ---- keras_groups.c ---- */

/* Gives the graph its weights from a converted model.weights.h5. notes: of its config.json. */
gf_status gf__keras_assign(const gf_safetensors *file, const gf__config_notes *notes,
                           gf_graph *graph, gf_error *err);

/* ---- hdf5_order.c ---- */

/* The n weights of a group of an HDF5 file that belongs to entry i of the notes, in the file's order: whose
 * they are. names: as the group lists them. New; GF_EMISMATCH where they are not the entry's. */
typedef struct gf__weight_place {
    size_t layer;  /* in the graph */
    size_t weight; /* of the layer */
} gf__weight_place;
gf_status gf__hdf5_order(const gf_graph *graph, const gf__config_notes *notes, size_t i,
                         const gf__json *names, gf__weight_place **out, gf_error *err);
/* How many weights the entry has. */
size_t gf__hdf5_n_weights(const gf_graph *graph, const gf__config_notes *notes, size_t i);

/* ---- keras_archive.c ---- */

/* What is in an archive, but for the weights' values. Start with {0}. */
typedef struct gf__keras_archive {
    gf__archive *zip;
    gf__json *model;    /* config.json */
    gf__json *metadata; /* metadata.json, or NULL */
    gf_graph *graph;    /* of config.json, without weights */
    gf__config_notes notes;
    char version[24]; /* "3.12.0", or "" */
    size_t weights;   /* index of model.weights.h5 */
} gf__keras_archive;
/* The bytes stay the caller's, and there. */
gf_status gf__keras_archive_open(const uint8_t *bytes, size_t n_bytes, gf__keras_archive *out,
                                 gf_error *err);
void gf__keras_archive_close(gf__keras_archive *archive);

/* ---- hdf5_child.c ---- */

/* Runs graft-h5 on path; *out is the safetensors file it made, already without a name on disk. */
gf_status gf__hdf5_convert(const char *path, const char *scratch_dir, const gf_observer *obs,
                           gf_safetensors **out, gf_error *err);
/* The same with a title in messages, in the place of the path of what is a temporary file. */
gf_status gf__hdf5_convert_as(const char *path, const char *title, const char *scratch_dir,
                              const gf_observer *obs, gf_safetensors **out, gf_error *err);
/* GF_EFORMAT: the first bytes of a file are not HDF5's signature. */
gf_status gf__hdf5_check_begin(const char *head, size_t n, gf_error *err);

#endif
