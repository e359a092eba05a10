/* test_zoo_inception.c: Inception-v3 against the listing of Keras' own (tests/golden/make_zoo.py),
 * and what is known of it: classes, block outputs, the place of avg_pool. */
#include "check.h"
#include "zoo/zoo.h"

static gf_graph *new_inception(size_t n_classes)
{
    gf_graph *graph = NULL;
    CHECK_OK(gf__zoo_inception_v3(n_classes, &graph, &check_err));
    return graph;
}

/* Keras 2.2 counts from 1, TensorFlow's Keras calls the first "conv2d" and the second "conv2d_1".
 */
static const char *keras_2_2_name(const char *name, char text[64])
{
    static const char *const counted[] = {"conv2d",        "batch_normalization", "activation",
                                          "max_pooling2d", "average_pooling2d",   "concatenate"};
    for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++) {
        const size_t length = strlen(counted[i]);
        if (strncmp(name, counted[i], length) != 0 || (name[length] != '\0' && name[length] != '_'))
            continue;
        const long number = name[length] == '_' ? strtol(name + length + 1, NULL, 10) : 0;
        snprintf(text, 64, "%s_%ld", counted[i], number + 1);
        return text;
    }
    return name;
}

static void describe_shape(const gf_layer *layer, char text[64])
{
    int n = 0;
    for (size_t i = 0; i < gf_layer_n_dims(layer); i++)
        n += snprintf(text + n, 64 - (size_t)n, "%s%zu", i > 0 ? "x" : "",
                      gf_layer_shape(layer)[i]);
}

static void describe_inputs(const gf_layer *layer, char text[64])
{
    int n = snprintf(text, 64, "%s", gf_layer_n_inputs(layer) == 0 ? "-" : "");
    for (size_t i = 0; i < gf_layer_n_inputs(layer); i++)
        n += snprintf(text + n, 64 - (size_t)n, "%s%zu", i > 0 ? "," : "",
                      gf_layer_input_at(layer, i));
}

TEST(inception__equals_keras_layer_by_layer)
{
    gf_graph *graph = new_inception(1000);
    FILE *file = fopen(check_fixture("golden/zoo/inception_v3_layers.tsv"), "r");
    assert_non_null(file);
    size_t n = 0;
    unsigned index, n_params;
    char name[64], class_name[64], shape[64], inputs[64], text[64];
    while (fscanf(file, "%u %63s %63s %63s %u %63s", &index, name, class_name, shape, &n_params,
                  inputs) == 6) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)index);
        assert_non_null(layer);
        CHECK_STR(gf_layer_name(layer), keras_2_2_name(name, text));
        CHECK_STR(gf_layer_class_name(layer), class_name);
        describe_shape(layer, text);
        CHECK_STR(text, shape);
        describe_inputs(layer, text);
        CHECK_STR(text, inputs);
        CHECK_EQ(gf_layer_n_params(layer), n_params);
        n++;
    }
    fclose(file);
    CHECK_EQ(n, 313);
    CHECK_EQ(gf_graph_n_layers(graph), 313);
    gf_graph_free(graph);
}

TEST(inception__has_the_totals_of_model_summary)
{
    gf_graph *graph = new_inception(1000);
    size_t n_params = 0, n_trainable = 0;
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        n_params += gf_layer_n_params(gf_graph_layer_at(graph, (ptrdiff_t)i));
        n_trainable += gf_layer_n_trainable_params(gf_graph_layer_at(graph, (ptrdiff_t)i));
    }
    CHECK_EQ(n_params, 23851784);
    CHECK_EQ(n_trainable, 23817352);
    gf_graph_free(graph);
}

TEST(inception__ends_as_the_article_says)
{
    gf_graph *graph = new_inception(1000);
    CHECK_STR(gf_layer_name(gf_graph_layer_at(graph, 310)), "mixed10");
    CHECK_STR(gf_layer_name(gf_graph_layer_at(graph, 311)), "avg_pool");
    CHECK_STR(gf_layer_class_name(gf_graph_layer_at(graph, 311)), "GlobalAveragePooling2D");
    CHECK_STR(gf_layer_class_name(gf_graph_layer_at(graph, 312)), "Dense");
    gf_graph_free(graph);
    graph = new_inception(0);
    CHECK_EQ(gf_graph_n_layers(graph), 311);
    gf_graph_free(graph);
}

/* A line of the file: the layer cut at, then the layers of keras.Model(input, layer.output) by
 * their index in the whole. */
TEST(inception__is_cut_as_keras_cuts)
{
    gf_graph *graph = new_inception(0);
    FILE *file = fopen(check_fixture("golden/zoo/inception_v3_cuts.tsv"), "r");
    assert_non_null(file);
    char line[4096], text[64];
    size_t n_cuts = 0;
    for (; fgets(line, sizeof line, file) != NULL; n_cuts++) {
        char *at = strchr(line, '\t');
        gf_graph *cut = NULL;
        *at++ = '\0';
        CHECK_OK(gf_graph_cut(graph, keras_2_2_name(line, text), &cut, &check_err));
        size_t n = 0;
        for (; *at != '\0' && *at != '\n'; n++) {
            const long want = strtol(at, &at, 10);
            CHECK_STR(gf_layer_name(gf_graph_layer_at(cut, (ptrdiff_t)n)),
                      gf_layer_name(gf_graph_layer_at(graph, want)));
            at += *at == '\t';
        }
        CHECK_EQ(gf_graph_n_layers(cut), n);
        gf_graph_free(cut);
    }
    fclose(file);
    CHECK_EQ(n_cuts, 6);
    gf_graph_free(graph);
}

TEST(inception__block_outputs_are_those_that_are_there)
{
    gf_graph *graph = new_inception(0), *cut = NULL;
    size_t n;
    CHECK_STR(gf__zoo_block_outputs(graph, &n)[10], "mixed10");
    CHECK_EQ(n, 11);
    CHECK_OK(gf_graph_cut(graph, "mixed4", &cut, &check_err));
    CHECK_STR(gf__zoo_block_outputs(cut, &n)[4], "mixed4");
    CHECK_EQ(n, 5);
    gf_graph_free(cut);
    CHECK_OK(gf_graph_cut(graph, "activation_3", &cut, &check_err));
    CHECK(gf__zoo_block_outputs(cut, &n) == NULL);
    CHECK_EQ(n, 0);
    gf_graph_free(cut);
    gf_graph_free(graph);
}

TEST(resolve_cut__finds_avg_pool_or_its_place)
{
    const char *layer = NULL;
    bool needs_pool = true;
    gf_graph *graph = new_inception(1000);
    CHECK_OK(gf__zoo_resolve_cut(graph, "avg_pool", &layer, &needs_pool, &check_err));
    CHECK_STR(layer, "avg_pool");
    CHECK(!needs_pool);
    CHECK_OK(gf__zoo_resolve_cut(graph, "-3", &layer, &needs_pool, &check_err));
    CHECK_STR(layer, "mixed10");
    CHECK(needs_pool);
    gf_graph_free(graph);

    graph = new_inception(0);
    CHECK_OK(gf__zoo_resolve_cut(graph, "avg_pool", &layer, &needs_pool, &check_err));
    CHECK_STR(layer, "mixed10");
    CHECK(needs_pool);
    CHECK_FAILS(GF_ENOTFOUND, "closest name is \"mixed4\"",
                gf__zoo_resolve_cut(graph, "mixd4", &layer, &needs_pool, &check_err));
    gf_graph_free(graph);
}

TEST(classes__are_imagenets_in_keras_order)
{
    static const struct {
        size_t k;
        const char *name;
    } known[] = {{0, "tench"},
                 {2, "great_white_shark"},
                 {134, "crane"},
                 {207, "golden_retriever"},
                 {281, "tabby"},
                 {340, "zebra"},
                 {385, "Indian_elephant"},
                 {386, "African_elephant"},
                 {517, "crane"},
                 {817, "sports_car"},
                 {954, "banana"},
                 {999, "toilet_tissue"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        CHECK_STR(gf__zoo_imagenet_class(known[i].k), known[i].name);
    size_t n_twins = 0;
    for (size_t i = 0; i < 1000; i++) {
        CHECK(strlen(gf__zoo_imagenet_class(i)) >= 2); /* "ox" */
        for (size_t k = i + 1; k < 1000; k++)
            n_twins += strcmp(gf__zoo_imagenet_class(i), gf__zoo_imagenet_class(k)) == 0;
    }
    CHECK_EQ(n_twins, 2); /* crane, maillot */
}

TESTS_MAIN(UNIT(inception__equals_keras_layer_by_layer),
           UNIT(inception__has_the_totals_of_model_summary),
           UNIT(inception__ends_as_the_article_says), UNIT(inception__is_cut_as_keras_cuts),
           UNIT(inception__block_outputs_are_those_that_are_there),
           UNIT(resolve_cut__finds_avg_pool_or_its_place),
           UNIT(classes__are_imagenets_in_keras_order))
