/* What is written as a SavedModel: the same bytes as the committed folders, which `make interop` shows
 * TensorFlow to answer like graft; weights in it to the bit; and what happens where it cannot be written. */
#include "small_export.h"

#include "proto/proto.h"
#include "proto/tensorflow.pb-c.h"
#include "zoo/tensorflow/tensorflow.h"

static const gf_recipe recipe = {.width = 14, .height = 17, .scale = 1 / 127.5f, .shift = -1};

static void end_source(const gf__export_source *source)
{
    gf_graph_free((gf_graph *)(uintptr_t)source->graph);
}

static void check_same_file(const char *dir, const char *golden, const char *name)
{
    char *path = gf__path_join(dir, name), *got = NULL, *want = NULL;
    size_t n_got = 0, n_want = 0;
    char fixture[128];
    snprintf(fixture, sizeof fixture, "golden/export/%s.savedmodel/%s", golden, name);
    CHECK_OK(gf__read_file(path, 1 << 20, &got, &n_got, &check_err));
    CHECK_OK(gf__read_file(check_fixture(fixture), 1 << 20, &want, &n_want, &check_err));
    CHECK_EQ(n_got, n_want);
    assert_memory_equal(got, want, n_want);
    gf__free(got);
    gf__free(want);
    gf__free(path);
}

TEST(export_savedmodel__writes_the_bytes_that_others_were_shown)
{
    for (size_t i = 0; i < N_SMALL_CUTS; i++) {
        char *dir = check_temp_dir(), *path = gf__path_join(dir, "out");
        const gf__export_source source = small_source(small_cuts[i], &recipe);
        CHECK_OK(gf__export_savedmodel(&source, path, &check_err));
        check_same_file(path, small_cuts[i], "saved_model.pb");
        check_same_file(path, small_cuts[i], "assets/classes.txt");
        check_same_file(path, small_cuts[i], "assets.extra/graft.json");
        end_source(&source);
        gf__free(path);
        check_remove_dir(dir);
    }
}

/* ---- what is in the message ------------------------------------------------------------------ */

typedef struct written {
    char *dir, *bytes;
    gf__unpacked unpacked;
    const GfTf__MetaGraphDef *meta;
} written;

static written write_and_read(const gf__export_source *source)
{
    written w = {.dir = check_temp_dir()};
    char *path = gf__path_join(w.dir, "out"), *file = gf__path_join(path, "saved_model.pb");
    size_t n_bytes = 0;
    CHECK_OK(gf__export_savedmodel(source, path, &check_err));
    CHECK_OK(gf__read_file(file, 1 << 20, &w.bytes, &n_bytes, &check_err));
    CHECK_OK(gf__proto_unpack(&gf_tf__saved_model__descriptor, w.bytes, n_bytes, 8 << 20,
                              &w.unpacked, &check_err));
    const GfTf__SavedModel *model = (const GfTf__SavedModel *)w.unpacked.message;
    CHECK_EQ(model->n_meta_graphs, 1);
    w.meta = model->meta_graphs[0];
    gf__free(file);
    gf__free(path);
    return w;
}

static void end_written(written *w)
{
    gf__unpacked_free(&w->unpacked);
    gf__free(w->bytes);
    check_remove_dir(w->dir);
}

static const GfTf__NodeDef *find_node(const written *w, const char *name)
{
    for (size_t i = 0; i < w->meta->graph_def->n_node; i++)
        if (strcmp(w->meta->graph_def->node[i]->name, name) == 0)
            return w->meta->graph_def->node[i];
    return NULL;
}

static const GfTf__AttrValue *setting(const GfTf__NodeDef *node, const char *key)
{
    for (size_t i = 0; i < node->n_attr; i++)
        if (strcmp(node->attr[i]->key, key) == 0)
            return node->attr[i]->value;
    fail_msg("%s has no %s", node->name, key);
    return NULL;
}

TEST(export_savedmodel__holds_every_weight_to_the_bit)
{
    const gf__export_source source = small_source("softmax", &recipe);
    written w = write_and_read(&source);
    size_t n_weights = 0;
    for (size_t i = 0; i < gf_graph_n_layers(source.graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(source.graph, (ptrdiff_t)i);
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++, n_weights++) {
            const gf_tensor *want = gf__layer_weight_at(layer, k);
            const bool is_depthwise = strcmp(gf_layer_class_name(layer), "DepthwiseConv2D") == 0;
            char name[128];
            snprintf(name, sizeof name, "%s/%s%s", gf_layer_name(layer),
                     is_depthwise ? "depthwise_" : "", gf__layer_weight_name(layer, k));
            const GfTf__NodeDef *node = find_node(&w, name);
            if (node == NULL)
                fail_msg("there is no %s", name);
            const GfTf__Tensor *got = setting(node, "value")->tensor;
            CHECK_EQ(got->tensor_shape->n_dim, gf_tensor_n_dims(want));
            for (size_t d = 0; d < gf_tensor_n_dims(want); d++)
                CHECK_EQ(got->tensor_shape->dim[d]->size, gf_tensor_shape(want)[d]);
            CHECK_EQ(got->tensor_content.len, gf_tensor_size_bytes(want));
            assert_memory_equal(got->tensor_content.data, gf_tensor_f32(want),
                                gf_tensor_size_bytes(want));
        }
    }
    CHECK(n_weights > 6);
    end_written(&w);
    end_source(&source);
}

/* What zoo reads of it has the same layers with the same weights; an activation inside of a
 * convolution becomes a layer of its own. */
TEST(export_savedmodel__comes_back_to_the_bit)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "out");
    gf__source read = {.kind = GF__SOURCE_SAVEDMODEL,
                       .path = gf__path_join(path, "saved_model.pb")};
    const gf__export_source source = small_source("softmax", &recipe);
    gf__checkpoint checkpoint = {0};
    CHECK_OK(gf__export_savedmodel(&source, path, &check_err));
    CHECK_OK(gf__savedmodel_read(&read, "small", NULL, &checkpoint, &check_err));
    CHECK_EQ(gf_graph_n_layers(checkpoint.graph), gf_graph_n_layers(source.graph) + 1);
    for (size_t i = 0; i < gf_graph_n_layers(source.graph); i++) {
        const gf_layer *want = gf_graph_layer_at(source.graph, (ptrdiff_t)i);
        size_t at = 0;
        CHECK_OK(gf_graph_find_layer(checkpoint.graph, gf_layer_name(want), &at, &check_err));
        const gf_layer *got = gf_graph_layer_at(checkpoint.graph, (ptrdiff_t)at);
        CHECK_STR(gf_layer_class_name(got), gf_layer_class_name(want));
        CHECK_EQ(gf__layer_n_weights(got), gf__layer_n_weights(want));
        for (size_t k = 0; k < gf__layer_n_weights(want); k++)
            assert_memory_equal(gf_tensor_f32(gf__layer_weight_at(got, k)),
                                gf_tensor_f32(gf__layer_weight_at(want, k)),
                                gf_tensor_size_bytes(gf__layer_weight_at(want, k)));
    }
    gf__checkpoint_free(&checkpoint);
    end_source(&source);
    gf__free(read.path);
    gf__free(path);
    check_remove_dir(dir);
}

/* Nodes come before those that read them, or TensorFlow's importers would have to sort. */
TEST(export_savedmodel__has_every_input_before_its_reader)
{
    const gf__export_source source = small_source("softmax", &recipe);
    written w = write_and_read(&source);
    const GfTf__GraphDef *graph = w.meta->graph_def;
    for (size_t i = 0; i < graph->n_node; i++) {
        for (size_t k = 0; k < graph->node[i]->n_input; k++) {
            size_t at = 0;
            while (at < i && strcmp(graph->node[at]->name, graph->node[i]->input[k]) != 0)
                at++;
            if (at == i)
                fail_msg("%s reads %s", graph->node[i]->name, graph->node[i]->input[k]);
        }
    }
    end_written(&w);
    end_source(&source);
}

static gf__export_source rows_source(void)
{
    static const char *const names[] = {"no", "yes"};
    gf_graph *graph = NULL;
    CHECK_OK(gf__graph_new("rows", &graph, &check_err));
    add_layer(
        graph,
        (gf__layer_config){
            .class_id = GF__LAYER_INPUT, .name = "features", .n_input_dims = 1, .input_shape = {3}},
        0, 0, 0, 0);
    ADD1(graph, 0, .class_id = GF__LAYER_BATCH_NORMALIZATION, .name = "norm");
    ADD1(graph, 1, .class_id = GF__LAYER_DENSE, .name = "dense", .units = 2, .has_bias = true,
         .activation = GF__ACTIVATION_SOFTMAX);
    fill_weights(graph);
    return (gf__export_source){
        .name = "rows", .graph = graph, .class_names = names, .n_classes = 2};
}

TEST(export_savedmodel__of_numbers_has_one_signature)
{
    const gf__export_source source = rows_source();
    written w = write_and_read(&source);
    CHECK_EQ(w.meta->n_signature_def, 1);
    CHECK_STR(w.meta->signature_def[0]->key, "serving_default");
    const GfTf__SignatureDef *signature = w.meta->signature_def[0]->value;
    CHECK_STR(signature->inputs[0]->key, "inputs");
    CHECK_STR(signature->inputs[0]->value->name, "features:0");
    CHECK_EQ(signature->inputs[0]->value->tensor_shape->dim[0]->size, -1);
    CHECK_EQ(signature->inputs[0]->value->tensor_shape->dim[1]->size, 3);
    CHECK_STR(signature->outputs[0]->key, "outputs");
    CHECK_EQ(signature->outputs[0]->value->tensor_shape->dim[1]->size, 2);
    CHECK_EQ(w.meta->graph_def->library->n_function, 0);
    CHECK_STR(find_node(&w, "features")->op, "Placeholder");
    end_written(&w);
    end_source(&source);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void check_refused(const gf__export_source *source, const char *message)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "out");
    gf__dir_list list = {0};
    CHECK_FAILS(GF_EUNSUPPORTED, message, gf__export_savedmodel(source, path, &check_err));
    CHECK_OK(gf__list_dir(dir, &list, &check_err));
    CHECK_EQ(list.n_names, 0);
    gf__dir_list_free(&list);
    gf__free(path);
    check_remove_dir(dir);
}

static void check_layer_refused(gf__layer_config config, const char *message)
{
    gf_graph *graph = new_graph(4, 4, 3);
    add_layer(graph, config, 1, 0, 0, 0);
    fill_weights(graph);
    const char *const classes[] = {"a"};
    const gf__export_source source = {
        .name = "small", .graph = graph, .class_names = classes, .n_classes = 1};
    check_refused(&source, message);
    gf_graph_free(graph);
}

TEST(export_savedmodel__refuses_what_tensorflow_cannot_say)
{
    check_layer_refused(
        (gf__layer_config){.class_id = GF__LAYER_RELU, .name = "relu4", .max_value = 4.0},
        "relu4: a ReLU up to 4");
    check_layer_refused((gf__layer_config){.class_id = GF__LAYER_DEPTHWISE_CONV2D,
                                           .name = "deep",
                                           .kernel = {3, 3},
                                           .strides = {1, 2}},
                        "deep: a DepthwiseConv2D with strides 1x2");
}

TEST(export_savedmodel__has_no_names_that_tensorflow_does_not_take)
{
    static const struct {
        const char *name, *node;
    } cases[] = {
        {"my layer", "my_layer/Reshape"},         {"_flat", "layer_flat/Reshape"},
        {"/flat", "layer/flat/Reshape"},          {"fläche:0", "fl_che_0/Reshape"},
        {".b\\c-d>e/F9", ".b\\c-d>e/F9/Reshape"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gf_graph *graph = new_graph(4, 4, 3);
        ADD1(graph, 0, .class_id = GF__LAYER_FLATTEN, .name = cases[i].name);
        const char *const classes[] = {"a"};
        const gf__export_source source = {
            .name = "small", .graph = graph, .class_names = classes, .n_classes = 1};
        written w = write_and_read(&source);
        if (find_node(&w, cases[i].node) == NULL)
            fail_msg("%s: no node is called %s", cases[i].name, cases[i].node);
        end_written(&w);
        gf_graph_free(graph);
    }
}

/* TensorFlow's shapes are 32 bits here: what is longer would be written as another number. */
TEST(export_savedmodel__refuses_numbers_that_do_not_fit)
{
    check_layer_refused(
        (gf__layer_config){.class_id = GF__LAYER_ZERO_PADDING2D,
                           .name = "frame",
                           .padding = {1, 3000000000, 0, 0}},
        "layer \"frame\": a padding of 3000000000; in TensorFlow's shapes are 32 bits");
    const char *const classes[] = {"a"};
    gf_graph *graph = new_graph(65536, 65536, 1);
    ADD1(graph, 0, .class_id = GF__LAYER_FLATTEN, .name = "flat");
    gf__export_source source = {
        .name = "small", .graph = graph, .class_names = classes, .n_classes = 1};
    check_refused(&source, "layer \"flat\": a vector of 4294967296; in TensorFlow's shapes");
    gf_graph_free(graph);

    graph = new_graph(1, 2147483648, 3);
    const gf_recipe wide = {.height = 1, .width = 2147483648, .scale = 1};
    source.graph = graph;
    source.recipe = &wide;
    check_refused(&source, "\": a side of 2147483648; in TensorFlow's shapes are 32 bits");
    gf_graph_free(graph);
}

TEST(export_savedmodel__refuses_two_nodes_of_one_name)
{
    gf__export_source source = rows_source();
    gf_graph *graph = NULL;
    CHECK_OK(gf__graph_new("rows", &graph, &check_err));
    add_layer(graph,
              (gf__layer_config){.class_id = GF__LAYER_INPUT,
                                 .name = "dense/kernel",
                                 .n_input_dims = 1,
                                 .input_shape = {3}},
              0, 0, 0, 0);
    ADD1(graph, 0, .class_id = GF__LAYER_DENSE, .name = "dense", .units = 2);
    fill_weights(graph);
    end_source(&source);
    source.graph = graph;
    check_refused(&source, "two nodes would be called \"dense/kernel\"");
    gf_graph_free(graph);
}

TEST(export_savedmodel__refuses_a_class_of_two_lines_and_quantisation)
{
    static const char *const names[] = {"no", "y\nes"};
    gf__export_source source = rows_source();
    source.class_names = names;
    check_refused(&source, "class 1 has a line break in its name");
    source.quantisation = GF__EXPORT_U8;
    check_refused(&source, "SavedModels are written in float32 only");
    end_source(&source);
}

TEST(export_savedmodel__writes_over_nothing_and_leaves_nothing)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "out");
    const gf__export_source source = small_source("softmax", &recipe);
    gf__dir_list list = {0};
    gf_status st = GF_ENOMEM;
    CHECK_FAILS(GF_EEXISTS, "is there already; a SavedModel is a folder of its own",
                gf__export_savedmodel(&source, dir, &check_err));
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__export_savedmodel(&source, path, &check_err);
        gf__mem_fail_never();
        CHECK_OK(gf__list_dir(dir, &list, &check_err));
        CHECK_EQ(list.n_names, st == GF_OK ? 1 : 0);
        gf__dir_list_free(&list);
    }
    CHECK_EQ(st, GF_OK);
    end_source(&source);
    gf__free(path);
    check_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(export_savedmodel__writes_the_bytes_that_others_were_shown),
        UNIT(export_savedmodel__holds_every_weight_to_the_bit),
        UNIT(export_savedmodel__comes_back_to_the_bit),
        UNIT(export_savedmodel__has_every_input_before_its_reader),
        UNIT(export_savedmodel__of_numbers_has_one_signature),
        UNIT(export_savedmodel__refuses_what_tensorflow_cannot_say),
        UNIT(export_savedmodel__has_no_names_that_tensorflow_does_not_take),
        UNIT(export_savedmodel__refuses_numbers_that_do_not_fit),
        UNIT(export_savedmodel__refuses_two_nodes_of_one_name),
        UNIT(export_savedmodel__refuses_a_class_of_two_lines_and_quantisation),
        UNIT(export_savedmodel__writes_over_nothing_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
