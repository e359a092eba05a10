/* data/data.h: the door of data for other folders. */
#ifndef GRAFT_SRC_DATA_H
#define GRAFT_SRC_DATA_H

#include "graft/data.h"

/* SHA-256 of one item's content (encoded bytes, or pixels with their shape), 65 chars: the
 * picture's part of a feature's identity. */
gf_status gf__dataset_item_hash(const gf_dataset *dataset, size_t i, char *hex, gf_error *err);

/* GF_EUNSUPPORTED for a table of numbers. */
gf_status gf__dataset_wants_pictures(const gf_dataset *dataset, gf_error *err);

/* Whether the ending is one of a picture's, also of kinds that are not decoded here. */
bool gf__is_picture_name(const char *path);

/* A CSV or .npz of what a model takes: rows with their classes, or without: n_columns, as many as
 * the model takes, decides. Pictures of an .npz have no columns. */
gf_status gf__dataset_open_rows(const char *path, size_t n_columns, gf_dataset **out,
                                gf_error *err);

#endif
