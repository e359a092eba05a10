/* fuzz_image.c: any bytes as a picture file: its header, its pixels, and the path into a
 * network. */
#include "fuzz.h"
#include "image/image.h"

#define MAX_PIXELS ((uint64_t)1 << 18) /* small enough that no input is slow by its size alone */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    gf_image_options options = gf_image_options_default();
    gf_image_info info;
    gf_image *image = NULL;
    uint8_t rgb[3 * 7 * 5];
    gf_error err;

    (void)gf_image_read_info(bytes, n_bytes, &info, &err);
    options.max_pixels = MAX_PIXELS;
    if (gf_image_decode(bytes, n_bytes, &options, &image, &err) == GF_OK)
        (void)gf__image_difference_hash(image);
    gf_image_free(image);
    (void)gf__image_decode_resized(bytes, n_bytes, MAX_PIXELS, 7, 5, NULL, rgb, &err);
    return 0;
}
