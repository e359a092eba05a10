/* image/difference_hash.c: 64 bits that stay nearly the same when a picture is scaled or compressed
 * again.
 *
 * The picture is averaged into 9 x 8 grey cells; each bit says whether a cell is brighter than its
 * right neighbour. */
#include "image/image_priv.h"

#include <assert.h>

enum { N_COLUMNS = 9, N_ROWS = 8 };

/* Cell i of n covers [start, end) of a side; a side shorter than n gives cells that share a
 * pixel. */
static void cell_range(size_t side, size_t i, size_t n, size_t *start, size_t *end)
{
    *start = side * i / n;
    *end = side * (i + 1) / n;
    if (*end == *start)
        (*end)++;
}

static uint64_t mean_grey(const gf_image *image, size_t column, size_t row)
{
    size_t left, right, top, bottom;
    uint64_t sum = 0;

    cell_range(image->width, column, N_COLUMNS, &left, &right);
    cell_range(image->height, row, N_ROWS, &top, &bottom);
    for (size_t y = top; y < bottom; y++) {
        const uint8_t *pixel = image->rgb + 3 * (image->width * y + left);
        for (size_t x = left; x < right; x++, pixel += 3)
            sum += 299U * pixel[0] + 587U * pixel[1] + 114U * pixel[2];
    }
    return sum / ((right - left) * (bottom - top));
}

uint64_t gf__image_difference_hash(const gf_image *image)
{
    uint64_t hash = 0;

    assert(image != NULL);
    for (size_t row = 0; row < N_ROWS; row++) {
        uint64_t grey = mean_grey(image, 0, row);
        for (size_t column = 1; column < N_COLUMNS; column++) {
            const uint64_t next = mean_grey(image, column, row);
            hash = hash << 1 | (grey > next);
            grey = next;
        }
    }
    return hash;
}
