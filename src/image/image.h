/* image/image.h: the door of image for other folders. */
#ifndef GRAFT_SRC_IMAGE_H
#define GRAFT_SRC_IMAGE_H

#include "graft/image.h"

/* The version of decode + resize as a whole. It is part of every feature's identity: raise it when
 * a change here can change a pixel, and old cached features are no longer found. */
#define GF__IMAGE_RECIPE_VERSION 1

/* Buffers that live across pictures: a fresh 36 MB buffer of 4 KiB pages costs more than decoding
 * into it. One per thread. NULL is allowed where a scratch is asked for. */
typedef struct gf__image_scratch gf__image_scratch;
gf_status gf__image_scratch_new(gf__image_scratch **out, gf_error *err);
void gf__image_scratch_free(gf__image_scratch *scratch);

/* Decode (at the fitting DCT scale), turn, blend, resize: bytes in, width x height x 3 bytes out.
 * The one path from a picture file to a network's input. */
gf_status gf__image_decode_resized(const void *bytes, size_t n_bytes, uint64_t max_pixels,
                                   size_t width, size_t height, gf__image_scratch *scratch,
                                   uint8_t *rgb, gf_error *err);

/* 64-bit difference hash of a picture (9x8 grey, neighbours compared), for finding near duplicates:
 * equal pictures at other sizes or qualities differ in a few bits. */
uint64_t gf__image_difference_hash(const gf_image *image);

/* Plots: a canvas of vector marks that becomes SVG text or a PNG. Units are pixels, origin top
 * left; colours 0xRRGGBB. Marks are remembered, so one drawing gives both files. */
typedef struct gf__plot gf__plot;
gf_status gf__plot_new(size_t width, size_t height, gf__plot **out, gf_error *err);
void gf__plot_free(gf__plot *plot);
void gf__plot_line(gf__plot *plot, double x0, double y0, double x1, double y1, uint32_t colour,
                   double width);
void gf__plot_polyline(gf__plot *plot, const double *xy, size_t n_points, uint32_t colour,
                       double width); /* x0 y0 x1 y1 ... */
void gf__plot_rect(gf__plot *plot, double x, double y, double width, double height, uint32_t fill);
/* anchor: -1 starts at x, 0 centred, 1 ends at x. */
void gf__plot_text(gf__plot *plot, double x, double y, int anchor, double size, uint32_t colour,
                   const char *text);
/* A grey picture (0..255, n_rows x n_columns), scaled to the rectangle without smoothing. */
void gf__plot_pixels(gf__plot *plot, double x, double y, double width, double height,
                     const uint8_t *grey, size_t n_rows, size_t n_columns);
/* Axes with ticks at round numbers inside a frame, a title, and functions to place data in it. */
typedef struct gf__plot_frame {
    double left, top, width, height; /* of the data area */
    double x_min, x_max, y_min, y_max;
} gf__plot_frame;
void gf__plot_axes(gf__plot *plot, const gf__plot_frame *frame, const char *title,
                   const char *x_label, const char *y_label);
double gf__plot_x(const gf__plot_frame *frame, double x);
double gf__plot_y(const gf__plot_frame *frame, double y);
/* By the path's ending: .svg or .png; anything else is GF_EINVAL. */
gf_status gf__plot_save(const gf__plot *plot, const char *path, gf_error *err);
/* The SVG element as text, for a page. *svg is new, ended with gf__free(). */
gf_status gf__plot_svg(const gf__plot *plot, char **svg, gf_error *err);

#endif
