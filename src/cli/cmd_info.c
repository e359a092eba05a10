/* cli/cmd_info.c: graft info and graft verify: what is in a model file, and whether it still
 * answers as it did. */
#include <string.h>

#include "cli/cli.h"

static void print_indented(const gf__json *value, const char *name, int depth, bool is_in_list);

static void print_scalar(const gf__json *value)
{
    gf__buffer text = {0};
    if (gf__json_is_string(value))
        gf__buffer_puts(&text, gf__json_string(value, ""));
    else
        gf__json_write(value, false, &text);
    printf("%s", text.data != NULL ? text.data : "");
    gf__buffer_free(&text);
}

static const gf__json *member_at(const gf__json *value, size_t i)
{
    return gf__json_is_object(value) ? gf__json_value_at(value, i) : gf__json_at(value, i);
}

/* Whether an array or object holds nothing that has members itself. */
static bool is_flat(const gf__json *value)
{
    for (size_t i = 0; i < gf__json_n_items(value); i++) {
        const gf__json *member = member_at(value, i);
        if (gf__json_is_object(member) || gf__json_is_array(member))
            return false;
    }
    return true;
}

/* "a, b" for a list; "epoch 1, loss 0.5" for an object. */
static void print_flat(const gf__json *value)
{
    for (size_t i = 0; i < gf__json_n_items(value); i++) {
        printf(i == 0 ? " " : ", ");
        if (gf__json_is_object(value))
            printf("%s ", gf__json_key_at(value, i));
        print_scalar(member_at(value, i));
    }
    putchar('\n');
}

static void print_members(const gf__json *value, int depth)
{
    for (size_t i = 0; i < gf__json_n_items(value); i++) {
        char number[32];
        snprintf(number, sizeof number, "%zu", i);
        print_indented(member_at(value, i),
                       gf__json_is_object(value) ? gf__json_key_at(value, i) : number, depth,
                       gf__json_is_array(value));
    }
}

/* "name: value", members below it and indented; lists, and the objects of a list, on one line. */
static void print_indented(const gf__json *value, const char *name, int depth, bool is_in_list)
{
    printf("%*s%s:", 2 * depth, "", name);
    if (strcmp(name, "graph") == 0) {
        /* A bundle's trunk, hundreds of layers: graft layers shows them better. */
        printf(" (see graft layers, or --json)\n");
    } else if (is_flat(value) &&
               (gf__json_is_array(value) || (is_in_list && gf__json_is_object(value)))) {
        print_flat(value);
    } else if (gf__json_is_object(value) || gf__json_is_array(value)) {
        putchar('\n');
        print_members(value, depth + 1);
    } else {
        putchar(' ');
        print_scalar(value);
        putchar('\n');
    }
}

static gf_status run_info(gf__cli *cli, const void *settings, gf_error *err)
{
    gf_model *model = NULL;
    gf__json *document = NULL;
    gf_status st = gf_model_load(cli->words[0], &model, err);
    if (st == GF_OK) {
        const char *text = gf_model_document(model);
        st = gf__json_parse(text, strlen(text), &document, err);
    }
    if (st == GF_OK && cli->is_json) {
        st = gf__cli_print_json(document, err);
        document = NULL; /* freed by printing */
    } else if (st == GF_OK) {
        print_members(document, 0);
    }
    gf__json_free(document);
    gf_model_unref(model);
    return st;
}

const gf__command gf__command_info = {
    .name = "info",
    .words = "MODEL",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Show everything that is in a model file.",
    .text = "Trunk, cut, recipe, classes, layers, how it was trained and measured, the self-test.",
    .examples = "graft info flowers.safetensors\n"
                "graft info flowers.safetensors --json",
    .run = run_info,
};

typedef struct verify_settings {
    const char *precision;
} verify_settings;

static void preset(void *settings)
{
    ((verify_settings *)settings)->precision = "auto";
}

static const gf__option verify_options[] = {
    GF__TEXT("--precision", "auto|f32|bf16", "auto", verify_settings, precision,
             "What the network computes in: auto is what the model was trained with, where the CPU "
             "does that faster."),
};

static gf_status run_verify(gf__cli *cli, const void *settings, gf_error *err)
{
    const verify_settings *s = settings;
    gf_predictor_options options = gf_predictor_options_default();
    gf_model *model = NULL;
    double largest = 0;
    size_t n_samples = 0;
    options.n_threads = cli->n_threads;
    options.max_pixels = cli->max_pixels;
    gf_status st = gf_precision_parse(s->precision, &options.precision, err);
    if (st == GF_OK)
        st = gf_model_load(cli->words[0], &model, err);
    if (st == GF_OK)
        st = gf_model_verify(model, cli->home, &options, &largest, &n_samples, err);
    const bool takes_numbers = st == GF_OK && gf_model_trunk_name(model) == NULL;
    gf_model_unref(model);
    if (st != GF_OK)
        return st;
    if (cli->is_json) {
        gf__json *document = gf__json_object();
        gf__json_set_bool(document, "ok", true);
        gf__json_set_int(document, "n_samples", (int64_t)n_samples);
        gf__json_set_number(document, "largest_difference", largest);
        return gf__cli_print_json(document, err);
    }
    printf("%s: %zu stored %s give their stored scores, largest difference %.2g\n", cli->words[0],
           n_samples, takes_numbers ? "rows" : "pictures", largest);
    return GF_OK;
}

const gf__command gf__command_verify = {
    .name = "verify",
    .words = "MODEL",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Run a model's self-test: its stored pictures must give their stored scores.",
    .text = "A model carries a few held-out pictures and the scores it gave them when it was made. "
            "This runs the whole way "
            "from picture to score again and compares; a difference beyond the stored tolerance is "
            "an error that "
            "names picture and class. The trunk's weights are hashed as well: one that was damaged "
            "or exchanged is named.",
    .examples = "graft verify flowers.safetensors",
    .options = verify_options,
    .n_options = GF__N_OPTIONS(verify_options),
    .settings_size = sizeof(verify_settings),
    .preset = preset,
    .run = run_verify,
};
