/* zoo/onnx/onnx.h: ONNX models. */
#ifndef GRAFT_ZOO_ONNX_H
#define GRAFT_ZOO_ONNX_H

#include "zoo/zoo_priv.h"

/* name: of the network, where the file itself gives it none that can be one. */
gf_status gf__onnx_read(const char *path, const char *name, gf__checkpoint *out, gf_error *err);

#endif
