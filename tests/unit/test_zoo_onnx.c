/* ONNX models as exporters write them give the reference evaluator's numbers; graft's own come back to the
 * bit; what cannot be a layer is refused in one line. tests/golden/make_onnx.py makes the files. */
#include "small_export.h"
#include "zoo/onnx/onnx_priv.h"

static const char *fixture(const char *name, const char *ending)
{
    static char path[96];
    snprintf(path, sizeof path, "golden/zoo/onnx/%s.%s", name, ending);
    return check_fixture(path);
}

static gf_status parse(const char *path, gf__checkpoint *out)
{
    char *bytes = NULL;
    size_t n_bytes = 0;
    CHECK_OK(gf__read_file(path, 1 << 20, &bytes, &n_bytes, &check_err));
    char *folder = gf__strndup(path, (size_t)(gf__path_base(path) - path));
    uint8_t *exact = malloc(n_bytes + 1); /* so that reading past it is seen */
    memcpy(exact, bytes, n_bytes);
    const gf_status st = gf__onnx_parse(exact, n_bytes, "small", folder, out, &check_err);
    free(exact);
    gf__free(folder);
    gf__free(bytes);
    return st;
}

/* ---- what is read ---------------------------------------------------------------------------- */

static void check_answers(const char *name, const gf__checkpoint *found)
{
    gf_tensor *pictures = NULL, *want = NULL;
    CHECK_OK(gf_npy_load(fixture("input", "npy"), &pictures, &check_err));
    CHECK_OK(gf_npy_load(fixture(name, "npy"), &want, &check_err));
    const size_t n_pixels = gf_tensor_n_values(pictures) / 3, n = gf_tensor_shape(want)[1];
    const gf_layer *last = gf_graph_layer_at(found->graph, -1);
    const gf_output_spec spec = {gf_layer_name(last), GF_POOL_NONE};
    float *input = malloc(n_pixels * sizeof *input);
    for (size_t k = 0; k < 3; k++) {
        float *got = NULL;
        const uint8_t *pixels = (const uint8_t *)gf_tensor_data(pictures) + k * n_pixels;
        for (size_t i = 0; i < n_pixels; i++)
            input[i] = (float)pixels[i] * (found->has_input ? found->scale : 1 / 127.5f) +
                       (found->has_input ? found->shift : -1.0f);
        CHECK_OK(gf__engine_run_reference(found->graph, &spec, 1, input, &got, &check_err));
        for (size_t i = 0; i < n; i++) {
            const float error = fabsf(got[i] - gf_tensor_f32(want)[k * n + i]);
            if (!(error <= 1e-4f))
                fail_msg("%s: picture %zu, value %zu is %g, the reference says %g", name, k, i,
                         (double)got[i], (double)gf_tensor_f32(want)[k * n + i]);
        }
        gf__free(got);
    }
    free(input);
    gf_tensor_free(pictures);
    gf_tensor_free(want);
}

static gf__checkpoint check_model(const char *name, const char *origin, size_t n_layers)
{
    gf__checkpoint found = {0};
    CHECK_OK(parse(fixture(name, "onnx"), &found));
    CHECK_STR(found.origin, origin);
    check_answers(name, &found);
    CHECK_EQ(gf_graph_n_layers(found.graph), n_layers);
    return found;
}

TEST(onnx__models_of_torch_tensorflow_and_others_give_their_numbers)
{
    gf__checkpoint torch = check_model("torch_like", "ONNX of pytorch 2.1.0, opset 17", 13);
    gf__checkpoint tf = check_model("tf_like", "ONNX of tf2onnx 1.17.0, opset 13", 10);
    gf__checkpoint old = check_model("old", "ONNX of old, opset 9", 8);
    gf__checkpoint fresh = check_model("fresh", "ONNX of fresh 1, opset 22", 5);
    gf__checkpoint affine = check_model("affine", "ONNX, opset 17", 5);
    gf__checkpoint outside = check_model("outside", "ONNX, opset 17", 5);
    gf__checkpoint transform = check_model("transform", "ONNX, opset 17", 4);
    gf__checkpoint channels = check_model("channels", "ONNX, opset 17", 5);
    gf__checkpoint curves = check_model("curves", "ONNX, opset 17", 6);
    CHECK(!torch.has_input && !channels.has_input && !old.has_input && !fresh.has_input &&
          !affine.has_input);
    CHECK(tf.has_input); /* pixels / 127.5 - 1, which the file does itself */
    CHECK(fabsf(tf.scale - 1 / 127.5f) < 1e-9f);
    CHECK(tf.shift == -1.0f);
    CHECK(transform.has_input); /* the file undoes ImageNet's, which leaves [-1,1] */
    CHECK(transform.scale == 1 / 127.5f);
    CHECK(transform.shift == -1.0f);
    gf__checkpoint_free(&curves);
    gf__checkpoint_free(&outside);
    gf__checkpoint_free(&transform);
    gf__checkpoint_free(&channels);
    gf__checkpoint_free(&torch);
    gf__checkpoint_free(&tf);
    gf__checkpoint_free(&old);
    gf__checkpoint_free(&fresh);
    gf__checkpoint_free(&affine);
}

/* ---- graft's own ----------------------------------------------------------------------------- */

/* The weights of each layer under its old name. What the file cannot leave out is ones or zeros. */
static void check_weights(const gf_graph *want, const gf_graph *found)
{
    for (size_t i = 0; i < gf_graph_n_layers(want); i++) {
        const gf_layer *layer = gf_graph_layer_at(want, (ptrdiff_t)i);
        size_t index = 0;
        if (gf__layer_n_weights(layer) == 0)
            continue;
        CHECK_OK(gf_graph_find_layer(found, gf_layer_name(layer), &index, &check_err));
        const gf_layer *again = gf_graph_layer_at(found, (ptrdiff_t)index);
        CHECK_STR(gf_layer_class_name(again), gf_layer_class_name(layer));
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++) {
            const char *name = gf__layer_weight_name(layer, k);
            const gf_tensor *a = gf_layer_weight(layer, name), *b = gf_layer_weight(again, name);
            if (b == NULL) {
                CHECK_STR(name, "gamma");
                CHECK(gf__tensor_is_all(a, 1.0f));
                continue;
            }
            CHECK_EQ(gf_tensor_size_bytes(a), gf_tensor_size_bytes(b));
            assert_memory_equal(gf_tensor_data(a), gf_tensor_data(b), gf_tensor_size_bytes(a));
        }
    }
}

TEST(onnx__what_graft_wrote_comes_back_to_the_bit)
{
    const gf_recipe recipe = {.width = 14, .height = 17, .scale = 1 / 128.0f, .shift = -0.99f};
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "small.onnx");
    for (size_t i = 0; i < N_SMALL_CUTS; i++) {
        const gf__export_source source = small_source(small_cuts[i], &recipe);
        gf__checkpoint found = {0};
        CHECK_OK(gf__export_onnx(&source, path, &check_err));
        CHECK_OK(parse(path, &found));
        check_weights(source.graph, found.graph);
        CHECK(found.has_input);
        CHECK(found.scale == 1 / 128.0f);
        CHECK(found.shift == -0.99f);
        CHECK_STR(found.origin, "ONNX of graft, opset 13");
        CHECK_EQ(found.n_classes, gf__graph_n_classes(found.graph));
        if (found.n_classes > 0)
            CHECK_STR(found.class_names[1], "1");
        gf__checkpoint_free(&found);
        gf_graph_free((gf_graph *)(uintptr_t)source.graph);
    }
    gf__free(path);
    check_remove_dir(dir);
}

TEST(onnx__a_decoder_is_refused_by_its_name)
{
    gf__checkpoint found = {0};
    CHECK_FAILS(GF_EUNSUPPORTED, "input \"picture\" has 1 dimensions, expected 4 of pictures",
                parse(check_fixture("golden/export/decoder.onnx"), &found));
    gf__checkpoint_free(&found);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static const struct refused {
    const char *name;
    gf_status status;
    const char *message;
} refused[] = {
    {"absurd_dims", GF_EFORMAT, "\"k\" has 108 values, its dimensions ask for 29686813949952"},
    {"beyond", GF_ESHAPE, "a window of 20x20 with strides 1x1 does not fit the 14x17"},
    {"ceil", GF_EUNSUPPORTED, "node \"odd\" (AveragePool): ceil_mode and count_include_pad"},
    {"channel", GF_EUNSUPPORTED, "output \"y\" is one channel of the input"},
    {"gather", GF_EUNSUPPORTED, "only one channel of the input, to be scaled"},
    {"channels", GF_ESHAPE, "kernel has shape (3,3,5,4), expected (3,3,3,4)"},
    {"channels_first_twice", GF_EUNSUPPORTED, "adds \"f1\" and \"f2\", which are not alike"},
    {"clip", GF_EUNSUPPORTED, "from -1 to 1; only 0 to 6, or 0 and up"},
    {"constant_only", GF_EUNSUPPORTED, "node \"constant\" (Relu): its input is a constant"},
    {"conv1d", GF_EUNSUPPORTED, "only convolutions in two dimensions"},
    {"cycle", GF_EFORMAT, "node \"first\" (Add): nothing before it gives its input \"b\": a cycle"},
    {"dilations", GF_EUNSUPPORTED, "node \"odd\" (Conv): dilations are 2,2"},
    {"domain", GF_EUNSUPPORTED, "no layer for this operator of com.somebody"},
    {"dynamic_size", GF_EUNSUPPORTED, "input \"x\": dimension 2 has no fixed size"},
    {"external", GF_EUNSUPPORTED,
     "\"k\" is in the file \"../../../etc/passwd\"; only files beside"},
    {"external_hidden", GF_EUNSUPPORTED, "\"k\" is in the file \".netrc\"; only files beside"},
    {"external_length", GF_EFORMAT, "\"k\" has 432 bytes, \"outside.bin\" has no such part at 0"},
    {"external_missing", GF_ENOTFOUND, "missing.bin: cannot open"},
    {"external_nowhere", GF_EFORMAT, "\"k\" is in another file, and it does not say where"},
    {"external_number", GF_EFORMAT, "\"k\" is in another file, and it does not say where"},
    {"external_offset", GF_EFORMAT, "\"outside.bin\" has no such part at 1099511627776"},
    {"flat_output", GF_EUNSUPPORTED, "output \"y\" is a map flattened with channels first"},
    {"group", GF_EUNSUPPORTED, "group is 2 of 4 channels and 4 filters"},
    {"huge_input", GF_ESHAPE, "would put out (1073741824,1073741824,3)"},
    {"huge_vector", GF_ELIMIT, "with 1073741824 channels, at most 1048576 can be run"},
    {"if", GF_EUNSUPPORTED, "node \"choice\" (If): graft has no layer for this operator"},
    {"ir_version", GF_EUNSUPPORTED, "has IR version 2"},
    {"itself", GF_EFORMAT, "node \"itself\" (Relu): nothing before it gives its input \"y\""},
    {"kernel_shape", GF_EFORMAT, "kernel_shape says 5x5, its kernel is 3x3"},
    {"loop", GF_EUNSUPPORTED, "node \"round\" (Loop): graft has no layer"},
    {"loose_end", GF_EFORMAT, "nothing before it gives its input \"nowhere\""},
    {"negative_dims", GF_EFORMAT, "\"k\" has a dimension of -4"},
    {"negative_pads", GF_EUNSUPPORTED, "pads has -1 in it"},
    {"nested", GF_EUNSUPPORTED, "input \"x\" has 0 dimensions"},
    {"no_graph", GF_EFORMAT, "is no ONNX model: it has no graph"},
    {"opset_6", GF_EUNSUPPORTED, "is of opset 6; 7 to 25 are known"},
    {"opset_99", GF_EUNSUPPORTED, "is of opset 99"},
    {"per_row", GF_EUNSUPPORTED, "a constant of shape (14,1); only one number, or one a channel"},
    {"reflect", GF_EUNSUPPORTED, "pads with something else than zeros"},
    {"reshape", GF_EUNSUPPORTED, "only flattening can be run"},
    {"short", GF_EFORMAT, "\"k\" has 107 values, its dimensions ask for 108"},
    {"elu", GF_EUNSUPPORTED, "node \"odd\" (Elu): graft has no layer for this operator"},
    {"softmax_of_a_map", GF_EUNSUPPORTED, "over axis 2 of a map with channels first"},
    {"strides", GF_EFORMAT, "a window or stride of 0"},
    {"strings", GF_EUNSUPPORTED, "\"k\" has data type 8"},
    {"three_dims", GF_EUNSUPPORTED, "input \"x\" has 3 dimensions"},
    {"transpose", GF_EUNSUPPORTED, "another order of dimensions than channels first or last"},
    {"training", GF_EUNSUPPORTED,
     "node \"odd\" (BatchNormalization): gives mean and variance, too, as it does while training"},
    {"two_inputs", GF_EUNSUPPORTED, "has the inputs \"x\" and \"z\""},
    {"two_of_a_name", GF_EFORMAT, "two things in it are called \"y\""},
    {"two_outputs", GF_EUNSUPPORTED, "has 2 outputs, expected one"},
    {"wrapping_dims", GF_EFORMAT, "\"k\" has a dimension of 4611686018427387904"},
    {"zero", GF_EUNSUPPORTED, "a constant that is no number"},
};

TEST(onnx__refuses_what_no_layer_is_with_the_node_s_name)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char name[64];
        gf__checkpoint found = {0};
        snprintf(name, sizeof name, "refused_%s", refused[i].name);
        CHECK_FAILS(refused[i].status, refused[i].message, parse(fixture(name, "onnx"), &found));
        CHECK(strchr(check_err.message, '\n') == NULL);
        gf__checkpoint_free(&found);
    }
}

/* A model of n empty nodes: field 1 of the graph, of no bytes. */
static gf_status parse_nodes(size_t n)
{
    static const uint8_t head[] = {0x08, 8, 0x42, 2, 0x10, 17, 0x3a};
    gf__buffer model = {0};
    gf__checkpoint found = {0};
    gf__buffer_append(&model, head, sizeof head);
    for (size_t left = 2 * n; left > 0; left >>= 7) {
        const uint8_t digit = (uint8_t)((left & 127) | (left > 127 ? 128 : 0));
        gf__buffer_append(&model, &digit, 1);
    }
    for (size_t i = 0; i < n; i++)
        gf__buffer_append(&model, "\x0a\x00", 2);
    const gf_status st = gf__onnx_parse(model.data, model.size, "nodes", NULL, &found, &check_err);
    gf__checkpoint_free(&found);
    gf__buffer_free(&model);
    return st;
}

TEST(onnx__a_million_nodes_are_too_many)
{
    CHECK_FAILS(GF_EFORMAT, "node 0 of it (\"\") has no operator", parse_nodes(1));
    CHECK_FAILS(GF_ELIMIT, "has 10000 nodes, at most 8192 are read", parse_nodes(10000));
    CHECK_FAILS(GF_ELIMIT, "bytes become a Model of more than", parse_nodes(1000000));
}

/* ---- constants with many users --------------------------------------------------------------- */

/* A field of n bytes, as protobuf has it. */
static void add_field(gf__buffer *to, unsigned number, const void *bytes, size_t n)
{
    const uint8_t tag = (uint8_t)(number << 3 | 2);
    gf__buffer_append(to, &tag, 1);
    size_t left = n;
    do {
        const uint8_t digit = (uint8_t)((left & 127) | (left > 127 ? 128 : 0));
        gf__buffer_append(to, &digit, 1);
        left >>= 7;
    } while (left > 0);
    gf__buffer_append(to, bytes, n);
}

static void add_text(gf__buffer *to, unsigned number, const char *text)
{
    add_field(to, number, text, strlen(text));
}

static void add_message(gf__buffer *to, unsigned number, gf__buffer *message)
{
    add_field(to, number, message->data, message->size);
    gf__buffer_free(message);
    *message = (gf__buffer){0};
}

/* A row of n nodes "vK" that each take the one before and, for k to n_inputs, the constant "w". */
static void add_nodes(gf__buffer *graph, const char *op, size_t n_inputs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        gf__buffer node = {0};
        char name[32];
        snprintf(name, sizeof name, "v%zu", i);
        add_text(&node, 1, name);
        for (size_t k = 1; k < n_inputs; k++)
            add_text(&node, 1, "w");
        snprintf(name, sizeof name, "v%zu", i + 1);
        add_text(&node, 2, name);
        add_text(&node, 4, op);
        add_message(graph, 1, &node);
    }
}

/* (N,side) through n nodes with the constant w: (side), or (side,side). */
static gf_status parse_row(const char *op, size_t n_inputs, size_t n, size_t side, bool is_matrix,
                           gf__checkpoint *out)
{
    gf__buffer model = {0}, graph = {0}, tensor = {0}, type[3] = {{0}}, info = {0};
    char name[32];
    const size_t n_values = is_matrix ? side * side : side;
    float *values = gf__calloc(n_values, sizeof *values);
    for (size_t i = 0; i < n_values; i++)
        values[i] = i % 2 == 0 ? 0.25f : 0.5f;
    /* A side of two digits of seven bits: dims: [side, side], data_type: 1. */
    const uint8_t digits[] = {(uint8_t)((side & 127) | 128), (uint8_t)(side >> 7),
                              (uint8_t)((side & 127) | 128), (uint8_t)(side >> 7)};
    add_field(&tensor, 1, digits, is_matrix ? 4 : 2);
    gf__buffer_append(&tensor, "\x10\x01", 2);
    add_text(&tensor, 8, "w");
    add_field(&tensor, 9, values, n_values * sizeof *values);
    add_nodes(&graph, op, n_inputs, n);
    add_message(&graph, 5, &tensor);
    /* shape: [?, side] of elem_type 1, in a tensor_type, in a type. */
    add_text(&type[0], 1, "");
    const uint8_t dim[] = {0x08, digits[0], digits[1]};
    add_field(&type[0], 1, dim, sizeof dim);
    gf__buffer_append(&type[1], "\x08\x01", 2);
    add_message(&type[1], 2, &type[0]);
    add_message(&type[2], 1, &type[1]);
    add_text(&info, 1, "v0");
    add_message(&info, 2, &type[2]);
    add_message(&graph, 11, &info);
    snprintf(name, sizeof name, "v%zu", n);
    add_text(&info, 1, name);
    add_message(&graph, 12, &info);
    gf__buffer_append(&model, "\x08\x08\x42\x02\x10\x11", 6); /* IR 8, opset 17 */
    add_message(&model, 7, &graph);
    gf__free(values);
    const gf_status st = gf__onnx_parse(model.data, model.size, "row", NULL, out, &check_err);
    gf__buffer_free(&model);
    return st;
}

/* The file has one megabyte and asks for four thousand. */
TEST(onnx__a_constant_with_many_users_takes_no_more_than_files_of_that_size_need)
{
    gf__checkpoint found = {0};
    CHECK_FAILS(GF_ELIMIT,
                "(MatMul): constants are used that take more than 272 MB, too much for a file of "
                "10",
                parse_row("MatMul", 2, 1000, 512, true, &found));
    gf__checkpoint_free(&found);
}

/* Something is taken off 8192 channels, again and again: the layers have a mean and a variance, too. */
TEST(onnx__vectors_that_no_file_has_are_counted)
{
    gf__checkpoint found = {0};
    CHECK_FAILS(GF_ELIMIT, "(Sub): constants are used that take more than 25",
                parse_row("Sub", 2, 8000, 8192, false, &found));
    gf__checkpoint_free(&found);
}

TEST(onnx__a_constant_that_is_only_read_is_one_in_all_layers)
{
    gf__checkpoint found = {0};
    const float *first = NULL;
    CHECK_OK(parse_row("BatchNormalization", 5, 3, 256, false, &found));
    CHECK_EQ(gf_graph_n_layers(found.graph), 4);
    for (ptrdiff_t i = 1; i < 4; i++)
        for (size_t k = 0; k < 4; k++) {
            const float *values = gf_tensor_f32(
                gf__layer_weight_at(gf_graph_layer_at(found.graph, i), k));
            first = first != NULL ? first : values;
            CHECK(values == first);
        }
    CHECK_NEAR(first[255], 0.5, 0);
    gf__checkpoint_free(&found);
}

TEST(onnx__every_cut_of_a_file_is_an_error_not_a_crash)
{
    char *bytes = NULL;
    size_t n_bytes = 0;
    CHECK_OK(gf__read_file(fixture("old", "onnx"), 1 << 20, &bytes, &n_bytes, &check_err));
    for (size_t n = 0; n + 8 < n_bytes; n++) { /* the opset is last */
        gf__checkpoint found = {0};
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, bytes, n);
        CHECK(gf__onnx_parse(cut, n, "cut", NULL, &found, &check_err) != GF_OK);
        gf__checkpoint_free(&found);
        free(cut);
    }
    gf__free(bytes);
}

TEST(onnx__survives_every_allocation_failure)
{
    static const char *const names[] = {"torch_like", "tf_like",  "old",
                                        "affine",     "channels", "outside"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *bytes = NULL;
        size_t n_bytes = 0;
        gf_status st = GF_ENOMEM;
        char *folder = gf__strdup(check_fixture("golden/zoo/onnx"));
        CHECK_OK(gf__read_file(fixture(names[i], "onnx"), 1 << 20, &bytes, &n_bytes, &check_err));
        for (size_t n = 0; st != GF_OK; n++) {
            gf__checkpoint found = {0};
            gf__mem_fail_after(n);
            st = gf__onnx_parse(bytes, n_bytes, "small", folder, &found, &check_err);
            gf__mem_fail_never();
            CHECK(st == GF_OK || st == GF_ENOMEM);
            gf__checkpoint_free(&found);
        }
        gf__free(folder);
        gf__free(bytes);
    }
}

/* ---- as a trunk ------------------------------------------------------------------------------ */

TEST(onnx__becomes_a_trunk_whatever_its_file_is_called)
{
    char *home = check_temp_dir(), *copy = gf__path_join(home, "checkpoint.bin"), *bytes = NULL;
    size_t n_bytes = 0, width = 0, height = 0;
    float scale = 0, shift = 0;
    gf_trunk *trunk = NULL;
    CHECK_OK(gf__read_file(fixture("tf_like", "onnx"), 1 << 20, &bytes, &n_bytes, &check_err));
    CHECK_OK(gf__write_file(copy, bytes, n_bytes, &check_err));
    CHECK_OK(gf_zoo_import(copy, "tiny", home, NULL, NULL, &check_err));
    CHECK_OK(gf_trunk_load(home, "tiny", &trunk, &check_err));
    gf_trunk_input(trunk, &width, &height, &scale, &shift);
    CHECK_EQ(width, 17);
    CHECK_EQ(height, 14);
    CHECK(shift == -1.0f);
    CHECK_EQ(gf_trunk_n_classes(trunk), 6);
    CHECK_FAILS(GF_EMISMATCH, "is not Inception-v3",
                gf_zoo_import(copy, "inception_v3", home, NULL, NULL, &check_err));
    gf_trunk_free(trunk);
    gf__free(bytes);
    gf__free(copy);
    check_remove_dir(home);
}

TESTS_MAIN(UNIT(onnx__models_of_torch_tensorflow_and_others_give_their_numbers),
           UNIT(onnx__what_graft_wrote_comes_back_to_the_bit),
           UNIT(onnx__a_decoder_is_refused_by_its_name),
           UNIT(onnx__refuses_what_no_layer_is_with_the_node_s_name),
           UNIT(onnx__a_million_nodes_are_too_many),
           UNIT(onnx__a_constant_with_many_users_takes_no_more_than_files_of_that_size_need),
           UNIT(onnx__vectors_that_no_file_has_are_counted),
           UNIT(onnx__a_constant_that_is_only_read_is_one_in_all_layers),
           UNIT(onnx__every_cut_of_a_file_is_an_error_not_a_crash),
           UNIT(onnx__survives_every_allocation_failure),
           UNIT(onnx__becomes_a_trunk_whatever_its_file_is_called))
