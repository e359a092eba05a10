/* engine/engine.h: the door of engine for other folders. */
#ifndef GRAFT_SRC_ENGINE_H
#define GRAFT_SRC_ENGINE_H

#include "base/base.h"
#include "graft/engine.h"

/* Appends what a result depends on besides graph, precision and picture: the library that runs here
 * (which need not be the one this was built with), its build, and the instruction set. */
void gf__engine_describe(gf__buffer *out);

/* A further plan of the graph that lender is a plan of, in the same precision, for other outputs or
 * threads. Weights that both pack alike (most are, whatever the threads) are the lender's, which
 * must outlive it; the rest is packed in memory, and no file is touched: it can be made where
 * there is no file system any more. lender NULL: gf_plan_new(). */
gf_status gf__plan_new_borrowing(const gf_graph *graph, const gf_output_spec *outputs,
                                 size_t n_outputs, const gf_plan_options *options,
                                 const gf_plan *lender, gf_plan **out, gf_error *err);
/* Bytes of packed weights that are not the lender's. */
size_t gf__plan_owned_bytes(const gf_plan *plan);

/* An exec whose values and scratch lie in memory (aligned to 64; borrowed) where the plan has one lane
 * and n_bytes are enough, gf_plan_arena_bytes(); else in memory of its own. Execs that share memory
 * may not run at the same time; their outputs are each its own. */
gf_status gf__exec_new_in(const gf_plan *plan, uint8_t *memory, size_t n_bytes, gf_exec **out,
                          gf_error *err);
/* One picture by the calling thread alone, whatever number of threads the plan was made for: the bytes
 * of gf_exec_run(), and as fast as a plan for one thread (measured with plans for 2 to 16), without a
 * second set of code and packed weights. */
gf_status gf__exec_run_single(gf_exec *exec, const void *input, gf_error *err);
/* Ends the threads that the calling thread's operations ran on; they come back when needed. */
void gf__engine_end_threads(void);

/* Runs the whole graph layer by layer with the plain kernels, in float32, for one picture: the
 * specification that plans are tested against. input (H,W,C) floats; *out gets every output in
 * order, each its own size, new, ended with gf__free(). Slow: seconds for Inception-v3. */
gf_status gf__engine_run_reference(const gf_graph *graph, const gf_output_spec *outputs,
                                   size_t n_outputs, const float *input, float **out,
                                   gf_error *err);

#endif
