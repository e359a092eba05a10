/* engine/engine.h: the door of engine for other folders. */
#ifndef GRAFT_SRC_ENGINE_H
#define GRAFT_SRC_ENGINE_H

#include "base/base.h"
#include "graft/engine.h"

/* Appends what a result depends on besides graph, precision and picture: the library that runs here
 * (which need not be the one this was built with), its build, and the instruction set. */
void gf__engine_describe(gf__buffer *out);

/* Runs the whole graph layer by layer with the plain kernels, in float32, for one picture: the
 * specification that plans are tested against. input (H,W,C) floats; *out gets every output in
 * order, each its own size, new, ended with gf__free(). Slow: seconds for Inception-v3. */
gf_status gf__engine_run_reference(const gf_graph *graph, const gf_output_spec *outputs,
                                   size_t n_outputs, const float *input, float **out,
                                   gf_error *err);

#endif
