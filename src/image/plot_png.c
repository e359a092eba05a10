/* image/plot_png.c: a plot as a PNG, drawn by cairo.
 *
 * Cairo brings twenty other shared libraries that a prediction must not wait for, so it is loaded
 * when the first plot is saved as PNG: types come from its headers, functions from a table. */
#include "image/image_priv.h"
#include "image/plot_priv.h"

#include <dlfcn.h>
#include <string.h>

#include <cairo.h>

#define CAIRO_LIBRARY "libcairo.so.2"

#define CAIRO_FUNCTIONS(X)      \
    X(image_surface_create)     \
    X(image_surface_get_data)   \
    X(image_surface_get_stride) \
    X(surface_flush)            \
    X(surface_mark_dirty)       \
    X(surface_status)           \
    X(surface_destroy)          \
    X(create)                   \
    X(destroy)                  \
    X(status)                   \
    X(save)                     \
    X(restore)                  \
    X(set_source_rgb)           \
    X(paint)                    \
    X(set_line_width)           \
    X(set_line_join)            \
    X(move_to)                  \
    X(line_to)                  \
    X(stroke)                   \
    X(rectangle)                \
    X(fill)                     \
    X(translate)                \
    X(rotate)                   \
    X(scale)                    \
    X(select_font_face)         \
    X(set_font_size)            \
    X(text_extents)             \
    X(show_text)                \
    X(set_source_surface)       \
    X(get_source)               \
    X(pattern_set_filter)

typedef struct cairo_functions {
#define DECLARE(name) __typeof__(cairo_##name) *name;
    CAIRO_FUNCTIONS(DECLARE)
#undef DECLARE
} cairo_functions;

/* The library stays loaded: fontconfig keeps caches that do not survive being unloaded. */
static gf_status load_cairo(cairo_functions *out, gf_error *err)
{
    static const struct {
        const char *name;
        size_t offset;
    } functions[] = {
#define ENTRY(name) {"cairo_" #name, offsetof(cairo_functions, name)},
        CAIRO_FUNCTIONS(ENTRY)
#undef ENTRY
    };

    void *library = dlopen(CAIRO_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "a plot as .png needs %s, which cannot be loaded; .svg needs nothing",
                            CAIRO_LIBRARY);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *symbol = dlsym(library, functions[i].name);
        if (symbol == NULL)
            return gf_error_set(err, GF_EUNSUPPORTED, "%s has no %s", CAIRO_LIBRARY,
                                functions[i].name);
        memcpy((char *)out + functions[i].offset, &symbol, sizeof symbol);
    }
    return GF_OK;
}

typedef struct canvas {
    cairo_functions cairo;
    cairo_t *context;
} canvas;

static void set_colour(const canvas *c, uint32_t colour)
{
    c->cairo.set_source_rgb(c->context, (double)(colour >> 16 & 255) / 255,
                            (double)(colour >> 8 & 255) / 255, (double)(colour & 255) / 255);
}

static void draw_polyline(const canvas *c, const gf__mark *mark)
{
    set_colour(c, mark->colour);
    c->cairo.set_line_width(c->context, mark->size);
    c->cairo.set_line_join(c->context, CAIRO_LINE_JOIN_ROUND);
    for (size_t i = 0; i < mark->n_points; i++) {
        if (i == 0)
            c->cairo.move_to(c->context, mark->xy[0], mark->xy[1]);
        else
            c->cairo.line_to(c->context, mark->xy[2 * i], mark->xy[2 * i + 1]);
    }
    c->cairo.stroke(c->context);
}

static void draw_rect(const canvas *c, const gf__mark *mark)
{
    set_colour(c, mark->colour);
    c->cairo.rectangle(c->context, mark->x, mark->y, mark->width, mark->height);
    c->cairo.fill(c->context);
}

static void draw_text(const canvas *c, const gf__mark *mark)
{
    static const double quarter_turn = -1.57079632679489662;
    cairo_text_extents_t extents;

    c->cairo.save(c->context);
    set_colour(c, mark->colour);
    c->cairo.select_font_face(c->context, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                              mark->is_bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    c->cairo.set_font_size(c->context, mark->size);
    c->cairo.translate(c->context, mark->x, mark->y);
    if (mark->is_upright)
        c->cairo.rotate(c->context, quarter_turn);
    c->cairo.text_extents(c->context, mark->text, &extents);
    c->cairo.move_to(c->context, -extents.x_advance * (mark->anchor + 1) / 2, 0);
    c->cairo.show_text(c->context, mark->text);
    c->cairo.restore(c->context);
}

/* RGB24 surfaces hold 0x00RRGGBB words. */
static void draw_pixels(const canvas *c, const gf__mark *mark)
{
    cairo_surface_t *surface = c->cairo.image_surface_create(
        CAIRO_FORMAT_RGB24, (int)mark->n_columns, (int)mark->n_rows);
    unsigned char *data = c->cairo.image_surface_get_data(surface);
    const size_t stride = (size_t)c->cairo.image_surface_get_stride(surface);

    for (size_t y = 0; data != NULL && y < mark->n_rows; y++) {
        for (size_t x = 0; x < mark->n_columns; x++) {
            const uint32_t word = 0x010101U * mark->grey[y * mark->n_columns + x];
            memcpy(data + y * stride + 4 * x, &word, sizeof word);
        }
    }
    c->cairo.surface_mark_dirty(surface);
    c->cairo.save(c->context);
    c->cairo.translate(c->context, mark->x, mark->y);
    c->cairo.scale(c->context, mark->width / (double)mark->n_columns,
                   mark->height / (double)mark->n_rows);
    c->cairo.set_source_surface(c->context, surface, 0, 0);
    c->cairo.pattern_set_filter(c->cairo.get_source(c->context), CAIRO_FILTER_NEAREST);
    c->cairo.rectangle(c->context, 0, 0, (double)mark->n_columns, (double)mark->n_rows);
    c->cairo.fill(c->context);
    c->cairo.restore(c->context);
    c->cairo.surface_destroy(surface);
}

static void draw_marks(const canvas *c, const gf__plot *plot)
{
    static void (*const draw[])(const canvas *c, const gf__mark *mark) = {
        [GF__MARK_POLYLINE] = draw_polyline,
        [GF__MARK_RECT] = draw_rect,
        [GF__MARK_TEXT] = draw_text,
        [GF__MARK_PIXELS] = draw_pixels,
    };

    set_colour(c, 0xFFFFFF);
    c->cairo.paint(c->context);
    for (size_t i = 0; i < plot->n_marks; i++)
        draw[plot->marks[i].kind](c, &plot->marks[i]);
}

static gf_status encode_surface(const canvas *c, cairo_surface_t *surface, const gf__plot *plot,
                                uint8_t **bytes, size_t *n_bytes, gf_error *err)
{
    gf_image *image = NULL;

    gf_status st = gf__image_new(plot->width, plot->height, &image, err);
    if (st != GF_OK)
        return st;
    c->cairo.surface_flush(surface);
    const unsigned char *data = c->cairo.image_surface_get_data(surface);
    const size_t stride = (size_t)c->cairo.image_surface_get_stride(surface);
    for (size_t y = 0; y < plot->height; y++) {
        uint8_t *pixel = image->rgb + 3 * plot->width * y;
        for (size_t x = 0; x < plot->width; x++, pixel += 3) {
            uint32_t word;
            memcpy(&word, data + y * stride + 4 * x, sizeof word);
            pixel[0] = (uint8_t)(word >> 16);
            pixel[1] = (uint8_t)(word >> 8);
            pixel[2] = (uint8_t)word;
        }
    }
    st = gf_image_encode_png(image, bytes, n_bytes, err);
    gf_image_free(image);
    return st;
}

gf_status gf__plot_to_png(const gf__plot *plot, uint8_t **bytes, size_t *n_bytes, gf_error *err)
{
    canvas c = {.context = NULL};
    cairo_surface_t *surface = NULL;

    *bytes = NULL;
    gf_status st = load_cairo(&c.cairo, err);
    if (st != GF_OK)
        return st;
    surface = c.cairo.image_surface_create(CAIRO_FORMAT_RGB24, (int)plot->width, (int)plot->height);
    c.context = c.cairo.create(surface);
    draw_marks(&c, plot);
    /* A surface or context that could not be made ignores all calls and says so here. */
    if (c.cairo.status(c.context) != CAIRO_STATUS_SUCCESS ||
        c.cairo.surface_status(surface) != CAIRO_STATUS_SUCCESS)
        st = gf_error_set(err, GF_ENOMEM, "cairo could not draw a plot of %zux%zu pixels",
                          plot->width, plot->height);
    else
        st = encode_surface(&c, surface, plot, bytes, n_bytes, err);
    c.cairo.destroy(c.context);
    c.cairo.surface_destroy(surface);
    return st;
}
