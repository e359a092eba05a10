/* config_priv.h: between config_model.c (the tree) and config_read.c (one layer's settings). Never
 * leaves this folder. */
#ifndef GRAFT_GRAPH_CONFIG_PRIV_H
#define GRAFT_GRAPH_CONFIG_PRIV_H

#include <stdio.h>

#include "graph/graph_priv.h"

/* GF_EUNSUPPORTED where a setting has a value that cannot be run: dilation, groups, channels first
 * ... */
gf_status gf__check_fixed_settings(const gf__json *json, const char *layer, gf_error *err);

/* Keras 1's class Merge is Concatenate or Add by its mode. */
gf_status gf__read_merge_class(const gf__json *json, const char *layer, gf__layer_class *out,
                               gf_error *err);

#endif
