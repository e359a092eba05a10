/* image/plot_priv.h: what a plot remembers, and the two writers that draw it. */
#ifndef GRAFT_PLOT_PRIV_H
#define GRAFT_PLOT_PRIV_H

#include "base/base.h"
#include "image/image.h"

typedef enum gf__mark_kind {
    GF__MARK_POLYLINE, /* a line is one of two points */
    GF__MARK_RECT,
    GF__MARK_TEXT,
    GF__MARK_PIXELS
} gf__mark_kind;

typedef struct gf__mark {
    gf__mark_kind kind;
    uint32_t colour;
    double x, y, width, height; /* rectangle and pixels; text uses x, y of its baseline */
    double size;                /* line width, or font size */
    int anchor;                 /* text: -1 starts at x, 0 centred, 1 ends there */
    bool is_bold, is_upright;   /* text: upright reads from the bottom to the top */
    double *xy;                 /* polyline: n_points pairs, all finite */
    size_t n_points;
    char *text; /* valid UTF-8 without control characters */
    uint8_t *grey;
    size_t n_rows, n_columns;
} gf__mark;

struct gf__plot {
    size_t width, height;
    gf__mark *marks;
    size_t n_marks, capacity;
    bool failed; /* a mark ran out of memory */
};

/* Encoded files, new, ended with gf__free(). */
gf_status gf__plot_to_svg(const gf__plot *plot, gf__buffer *out, gf_error *err);
gf_status gf__plot_to_png(const gf__plot *plot, uint8_t **bytes, size_t *n_bytes, gf_error *err);

#endif
