/* test_graph_config.c: Keras' model configuration read and written: the spellings of its versions,
 * and what is refused. Documents here use single quotes for JSON's double ones. */
#include "check.h"
#include "graph/graph.h"

static gf_status read_config(const char *quoted, gf_graph **out)
{
    char *text = strdup(quoted);
    gf__json *json = NULL;
    for (char *c = text; *c != '\0'; c++) {
        if (*c == '\'')
            *c = '"';
    }
    CHECK_OK(gf__json_parse(text, strlen(text), &json, &check_err));
    const gf_status st = gf__graph_from_config(json, out, &check_err);
    gf__json_free(json);
    free(text);
    return st;
}

#define INPUT                                                       \
    "{'class_name':'InputLayer','name':'in','config':{'name':'in'," \
    "'batch_input_shape':[null,9,9,3]},'inbound_nodes':[]}"
#define FROM(name) "['" name "',0,0,{}]"
/* Starts with the comma that separates it from the layer before. */
#define LAYER(class_name, name, settings, inputs)                                \
    ",{'class_name':'" class_name "','name':'" name "','config':{" settings "}," \
    "'inbound_nodes':[[" inputs "]]}"
#define CONV(settings) \
    LAYER("Conv2D", "conv", "'filters':8,'kernel_size':[3,3]" settings, FROM("in"))
#define MODEL(layers) "{'class_name':'Model','config':{'name':'m','layers':[" layers "]}}"

static void check_refused(gf_status want, const char *part, const char *config)
{
    gf_graph *graph = NULL;
    CHECK_FAILS(want, part, read_config(config, &graph));
    CHECK(graph == NULL);
}

TEST(config__conv2d_settings_and_defaults)
{
    gf_graph *graph = NULL;
    const char *all = MODEL(INPUT CONV(",'strides':[2,1],'padding':'same','use_bias':false,"
                                       "'activation':'relu','trainable':false"));
    CHECK_OK(read_config(all, &graph));
    const gf__layer_config *conv = gf__layer_config_of(gf_graph_layer_at(graph, 1));
    CHECK_EQ(conv->filters, 8);
    CHECK_EQ(conv->strides[0], 2);
    CHECK_EQ(conv->strides[1], 1);
    CHECK(conv->is_same_padding && !conv->has_bias && !conv->is_trainable);
    CHECK_EQ(conv->activation, GF__ACTIVATION_RELU);
    gf_graph_free(graph);

    CHECK_OK(read_config(MODEL(INPUT CONV("")), &graph));
    conv = gf__layer_config_of(gf_graph_layer_at(graph, 1));
    CHECK_EQ(conv->strides[0], 1);
    CHECK(!conv->is_same_padding && conv->has_bias && conv->is_trainable);
    gf_graph_free(graph);
}

/* clang-format off */
static const char keras_1[] = MODEL(INPUT
    LAYER("Convolution2D", "c1",
          "'nb_filter':4,'nb_row':1,'nb_col':3,'subsample':[2,2],'border_mode':'same',"
          "'dim_ordering':'tf','bias':false,'activation':'linear'", FROM("in"))
    LAYER("BatchNormalization", "bn", "'mode':0,'axis':3,'epsilon':0.01", FROM("c1"))
    LAYER("Merge", "mixed0", "'mode':'concat','concat_axis':3", "['bn',0,0],['c1',0,0]")
    LAYER("Flatten", "f", "", FROM("mixed0"))
    LAYER("Dropout", "d", "'p':0.25", FROM("f"))
    LAYER("Dense", "out", "'output_dim':2,'bias':true,'activation':'softmax'", FROM("d")));
/* clang-format on */

TEST(config__keras_1_spellings_are_understood)
{
    gf_graph *graph = NULL;
    CHECK_OK(read_config(keras_1, &graph));
    const gf__layer_config *conv = gf__layer_config_of(gf_graph_layer_at(graph, 1));
    CHECK_EQ(conv->filters, 4);
    CHECK_EQ(conv->kernel[1], 3);
    CHECK_EQ(conv->strides[0], 2);
    CHECK(!conv->has_bias);
    CHECK_NEAR(gf__layer_config_of(gf_graph_layer_at(graph, 2))->epsilon, 0.01, 0.0);
    CHECK_STR(gf_layer_class_name(gf_graph_layer_at(graph, 3)), "Concatenate");
    CHECK_NEAR(gf__layer_config_of(gf_graph_layer_at(graph, 5))->rate, 0.25, 0.0);
    CHECK_EQ(gf_layer_shape(gf_graph_layer_at(graph, 6))[0], 2);
    gf_graph_free(graph);
}

/* clang-format off */
#define KERAS_TENSOR(name) "{'class_name':'__keras_tensor__','config':{'shape':[null,4],'keras_history':['" name "',0,0]}}"
static const char keras_3[] =
    "{'class_name':'Functional','config':{'name':'m','input_layers':['in',0,0],'output_layers':['add',0,0],'layers':["
    "{'class_name':'InputLayer','name':'in','config':{'batch_shape':[null,4],'name':'in'},'inbound_nodes':[]},"
    "{'class_name':'Dense','name':'d','config':{'name':'d','units':4,'activation':'relu'},"
    "'inbound_nodes':[{'args':[" KERAS_TENSOR("in") "],'kwargs':{}}]},"
    "{'class_name':'Add','name':'add','config':{'name':'add'},"
    "'inbound_nodes':[{'args':[[" KERAS_TENSOR("in") "," KERAS_TENSOR("d") "]],'kwargs':{}}]}]}}";
/* clang-format on */

TEST(config__keras_3_references_are_understood)
{
    gf_graph *graph = NULL;
    CHECK_OK(read_config(keras_3, &graph));
    CHECK_EQ(gf_layer_n_inputs(gf_graph_layer_at(graph, 2)), 2);
    gf_graph_free(graph);
}

/* Walked once: looking for each of its members from the front took minutes, and heard no signal. */
TEST(config__arguments_of_many_members_are_walked_once)
{
    enum { N_MEMBERS = 200000 };
    gf__json *config = NULL, *arguments = gf__json_object();
    gf_graph *graph = NULL;
    const char *text = "{\"class_name\":\"Functional\",\"config\":{\"layers\":[{\"class_name\":"
                       "\"Dense\",\"name\":\"d\",\"config\":{\"units\":2}}]}}";
    CHECK_OK(gf__json_parse(text, strlen(text), &config, &check_err));
    for (int i = 0; i < N_MEMBERS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        gf__json_set_int(arguments, key, i);
    }
    gf__json *call = gf__json_object(), *calls = gf__json_array();
    gf__json_set(call, "args", arguments);
    gf__json_append(calls, call);
    const gf__json *layers = gf__json_find(gf__json_find(config, "config"), "layers");
    gf__json_set((gf__json *)gf__json_at(layers, 0), "inbound_nodes", calls);
    CHECK_FAILS(GF_ESHAPE, "layer \"d\" (Dense) has 0 inputs",
                gf__graph_from_config(config, &graph, &check_err));
    gf__json_free(config);
}

TEST(config__more_inputs_than_any_network_has_are_refused)
{
    static const char one[] = ",['in',0,0]";
    enum { N_INPUTS = 65537 };
    gf__buffer text = {0};
    gf_graph *graph = NULL;
    gf__buffer_puts(&text, "{'class_name':'Model','config':{'name':'m','layers':[" INPUT
                           ",{'class_name':'Add','name':'sum','config':{},'inbound_nodes':[[");
    for (int i = 0; i < N_INPUTS; i++)
        gf__buffer_puts(&text, i == 0 ? one + 1 : one);
    gf__buffer_puts(&text, "]]}]}}");
    CHECK_FAILS(GF_ELIMIT, "more than 65536 inputs", read_config(text.data, &graph));
    gf__buffer_free(&text);
}

TEST(config__sequential_as_a_list_and_as_an_object)
{
    gf_graph *graph = NULL;
    const char *chain = "{'class_name':'Dense','config':{'name':'a','units':3,"
                        "'batch_input_shape':[null,5],'activation':'relu'}},"
                        "{'class_name':'Activation','config':{'name':'b','activation':'softmax'}}";
    char text[512];
    snprintf(text, sizeof text, "{'class_name':'Sequential','config':[%s]}", chain);
    CHECK_OK(read_config(text, &graph));
    CHECK_EQ(gf_graph_n_layers(graph), 3);
    CHECK_STR(gf_layer_name(gf_graph_layer_at(graph, 0)), "a_input");
    CHECK_EQ(gf_layer_n_params(gf_graph_layer_at(graph, 1)), 5 * 3 + 3);
    gf_graph_free(graph);
    snprintf(text, sizeof text, "{'class_name':'Sequential','config':{'name':'s','layers':[%s]}}",
             chain);
    CHECK_OK(read_config(text, &graph));
    CHECK_STR(gf_graph_name(graph), "s");
    CHECK_STR(gf_layer_name(gf_graph_layer_at(graph, 2)), "b");
    gf_graph_free(graph);
}

/* Keras reads a document in any order; ours keeps a sensible one and mends another. */
TEST(config__layers_before_their_inputs_are_put_after_them)
{
    gf_graph *graph = NULL;
    const char *backwards =
        "{'class_name':'Model','config':{'layers':["
        "{'class_name':'ReLU','name':'relu','config':{},'inbound_nodes':[[['pad',0,0]]]},"
        "{'class_name':'ZeroPadding2D','name':'pad','config':{},'inbound_nodes':[[['in',0,0]]]}"
        "," INPUT "]}}";
    CHECK_OK(read_config(backwards, &graph));
    CHECK_STR(gf_layer_name(gf_graph_layer_at(graph, 0)), "in");
    CHECK_STR(gf_layer_name(gf_graph_layer_at(graph, 2)), "relu");
    gf_graph_free(graph);
}

/* clang-format off */
static const struct {
    const char *message, *config;
} cannot_be_run[] = {
    {"layer \"conv\": dilation_rate is [2,2]; only 1 can be run", MODEL(INPUT CONV(",'dilation_rate':[2,2]"))},
    {"layer \"conv\": groups is 2", MODEL(INPUT CONV(",'groups':2"))},
    {"layer \"conv\": data_format is \"channels_first\"", MODEL(INPUT CONV(",'data_format':'channels_first'"))},
    {"layer \"conv\": padding is \"causal\"", MODEL(INPUT CONV(",'padding':'causal'"))},
    {"layer \"conv\": activation \"swish\"", MODEL(INPUT CONV(",'activation':'swish'"))},
    {"layer \"l\": the class Lambda is not one that can be run", MODEL(INPUT LAYER("Lambda", "l", "", FROM("in")))},
    {"layer \"bn\" (BatchNormalization): axis is 2", MODEL(INPUT LAYER("BatchNormalization", "bn", "'axis':2", FROM("in")))},
    {"layer \"b\" (BatchNormalization): axis is 1; only the last one, 3 or -1, can be run",
     MODEL(INPUT LAYER("BatchNormalization", "b", "'axis':[1]", FROM("in")))},
    {"layer \"c\" (Concatenate): axis is 1", MODEL(INPUT LAYER("Concatenate", "c", "'axis':1", FROM("in") "," FROM("in")))},
    {"layer \"s\" (Activation): axis is 2", MODEL(INPUT LAYER("Softmax", "s", "'axis':2", FROM("in")))},
    {"layer \"r\": negative_slope is 0.5", MODEL(INPUT LAYER("ReLU", "r", "'negative_slope':0.5", FROM("in")))},
    {"layer \"g\": keepdims is true",
     MODEL(INPUT LAYER("GlobalAveragePooling2D", "g", "'keepdims':true", FROM("in")))},
    {"layer \"in\": batch_input_shape is [null,null,null,3]",
     MODEL("{'class_name':'InputLayer','name':'in','config':{'batch_input_shape':[null,null,null,3]}}")},
    {"layers \"conv\" and \"r\" are both outputs", MODEL(INPUT CONV("") LAYER("ReLU", "r", "", FROM("in")))},
    {"the model has 2 outputs",
     "{'class_name':'Model','config':{'output_layers':[['a',0,0],['b',0,0]],'layers':[" INPUT "]}}"},
    {"layer \"r\" is called 2 times; shared layers cannot be run",
     MODEL(INPUT LAYER("ReLU", "r", "", FROM("in") "],[" FROM("in")))},
    {"layer \"r\": takes a second output or call of \"in\"", MODEL(INPUT LAYER("ReLU", "r", "", "['in',0,1]"))},
    {"expected Model, Functional or Sequential", "{'class_name':'Mystery','config':{}}"},
    {"expected Model, Functional or Sequential", "[]"},
};

static const struct {
    const char *message, *config;
} broken[] = {
    {"layer \"conv\": its input \"nowhere\" is missing",
     MODEL(INPUT LAYER("Conv2D", "conv", "'filters':1,'kernel_size':1", FROM("nowhere")))},
    {"is computed from itself (a cycle)",
     MODEL(INPUT LAYER("ReLU", "a", "", FROM("b")) LAYER("ReLU", "b", "", FROM("a")))},
    {"both called \"in\"", MODEL(INPUT "," INPUT)},
    {"has no layers", MODEL("")},
    {"layers[0] has no class_name", MODEL("7")},
    {"layers[0] has no name", MODEL("{'class_name':'ReLU','config':{}}")},
    {"inbound_nodes: expected [\"layer\",0,0]", MODEL(INPUT LAYER("ReLU", "r", "", "7"))},
    {"layer \"conv\": strides: expected two whole numbers, found [1.5,1]", MODEL(INPUT CONV(",'strides':[1.5,1]"))},
    {"layer \"conv\": use_bias: expected true or false, found 1", MODEL(INPUT CONV(",'use_bias':1"))},
    {"layer \"d\": units: expected a whole number of at least 1, found nothing",
     MODEL(INPUT LAYER("Dense", "d", "", FROM("in")))},
    {"layer \"d\": units: expected a whole number of at least 1, found -3",
     MODEL(INPUT LAYER("Dense", "d", "'units':-3", FROM("in")))},
    {"layer \"d\": rate: expected a number in 0..1, found 1", MODEL(INPUT LAYER("Dropout", "d", "'rate':1", FROM("in")))},
    {"layer \"r\": max_value: expected a positive number, found 0",
     MODEL(INPUT LAYER("ReLU", "r", "'max_value':0", FROM("in")))},
    {"layer \"a\": activation: expected a text, found nothing", MODEL(INPUT LAYER("Activation", "a", "", FROM("in")))},
    {"layer \"z\": padding: expected [[top,bottom],[left,right]], found [[1],2]",
     MODEL(INPUT LAYER("ZeroPadding2D", "z", "'padding':[[1],2]", FROM("in")))},
};
/* clang-format on */

TEST(config__what_cannot_be_run_is_refused_by_layer_and_setting)
{
    for (size_t i = 0; i < sizeof cannot_be_run / sizeof cannot_be_run[0]; i++)
        check_refused(GF_EUNSUPPORTED, cannot_be_run[i].message, cannot_be_run[i].config);
}

TEST(config__broken_trees_and_values_are_refused)
{
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        check_refused(GF_EFORMAT, broken[i].message, broken[i].config);
}

/* clang-format off */
static const char many_classes[] = MODEL(INPUT
    CONV(",'strides':[2,2],'activation':'relu6','trainable':false")
    LAYER("BatchNormalization", "bn", "'scale':false,'epsilon':1e-5", FROM("conv"))
    LAYER("ReLU", "r", "'max_value':6", FROM("bn"))
    LAYER("ZeroPadding2D", "z", "'padding':[[1,2],[3,4]]", FROM("r"))
    LAYER("AveragePooling2D", "p", "'pool_size':[3,3],'strides':[1,1],'padding':'same'", FROM("z"))
    LAYER("Concatenate", "c", "'axis':3", FROM("z") "," FROM("p"))
    LAYER("GlobalMaxPooling2D", "g", "", FROM("c"))
    LAYER("Dropout", "d", "'rate':0.5", FROM("g"))
    LAYER("Dense", "out", "'units':3,'activation':'softmax'", FROM("d")));
/* clang-format on */

TEST(config__written_and_read_again_is_the_same)
{
    gf_graph *graph = NULL, *again = NULL;
    gf__json *first = NULL, *second = NULL;
    gf__buffer one = {0}, two = {0};
    CHECK_OK(read_config(many_classes, &graph));
    CHECK_OK(gf__graph_to_config(graph, &first, &check_err));
    CHECK_OK(gf__graph_from_config(first, &again, &check_err));
    CHECK_OK(gf__graph_to_config(again, &second, &check_err));
    gf__json_write(first, false, &one);
    gf__json_write(second, false, &two);
    CHECK_STR(one.data, two.data);
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *a = gf_graph_layer_at(graph, (ptrdiff_t)i);
        const gf_layer *b = gf_graph_layer_at(again, (ptrdiff_t)i);
        gf__layer_config left = *gf__layer_config_of(a), right = *gf__layer_config_of(b);
        left.name = right.name = NULL;
        CHECK(memcmp(left.padding, right.padding, sizeof left.padding) == 0);
        CHECK(left.max_value == right.max_value && left.epsilon == right.epsilon);
        CHECK(left.activation == right.activation && left.is_trainable == right.is_trainable);
        CHECK(memcmp(gf_layer_shape(a), gf_layer_shape(b), gf_layer_n_dims(a) * sizeof(size_t)) ==
              0);
    }
    gf__buffer_free(&one);
    gf__buffer_free(&two);
    gf__json_free(first);
    gf__json_free(second);
    gf_graph_free(graph);
    gf_graph_free(again);
}

TEST(config__reading_survives_every_allocation_failure)
{
    const char *text = "{\"class_name\":\"Sequential\",\"config\":[{\"class_name\":\"Dense\","
                       "\"config\":{\"name\":\"a\",\"units\":3,\"batch_input_shape\":[null,5]}}]}";
    gf__json *json = NULL;
    CHECK_OK(gf__json_parse(text, strlen(text), &json, &check_err));
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf_graph *graph = NULL;
        gf__mem_fail_after(n);
        st = gf__graph_from_config(json, &graph, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && graph == NULL));
        gf_graph_free(graph);
    }
    gf__json_free(json);
}

TESTS_MAIN(UNIT(config__conv2d_settings_and_defaults),
           UNIT(config__keras_1_spellings_are_understood),
           UNIT(config__keras_3_references_are_understood),
           UNIT(config__arguments_of_many_members_are_walked_once),
           UNIT(config__more_inputs_than_any_network_has_are_refused),
           UNIT(config__sequential_as_a_list_and_as_an_object),
           UNIT(config__layers_before_their_inputs_are_put_after_them),
           UNIT(config__what_cannot_be_run_is_refused_by_layer_and_setting),
           UNIT(config__broken_trees_and_values_are_refused),
           UNIT(config__written_and_read_again_is_the_same),
           UNIT(config__reading_survives_every_allocation_failure))
