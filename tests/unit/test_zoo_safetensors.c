/* safetensors files as checkpoints: Keras' names with any numbers, another home's trunk, config.json beside a file;
 * and what is none of these. */
#include <unistd.h>

#include "engine_graphs.h"
#include "zoo/torch/torch_priv.h"

/* ---- Keras' names ---------------------------------------------------------------------------- */

#define N_KERAS (94 + 3 * 94 + 2)

static gf_graph *keras; /* Inception-v3 with weights */
static gf__torch_tensor named[N_KERAS];

/* As a session would have it that had built `before` networks, the Keras of `suffix`. */
static void name_all(size_t before, const char *suffix, const char *folder)
{
    size_t n = 0;
    for (size_t i = 0; i < gf_graph_n_layers(keras); i++) {
        const gf_layer *layer = gf_graph_layer_at(keras, (ptrdiff_t)i);
        const char *name = gf_layer_name(layer), *mark = strrchr(name, '_');
        char text[64];
        snprintf(text, sizeof text, "%s", name);
        if (mark != NULL) { /* from 0, which is not written */
            const size_t number = strtoul(mark + 1, NULL, 10) - 1 + 94 * before;
            text[mark - name] = '\0';
            if (number > 0)
                snprintf(text, sizeof text, "%.*s_%zu", (int)(mark - name), name, number);
        }
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++, n++) {
            gf__free(named[n].name);
            named[n].name = gf__asprintf("%s%s/%s%s", folder, text, gf__layer_weight_name(layer, k),
                                         suffix);
            named[n].tensor = gf__layer_weight_at(layer, k);
        }
    }
    CHECK_EQ(n, N_KERAS);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const gf__torch_tensor *)a)->name, ((const gf__torch_tensor *)b)->name);
}

static int make_keras(void **state)
{
    (void)state;
    CHECK_OK(gf__inception_v3_layers(7, &keras, &check_err));
    fill_weights(keras);
    return 0;
}

static int free_keras(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_KERAS; i++)
        gf__free(named[i].name);
    gf_graph_free(keras);
    return 0;
}

static gf_status read_named(const gf__torch_tensor *tensors, size_t n, gf__checkpoint *out)
{
    const gf__torch_file file = {
        .tensors = (gf__torch_tensor *)tensors, .n_tensors = n, .kind = "safetensors"};
    *out = (gf__checkpoint){0};
    CHECK(gf__has_keras_names(&file));
    return gf__keras_names_read(&file, out, &check_err);
}

static void check_is_keras(const gf_graph *graph)
{
    CHECK_EQ(gf_graph_n_layers(graph), gf_graph_n_layers(keras));
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++)
            CHECK(gf__layer_weight_at(layer, k) ==
                  gf__layer_weight_at(gf_graph_layer_at(keras, (ptrdiff_t)i), k));
    }
}

TEST(keras_names__go_by_their_place_whatever_the_numbers_begin_with)
{
    static const struct {
        size_t before;
        const char *suffix, *folder;
    } rows[] = {{0, ":0", ""}, {0, "", ""}, {1, "", ""}, {11, ":0", "inception_v3/"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gf__checkpoint c;
        name_all(rows[i].before, rows[i].suffix, rows[i].folder);
        qsort(named, N_KERAS, sizeof *named, compare_names); /* as the libraries write */
        CHECK_OK(read_named(named, N_KERAS, &c));
        check_is_keras(c.graph);
        CHECK_STR(c.origin, "safetensors of Keras' Inception-v3");
        gf__checkpoint_free(&c);
    }
}

/* Reads with one name changed. */
static gf_status read_renamed(const char *from, const char *to, gf__checkpoint *out)
{
    size_t i = 0;
    while (i < N_KERAS && strcmp(named[i].name, from) != 0)
        i++;
    assert_true(i < N_KERAS);
    char *before = named[i].name;
    named[i].name = (char *)to;
    const gf_status st = read_named(named, N_KERAS, out);
    named[i].name = before;
    return st;
}

TEST(keras_names__what_does_not_fit_is_named)
{
    static const struct {
        gf_status status;
        const char *from, *to, *message;
    } rows[] = {
        {GF_EMISMATCH, "batch_normalization_5/beta", "batch_normalization_5/gamma",
         "batch_normalization_5/gamma: layer \"batch_normalization_6\" (BatchNormalization) has no "
         "weight"},
        {GF_EMISMATCH, "batch_normalization_5/beta", "batch_normalization_94/beta",
         "batch_normalization_94/beta would be of \"batch_normalization_95\""},
        {GF_EFORMAT, "batch_normalization_5/beta", "x/batch_normalization_6/beta:0",
         "are the same weight"},
        {GF_EMISMATCH, "predictions/bias", "dense_1/bias",
         "has dense_1/bias, which that network has no place for"},
        {GF_EMISMATCH, "predictions/bias", "predictions/vars/1", "has predictions/vars/1, which"},
        {GF_EMISMATCH, "predictions/bias", "optimizer", "has optimizer, which"},
        {GF_EMISMATCH, "predictions/bias", "/bias", "has /bias, which"},
        {GF_EMISMATCH, "conv2d_7/kernel", "conv2d_-7/kernel", "has conv2d_-7/kernel, which"},
        {GF_EMISMATCH, "conv2d_12/kernel", "conv2d_200/kernel",
         "is not Keras' Inception-v3: conv2d_"},
    };
    name_all(0, "", "");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gf__checkpoint c;
        CHECK_FAILS(rows[i].status, rows[i].message, read_renamed(rows[i].from, rows[i].to, &c));
        gf__checkpoint_free(&c);
    }
}

TEST(keras_names__a_missing_weight_is_named)
{
    gf__checkpoint c;
    name_all(0, "", "");
    CHECK_FAILS(GF_EMISMATCH, "has no bias for layer \"predictions\"",
                read_named(named, N_KERAS - 1, &c));
    gf__checkpoint_free(&c);
    CHECK_OK(read_named(named, N_KERAS - 2, &c)); /* without a top */
    CHECK_EQ(gf__graph_n_classes(c.graph), 0);
    gf__checkpoint_free(&c);
}

/* ---- EfficientNet-Lite0's -------------------------------------------------------------------- */

/* All weights of a network under their layers' names, as a file would have them; to be freed. */
static gf__torch_file file_of(const gf_graph *graph, const char *folder)
{
    gf__torch_file file = {.kind = "safetensors"};
    file.tensors = gf__calloc(4 * gf_graph_n_layers(graph), sizeof *file.tensors);
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        const bool is_deep = gf__layer_config_of(layer)->class_id == GF__LAYER_DEPTHWISE_CONV2D;
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++) {
            gf__torch_tensor *to = &file.tensors[file.n_tensors++];
            to->name = gf__asprintf("%s%s/%s%s:0", folder, gf_layer_name(layer),
                                    is_deep ? "depthwise_" : "", gf__layer_weight_name(layer, k));
            to->tensor = gf__tensor_ref(gf__layer_weight_at(layer, k));
        }
    }
    qsort(file.tensors, file.n_tensors, sizeof *file.tensors, compare_names);
    return file;
}

static gf_status read_file(const gf__torch_file *file, gf__checkpoint *out)
{
    *out = (gf__checkpoint){0};
    CHECK(gf__has_keras_names(file));
    return gf__keras_names_read(file, out, &check_err);
}

TEST(keras_names__of_efficientnet_lite0_are_its_layers)
{
    static const size_t classes[] = {0, 9};
    for (size_t i = 0; i < 2; i++) {
        gf_graph *graph = NULL;
        gf__checkpoint c;
        const char *architecture = NULL;
        CHECK_OK(gf__efficientnet_lite0_layers(classes[i], &graph, &check_err));
        fill_weights(graph);
        gf__torch_file file = file_of(graph, i == 0 ? "" : "lite/");
        CHECK_OK(read_file(&file, &c));
        CHECK_STR(c.origin, "safetensors of EfficientNet-Lite0");
        CHECK_EQ(gf__graph_n_classes(c.graph), classes[i]);
        CHECK_OK(gf__architecture_match(c.graph, "efficientnet_lite0", &architecture, &check_err));
        for (size_t l = 0; l < gf_graph_n_layers(graph); l++)
            for (size_t k = 0; k < gf__layer_n_weights(gf_graph_layer_at(graph, (ptrdiff_t)l)); k++)
                CHECK(gf__layer_weight_at(gf_graph_layer_at(c.graph, (ptrdiff_t)l), k) ==
                      gf__layer_weight_at(gf_graph_layer_at(graph, (ptrdiff_t)l), k));
        gf__checkpoint_free(&c);
        gf__torch_file_free(&file);
        gf_graph_free(graph);
    }
}

TEST(keras_names__of_efficientnet_lite0_that_do_not_fit_are_named)
{
    static const struct {
        gf_status status;
        const char *to, *message; /* in the place of "block1a_bn/beta:0" */
    } rows[] = {
        {GF_EMISMATCH, "other", "is not EfficientNet-Lite0: has other, which"},
        {GF_EMISMATCH, "/beta", "is not EfficientNet-Lite0: has /beta, which"},
        {GF_EMISMATCH, "block9z_bn/beta", "would be of \"block9z_bn\", which that network has not"},
        {GF_EMISMATCH, "block1a_bn/bias", "block1a_bn/bias: layer \"block1a_bn\""},
        {GF_EFORMAT, "x/block1a_bn/gamma", "block1a_bn/gamma:0 is a weight that it has twice"},
        {GF_EMISMATCH, "top_conv/gamma", "is not EfficientNet-Lite0: top_conv/gamma: layer"},
    };
    gf_graph *graph = NULL;
    CHECK_OK(gf__efficientnet_lite0_layers(3, &graph, &check_err));
    fill_weights(graph);
    gf__torch_file file = file_of(graph, "");
    size_t at = 0;
    while (strcmp(file.tensors[at].name, "block1a_bn/beta:0") != 0)
        at++;
    char *name = file.tensors[at].name;
    gf__checkpoint c;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        file.tensors[at].name = (char *)rows[i].to;
        CHECK_FAILS(rows[i].status, rows[i].message, read_file(&file, &c));
        gf__checkpoint_free(&c);
    }
    file.tensors[at].name = name;
    file.n_tensors--; /* top_conv/kernel: the last but for what is called top_bn */
    CHECK_FAILS(GF_EMISMATCH, "is not EfficientNet-Lite0: has no kernel for layer \"top_conv\"",
                read_file(&file, &c));
    gf__checkpoint_free(&c);
    file.n_tensors++;
    gf__torch_file_free(&file);
    gf_graph_free(graph);
}

TEST(keras_names__survive_every_allocation_failure)
{
    gf_status st = GF_ENOMEM;
    name_all(0, "", "");
    for (size_t n = 0; st == GF_ENOMEM; n = n < 50 ? n + 1 : n + 23) {
        gf__checkpoint c;
        gf__mem_fail_after(n);
        st = read_named(named, N_KERAS, &c);
        gf__mem_fail_never();
        gf__checkpoint_free(&c);
    }
    CHECK_EQ(st, GF_OK);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* header, then n_data zeros, as DIR/NAME. */
static void write_raw(const char *dir, const char *name, const char *header, size_t n_data)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    const size_t n = strlen(header);
    for (size_t k = 0; k < 8; k++)
        fputc((int)(n >> 8 * k & 0xff), file);
    fputs(header, file);
    for (size_t k = 0; k < n_data; k++)
        fputc(0, file);
    fclose(file);
}

static gf_status import_raw(const char *header, size_t n_data, const char *name)
{
    char *dir = check_temp_dir(), path[4096];
    write_raw(dir, "model.safetensors", header, n_data);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    const gf_status st = gf_zoo_import(path, name, dir, NULL, NULL, &check_err);
    check_remove_dir(dir);
    return st;
}

/* The length of the header may begin with any byte, a brace or a blank too. */
TEST(safetensors__is_known_by_its_content)
{
    for (size_t n = 64; n < 200; n++) {
        char header[256] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
        memset(header + strlen(header), ' ', n - strlen(header)); /* libraries pad so */
        CHECK_FAILS(GF_EUNSUPPORTED, "a state dict whose first tensor is w",
                    import_raw(header, 4, "mine"));
    }
}

TEST(safetensors__hostile_files_get_a_line)
{
    static const struct {
        gf_status status;
        size_t n_data;
        const char *name, *header, *message;
    } rows[] = {
        {GF_EFORMAT, 0, "mine", "{}", "holds no tensors"},
        {GF_EMISMATCH, 4, "inception_v3",
         "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         "is not Inception-v3: has no Conv2d_1a_3x3.conv.weight"},
        {GF_EMISMATCH, 4, "efficientnet_lite0",
         "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         "is not EfficientNet-Lite0: has no _conv_stem.weight"},
        {GF_EMISMATCH, 4, "mine",
         "{\"Conv2d_1a_3x3.conv.weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         "Conv2d_1a_3x3.conv.weight is (1), expected (32,3,3,3) for layer \"conv2d_1\""},
        {GF_EMISMATCH, 8, "mine",
         "{\"Conv2d_1a_3x3.conv.weight\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}",
         "Conv2d_1a_3x3.conv.weight holds whole numbers"},
        /* Sizes that nothing stands behind. */
        {GF_ESHAPE, 4, "mine",
         "{\"Conv2d_1a_3x3.conv.weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[1000000000000000,0],\"data_offsets\":[4,4]}}",
         "layer \"predictions\": kernel would have shape (2048,1000000000000000)"},
        {GF_EFORMAT, 4, "mine",
         "{\"conv2d/kernel\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"predictions/kernel\":{\"dtype\":\"F32\",\"shape\":[0,9000000000000000000],"
         "\"data_offsets\":[4,4]}}",
         "'predictions/kernel': shape (0,9000000000000000000) does not fit into memory"},
        {GF_EFORMAT, 4, "mine",
         "{\"w\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,4]}}",
         "'w': shape (4611686018427387904,4) does not fit into memory"},
        {GF_EFORMAT, 3, "mine", "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         "'w': data_offsets: bytes 0 to 4, the file has 3"},
        {GF_EFORMAT, 4, "mine",
         "{\"__metadata__\":{\"graft\":\"[]\"},"
         "\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         "model.safetensors: format"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_FAILS(rows[i].status, rows[i].message,
                    import_raw(rows[i].header, rows[i].n_data, rows[i].name));
    }
}

/* ---- trunks ---------------------------------------------------------------------------------- */

TEST(safetensors__a_trunk_moves_to_another_home_as_it_is)
{
    char *home = check_temp_dir(), *other = check_temp_dir(), path[4096], first[65], second[65];
    gf_trunk *trunk = NULL;
    CHECK_OK(gf_zoo_import(check_fixture("golden/zoo/small_float32"), "small", home, first, NULL,
                           &check_err));
    snprintf(path, sizeof path, "%s/trunks/small.safetensors", home);
    CHECK_OK(gf_zoo_import(path, "moved", other, second, NULL, &check_err));
    CHECK_STR(second, first);
    CHECK_OK(gf_trunk_load(other, "moved", &trunk, &check_err));
    CHECK_EQ(gf_trunk_n_classes(trunk), 3);
    CHECK_STR(gf_trunk_origin(trunk), "TensorFlow.js layers-model, float32 weights, model.json");
    gf_trunk_free(trunk);

    const gf_import_options options = {.input = GF_IMPORT_INPUT_TF};
    CHECK_FAILS(GF_EINVAL, "says itself what input it takes",
                gf_zoo_import_with(path, "moved", other, &options, NULL, NULL, &check_err));
    FILE *file = fopen(path, "r+b"); /* one weight is another */
    assert_non_null(file);
    CHECK(fseek(file, -1, SEEK_END) == 0);
    fputc(0x7e, file);
    fclose(file);
    CHECK_FAILS(GF_EMISMATCH, "is damaged",
                gf_zoo_import(path, "moved", other, NULL, NULL, &check_err));
    check_remove_dir(home);
    check_remove_dir(other);
}

/* ---- config.json ----------------------------------------------------------------------------- */

static gf_status parse(const char *text, gf__normalization *out, bool *is_there)
{
    return gf__parse_normalization(text, strlen(text), out, is_there, &check_err);
}

TEST(config__says_mean_and_deviation_of_each_channel)
{
    gf__normalization n = {0};
    bool is_there = false;
    CHECK_OK(parse("{\"architecture\":\"inception_v3\",\"pretrained_cfg\":{\"mean\":[0.485,0.456,"
                   "0.406],\"std\":[0.229,0.224,0.225]}}",
                   &n, &is_there));
    CHECK(is_there && !gf__is_plain_normalization(&n));
    assert_memory_equal(&n, gf__imagenet_normalization(), sizeof n);
    CHECK_OK(
        parse("{\"architecture\":\"tf_inception_v3\",\"mean\":[0.5,0.5,0.5],\"std\":[0.5,0.5,0.5]}",
              &n, &is_there));
    CHECK(is_there && gf__is_plain_normalization(&n));
}

TEST(config__of_something_else_says_nothing)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"architectures\":[\"BertModel\"],\"mean\":[0.5,0.5,0.5],\"std\":[1,1,1]}",
        "{\"architecture\":\"resnet50\",\"mean\":[0.5,0.5,0.5],\"std\":[1,1,1]}",
        "{\"architecture\":\"inception_v3\",\"mean\":[0.5,0.5,0.5]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        gf__normalization n = {0};
        bool is_there = true;
        CHECK_OK(parse(texts[i], &n, &is_there));
        CHECK(!is_there);
    }
}

TEST(config__numbers_that_are_none_are_refused)
{
    static const char *const pairs[] = {
        "\"mean\":[0.5,0.5],\"std\":[0.5,0.5,0.5]",
        "\"mean\":[0.5,0.5,0.5],\"std\":[0,0.5,0.5]",
        "\"mean\":[0.5,0.5,0.5],\"std\":[0.5,0.5,-0.5]",
        "\"mean\":[0.5,\"x\",0.5],\"std\":[1,1,1]",
        "\"mean\":[123.7,116.3,103.5],\"std\":[58,57,57]",
        "\"mean\":0.5,\"std\":0.5",
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[256];
        gf__normalization n = {0};
        bool is_there = false;
        snprintf(text, sizeof text, "{\"architecture\":\"inception_v3\",%s}", pairs[i]);
        CHECK_FAILS(GF_EFORMAT, "expected mean and std to be three numbers",
                    parse(text, &n, &is_there));
    }
}

TEST(input__is_one_of_three_words)
{
    gf_import_input input = GF_IMPORT_INPUT_AUTO;
    CHECK_OK(gf_import_input_parse("imagenet", &input, &check_err));
    CHECK_EQ(input, GF_IMPORT_INPUT_IMAGENET);
    CHECK_OK(gf_import_input_parse("tf", &input, &check_err));
    CHECK_EQ(input, GF_IMPORT_INPUT_TF);
    CHECK_FAILS(GF_EINVAL, "\"caffe\" is unknown, expected auto, tf or imagenet",
                gf_import_input_parse("caffe", &input, &check_err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(keras_names__go_by_their_place_whatever_the_numbers_begin_with),
        UNIT(keras_names__what_does_not_fit_is_named),
        UNIT(keras_names__a_missing_weight_is_named),
        UNIT(keras_names__of_efficientnet_lite0_are_its_layers),
        UNIT(keras_names__of_efficientnet_lite0_that_do_not_fit_are_named),
        UNIT(keras_names__survive_every_allocation_failure),
        UNIT(safetensors__is_known_by_its_content),
        UNIT(safetensors__hostile_files_get_a_line),
        UNIT(safetensors__a_trunk_moves_to_another_home_as_it_is),
        UNIT(config__says_mean_and_deviation_of_each_channel),
        UNIT(config__of_something_else_says_nothing),
        UNIT(config__numbers_that_are_none_are_refused),
        UNIT(input__is_one_of_three_words),
    };
    return cmocka_run_group_tests(tests, make_keras, free_keras);
}
