/* zoo/input_scaling.c: what a network wants done with pixels. A trunk has one scale and one shift for all
 * channels, [-1,1] where nothing else is said. PyTorch's networks may want a mean and a deviation for each
 * channel: those go into the first convolution and the normalization behind it. With padding "valid" that
 * is the same function, to float32's rounding; with zeros around the picture it would not be, because
 * there zero means something else, and is refused. */
#include <math.h>
#include <string.h>

#include "zoo/zoo_priv.h"

#define MAX_CONFIG_BYTES ((size_t)1 << 20)
#define UNIT_SCALE \
    (1.0 / 16)          /* pixels of 0 to 255 are scaled by 1/58 at most (a deviation of 58) ... */
#define UNIT_SHIFT 16.0 /* ... or not at all, and then shifted by their mean, near 128 */

static const gf__normalization imagenet = {{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};

/* ---- folding --------------------------------------------------------------------------------- */

static gf_tensor *weight_of(const gf_layer *layer, const char *name)
{
    for (size_t i = 0; i < gf__layer_n_weights(layer); i++)
        if (strcmp(gf__layer_weight_name(layer, i), name) == 0)
            return gf__layer_weight_at(layer, i);
    return NULL;
}

/* The only layer that reads layer `index`; n_layers where there are none or several. */
static size_t only_reader(const gf_graph *graph, size_t index)
{
    const size_t n = gf_graph_n_layers(graph);
    size_t reader = n, n_readers = 0;
    for (size_t i = 0; i < n; i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        for (size_t k = 0; k < gf_layer_n_inputs(layer); k++) {
            if (gf_layer_input_at(layer, k) == index) {
                reader = i;
                n_readers++;
            }
        }
    }
    return n_readers == 1 ? reader : n;
}

/* The convolution and the normalization that take it in. */
static gf_status find_places(const gf_graph *graph, size_t *conv, size_t *norm, gf_error *err)
{
    *conv = only_reader(graph, 0);
    const gf_layer *first = gf_graph_layer_at(graph, (ptrdiff_t)*conv);
    if (first == NULL || gf__layer_config_of(first)->class_id != GF__LAYER_CONV2D ||
        gf_layer_n_dims(gf_graph_layer_at(graph, 0)) != 3 ||
        gf_layer_shape(gf_graph_layer_at(graph, 0))[2] != 3)
        return gf_error_set(
            err, GF_EUNSUPPORTED,
            "a mean for each channel needs a Conv2D that alone reads a picture of three "
            "channels; this network begins otherwise");
    const size_t *padding = gf__layer_config_of(first)->padding;
    if (padding[0] + padding[1] + padding[2] + padding[3] > 0)
        return gf_error_set(
            err, GF_EUNSUPPORTED,
            "layer \"%s\" pads the picture with zeros: a mean for each channel cannot "
            "be made part of it",
            gf_layer_name(first));
    *norm = only_reader(graph, *conv);
    const gf_layer *next = gf_graph_layer_at(graph, (ptrdiff_t)*norm);
    if (next == NULL || gf__layer_config_of(next)->class_id != GF__LAYER_BATCH_NORMALIZATION ||
        gf__layer_config_of(first)->activation != GF__ACTIVATION_LINEAR)
        return gf_error_set(
            err, GF_EUNSUPPORTED,
            "layer \"%s\" has no BatchNormalization behind it: a mean for each channel "
            "cannot be made part of it",
            gf_layer_name(first));
    return GF_OK;
}

/* The network's own input is u * a[c] + b[c], u in [-1,1]. kernel (H,W,3,O) is multiplied by a; what b
 * adds to each output goes off the moving mean that is subtracted next. */
static void fold(const gf__normalization *n, gf_tensor *kernel, gf_tensor *mean)
{
    const size_t *shape = gf_tensor_shape(kernel);
    const size_t HW = shape[0] * shape[1], O = shape[3];
    float *w = gf_tensor_mutable_data(kernel), *m = gf_tensor_mutable_data(mean);
    for (size_t o = 0; o < O; o++) {
        double added = 0;
        for (size_t i = 0; i < HW; i++) {
            for (size_t c = 0; c < 3; c++) {
                float *value = &w[(i * 3 + c) * O + o];
                added += (double)*value * (0.5 - n->mean[c]) / n->deviation[c];
                *value = (float)((double)*value * 0.5 / n->deviation[c]);
            }
        }
        m[o] = (float)((double)m[o] - added);
    }
}

gf_status gf__fold_normalization(gf_graph *graph, const gf__normalization *n, gf_error *err)
{
    size_t conv = 0, norm = 0;
    gf_tensor *kernel = NULL, *mean = NULL;
    gf_status st = find_places(graph, &conv, &norm, err);
    if (st != GF_OK)
        return st;
    st = gf__tensor_copy(weight_of(gf_graph_layer_at(graph, (ptrdiff_t)conv), "kernel"), &kernel,
                         err);
    if (st == GF_OK)
        st = gf__tensor_copy(weight_of(gf_graph_layer_at(graph, (ptrdiff_t)norm), "moving_mean"),
                             &mean, err);
    if (st != GF_OK)
        goto done;
    fold(n, kernel, mean);
    st = gf__graph_set_weight(graph, conv, "kernel", kernel, err);
    if (st != GF_OK)
        goto done;
    kernel = NULL; /* the graph's now */
    st = gf__graph_set_weight(graph, norm, "moving_mean", mean, err);
    if (st == GF_OK)
        mean = NULL;
done:
    gf_tensor_free(kernel);
    gf_tensor_free(mean);
    return st;
}

/* ---- what the maker says --------------------------------------------------------------------- */

/* Three numbers, each in (low, high]. */
static bool read_three(const gf__json *array, double low, double high, double out[3])
{
    if (gf__json_n_items(array) != 3)
        return false;
    for (size_t c = 0; c < 3; c++) {
        out[c] = gf__json_number(gf__json_at(array, c), NAN);
        if (!(out[c] > low && out[c] <= high))
            return false;
    }
    return true;
}

static gf_status read_config(const gf__json *config, gf__normalization *out, bool *is_there,
                             gf_error *err)
{
    const char *architecture = gf__json_string(gf__json_find(config, "architecture"), "");
    const gf__json *made = gf__json_find(config,
                                         "pretrained_cfg"); /* before timm 0.9: not nested */
    const gf__json *mean = gf__json_find(made != NULL ? made : config, "mean");
    const gf__json *deviation = gf__json_find(made != NULL ? made : config, "std");
    *is_there = strstr(architecture, "inception_v3") != NULL && mean != NULL && deviation != NULL;
    if (!*is_there || (read_three(mean, -1.0, 2.0, out->mean) &&
                       read_three(deviation, 1e-4, 10.0, out->deviation)))
        return GF_OK;
    return gf_error_set(err, GF_EFORMAT,
                        "expected mean and std to be three numbers each, of pixels in [0,1]");
}

gf_status gf__parse_normalization(const char *text, size_t n_chars, gf__normalization *out,
                                  bool *is_there, gf_error *err)
{
    gf__json *config = NULL;
    *is_there = false;
    gf_status st = gf__json_parse(text, n_chars, &config, err);
    if (st == GF_OK)
        st = read_config(config, out, is_there, err);
    gf__json_free(config);
    return st;
}

gf_status gf__read_normalization(const char *checkpoint, gf__normalization *out, bool *is_there,
                                 gf_error *err)
{
    char *text = NULL;
    size_t n_chars = 0;
    gf_status st = GF_OK;
    const int n_folder = (int)(gf__path_base(checkpoint) - checkpoint);
    char *path = gf__asprintf("%.*sconfig.json", n_folder, checkpoint);
    *is_there = false;
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(checkpoint));
    if (!gf__is_file(path))
        goto done;
    st = gf__read_file(path, MAX_CONFIG_BYTES, &text, &n_chars, err);
    if (st != GF_OK)
        goto done; /* names the path itself */
    st = gf__parse_normalization(text, n_chars, out, is_there, err);
    if (st != GF_OK)
        gf__error_prefix(err, "config.json"); /* of the folder that the caller names */
done:
    gf__free(text);
    gf__free(path);
    return st;
}

const gf__normalization *gf__imagenet_normalization(void)
{
    return &imagenet;
}

bool gf__is_plain_normalization(const gf__normalization *n)
{
    for (size_t c = 0; c < 3; c++)
        if (n->mean[c] != 0.5 || n->deviation[c] != 0.5)
            return false;
    return true;
}

/* ---- networks that scale their input themselves ---------------------------------------------- */

void gf__pixel_scaling(double scale, double shift, float *pixel_scale, float *pixel_shift)
{
    const bool is_unit = fabs(scale) > UNIT_SCALE && fabs(shift) <= UNIT_SHIFT;
    *pixel_scale = (float)(is_unit ? scale / 255.0 : scale);
    *pixel_shift = (float)shift;
}

void gf__checkpoint_scale_input(const gf__config_notes *notes, gf__checkpoint *out)
{
    if (!notes->is_scaled)
        return;
    out->has_input = true;
    gf__pixel_scaling(notes->scale, notes->shift, &out->scale, &out->shift);
}
