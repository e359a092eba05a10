/* zoo/tfjs/tfjs.h: the layers-models of TensorFlow.js, also inside an npm package. */
#ifndef GRAFT_ZOO_TFJS_H
#define GRAFT_ZOO_TFJS_H

#include "zoo/zoo_priv.h"

/* TFJS or NPM: the document; shards of weights lie beside it. */
gf_status gf__tfjs_read(const gf__source *source, const gf_observer *obs, gf__checkpoint *out,
                        gf_error *err);
/* What the npm package around an NPM source calls the outputs, {"0": "name", ...}: its file
 * dist/cjs/nsfw_classes.js, beside dist/models/NAME/. New; NULL where it has no such file. */
gf__json *gf__npm_class_names(const gf__source *source);

#endif
