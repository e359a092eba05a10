/* The use cases, on a network of microseconds: that a model file's claims are checked before its
 * numbers are used, and that a graph of one's own is run as it stands. */
#include "graft/service.h"

#include <unistd.h>

#include "tiny_model.h"

/* A temporary folder with pictures of the tiny model's three classes in it, and a bundle. */
typedef struct scene {
    char *dir, *pictures, *model;
    gf_trunk *trunk;
    gf_context context;
} scene;

static scene make_scene(void)
{
    scene s = {.dir = check_temp_dir()};
    s.pictures = tiny_path(s.dir, "pictures");
    s.model = tiny_path(s.dir, "tiny.safetensors");
    s.trunk = tiny_trunk("tiny");
    s.context = (gf_context){.home = s.dir, .n_threads = 2};
    tiny_folder(s.pictures, 3, 4);
    for (size_t k = 0; k < 3; k++) {
        char from[2] = {(char)('a' + (int)k), '\0'};
        char *old_name = tiny_path(s.pictures, from),
             *name = tiny_path(s.pictures, tiny_classes[k]);
        CHECK_EQ(rename(old_name, name), 0);
        gf__free(old_name);
        gf__free(name);
    }
    gf_head *head = tiny_head(3);
    tiny_save_model(s.model, s.trunk, head, true);
    gf_head_free(head);
    return s;
}

static void end_scene(scene *s)
{
    gf_trunk_free(s->trunk);
    gf__free(s->pictures);
    gf__free(s->model);
    check_remove_dir(s->dir);
}

/* ---- evaluate ---- */

TEST(evaluate__measures_every_picture_and_matches_classes_by_name)
{
    scene s = make_scene();
    gf_evaluation *evaluation = NULL;
    CHECK_OK(
        gf_service_evaluate(&s.context, s.model, s.pictures, NULL, NULL, &evaluation, &check_err));
    CHECK_EQ(evaluation->metrics->n, 12);
    CHECK_EQ(evaluation->n_classes, 3);
    CHECK_STR(evaluation->class_names[1], "tulip");
    size_t n_tulips = 0;
    for (size_t k = 0; k < 3; k++)
        n_tulips += evaluation->metrics->confusion[3 + k];
    CHECK_EQ(n_tulips, 4);
    gf_evaluation_free(evaluation);
    end_scene(&s);
}

/* Rows of 3 values, read as rows of 12, would be somebody else's memory. */
TEST(evaluate__refuses_a_head_that_does_not_fit_its_layer)
{
    scene s = make_scene();
    gf_evaluation *evaluation = NULL;
    tiny_change_model(s.model,
                      &(tiny_change){.from = "\"layer\":\"conv\"", .to = "\"layer\":\"input_1\""});
    CHECK_FAILS(
        GF_EMISMATCH, "layer input_1 gives 3 values, the head was trained on 12",
        gf_service_evaluate(&s.context, s.model, s.pictures, NULL, NULL, &evaluation, &check_err));
    assert_null(evaluation);
    end_scene(&s);
}

TEST(evaluate__refuses_pictures_prepared_otherwise)
{
    scene s = make_scene();
    gf_evaluation *evaluation = NULL;
    tiny_change_model(s.model, &(tiny_change){.from = "\"width\":16", .to = "\"width\":15"});
    CHECK_FAILS(
        GF_EMISMATCH, "the model prepares pictures as 15 x 16",
        gf_service_evaluate(&s.context, s.model, s.pictures, NULL, NULL, &evaluation, &check_err));
    end_scene(&s);
}

TEST(evaluate__names_a_class_that_the_model_does_not_know)
{
    scene s = make_scene();
    gf_evaluation *evaluation = NULL;
    char *known = tiny_path(s.pictures, "rose"), *unknown = tiny_path(s.pictures, "thistle");
    CHECK_EQ(rename(known, unknown), 0);
    CHECK_FAILS(
        GF_EMISMATCH, "class thistle is not one of the model's 3 classes",
        gf_service_evaluate(&s.context, s.model, s.pictures, NULL, NULL, &evaluation, &check_err));
    gf__free(known);
    gf__free(unknown);
    end_scene(&s);
}

/* ---- what is read is not written over ---- */

static void check_refused(const scene *s, const char *dataset, const char *output,
                          const char *report, const char *part)
{
    gf_train_request request = gf_train_request_default();
    gf_train_result *result = NULL;
    request.context = s->context;
    request.dataset = dataset;
    request.output = output;
    request.report = report;
    CHECK_FAILS(GF_EINVAL, part, gf_service_train(&request, NULL, &result, &check_err));
    assert_null(result);
}

TEST(train__writes_over_nothing_that_it_reads)
{
    static const char rows[] = "path,label\n";
    scene s = make_scene();
    char *csv = tiny_path(s.dir, "set.csv"), *link = tiny_path(s.dir, "link.csv");
    CHECK_OK(gf__write_file(csv, rows, sizeof rows - 1, &check_err));
    CHECK_EQ(symlink(csv, link), 0);
    check_refused(&s, csv, csv, NULL, "set.csv is the data set");
    check_refused(&s, csv, link, NULL, "link.csv is the data set");
    check_refused(&s, csv, s.model, csv, "set.csv is the data set");
    check_refused(&s, csv, "new.safetensors", "new.safetensors", "is the model file");
    gf__free(csv);
    gf__free(link);
    end_scene(&s);
}

TEST(evaluate__writes_its_report_over_nothing_that_it_reads)
{
    scene s = make_scene();
    gf_evaluation *evaluation = NULL;
    CHECK_FAILS(GF_EINVAL, "is the model file",
                gf_service_evaluate(&s.context, s.model, s.pictures, s.model, NULL, &evaluation,
                                    &check_err));
    end_scene(&s);
}

/* ---- the article's way ---- */

/* input_1, conv (12 filters), conv_2 (5 filters), global_average_pooling2d. */
static gf_trunk *pooled_trunk(void)
{
    gf_graph *tiny = tiny_graph(), *graph = NULL;
    CHECK_OK(gf_graph_cut(tiny, "conv", &graph, &check_err));
    gf_graph_free(tiny);
    const size_t at = tiny_add(graph,
                               (gf__layer_config){.class_id = GF__LAYER_CONV2D,
                                                  .name = "conv_2",
                                                  .filters = 5,
                                                  .kernel = {3, 3},
                                                  .strides = {1, 1}},
                               1);
    tiny_add(graph,
             (gf__layer_config){.class_id = GF__LAYER_GLOBAL_AVERAGE_POOLING2D,
                                .name = "global_average_pooling2d"},
             at);
    char hex[GF__SHA256_HEX];
    gf_trunk *trunk = NULL;
    gf__sha256_hex("pooled", 6, hex);
    const gf__trunk_parts parts = {.name = "pooled",
                                   .sha256 = hex,
                                   .origin = "a test",
                                   .scale = 1 / 127.5f,
                                   .shift = -1,
                                   .graph = graph};
    CHECK_OK(gf__trunk_take(&parts, &trunk, &check_err));
    return trunk;
}

/* The trunk cut at a layer, pooled, with Dense(2, softmax) of random weights. */
static gf_graph *cut_and_extend(const gf_trunk *trunk, const char *layer)
{
    gf_graph *graph = NULL;
    CHECK_OK(gf_graph_cut(gf_trunk_graph(trunk), layer, &graph, &check_err));
    CHECK_OK(gf_graph_add_global_pool(graph, "avg", &check_err));
    const size_t dense = gf_graph_n_layers(graph);
    const gf_dense_options options = {.units = 2, .activation = "softmax"};
    CHECK_OK(gf_graph_add_dense(graph, &options, &check_err));
    const size_t n_inputs = gf_layer_shape(gf_graph_layer_at(graph, (ptrdiff_t)dense - 1))[0];
    gf_tensor *kernel = tiny_random((size_t[2]){n_inputs, 2}, 2, 1.0, 11);
    CHECK_OK(gf__graph_set_weight(graph, dense, "kernel", kernel, &check_err));
    for (size_t i = 0; i < dense; i++)
        gf_graph_set_trainable(graph, i, false);
    return graph;
}

TEST(learner__pools_its_own_cut_and_not_a_layer_of_the_same_name)
{
    scene s = make_scene();
    gf_trunk *trunk = pooled_trunk();
    gf_graph *graph = cut_and_extend(trunk, "conv");
    const gf_train_options options = gf_train_options_default();
    gf_learner *learner = NULL;
    uint8_t *png = NULL;
    size_t n_bytes = 0;
    float found[2], want[2], features[TINY_FILTERS], *rows = features;
    CHECK_STR(gf_layer_name(gf_graph_layer_at(graph, -2)), "global_average_pooling2d");
    CHECK_OK(gf_learner_new(&s.context, trunk, graph, &options, &learner, &check_err));
    tiny_png(TINY_SIDE, TINY_SIDE, 5, &png, &n_bytes);
    CHECK_OK(gf_learner_predict(learner, png, n_bytes, found, &check_err));

    const gf_output_spec spec = {"conv", GF_POOL_AVG};
    gf_extractor *extractor = NULL;
    gf_head *head = NULL;
    CHECK_OK(gf_extractor_new(trunk, &spec, 1, NULL, &extractor, &check_err));
    CHECK_OK(gf_extractor_picture(extractor, png, n_bytes, &rows, NULL, &check_err));
    CHECK_OK(gf_head_from_graph(graph, gf_graph_n_layers(graph) - 1, &head, &check_err));
    CHECK_OK(gf_head_predict(head, features, 1, want, &check_err));
    CHECK_NEAR(found[0], want[0], 1e-5);
    gf_head_free(head);
    gf_extractor_free(extractor);
    gf_image_bytes_free(png);
    gf_learner_free(learner);
    gf_graph_free(graph);
    gf_trunk_free(trunk);
    end_scene(&s);
}

TEST(learner__saves_a_model_with_a_self_test)
{
    scene s = make_scene();
    gf_graph *graph = NULL;
    CHECK_OK(gf_graph_cut(gf_trunk_graph(s.trunk), "avg_pool", &graph, &check_err));
    const gf_dense_options dense = {.units = 3, .activation = "softmax"};
    CHECK_OK(gf_graph_add_dense(graph, &dense, &check_err));
    for (size_t i = 0; i + 1 < gf_graph_n_layers(graph); i++)
        gf_graph_set_trainable(graph, i, false);
    gf_train_options options = gf_train_options_default();
    options.n_epochs = 2;
    gf_learner *learner = NULL;
    gf_history *history = NULL;
    gf_model *model = NULL;
    gf_dataset *dataset = tiny_dataset(s.pictures);
    CHECK_OK(gf_learner_new(&s.context, s.trunk, graph, &options, &learner, &check_err));
    CHECK_OK(gf_learner_fit(learner, dataset, NULL, NULL, &history, &check_err));
    CHECK_OK(gf_learner_save(learner, dataset, s.model, true, &check_err));
    CHECK_OK(gf_model_load(s.model, &model, &check_err));
    double largest = 1;
    size_t n_samples = 0;
    CHECK_OK(gf_model_verify(model, s.dir, NULL, &largest, &n_samples, &check_err));
    CHECK_EQ(n_samples, 3);
    CHECK(largest < 1e-3);
    gf_model_unref(model);
    gf_history_free(history);
    gf_learner_free(learner);
    gf_dataset_free(dataset);
    gf_graph_free(graph);
    end_scene(&s);
}

/* Its data sets have one class a picture; a sigmoid answers something else. */
TEST(learner__neither_trains_nor_measures_a_sigmoid)
{
    scene s = make_scene();
    gf_graph *graph = NULL;
    CHECK_OK(gf_graph_cut(gf_trunk_graph(s.trunk), "avg_pool", &graph, &check_err));
    const gf_dense_options dense = {.units = 3, .activation = "sigmoid", .name = "answers"};
    CHECK_OK(gf_graph_add_dense(graph, &dense, &check_err));
    for (size_t i = 0; i + 1 < gf_graph_n_layers(graph); i++)
        gf_graph_set_trainable(graph, i, false);
    const gf_train_options options = gf_train_options_default();
    gf_learner *learner = NULL;
    gf_history *history = NULL;
    gf_metrics *metrics = NULL;
    gf_dataset *dataset = tiny_dataset(s.pictures);
    CHECK_OK(gf_learner_new(&s.context, s.trunk, graph, &options, &learner, &check_err));
    CHECK_FAILS(GF_EINVAL, "layer \"answers\" is a sigmoid, which learns from targets",
                gf_learner_fit(learner, dataset, NULL, NULL, &history, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "its 3 scores are answers of their own",
                gf_learner_evaluate(learner, dataset, NULL, 0, &metrics, &check_err));
    gf_learner_free(learner);
    gf_dataset_free(dataset);
    gf_graph_free(graph);
    end_scene(&s);
}

TEST(learner__refuses_a_graph_cut_from_another_network)
{
    scene s = make_scene();
    gf_trunk *trunk = pooled_trunk();
    gf_graph *graph = cut_and_extend(trunk, "conv_2");
    const gf_train_options options = gf_train_options_default();
    gf_learner *learner = NULL;
    CHECK_FAILS(GF_ENOTFOUND, "conv_2",
                gf_learner_new(&s.context, s.trunk, graph, &options, &learner, &check_err));
    assert_null(learner);
    gf_graph_free(graph);
    gf_trunk_free(trunk);
    end_scene(&s);
}

TEST(learner__names_the_first_trainable_layer_below_the_head)
{
    scene s = make_scene();
    gf_graph *graph = cut_and_extend(s.trunk, "conv");
    const gf_train_options options = gf_train_options_default();
    gf_learner *learner = NULL;
    gf_graph_set_trainable(graph, 1, true);
    CHECK_FAILS(GF_EUNSUPPORTED, "layer 1, conv (Conv2D), is trainable",
                gf_learner_new(&s.context, s.trunk, graph, &options, &learner, &check_err));
    gf_graph_free(graph);
    end_scene(&s);
}

/* ---- the best classes ---- */

TEST(top_classes__are_in_falling_order_and_the_first_of_equals_first)
{
    const float scores[5] = {0.1f, 0.4f, 0.1f, 0.4f, 0.0f};
    size_t top[5];
    gf_top_classes(scores, 5, 3, top);
    CHECK_EQ(top[0], 1);
    CHECK_EQ(top[1], 3);
    CHECK_EQ(top[2], 0);
    gf_top_classes(scores, 5, 5, top);
    CHECK_EQ(top[3], 2);
    CHECK_EQ(top[4], 4);
}

TESTS_MAIN(UNIT(evaluate__measures_every_picture_and_matches_classes_by_name),
           UNIT(evaluate__refuses_a_head_that_does_not_fit_its_layer),
           UNIT(evaluate__refuses_pictures_prepared_otherwise),
           UNIT(evaluate__names_a_class_that_the_model_does_not_know),
           UNIT(train__writes_over_nothing_that_it_reads),
           UNIT(evaluate__writes_its_report_over_nothing_that_it_reads),
           UNIT(learner__pools_its_own_cut_and_not_a_layer_of_the_same_name),
           UNIT(learner__saves_a_model_with_a_self_test),
           UNIT(learner__neither_trains_nor_measures_a_sigmoid),
           UNIT(learner__refuses_a_graph_cut_from_another_network),
           UNIT(learner__names_the_first_trainable_layer_below_the_head),
           UNIT(top_classes__are_in_falling_order_and_the_first_of_equals_first))
