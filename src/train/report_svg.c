/* The report's figures: the learning curves as inline SVG, whose marks have a <title> that browsers
 * show when the pointer rests on them, so that values can be read off without a script; and the
 * bars, which are boxes with a width, so that their text keeps its size on a small screen. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "train/report_priv.h"

/* Data area of a curve in its view box. */
enum { WIDTH = 470, HEIGHT = 280, LEFT = 50, RIGHT = 14, TOP = 34, BOTTOM = 44, MAX_DOTS = 60 };

typedef struct curve_plot {
    const char *title, *tick_format;
    size_t train, val; /* offsets of a double in gf_epoch */
    double tick_scale; /* 100 for percent */
    double y_min, y_max, y_step;
    const gf_history *history;
} curve_plot;

static double value_at(const gf_epoch *epoch, size_t offset)
{
    return *(const double *)(const void *)((const char *)epoch + offset);
}

static double place_x(const curve_plot *curve, size_t i)
{
    const double width = WIDTH - LEFT - RIGHT;
    const size_t n = curve->history->n_epochs;
    return n > 1 ? LEFT + width * (double)i / (double)(n - 1) : LEFT + width / 2.0;
}

static double place_y(const curve_plot *curve, double value)
{
    const double share = (value - curve->y_min) / (curve->y_max - curve->y_min);
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share;
}

/* The smallest of 1, 2, 5, 10, 20 ... (or below 1) that makes at most n_steps of the span. */
static double round_step(double span, double n_steps)
{
    const double rough = span / n_steps, power = pow(10.0, floor(log10(rough)));
    const double factor = rough / power;
    if (factor <= 1.0)
        return power;
    if (factor <= 2.0)
        return 2.0 * power;
    return factor <= 5.0 ? 5.0 * power : 10.0 * power;
}

static void find_range(const curve_plot *curve, double *low, double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t i = 0; i < curve->history->n_epochs; i++) {
        const gf_epoch *epoch = &curve->history->epochs[i];
        const double values[2] = {value_at(epoch, curve->train), value_at(epoch, curve->val)};
        for (size_t v = 0; v < 2; v++) {
            if (!isfinite(values[v]))
                continue;
            *low = fmin(*low, values[v]);
            *high = fmax(*high, values[v]);
        }
    }
}

/* Loss starts at 0; accuracy ends at 1 and starts at the round number below the worst epoch. */
static void scale_axis(curve_plot *curve, bool is_accuracy)
{
    double low, high;
    find_range(curve, &low, &high);
    if (is_accuracy) {
        curve->y_max = 1.0;
        curve->y_step = round_step(fmax(1.0 - low, 0.04), 5.0);
        curve->y_min = fmax(0.0, 1.0 - curve->y_step * ceil((1.0 - low) / curve->y_step + 1e-9));
        if (curve->y_min >= 1.0)
            curve->y_min = 1.0 - curve->y_step;
        return;
    }
    curve->y_min = 0.0;
    curve->y_step = round_step(fmax(high, 1e-6) * 1.02, 5.0);
    curve->y_max = curve->y_step * ceil(fmax(high, 1e-6) * 1.02 / curve->y_step);
}

static void draw_ticks(const curve_plot *curve, gf__buffer *out)
{
    const size_t n_ticks = (size_t)lround((curve->y_max - curve->y_min) / curve->y_step);
    for (size_t i = 0; i <= n_ticks; i++) {
        const double value = curve->y_min + (double)i * curve->y_step;
        const double y = place_y(curve, value);
        char label[32];
        snprintf(label, sizeof label, "%.4g", value * curve->tick_scale);
        gf__buffer_printf(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", LEFT, y, WIDTH - RIGHT);
        gf__buffer_printf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s%s</text>",
                          LEFT - 8, y + 4.0, label, curve->tick_scale > 1.0 ? "%" : "");
    }

    const size_t n = curve->history->n_epochs;
    const size_t step = n > 2 ? (size_t)fmax(1.0, round_step((double)n, 8.0)) : 1;
    for (size_t number = 1; number <= n; number = number == 1 && step > 1 ? step : number + step)
        gf__buffer_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%zu</text>",
                          place_x(curve, number - 1), HEIGHT - BOTTOM + 18, number);
    gf__buffer_printf(out, "<path class=\"axis\" d=\"M%d %dH%d\"/>", LEFT, HEIGHT - BOTTOM,
                      WIDTH - RIGHT);
    gf__buffer_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">epoch</text>",
                      (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6);
}

static bool has_values(const gf_history *history, size_t offset)
{
    for (size_t i = 0; i < history->n_epochs; i++)
        if (isfinite(value_at(&history->epochs[i], offset)))
            return true;
    return false;
}

static void draw_line(const curve_plot *curve, size_t offset, const char *css, const char *name,
                      gf__buffer *out)
{
    const gf_history *history = curve->history;
    gf__buffer_printf(out, "<polyline class=\"%s\" points=\"", css);
    for (size_t i = 0; i < history->n_epochs; i++)
        if (isfinite(value_at(&history->epochs[i], offset)))
            gf__buffer_printf(out, "%.1f,%.1f ", place_x(curve, i),
                              place_y(curve, value_at(&history->epochs[i], offset)));
    gf__buffer_puts(out, "\"/>");
    for (size_t i = 0; i < history->n_epochs && history->n_epochs <= MAX_DOTS; i++) {
        const double value = value_at(&history->epochs[i], offset);
        if (isfinite(value))
            gf__buffer_printf(out,
                              "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"><title>epoch "
                              "%d, %s: %.4g%s</title></circle>",
                              css, place_x(curve, i), place_y(curve, value),
                              history->n_epochs > 30 ? "2" : "3", history->epochs[i].number, name,
                              value * curve->tick_scale, curve->tick_scale > 1.0 ? " %" : "");
    }
}

static void draw_legend(const curve_plot *curve, bool has_val, gf__buffer *out)
{
    const int y = 14;
    int x = WIDTH - RIGHT - (has_val ? 176 : 76);
    gf__buffer_printf(out, "<text class=\"name\" x=\"%d\" y=\"%d\">%s</text>", 0, y + 4,
                      curve->title);
    gf__buffer_printf(out,
                      "<polyline class=\"train\" points=\"%d,%d %d,%d\"/><text x=\"%d\" "
                      "y=\"%d\">training</text>",
                      x, y, x + 18, y, x + 24, y + 4);
    x += 86;
    if (has_val)
        gf__buffer_printf(out,
                          "<polyline class=\"val\" points=\"%d,%d %d,%d\"/><text x=\"%d\" "
                          "y=\"%d\">validation</text>",
                          x, y, x + 18, y, x + 24, y + 4);
}

/* The label keeps away from the lines, which end low for loss and high for accuracy. */
static void draw_best(const curve_plot *curve, bool is_accuracy, gf__buffer *out)
{
    const gf_history *history = curve->history;
    if (history->best_epoch < 1 || (size_t)history->best_epoch >= history->n_epochs)
        return; /* the last epoch needs no mark */
    const double x = place_x(curve, (size_t)history->best_epoch - 1);
    const bool is_right = x > WIDTH * 0.7;
    gf__buffer_printf(out,
                      "<path class=\"best\" d=\"M%.1f %dV%d\"/><text x=\"%.1f\" y=\"%d\" "
                      "text-anchor=\"%s\">kept: epoch %d</text>",
                      x, TOP, HEIGHT - BOTTOM, x + (is_right ? -6.0 : 6.0),
                      is_accuracy ? HEIGHT - BOTTOM - 8 : TOP + 12, is_right ? "end" : "start",
                      history->best_epoch);
}

static void draw_curve(curve_plot *curve, bool is_accuracy, gf__buffer *out)
{
    const bool has_val = has_values(curve->history, curve->val);
    scale_axis(curve, is_accuracy);
    gf__buffer_printf(out,
                      "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s over %zu epochs\">",
                      WIDTH, HEIGHT, curve->title, curve->history->n_epochs);
    draw_ticks(curve, out);
    draw_legend(curve, has_val, out);
    draw_best(curve, is_accuracy, out);
    draw_line(curve, curve->train, "train", "training", out);
    if (has_val)
        draw_line(curve, curve->val, "val", "validation", out);
    gf__buffer_puts(out, "</svg>");
}

void gf__report_curves(const gf_history *history, gf__buffer *out)
{
    curve_plot loss = {.title = "Loss",
                       .train = offsetof(gf_epoch, loss),
                       .val = offsetof(gf_epoch, val_loss),
                       .tick_scale = 1.0,
                       .history = history};
    curve_plot accuracy = {.title = "Accuracy",
                           .train = offsetof(gf_epoch, accuracy),
                           .val = offsetof(gf_epoch, val_accuracy),
                           .tick_scale = 100.0,
                           .history = history};
    if (!has_values(history, loss.train) || !has_values(history, accuracy.train))
        return;
    gf__buffer_puts(out, "<section class=\"card\"><h2>Learning curves</h2><div class=\"pair\">");
    draw_curve(&loss, false, out);
    draw_curve(&accuracy, true, out);
    gf__buffer_puts(out, "</div></section>\n");
}

void gf__report_probes(const gf_report *report, gf__buffer *out)
{
    size_t best = 0;
    for (size_t i = 1; i < report->n_probes; i++)
        best = report->probe_accuracy[i] > report->probe_accuracy[best] ? i : best;

    gf__buffer_puts(out,
                    "<section class=\"card\"><h2>Where to cut <small>cross-validated accuracy of a "
                    "linear probe on each layer</small></h2><ol class=\"probes\">");
    for (size_t i = 0; i < report->n_probes; i++) {
        const double accuracy = fmin(fmax(report->probe_accuracy[i], 0.0), 1.0);
        gf__buffer_printf(out, "<li%s><span>", i == best ? " class=\"top\"" : "");
        gf__report_text(out, report->probe_layers[i]);
        gf__buffer_printf(out, "</span><div><i style=\"width:%.1f%%\"></i></div><b>",
                          100.0 * accuracy);
        gf__report_percent(out, report->probe_accuracy[i]);
        gf__buffer_puts(out, "</b></li>");
    }
    gf__buffer_puts(out, "</ol></section>\n");
}

void gf__report_interval(const gf_metrics *metrics, gf__buffer *out)
{
    const double low = 100.0 * metrics->accuracy_low, high = 100.0 * metrics->accuracy_high;
    gf__buffer_printf(
        out,
        "<div class=\"scale\" role=\"img\" aria-label=\"accuracy with its interval on a "
        "scale from 0 to 100 percent\"><div><i style=\"left:%.1f%%;width:%.1f%%\"></i>"
        "<u style=\"left:%.1f%%\"></u></div>"
        "<p><span>0</span><span>25</span><span>50</span><span>75</span><span>100 "
        "%%</span></p></div>",
        low, high - low, 100.0 * metrics->accuracy);
}
