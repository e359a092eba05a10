/* The report's tables: the confusion matrix, readable for two classes and for fifty, and the
 * measures of each class. */
#include <math.h>

#include "train/report_priv.h"

static size_t sum_row(const gf_metrics *metrics, size_t k)
{
    size_t sum = 0;
    for (size_t j = 0; j < metrics->n_classes; j++)
        sum += metrics->confusion[k * metrics->n_classes + j];
    return sum;
}

static void write_cell(const gf_report *report, size_t k, size_t j, size_t n_row, gf__buffer *out)
{
    const size_t count = report->metrics->confusion[k * report->n_classes + j];
    const double share = n_row > 0 ? (double)count / (double)n_row : 0.0;
    if (count == 0 && k != j) {
        gf__buffer_puts(out, "<td class=\"zero\">0</td>");
        return;
    }
    gf__buffer_printf(out, "<td class=\"%s%s\" style=\"--s:%.2f\" title=\"",
                      k == j ? "hit" : "miss", share > 0.55 ? " deep" : "", share);
    gf__report_text(out, report->class_names[k]);
    gf__buffer_puts(out, k == j ? " recognised as " : " taken for ");
    gf__report_text(out, report->class_names[j]);
    gf__buffer_printf(out, ": %zu of %zu\">%zu</td>", count, n_row, count);
}

static void write_head(const gf_report *report, gf__buffer *out)
{
    gf__buffer_puts(out, "<thead><tr><th class=\"side\">true \xE2\x86\x93 &nbsp; predicted "
                         "\xE2\x86\x92</th>");
    for (size_t k = 0; k < report->n_classes; k++) {
        gf__buffer_puts(out, "<th scope=\"col\" title=\"");
        gf__report_text(out, report->class_names[k]);
        gf__buffer_puts(out, "\"><span>");
        gf__report_text(out, report->class_names[k]);
        gf__buffer_puts(out, "</span></th>");
    }
    gf__buffer_puts(out, "</tr></thead>");
}

/* The pairs of classes that are mixed up most, for matrices in which one has to look for them. */
static void write_worst_pairs(const gf_report *report, gf__buffer *out)
{
    enum { N_PAIRS = 6 };
    const size_t K = report->n_classes;
    size_t worst[N_PAIRS], n = 0;
    for (size_t i = 0; i < K * K; i++) {
        const size_t count = report->metrics->confusion[i];
        if (i % (K + 1) == 0 || count == 0)
            continue;
        size_t at = n;
        while (at > 0 && count > report->metrics->confusion[worst[at - 1]])
            at--;
        if (at == N_PAIRS)
            continue;
        for (size_t j = n < N_PAIRS ? n : N_PAIRS - 1; j > at; j--)
            worst[j] = worst[j - 1];
        worst[at] = i;
        n += n < N_PAIRS;
    }
    if (n == 0)
        return;
    gf__buffer_puts(out, "<ul class=\"pairs\">");
    for (size_t i = 0; i < n; i++) {
        gf__buffer_puts(out, "<li><b>");
        gf__report_text(out, report->class_names[worst[i] / K]);
        gf__buffer_puts(out, "</b> taken for <b>");
        gf__report_text(out, report->class_names[worst[i] % K]);
        gf__buffer_printf(out, "</b>: %zu of %zu</li>", report->metrics->confusion[worst[i]],
                          sum_row(report->metrics, worst[i] / K));
    }
    gf__buffer_puts(out, "</ul>");
}

void gf__report_confusion(const gf_report *report, gf__buffer *out)
{
    const size_t K = report->n_classes;
    const char *size = "large few";
    if (K > 22)
        size = "small upright";
    else if (K > 12)
        size = "medium upright";
    else if (K > 3)
        size = K > 5 ? "large upright" : "large";

    gf__buffer_printf(out,
                      "<section class=\"card\"><h2>Confusion matrix <small>shaded by share of the "
                      "true class</small></h2><div class=\"scroll\"><table class=\"matrix %s\">",
                      size);
    write_head(report, out);
    gf__buffer_puts(out, "<tbody>");
    for (size_t k = 0; k < K; k++) {
        const size_t n_row = sum_row(report->metrics, k);
        gf__buffer_puts(out, "<tr><th scope=\"row\" title=\"");
        gf__report_text(out, report->class_names[k]);
        gf__buffer_puts(out, "\">");
        gf__report_text(out, report->class_names[k]);
        gf__buffer_puts(out, "</th>");
        for (size_t j = 0; j < K; j++)
            write_cell(report, k, j, n_row, out);
        gf__buffer_puts(out, "</tr>");
    }
    gf__buffer_puts(out, "</tbody></table></div>");
    if (K > 2)
        write_worst_pairs(report, out);
    gf__buffer_puts(out, "</section>\n");
}

static void write_measure(double value, bool has_meter, gf__buffer *out)
{
    gf__buffer_puts(out, "<td>");
    gf__report_percent(out, value);
    if (has_meter)
        gf__buffer_printf(out, "<span class=\"meter\"><i style=\"width:%.1f%%\"></i></span>",
                          isnan(value) ? 0.0 : 100.0 * value);
    gf__buffer_puts(out, "</td>");
}

void gf__report_classes(const gf_report *report, gf__buffer *out)
{
    const gf_metrics *metrics = report->metrics;
    gf__buffer_puts(out, "<section class=\"card\"><h2>Class by class</h2><div class=\"scroll\">"
                         "<table class=\"classes\"><thead><tr><th scope=\"col\">class</th>");
    if (report->n_train_per_class != NULL)
        gf__buffer_puts(out, "<th scope=\"col\">trained on</th>");
    gf__buffer_printf(out, "<th scope=\"col\">%s</th>",
                      report->history != NULL ? "held out" : "pictures");
    gf__buffer_puts(
        out,
        "<th scope=\"col\" title=\"Of those predicted to be this class, how many are\">"
        "precision</th>"
        "<th scope=\"col\" title=\"Of those that are this class, how many were found\">"
        "recall</th>"
        "<th scope=\"col\" title=\"Harmonic mean of precision and recall\">F1</th></tr></thead>"
        "<tbody>");
    for (size_t k = 0; k < report->n_classes; k++) {
        gf__buffer_puts(out, "<tr><th scope=\"row\">");
        gf__report_text(out, report->class_names[k]);
        gf__buffer_puts(out, "</th>");
        if (report->n_train_per_class != NULL)
            gf__buffer_printf(out, "<td>%zu</td>", report->n_train_per_class[k]);
        gf__buffer_printf(out, "<td>%zu</td>",
                          report->n_test_per_class != NULL ? report->n_test_per_class[k]
                                                           : sum_row(metrics, k));
        write_measure(metrics->precision[k], false, out);
        write_measure(metrics->recall[k], false, out);
        write_measure(metrics->f1[k], true, out);
        gf__buffer_puts(out, "</tr>");
    }
    gf__buffer_puts(out, "</tbody></table></div></section>\n");
}
