/* head/head.h: the door of head for other folders: one training step's forward and backward, and
 * the kernels below.
 *
 * Determinism: every output value is summed in an order fixed by the shapes alone, so any number of
 * threads gives the same bytes. */
#ifndef GRAFT_SRC_HEAD_H
#define GRAFT_SRC_HEAD_H

#include "base/base.h"
#include "graft/head.h"

/* All weights in one 64-byte aligned block: kernel and bias of each layer in turn, each at a
 * multiple of 16 floats, the gaps zero. *n_floats counts the gaps; optimizer slots and copies of
 * the weights are laid out alike. Borrowed. */
float *gf__head_params(gf_head *head, size_t *n_floats);

/* A head that predicts from weights where they lie: kernels[i] and biases[i] are kept, not copied, and
 * must outlive it. It cannot be written to: none of gf_head_kernel(), gf_head_bias(),
 * gf_head_initialise() and gf__head_params(). A copy of it has weights of its own. */
gf_status gf__head_new_view(size_t n_features, const gf_head_layer *layers, size_t n_layers,
                            const float *const *kernels, const float *const *biases, gf_head **out,
                            gf_error *err);

/* As gf_head_kernel() and gf_head_bias(), for those who only read. */
const float *gf__head_kernel_of(const gf_head *head, size_t i);
const float *gf__head_bias_of(const gf_head *head, size_t i);

/* "linear", "relu", "softmax", "tanh", "sigmoid": as Keras and our files write them. parse is false for another
 * word. */
const char *gf__head_activation_name(gf_head_activation activation);
bool gf__head_activation_parse(const char *name, gf_head_activation *out);

/* Which compilation of the kernels this CPU runs: x86-64-v4 (AVX-512), x86-64-v3 (AVX2 and FMA) or
 * neither. */
typedef enum gf__isa { GF__ISA_GENERIC, GF__ISA_V3, GF__ISA_V4 } gf__isa;
gf__isa gf__isa_pick(void);

/* Streams of gf__rng: one a purpose, so that one more draw here changes nothing there. The low 32
 * bits number the layer or epoch. */
enum { GF__STREAM_SHIFT = 32 };
#define GF__STREAM_WEIGHTS ((uint64_t)1 << GF__STREAM_SHIFT)
#define GF__STREAM_SHUFFLE ((uint64_t)2 << GF__STREAM_SHIFT)
#define GF__STREAM_VIEW    ((uint64_t)3 << GF__STREAM_SHIFT)
#define GF__STREAM_DROPOUT ((uint64_t)4 << GF__STREAM_SHIFT)
#define GF__STREAM_FOLDS   ((uint64_t)5 << GF__STREAM_SHIFT)

/* gf_head_predict(), and what the last layer gave before its activation: (n, n_classes); NULL is
 * fine. */
gf_status gf__head_predict_logits(const gf_head *head, const float *features, size_t n,
                                  float *scores, float *logits, gf_error *err);

/* Activations and gradients of one batch. max_batch rows; the pool may be NULL. */
typedef struct gf__head_pass gf__head_pass;
gf_status gf__head_pass_new(const gf_head *head, size_t max_batch, gf__pool *pool,
                            gf__head_pass **out, gf_error *err);
void gf__head_pass_free(gf__head_pass *pass);

/* Rows, and what is right for them: labels where the head ends in softmax, targets where it ends in
 * sigmoid. Kept by a pass until its next forward. */
typedef struct gf__head_batch {
    const float *features;      /* (n, n_features) */
    size_t n;                   /* 0 < n <= max_batch */
    const size_t *labels;       /* n values < n_classes */
    const float *targets;       /* (n, n_classes), 0 to 1 */
    const float *class_weights; /* n_classes, with labels; NULL: 1 each */
    const float *row_weights;   /* n; NULL: 1 each */
} gf__head_batch;

/* Forward in training mode (dropout drawn from rng; NULL: none, for evaluation), then the loss: the
 * mean over rows of weight * -log(score[label]), or of weight * the mean binary cross-entropy with
 * the targets; probabilities clipped to [1e-7, 1 - 1e-7] as Keras does. *n_correct counts rows whose
 * largest score is the label's (the first of equals), or sums up the shares of scores that are above
 * 0.5 where the target is 1, and not where it is 0. */
void gf__head_forward(gf__head_pass *pass, const gf_head *head, const gf__head_batch *batch,
                      gf__rng *rng, double *loss, double *n_correct);
/* The last layer's activation. */
gf_head_activation gf__head_end(const gf_head *head);
/* Gradients of that loss. layer i: input of the layer x (n, inputs) and gradient at its output d
 * (n, units), both borrowed: the weight gradient is x^T d, left to the optimizer so that it can be
 * used up as it is computed. */
void gf__head_backward(gf__head_pass *pass, const gf_head *head);
const float *gf__head_pass_input(const gf__head_pass *pass, size_t layer);
const float *gf__head_pass_delta(const gf__head_pass *pass, size_t layer);
const float *gf__head_pass_scores(const gf__head_pass *pass); /* (n, n_classes) */

/* Kernels; each has a plain version with the suffix _ref, its specification. Row-major, nothing
 * aliases. The dense one: y = x w + b: x (N,D), w (D,K), b (K), y (N,K). */
void gf__dense(float *y, const float *x, const float *w, const float *b, size_t N, size_t D,
               size_t K, gf__pool *pool);
void gf__dense_ref(float *y, const float *x, const float *w, const float *b, size_t N, size_t D,
                   size_t K);
/* dx = d w^T: d (N,K), w (D,K), dx (N,D). */
void gf__dense_backward_input(float *dx, const float *d, const float *w, size_t N, size_t D,
                              size_t K, gf__pool *pool);
void gf__dense_backward_input_ref(float *dx, const float *d, const float *w, size_t N, size_t D,
                                  size_t K);
/* Rows [first, first + n_rows) of dw = x^T d: x (N,D), d (N,K); dw (n_rows,K). */
void gf__dense_backward_weights(float *dw, const float *x, const float *d, size_t N, size_t D,
                                size_t K, size_t first, size_t n_rows);
void gf__dense_backward_weights_ref(float *dw, const float *x, const float *d, size_t N, size_t D,
                                    size_t K, size_t first, size_t n_rows);
void gf__softmax_rows(float *x, size_t N, size_t K); /* in place, largest value subtracted first */
void gf__sigmoid(float *x, size_t n);                /* in place, as the next */
void gf__tanh(float *x, size_t n);

#endif
