/* classes.c: the table of layer classes and the names of activations. A class that graft learns to
 * run gets a row here, a line in gf__layer_class, and kernels in engine. */
#include <string.h>

#include "graph/graph_priv.h"

#define ANY SIZE_MAX

const gf__class gf__classes[GF__N_LAYER_CLASSES] = {
    [GF__LAYER_INPUT] = {"InputLayer", NULL, 0, 0, gf__infer_input, gf__read_input,
                         gf__write_input},
    [GF__LAYER_CONV2D] = {"Conv2D", "Convolution2D", 1, 1, gf__infer_conv2d, gf__read_conv2d,
                          gf__write_conv2d},
    [GF__LAYER_DEPTHWISE_CONV2D] = {"DepthwiseConv2D", NULL, 1, 1, gf__infer_depthwise,
                                    gf__read_depthwise, gf__write_depthwise},
    [GF__LAYER_BATCH_NORMALIZATION] = {"BatchNormalization", "BatchNormalizationV1", 1, 1,
                                       gf__infer_batch_normalization, gf__read_batch_normalization,
                                       gf__write_batch_normalization},
    [GF__LAYER_ACTIVATION] = {"Activation", "Softmax", 1, 1, gf__infer_same, gf__read_activation,
                              gf__write_activation},
    [GF__LAYER_RELU] = {"ReLU", NULL, 1, 1, gf__infer_same, gf__read_relu, gf__write_relu},
    [GF__LAYER_MAX_POOLING2D] = {"MaxPooling2D", "MaxPool2D", 1, 1, gf__infer_pooling,
                                 gf__read_pooling, gf__write_pooling},
    [GF__LAYER_AVERAGE_POOLING2D] = {"AveragePooling2D", "AvgPool2D", 1, 1, gf__infer_pooling,
                                     gf__read_pooling, gf__write_pooling},
    [GF__LAYER_GLOBAL_AVERAGE_POOLING2D] = {"GlobalAveragePooling2D", "GlobalAvgPool2D", 1, 1,
                                            gf__infer_global_pooling, gf__read_nothing,
                                            gf__write_nothing},
    [GF__LAYER_GLOBAL_MAX_POOLING2D] = {"GlobalMaxPooling2D", "GlobalMaxPool2D", 1, 1,
                                        gf__infer_global_pooling, gf__read_nothing,
                                        gf__write_nothing},
    [GF__LAYER_CONCATENATE] = {"Concatenate", NULL, 1, ANY, gf__infer_concatenate,
                               gf__read_concatenate, gf__write_concatenate},
    [GF__LAYER_ADD] = {"Add", NULL, 1, ANY, gf__infer_add, gf__read_nothing, gf__write_nothing},
    [GF__LAYER_ZERO_PADDING2D] = {"ZeroPadding2D", NULL, 1, 1, gf__infer_zero_padding,
                                  gf__read_zero_padding, gf__write_zero_padding},
    [GF__LAYER_FLATTEN] = {"Flatten", NULL, 1, 1, gf__infer_flatten, gf__read_nothing,
                           gf__write_nothing},
    [GF__LAYER_DENSE] = {"Dense", NULL, 1, 1, gf__infer_dense, gf__read_dense, gf__write_dense},
    [GF__LAYER_DROPOUT] = {"Dropout", NULL, 1, 1, gf__infer_same, gf__read_dropout,
                           gf__write_dropout},
};

gf__layer_class gf__class_find(const char *name)
{
    for (size_t i = 0; i < GF__N_LAYER_CLASSES; i++) {
        const gf__class *class = &gf__classes[i];
        if (strcmp(class->name, name) == 0 ||
            (class->old_name != NULL && strcmp(class->old_name, name) == 0))
            return (gf__layer_class)i;
    }
    return GF__N_LAYER_CLASSES;
}

static const char *const activation_names[] = {
    [GF__ACTIVATION_LINEAR] = "linear", [GF__ACTIVATION_RELU] = "relu",
    [GF__ACTIVATION_RELU6] = "relu6",   [GF__ACTIVATION_SOFTMAX] = "softmax",
    [GF__ACTIVATION_TANH] = "tanh",     [GF__ACTIVATION_SIGMOID] = "sigmoid",
};
#define N_ACTIVATIONS (sizeof activation_names / sizeof activation_names[0])

const char *gf__activation_name(gf__activation activation)
{
    return activation_names[activation];
}

gf_status gf__activation_parse(const char *layer, const char *name, gf__activation *out,
                               gf_error *err)
{
    for (size_t i = 0; i < N_ACTIVATIONS; i++) {
        if (strcmp(activation_names[i], name) == 0) {
            *out = (gf__activation)i;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "layer \"%s\": activation \"%.40s\" is not one of linear, relu, relu6, "
                        "softmax, tanh, sigmoid",
                        layer, name);
}
