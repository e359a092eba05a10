/* image plot: one drawing as SVG and as PNG, ticks at round numbers, and text that comes from
 * anywhere. */
#include "check.h"

#include "base/base.h"
#include "image/image.h"

/* As tests/lsan.supp, for runs that do not read it. */
GF_API const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig";
}

static gf__plot *new_plot(void)
{
    gf__plot *plot = NULL;
    CHECK_OK(gf__plot_new(400, 300, &plot, &check_err));
    return plot;
}

/* Of the SVG of a plot, which is freed. Ended with gf__free(). */
static char *take_svg(gf__plot *plot)
{
    char *svg = NULL;
    CHECK_OK(gf__plot_svg(plot, &svg, &check_err));
    gf__plot_free(plot);
    return svg;
}

static void check_contains(const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) == NULL)
        fail_msg("expected \"%s\" in:\n%s", part, text != NULL ? text : "(nothing)");
}

static void check_lacks(const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) != NULL)
        fail_msg("expected no \"%s\" in:\n%s", part, text != NULL ? text : "(nothing)");
}

TEST(plot_svg__holds_each_mark)
{
    static const double xy[] = {1, 2, 3.5, 4.25, 5, -6};
    static const uint8_t grey[4] = {0, 255, 128, 64};
    gf__plot *plot = new_plot();
    gf__plot_line(plot, 0, 0, 10, 20, 0x112233, 1.5);
    gf__plot_polyline(plot, xy, 3, 0xAABBCC, 2);
    gf__plot_rect(plot, 5, 6, 7, 8, 0xFF0000);
    gf__plot_text(plot, 9, 10, 1, 12, 0x000000, "right");
    gf__plot_pixels(plot, 20, 30, 40, 50, grey, 2, 2);
    char *svg = take_svg(plot);
    check_contains(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"400\" height=\"300\"");
    check_contains(svg, "stroke=\"#112233\" stroke-width=\"1.5\" points=\"0,0 10,20\"");
    check_contains(svg, "stroke=\"#aabbcc\" stroke-width=\"2\" points=\"1,2 3.5,4.25 5,-6\"");
    check_contains(svg, "<rect x=\"5\" y=\"6\" width=\"7\" height=\"8\" fill=\"#ff0000\"/>");
    check_contains(svg, "text-anchor=\"end\" fill=\"#000000\">right</text>");
    check_contains(svg, "<image x=\"20\" y=\"30\" width=\"40\" height=\"50\"");
    check_contains(svg, "href=\"data:image/png;base64,iVBORw0KGgo");
    CHECK_STR(svg + strlen(svg) - 7, "</svg>\n");
    gf__free(svg);
}

TEST(plot_svg__escapes_text)
{
    gf__plot *plot = new_plot();
    gf__plot_text(plot, 0, 0, -1, 12, 0, "<script>\"a\" & b</script>");
    gf__plot_text(plot, 0, 0, -1, 12, 0, "caf\xC3\xA9 \xFF\x01\n.");
    char *svg = take_svg(plot);
    check_contains(svg, ">&lt;script&gt;&quot;a&quot; &amp; b&lt;/script&gt;<");
    check_contains(svg, ">caf\xC3\xA9 ???.<");
    gf__free(svg);
}

TEST(plot_svg__leaves_out_points_that_are_no_numbers)
{
    const double xy[] = {1, 1, 2, (double)NAN, 3, (double)INFINITY, 4, 4};
    gf__plot *plot = new_plot();
    gf__plot_polyline(plot, xy, 4, 0, 1);
    char *svg = take_svg(plot);
    check_contains(svg, "points=\"1,1 4,4\"");
    gf__free(svg);
}

static char *axes_svg(double x_min, double x_max, double y_min, double y_max)
{
    const gf__plot_frame frame = {60, 40, 320, 200, x_min, x_max, y_min, y_max};
    gf__plot *plot = new_plot();
    gf__plot_axes(plot, &frame, "Loss", "epoch", "cross-entropy");
    return take_svg(plot);
}

TEST(plot_axes__have_round_ticks_and_labels)
{
    char *svg = axes_svg(1, 20, 0, 0.73);
    check_contains(svg, "font-weight=\"bold\">Loss</text>");
    check_contains(svg, ">epoch</text>");
    check_contains(svg, "transform=\"rotate(-90 16 140)\">cross-entropy</text>");
    check_contains(svg, ">5</text>");
    check_contains(svg, ">20</text>");
    check_contains(svg, ">0.0</text>");
    check_contains(svg, ">0.6</text>");
    check_lacks(svg, ">0.8</text>");
    gf__free(svg);
    svg = axes_svg(0, 2048, -0.003, 0.004);
    check_contains(svg, ">500</text>");
    check_contains(svg, ">2000</text>");
    check_contains(svg, ">-0.002</text>");
    check_lacks(svg, ">-0.000</text>");
    gf__free(svg);
}

TEST(plot_axes__survive_empty_and_endless_ranges)
{
    gf__free(axes_svg(1, 1, 0, 0));
    gf__free(axes_svg(2, 1, 0, (double)NAN));
    gf__free(axes_svg(-(double)INFINITY, (double)INFINITY, 1e300, -1e300));
    gf__free(axes_svg(1e20, 1e20 + 65536, -1e20 - 65536, -1e20));
    gf__free(axes_svg(1e15, 1e15 + 1, -1e-300, 1e-300));
    char *svg = axes_svg(0, 5e7, 0, 1e-7);
    check_contains(svg, ">2e+07</text>");
    check_contains(svg, ">2e-08</text>");
    gf__free(svg);
}

TEST(plot_frame__places_data)
{
    const gf__plot_frame frame = {60, 40, 320, 200, 0, 10, -1, 1};
    CHECK_NEAR(gf__plot_x(&frame, 0), 60, 0);
    CHECK_NEAR(gf__plot_x(&frame, 5), 220, 0);
    CHECK_NEAR(gf__plot_y(&frame, 1), 40, 0);
    CHECK_NEAR(gf__plot_y(&frame, -1), 240, 0);
}

static gf_image *save_and_load(gf__plot *plot)
{
    char *dir = check_temp_dir();
    char *path = gf__path_join(dir, "plot.PNG");
    gf_image *image = NULL;
    CHECK_OK(gf__plot_save(plot, path, &check_err));
    CHECK_OK(gf_image_load(path, NULL, &image, &check_err));
    remove(path);
    remove(dir);
    gf__free(path);
    free(dir);
    return image;
}

static uint32_t colour_at(const gf_image *image, size_t x, size_t y)
{
    const uint8_t *rgb = gf_image_rgb(image) + 3 * (y * gf_image_width(image) + x);
    return (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
}

TEST(plot_png__draws_what_the_svg_says)
{
    static const uint8_t grey[2] = {0, 200};
    gf__plot *plot = new_plot();
    gf__plot_rect(plot, 10, 20, 30, 40, 0x3366CC);
    gf__plot_line(plot, 100, 50.5, 200, 50.5, 0xCC0000, 1);
    gf__plot_pixels(plot, 220, 100, 80, 40, grey, 1, 2);
    gf__plot_text(plot, 200, 250, 0, 40, 0x000000, "MMM");
    gf_image *image = save_and_load(plot);
    CHECK_EQ(gf_image_width(image), 400);
    CHECK_EQ(gf_image_height(image), 300);
    CHECK_EQ(colour_at(image, 0, 0), 0xFFFFFF);
    CHECK_EQ(colour_at(image, 10, 20), 0x3366CC);
    CHECK_EQ(colour_at(image, 39, 59), 0x3366CC);
    CHECK_EQ(colour_at(image, 40, 60), 0xFFFFFF);
    CHECK_EQ(colour_at(image, 150, 50), 0xCC0000);
    CHECK_EQ(colour_at(image, 259, 120), 0x000000); /* not smoothed */
    CHECK_EQ(colour_at(image, 261, 120), 0xC8C8C8);
    size_t n_dark = 0;
    for (size_t x = 100; x < 300; x++) {
        for (size_t y = 215; y < 255; y++)
            n_dark += colour_at(image, x, y) == 0;
    }
    CHECK(n_dark > 100); /* some font wrote something */
    gf_image_free(image);
    gf__plot_free(plot);
}

TEST(plot_png__takes_any_text)
{
    gf__plot *plot = new_plot();
    gf__plot_text(plot, 0, 20, -1, 12, 0, "\xFF\xFE\x01 \xE2\x82");
    gf_image_free(save_and_load(plot));
    gf__plot_free(plot);
}

TEST(plot_save__goes_by_the_ending)
{
    gf__plot *plot = new_plot();
    CHECK_FAILS(GF_EINVAL, "plot.jpg: a plot is saved as .svg or .png, not \".jpg\"",
                gf__plot_save(plot, "plot.jpg", &check_err));
    CHECK_FAILS(GF_EINVAL, "not \"\"", gf__plot_save(plot, "plot", &check_err));
    CHECK_FAILS(GF_ENOTFOUND, "/nowhere/at/all",
                gf__plot_save(plot, "/nowhere/at/all.svg", &check_err));
    gf__plot_free(plot);
}

TEST(plot_new__refuses_sides_of_nothing_and_giants)
{
    gf__plot *plot = NULL;
    CHECK_FAILS(GF_EINVAL, "0x300", gf__plot_new(0, 300, &plot, &check_err));
    CHECK_FAILS(GF_EINVAL, "400x16385", gf__plot_new(400, 16385, &plot, &check_err));
    CHECK_OK(gf__plot_new(1, 16384, &plot, &check_err));
    gf__plot_free(plot);
}

TEST(plot__tells_of_a_failed_allocation_when_saved)
{
    static const double xy[] = {1, 2, 3, 4};
    static const uint8_t grey[1] = {7};
    gf_status st = GF_ENOMEM;

    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__plot *plot = new_plot();
        char *svg = NULL;
        gf__mem_fail_after(n);
        gf__plot_polyline(plot, xy, 2, 0, 1);
        gf__plot_text(plot, 0, 0, 0, 10, 0, "text");
        gf__plot_pixels(plot, 0, 0, 1, 1, grey, 1, 1);
        st = gf__plot_svg(plot, &svg, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && svg == NULL));
        gf__free(svg);
        gf__plot_free(plot);
    }
    CHECK_EQ(st, GF_OK);
}

TESTS_MAIN(UNIT(plot_svg__holds_each_mark), UNIT(plot_svg__escapes_text),
           UNIT(plot_svg__leaves_out_points_that_are_no_numbers),
           UNIT(plot_axes__have_round_ticks_and_labels),
           UNIT(plot_axes__survive_empty_and_endless_ranges), UNIT(plot_frame__places_data),
           UNIT(plot_png__draws_what_the_svg_says), UNIT(plot_png__takes_any_text),
           UNIT(plot_save__goes_by_the_ending), UNIT(plot_new__refuses_sides_of_nothing_and_giants),
           UNIT(plot__tells_of_a_failed_allocation_when_saved))
