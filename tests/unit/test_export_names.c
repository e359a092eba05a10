/* Names in any script: those of classes come back whole from every format, those of layers where the format has
 * them; TensorFlow, and Keras with it, has not. */
#include "small_export.h"
#include "zoo/keras/keras.h"
#include "zoo/onnx/onnx.h"
#include "zoo/tensorflow/tensorflow.h"
#include "zoo/tfjs/tfjs.h"

static const gf_recipe recipe = {.width = 4, .height = 4, .scale = 1 / 64.0f, .shift = -0.5f};
static const char *const classes[] = {"rosé", "日本の花", "a \"b\" \\ c, d;e"};
static const char *const layers[] = {"画像", "moyenne_carrée", "dense_層"};

static gf_graph *named_graph(const char *const *names)
{
    gf_graph *graph = NULL;
    CHECK_OK(gf__graph_new("small", &graph, &check_err));
    add_layer(graph,
              (gf__layer_config){.class_id = GF__LAYER_INPUT,
                                 .name = names[0],
                                 .n_input_dims = 3,
                                 .input_shape = {4, 4, 3}},
              0, 0, 0, 0);
    ADD1(graph, 0, .class_id = GF__LAYER_GLOBAL_AVERAGE_POOLING2D, .name = names[1]);
    ADD1(graph, 1, .class_id = GF__LAYER_DENSE, .name = names[2], .units = 3, .has_bias = true,
         .activation = GF__ACTIVATION_SOFTMAX);
    fill_weights(graph);
    return graph;
}

static gf_status read_onnx(const char *path, const char *dir, gf__checkpoint *out)
{
    (void)dir;
    return gf__onnx_read(path, "net", out, &check_err);
}

static gf_status read_keras(const char *path, const char *dir, gf__checkpoint *out)
{
    return strcmp(gf__path_extension(path), ".keras") == 0
               ? gf__keras_read(path, dir, NULL, out, &check_err)
               : gf__hdf5_read(path, dir, NULL, out, &check_err);
}

static gf_status read_folder(const char *path, const char *dir, gf__checkpoint *out)
{
    gf__source source = {0};
    (void)dir;
    CHECK_OK(gf__source_find(path, "net", &source, &check_err));
    const gf_status st = source.kind == GF__SOURCE_TFJS
                             ? gf__tfjs_read(&source, NULL, out, &check_err)
                             : gf__savedmodel_read(&source, "net", NULL, out, &check_err);
    gf__free(source.path);
    return st;
}

static const struct format {
    const char *file;
    gf_status (*write)(const gf__export_source *source, const char *path, gf_error *err);
    gf_status (*read)(const char *path, const char *dir, gf__checkpoint *out);
    const char *layers[3]; /* as they come back */
} formats[] = {
    {"net.onnx", gf__export_onnx, read_onnx, {"画像", "moyenne_carrée", "dense_層"}},
    {"web", gf__export_tfjs, read_folder, {"画像", "moyenne_carrée", "dense_層"}},
    {"net.h5", gf__export_keras, read_keras, {"layer__", "moyenne_carr_e", "dense__"}},
    {"net.keras", gf__export_keras, read_keras, {"layer__", "moyenne_carr_e", "dense__"}},
    {"saved", gf__export_savedmodel, read_folder, {"layer__", "moyenne_carr_e", "dense__"}},
};

TEST(export_names__of_classes_are_whole_and_of_layers_where_they_can_be)
{
    gf_graph *graph = named_graph(layers);
    const gf__export_source source = {.name = "small",
                                      .graph = graph,
                                      .class_names = classes,
                                      .n_classes = 3,
                                      .recipe = &recipe,
                                      .trunk_name = "small",
                                      .layer = "moyenne_carrée"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        char *dir = check_temp_dir(), *path = gf__path_join(dir, formats[i].file);
        gf__checkpoint found = {0};
        CHECK_OK(formats[i].write(&source, path, &check_err));
        CHECK_OK(formats[i].read(path, dir, &found));
        CHECK_EQ(found.n_classes, 3);
        for (size_t k = 0; k < 3; k++)
            CHECK_STR(found.class_names[k], classes[k]);
        CHECK_EQ(gf_graph_n_layers(found.graph), 3);
        for (size_t k = 1; k < 3; k++) /* an input's name is the format's */
            CHECK_STR(gf_layer_name(gf_graph_layer_at(found.graph, (ptrdiff_t)k)),
                      formats[i].layers[k]);
        gf__checkpoint_free(&found);
        gf__free(path);
        check_remove_dir(dir);
    }
    gf_graph_free(graph);
}

TEST(export_names__that_become_the_same_are_refused)
{
    static const char *const names[] = {"画像", "couché", "couch_"};
    gf_graph *graph = named_graph(names);
    const gf__export_source source = {
        .name = "small", .graph = graph, .class_names = classes, .n_classes = 3};
    char *dir = check_temp_dir();
    for (size_t i = 2; i < sizeof formats / sizeof *formats; i++) {
        char *path = gf__path_join(dir, formats[i].file);
        CHECK_FAILS(GF_EUNSUPPORTED,
                    "layer \"couch_\": in TensorFlow, which takes letters of ASCII alone, it and "
                    "another would be called \"couch_\"",
                    formats[i].write(&source, path, &check_err));
        CHECK(!gf__is_file(path) && !gf__is_dir(path));
        gf__free(path);
    }
    gf_graph_free(graph);
    check_remove_dir(dir);
}

TESTS_MAIN(UNIT(export_names__of_classes_are_whole_and_of_layers_where_they_can_be),
           UNIT(export_names__that_become_the_same_are_refused))
