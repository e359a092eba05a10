/* service/plot.c: features as a picture: the article's line plot of a vector, and strips of feature
 * maps. */
#include <stdio.h>
#include <string.h>

#include "service/service_priv.h"

#define PLOT_WIDTH    1200.0
#define ROW_HEIGHT    300.0
#define MARGIN_LEFT   64.0
#define MARGIN_RIGHT  24.0
#define MARGIN_TOP    44.0
#define MARGIN_BOTTOM 52.0
#define LINE_COLOUR   0x1F77B4
#define TEXT_COLOUR   0x222222
#define MAX_MAPS      16
#define MAP_GAP       6.0

static void value_range(const float *values, size_t n, double *low, double *high)
{
    *low = *high = (double)values[0];
    for (size_t i = 1; i < n; i++) {
        if ((double)values[i] < *low)
            *low = (double)values[i];
        if ((double)values[i] > *high)
            *high = (double)values[i];
    }
    if (*low >= 0)
        *low = 0; /* what follows a ReLU is read against zero */
    if (*high <= *low)
        *high = *low + 1;
}

static gf_status draw_vector(gf__plot *plot, double top, const char *layer, const float *values,
                             size_t n, gf_error *err)
{
    double *xy = gf__calloc(2 * n, sizeof *xy);
    if (xy == NULL)
        return gf__error_nomem(err, "plot", 2 * n * sizeof *xy);
    gf__plot_frame frame = {.left = MARGIN_LEFT,
                            .top = top + MARGIN_TOP,
                            .width = PLOT_WIDTH - MARGIN_LEFT - MARGIN_RIGHT,
                            .height = ROW_HEIGHT - MARGIN_TOP - MARGIN_BOTTOM,
                            .x_min = 0,
                            .x_max = n > 1 ? (double)(n - 1) : 1};
    value_range(values, n, &frame.y_min, &frame.y_max);
    for (size_t i = 0; i < n; i++) {
        xy[2 * i] = gf__plot_x(&frame, (double)i);
        xy[2 * i + 1] = gf__plot_y(&frame, (double)values[i]);
    }
    char title[128];
    snprintf(title, sizeof title, "%s: %zu values", layer, n);
    gf__plot_axes(plot, &frame, title, "feature", "value");
    gf__plot_polyline(plot, xy, n, LINE_COLOUR, 1.0);
    gf__free(xy);
    return GF_OK;
}

/* One map, its own smallest value black and largest white: maps of one layer differ too much in
 * scale to share one. */
static void grey_map(const float *values, size_t n_pixels, size_t n_channels, size_t channel,
                     uint8_t *grey)
{
    float low = values[channel], high = low;
    for (size_t i = 0; i < n_pixels; i++) {
        const float v = values[i * n_channels + channel];
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    const float scale = high > low ? 255.0F / (high - low) : 0.0F;
    for (size_t i = 0; i < n_pixels; i++)
        grey[i] = (uint8_t)((values[i * n_channels + channel] - low) * scale + 0.5F);
}

static gf_status draw_maps(gf__plot *plot, double top, const char *layer, const float *values,
                           const size_t *shape, gf_error *err)
{
    const size_t height = shape[0], width = shape[1], n_channels = shape[2];
    const size_t n_maps = n_channels < MAX_MAPS ? n_channels : MAX_MAPS;
    const size_t n_columns = n_maps < MAX_MAPS / 2 ? n_maps : MAX_MAPS / 2;
    uint8_t *grey = gf__malloc(height * width);
    if (grey == NULL)
        return gf__error_nomem(err, "feature map", height * width);
    const double side = (ROW_HEIGHT - MARGIN_TOP - MARGIN_BOTTOM / 2) / 2 - MAP_GAP;
    char title[160];
    snprintf(title, sizeof title, "%s: first %zu of %zu maps, %zux%zu", layer, n_maps, n_channels,
             height, width);
    gf__plot_text(plot, MARGIN_LEFT, top + MARGIN_TOP - 16, -1, 15, TEXT_COLOUR, title);
    for (size_t m = 0; m < n_maps; m++) {
        const double x = MARGIN_LEFT + (double)(m % n_columns) * (side + MAP_GAP);
        const double y = top + MARGIN_TOP + (double)(m / n_columns) * (side + MAP_GAP);
        grey_map(values, height * width, n_channels, m, grey);
        gf__plot_pixels(plot, x, y, side, side, grey, height, width);
    }
    gf__free(grey);
    return GF_OK;
}

gf_status gf_features_plot(const gf_features_result *result, const char *path, gf_error *err)
{
    gf__plot *plot = NULL;
    gf_status st = gf__plot_new((size_t)PLOT_WIDTH, (size_t)ROW_HEIGHT * result->n_layers, &plot,
                                err);
    for (size_t i = 0; i < result->n_layers && st == GF_OK; i++) {
        const size_t *shape = gf_tensor_shape(result->features[i]);
        const float *values = gf_tensor_f32(result->features[i]);
        const double top = ROW_HEIGHT * (double)i;
        if (gf_tensor_n_dims(result->features[i]) == 4)
            st = draw_maps(plot, top, result->layers[i], values, shape + 1, err);
        else
            st = draw_vector(plot, top, result->layers[i], values, shape[1], err);
    }
    if (st == GF_OK)
        st = gf__plot_save(plot, path, err);
    gf__plot_free(plot);
    return st;
}
