/* cli/cmd_classify.c: graft classify and graft predict: pictures into named scores. The two differ
 * in where the model comes from: a trunk with its own classes, or a trained model file. */
#include <string.h>

#include "cli/predict_numbers.h"
#include "cli/remote_predict.h"

typedef struct classify_settings {
    const char *model;
    int n_top;
    const char *precision;
    bool is_verbose;
    const char *numbers;        /* graft predict */
    gf__remote_settings remote; /* these two: graft predict --model */
    gf__remote_predict asked;
} classify_settings;

static void preset(void *settings)
{
    classify_settings *s = settings;
    s->model = "inception_v3";
    s->precision = "auto";
    s->n_top = 5;
}

static const gf__option classify_options[] = {
    GF__TEXT("--model", "M", "inception_v3", classify_settings, model,
             "A trunk of the home folder that has its own classes, or a model file."),
    GF__INT("--top", "K", "5", classify_settings, n_top, 1, 100000,
            "How many classes to print, best first."),
    GF__TEXT("--precision", "auto|f32|bf16", "auto", classify_settings, precision,
             "What the network computes in: auto is the faster of the two on this CPU."),
    GF__FLAG("--verbose", classify_settings, is_verbose,
             "Also print where the time went: decoding, network, head. Short: -v."),
};

static const gf__option predict_options[] = {
    GF__INT("--top", "K", "5", classify_settings, n_top, 1, 100000,
            "How many classes to print, best first."),
    GF__TEXT("--precision", "auto|f32|bf16", "auto", classify_settings, precision,
             "What the network computes in: auto is what the model was trained with, where the CPU "
             "does that faster. Of a model file only."),
    GF__FLAG("--verbose", classify_settings, is_verbose,
             "Also print where the time went: decoding, network, head. Short: -v."),
    GF__TEXT("--numbers", "ROW|FILE", NULL, classify_settings, numbers,
             "Instead of pictures: numbers like 5.1,3.5,1.4,0.2, or a .csv or .npz of rows. For a "
             "model of a table's columns, or features for another's head."),
    GF__TEXT("--model", "M", NULL, classify_settings, asked.model,
             "Ask a server for its model M; no MODEL-FILE then."),
    GF__TEXT("--version", "V", "the model's default", classify_settings, asked.version,
             "The version of it."),
    GF__TEXT("--json-instances", "FILE", NULL, classify_settings, asked.json_instances,
             "Instead of pictures: one JSON instance a line, - for stdin. With --model."),
    GF__TEXT("--signature-name", "NAME", NULL, classify_settings, asked.signature_name,
             "The signature that --json-instances are for."),
    GF__REMOTE_OPTIONS(classify_settings),
    GF__FORMAT_OPTION(classify_settings),
};

/* One picture's answer, kept until all are there so that --json is one document. */
static gf__json *answer_json(const gf_classifier *classifier, const char *path, const float *scores,
                             const size_t *top, size_t n_top, const gf_predict_timing *timing)
{
    gf__json *answer = gf__json_object();
    gf__json *classes = gf__json_array();
    for (size_t k = 0; k < n_top; k++) {
        gf__json *entry = gf__json_object();
        gf__json_set_string(entry, "class", gf_classifier_class_at(classifier, top[k]));
        gf__json_set_number(entry, "score", (double)scores[top[k]]);
        gf__json_append(classes, entry);
    }
    gf__json *times = gf__json_object();
    gf__json_set_number(times, "decode_ms", timing->decode_ms);
    gf__json_set_number(times, "network_ms", timing->network_ms);
    gf__json_set_number(times, "head_ms", timing->head_ms);
    gf__json_set_string(answer, "image", path);
    gf__json_set_string(answer, "class", gf_classifier_class_at(classifier, top[0]));
    gf__json_set_number(answer, "score", (double)scores[top[0]]);
    gf__json_set(answer, "top", classes);
    gf__json_set(answer, "timing", times);
    return answer;
}

static void print_answer(const gf_classifier *classifier, const char *path, const float *scores,
                         const size_t *top, size_t n_top, const gf_predict_timing *timing,
                         bool is_verbose)
{
    printf("%s\n", path);
    for (size_t k = 0; k < n_top; k++)
        printf("  %8.6f  %s\n", (double)scores[top[k]], gf_classifier_class_at(classifier, top[k]));
    if (is_verbose)
        printf("  decode %.1f ms, network %.1f ms, head %.2f ms\n", timing->decode_ms,
               timing->network_ms, timing->head_ms);
}

static gf_status classify_one(gf_classifier *classifier, const char *path, float *scores,
                              gf_predict_timing *timing, gf_error *err)
{
    gf__mapping file;
    gf_status st = gf__cli_read_picture(path, &file, err);
    if (st != GF_OK)
        return st;
    st = gf_classifier_picture(classifier, file.data, file.size, scores, timing, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    gf__unmap(&file);
    return st;
}

/* main() prints the last failure; this one makes way for it. */
static void print_earlier(const gf__cli *cli, gf_status status, const gf_error *err)
{
    if (status != GF_OK)
        fprintf(stderr, "graft: %s: %s\n", cli->command, err->message);
}

/* Every picture is tried. The command ends with the last failure. */
/* What the pictures of one call share. */
typedef struct classification {
    gf__cli *cli;
    const classify_settings *settings;
    gf_classifier *classifier;
    size_t n_classes, n_top;
    float *scores;
    size_t *top;
    gf__json *answers; /* NULL without --json */
} classification;

static gf_status classify_next(const classification *c, const char *path, gf_error *err)
{
    gf_predict_timing timing = {0};
    const gf_status st = classify_one(c->classifier, path, c->scores, &timing, err);
    if (st != GF_OK)
        return st;
    gf_top_classes(c->scores, c->n_classes, c->n_top, c->top);
    if (c->cli->is_json)
        gf__json_append(c->answers,
                        answer_json(c->classifier, path, c->scores, c->top, c->n_top, &timing));
    else
        print_answer(c->classifier, path, c->scores, c->top, c->n_top, &timing,
                     c->settings->is_verbose);
    return GF_OK;
}

/* Every picture, also after one that fails; the last failure is what is returned, those before it are printed. */
static gf_status classify_each(const classification *c, char *const *paths, size_t n_paths,
                               gf_error *err)
{
    gf_status result = GF_OK;
    for (size_t i = 0; i < n_paths; i++) {
        gf_error problem = {0};
        if (gf__cli_is_interrupted()) {
            print_earlier(c->cli, result, err);
            return gf_error_set(err, GF_ECANCELED, "stopped after %zu of %zu pictures", i, n_paths);
        }
        const gf_status st = classify_next(c, paths[i], &problem);
        if (st == GF_OK)
            continue;
        print_earlier(c->cli, result, err);
        *err = problem;
        result = st;
    }
    return result;
}

static gf_status classify_all(gf__cli *cli, const classify_settings *s, gf_classifier *classifier,
                              char *const *paths, size_t n_paths, gf_error *err)
{
    const size_t n = gf_classifier_n_classes(classifier);
    gf_status result;
    classification c = {.cli = cli,
                        .settings = s,
                        .classifier = classifier,
                        .n_classes = n,
                        .n_top = (size_t)s->n_top < n ? (size_t)s->n_top : n,
                        .scores = gf__calloc(n, sizeof *c.scores),
                        .top = gf__calloc(n, sizeof *c.top),
                        .answers = cli->is_json ? gf__json_array() : NULL};
    if (c.scores == NULL || c.top == NULL) {
        result = gf__error_nomem(err, "scores", n * sizeof *c.scores);
        goto done;
    }
    result = classify_each(&c, paths, n_paths, err);
    if (cli->is_json) {
        const gf_status st = gf__cli_print_json(c.answers, result == GF_OK ? err : NULL);
        c.answers = NULL; /* freed by printing */
        result = result == GF_OK ? st : result;
    }
done:
    gf__json_free(c.answers);
    gf__free(c.scores);
    gf__free(c.top);
    return result;
}

static gf_status run_with(gf__cli *cli, const classify_settings *s, const char *model,
                          char *const *paths, size_t n_paths, gf_error *err)
{
    const gf_context context = gf__cli_context(cli);
    gf_classifier *classifier = NULL;
    gf_precision precision;
    gf_status st = gf_precision_parse(s->precision, &precision, err);
    if (st == GF_OK)
        st = gf_classifier_open(&context, model, precision, &classifier, err);
    if (st == GF_OK)
        st = classify_all(cli, s, classifier, paths, n_paths, err);
    gf_classifier_free(classifier);
    return st;
}

static gf_status run_classify(gf__cli *cli, const void *settings, gf_error *err)
{
    const classify_settings *s = settings;
    return run_with(cli, s, s->model, cli->words, cli->n_words, err);
}

static gf_status run_predict(gf__cli *cli, const void *settings, gf_error *err)
{
    const classify_settings *s = settings;
    if (s->asked.model != NULL && s->numbers != NULL)
        return gf_error_set(err, GF_EINVAL,
                            "--numbers is for a model file; rows for a server's model: "
                            "--json-instances FILE, with one [..] a line");
    if (s->asked.model != NULL)
        return gf__predict_remotely(cli, &s->remote, &s->asked, s->n_top, s->is_verbose, err);
    if (s->asked.version != NULL || s->asked.json_instances != NULL || s->remote.server != NULL)
        return gf_error_set(err, GF_EINVAL,
                            "expected --model M: the server's model; see graft predict --help");
    gf__format_apply(cli, s->remote.format);
    if (s->numbers != NULL && cli->n_words == 1)
        return gf__predict_numbers(cli, cli->words[0], s->numbers, s->n_top, err);
    if (s->numbers != NULL)
        return gf_error_set(err, GF_EINVAL,
                            "expected MODEL-FILE --numbers ROWS and no pictures; see graft predict "
                            "--help");
    if (cli->n_words < 2)
        return gf_error_set(
            err, GF_EINVAL,
            "expected MODEL-FILE IMAGE..., or --model M IMAGE...; see graft predict "
            "--help");
    return run_with(cli, settings, cli->words[0], cli->words + 1, cli->n_words - 1, err);
}

const gf__command gf__command_classify = {
    .name = "classify",
    .words = "IMAGE...",
    .n_words_low = 1,
    .n_words_high = SIZE_MAX,
    .summary = "Name what is in a picture, with a pretrained network's own classes.",
    .text =
        "Decodes JPEG, PNG, WebP, GIF and BMP by their content, turns them as their EXIF "
        "orientation says, "
        "blends alpha over white, resizes, and prints the best classes with their scores "
        "(softmax). A picture "
        "that cannot be read is reported on stderr and the exit status is 1; the others are still "
        "classified.",
    .examples = "graft classify photo.jpg\n"
                "graft classify *.jpg --top 1 --json",
    .options = classify_options,
    .n_options = GF__N_OPTIONS(classify_options),
    .settings_size = sizeof(classify_settings),
    .preset = preset,
    .run = run_classify,
};

const gf__command gf__command_predict = {
    .name = "predict",
    .words = "MODEL-FILE|--model M IMAGE...",
    .n_words_low = 0,
    .n_words_high = SIZE_MAX,
    .summary = "Classify pictures with a model file, or with a server's model.",
    .text = "Prints the classes of the model with their scores (softmax), best first. The picture "
            "takes the same path "
            "as in training. A model that is not a bundle needs its trunk in the home folder.\n\n"
            "With --model, a server is asked (see graft serve): pictures are sent as they are, and "
            "--json-instances are answered with one JSON prediction a line.",
    .examples = "graft predict flowers.safetensors photo.jpg\n"
                "graft predict flowers.safetensors *.jpg --top 1 -v\n"
                "graft predict --model flowers photo.jpg\n"
                "graft predict --model iris --version v2 --json-instances rows.jsonl",
    .options = predict_options,
    .n_options = GF__N_OPTIONS(predict_options),
    .settings_size = sizeof(classify_settings),
    .preset = preset,
    .run = run_predict,
};
