/* cli/cmd_dataset.c: graft dataset make and graft dataset check. */
#include <string.h>

#include "cli/cli.h"

typedef struct make_settings {
    const char *output;
    int size, n_connections, n_retries;
    bool is_compressed;
} make_settings;

static void preset_make(void *settings)
{
    *(make_settings *)settings = (make_settings){.size = 299, .n_connections = 8, .n_retries = 3};
}

static const gf__option make_options[] = {
    GF__TEXT("--output", "F.npz", NULL, make_settings, output, "The file to write."),
    GF__INT("--size", "PIXELS", "299", make_settings, size, 1, 4096,
            "Pictures are resized to PIXELS x PIXELS."),
    GF__FLAG("--compress", make_settings, is_compressed,
             "Deflate, as numpy.savez_compressed: smaller, slower to read."),
    GF__INT("--connections", "N", "8", make_settings, n_connections, 1, 64, "Downloads at once."),
    GF__INT("--retries", "N", "3", make_settings, n_retries, 0, 20,
            "Tries after the first for an address that does not answer."),
};

static gf_status print_made(gf__cli *cli, const gf_make_result *result, const char *output,
                            gf_error *err)
{
    if (!cli->is_json) {
        printf("wrote %s: %zu pictures", output, result->n_written);
        printf(result->n_skipped > 0 ? ", %zu left out\n" : "\n", result->n_skipped);
        for (size_t i = 0; i < result->n_skipped; i++)
            printf("  %s\n", result->skipped[i]);
        return GF_OK;
    }
    gf__json *document = gf__json_object();
    gf__json *skipped = gf__json_array();
    for (size_t i = 0; i < result->n_skipped; i++)
        gf__json_append(skipped, gf__json_new_string(result->skipped[i]));
    gf__json_set_string(document, "output", output);
    gf__json_set_int(document, "n_written", (int64_t)result->n_written);
    gf__json_set(document, "skipped", skipped);
    return gf__cli_print_json(document, err);
}

static gf_status run_make(gf__cli *cli, const void *settings, gf_error *err)
{
    const make_settings *s = settings;
    if (s->output == NULL)
        return gf_error_set(err, GF_EINVAL, "expected -o F.npz: the file to write");
    gf_make_options options = gf_make_options_default();
    options.size = (size_t)s->size;
    options.n_threads = cli->n_threads;
    options.n_connections = s->n_connections;
    options.n_retries = s->n_retries;
    options.max_pixels = cli->max_pixels;
    options.is_compressed = s->is_compressed;
    gf_make_result *result = NULL;
    gf_status st = gf_dataset_make(cli->words[0], s->output, &options, &cli->observer, &result,
                                   err);
    gf__bar_end(&cli->bar);
    if (st == GF_OK)
        st = print_made(cli, result, s->output, err);
    gf_make_result_free(result);
    return st;
}

const gf__command gf__command_dataset_make = {
    .name = "dataset make",
    .words = "DIR|URLS.txt",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Pack pictures, or a list of addresses, into one .npz.",
    .text = "Writes the arrays features uint8 (N,size,size,3), labels int64 (N) and classes. The "
            "source is a folder of "
            "class folders, a CSV or JSON-lines file, or a text file of lines \"URL label\", "
            "downloaded in parallel "
            "with retries. What cannot be had or read is listed and left out.",
    .examples = "graft dataset make flowers/ -o flowers.npz\n"
                "graft dataset make urls.txt -o opera.npz --connections 16",
    .options = make_options,
    .n_options = GF__N_OPTIONS(make_options),
    .settings_size = sizeof(make_settings),
    .preset = preset_make,
    .run = run_make,
};

typedef struct check_settings {
    const char *test;
    int near_distance;
    bool is_strict;
} check_settings;

static void preset_check(void *settings)
{
    ((check_settings *)settings)->near_distance = 4;
}

static const gf__option check_options[] = {
    GF__TEXT("--test", "DATASET", "none", check_settings, test,
             "A test set: its pictures are looked for in DATASET, where they would be a leak."),
    GF__INT("--near", "BITS", "4", check_settings, near_distance, 0, 16,
            "How many of 64 bits of the difference hash may differ in near duplicates."),
    GF__FLAG("--strict", check_settings, is_strict, "Exit with 1 if anything was found."),
};

static void print_issues(const gf_check_report *report, gf_issue_kind kind)
{
    if (report->n_by_kind[kind] == 0)
        return;
    printf("\n%s: %zu\n", gf_issue_kind_name(kind), report->n_by_kind[kind]);
    size_t n_shown = 0;
    for (size_t i = 0; i < report->n_issues && n_shown < 20; i++) {
        const gf_issue *issue = &report->issues[i];
        if (issue->kind != kind)
            continue;
        printf("  %s%s%s%s%s\n", issue->item, issue->other != NULL ? "  =  " : "",
               issue->other != NULL ? issue->other : "", issue->note != NULL ? "  " : "",
               issue->note != NULL ? issue->note : "");
        n_shown++;
    }
    if (report->n_by_kind[kind] > n_shown)
        printf("  ... and %zu more (--json lists all)\n", report->n_by_kind[kind] - n_shown);
}

static void print_check(const gf_check_report *report)
{
    printf("%zu pictures in %zu classes, %zu readable\n", report->n_items, report->n_classes,
           report->n_readable);
    for (size_t k = 0; k < report->n_classes; k++)
        printf("  %-24s %6zu\n", report->class_names[k], report->n_per_class[k]);
    for (int kind = 0; kind < GF_N_ISSUE_KINDS; kind++)
        print_issues(report, (gf_issue_kind)kind);
    if (report->n_issues == 0)
        printf("nothing odd found\n");
}

static gf_status print_check_json(const gf_check_report *report, gf_error *err)
{
    gf__json *document = gf__json_object();
    gf__json *classes = gf__json_object();
    gf__json *issues = gf__json_array();
    for (size_t k = 0; k < report->n_classes; k++)
        gf__json_set_int(classes, report->class_names[k], (int64_t)report->n_per_class[k]);
    for (size_t i = 0; i < report->n_issues; i++) {
        gf__json *issue = gf__json_object();
        gf__json_set_string(issue, "kind", gf_issue_kind_name(report->issues[i].kind));
        gf__json_set_string(issue, "item", report->issues[i].item);
        gf__json_set_string(issue, "other", report->issues[i].other);
        gf__json_set_string(issue, "note", report->issues[i].note);
        gf__json_append(issues, issue);
    }
    gf__json_set_int(document, "n_items", (int64_t)report->n_items);
    gf__json_set_int(document, "n_readable", (int64_t)report->n_readable);
    gf__json_set(document, "classes", classes);
    gf__json_set(document, "issues", issues);
    return gf__cli_print_json(document, err);
}

static gf_status run_check(gf__cli *cli, const void *settings, gf_error *err)
{
    const check_settings *s = settings;
    gf_dataset *dataset = NULL, *other = NULL;
    gf_check_report *report = NULL;
    gf_check_options options = gf_check_options_default();
    options.n_threads = cli->n_threads;
    options.max_pixels = cli->max_pixels;
    options.near_distance = (unsigned)s->near_distance;
    gf_status st = gf_dataset_open(cli->words[0], NULL, &cli->observer, &dataset, err);
    if (st == GF_OK && s->test != NULL)
        st = gf_dataset_open(s->test, NULL, &cli->observer, &other, err);
    options.other = other;
    if (st == GF_OK)
        st = gf_dataset_check(dataset, &options, &cli->observer, &report, err);
    gf__bar_end(&cli->bar);
    if (st == GF_OK && cli->is_json)
        st = print_check_json(report, err);
    else if (st == GF_OK)
        print_check(report);
    if (st == GF_OK && s->is_strict && report->n_issues > 0)
        st = gf_error_set(err, GF_EMISMATCH, "%s: %zu things found", cli->words[0],
                          report->n_issues);
    gf_check_report_free(report);
    gf_dataset_free(other);
    gf_dataset_free(dataset);
    return st;
}

const gf__command gf__command_dataset_check = {
    .name = "dataset check",
    .words = "DATASET",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Look for what spoils training: corrupt, duplicate, leaked, turned pictures.",
    .text = "Reads every picture once and lists: files that cannot be decoded or are named as "
            "another format, exact and near "
            "duplicates, the same picture under two labels, pictures of the test set among the "
            "training ones, "
            "pictures with an EXIF turn, pictures of one colour or very small ones, and classes "
            "much smaller than "
            "the largest.",
    .examples = "graft dataset check flowers/\n"
                "graft dataset check flowers/ --test held-out/ --json",
    .options = check_options,
    .n_options = GF__N_OPTIONS(check_options),
    .settings_size = sizeof(check_settings),
    .preset = preset_check,
    .run = run_check,
};
