/* cli/cmd_features.c: graft features: the output of any layer, as numbers, arrays and pictures. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define MAX_PRINTED_VALUES 8192

typedef struct features_settings {
    const char *model, *pool, *precision, *output, *plot, *shard;
    gf__cli_list layers;
} features_settings;

static void preset(void *settings)
{
    features_settings *s = settings;
    s->model = "inception_v3";
    s->precision = "auto";
}

static const gf__option options[] = {
    GF__TEXT("--model", "TRUNK", "inception_v3", features_settings, model,
             "The pretrained network."),
    GF__LIST("--layer", "L", "avg_pool", features_settings, layers,
             "A layer by name or index; may be given several times. graft layers lists them."),
    GF__TEXT("--pool", "avg|max|none", "none for a picture, avg for a data set", features_settings,
             pool, "How a spatial layer is pooled over height and width."),
    GF__TEXT("--precision", "auto|f32|bf16", "auto", features_settings, precision,
             "What the network computes in: auto is the faster of the two on this CPU."),
    GF__TEXT("--output", "F.npy|F.npz", "no file", features_settings, output,
             "Write the features. An .npz of a data set also has labels, classes and items."),
    GF__TEXT("--plot", "F.png|F.svg", "no plot", features_settings, plot,
             "Draw the first picture's features: a line for a vector, a strip of maps for a "
             "spatial layer."),
    GF__TEXT("--shard", "K/N", "all of it", features_settings, shard,
             "Compute only part K (from 0) of N of a data set, and only into the cache: several "
             "machines "
             "with one home folder share the work, and a run without --shard then finds it there."),
};

typedef struct summary {
    double low, high, sum;
    size_t n_zero;
} summary;

static summary summarise(const float *values, size_t n)
{
    summary s = {.low = (double)values[0], .high = (double)values[0]};
    for (size_t i = 0; i < n; i++) {
        const double v = (double)values[i];
        s.low = v < s.low ? v : s.low;
        s.high = v > s.high ? v : s.high;
        s.sum += v;
        s.n_zero += values[i] == 0.0F;
    }
    return s;
}

static void print_text(const gf_features_result *result)
{
    for (size_t i = 0; i < result->n_layers; i++) {
        const gf_tensor *t = result->features[i];
        const size_t n = gf_tensor_n_values(t);
        const summary s = summarise(gf_tensor_f32(t), n);
        printf("%s (", result->layers[i]);
        for (size_t d = 0; d < gf_tensor_n_dims(t); d++)
            printf("%s%zu", d > 0 ? ", " : "", gf_tensor_shape(t)[d]);
        printf("): from %.4f to %.4f, mean %.4f, %.1f %% zero\n", s.low, s.high, s.sum / (double)n,
               100.0 * (double)s.n_zero / (double)n);
    }
    if (result->n_skipped > 0)
        printf("%zu picture%s could not be read\n", result->n_skipped,
               result->n_skipped == 1 ? "" : "s");
}

static gf__json *layer_json(const gf_features_result *result, size_t i)
{
    const gf_tensor *t = result->features[i];
    const size_t n = gf_tensor_n_values(t);
    const float *values = gf_tensor_f32(t);
    const summary s = summarise(values, n);
    gf__json *layer = gf__json_object();
    gf__json *shape = gf__json_array();
    for (size_t d = 0; d < gf_tensor_n_dims(t); d++)
        gf__json_append(shape, gf__json_new_int((int64_t)gf_tensor_shape(t)[d]));
    gf__json_set_string(layer, "layer", result->layers[i]);
    gf__json_set(layer, "shape", shape);
    gf__json_set_number(layer, "min", s.low);
    gf__json_set_number(layer, "max", s.high);
    gf__json_set_number(layer, "mean", s.sum / (double)n);
    gf__json_set_int(layer, "n_zero", (int64_t)s.n_zero);
    if (!result->is_dataset && n <= MAX_PRINTED_VALUES) {
        gf__json *list = gf__json_array();
        for (size_t v = 0; v < n; v++)
            gf__json_append(list, gf__json_new_number((double)values[v]));
        gf__json_set(layer, "values", list);
    }
    return layer;
}

static gf_status print_json(const gf_features_result *result, gf_error *err)
{
    gf__json *document = gf__json_object();
    gf__json *layers = gf__json_array();
    for (size_t i = 0; i < result->n_layers; i++)
        gf__json_append(layers, layer_json(result, i));
    gf__json_set_int(document, "n_items", (int64_t)result->n_items);
    gf__json_set_int(document, "n_unreadable", (int64_t)result->n_skipped);
    gf__json_set_int(document, "n_cached", (int64_t)result->n_cached);
    gf__json_set(document, "layers", layers);
    return gf__cli_print_json(document, err);
}

static gf_pool parse_pool(const char *word)
{
    if (strcmp(word, "avg") == 0)
        return GF_POOL_AVG;
    return strcmp(word, "max") == 0 ? GF_POOL_MAX : GF_POOL_NONE;
}

static gf_status print_shard(const gf__cli *cli, const gf_features_result *result,
                             const char *shard, gf_error *err)
{
    if (!cli->is_json) {
        printf("shard %s: %zu pictures, %zu from the cache, %zu could not be read\n", shard,
               result->n_items, result->n_cached, result->n_skipped);
        return GF_OK;
    }
    gf__json *document = gf__json_object();
    gf__json_set_string(document, "shard", shard);
    gf__json_set_int(document, "n_items", (int64_t)result->n_items);
    gf__json_set_int(document, "n_unreadable", (int64_t)result->n_skipped);
    gf__json_set_int(document, "n_cached", (int64_t)result->n_cached);
    return gf__cli_print_json(document, err);
}

static bool read_number(const char **text, size_t *out)
{
    char *end = NULL;
    const unsigned long long number = strtoull(*text, &end, 10);
    const bool is_digits = **text >= '0' && **text <= '9' && number <= 1000000;
    *out = (size_t)number;
    *text = end;
    return is_digits;
}

/* "1/4". */
static gf_status parse_shard(const features_settings *s, gf_features_request *r, gf_error *err)
{
    const char *at = s->shard;
    if (at == NULL)
        return GF_OK;
    const bool is_pair = read_number(&at, &r->shard) && *at++ == '/' &&
                         read_number(&at, &r->n_shards) && *at == '\0';
    if (!is_pair || r->shard >= r->n_shards)
        return gf_error_set(err, GF_EINVAL, "--shard %s: expected K/N, K from 0 to N - 1",
                            s->shard);
    if (s->output != NULL || s->plot != NULL)
        return gf_error_set(err, GF_EINVAL,
                            "--shard only fills the cache: leave --output and --plot to a run "
                            "without it");
    return GF_OK;
}

static gf_status run(gf__cli *cli, const void *settings, gf_error *err)
{
    const features_settings *s = settings;
    gf_features_request request = {.context = gf__cli_context(cli),
                                   .source = cli->words[0],
                                   .trunk = s->model,
                                   .layers = s->layers.items,
                                   .n_layers = s->layers.n,
                                   .has_pool = s->pool != NULL,
                                   .pool = s->pool != NULL ? parse_pool(s->pool) : GF_POOL_NONE};
    gf_features_result *result = NULL;
    if (gf__is_same_file(s->output, request.source) || gf__is_same_file(s->plot, request.source))
        return gf_error_set(err, GF_EINVAL,
                            "%s is what the features are made of: give another "
                            "name to write to",
                            request.source);
    gf_status st = gf_precision_parse(s->precision, &request.precision, err);
    if (st == GF_OK)
        st = parse_shard(s, &request, err);
    if (st == GF_OK)
        st = gf_service_features(&request, &cli->observer, &result, err);
    gf__bar_end(&cli->bar);
    if (st == GF_OK && s->output != NULL)
        st = gf_features_save(result, s->output, err);
    if (st == GF_OK && s->plot != NULL)
        st = gf_features_plot(result, s->plot, err);
    if (st == GF_OK && s->shard != NULL)
        st = print_shard(cli, result, s->shard, err);
    else if (st == GF_OK && cli->is_json)
        st = print_json(result, err);
    else if (st == GF_OK)
        print_text(result);
    if (st == GF_OK && s->output != NULL && !cli->is_json)
        printf("wrote %s\n", s->output);
    if (st == GF_OK && s->plot != NULL && !cli->is_json)
        printf("wrote %s\n", s->plot);
    gf_features_result_free(result);
    return st;
}

const gf__command gf__command_features = {
    .name = "features",
    .words = "IMAGE|DATASET",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Compute any layer's output for a picture or a data set; save it, plot it.",
    .text =
        "Runs the network once and takes the output of every layer asked for. A data set's "
        "features are cached in "
        "the home folder. avg_pool is the vector of 2048 values that heads are usually trained on.",
    .examples = "graft features opera.jpg --plot features.png\n"
                "graft features opera.jpg --layer mixed0 --layer mixed5 --plot maps.png\n"
                "graft features flowers/ --layer mixed4 -o flowers-features.npz",
    .options = options,
    .n_options = GF__N_OPTIONS(options),
    .settings_size = sizeof(features_settings),
    .preset = preset,
    .run = run,
};
