/* cli/cmd_export.c: graft export: a model file for other programs. */
#include "cli/cli.h"

typedef struct export_settings {
    const char *format, *output, *quantisation;
    bool is_head_only, has_decoder;
} export_settings;

static const gf__option options[] = {
    GF__TEXT("--format", "onnx|tfjs|keras|savedmodel|graft", "onnx", export_settings, format,
             "What to write."),
    GF__TEXT("--output", "FILE", NULL, export_settings, output, "Where to write it. Needed."),
    GF__TEXT("--quantize", "none|float16|uint8", "none", export_settings, quantisation,
             "Store kernels in fewer bytes. tfjs only."),
    GF__FLAG("--head-only", export_settings, is_head_only,
             "Without the trunk: features in, scores out."),
    GF__FLAG("--with-decoder", export_settings, has_decoder,
             "The bytes of a JPEG or PNG file in. onnx only."),
};

static void preset(void *settings)
{
    export_settings *s = settings;
    s->format = "onnx";
    s->quantisation = "none";
}

static gf_status tell(gf__cli *cli, const export_settings *s, gf_error *err)
{
    if (!cli->is_json) {
        gf__cli_note(cli, "wrote %s", s->output);
        return GF_OK;
    }
    gf__json *document = gf__json_object();
    gf__json_set_string(document, "model", cli->words[0]);
    gf__json_set_string(document, "format", s->format);
    gf__json_set_string(document, "output", s->output);
    return gf__cli_print_json(document, err);
}

static gf_status run(gf__cli *cli, const void *settings, gf_error *err)
{
    const export_settings *s = settings;
    gf_export_request request = {.context = gf__cli_context(cli),
                                 .model = cli->words[0],
                                 .output = s->output,
                                 .is_head_only = s->is_head_only,
                                 .has_decoder = s->has_decoder,
                                 .observer = &cli->observer};
    if (s->output == NULL)
        return gf_error_set(err, GF_EINVAL, "no --output FILE to write to");
    gf_status st = gf_export_format_parse(s->format, &request.format, err);
    if (st == GF_OK)
        st = gf_quantisation_parse(s->quantisation, &request.quantisation, err);
    if (st == GF_OK)
        st = gf_service_export(&request, err);
    gf__bar_end(&cli->bar);
    return st == GF_OK ? tell(cli, s, err) : st;
}

const gf__command gf__command_export = {
    .name = "export",
    .words = "MODEL",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Write a model file for other programs.",
    .text =
        "ONNX: one file with trunk and head. Its input is float32 (N, height, width, 3), RGB, "
        "scaled as the network wants it; the file's properties say how (\"preprocessing\"), and "
        "name the classes (\"classes\"). Its output \"scores\" is (N, classes). A model of "
        "numbers takes rows of its columns as they are. With --with-decoder the file decodes, "
        "turns, "
        "resizes and scales by itself (opset 20): its input \"picture\" is uint8 (bytes) of one "
        "JPEG or "
        "PNG file. Not every runtime has the operator ImageDecoder: ONNX Runtime 1.32 has not.\n\n"
        "TensorFlow.js (tfjs): a folder with model.json and shards, for tf.loadLayersModel(). The "
        "same input, output and properties (userDefinedMetadata).\n\n"
        "Keras (keras): for keras.models.load_model(). A name that ends in .keras gets the archive "
        "of Keras 2.15 and 3, with the properties in its metadata.json; any other the HDF5 model "
        "of "
        "Keras 2 and 3, without them.\n\n"
        "SavedModel (savedmodel): a folder for TensorFlow and TensorFlow Serving. Its "
        "serving_default takes strings: pictures of any size, JPEG or PNG, as base64; they are "
        "decoded, turned and resized by the file. \"bytes\" takes the pictures themselves, "
        "\"tensor\" the same input as ONNX. Class names are in assets/classes.txt.\n\n"
        "graft: a model file with its trunk inside, as graft train --bundle writes it, to the "
        "byte: it "
        "runs where the trunk is not. With --head-only the other way, without the trunk it "
        "brought.",
    .examples =
        "graft export flowers.safetensors --output flowers.onnx\n"
        "graft export flowers.safetensors --head-only --output head.onnx\n"
        "graft export flowers.safetensors --format tfjs --quantize uint8 --output web/flowers\n"
        "graft export flowers.safetensors --format savedmodel --output models/flowers/1\n"
        "graft export flowers.safetensors --format graft --output whole.safetensors",
    .options = options,
    .n_options = GF__N_OPTIONS(options),
    .settings_size = sizeof(export_settings),
    .preset = preset,
    .run = run,
};
