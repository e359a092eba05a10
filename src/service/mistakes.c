/* service/mistakes.c: the pictures a head gets wrong, as lines and as thumbnails. */
#include <stdlib.h>
#include <string.h>

#include "service/service_priv.h"

#define THUMBNAIL_SIDE    160
#define THUMBNAIL_QUALITY 82

gf_status gf__part_mistakes(const gf__part *part, const gf_metrics *metrics, size_t **order,
                            size_t *n, gf_error *err)
{
    *n = 0;
    *order = gf__calloc(part->n > 0 ? part->n : 1, sizeof **order);
    if (*order == NULL)
        return gf__error_nomem(err, "mistakes", part->n * sizeof **order);
    for (size_t i = 0; i < part->n; i++) {
        if (metrics->predicted[i] == part->labels[i])
            continue;
        /* Insertion keeps equals in item order, so that the list is the same on every machine. */
        size_t at = (*n)++;
        for (; at > 0 && metrics->score[(*order)[at - 1]] < metrics->score[i]; at--)
            (*order)[at] = (*order)[at - 1];
        (*order)[at] = i;
    }
    return GF_OK;
}

void gf__strings_free(char **strings, size_t n)
{
    for (size_t i = 0; i < n && strings != NULL; i++)
        gf__free(strings[i]);
    gf__free(strings);
}

gf_status gf__mistake_lines(const gf__part *part, const gf_metrics *metrics, const size_t *order,
                            size_t n, const char *const *class_names, char ***lines, gf_error *err)
{
    char **text = gf__calloc(n > 0 ? n : 1, sizeof *text);
    if (text == NULL)
        return gf__error_nomem(err, "mistakes", n * sizeof *text);
    for (size_t j = 0; j < n; j++) {
        const size_t i = order[j];
        text[j] = gf__asprintf("%s: is %s, taken for %s (%.3f)",
                               gf_dataset_item_at(part->dataset, part->items[i]),
                               class_names[part->labels[i]], class_names[metrics->predicted[i]],
                               (double)metrics->score[i]);
        if (text[j] == NULL) {
            gf__strings_free(text, n);
            return gf__error_nomem(err, "mistakes", 0);
        }
    }
    *lines = text;
    return GF_OK;
}

gf_status gf__class_names_copy(const gf_dataset *dataset, char ***out, size_t *n, gf_error *err)
{
    *n = gf_dataset_n_classes(dataset);
    char **names = gf__calloc(*n > 0 ? *n : 1, sizeof *names);
    for (size_t k = 0; k < *n && names != NULL; k++) {
        names[k] = gf__strdup(gf_dataset_class_at(dataset, k));
        if (names[k] == NULL) {
            gf__strings_free(names, *n);
            names = NULL;
        }
    }
    *out = names;
    return names != NULL ? GF_OK : gf__error_nomem(err, "class names", 0);
}

static gf_status item_image(const gf_dataset *dataset, size_t item, uint64_t max_pixels,
                            size_t width, size_t height, gf_image **out, gf_error *err)
{
    gf_image_options options = gf_image_options_default();
    if (max_pixels > 0)
        options.max_pixels = max_pixels;
    options.target_width = width;
    options.target_height = height;
    gf_sample sample = {0};
    gf_status st = gf_dataset_read(dataset, item, &sample, err);
    if (st != GF_OK)
        return st;
    st = gf__sample_image(&sample, &options, out, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", gf_dataset_item_at(dataset, item));
    gf_sample_release(&sample);
    return st;
}

gf_status gf__thumbnail(const gf_dataset *dataset, size_t item, uint64_t max_pixels, size_t side,
                        uint8_t **bytes, size_t *n_bytes, gf_error *err)
{
    gf_image *image = NULL, *small = NULL;
    gf_status st = item_image(dataset, item, max_pixels, side, side, &image, err);
    if (st != GF_OK)
        goto done;
    const size_t width = gf_image_width(image), height = gf_image_height(image);
    const size_t longer = width > height ? width : height;
    const size_t fit_width = width * side / longer, fit_height = height * side / longer;
    st = gf_image_resize(image, fit_width > 0 ? fit_width : 1, fit_height > 0 ? fit_height : 1,
                         &small, err);
    if (st == GF_OK)
        st = gf_image_encode_jpeg(small, THUMBNAIL_QUALITY, bytes, n_bytes, err);
done:
    gf_image_free(image);
    gf_image_free(small);
    return st;
}

gf_status gf__recipe_picture(const gf_dataset *dataset, size_t item, const gf_recipe *recipe,
                             uint64_t max_pixels, uint8_t **bytes, size_t *n_bytes, gf_error *err)
{
    const gf__preprocess_options options = {.recipe = *recipe, .max_pixels = max_pixels};
    gf_sample sample = {0};
    gf_image *image = NULL;
    uint8_t *pixels = NULL;
    gf_status st = gf_dataset_read(dataset, item, &sample, err);
    if (st != GF_OK)
        return st;
    pixels = gf__malloc(recipe->width * recipe->height * 3);
    if (pixels == NULL) {
        st = gf__error_nomem(err, "picture", recipe->width * recipe->height * 3);
        goto done;
    }
    st = gf__preprocess(&sample, &options, NULL, pixels, err);
    if (st == GF_OK)
        st = gf_image_from_rgb(pixels, recipe->width, recipe->height, &image, err);
    if (st == GF_OK)
        st = gf_image_encode_png(image, bytes, n_bytes, err);
done:
    gf_image_free(image);
    gf__free(pixels);
    gf_sample_release(&sample);
    return st;
}

gf_status gf__report_pictures(const gf__part *part, const gf_metrics *metrics, const size_t *order,
                              size_t n, uint64_t max_pixels, gf_report_picture **out,
                              size_t *n_pictures, gf_error *err)
{
    const size_t n_shown = n < GF__REPORT_PICTURES ? n : GF__REPORT_PICTURES;
    gf_report_picture *pictures = gf__calloc(n_shown > 0 ? n_shown : 1, sizeof *pictures);
    if (pictures == NULL)
        return gf__error_nomem(err, "report pictures", n_shown * sizeof *pictures);
    for (size_t j = 0; j < n_shown; j++) {
        const size_t i = order[j];
        uint8_t *jpeg = NULL;
        const gf_status st = gf__thumbnail(part->dataset, part->items[i], max_pixels,
                                           THUMBNAIL_SIDE, &jpeg, &pictures[j].n_bytes, err);
        if (st != GF_OK) {
            gf__report_pictures_free(pictures, j);
            return st;
        }
        pictures[j].jpeg = jpeg;
        pictures[j].item = gf_dataset_item_at(part->dataset, part->items[i]);
        pictures[j].label = part->labels[i];
        pictures[j].predicted = metrics->predicted[i];
        pictures[j].score = metrics->score[i];
    }
    *out = pictures;
    *n_pictures = n_shown;
    return GF_OK;
}

void gf__report_pictures_free(gf_report_picture *pictures, size_t n)
{
    for (size_t i = 0; i < n && pictures != NULL; i++)
        gf_image_bytes_free((uint8_t *)(uintptr_t)pictures[i].jpeg);
    gf__free(pictures);
}
