/* cli/cmd_evaluate.c: graft evaluate: a model file against labelled pictures. */
#include <math.h>

#include "cli/cli.h"
#include "train/train.h"

typedef struct evaluate_settings {
    const char *report;
} evaluate_settings;

static const gf__option options[] = {
    GF__TEXT("--report", "F.html", "no report", evaluate_settings, report,
             "Write a page with the confusion matrix and the misclassified pictures."),
};

static void print_confusion(const gf_evaluation *e)
{
    const gf_metrics *m = e->metrics;
    printf("\n%-24s %9s %9s %9s %9s\n", "class", "precision", "recall", "f1", "pictures");
    for (size_t k = 0; k < e->n_classes; k++) {
        size_t n = 0;
        for (size_t j = 0; j < e->n_classes; j++)
            n += m->confusion[k * e->n_classes + j];
        printf("%-24s %9.4f %9.4f %9.4f %9zu\n", e->class_names[k], m->precision[k], m->recall[k],
               m->f1[k], n);
    }
    if (e->n_classes > 12)
        return; /* wider than a terminal: it is in the report and in --json */
    printf("\nconfusion (rows: true class, columns: predicted)\n%-24s", "");
    for (size_t k = 0; k < e->n_classes; k++)
        printf(" %5.5s", e->class_names[k]);
    putchar('\n');
    for (size_t k = 0; k < e->n_classes; k++) {
        printf("%-24s", e->class_names[k]);
        for (size_t j = 0; j < e->n_classes; j++)
            printf(" %5zu", m->confusion[k * e->n_classes + j]);
        putchar('\n');
    }
}

static void print_evaluation(const gf_evaluation *e)
{
    const gf_metrics *m = e->metrics;
    printf("Loss %.6f, Accuracy %.4f: %zu of %zu right, 95 %% interval %.1f-%.1f %%\n", m->loss,
           m->accuracy, m->n - e->n_mistakes, m->n, 100 * m->accuracy_low, 100 * m->accuracy_high);
    if (e->n_skipped > 0)
        printf("%zu picture%s could not be read\n", e->n_skipped, e->n_skipped == 1 ? "" : "s");
    print_confusion(e);
    if (e->n_mistakes > 0)
        printf("\nmistakes, most certain first\n");
    for (size_t i = 0; i < e->n_mistakes && i < 20; i++)
        printf("  %s\n", e->mistakes[i]);
    if (e->n_mistakes > 20)
        printf("  ... and %zu more\n", e->n_mistakes - 20);
}

static gf_status print_json(const gf_evaluation *e, gf_error *err)
{
    gf__json *document = gf__metrics_to_json(e->metrics, (const char *const *)e->class_names);
    gf__json *mistakes = gf__json_array();
    for (size_t i = 0; i < e->n_mistakes; i++)
        gf__json_append(mistakes, gf__json_new_string(e->mistakes[i]));
    gf__json_set(document, "mistakes", mistakes);
    gf__json_set_int(document, "n_unreadable", (int64_t)e->n_skipped);
    return gf__cli_print_json(document, err);
}

static gf_status run(gf__cli *cli, const void *settings, gf_error *err)
{
    const evaluate_settings *s = settings;
    const gf_context context = gf__cli_context(cli);
    gf_evaluation *evaluation = NULL;
    gf_status st = gf_service_evaluate(&context, cli->words[0], cli->words[1], s->report,
                                       &cli->observer, &evaluation, err);
    gf__bar_end(&cli->bar);
    if (st == GF_OK && cli->is_json)
        st = print_json(evaluation, err);
    else if (st == GF_OK)
        print_evaluation(evaluation);
    gf_evaluation_free(evaluation);
    return st;
}

const gf__command gf__command_evaluate = {
    .name = "evaluate",
    .words = "MODEL DATASET",
    .n_words_low = 2,
    .n_words_high = 2,
    .summary = "Measure a model on labelled pictures.",
    .text =
        "Prints loss, accuracy with its 95 % Wilson interval, precision and recall of each "
        "class, the confusion "
        "matrix and the mistakes. Classes are matched by name. A model that ends in a sigmoid is "
        "refused: its scores are answers of their own, none of which is the one class.",
    .examples = "graft evaluate flowers.safetensors more-flowers/\n"
                "graft evaluate flowers.safetensors test.csv --report test.html --json",
    .options = options,
    .n_options = GF__N_OPTIONS(options),
    .settings_size = sizeof(evaluate_settings),
    .run = run,
};
