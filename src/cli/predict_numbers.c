/* cli/predict_numbers.c: rows of numbers into named scores. A file of rows is read as a data set is,
 * but its classes may be missing: then every column is a number. */
#include "cli/predict_numbers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

typedef struct answers {
    gf__cli *cli;
    gf_classifier *classifier;
    size_t n_top;
    float *scores;
    size_t *top;
    gf__json *list; /* with --json */
} answers;

static void print_row(const answers *a, const char *name)
{
    printf("%s\n", name);
    for (size_t k = 0; k < a->n_top; k++)
        printf("  %8.6f  %s\n", (double)a->scores[a->top[k]],
               gf_classifier_class_at(a->classifier, a->top[k]));
}

static void append_row(const answers *a, const char *name)
{
    gf__json *answer = gf__json_object(), *classes = gf__json_array();
    for (size_t k = 0; k < a->n_top; k++) {
        gf__json *entry = gf__json_object();
        gf__json_set_string(entry, "class", gf_classifier_class_at(a->classifier, a->top[k]));
        gf__json_set_number(entry, "score", (double)a->scores[a->top[k]]);
        gf__json_append(classes, entry);
    }
    gf__json_set_string(answer, "row", name);
    gf__json_set_string(answer, "class", gf_classifier_class_at(a->classifier, a->top[0]));
    gf__json_set_number(answer, "score", (double)a->scores[a->top[0]]);
    gf__json_set(answer, "top", classes);
    gf__json_append(a->list, answer);
}

static gf_status answer_row(answers *a, const char *name, const float *numbers, size_t n,
                            gf_error *err)
{
    const gf_status st = gf_classifier_numbers(a->classifier, numbers, n, a->scores, NULL, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "%s", name);
        return st;
    }
    gf_top_classes(a->scores, gf_classifier_n_classes(a->classifier), a->n_top, a->top);
    if (a->list != NULL)
        append_row(a, name);
    else
        print_row(a, name);
    return GF_OK;
}

/* "5.1, 3.5": numbers with commas, blanks or semicolons between them; new in *out. */
static gf_status parse_row(const char *text, float **out, size_t *n, gf_error *err)
{
    float *numbers = gf__calloc(strlen(text) / 2 + 1, sizeof *numbers);
    *out = numbers;
    *n = 0;
    if (numbers == NULL)
        return gf__error_nomem(err, "numbers", strlen(text));
    const char *at = text + strspn(text, " \t");
    while (*at != '\0') {
        char *end = NULL;
        const double value = strtod(at, &end);
        const size_t n_gap = end != at ? strspn(end, ",; \t") : 0;
        if (end == at || (n_gap == 0 && *end != '\0') || !isfinite((float)value))
            return gf_error_set(err, GF_EINVAL,
                                "--numbers %.100s: expected numbers like 5.1,3.5,1.4,0.2", text);
        numbers[(*n)++] = (float)value;
        at = end + n_gap;
    }
    return GF_OK;
}

static gf_status answer_file(answers *a, const char *path, gf_error *err)
{
    gf_dataset *rows = NULL;
    gf_status st = gf__dataset_open_rows(path, gf_classifier_n_inputs(a->classifier), &rows, err);
    if (st == GF_OK && gf_dataset_n_columns(rows) == 0)
        st = gf_error_set(err, GF_EFORMAT, "%s: pictures, expected rows of numbers", path);
    for (size_t i = 0; st == GF_OK && i < gf_dataset_n_items(rows); i++) {
        gf_sample sample;
        st = gf_dataset_read(rows, i, &sample, err);
        if (st == GF_OK)
            st = answer_row(a, gf_dataset_item_at(rows, i), sample.data, sample.width, err);
        gf_sample_release(&sample);
        if (st == GF_OK && gf__cli_is_interrupted())
            st = gf_error_set(err, GF_ECANCELED, "stopped after %zu of %zu rows", i + 1,
                              gf_dataset_n_items(rows));
    }
    gf_dataset_free(rows);
    return st;
}

static gf_status answer_all(answers *a, const char *rows, gf_error *err)
{
    const size_t n_classes = gf_classifier_n_classes(a->classifier);
    float *numbers = NULL;
    size_t n = 0;
    a->n_top = a->n_top < n_classes ? a->n_top : n_classes;
    a->scores = gf__calloc(n_classes, sizeof *a->scores);
    a->top = gf__calloc(n_classes, sizeof *a->top);
    if (a->scores == NULL || a->top == NULL)
        return gf__error_nomem(err, "scores", n_classes * sizeof *a->scores);
    if (gf__is_file(rows))
        return answer_file(a, rows, err);
    gf_status st = parse_row(rows, &numbers, &n, err);
    if (st == GF_OK)
        st = answer_row(a, rows, numbers, n, err);
    gf__free(numbers);
    return st;
}

gf_status gf__predict_numbers(gf__cli *cli, const char *model, const char *rows, int n_top,
                              gf_error *err)
{
    const gf_context context = gf__cli_context(cli);
    answers a = {.cli = cli, .n_top = (size_t)n_top};
    gf_status st = gf_classifier_open(&context, model, GF_PRECISION_AUTO, &a.classifier, err);
    if (st == GF_OK && cli->is_json)
        a.list = gf__json_array();
    if (st == GF_OK)
        st = answer_all(&a, rows, err);
    if (st == GF_OK && cli->is_json) {
        st = gf__cli_print_json(a.list, err);
        a.list = NULL; /* freed by printing */
    }
    gf__json_free(a.list);
    gf__free(a.scores);
    gf__free(a.top);
    gf_classifier_free(a.classifier);
    return st;
}
