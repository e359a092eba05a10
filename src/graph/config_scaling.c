/* config_scaling.c: what a configuration lists among its layers and a graph does not have: layers that
 * do nothing once training is over, and arithmetic with one number, which in front of a network is how
 * pixels become its input. Both Keras' layer Rescaling and what `x / 127.5 - 1` leaves in a
 * configuration: an operation, with the number among its arguments. */
#include <math.h>
#include <string.h>

#include "graph/config_priv.h"

/* The number is the second operand: of a number divided by a picture, or less a picture, Keras 2 writes
 * another form, and Keras 3 the number first. */
typedef enum arithmetic { ADDS, SUBTRACTS, MULTIPLIES, DIVIDES } arithmetic;

static const struct {
    const char *class_name; /* Keras 3 */
    const char *function;   /* Keras 2: of a TFOpLambda */
    arithmetic what;
} operations[] = {
    {"Add", "math.add", ADDS},
    {"Add", "__operators__.add", ADDS},
    {"Subtract", "math.subtract", SUBTRACTS},
    {"Multiply", "math.multiply", MULTIPLIES},
    {"TrueDivide", "math.truediv", DIVIDES},
    {"Divide", "math.divide", DIVIDES},
};

/* RandomCrop is not among them: without training it crops in the middle. */
static const char *const nothing[] = {"ActivityRegularization",
                                      "AlphaDropout",
                                      "GaussianDropout",
                                      "GaussianNoise",
                                      "Identity",
                                      "RandomBrightness",
                                      "RandomColorDegeneration",
                                      "RandomColorJitter",
                                      "RandomContrast",
                                      "RandomElasticTransform",
                                      "RandomErasing",
                                      "RandomFlip",
                                      "RandomGaussianBlur",
                                      "RandomGrayscale",
                                      "RandomHeight",
                                      "RandomHue",
                                      "RandomInvert",
                                      "RandomPerspective",
                                      "RandomPosterization",
                                      "RandomRotation",
                                      "RandomSaturation",
                                      "RandomSharpness",
                                      "RandomShear",
                                      "RandomTranslation",
                                      "RandomWidth",
                                      "RandomZoom",
                                      "SpatialDropout2D"};

static bool does_nothing(const char *class_name)
{
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        if (strcmp(nothing[i], class_name) == 0)
            return true;
    return false;
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

/* Whether the node is such an operation; a layer called Add is not, which has two inputs. */
static bool find_operation(const gf__config_node *n, const char *class_name, arithmetic *out)
{
    const bool is_lambda = strcmp(class_name, "TFOpLambda") == 0;
    const char *function = gf__json_string(gf__json_find(n->config, "function"), "");
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        const char *name = is_lambda ? operations[i].function : operations[i].class_name;
        if (strcmp(name, is_lambda ? function : class_name) == 0) {
            *out = operations[i].what;
            return true;
        }
    }
    return false;
}

/* Keras 3: {"args": [x, 127.5]}; Keras 2: [["x", 0, 0, {"y": 127.5}]], or with one pair of brackets. */
static const gf__json *second_operand(const gf__config_node *n)
{
    const gf__json *call = gf__json_at(gf__json_find(n->json, "inbound_nodes"), 0);
    if (gf__json_is_object(call)) {
        const gf__json *args = gf__json_find(call, "args");
        const bool is_picture = gf__json_is_object(gf__json_at(args, 0));
        return is_picture && gf__json_n_items(args) == 2 ? gf__json_at(args, 1) : NULL;
    }
    const gf__json *reference = gf__json_is_string(gf__json_at(call, 0)) ? call
                                                                         : gf__json_at(call, 0);
    return gf__json_find(gf__json_at(reference, 3), "y");
}

static gf_status check_numbers(const gf__config_node *n, gf_error *err)
{
    if (isfinite(n->scale) && isfinite(n->shift) && n->scale != 0.0)
        return GF_OK;
    return gf_error_set(err, GF_EFORMAT, "layer \"%.128s\" multiplies by %g and adds %g", n->name,
                        n->scale, n->shift);
}

static gf_status use_operation(gf__config_node *n, arithmetic what, double number, gf_error *err)
{
    n->kind = GF__NODE_SCALING;
    n->scale = 1.0;
    n->shift = 0.0;
    switch (what) {
    case ADDS:
        n->shift = number;
        break;
    case SUBTRACTS:
        n->shift = -number;
        break;
    case MULTIPLIES:
        n->scale = number;
        break;
    case DIVIDES:
        n->scale = 1.0 / number;
        break;
    }
    return check_numbers(n, err);
}

/* A scale for each channel is a list. */
static gf_status use_rescaling(gf__config_node *n, gf_error *err)
{
    const gf__json *scale = gf__json_find(n->config, "scale");
    const gf__json *offset = gf__json_find(n->config, "offset");
    const bool has_offset = offset != NULL && !gf__json_is_null(offset);
    if (!gf__json_is_number(scale) || (has_offset && !gf__json_is_number(offset)))
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "layer \"%.128s\" (Rescaling): scale and offset are not one number "
                            "each; only that can be run",
                            n->name);
    n->kind = GF__NODE_SCALING;
    n->scale = gf__json_number(scale, 0.0);
    n->shift = gf__json_number(offset, 0.0);
    return check_numbers(n, err);
}

/* Pixels of whole numbers made floats, which they are in graft anyway. */
static bool is_cast_to_float(const gf__config_node *n, const char *class_name)
{
    const gf__json *call = gf__json_at(gf__json_find(n->json, "inbound_nodes"), 0);
    if (strcmp(class_name, "Cast") == 0)
        return strcmp(gf__json_string(gf__json_find(n->config, "dtype"), ""), "float32") == 0;
    if (strcmp(class_name, "TFOpLambda") != 0 ||
        strcmp(gf__json_string(gf__json_find(n->config, "function"), ""), "cast") != 0)
        return false;
    const gf__json *reference = gf__json_is_string(gf__json_at(call, 0)) ? call
                                                                         : gf__json_at(call, 0);
    const gf__json *dtype = gf__json_find(gf__json_at(reference, 3), "dtype");
    return strcmp(gf__json_string(dtype, ""), "float32") == 0;
}

gf_status gf__config_classify(gf__config_node *node, gf_error *err)
{
    arithmetic what;
    const char *class_name = gf__json_string(gf__json_find(node->json, "class_name"), "");
    node->kind = GF__NODE_LAYER;
    if (strcmp(class_name, "Rescaling") == 0)
        return use_rescaling(node, err);
    if (does_nothing(class_name) || is_cast_to_float(node, class_name)) {
        node->kind = GF__NODE_NOTHING;
        return GF_OK;
    }
    if (!find_operation(node, class_name, &what))
        return GF_OK;
    const gf__json *number = second_operand(node);
    return gf__json_is_number(number) ? use_operation(node, what, gf__json_number(number, 0.0), err)
                                      : GF_OK;
}

bool gf__config_is_operation(const gf__json *layer)
{
    gf__config_node node = {.json = layer, .config = gf__json_find(layer, "config"), .name = "?"};
    const char *class_name = gf__json_string(gf__json_find(layer, "class_name"), "");
    arithmetic what;
    return is_cast_to_float(&node, class_name) ||
           (find_operation(&node, class_name, &what) && gf__json_is_number(second_operand(&node)));
}
