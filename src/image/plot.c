/* image/plot.c: drawings as a list of marks, axes with round ticks, and the file they are saved to.
 *
 * Marks are kept as given; plot_svg.c and plot_png.c turn the same list into text or pixels. Adding
 * a mark does not fail: a missing allocation is remembered and comes back from saving. */
#include "image/plot_priv.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_SIDE 16384

enum {
    INK = 0x222222,
    FAINT_INK = 0x666666,
    GRID = 0xE6E6E6,
    BASE_LINE = 0x999999,
};

gf_status gf__plot_new(size_t width, size_t height, gf__plot **out, gf_error *err)
{
    *out = NULL;
    if (width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE)
        return gf_error_set(err, GF_EINVAL, "a plot of %zux%zu pixels; sides are 1 to %d", width,
                            height, MAX_SIDE);
    gf__plot *plot = gf__calloc(1, sizeof *plot);
    if (plot == NULL)
        return gf__error_nomem(err, "a plot", sizeof *plot);
    plot->width = width;
    plot->height = height;
    *out = plot;
    return GF_OK;
}

void gf__plot_free(gf__plot *plot)
{
    if (plot == NULL)
        return;
    for (size_t i = 0; i < plot->n_marks; i++) {
        gf__free(plot->marks[i].xy);
        gf__free(plot->marks[i].text);
        gf__free(plot->marks[i].grey);
    }
    gf__free(plot->marks);
    gf__free(plot);
}

/* Takes over what the mark owns. */
static void add_mark(gf__plot *plot, gf__mark mark)
{
    if (plot->n_marks == plot->capacity) {
        const size_t capacity = plot->capacity > 0 ? 2 * plot->capacity : 32;
        gf__mark *marks = gf__realloc(plot->marks, capacity * sizeof *marks);
        if (marks == NULL) {
            plot->failed = true;
            gf__free(mark.xy);
            gf__free(mark.text);
            gf__free(mark.grey);
            return;
        }
        plot->marks = marks;
        plot->capacity = capacity;
    }
    plot->marks[plot->n_marks++] = mark;
}

void gf__plot_line(gf__plot *plot, double x0, double y0, double x1, double y1, uint32_t colour,
                   double width)
{
    const double xy[4] = {x0, y0, x1, y1};
    gf__plot_polyline(plot, xy, 2, colour, width);
}

/* Points that are no numbers (a loss that diverged) are left out. */
void gf__plot_polyline(gf__plot *plot, const double *xy, size_t n_points, uint32_t colour,
                       double width)
{
    gf__mark mark = {.kind = GF__MARK_POLYLINE, .colour = colour, .size = width};

    mark.xy = gf__calloc(n_points, 2 * sizeof *mark.xy);
    if (mark.xy == NULL) {
        plot->failed = true;
        return;
    }
    for (size_t i = 0; i < n_points; i++) {
        if (!isfinite(xy[2 * i]) || !isfinite(xy[2 * i + 1]))
            continue;
        mark.xy[2 * mark.n_points] = xy[2 * i];
        mark.xy[2 * mark.n_points + 1] = xy[2 * i + 1];
        mark.n_points++;
    }
    add_mark(plot, mark);
}

void gf__plot_rect(gf__plot *plot, double x, double y, double width, double height, uint32_t fill)
{
    if (!isfinite(x) || !isfinite(y) || !(width > 0) || !(height > 0))
        return;
    add_mark(plot, (gf__mark){.kind = GF__MARK_RECT,
                              .colour = fill,
                              .x = x,
                              .y = y,
                              .width = width,
                              .height = height});
}

/* Class names come from folders, which may be called anything: what is not UTF-8, and control
 * characters, which neither XML nor cairo take, become question marks. */
static char *clean_text(const char *text)
{
    char *clean = gf__strdup(text);

    for (size_t at = 0; clean != NULL && clean[at] != '\0';) {
        const size_t n = gf__utf8_length(clean + at, strlen(clean + at));
        const unsigned char first = (unsigned char)clean[at];
        if (n == 0 || first < 0x20 || first == 0x7F)
            clean[at] = '?';
        at += n > 0 ? n : 1;
    }
    return clean;
}

static void add_text(gf__plot *plot, gf__mark mark, const char *text)
{
    mark.kind = GF__MARK_TEXT;
    mark.text = clean_text(text);
    if (mark.text == NULL)
        plot->failed = true;
    else
        add_mark(plot, mark);
}

void gf__plot_text(gf__plot *plot, double x, double y, int anchor, double size, uint32_t colour,
                   const char *text)
{
    add_text(plot, (gf__mark){.x = x, .y = y, .anchor = anchor, .size = size, .colour = colour},
             text);
}

void gf__plot_pixels(gf__plot *plot, double x, double y, double width, double height,
                     const uint8_t *grey, size_t n_rows, size_t n_columns)
{
    gf__mark mark = {.kind = GF__MARK_PIXELS,
                     .x = x,
                     .y = y,
                     .width = width,
                     .height = height,
                     .n_rows = n_rows,
                     .n_columns = n_columns};
    size_t n_bytes = 0;

    if (n_rows == 0 || n_columns == 0 || !gf__mul_size(n_rows, n_columns, &n_bytes))
        return;
    mark.grey = gf__malloc(n_bytes);
    if (mark.grey == NULL) {
        plot->failed = true;
        return;
    }
    memcpy(mark.grey, grey, n_bytes);
    add_mark(plot, mark);
}

static double place(double value, double min, double max)
{
    return max > min ? (value - min) / (max - min) : 0.5;
}

double gf__plot_x(const gf__plot_frame *frame, double x)
{
    return frame->left + frame->width * place(x, frame->x_min, frame->x_max);
}

double gf__plot_y(const gf__plot_frame *frame, double y)
{
    return frame->top + frame->height * (1.0 - place(y, frame->y_min, frame->y_max));
}

/* The smallest of 1, 2, 5 times a power of ten that gives at most n_most steps; 0 where the range
 * is empty. */
static double round_step(double min, double max, double n_most)
{
    static const double factors[] = {1, 2, 5, 10};
    const double least = (max - min) / n_most;

    if (!(least > 0) || !isfinite(least))
        return 0;
    const double power = pow(10, floor(log10(least)));
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        if (factors[i] * power >= least * (1 - 1e-9))
            return factors[i] * power;
    }
    return 10 * power;
}

/* With the digits that the step needs: 0.25 beside 0.50. */
static void format_tick(double value, double step, char text[32])
{
    const double digits = -floor(log10(step) + 1e-9);

    if (digits > 5 || fabs(value) >= 1e6)
        snprintf(text, 32, "%g", value);
    else
        snprintf(text, 32, "%.*f", digits > 0 ? (int)digits : 0, value + 0.0);
}

/* Lines of one pixel are sharp on the middle of pixels. */
static double sharp(double at)
{
    return floor(at) + 0.5;
}

/* Ticks of a frame's side: multiples of step, from the first inside. Counted as integers: beyond
 * 2^53 adding one to a double goes nowhere. */
typedef struct tick_range {
    double step, first;
    int n;
} tick_range;

static tick_range find_ticks(double min, double max, double n_most)
{
    tick_range ticks = {.step = round_step(min, max, n_most)};

    if (ticks.step <= 0)
        return ticks;
    ticks.first = ceil(min / ticks.step - 1e-9);
    const double n = floor(max / ticks.step + 1e-9) - ticks.first + 1;
    ticks.n = n > 0 ? (int)fmin(n, n_most + 1) : 0;
    return ticks;
}

static void draw_x_ticks(gf__plot *plot, const gf__plot_frame *frame)
{
    const tick_range ticks = find_ticks(frame->x_min, frame->x_max, fmax(2, frame->width / 70));
    const double bottom = frame->top + frame->height;

    for (int i = 0; i < ticks.n; i++) {
        const double value = (ticks.first + i) * ticks.step;
        const double x = gf__plot_x(frame, value);
        char text[32];
        gf__plot_line(plot, sharp(x), sharp(bottom), sharp(x), sharp(bottom) + 4, BASE_LINE, 1);
        format_tick(value, ticks.step, text);
        gf__plot_text(plot, x, bottom + 17, 0, 11, FAINT_INK, text);
    }
}

static void draw_y_ticks(gf__plot *plot, const gf__plot_frame *frame)
{
    const tick_range ticks = find_ticks(frame->y_min, frame->y_max, fmax(2, frame->height / 40));

    for (int i = 0; i < ticks.n; i++) {
        const double value = (ticks.first + i) * ticks.step;
        const double y = gf__plot_y(frame, value);
        char text[32];
        gf__plot_line(plot, frame->left, sharp(y), frame->left + frame->width, sharp(y), GRID, 1);
        format_tick(value, ticks.step, text);
        gf__plot_text(plot, frame->left - 8, y + 4, 1, 11, FAINT_INK, text);
    }
}

void gf__plot_axes(gf__plot *plot, const gf__plot_frame *frame, const char *title,
                   const char *x_label, const char *y_label)
{
    const double bottom = frame->top + frame->height;
    const double middle = frame->top + frame->height / 2;

    draw_y_ticks(plot, frame);
    draw_x_ticks(plot, frame);
    gf__plot_line(plot, frame->left, sharp(bottom), frame->left + frame->width, sharp(bottom),
                  BASE_LINE, 1);
    if (title != NULL)
        add_text(plot,
                 (gf__mark){.x = frame->left,
                            .y = frame->top - 12,
                            .anchor = -1,
                            .size = 15,
                            .colour = INK,
                            .is_bold = true},
                 title);
    if (x_label != NULL)
        gf__plot_text(plot, frame->left + frame->width / 2, bottom + 36, 0, 12, FAINT_INK, x_label);
    if (y_label != NULL)
        add_text(plot,
                 (gf__mark){.x = frame->left - 44,
                            .y = middle,
                            .size = 12,
                            .colour = FAINT_INK,
                            .is_upright = true},
                 y_label);
}

static gf_status check_plot(const gf__plot *plot, gf_error *err)
{
    return plot->failed ? gf__error_nomem(err, "a plot", 0) : GF_OK;
}

gf_status gf__plot_svg(const gf__plot *plot, char **svg, gf_error *err)
{
    gf__buffer text = {0};

    *svg = NULL;
    gf_status st = check_plot(plot, err);
    if (st != GF_OK)
        return st;
    st = gf__plot_to_svg(plot, &text, err);
    if (st == GF_OK)
        *svg = gf__buffer_take(&text, NULL);
    gf__buffer_free(&text);
    return st;
}

static gf_status save_svg(const gf__plot *plot, const char *path, gf_error *err)
{
    char *svg = NULL;

    gf_status st = gf__plot_svg(plot, &svg, err);
    if (st == GF_OK)
        st = gf__write_file(path, svg, strlen(svg), err);
    gf__free(svg);
    return st;
}

static gf_status save_png(const gf__plot *plot, const char *path, gf_error *err)
{
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;

    gf_status st = check_plot(plot, err);
    if (st == GF_OK)
        st = gf__plot_to_png(plot, &bytes, &n_bytes, err);
    if (st == GF_OK)
        st = gf__write_file(path, bytes, n_bytes, err);
    gf__free(bytes);
    return st;
}

gf_status gf__plot_save(const gf__plot *plot, const char *path, gf_error *err)
{
    const char *extension = gf__path_extension(path);

    if (strcasecmp(extension, ".svg") == 0)
        return save_svg(plot, path, err);
    if (strcasecmp(extension, ".png") == 0)
        return save_png(plot, path, err);
    return gf_error_set(err, GF_EINVAL, "%s: a plot is saved as .svg or .png, not \"%s\"", path,
                        extension);
}
