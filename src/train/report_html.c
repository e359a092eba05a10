/* The report page from top to bottom: what was reached and how sure that is, how it was learnt,
 * what is mixed up, and how to do it again. The page's policy forbids everything but its own style
 * and data pictures, should an escape ever be missed. */
#include <assert.h>
#include <math.h>

#include "train/report_priv.h"

/* Without a history it is a model measured on other pictures: nothing was held out. */
static bool is_training(const gf_report *report)
{
    return report->history != NULL;
}

static void open_page(const gf_report *report, gf__buffer *out)
{
    gf__buffer_puts(
        out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
             "img-src data:; style-src 'unsafe-inline'\">"
             "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
    gf__report_text(out, report->title != NULL ? report->title : "Training report");
    gf__buffer_puts(out, "</title>\n<style>");
    for (size_t i = 0; gf__report_style[i] != NULL; i++) {
        gf__buffer_puts(out, gf__report_style[i]);
        gf__buffer_puts(out, "\n");
    }
    gf__buffer_puts(out, "</style></head>\n<body><main>\n<header><p class=\"kicker\">graft ");
    gf__buffer_puts(out,
                    is_training(report) ? "training report</p><h1>" : "evaluation report</p><h1>");
    gf__report_text(out, report->title != NULL ? report->title : "Training report");
    gf__buffer_puts(out, "</h1></header>\n");
}

/* How often the commonest class would be right: what an accuracy must be compared with. */
static double find_baseline(const gf_metrics *metrics, size_t *commonest)
{
    size_t most = 0;
    for (size_t k = 0; k < metrics->n_classes; k++) {
        size_t n = 0;
        for (size_t j = 0; j < metrics->n_classes; j++)
            n += metrics->confusion[k * metrics->n_classes + j];
        if (n > most) {
            most = n;
            *commonest = k;
        }
    }
    return (double)most / (double)metrics->n;
}

static void write_headline(const gf_report *report, gf__buffer *out)
{
    const gf_metrics *metrics = report->metrics;
    size_t commonest = 0;
    const size_t n_right = (size_t)llround(metrics->accuracy * (double)metrics->n);
    const double baseline = find_baseline(metrics, &commonest);
    gf__buffer_printf(out,
                      "<section class=\"card hero\"><div class=\"big\">%.1f<span>%%</span></div>"
                      "<div><p><b>%zu of %zu right: ",
                      100.0 * metrics->accuracy, n_right, metrics->n);
    gf__report_percent(out, metrics->accuracy);
    gf__buffer_printf(out,
                      "</b>, <span class=\"nowrap\">95\xE2\x80\xAF%% interval %.1f\xE2\x80\x93",
                      100.0 * metrics->accuracy_low);
    gf__report_percent(out, metrics->accuracy_high);
    gf__buffer_printf(out, "</span></p><p class=\"note\">on %s. Always answering \xE2\x80\x9C",
                      is_training(report) ? "pictures that were held out from training"
                                          : "the pictures of this data set");
    gf__report_text(out, report->class_names[commonest]);
    gf__buffer_puts(out, "\xE2\x80\x9D would be right in ");
    gf__report_percent(out, baseline);
    gf__buffer_printf(
        out,
        ". The interval is what %zu pictures can tell: one made like this holds the accuracy on "
        "all pictures of the kind 19 times out of 20.</p></div>",
        metrics->n);
    gf__report_interval(metrics, out);
    gf__buffer_puts(out, "</section>\n");
}

static void write_count(gf__buffer *out, const char *name, size_t count)
{
    gf__buffer_printf(out, "<div><dt>%s</dt><dd>%zu</dd></div>", name, count);
}

static void write_value(gf__buffer *out, const char *name, double value, int n_decimals,
                        const char *unit)
{
    gf__buffer_printf(out, "<div><dt>%s</dt><dd>%.*f%s</dd></div>", name, n_decimals, value, unit);
}

static void write_tiles(const gf_report *report, gf__buffer *out)
{
    const gf_history *history = report->history;
    gf__buffer_puts(out, "<dl class=\"tiles\">");
    write_count(out, "classes", report->n_classes);
    if (report->metrics != NULL) {
        write_count(out, is_training(report) ? "pictures held out" : "pictures",
                    report->metrics->n);
        write_value(out, is_training(report) ? "loss, held out" : "loss", report->metrics->loss, 3,
                    "");
        write_value(out, "macro F1", report->metrics->macro_f1, 3, "");
    }
    if (history != NULL && history->n_epochs > 0) {
        double time_s = 0.0;
        for (size_t i = 0; i < history->n_epochs; i++)
            time_s += history->epochs[i].time_s;
        write_count(out, "epochs", history->n_epochs);
        write_value(out, "time in epochs", time_s, 2, " s");
    }
    gf__buffer_puts(out, "</dl>\n");
}

static void write_mistake(const gf_report *report, const gf_report_picture *picture,
                          gf__buffer *out)
{
    assert(picture->label < report->n_classes && picture->predicted < report->n_classes);
    gf__buffer_puts(out, "<figure>");
    if (picture->jpeg != NULL && picture->n_bytes > 0) {
        gf__buffer_puts(out, "<img alt=\"");
        gf__report_text(out, picture->item != NULL ? picture->item : "");
        gf__buffer_puts(out, "\" src=\"data:image/jpeg;base64,");
        gf__buffer_base64(out, picture->jpeg, picture->n_bytes);
        gf__buffer_puts(out, "\">");
    }
    gf__buffer_puts(out, "<figcaption><b>");
    gf__report_text(out, report->class_names[picture->label]);
    gf__buffer_puts(out, "</b><br><span class=\"said\">taken for <b>");
    gf__report_text(out, report->class_names[picture->predicted]);
    gf__buffer_puts(out, "</b></span>, ");
    gf__report_percent(out, (double)picture->score);
    if (picture->item != NULL) {
        gf__buffer_puts(out, "<span class=\"item\">");
        gf__report_text(out, picture->item);
        gf__buffer_puts(out, "</span>");
    }
    gf__buffer_puts(out, "</figcaption></figure>");
}

static void write_mistakes(const gf_report *report, gf__buffer *out)
{
    gf__buffer_puts(out, "<section class=\"card\"><h2>Mistakes");
    if (report->n_mistakes_total == 0) {
        gf__buffer_printf(out,
                          "</h2><p class=\"good\">None: every %spicture was recognised.</p>"
                          "</section>\n",
                          is_training(report) ? "held-out " : "");
        return;
    }
    gf__buffer_printf(out, " <small>%zu of %zu, the most certain first</small></h2>",
                      report->n_mistakes, report->n_mistakes_total);
    gf__buffer_puts(out, "<div class=\"mistakes\">");
    for (size_t i = 0; i < report->n_mistakes; i++)
        write_mistake(report, &report->mistakes[i], out);
    gf__buffer_puts(out, "</div></section>\n");
}

static void write_facts(const char *title, const gf_report_fact *facts, size_t n, gf__buffer *out)
{
    if (n == 0)
        return;
    gf__buffer_printf(out, "<section class=\"card\"><h2>%s</h2><dl class=\"facts\">", title);
    for (size_t i = 0; i < n; i++) {
        gf__buffer_puts(out, "<dt>");
        gf__report_text(out, facts[i].name);
        gf__buffer_puts(out, "</dt><dd>");
        gf__report_text(out, facts[i].value != NULL ? facts[i].value : "");
        gf__buffer_puts(out, "</dd>");
    }
    gf__buffer_puts(out, "</dl></section>");
}

static void write_command(const char *lead, const char *command, gf__buffer *out)
{
    if (command == NULL)
        return;
    gf__buffer_printf(out, "<p>%s</p><pre><code>", lead);
    gf__report_text(out, command);
    gf__buffer_puts(out, "</code></pre>");
}

void gf__report_page(const gf_report *report, gf__buffer *out)
{
    const gf_metrics *metrics = report->metrics;
    assert(metrics == NULL || metrics->n_classes == report->n_classes);

    open_page(report, out);
    if (metrics != NULL)
        write_headline(report, out);
    write_tiles(report, out);
    if (report->history != NULL && report->history->n_epochs > 0)
        gf__report_curves(report->history, out);
    if (metrics != NULL) {
        /* Small tables stand side by side. */
        gf__buffer_puts(out, report->n_classes <= 3 ? "<div class=\"pair\">" : "");
        gf__report_confusion(report, out);
        gf__report_classes(report, out);
        gf__buffer_puts(out, report->n_classes <= 3 ? "</div>\n" : "");
        write_mistakes(report, out);
    }
    if (report->n_probes > 0)
        gf__report_probes(report, out);
    if (report->n_dataset + report->n_model > 0) {
        gf__buffer_puts(out, "<div class=\"pair\">");
        write_facts(is_training(report) ? "Learnt from" : "Measured on", report->dataset,
                    report->n_dataset, out);
        write_facts("Model", report->model, report->n_model, out);
        gf__buffer_puts(out, "</div>\n");
    }
    if (report->command != NULL || report->next_step != NULL) {
        gf__buffer_puts(out, "<section class=\"card how\"><h2>Do it again</h2>");
        write_command(
            "The same data, seed and build give this model byte for byte:", report->command, out);
        write_command("Try next:", report->next_step, out);
        gf__buffer_puts(out, "</section>\n");
    }
    gf__buffer_printf(out, "<footer>graft %s</footer>\n</main></body></html>\n", gf_version());
}
