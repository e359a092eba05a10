/* features/view.c: augmentation. A view is a recipe for one altered picture: the same seed and
 * picture give the same bytes on every machine, so that views can be cached like pictures.
 *
 * The kinds are applied in a fixed order: crop, turn (on the picture as decoded, so that nothing is
 * squeezed before it is turned), then after resizing flip, brightness, contrast. Each draws from a
 * stream of its own: adding one leaves the others as they were. */
#include <math.h>
#include <string.h>

#include "features/features_priv.h"

#define CROP_LEAST        0.8
#define TURN_MOST_DEGREES 15.0
#define FACTOR_LEAST      0.7
#define FACTOR_MOST       1.3
#define PI                3.14159265358979323846

static const struct {
    const char *word;
    gf_view_kind kind;
} view_words[] = {
    {"flip", GF_VIEW_FLIP},         {"crop", GF_VIEW_CROP},
    {"rotate", GF_VIEW_ROTATE},     {"brightness", GF_VIEW_BRIGHTNESS},
    {"contrast", GF_VIEW_CONTRAST},
};
#define N_WORDS (sizeof view_words / sizeof view_words[0])

static bool find_word(const char *word, size_t n_chars, unsigned *kinds)
{
    for (size_t i = 0; i < N_WORDS; i++) {
        if (strlen(view_words[i].word) == n_chars &&
            memcmp(view_words[i].word, word, n_chars) == 0) {
            *kinds |= 1u << view_words[i].kind;
            return true;
        }
    }
    return false;
}

gf_status gf_view_parse(const char *text, unsigned *kinds, gf_error *err)
{
    unsigned found = 0;
    for (const char *word = text;;) {
        const size_t n_chars = strcspn(word, ",");
        if (!find_word(word, n_chars, &found))
            return gf_error_set(err, GF_EINVAL,
                                "no augmentation is called \"%.*s\": expected a list of flip, "
                                "crop, rotate, brightness and contrast, with commas between",
                                (int)(n_chars < 64 ? n_chars : 64), word);
        if (word[n_chars] == '\0')
            break;
        word += n_chars + 1;
    }
    *kinds = found;
    return GF_OK;
}

void gf__view_kinds_write(unsigned kinds, gf__buffer *out)
{
    const char *comma = "";
    for (size_t i = 0; i < N_WORDS; i++) {
        if ((kinds & (1u << view_words[i].kind)) == 0)
            continue;
        gf__buffer_printf(out, "%s%s", comma, view_words[i].word);
        comma = ",";
    }
}

static bool has(const gf_view *view, gf_view_kind kind)
{
    return (view->kinds & (1u << kind)) != 0;
}

static gf__rng draw(const gf_view *view, uint64_t content, gf_view_kind kind)
{
    gf__rng rng;
    gf__rng_seed(&rng, view->seed ^ content, (uint64_t)kind);
    return rng;
}

static double between(gf__rng *rng, double least, double most)
{
    return least + (most - least) * gf__rng_uniform(rng);
}

static gf_status crop(gf_image **image, gf__rng *rng, gf_error *err)
{
    const size_t W = gf_image_width(*image), H = gf_image_height(*image);
    size_t width = (size_t)lround((double)W * between(rng, CROP_LEAST, 1.0));
    size_t height = (size_t)lround((double)H * between(rng, CROP_LEAST, 1.0));
    width = width > 0 ? width : 1;
    height = height > 0 ? height : 1;
    const size_t left = gf__rng_below(rng, W - width + 1);
    const size_t top = gf__rng_below(rng, H - height + 1);
    gf_image *part = NULL;
    const gf_status st = gf_image_crop(*image, left, top, width, height, &part, err);
    if (st != GF_OK)
        return st;
    gf_image_free(*image);
    *image = part;
    return GF_OK;
}

static double clamp(double x, double least, double most)
{
    return x < least ? least : x > most ? most : x;
}

/* in, out (H,W,3): out at each point is in at that point turned back about the centre, two-tap
 * bilinear; outside, the nearest edge. */
static void turn(uint8_t *out, const uint8_t *in, size_t W, size_t H, double radians)
{
    const double cosine = cos(radians), sine = sin(radians);
    const double centre_x = ((double)W - 1) / 2, centre_y = ((double)H - 1) / 2;
    for (size_t y = 0; y < H; y++) {
        for (size_t x = 0; x < W; x++) {
            const double dx = (double)x - centre_x, dy = (double)y - centre_y;
            const double from_x = clamp(cosine * dx + sine * dy + centre_x, 0, (double)W - 1);
            const double from_y = clamp(cosine * dy - sine * dx + centre_y, 0, (double)H - 1);
            const size_t x0 = (size_t)from_x, y0 = (size_t)from_y;
            const size_t x1 = x0 + 1 < W ? x0 + 1 : x0, y1 = y0 + 1 < H ? y0 + 1 : y0;
            const double right = from_x - (double)x0, below = from_y - (double)y0;
            const uint8_t *a = in + 3 * (y0 * W + x0), *b = in + 3 * (y0 * W + x1);
            const uint8_t *c = in + 3 * (y1 * W + x0), *d = in + 3 * (y1 * W + x1);
            for (size_t k = 0; k < 3; k++) {
                const double upper = a[k] + (b[k] - a[k]) * right;
                const double lower = c[k] + (d[k] - c[k]) * right;
                *out++ = (uint8_t)(upper + (lower - upper) * below + 0.5);
            }
        }
    }
}

static gf_status rotate(gf_image **image, gf__rng *rng, gf_error *err)
{
    const size_t W = gf_image_width(*image), H = gf_image_height(*image);
    const double radians = between(rng, -TURN_MOST_DEGREES, TURN_MOST_DEGREES) * PI / 180;
    uint8_t *rgb = gf__malloc(W * H * 3); /* the image has as many bytes: no overflow */
    if (rgb == NULL)
        return gf__error_nomem(err, "a turned picture", W * H * 3);
    turn(rgb, gf_image_rgb(*image), W, H, radians);
    gf_image *turned = NULL;
    const gf_status st = gf_image_from_rgb(rgb, W, H, &turned, err);
    gf__free(rgb);
    if (st != GF_OK)
        return st;
    gf_image_free(*image);
    *image = turned;
    return GF_OK;
}

gf_status gf__view_shape(const gf_view *view, uint64_t content, gf_image **image, gf_error *err)
{
    gf_status st = GF_OK;
    if (has(view, GF_VIEW_CROP)) {
        gf__rng rng = draw(view, content, GF_VIEW_CROP);
        st = crop(image, &rng, err);
    }
    if (st == GF_OK && has(view, GF_VIEW_ROTATE)) {
        gf__rng rng = draw(view, content, GF_VIEW_ROTATE);
        st = rotate(image, &rng, err);
    }
    return st;
}

static void flip(uint8_t *rgb, size_t W, size_t H)
{
    for (size_t y = 0; y < H; y++) {
        uint8_t *left = rgb + 3 * W * y, *right = left + 3 * (W - 1);
        for (; left < right; left += 3, right -= 3) {
            uint8_t kept[3];
            memcpy(kept, left, 3);
            memcpy(left, right, 3);
            memcpy(right, kept, 3);
        }
    }
}

/* Every value becomes centre + (value - centre) * factor. */
static void stretch(uint8_t *rgb, size_t n_values, double centre, double factor)
{
    uint8_t table[256];
    for (int level = 0; level < 256; level++)
        table[level] = (uint8_t)(clamp(centre + (level - centre) * factor, 0, 255) + 0.5);
    for (size_t i = 0; i < n_values; i++)
        rgb[i] = table[rgb[i]];
}

static double mean_of(const uint8_t *values, size_t n_values)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n_values; i++)
        sum += values[i];
    return (double)sum / (double)n_values;
}

void gf__view_colour(const gf_view *view, uint64_t content, uint8_t *rgb, size_t width,
                     size_t height)
{
    const size_t n_values = width * height * 3;
    if (has(view, GF_VIEW_FLIP)) {
        gf__rng rng = draw(view, content, GF_VIEW_FLIP);
        if (gf__rng_below(&rng, 2) == 1)
            flip(rgb, width, height);
    }
    if (has(view, GF_VIEW_BRIGHTNESS)) {
        gf__rng rng = draw(view, content, GF_VIEW_BRIGHTNESS);
        stretch(rgb, n_values, 0, between(&rng, FACTOR_LEAST, FACTOR_MOST));
    }
    if (has(view, GF_VIEW_CONTRAST)) {
        gf__rng rng = draw(view, content, GF_VIEW_CONTRAST);
        stretch(rgb, n_values, mean_of(rgb, n_values), between(&rng, FACTOR_LEAST, FACTOR_MOST));
    }
}
