/* The report: what it says, that nothing in it can be taken for markup, that it needs nothing from
 * outside, and that parts may be missing. */
#include "check.h"

#include <unistd.h>

#include "base/base.h"
#include "train/train.h"

enum { N_ROWS = 40 };

/* 39 of 40 right in n_classes classes. */
static gf_metrics *new_metrics(size_t n_classes)
{
    gf_metrics *metrics = NULL;
    float *scores = calloc(N_ROWS * n_classes, sizeof *scores);
    size_t labels[N_ROWS];
    for (size_t i = 0; i < N_ROWS; i++) {
        labels[i] = i % n_classes;
        scores[i * n_classes + (i == 7 ? (labels[i] + 1) % n_classes : labels[i])] = 0.9f;
    }
    CHECK_OK(gf_metrics_new(scores, labels, N_ROWS, n_classes, &metrics, &check_err));
    free(scores);
    return metrics;
}

/* The page as text; freed with free(). */
static char *save(const gf_report *report)
{
    char *dir = check_temp_dir(), *text = NULL;
    size_t size = 0;
    char *path = gf__path_join(dir, "report.html");
    CHECK_OK(gf_report_save(report, path, &check_err));
    CHECK_OK(gf__read_file(path, 100 << 20, &text, &size, &check_err));
    unlink(path);
    CHECK_EQ(rmdir(dir), 0); /* no temporary file is left */
    char *copy = strdup(text);
    gf__free(text), gf__free(path), free(dir);
    return copy;
}

static bool says(const char *page, const char *part)
{
    return strstr(page, part) != NULL;
}

static size_t count(const char *page, const char *part)
{
    size_t n = 0;
    for (const char *at = strstr(page, part); at != NULL; at = strstr(at + 1, part))
        n++;
    return n;
}

/* Every element that is opened is closed in order; attributes are quoted. Enough HTML for our own
 * page. */
static void check_balanced(const char *page)
{
    char open[64][16];
    size_t depth = 0;
    const char *at = strstr(page, "</style>"); /* a style sheet has its own > */
    const char *start = page;
    for (const char *tag = strchr(start, '<'); tag != NULL; tag = strchr(tag + 1, '<')) {
        char name[16] = "";
        const char *end = strchr(tag, '>');
        assert_non_null(end);
        if (tag[1] == '!' || end[-1] == '/')
            continue;
        sscanf(tag + 1, "%15[/a-z0-9]", name);
        CHECK(name[0] != '\0'); /* a stray < */
        if (strcmp(name, "meta") == 0 || strcmp(name, "img") == 0 || strcmp(name, "br") == 0)
            continue;
        if (name[0] == '/') {
            CHECK(depth > 0);
            CHECK_STR(name + 1, open[--depth]);
            continue;
        }
        CHECK(depth < 64);
        snprintf(open[depth++], sizeof open[0], "%s", name);
        if (strcmp(name, "style") == 0)
            tag = at - 1;
    }
    CHECK_EQ(depth, 0);
}

static const char *const two_names[] = {"opera", "<script>alert('x')</script> & \"co\""};

TEST(report__states_the_accuracy_and_its_interval)
{
    gf_metrics *metrics = new_metrics(2);
    const gf_report report = {
        .title = "opera, or not", .class_names = two_names, .n_classes = 2, .metrics = metrics};
    char *page = save(&report);
    CHECK(says(page, "39 of 40 right: 97.5\xE2\x80\xAF%"));
    CHECK(says(page, "87.1\xE2\x80\x93"
                     "99.6\xE2\x80\xAF%"));
    CHECK(says(page, "Always answering \xE2\x80\x9Copera\xE2\x80\x9D would be right in 50.0"));
    CHECK(says(page, "<title>opera, or not</title>"));
    check_balanced(page);
    free(page);
    gf_metrics_free(metrics);
}

TEST(report__escapes_every_text)
{
    static const char evil[] = "<script>'\"&\x01\xFF</script>";
    static const uint8_t jpeg[] = {0xFF, 0xD8, 0xFF};
    gf_metrics *metrics = new_metrics(2);
    const char *const names[] = {evil, evil};
    const gf_report_picture mistake = {evil, jpeg, sizeof jpeg, 0, 1, 0.9f};
    const gf_report_fact fact = {evil, evil};
    const char *const layers[] = {evil};
    const double accuracy[] = {0.5};
    const gf_report report = {.title = evil,
                              .class_names = names,
                              .n_classes = 2,
                              .metrics = metrics,
                              .mistakes = &mistake,
                              .n_mistakes = 1,
                              .n_mistakes_total = 1,
                              .dataset = &fact,
                              .n_dataset = 1,
                              .model = &fact,
                              .n_model = 1,
                              .probe_layers = layers,
                              .probe_accuracy = accuracy,
                              .n_probes = 1,
                              .command = evil,
                              .next_step = evil};
    char *page = save(&report);
    CHECK(!says(page, "<script"));
    CHECK(!says(page, "\x01") && !says(page, "\xFF"));
    CHECK(says(page, "&lt;script&gt;&#39;&quot;&amp;\xEF\xBF\xBD\xEF\xBF\xBD&lt;/script&gt;"));
    CHECK(says(page, "src=\"data:image/jpeg;base64,/9j/\""));
    check_balanced(page);
    free(page);
    gf_metrics_free(metrics);
}

TEST(report__keeps_good_utf8_and_replaces_bad)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x8C\xB7", "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x8C\xB7<"},
        {"\xC0\xAF", ">\xEF\xBF\xBD\xEF\xBF\xBD<"},                 /* overlong */
        {"\xED\xA0\x80", ">\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD<"}, /* surrogate */
        {"\xE2\x82", ">\xEF\xBF\xBD\xEF\xBF\xBD<"},                 /* truncated */
        {"a\nb\tc", ">a b c<"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const gf_report report = {.title = cases[i].text};
        char *page = save(&report);
        CHECK(says(page, cases[i].want));
        free(page);
    }
}

TEST(report__needs_nothing_from_outside)
{
    gf_metrics *metrics = new_metrics(2);
    const gf_report report = {.class_names = two_names, .n_classes = 2, .metrics = metrics};
    char *page = save(&report);
    CHECK(!says(page, "http:") && !says(page, "https:") && !says(page, "url("));
    CHECK(!says(page, "<link") && !says(page, "<script") && !says(page, "@import"));
    CHECK(says(page, "default-src 'none'"));
    CHECK(says(page, "prefers-color-scheme: dark") && says(page, "@media print"));
    free(page);
    gf_metrics_free(metrics);
}

TEST(report__draws_both_curves_and_marks_the_epoch_kept)
{
    gf_epoch epochs[] = {
        {1, 0.9, 0.5, 0.8, 0.6, 0.1}, {2, 0.5, 0.8, 0.6, 0.75, 0.1}, {3, 0.2, 0.9, 0.7, 0.7, 0.1}};
    gf_history history = {epochs, 3, 2, true};
    const gf_report report = {.history = &history};
    char *page = save(&report);
    CHECK_EQ(count(page, "<svg"), 2);
    CHECK_EQ(count(page, "class=\"val\" points"), 4); /* two lines, two legends */
    CHECK_EQ(count(page, "kept: epoch 2"), 2);
    CHECK(says(page, "epoch 2, validation: 0.6<"));
    CHECK(says(page, "epoch 3, training: 90 %"));
    check_balanced(page);
    free(page);

    for (size_t i = 0; i < 3; i++) { /* without validation data */
        epochs[i].val_loss = (double)NAN;
        epochs[i].val_accuracy = (double)NAN;
    }
    history.best_epoch = 3;
    page = save(&report);
    CHECK(!says(page, "class=\"val\" points") && !says(page, "kept:") && !says(page, "nan"));
    free(page);
}

TEST(report__draws_odd_histories)
{
    gf_epoch epochs[200];
    for (int i = 0; i < 200; i++)
        epochs[i] = (gf_epoch){i + 1, 0.0, 1.0, 1e9, 0.0, 0.0};
    gf_history history = {epochs, 1, 1, true};
    const gf_report report = {.history = &history};
    for (history.n_epochs = 1; history.n_epochs <= 200; history.n_epochs += 13) {
        char *page = save(&report);
        CHECK(!says(page, "nan") && !says(page, "inf"));
        CHECK(strlen(page) < 200000);
        check_balanced(page);
        free(page);
    }
    epochs[0].val_loss = INFINITY;
    epochs[0].loss = (double)NAN;
    history.n_epochs = 2;
    char *page = save(&report);
    CHECK(!says(page, "nan") && !says(page, "inf\""));
    free(page);
}

TEST(report__has_a_matrix_for_fifty_classes)
{
    enum { K = 50 };
    const char *names[K];
    char text[K][16];
    for (size_t k = 0; k < K; k++) {
        snprintf(text[k], sizeof text[k], "class %zu", k);
        names[k] = text[k];
    }
    gf_metrics *metrics = new_metrics(K);
    const gf_report report = {
        .class_names = names, .n_classes = K, .metrics = metrics, .n_mistakes_total = 1};
    char *page = save(&report);
    CHECK(says(page, "matrix small upright"));
    CHECK_EQ(count(page, "<td class="), K * K);
    CHECK(says(page, "<b>class 7</b> taken for <b>class 8</b>: 1 of 1"));
    CHECK(says(page, "title=\"class 7 taken for class 8: 1 of 1\""));
    check_balanced(page);
    free(page);
    gf_metrics_free(metrics);
}

TEST(report__says_when_there_are_no_mistakes)
{
    const float scores[] = {0.9f, 0.1f, 0.1f, 0.9f};
    const size_t labels[] = {0, 1};
    gf_metrics *metrics = NULL;
    CHECK_OK(gf_metrics_new(scores, labels, 2, 2, &metrics, &check_err));
    const gf_report report = {.class_names = two_names, .n_classes = 2, .metrics = metrics};
    char *page = save(&report);
    CHECK(says(page, "every picture was recognised"));
    free(page);
    gf_metrics_free(metrics);
}

TEST(report__may_be_empty)
{
    const gf_report report = {0};
    char *page = save(&report);
    CHECK(says(page, "Training report"));
    CHECK(!says(page, "Confusion matrix") && !says(page, "Learning curves"));
    CHECK(!says(page, "(null)"));
    check_balanced(page);
    free(page);
}

TEST(report__that_cannot_be_written_is_an_error)
{
    const gf_report report = {0};
    CHECK_FAILS(GF_ENOTFOUND, "/nowhere/report.html",
                gf_report_save(&report, "/nowhere/report.html", &check_err));
}

TEST(report__survives_every_allocation_failure)
{
    const gf_report report = {.title = "short of memory"};
    char *dir = check_temp_dir();
    char *path = gf__path_join(dir, "report.html");
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_report_save(&report, path, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && !gf__is_file(path)));
    }
    CHECK_EQ(st, GF_OK);
    unlink(path);
    CHECK_EQ(rmdir(dir), 0);
    gf__free(path), free(dir);
}

TEST(report__of_an_evaluation_claims_nothing_about_training)
{
    static const char *const names[] = {"rose", "tulip"};
    const gf_report_fact fact = {"Data set", "more-flowers/"};
    gf_metrics *metrics = new_metrics(2);
    const gf_report report = {
        .class_names = names, .n_classes = 2, .metrics = metrics, .dataset = &fact, .n_dataset = 1};
    char *page = save(&report);
    CHECK(says(page, "graft evaluation report"));
    CHECK(says(page, "Measured on"));
    CHECK(!says(page, "held out") && !says(page, "held-out") && !says(page, "Learnt from"));
    free(page);
    gf_metrics_free(metrics);
}

TESTS_MAIN(UNIT(report__of_an_evaluation_claims_nothing_about_training),
           UNIT(report__states_the_accuracy_and_its_interval), UNIT(report__escapes_every_text),
           UNIT(report__keeps_good_utf8_and_replaces_bad), UNIT(report__needs_nothing_from_outside),
           UNIT(report__draws_both_curves_and_marks_the_epoch_kept),
           UNIT(report__draws_odd_histories), UNIT(report__has_a_matrix_for_fifty_classes),
           UNIT(report__says_when_there_are_no_mistakes), UNIT(report__may_be_empty),
           UNIT(report__that_cannot_be_written_is_an_error),
           UNIT(report__survives_every_allocation_failure))
