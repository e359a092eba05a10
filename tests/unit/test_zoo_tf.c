/* TensorFlow's files: SavedModels of Keras 2, frozen graphs, graphs of TensorFlow 0.x answer as
 * TensorFlow does; hostile ones get one clear line. */
#include <unistd.h>

#include "graft/engine.h"
#include "small_export.h"
#include "tf_files.h"
#include "zoo/tensorflow/graph_def.h"

/* ---- answers --------------------------------------------------------------------------------- */

static gf_tensor *load_array(const char *name, const char *member)
{
    char file[48];
    gf_npz *npz = NULL;
    gf_tensor *tensor = NULL;
    snprintf(file, sizeof file, "%s.npz", name);
    CHECK_OK(gf_npz_open(fixture(file), &npz, &check_err));
    CHECK_OK(gf_npz_load(npz, member, &tensor, &check_err));
    gf_npz_close(npz);
    return tensor;
}

/* What the checkpoint's network says to NAME.npz' x, scaled as it wants, is y. */
static void check_answers(const gf__checkpoint *checkpoint, const char *name)
{
    gf_tensor *x = load_array(name, "x"), *y = load_array(name, "y");
    const gf_output_spec spec = {.layer = "-1"};
    gf_plan_options options = gf_plan_options_default();
    gf_plan *plan = NULL;
    gf_exec *exec = NULL;
    float *values = gf_tensor_mutable_data(x);
    const size_t n_each = gf_tensor_n_values(x) / gf_tensor_shape(x)[0];
    const size_t n_out = gf_tensor_shape(y)[1];
    for (size_t i = 0; checkpoint->has_input && i < gf_tensor_n_values(x); i++)
        values[i] = values[i] * checkpoint->scale + checkpoint->shift;
    options.precision = GF_PRECISION_F32;
    options.input = GF_INPUT_F32;
    CHECK_OK(gf_plan_new(checkpoint->graph, &spec, 1, &options, &plan, &check_err));
    CHECK_OK(gf_exec_new(plan, &exec, &check_err));
    for (size_t i = 0; i < gf_tensor_shape(x)[0]; i++) {
        CHECK_OK(gf_exec_run(exec, values + i * n_each, 1, &check_err));
        for (size_t k = 0; k < n_out; k++)
            CHECK_NEAR(gf_exec_output(exec, 0)[k], gf_tensor_f32(y)[i * n_out + k], 1e-5);
    }
    gf_exec_free(exec);
    gf_plan_free(plan);
    gf_tensor_free(y);
    gf_tensor_free(x);
}

static void check_network(const char *file, const char *answers, const char *origin,
                          size_t n_layers)
{
    gf__checkpoint checkpoint = {0};
    CHECK_OK(read_path(fixture(file), &checkpoint));
    CHECK_STR(checkpoint.origin, origin);
    CHECK_EQ(gf_graph_n_layers(checkpoint.graph), n_layers);
    check_answers(&checkpoint, answers);
    gf__checkpoint_free(&checkpoint);
}

TEST(tf__networks_answer_as_tensorflow_does)
{
    check_network("export", "export", "TensorFlow SavedModel, saved_model.pb", 18);
    check_network("saved", "saved", "TensorFlow SavedModel, saved_model.pb", 4);
    check_network("keras3", "keras3", "TensorFlow SavedModel, saved_model.pb", 8);
    check_network("frozen.pb", "frozen", "TensorFlow GraphDef, frozen.pb", 18);
    check_network("spelled.pb", "spelled", "TensorFlow GraphDef, spelled.pb", 7);
    check_network("old.pb", "old", "TensorFlow GraphDef, old.pb", 12);
}

static void check_layer(const gf_graph *graph, size_t i, const char *class_name, const char *name)
{
    const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
    assert_non_null(layer);
    CHECK_STR(gf_layer_class_name(layer), class_name);
    CHECK_STR(gf_layer_name(layer), name);
}

TEST(tf__layers_are_those_of_keras_by_name_and_order)
{
    gf__checkpoint checkpoint = {0};
    CHECK_OK(read_path(fixture("export"), &checkpoint));
    const gf_graph *graph = checkpoint.graph;
    check_layer(graph, 0, "InputLayer", "input_1");
    check_layer(graph, 1, "Conv2D", "conv");
    check_layer(graph, 2, "BatchNormalization", "norm");
    CHECK(gf_layer_weight(gf_graph_layer_at(graph, 2), "gamma") ==
          NULL); /* a constant, no weight */
    CHECK_NEAR(gf__layer_config_of(gf_graph_layer_at(graph, 2))->epsilon, 0.01, 0);
    check_layer(graph, 8, "ZeroPadding2D", "pad");
    check_layer(graph, 9, "DepthwiseConv2D", "depthwise");
    check_layer(graph, 10, "BatchNormalization", "norm_2");
    assert_non_null(gf_layer_weight(gf_graph_layer_at(graph, 10), "gamma"));
    check_layer(graph, 11, "ReLU", "relu6");
    check_layer(graph, 17, "Dense", "predictions");
    CHECK_EQ(gf__graph_n_classes(graph), 3);
    CHECK(!checkpoint.has_input);
    gf__checkpoint_free(&checkpoint);
}

/* Its scopes have a number behind them, "conv_1", which is not the layer's. */
TEST(tf__layers_of_keras_3_have_their_own_names)
{
    gf__checkpoint checkpoint = {0};
    CHECK_OK(read_path(fixture("keras3"), &checkpoint));
    check_layer(checkpoint.graph, 1, "Conv2D", "conv");
    check_layer(checkpoint.graph, 2, "BatchNormalization", "norm");
    CHECK(gf_layer_weight(gf_graph_layer_at(checkpoint.graph, 2), "gamma") == NULL);
    check_layer(checkpoint.graph, 3, "ReLU", "relu6");
    check_layer(checkpoint.graph, 7, "Dense", "predictions");
    gf__checkpoint_free(&checkpoint);
}

TEST(tf__arithmetic_before_the_first_layer_is_the_inputs_scaling)
{
    gf__checkpoint checkpoint = {0};
    CHECK_OK(read_path(fixture("saved"), &checkpoint));
    CHECK(checkpoint.has_input);
    CHECK_NEAR(checkpoint.scale, 1 / 127.5, 1e-9);
    CHECK_NEAR(checkpoint.shift, -1, 1e-7);
    gf__checkpoint_free(&checkpoint);
    CHECK_OK(read_path(fixture("old.pb"), &checkpoint));
    CHECK_NEAR(checkpoint.scale, 1.0 / 128, 1e-9);
    CHECK_NEAR(checkpoint.shift, -1, 1e-7);
    gf__checkpoint_free(&checkpoint);
}

/* Constants and variables are the same bytes. */
TEST(tf__a_frozen_graph_and_its_savedmodel_have_the_same_weights)
{
    gf__checkpoint saved = {0}, frozen = {0};
    CHECK_OK(read_path(fixture("export"), &saved));
    CHECK_OK(read_path(fixture("frozen.pb"), &frozen));
    CHECK_EQ(gf_graph_n_layers(saved.graph), gf_graph_n_layers(frozen.graph));
    for (size_t i = 0; i < gf_graph_n_layers(saved.graph); i++) {
        const gf_layer *a = gf_graph_layer_at(saved.graph, (ptrdiff_t)i);
        const gf_layer *b = gf_graph_layer_at(frozen.graph, (ptrdiff_t)i);
        CHECK_EQ(gf__layer_n_weights(a), gf__layer_n_weights(b));
        for (size_t k = 0; k < gf__layer_n_weights(a); k++)
            assert_memory_equal(gf_tensor_data(gf__layer_weight_at(a, k)),
                                gf_tensor_data(gf__layer_weight_at(b, k)),
                                gf_tensor_size_bytes(gf__layer_weight_at(a, k)));
    }
    gf__checkpoint_free(&saved);
    gf__checkpoint_free(&frozen);
}

/* Every weight of a layer is in the layer of that name, to the bit. */
static void check_same_weights(const gf_graph *want, const gf_graph *got)
{
    for (size_t i = 0; i < gf_graph_n_layers(want); i++) {
        const gf_layer *layer = gf_graph_layer_at(want, (ptrdiff_t)i);
        size_t index;
        if (gf__layer_n_weights(layer) == 0)
            continue;
        CHECK_OK(gf_graph_find_layer(got, gf_layer_name(layer), &index, &check_err));
        const gf_layer *again = gf_graph_layer_at(got, (ptrdiff_t)index);
        CHECK_EQ(gf__layer_n_weights(again), gf__layer_n_weights(layer));
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++)
            assert_memory_equal(gf_tensor_data(gf__layer_weight_at(again, k)),
                                gf_tensor_data(gf__layer_weight_at(layer, k)),
                                gf_tensor_size_bytes(gf__layer_weight_at(layer, k)));
    }
}

/* The decoding in front is stepped over, from the float picture on. */
TEST(tf__what_graft_exports_comes_back)
{
    for (size_t i = 0; i < N_SMALL_CUTS; i++) {
        char name[48];
        gf__checkpoint checkpoint = {0};
        gf__export_source source = small_source(small_cuts[i], NULL);
        snprintf(name, sizeof name, "golden/export/%s.savedmodel", small_cuts[i]);
        CHECK_OK(read_path(check_fixture(name), &checkpoint));
        check_same_weights(source.graph, checkpoint.graph);
        CHECK(checkpoint.has_input);
        CHECK_NEAR(checkpoint.shift, -1, 0);
        CHECK_EQ(checkpoint.n_classes, strcmp(small_cuts[i], "softmax") == 0 ? 4 : 0);
        gf__checkpoint_free(&checkpoint);
        gf_graph_free((gf_graph *)source.graph);
    }
}

/* ---- names of files --------------------------------------------------------------------------- */

static gf__source_kind kind_of(const char *name, const char *bytes, size_t size)
{
    gf__source source = {.kind = GF__SOURCE_NPM};
    char *dir = check_temp_dir(), *path = gf__path_join(dir, name);
    CHECK_OK(gf__write_file(path, bytes, size, &check_err));
    CHECK_OK(gf__source_find(path, "net", &source, &check_err));
    gf__free(source.path);
    gf__free(path);
    check_remove_dir(dir);
    return source.kind;
}

TEST(tf__files_are_found_by_what_is_in_them)
{
    static const struct {
        const char *file;
        gf__source_kind kind;
    } cases[] = {
        {"frozen.pb", GF__SOURCE_GRAPHDEF},
        {"spelled.pb", GF__SOURCE_GRAPHDEF},
        {"old.pb", GF__SOURCE_GRAPHDEF},
        {"saved/saved_model.pb", GF__SOURCE_SAVEDMODEL},
        {"keras3/saved_model.pb", GF__SOURCE_SAVEDMODEL},
        {"export/saved_model.pb", GF__SOURCE_SAVEDMODEL},
    };
    static const char *const names[] = {"graph", "graph.bin", "model.json", "frozen.graphdef",
                                        "x.pb"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = 0;
        char *bytes = read_fixture(cases[i].file, &size);
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            CHECK_EQ(kind_of(names[k], bytes, size), cases[i].kind);
        gf__free(bytes);
    }
}

/* A node of 123 bytes begins a GraphDef as a line break and a brace begin JSON. */
TEST(tf__a_graph_that_begins_like_json_is_none)
{
    char node[125] = "\n{\n\1a\x12\5Const*o";
    gf__source_kind kind;
    const char json[] = "\n{\"modelTopology\": {}, \"weightsManifest\": []}";
    CHECK_EQ(kind_of("model", node, sizeof node), GF__SOURCE_GRAPHDEF);
    CHECK_EQ(kind_of("model", json, sizeof json - 1), GF__SOURCE_TFJS);
    CHECK(!gf__savedmodel_recognise((const uint8_t *)node, sizeof node - 1, &kind));
    node[2] = 0x12; /* two operators and no name */
    CHECK(!gf__savedmodel_recognise((const uint8_t *)node, sizeof node, &kind));
    CHECK(!gf__savedmodel_recognise((const uint8_t *)"\x08\x01", 2, &kind));
    CHECK(!gf__savedmodel_recognise((const uint8_t *)"\x22\x00", 2, &kind));
}

/* ---- hostile graphs -------------------------------------------------------------------------- */

TEST(tf__what_graft_cannot_say_is_refused_by_node)
{
    static const struct {
        const char *name;
        gf_status status;
        const char *message;
    } rows[] = {
        {"lrn", GF_EUNSUPPORTED, "node \"lrn\" is an op LRN for which graft has no layer"},
        {"cycle", GF_EFORMAT, "node \"conv/Conv2D\" is computed from itself (a cycle)"},
        {"circle", GF_EFORMAT, "\"a\" is computed from itself (a cycle)"},
        {"recursion", GF_ELIMIT, "functions call one another too deeply or too often"},
        {"no_function", GF_EUNSUPPORTED, "node \"inner\" is an op PartitionedCall"},
        {"missing", GF_EFORMAT, "there is no node \"nothing\""},
        {"twice", GF_EFORMAT, "two nodes are called \"pixels\""},
        {"unnamed", GF_EFORMAT, "node 3 has no proper name"},
        {"line", GF_EFORMAT, "node 3 has no proper name"},
        {"negative", GF_EFORMAT, "node \"conv/kernel\" has no usable shape"},
        {"absurd", GF_EFORMAT, "node \"conv/kernel\" has no usable shape"},
        {"deep", GF_EFORMAT, "node \"conv/kernel\" has no usable shape"},
        {"short", GF_EFORMAT, "node \"conv/kernel\" has 20 bytes, its shape needs 24"},
        {"rounded", GF_EUNSUPPORTED,
         "node \"add\" is an op AddV2 with a constant that is no vector"},
        {"upright", GF_EUNSUPPORTED,
         "node \"add\" is an op AddV2 with a constant that is no vector"},
        {"axes", GF_EUNSUPPORTED, "node \"pool/Mean\" is an op Mean over other axes"},
        {"filled", GF_ELIMIT, "node \"conv/kernel\" lists 1 values and says that it has 201326592"},
        {"channels_first", GF_EUNSUPPORTED, "node \"conv/Conv2D\" is an op Conv2D with channels"},
        {"dilated", GF_EUNSUPPORTED, "with dilation"},
        {"trained", GF_EUNSUPPORTED, "node \"norm\" is an op FusedBatchNormV3 as it is while"},
        {"vector", GF_EUNSUPPORTED, "node \"normalise/Mul\" is an op Mul with another number"},
        {"late", GF_EUNSUPPORTED, "node \"late/RealDiv\" is an op RealDiv with a constant"},
        {"any_size", GF_EUNSUPPORTED, "node \"pixels\" is an op Placeholder of pictures of any"},
        {"two_inputs", GF_EUNSUPPORTED, "nodes \"pixels\" and \"more\" are both inputs"},
        {"two_outputs", GF_EUNSUPPORTED, "has 2 outputs (\"top/Softmax\" and \"other/Softmax\""},
        {"transposed", GF_EUNSUPPORTED, "node \"top/MatMul\" is an op MatMul of transposed"},
        {"kernel", GF_EUNSUPPORTED, "node \"pixels\" (Placeholder) is computed; a constant was"},
        {"variable", GF_EUNSUPPORTED,
         "node \"conv/kernel\" is a variable, and there are no values"},
    };
    gf__checkpoint checkpoint = {0};
    CHECK_OK(read_path(fixture("hostile/plain.pb"), &checkpoint)); /* what the others are made of */
    gf__checkpoint_free(&checkpoint);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[48];
        snprintf(name, sizeof name, "hostile/%s.pb", rows[i].name);
        CHECK_FAILS(rows[i].status, rows[i].message, read_path(fixture(name), &checkpoint));
        CHECK(checkpoint.graph == NULL);
        CHECK(strchr(check_err.message, '\n') == NULL);
    }
}

TEST(tf__pictures_of_any_size_have_that_of_a_known_network)
{
    gf__checkpoint checkpoint = {0};
    CHECK_OK(read_as("inception_v3", fixture("hostile/any_size.pb"), &checkpoint));
    const size_t *shape = gf_layer_shape(gf_graph_layer_at(checkpoint.graph, 0));
    CHECK_EQ(shape[0], 299); /* open in the file */
    CHECK_EQ(shape[1], 4);   /* written there */
    gf__checkpoint_free(&checkpoint);
}

TEST(tf__a_trunk_is_the_same_by_whatever_name)
{
    char *home = check_temp_dir(), first[GF__SHA256_HEX], second[GF__SHA256_HEX];
    CHECK_OK(gf_zoo_import(fixture("hostile/plain.pb"), "one", home, first, NULL, &check_err));
    CHECK_OK(gf_zoo_import(fixture("hostile/plain.pb"), "two", home, second, NULL, &check_err));
    CHECK_STR(first, second);
    check_remove_dir(home);
}

static void check_bytes(gf_status status, const char *message, const void *bytes, size_t n)
{
    gf__checkpoint checkpoint = {0};
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "graph.pb");
    CHECK_OK(gf__write_file(path, bytes, n, &check_err));
    CHECK_FAILS(status, message, read_path(path, &checkpoint));
    gf__free(path);
    check_remove_dir(dir);
}

TEST(tf__a_million_nodes_cost_bounded_memory)
{
    enum { N = 1000000, N_HUGE = 12000000 };
    char *bytes = gf__calloc(N_HUGE, 2);
    for (size_t i = 0; i < N_HUGE; i++)
        bytes[2 * i] = 0x0a; /* field 1, of no bytes: an empty node */
    check_bytes(GF_ELIMIT, "has 1000000 nodes, at most 400000 are read", bytes, 2 * (size_t)N);
    check_bytes(GF_ELIMIT, "its 24000000 bytes become a GraphDef of more than", bytes,
                2 * (size_t)N_HUGE);
    gf__free(bytes);
}

typedef struct made_node {
    GfTf__NodeDef node;
    GfTf__AttrEntry entry, *entries[1];
    GfTf__AttrValue value;
    char name[16], *inputs[2];
} made_node;

/* A node with one setting; inputs by their names, NULL for none. */
static GfTf__NodeDef *make_node(made_node *m, const char *name, const char *op, const char *a,
                                const char *b, const char *key)
{
    gf_tf__node_def__init(&m->node);
    gf_tf__attr_entry__init(&m->entry);
    gf_tf__attr_value__init(&m->value);
    snprintf(m->name, sizeof m->name, "%s", name);
    m->node.name = m->name;
    m->node.op = gf__proto_borrow(op);
    m->inputs[0] = gf__proto_borrow(a);
    m->inputs[1] = gf__proto_borrow(b);
    m->node.input = m->inputs;
    m->node.n_input = (size_t)(a != NULL) + (b != NULL);
    m->entry.key = gf__proto_borrow(key);
    m->entry.value = &m->value;
    m->entries[0] = &m->entry;
    m->node.attr = m->entries;
    m->node.n_attr = key != NULL;
    return &m->node;
}

/* Two bytes of a number, times a million channels, times twelve nodes. */
TEST(tf__numbers_that_become_vectors_are_bounded)
{
    enum { N = 12 };
    static made_node made[N + 3];
    GfTf__NodeDef *nodes[N + 3];
    GfTf__GraphDef graph = GF_TF__GRAPH_DEF__INIT;
    GfTf__Dim dims[2] = {GF_TF__DIM__INIT, GF_TF__DIM__INIT}, *sides[2] = {&dims[0], &dims[1]};
    GfTf__TensorShape shape = GF_TF__TENSOR_SHAPE__INIT, scalar = GF_TF__TENSOR_SHAPE__INIT;
    GfTf__Tensor two = GF_TF__TENSOR__INIT;
    nodes[0] = make_node(&made[0], "x", "Placeholder", NULL, NULL, "shape");
    nodes[1] = make_node(&made[1], "two", "Const", NULL, NULL, "value");
    nodes[2] = make_node(&made[2], "n0", "Relu", "x", NULL, NULL);
    dims[0].has_size = dims[1].has_size = true;
    dims[0].size = -1;
    dims[1].size = 1 << 20;
    shape.dim = sides;
    shape.n_dim = 2;
    made[0].value.shape = &shape;
    two.has_dtype = true;
    two.dtype = 1;
    two.tensor_shape = &scalar;
    two.float_val = (float[]){2};
    two.n_float_val = 1;
    made[1].value.tensor = &two;
    for (size_t i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%zu", i + 1);
        nodes[3 + i] = make_node(&made[3 + i], name, "Mul", made[2 + i].name, "two", NULL);
    }
    graph.node = nodes;
    graph.n_node = N + 3;
    uint8_t bytes[2048];
    CHECK(gf_tf__graph_def__get_packed_size(&graph) <= sizeof bytes);
    check_bytes(GF_ELIMIT,
                "node \"n6\": single numbers become vectors of more than 16777216 values", bytes,
                gf_tf__graph_def__pack(&graph, bytes));
}

TEST(tf__a_node_with_too_many_inputs_is_told)
{
    enum { N_INPUTS = 70000 };
    gf__buffer node = {0}, graph = {0};
    gf__buffer_append(&node,
                      "\x0a\x01"
                      "a"
                      "\x12\x04"
                      "AddN",
                      9); /* name, op */
    for (size_t i = 0; i < N_INPUTS; i++)
        gf__buffer_append(&node,
                          "\x1a\x01"
                          "a",
                          3);
    gf__buffer_append(&graph, "\x0a", 1); /* a node of that many bytes */
    for (size_t n = node.size; n > 0; n >>= 7) {
        const char byte = (char)((n & 0x7f) | (n >= 0x80 ? 0x80 : 0));
        gf__buffer_append(&graph, &byte, 1);
    }
    gf__buffer_append(&graph, node.data, node.size);
    check_bytes(GF_ELIMIT, "node 0 has 70000 inputs, at most 65536 are read", graph.data,
                graph.size);
    gf__buffer_free(&graph);
    gf__buffer_free(&node);
}

TEST(tf__files_of_something_else_are_told)
{
    check_bytes(GF_EFORMAT, "is an empty file", "", 0);
    check_bytes(GF_EFORMAT, "is no protobuf message GraphDef", "a text that is no graph", 23);
    check_bytes(GF_EFORMAT, "is no GraphDef: has no nodes", "\x22\x00", 2);
    check_bytes(GF_EFORMAT, "is no SavedModel: has no graph", "\x08\x01", 2);
    check_bytes(GF_EFORMAT, "is no protobuf message SavedModel", "\x08\x01\x12\x7f", 4);
}

/* ---- tensor bundles -------------------------------------------------------------------------- */

TEST(tf__survives_every_allocation_failure)
{
    static const char *const files[] = {"saved", "spelled.pb"};
    for (size_t i = 0; i < 2; i++) {
        gf_status st = GF_ENOMEM;
        for (size_t n = 0; st == GF_ENOMEM; n++) {
            gf__checkpoint checkpoint = {0};
            gf__mem_fail_after(n);
            st = read_path(fixture(files[i]), &checkpoint);
            gf__mem_fail_never();
            CHECK(st == GF_OK || st == GF_ENOMEM);
            gf__checkpoint_free(&checkpoint);
        }
    }
}

TEST(tf__two_functions_of_one_name_are_refused)
{
    GfTf__GraphDef def = GF_TF__GRAPH_DEF__INIT;
    GfTf__FunctionDefLibrary library = GF_TF__FUNCTION_DEF_LIBRARY__INIT;
    GfTf__FunctionDef functions[2] = {GF_TF__FUNCTION_DEF__INIT, GF_TF__FUNCTION_DEF__INIT};
    GfTf__OpDef signatures[2] = {GF_TF__OP_DEF__INIT, GF_TF__OP_DEF__INIT};
    GfTf__FunctionDef *list[2] = {&functions[0], &functions[1]};
    gf__def_graph graph = {0};
    char once[] = "f", again[] = "f";
    signatures[0].name = once;
    signatures[1].name = again;
    functions[0].signature = &signatures[0];
    functions[1].signature = &signatures[1];
    library.function = list;
    library.n_function = 2;
    def.library = &library;
    CHECK_FAILS(GF_EFORMAT, "two functions are called \"f\"",
                gf__def_graph_open(&def, NULL, &graph, &check_err));
    again[0] = 'g';
    CHECK_OK(gf__def_graph_open(&def, NULL, &graph, &check_err));
    gf__def_graph_close(&graph);
}

TESTS_MAIN(UNIT(tf__networks_answer_as_tensorflow_does),
           UNIT(tf__layers_are_those_of_keras_by_name_and_order),
           UNIT(tf__layers_of_keras_3_have_their_own_names),
           UNIT(tf__arithmetic_before_the_first_layer_is_the_inputs_scaling),
           UNIT(tf__a_frozen_graph_and_its_savedmodel_have_the_same_weights),
           UNIT(tf__what_graft_exports_comes_back), UNIT(tf__files_are_found_by_what_is_in_them),
           UNIT(tf__a_graph_that_begins_like_json_is_none),
           UNIT(tf__what_graft_cannot_say_is_refused_by_node),
           UNIT(tf__pictures_of_any_size_have_that_of_a_known_network),
           UNIT(tf__a_trunk_is_the_same_by_whatever_name),
           UNIT(tf__a_million_nodes_cost_bounded_memory),
           UNIT(tf__numbers_that_become_vectors_are_bounded),
           UNIT(tf__a_node_with_too_many_inputs_is_told),
           UNIT(tf__files_of_something_else_are_told), UNIT(tf__survives_every_allocation_failure),
           UNIT(tf__two_functions_of_one_name_are_refused))
