/* Inception-v3 of torchvision and timm: a state dict of the real size, by the names and shapes that torchvision
 * gives (tests/golden/zoo/inception_v3_torch.tsv), filled by a formula, against PyTorch's features for it
 * (tests/golden/make_inception_torch.py); and state dicts that are something else. */
#include "engine_graphs.h"
#include "zoo/torch/torch_priv.h"

#define N_MOST    600
#define N_SIDE    299
#define N_PICTURE (N_SIDE * N_SIDE * 3)

/* The state dict; tests change it for themselves and put it back. */
static gf__torch_tensor dict[N_MOST];
static size_t n_dict;

/* ---- the state dict -------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

/* As make_inception_torch.py has it, to the bit. */
static void fill_tensor(gf_tensor *tensor, const char *name, uint32_t t)
{
    const size_t n = gf_tensor_n_values(tensor), *shape = gf_tensor_shape(tensor);
    const bool is_kernel = gf_tensor_n_dims(tensor) > 1;
    const bool is_near_one = ends_with(name, "bn.weight") || ends_with(name, "running_var");
    const float bound = is_kernel ? (float)sqrt(6.0 / (double)(n / shape[0])) : 0.125f;
    uint8_t *bytes = malloc(n);
    float *values = gf_tensor_mutable_data(tensor);
    hash_bytes(bytes, n, t + 1);
    for (size_t i = 0; i < n; i++) {
        const float x = ((float)bytes[i] - 127.5f) / 127.5f;
        values[i] = is_near_one ? 1.0f + 0.25f * x : x * bound;
    }
    free(bytes);
}

static gf_tensor *new_tensor(const size_t *shape, size_t n_dims)
{
    gf_tensor *tensor = NULL;
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, shape, n_dims, &tensor, &check_err));
    return tensor;
}

static size_t read_shape(const char *text, size_t shape[4])
{
    size_t n_dims = 0;
    char *at = NULL;
    while (*text >= '0' && *text <= '9' && n_dims < 4) {
        shape[n_dims++] = strtoul(text, &at, 10);
        text = *at == 'x' ? at + 1 : at;
    }
    return n_dims;
}

static int make_dict(void **state)
{
    (void)state;
    char line[256];
    uint32_t t = 0;
    FILE *file = fopen(check_fixture("golden/zoo/inception_v3_torch.tsv"), "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL && n_dict < N_MOST) {
        size_t shape[4];
        char *tab = strchr(line, '\t');
        assert_non_null(tab);
        *tab = '\0';
        const size_t n_dims = read_shape(tab + 1, shape);
        gf__torch_tensor *to = &dict[n_dict++];
        to->name = gf__strdup(line);
        if (ends_with(line, "num_batches_tracked"))
            continue; /* whole numbers */
        to->tensor = new_tensor(shape, n_dims);
        fill_tensor(to->tensor, line, t++);
    }
    fclose(file);
    CHECK_EQ(n_dict, 580);
    return 0;
}

static int free_dict(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_dict; i++) {
        gf__free(dict[i].name);
        gf_tensor_free(dict[i].tensor);
    }
    return 0;
}

static size_t place_of(const char *name)
{
    for (size_t i = 0; i < n_dict; i++)
        if (strcmp(dict[i].name, name) == 0)
            return i;
    fail_msg("no tensor %s", name);
    return 0;
}

static gf_status read_some(const gf__torch_tensor *tensors, size_t n, gf__checkpoint *out)
{
    const gf__torch_file file = {
        .tensors = (gf__torch_tensor *)tensors, .n_tensors = n, .kind = "state dict"};
    *out = (gf__checkpoint){0};
    return gf__state_dict_read(&file, "inception_v3", out, &check_err);
}

static gf_status read_dict(gf__checkpoint *out)
{
    return read_some(dict, n_dict, out);
}

/* ---- what it computes ------------------------------------------------------------------------ */

/* The home ends with check_remove_dir(). */
static char *import_dict(void)
{
    char *home = check_temp_dir(), path[4096];
    gf_named_tensor *named = calloc(n_dict, sizeof *named);
    size_t n = 0;
    for (size_t i = 0; i < n_dict; i++)
        if (dict[i].tensor != NULL)
            named[n++] = (gf_named_tensor){dict[i].name, dict[i].tensor};
    snprintf(path, sizeof path, "%s/model.safetensors", home);
    CHECK_OK(gf_safetensors_save(path, named, n, NULL, 0, &check_err));
    CHECK_OK(gf_zoo_import(home, "inception_v3", home, NULL, NULL, &check_err)); /* the folder */
    free(named);
    return home;
}

static void check_golden(const gf_graph *graph)
{
    static const char *const names[] = {"features", "scores"};
    const gf_output_spec outputs[] = {{"avg_pool", GF_POOL_NONE}, {"predictions", GF_POOL_NONE}};
    const gf_plan_options options = f32_options();
    uint8_t *picture = malloc(N_PICTURE);
    gf_npz *golden = NULL;
    hash_bytes(picture, N_PICTURE, 0);
    CHECK_OK(gf_npz_open(check_fixture("golden/zoo/inception_v3_torch.npz"), &golden, &check_err));
    ran r = run_plan(graph, outputs, 2, &options, picture, 1);
    for (size_t k = 0; k < 2; k++) {
        gf_tensor *want = NULL;
        CHECK_OK(gf_npz_load(golden, names[k], &want, &check_err));
        CHECK_EQ(gf_plan_output_size(r.plan, k), gf_tensor_n_values(want));
        check_values(names[k], gf_exec_output(r.exec, k), gf_tensor_f32(want),
                     gf_tensor_n_values(want), 1e-4);
        gf_tensor_free(want);
    }
    end_run(&r);
    gf_npz_close(golden);
    free(picture);
}

TEST(inception_torch__gives_the_features_that_torchvision_gives)
{
    char *home = import_dict();
    gf_trunk *trunk = NULL;
    size_t width, height, n_blocks = 0;
    float scale, shift;
    CHECK_OK(gf_trunk_load(home, "inception_v3", &trunk, &check_err));
    check_golden(gf_trunk_graph(trunk));
    CHECK_STR(gf_trunk_origin(trunk), "safetensors of Inception-v3, AuxLogits left out");
    CHECK_EQ(gf_trunk_n_classes(trunk), 1000);
    CHECK_STR(gf_trunk_class_at(trunk, 0), "tench");
    CHECK_STR(gf_trunk_class_id_at(trunk, 0), "n01440764");
    gf_trunk_input(trunk, &width, &height, &scale, &shift);
    CHECK(scale == 1.0f / 127.5f && shift == -1.0f);
    (void)gf__zoo_block_outputs(gf_trunk_graph(trunk), &n_blocks);
    CHECK_EQ(n_blocks, 11);
    gf_trunk_free(trunk);
    check_remove_dir(home);
}

/* ---- where everything goes ------------------------------------------------------------------- */

static void check_kernel(const gf_tensor *theirs, const gf_tensor *ours)
{
    const size_t *shape = gf_tensor_shape(theirs);
    const size_t O = shape[0], I = shape[1], HW = shape[2] * shape[3];
    const float *from = gf_tensor_f32(theirs), *to = gf_tensor_f32(ours);
    size_t n_wrong = 0;
    for (size_t o = 0; o < O; o++)
        for (size_t i = 0; i < I; i++)
            for (size_t k = 0; k < HW; k++)
                n_wrong += from[(o * I + i) * HW + k] != to[(k * I + i) * O + o];
    CHECK_EQ(n_wrong, 0);
}

static const gf_layer *layer_of(const gf_graph *graph, const char *stem, size_t number)
{
    char name[64];
    size_t index = 0;
    snprintf(name, sizeof name, "%s_%zu", stem, number);
    CHECK_OK(gf_graph_find_layer(graph, name, &index, &check_err));
    return gf_graph_layer_at(graph, (ptrdiff_t)index);
}

/* Modules are defined in the order in which Keras' function calls them. */
TEST(inception_torch__weights_come_in_to_the_bit)
{
    gf__checkpoint c;
    size_t number = 0;
    CHECK_OK(read_dict(&c));
    for (size_t i = 0; i < n_dict; i++) {
        if (!ends_with(dict[i].name, ".conv.weight") || strstr(dict[i].name, "AuxLogits") != NULL)
            continue;
        const gf_layer *conv = layer_of(c.graph, "conv2d", ++number);
        const gf_layer *norm = layer_of(c.graph, "batch_normalization", number);
        check_kernel(dict[i].tensor, gf__layer_weight_at(conv, 0));
        for (size_t k = 0; k < 4; k++) /* weight, bias, running_mean, running_var: Keras' order */
            assert_memory_equal(gf_tensor_data(dict[i + 1 + k].tensor),
                                gf_tensor_data(gf__layer_weight_at(norm, k)),
                                gf_tensor_size_bytes(dict[i + 1 + k].tensor));
    }
    CHECK_EQ(number, 94);
    gf__checkpoint_free(&c);
}

TEST(inception_torch__is_known_by_its_layers_in_either_form)
{
    gf_graph *keras = NULL, *torch = NULL;
    const char *architecture = NULL;
    CHECK_OK(gf__inception_v3_layers(1000, &keras, &check_err));
    CHECK_OK(gf__inception_v3_torch_layers(1000, &torch, &check_err));
    CHECK_EQ(gf_graph_n_layers(torch), gf_graph_n_layers(keras) + 9); /* averages */
    const gf_graph *const both[] = {keras, torch};
    for (size_t i = 0; i < 2; i++) {
        CHECK_OK(gf__architecture_match(both[i], "inception_v3", &architecture, &check_err));
        CHECK_OK(gf__architecture_match(both[i], "mine", &architecture, &check_err));
        CHECK_STR(architecture, "inception_v3");
        CHECK_FAILS(
            GF_EMISMATCH, "is not EfficientNet-Lite0: layer 1",
            gf__architecture_match(both[i], "efficientnet_lite0", &architecture, &check_err));
    }
    gf_graph_free(keras);
    gf_graph_free(torch);
}

static gf_status read_config(const char *find, const char *replace)
{
    gf_graph *torch = NULL, *changed = NULL;
    gf__json *config = NULL;
    gf__buffer text = {0}, other = {0};
    const char *architecture = NULL;
    CHECK_OK(gf__inception_v3_torch_layers(0, &torch, &check_err));
    CHECK_OK(gf__graph_to_config(torch, &config, &check_err));
    gf__json_write(config, false, &text);
    gf__json_free(config);
    gf__buffer_append(&text, "", 1);
    const char *at = strstr(text.data, find);
    assert_non_null(at);
    gf__buffer_append(&other, text.data, (size_t)(at - (const char *)text.data));
    gf__buffer_append(&other, replace, strlen(replace));
    gf__buffer_append(&other, at + strlen(find), strlen(at + strlen(find)));
    CHECK_OK(gf__json_parse(other.data, other.size, &config, &check_err));
    CHECK_OK(gf__graph_from_config(config, &changed, &check_err));
    const gf_status st = gf__architecture_match(changed, "inception_v3", &architecture, &check_err);
    gf__json_free(config);
    gf__buffer_free(&text);
    gf__buffer_free(&other);
    gf_graph_free(torch);
    gf_graph_free(changed);
    return st;
}

/* The form that is nearer says what differs. */
TEST(inception_torch__the_first_layer_that_differs_is_named)
{
    CHECK_FAILS(GF_EMISMATCH, "is not PyTorch's Inception-v3: layer",
                read_config("\"padding\":[[1,1],[1,1]]", "\"padding\":[[1,1],[2,0]]"));
    CHECK_FAILS(GF_EMISMATCH,
                "is ZeroPadding2D 0,2 1,1, expected ZeroPadding2D 1,1 1,1 (\"zero_padding2d_",
                read_config("[[1,1],[1,1]]", "[[0,2],[1,1]]"));
}

/* ---- state dicts that are something else ----------------------------------------------------- */

/* Reads with tensor `name` called, or being, something else, and puts it back. */
static gf_status read_with(const char *name, const char *new_name, gf_tensor *new_tensor,
                           gf__checkpoint *out)
{
    gf__torch_tensor *one = &dict[place_of(name)];
    const gf__torch_tensor before = *one;
    if (new_name != NULL)
        one->name = (char *)new_name;
    else
        one->tensor = new_tensor;
    const gf_status st = read_dict(out);
    *one = before;
    return st;
}

TEST(inception_torch__names_the_tensor_that_does_not_fit)
{
    gf__checkpoint c;
    gf_tensor *other = new_tensor((size_t[]){192, 160, 7, 1}, 4);
    CHECK_FAILS(
        GF_EMISMATCH,
        "is not Inception-v3: has no Mixed_6e.branch7x7_2.bn.running_var, for layer "
        "\"batch_normalization_",
        read_with("Mixed_6e.branch7x7_2.bn.running_var", "Mixed_6e.branch7x7_2.var", NULL, &c));
    gf__checkpoint_free(&c);
    CHECK_FAILS(GF_EMISMATCH,
                "Mixed_6e.branch7x7_3.conv.weight is (192,160,7,1), expected (192,192,7,1)",
                read_with("Mixed_6e.branch7x7_3.conv.weight", NULL, other, &c));
    gf__checkpoint_free(&c);
    CHECK_FAILS(GF_EMISMATCH, "has no fc.bias, for layer \"predictions\"",
                read_with("fc.bias", "fc.beta", NULL, &c));
    gf__checkpoint_free(&c);
    CHECK_FAILS(GF_EMISMATCH, "fc.bias holds whole numbers, layer \"predictions\" takes float",
                read_with("fc.bias", NULL, NULL, &c));
    gf__checkpoint_free(&c);
    gf_tensor_free(other);
}

TEST(inception_torch__a_tensor_without_a_place_is_refused)
{
    gf__checkpoint c;
    gf__torch_tensor *more = calloc(n_dict + 1, sizeof *more);
    memcpy(more, dict, n_dict * sizeof *more);
    more[n_dict] = (gf__torch_tensor){(char *)"Mixed_7d.conv.weight", dict[0].tensor};
    CHECK_FAILS(GF_EMISMATCH, "has Mixed_7d.conv.weight, which that network has no place for",
                read_some(more, n_dict + 1, &c));
    gf__checkpoint_free(&c);
    free(more);
}

TEST(inception_torch__what_stands_before_all_names_is_left_out)
{
    gf__checkpoint c;
    gf__torch_tensor *wrapped = calloc(n_dict, sizeof *wrapped);
    for (size_t i = 0; i < n_dict; i++)
        wrapped[i] = (gf__torch_tensor){gf__asprintf("module.%s", dict[i].name), dict[i].tensor};
    CHECK_OK(read_some(wrapped, n_dict, &c));
    CHECK_STR(c.origin, "state dict of Inception-v3, AuxLogits left out");
    gf__checkpoint_free(&c);
    const size_t last = place_of("fc.bias");
    gf__free(wrapped[last].name);
    wrapped[last].name = gf__strdup("fc.bias"); /* not below module. */
    CHECK_FAILS(GF_EMISMATCH, "has no module.fc.bias", read_some(wrapped, n_dict, &c));
    gf__checkpoint_free(&c);
    for (size_t i = 0; i < n_dict; i++)
        gf__free(wrapped[i].name);
    free(wrapped);
}

/* The classifier with n outputs. Without the auxiliary one, which comes with other counts too. */
static gf_status read_outputs(size_t n, gf__checkpoint *out)
{
    gf__torch_tensor *some = calloc(n_dict, sizeof *some);
    gf_tensor *weight = new_tensor((size_t[]){n, 2048}, 2), *bias = new_tensor(&n, 1);
    size_t n_some = 0;
    float *values = gf_tensor_mutable_data(bias);
    for (size_t k = 0; k < n; k++) {
        values[k] = (float)k;
        ((float *)gf_tensor_mutable_data(weight))[k * 2048 + 1] = (float)k;
    }
    for (size_t i = 0; i < n_dict; i++) {
        if (strstr(dict[i].name, "AuxLogits") != NULL || (n == 0 && strstr(dict[i].name, "fc.")))
            continue;
        some[n_some] = dict[i];
        if (strcmp(dict[i].name, "fc.weight") == 0)
            some[n_some].tensor = weight;
        else if (strcmp(dict[i].name, "fc.bias") == 0)
            some[n_some].tensor = bias;
        n_some++;
    }
    const gf_status st = read_some(some, n_some, out);
    gf_tensor_free(weight);
    gf_tensor_free(bias);
    free(some);
    return st;
}

TEST(inception_torch__the_background_of_1001_classes_is_left_out)
{
    gf__checkpoint c;
    CHECK_OK(read_outputs(1001, &c));
    CHECK_STR(c.origin, "state dict of Inception-v3, background class left out");
    const gf_layer *top = gf_graph_layer_at(c.graph, -1);
    CHECK_EQ(gf_layer_shape(top)[0], 1000);
    for (size_t k = 0; k < 1000; k++) {
        CHECK(gf_tensor_f32(gf__layer_weight_at(top, 0))[1000 + k] == (float)(k + 1));
        CHECK(gf_tensor_f32(gf__layer_weight_at(top, 1))[k] == (float)(k + 1));
    }
    gf__checkpoint_free(&c);
}

TEST(inception_torch__takes_other_classes_or_none)
{
    gf__checkpoint c;
    CHECK_OK(read_outputs(5, &c));
    CHECK_EQ(gf__graph_n_classes(c.graph), 5);
    gf__checkpoint_free(&c);
    CHECK_OK(read_outputs(0, &c));
    CHECK_EQ(gf__graph_n_classes(c.graph), 0);
    CHECK_STR(gf_layer_name(gf_graph_layer_at(c.graph, -1)), "mixed10");
    gf__checkpoint_free(&c);
    CHECK_FAILS(GF_EUNSUPPORTED, "1008 outputs and no AuxLogits: the Inception-v3 of 2015",
                read_outputs(1008, &c));
    gf__checkpoint_free(&c);
}

/* Not each: a reading copies 95 MB. */
TEST(inception_torch__survives_allocation_failures)
{
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n = n < 20 ? n + 1 : n + 149) {
        gf__checkpoint c;
        gf__mem_fail_after(n);
        st = read_dict(&c);
        gf__mem_fail_never();
        gf__checkpoint_free(&c);
    }
    CHECK_EQ(st, GF_OK);
}

/* ---- input ----------------------------------------------------------------------------------- */

static void run_first(const gf_graph *graph, const float *input, float out[32])
{
    const gf_output_spec output = {"activation_1", GF_POOL_AVG};
    gf_plan_options options = f32_options();
    options.input = GF_INPUT_F32;
    ran r = run_plan(graph, &output, 1, &options, input, 1);
    memcpy(out, gf_exec_output(r.exec, 0), 32 * sizeof *out);
    end_run(&r);
}

TEST(input_scaling__a_mean_for_each_channel_becomes_part_of_the_first_convolution)
{
    gf__checkpoint c;
    float want[32], got[32];
    uint8_t *picture = malloc(N_PICTURE);
    float *input = malloc(N_PICTURE * sizeof *input);
    const gf__normalization *n = gf__imagenet_normalization();
    hash_bytes(picture, N_PICTURE, 3);
    CHECK_OK(read_dict(&c));
    for (size_t i = 0; i < N_PICTURE; i++)
        input[i] = (float)((picture[i] / 255.0 - n->mean[i % 3]) / n->deviation[i % 3]);
    run_first(c.graph, input, want);
    for (size_t i = 0; i < N_PICTURE; i++)
        input[i] = (float)picture[i] / 127.5f - 1.0f;
    run_first(c.graph, input, got);
    CHECK(fabs((double)got[0] - (double)want[0]) > 0.01); /* it matters */
    CHECK_OK(gf__fold_normalization(c.graph, n, &check_err));
    run_first(c.graph, input, got);
    check_values("activation_1", got, want, 32, 1e-5);
    gf__checkpoint_free(&c);
    free(input);
    free(picture);
}

TEST(input_scaling__survives_every_allocation_failure)
{
    gf__checkpoint c;
    gf_status st = GF_ENOMEM;
    CHECK_OK(read_dict(&c));
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__fold_normalization(c.graph, gf__imagenet_normalization(), &check_err);
        gf__mem_fail_never();
    }
    CHECK_EQ(st, GF_OK);
    gf__checkpoint_free(&c);
}

TEST(input_scaling__is_refused_where_it_would_be_an_approximation)
{
    gf_graph *graph = NULL;
    CHECK_OK(gf__efficientnet_lite0_layers(0, &graph, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "layer \"stem_conv\" pads the picture with zeros",
                gf__fold_normalization(graph, gf__imagenet_normalization(), &check_err));
    gf_graph_free(graph);
    graph = new_graph(8, 8, 3);
    add_conv(graph, 0, "conv", 4, 3, 1, false);
    CHECK_FAILS(GF_EUNSUPPORTED, "layer \"conv\" has no BatchNormalization behind it",
                gf__fold_normalization(graph, gf__imagenet_normalization(), &check_err));
    gf_graph_free(graph);
    graph = new_graph(8, 8, 3);
    add_pool(graph, 0, "pool", true);
    CHECK_FAILS(GF_EUNSUPPORTED, "this network begins otherwise",
                gf__fold_normalization(graph, gf__imagenet_normalization(), &check_err));
    gf_graph_free(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(inception_torch__gives_the_features_that_torchvision_gives),
        UNIT(inception_torch__weights_come_in_to_the_bit),
        UNIT(inception_torch__is_known_by_its_layers_in_either_form),
        UNIT(inception_torch__the_first_layer_that_differs_is_named),
        UNIT(inception_torch__names_the_tensor_that_does_not_fit),
        UNIT(inception_torch__a_tensor_without_a_place_is_refused),
        UNIT(inception_torch__what_stands_before_all_names_is_left_out),
        UNIT(inception_torch__the_background_of_1001_classes_is_left_out),
        UNIT(inception_torch__takes_other_classes_or_none),
        UNIT(inception_torch__survives_allocation_failures),
        UNIT(input_scaling__survives_every_allocation_failure),
        UNIT(input_scaling__a_mean_for_each_channel_becomes_part_of_the_first_convolution),
        UNIT(input_scaling__is_refused_where_it_would_be_an_approximation),
    };
    return cmocka_run_group_tests(tests, make_dict, free_dict);
}
