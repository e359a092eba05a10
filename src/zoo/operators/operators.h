/* zoo/operators/operators.h: from somebody else's list of operator nodes (TensorFlow's, ONNX') to a graph
 * of Keras' layers with weights.
 *
 *     st = gf__operators_new("inception_v3", &ops, err);
 *     st = gf__op_input(ops, "input_1", (size_t[]){299, 299, 3}, 3, &x, err);
 *     st = gf__op_affine(ops, "scale", x, 1 / 127.5, -1, &x, err);           what the trunk's input does
 *     st = gf__op_conv2d(ops, "net/conv/Conv2D", x, &window, kernel, NULL, &x, err);
 *     st = gf__op_bias(ops, "net/conv/BiasAdd", x, bias, &x, err);
 *     st = gf__op_activation(ops, "net/conv/Relu", x, GF__ACTIVATION_RELU, &x, err);
 *     ...
 *     st = gf__operators_finish(ops, x, &graph, err);
 *
 * A value is a number that an operator gave; operators are added after those that make their
 * inputs. Shapes leave out the batch; maps are height, width, channels: who has channels first
 * transposes kernels, and the rows of a Dense layer behind a Flatten, before. Shapes are checked
 * as operators are added, those of weights at the end; messages name the node.
 *
 * What belongs together becomes one layer: a bias joins its convolution, Dense or normalization,
 * ReLU, ReLU6 and softmax join a Dense. What the output does not need is left out. Layers are in
 * Keras' order, and called after the scope of their node: "net/conv/Conv2D" gives "conv", or
 * "net_conv" where another scope ends so; a second one of the scope, "conv_Relu".
 *
 * Weights are float32 and borrowed: a reference is taken. Errors: GF_ESHAPE, GF_EUNSUPPORTED,
 * GF_ELIMIT, GF_EFORMAT, GF_ENOMEM. After an error only gf__operators_free() may follow. One
 * thread. */
#ifndef GRAFT_ZOO_OPERATORS_H
#define GRAFT_ZOO_OPERATORS_H

#include "graph/graph.h"
#include "tensor/tensor.h"

typedef struct gf__operators gf__operators; /* opaque */

gf_status gf__operators_new(const char *name, gf__operators **out, gf_error *err);
void gf__operators_free(gf__operators *ops);
/* Whether paddings apart from their convolution, where together they are Keras' "same", become
 * that. Off: they stay ZeroPadding2D, as Keras' own networks have them. */
void gf__operators_fold_padding(gf__operators *ops, bool is_wanted);

/* Once, first. n_dims 3: a picture, or 1. */
gf_status gf__op_input(gf__operators *ops, const char *node, const size_t *shape, size_t n_dims,
                       size_t *out, gf_error *err);
/* Shape of a value; returns the number of dimensions, 1 or 3. */
size_t gf__op_shape(const gf__operators *ops, size_t value, size_t shape[3]);

typedef struct gf__window {
    size_t kernel[2]; /* height, width; convolutions have it from their kernel */
    size_t strides[2];
    bool is_same;      /* TensorFlow's SAME, ONNX' SAME_UPPER: padding is not read */
    size_t padding[4]; /* top, bottom, left, right */
} gf__window;

/* kernel (H,W,I,O); bias (O) or NULL. Padding that is not "same" becomes a ZeroPadding2D before. */
gf_status gf__op_conv2d(gf__operators *ops, const char *node, size_t in, const gf__window *window,
                        gf_tensor *kernel, gf_tensor *bias, size_t *out, gf_error *err);
/* kernel (H,W,C,1). */
gf_status gf__op_depthwise(gf__operators *ops, const char *node, size_t in,
                           const gf__window *window, gf_tensor *kernel, gf_tensor *bias,
                           size_t *out, gf_error *err);
/* kernel (I,O), bias (O) or NULL. */
gf_status gf__op_dense(gf__operators *ops, const char *node, size_t in, gf_tensor *kernel,
                       gf_tensor *bias, size_t *out, gf_error *err);
/* Added to the output of a convolution or Dense that has none yet and that nobody else uses;
 * elsewhere a BatchNormalization of mean 0, variance 1 and epsilon 0, which is the same. Not to
 * the input. */
gf_status gf__op_bias(gf__operators *ops, const char *node, size_t in, gf_tensor *bias, size_t *out,
                      gf_error *err);

typedef struct gf__op_norm {
    gf_tensor *gamma, *beta; /* (C); NULL: the layer has none */
    gf_tensor *mean, *variance;
    float epsilon;
} gf__op_norm;
/* n times this value: the mean and the variance of a normalization that only multiplies or adds. GF_ELIMIT:
 * more than a million. */
gf_status gf__plain_norm_vector(size_t n, float value, gf_tensor **out, gf_error *err);
gf_status gf__op_batch_norm(gf__operators *ops, const char *node, size_t in,
                            const gf__op_norm *norm, size_t *out, gf_error *err);
/* Whether all values are exactly this: formats that cannot leave out gamma write ones. */
bool gf__tensor_is_all(const gf_tensor *tensor, float value);

/* A number for each channel, which the values are multiplied with: such a BatchNormalization,
 * too. */
gf_status gf__op_scale(gf__operators *ops, const char *node, size_t in, gf_tensor *factors,
                       size_t *out, gf_error *err);

/* RELU6 becomes a ReLU layer, the others an Activation. Softmax is along the channels. */
gf_status gf__op_activation(gf__operators *ops, const char *node, size_t in,
                            gf__activation activation, size_t *out, gf_error *err);
gf_status gf__op_max_pool(gf__operators *ops, const char *node, size_t in, const gf__window *window,
                          size_t *out, gf_error *err);
/* counts_padding: zeros around the picture are part of the average (ONNX' count_include_pad). */
gf_status gf__op_average_pool(gf__operators *ops, const char *node, size_t in,
                              const gf__window *window, bool counts_padding, size_t *out,
                              gf_error *err);
/* Over height and width. keeps_map: the output is still a map, of 1x1. */
gf_status gf__op_global_pool(gf__operators *ops, const char *node, size_t in, bool is_max,
                             bool keeps_map, size_t *out, gf_error *err);
/* Along the channels. */
gf_status gf__op_concat(gf__operators *ops, const char *node, const size_t *in, size_t n_in,
                        size_t *out, gf_error *err);
gf_status gf__op_add(gf__operators *ops, const char *node, const size_t *in, size_t n_in,
                     size_t *out, gf_error *err);
gf_status gf__op_pad(gf__operators *ops, const char *node, size_t in, const size_t padding[4],
                     size_t *out, gf_error *err);
/* (H,W,C) to (H*W*C); a value of one dimension stays as it is. */
gf_status gf__op_flatten(gf__operators *ops, const char *node, size_t in, size_t *out,
                         gf_error *err);
/* Whether a value is the input, scaled or not. */
bool gf__op_is_input(const gf__operators *ops, size_t value);
/* in * scale + shift. Only between the input and the first layers, which must all see the same. */
gf_status gf__op_affine(gf__operators *ops, const char *node, size_t in, double scale, double shift,
                        size_t *out, gf_error *err);

/* The graph of what `output` needs, with its weights. */
gf_status gf__operators_finish(gf__operators *ops, size_t output, gf_graph **out, gf_error *err);
/* After that: false where the input is not scaled; else what pixels of 0 to 255 are multiplied
 * with and what is added (gf__pixel_scaling()). */
bool gf__operators_input(const gf__operators *ops, float *scale, float *shift);

#endif
