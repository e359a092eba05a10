/* endings.c: what the ending of a file's name promises about its content. */
#include <strings.h>

#include "data/dataset_priv.h"

gf_image_format gf__ending_format(const char *path, const char **foreign)
{
    static const struct {
        const char *ending;
        gf_image_format format;
        const char *foreign;
    } endings[] = {
        {".jpg", GF_IMAGE_JPEG, NULL},
        {".jpeg", GF_IMAGE_JPEG, NULL},
        {".jpe", GF_IMAGE_JPEG, NULL},
        {".jfif", GF_IMAGE_JPEG, NULL},
        {".png", GF_IMAGE_PNG, NULL},
        {".webp", GF_IMAGE_WEBP, NULL},
        {".gif", GF_IMAGE_GIF, NULL},
        {".bmp", GF_IMAGE_BMP, NULL},
        {".dib", GF_IMAGE_BMP, NULL},
        {".heic", GF_IMAGE_UNKNOWN, "HEIC"},
        {".heif", GF_IMAGE_UNKNOWN, "HEIF"},
        {".avif", GF_IMAGE_UNKNOWN, "AVIF"},
        {".tif", GF_IMAGE_UNKNOWN, "TIFF"},
        {".tiff", GF_IMAGE_UNKNOWN, "TIFF"},
        {".jp2", GF_IMAGE_UNKNOWN, "JPEG 2000"},
        {".jxl", GF_IMAGE_UNKNOWN, "JPEG XL"},
        {".svg", GF_IMAGE_UNKNOWN, "SVG"},
        {".dng", GF_IMAGE_UNKNOWN, "DNG"},
    };
    const char *ending = gf__path_extension(path);

    if (foreign != NULL)
        *foreign = NULL;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (strcasecmp(ending, endings[i].ending) != 0)
            continue;
        if (foreign != NULL)
            *foreign = endings[i].foreign;
        return endings[i].format;
    }
    return GF_IMAGE_UNKNOWN;
}

bool gf__is_picture_name(const char *path)
{
    const char *foreign = NULL;

    return gf__ending_format(path, &foreign) != GF_IMAGE_UNKNOWN || foreign != NULL;
}
