/* image/plot_svg.c: a plot as one SVG element, for a file or inside an HTML page. */
#include "image/image_priv.h"
#include "image/plot_priv.h"

#include <math.h>

/* Two decimals, without the locale's idea of a decimal point. */
static void put_number(gf__buffer *out, double value)
{
    const long long hundredths = isfinite(value) && fabs(value) < 1e9 ? llround(value * 100) : 0;
    const long long size = hundredths < 0 ? -hundredths : hundredths;

    gf__buffer_printf(out, "%s%lld", hundredths < 0 ? "-" : "", size / 100);
    if (size % 10 != 0)
        gf__buffer_printf(out, ".%02lld", size % 100);
    else if (size % 100 != 0)
        gf__buffer_printf(out, ".%lld", size % 100 / 10);
}

static void put_attribute(gf__buffer *out, const char *name, double value)
{
    gf__buffer_printf(out, " %s=\"", name);
    put_number(out, value);
    gf__buffer_puts(out, "\"");
}

static void put_escaped(gf__buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            gf__buffer_puts(out, "&amp;");
            break;
        case '<':
            gf__buffer_puts(out, "&lt;");
            break;
        case '>':
            gf__buffer_puts(out, "&gt;");
            break;
        case '"':
            gf__buffer_puts(out, "&quot;");
            break;
        default:
            gf__buffer_append(out, text, 1);
        }
    }
}

static void put_polyline(gf__buffer *out, const gf__mark *mark)
{
    gf__buffer_puts(out, "<polyline fill=\"none\" stroke-linejoin=\"round\"");
    gf__buffer_printf(out, " stroke=\"#%06x\"", mark->colour & 0xFFFFFF);
    put_attribute(out, "stroke-width", mark->size);
    gf__buffer_puts(out, " points=\"");
    for (size_t i = 0; i < mark->n_points; i++) {
        gf__buffer_puts(out, i > 0 ? " " : "");
        put_number(out, mark->xy[2 * i]);
        gf__buffer_puts(out, ",");
        put_number(out, mark->xy[2 * i + 1]);
    }
    gf__buffer_puts(out, "\"/>\n");
}

static void put_place(gf__buffer *out, const gf__mark *mark)
{
    put_attribute(out, "x", mark->x);
    put_attribute(out, "y", mark->y);
    put_attribute(out, "width", mark->width);
    put_attribute(out, "height", mark->height);
}

static void put_rect(gf__buffer *out, const gf__mark *mark)
{
    gf__buffer_puts(out, "<rect");
    put_place(out, mark);
    gf__buffer_printf(out, " fill=\"#%06x\"/>\n", mark->colour & 0xFFFFFF);
}

static void put_text(gf__buffer *out, const gf__mark *mark)
{
    const char *anchor = mark->anchor < 0 ? "start" : mark->anchor > 0 ? "end" : "middle";

    gf__buffer_puts(out, "<text");
    put_attribute(out, "x", mark->x);
    put_attribute(out, "y", mark->y);
    put_attribute(out, "font-size", mark->size);
    gf__buffer_printf(out, " text-anchor=\"%s\" fill=\"#%06x\"", anchor, mark->colour & 0xFFFFFF);
    if (mark->is_bold)
        gf__buffer_puts(out, " font-weight=\"bold\"");
    if (mark->is_upright) {
        gf__buffer_puts(out, " transform=\"rotate(-90 ");
        put_number(out, mark->x);
        gf__buffer_puts(out, " ");
        put_number(out, mark->y);
        gf__buffer_puts(out, ")\"");
    }
    gf__buffer_puts(out, ">");
    put_escaped(out, mark->text);
    gf__buffer_puts(out, "</text>\n");
}

/* As an embedded PNG. */
static gf_status put_pixels(gf__buffer *out, const gf__mark *mark, gf_error *err)
{
    gf_image *image = NULL;
    uint8_t *png = NULL;
    size_t n_bytes = 0;

    gf_status st = gf__image_new(mark->n_columns, mark->n_rows, &image, err);
    if (st != GF_OK)
        goto done;
    for (size_t i = 0; i < 3 * mark->n_rows * mark->n_columns; i++)
        image->rgb[i] = mark->grey[i / 3];
    st = gf_image_encode_png(image, &png, &n_bytes, err);
    if (st != GF_OK)
        goto done;
    gf__buffer_puts(out, "<image");
    put_place(out, mark);
    gf__buffer_puts(out, " preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\""
                         " href=\"data:image/png;base64,");
    gf__buffer_base64(out, png, n_bytes);
    gf__buffer_puts(out, "\"/>\n");
done:
    gf_image_bytes_free(png);
    gf_image_free(image);
    return st;
}

gf_status gf__plot_to_svg(const gf__plot *plot, gf__buffer *out, gf_error *err)
{
    gf__buffer_printf(out,
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%zu\" height=\"%zu\""
                      " viewBox=\"0 0 %zu %zu\" font-family=\"system-ui, sans-serif\">\n"
                      "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
                      plot->width, plot->height, plot->width, plot->height);
    for (size_t i = 0; i < plot->n_marks; i++) {
        const gf__mark *mark = &plot->marks[i];
        gf_status st = GF_OK;
        switch (mark->kind) {
        case GF__MARK_POLYLINE:
            put_polyline(out, mark);
            break;
        case GF__MARK_RECT:
            put_rect(out, mark);
            break;
        case GF__MARK_TEXT:
            put_text(out, mark);
            break;
        case GF__MARK_PIXELS:
            st = put_pixels(out, mark, err);
            break;
        }
        if (st != GF_OK)
            return st;
    }
    gf__buffer_puts(out, "</svg>\n");
    return gf__buffer_status(out, err);
}
