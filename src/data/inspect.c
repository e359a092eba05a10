/* inspect.c: what one picture tells when it is looked at: content, look, size, turn, whether it can
 * be read at all. */
#include <string.h>

#include "data/check_priv.h"

/* Largest difference of a channel's values in a picture "of one colour": JPEG noise of a blank
 * page. */
#define ONE_COLOUR_RANGE 6
/* JPEGs are decoded at the scale that is still twice this: all blocks are read, few pixels are
 * made. */
#define LOOK_SIZE 64

static gf_status to_image(const gf_sample *sample, uint64_t max_pixels, gf_image **out,
                          gf_error *err)
{
    gf_image_options options = gf_image_options_default();
    const size_t n_values = sample->width * sample->height * 3;
    uint8_t *bytes;
    gf_status st;

    if (sample->kind == GF_SAMPLE_PIXELS)
        return gf_image_from_rgb(sample->data, sample->width, sample->height, out, err);
    if (sample->kind == GF_SAMPLE_ENCODED) {
        if (max_pixels > 0)
            options.max_pixels = max_pixels;
        options.target_width = options.target_height = LOOK_SIZE;
        return gf_image_decode(sample->data, sample->n_bytes, &options, out, err);
    }
    bytes = gf__malloc(n_values);
    if (bytes == NULL)
        return gf__error_nomem(err, "a picture", n_values);
    gf__sample_to_bytes(sample, bytes);
    st = gf_image_from_rgb(bytes, sample->width, sample->height, out, err);
    gf__free(bytes);
    return st;
}

static bool is_one_colour(const gf_image *image)
{
    const uint8_t *rgb = gf_image_rgb(image);
    const size_t n = gf_image_width(image) * gf_image_height(image);
    uint8_t low[3] = {255, 255, 255}, high[3] = {0, 0, 0};

    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < 3; c++) {
            const uint8_t value = rgb[3 * i + c];

            low[c] = value < low[c] ? value : low[c];
            high[c] = value > high[c] ? value : high[c];
            if (high[c] - low[c] > ONE_COLOUR_RANGE)
                return false;
        }
    }
    return true;
}

static gf_status look_at(const gf_sample *sample, uint64_t max_pixels, gf__facts *facts,
                         gf_error *err)
{
    gf_image *image = NULL;
    gf_status st;

    if (sample->kind == GF_SAMPLE_ENCODED) {
        gf_image_info info;

        st = gf_image_read_info(sample->data, sample->n_bytes, &info, err);
        if (st != GF_OK)
            return st;
        facts->format = info.format;
        facts->orientation = info.orientation;
        facts->width = info.width;
        facts->height = info.height;
    }
    st = to_image(sample, max_pixels, &image, err);
    if (st == GF_OK)
        st = gf_image_resize_into(image, GF__THUMB_SIDE, GF__THUMB_SIDE, facts->thumb, err);
    if (st == GF_OK) {
        facts->is_one_colour = is_one_colour(image);
        facts->look = gf__image_difference_hash(image);
    }
    gf_image_free(image);
    return st;
}

static void set_content(gf__facts *facts, const char *hex)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < GF__SAME_BYTES; i++) {
        const size_t high = (size_t)(strchr(digits, hex[2 * i]) - digits);
        const size_t low = (size_t)(strchr(digits, hex[2 * i + 1]) - digits);
        facts->content[i] = (uint8_t)(high << 4 | low);
    }
    facts->has_content = true;
}

/* The item is named by whoever prints the reason. */
static const char *without_path(const char *message, const char *path)
{
    const size_t n = path != NULL ? strlen(path) : 0;

    if (n > 0 && strncmp(message, path, n) == 0 && strncmp(message + n, ": ", 2) == 0)
        return message + n + 2;
    return message;
}

gf_status gf__inspect(const gf_dataset *dataset, size_t i, uint64_t max_pixels, gf__facts *facts,
                      gf_error *err)
{
    gf_error why = {0};
    gf_sample sample = {0};
    char hex[GF__SHA256_HEX];
    gf_status st;

    *facts = (gf__facts){.orientation = 1};
    st = gf_dataset_read(dataset, i, &sample, &why);
    if (st == GF_OK)
        st = gf__sample_hash(&sample, hex, &why);
    if (st == GF_OK) {
        set_content(facts, hex);
        facts->width = sample.width;
        facts->height = sample.height;
        st = look_at(&sample, max_pixels, facts, &why);
    }
    gf_sample_release(&sample);
    if (st == GF_OK)
        return GF_OK;
    if (st == GF_ENOMEM)
        return gf_error_set(err, st, "%s: %s", gf_dataset_item_at(dataset, i), why.message);
    facts->why = gf__strdup(without_path(why.message, gf_dataset_file_at(dataset, i)));
    return facts->why != NULL ? GF_OK : gf__error_nomem(err, "a message", GF_ERROR_MAX);
}
