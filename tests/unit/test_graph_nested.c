/* test_graph_nested.c: Keras' model configuration with models among the layers, with what does nothing once
 * training is over, and with arithmetic in front. Documents here use single quotes for JSON's double
 * ones. */
#include "check.h"
#include "graph/graph.h"

static gf_status read_noted(const char *quoted, gf__config_notes *notes, gf_graph **out)
{
    char *text = strdup(quoted);
    gf__json *json = NULL;
    for (char *c = text; *c != '\0'; c++) {
        if (*c == '\'')
            *c = '"';
    }
    CHECK_OK(gf__json_parse(text, strlen(text), &json, &check_err));
    const gf_status st = gf__graph_from_noted_config(json, notes, out, &check_err);
    if (notes != NULL)
        for (size_t i = 0; i < notes->n_entries; i++)
            notes->entries[i].json = NULL; /* of the document, which ends here */
    gf__json_free(json);
    free(text);
    return st;
}

#define LAYER(class_name, name, settings, inputs)                                           \
    "{'class_name':'" class_name "','name':'" name "','config':{'name':'" name "'" settings \
    "},'inbound_nodes':" inputs "}"
#define FROM(name)    "[[['" name "',0,0,{}]]]"
#define INPUT(name)   LAYER("InputLayer", name, ",'batch_input_shape':[null,9,9,3]", "[]")
#define MODEL(layers) "{'class_name':'Model','config':{'name':'m','layers':[" layers "]}}"
#define INNER(class_name, name, layers, inputs) \
    LAYER(class_name, name, ",'layers':[" layers "]", inputs)
#define PAD(name, input)  LAYER("ZeroPadding2D", name, "", FROM(input))
#define RESCALE(settings) LAYER("Rescaling", "r", settings, FROM("in"))
#define LAMBDA(name, function, input, number)               \
    LAYER("TFOpLambda", name, ",'function':'" function "'", \
          "[['" input "',0,0,{'y':" number ",'name':null}]]")

static void check_names(const char *config, const char *names)
{
    gf_graph *graph = NULL;
    gf__buffer text = {0};
    CHECK_OK(read_noted(config, NULL, &graph));
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++)
        gf__buffer_printf(&text, "%s%s", i > 0 ? " " : "",
                          gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)i)));
    CHECK_STR(text.data, names);
    gf__buffer_free(&text);
    gf_graph_free(graph);
}

/* clang-format off */
#define AND ","
/* A model b of one padding. */
#define BASE(inputs) INNER("Functional", "b", INPUT("p") AND PAD("z", "p"), inputs)

/* Keras 2 and 3 count the making of a model as its first call. */
TEST(nested__the_layers_of_a_model_are_the_graphs)
{
    check_names(MODEL(INPUT("in") AND BASE(FROM("in")) AND LAYER("ReLU", "relu", "", "[[['b',1,0,{}]]]")),
                "in z relu");
    /* The input is that of its first layer. */
    check_names("{'class_name':'Sequential','config':[" BASE("[]") ",{'class_name':'ReLU','config':{'name':'relu'}}]}",
                "b_input z relu");
    /* A chain without an input of its own. */
    check_names(MODEL(INPUT("in") AND INNER("Sequential", "a", "{'class_name':'RandomFlip','config':{'name':'f'}},"
                                                               "{'class_name':'ReLU','config':{'name':'z'}}", FROM("in"))),
                "in z");
    /* A model of nothing. */
    check_names(MODEL(INPUT("in") AND INNER("Functional", "b", INPUT("in"), FROM("in")) AND PAD("z", "b")),
                "in z");
}

TEST(nested__names_that_are_taken_get_the_models_in_front)
{
    check_names(MODEL(INPUT("in") AND BASE(FROM("in")) AND
                      INNER("Functional", "c", INPUT("in") AND PAD("z", "in"), FROM("b")) AND PAD("b_z", "c")),
                "in z c_z b_z");
    check_names(MODEL(INPUT("in") AND PAD("b_z", "in") AND PAD("z", "b_z") AND BASE(FROM("z"))),
                "in b_z z b_z_2");
}

TEST(nested__notes_say_where_layers_went)
{
    gf__config_notes notes = {0};
    gf_graph *graph = NULL;
    CHECK_OK(read_noted(MODEL(INPUT("in") AND BASE(FROM("in")) AND PAD("y", "b")), &notes, &graph));
    const size_t want[][2] = {{5, SIZE_MAX}, {0, 0}, {2, SIZE_MAX}, {0, SIZE_MAX}, {0, 1}, {0, 2}};
    CHECK_EQ(notes.n_entries, 6);
    for (size_t i = 0; i < 6; i++) {
        CHECK_EQ(notes.entries[i].n_inner, want[i][0]);
        CHECK_EQ(notes.entries[i].layer, want[i][1]);
    }
    CHECK(!notes.is_scaled);
    gf__config_notes_free(&notes);
    gf_graph_free(graph);
}

TEST(nested__what_does_nothing_gives_no_layer)
{
    check_names(MODEL(INPUT("in") AND LAYER("RandomZoom", "a", "", FROM("in")) AND
                      LAYER("GaussianNoise", "b", "", FROM("a")) AND PAD("z", "b") AND
                      LAYER("ActivityRegularization", "c", "", FROM("z"))),
                "in z");
}

/* ---- scaling --------------------------------------------------------------------------------- */

static void check_scaling(const char *config, double scale, double shift)
{
    gf__config_notes notes = {0};
    gf_graph *graph = NULL;
    CHECK_OK(read_noted(config, &notes, &graph));
    CHECK(notes.is_scaled);
    CHECK_NEAR(notes.scale, scale, 1e-12);
    CHECK_NEAR(notes.shift, shift, 1e-12);
    gf__config_notes_free(&notes);
    gf_graph_free(graph);
    CHECK_FAILS(GF_EUNSUPPORTED, "scales the input, which is no part of a graph",
                read_noted(config, NULL, &graph));
}

#define TENSOR(name) "{'class_name':'__keras_tensor__','config':{'shape':[],'keras_history':['" name "',0,0]}}"
#define OP(class_name, name, input, number) \
    LAYER(class_name, name, "", "[{'args':[" TENSOR(input) "," number "],'kwargs':{}}]")
#define SUM(a, b) LAYER("Add", "sum", "", "[[['" a "',0,0],['" b "',0,0]]]")

TEST(scaling__of_the_input_is_noted)
{
    check_scaling(MODEL(INPUT("in") AND RESCALE(",'scale':0.5,'offset':-1") AND PAD("z", "r")), 0.5, -1);
    check_scaling(MODEL(INPUT("in") AND RESCALE(",'scale':0.5,'offset':null") AND PAD("z", "r")), 0.5, 0);
    check_scaling(MODEL(INPUT("in") AND LAMBDA("a", "math.truediv", "in", "4") AND LAMBDA("b", "math.subtract", "a", "1") AND
                        LAMBDA("c", "math.multiply", "b", "2") AND LAMBDA("d", "__operators__.add", "c", "8") AND PAD("z", "d")),
                  0.5, 6);
    check_scaling(MODEL(INPUT("in") AND OP("TrueDivide", "a", "in", "4") AND OP("Subtract", "b", "a", "1") AND
                        OP("Multiply", "c", "b", "2") AND OP("Add", "d", "c", "8") AND PAD("z", "d")),
                  0.5, 6);
    check_scaling(MODEL(INPUT("in") AND LAYER("TFOpLambda", "a", ",'function':'cast'", "[['in',0,0,{'dtype':'float32'}]]") AND
                        LAMBDA("b", "math.truediv", "a", "4") AND PAD("z", "b")),
                  0.25, 0);
    /* In a model that is a layer; and read twice, alike. */
    check_scaling(MODEL(INPUT("in") AND INNER("Functional", "b", INPUT("p") AND LAMBDA("s", "math.truediv", "p", "2") AND
                                              PAD("z", "s"), FROM("in"))),
                  0.5, 0);
    check_scaling(MODEL(INPUT("in") AND RESCALE(",'scale':0.5") AND PAD("y", "r") AND PAD("z", "r") AND SUM("y", "z")), 0.5, 0);
}

static const struct {
    const char *message, *config;
} cannot_be_run[] = {
    {"layer \"r\" scales what \"z\" puts out; only the network's input can be scaled",
     MODEL(INPUT("in") AND PAD("z", "in") AND LAYER("Rescaling", "r", ",'scale':2", FROM("z")) AND PAD("y", "r"))},
    {"layer \"r\" scales the network's output",
     MODEL(INPUT("in") AND PAD("z", "in") AND LAYER("Rescaling", "r", ",'scale':2", FROM("z")))},
    {"layer \"z\" sees the input scaled in another way than others do",
     MODEL(INPUT("in") AND RESCALE(",'scale':0.5") AND PAD("y", "r") AND PAD("z", "in") AND SUM("y", "z"))},
    {"layer \"r\" (Rescaling): scale and offset are not one number each",
     MODEL(INPUT("in") AND RESCALE(",'scale':[1,2,3]") AND PAD("z", "r"))},
    {"layer \"r\" (Rescaling): scale and offset are not one number each",
     MODEL(INPUT("in") AND RESCALE(",'scale':1,'offset':[1,2,3]") AND PAD("z", "r"))},
    {"layer \"a\": the class TFOpLambda is not one that can be run", MODEL(INPUT("in") AND LAMBDA("a", "math.pow", "in", "2"))},
    {"layer \"a\": the class TFOpLambda is not one that can be run",
     MODEL(INPUT("in") AND LAMBDA("a", "math.subtract", "in", "[1,2,3]"))},
    {"layer \"a\": the class Subtract is not one that can be run",
     MODEL(INPUT("in") AND LAYER("Subtract", "a", "", "[{'args':[1," TENSOR("in") "],'kwargs':{}}]"))},
    {"layer \"c\": the class RandomCrop is not one that can be run", MODEL(INPUT("in") AND LAYER("RandomCrop", "c", "", FROM("in")))},
    {"layer \"f\" is called with training",
     MODEL(INPUT("in") AND LAYER("Dropout", "f", ",'rate':0.5", "[[['in',0,0,{'training':true}]]]"))},
    {"layer \"b\" is called with training", MODEL(INPUT("in") AND BASE("[{'args':[" TENSOR("in") "],'kwargs':{'training':true}}]"))},
    {"layer \"b\" is called 2 times; shared layers cannot be run", MODEL(INPUT("in") AND BASE("[[['in',0,0]],[['in',0,0]]]"))},
    {"layer \"y\": takes a second output or call of \"b\"",
     MODEL(INPUT("in") AND BASE(FROM("in")) AND LAYER("ReLU", "y", "", "[[['b',2,0]]]"))},
    {"model \"b\" has 2 inputs and is called with 2",
     MODEL(INPUT("in") AND INNER("Functional", "b", INPUT("p") AND INPUT("q") AND SUM("p", "q"), "[[['in',0,0],['in',0,0]]]"))},
    {"model \"b\" has 1 inputs and is called with 0", MODEL(INPUT("in") AND BASE("[]"))},
    {"layers \"y\" and \"z\" are both outputs",
     MODEL(INPUT("in") AND INNER("Functional", "b", INPUT("p") AND PAD("y", "p") AND PAD("z", "p"), FROM("in")))},
    {"in \"b\": the model has 2 outputs",
     MODEL(INPUT("in") AND LAYER("Functional", "b", ",'output_layers':[['y',0,0],['z',0,0]],'layers':[]", FROM("in")))},
};

static const struct {
    const char *message, *config;
} broken[] = {
    {"layer \"r\" multiplies by 0 and adds 0", MODEL(INPUT("in") AND RESCALE(",'scale':0") AND PAD("z", "r"))},
    {"layer \"a\" multiplies by inf", MODEL(INPUT("in") AND LAMBDA("a", "math.truediv", "in", "0") AND PAD("z", "a"))},
    {"layer \"r\" scales the input by 1e+07 and adds 0", MODEL(INPUT("in") AND RESCALE(",'scale':1e7") AND PAD("z", "r"))},
    {"in \"b\": the model configuration has no layers", MODEL(INPUT("in") AND INNER("Functional", "b", "", FROM("in")))},
    {"in \"b\": layers[1] has no class_name", MODEL(INPUT("in") AND INNER("Functional", "b", INPUT("p") ",7", FROM("in")))},
    {"in \"b\": two layers are called \"z\"",
     MODEL(INPUT("in") AND INNER("Functional", "b", INPUT("p") AND PAD("z", "p") AND PAD("z", "p"), FROM("in")))},
    {"layer \"z\": its input \"in\" is missing", /* which is the outer model's */
     MODEL(INPUT("in") AND INNER("Functional", "b", INPUT("p") AND PAD("z", "in"), FROM("in")))},
    {"layer \"y\": its input \"z\" is missing", /* which is the inner one's */
     MODEL(INPUT("in") AND BASE(FROM("in")) AND PAD("y", "z"))},
    {"is computed from itself (a cycle)", MODEL(INPUT("in") AND BASE(FROM("y")) AND PAD("y", "b"))},
    {"is computed from itself (a cycle)",
     MODEL(INPUT("in") AND LAYER("RandomFlip", "f", "", FROM("g")) AND LAYER("RandomFlip", "g", "", FROM("f")) AND PAD("z", "f"))},
    {"model \"b\" has no output (a cycle)",
     MODEL(INPUT("in") AND INNER("Functional", "b", INPUT("p") AND PAD("y", "z") AND SUM("p", "y") AND PAD("z", "sum"),
                                 FROM("in")) AND PAD("x", "b"))},
};
/* clang-format on */

TEST(nested__what_cannot_be_run_is_refused_by_name)
{
    for (size_t i = 0; i < sizeof cannot_be_run / sizeof *cannot_be_run; i++) {
        gf__config_notes notes = {0};
        gf_graph *graph = NULL;
        CHECK_FAILS(GF_EUNSUPPORTED, cannot_be_run[i].message,
                    read_noted(cannot_be_run[i].config, &notes, &graph));
        CHECK(graph == NULL);
        gf__config_notes_free(&notes);
    }
}

TEST(nested__broken_trees_and_numbers_are_refused)
{
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        gf__config_notes notes = {0};
        gf_graph *graph = NULL;
        CHECK_FAILS(GF_EFORMAT, broken[i].message, read_noted(broken[i].config, &notes, &graph));
        CHECK(graph == NULL);
        gf__config_notes_free(&notes);
    }
}

/* n models in one another around a ReLU. */
static gf_status read_deep(size_t n)
{
    gf__buffer text = {0};
    gf_graph *graph = NULL;
    gf__buffer_puts(&text, "{'class_name':'Sequential','config':{'layers':[" INPUT("in"));
    for (size_t i = 1; i < n; i++)
        gf__buffer_printf(
            &text, ",{'class_name':'Sequential','config':{'name':'m%zu','layers':[" INPUT("in"), i);
    gf__buffer_puts(&text, ",{'class_name':'ReLU','config':{'name':'relu'}}");
    for (size_t i = 0; i < n; i++)
        gf__buffer_puts(&text, "]}}");
    const gf_status st = read_noted(text.data, NULL, &graph);
    gf_graph_free(graph);
    gf__buffer_free(&text);
    return st;
}

TEST(nested__depth_is_bounded)
{
    CHECK_OK(read_deep(16));
    CHECK_FAILS(GF_ELIMIT, "in \"m1\": models are more than 16 deep in one another", read_deep(17));
    CHECK_FAILS(GF_ELIMIT, "models are more than 16 deep in one another", read_deep(500));
}

TEST(nested__layers_of_all_models_are_bounded)
{
    gf__buffer text = {0};
    gf_graph *graph = NULL;
    gf__buffer_puts(&text, "{'class_name':'Sequential','config':{'layers':[" INPUT("in"));
    for (size_t m = 0; m < 3; m++) {
        gf__buffer_printf(&text, ",{'class_name':'Sequential','config':{'name':'m%zu','layers':[",
                          m);
        for (size_t i = 0; i < 4000; i++)
            gf__buffer_printf(&text, "%s{'class_name':'RandomFlip','config':{'name':'f%zu'}}",
                              i > 0 ? "," : "", i);
        gf__buffer_puts(&text, "]}}");
    }
    gf__buffer_puts(&text, "]}}");
    CHECK_FAILS(GF_ELIMIT, "the models in it have more than 8192 layers in all",
                read_noted(text.data, NULL, &graph));
    gf__buffer_free(&text);
}

/* Model i of the whole is called m<i>, and in it is a model called b with a ReLU. */
static gf_status read_twins(size_t n)
{
    gf__buffer text = {0};
    gf_graph *graph = NULL;
    gf__buffer_puts(&text, "{'class_name':'Sequential','config':{'layers':[" INPUT("in"));
    for (size_t i = 0; i < n; i++)
        gf__buffer_printf(&text,
                          ",{'class_name':'Sequential','config':{'name':'m%zu','layers':["
                          "{'class_name':'Sequential','config':{'name':'b','layers':["
                          "{'class_name':'ReLU','config':{'name':'relu'}}]}}]}}",
                          i);
    gf__buffer_puts(&text, "]}}");
    const gf_status st = read_noted(text.data, NULL, &graph);
    gf_graph_free(graph);
    gf__buffer_free(&text);
    return st;
}

TEST(nested__layers_of_one_name_are_bounded)
{
    CHECK_OK(read_twins(33));
    CHECK_FAILS(GF_ELIMIT, "more than 32 layers are called \"relu\", in models called \"b\"",
                read_twins(34));
}

TEST(nested__reading_survives_every_allocation_failure)
{
    static const char config[] = MODEL(INPUT("in") AND RESCALE(",'scale':0.5") AND INNER(
        "Sequential", "b", "{'class_name':'ReLU','config':{'name':'z'}}", FROM("r"))
                                           AND PAD("z", "b"));
    /* clang-format on */
    char *text = strdup(config);
    gf__json *json = NULL;
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    CHECK_OK(gf__json_parse(text, strlen(text), &json, &check_err));
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf_graph *graph = NULL;
        gf__config_notes notes = {0};
        gf__mem_fail_after(n);
        st = gf__graph_from_noted_config(json, &notes, &graph, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && graph == NULL));
        gf__config_notes_free(&notes);
        gf_graph_free(graph);
    }
    CHECK(st == GF_OK);
    gf__json_free(json);
    free(text);
}

TESTS_MAIN(UNIT(nested__the_layers_of_a_model_are_the_graphs),
           UNIT(nested__names_that_are_taken_get_the_models_in_front),
           UNIT(nested__notes_say_where_layers_went),
           UNIT(nested__what_does_nothing_gives_no_layer), UNIT(scaling__of_the_input_is_noted),
           UNIT(nested__what_cannot_be_run_is_refused_by_name),
           UNIT(nested__broken_trees_and_numbers_are_refused), UNIT(nested__depth_is_bounded),
           UNIT(nested__layers_of_all_models_are_bounded),
           UNIT(nested__layers_of_one_name_are_bounded),
           UNIT(nested__reading_survives_every_allocation_failure))
