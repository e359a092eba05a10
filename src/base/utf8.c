/* base/utf8.c: the UTF-8 well-formedness table of the Unicode standard (table 3-7). */
#include "base/utf8.h"

#include <stdbool.h>

/* Lead bytes first..last start a character of length bytes whose second byte is low..high; all
 * later ones are 80..BF. The odd ranges keep overlong forms, surrogates and > U+10FFFF out. */
static const struct utf8_row {
    unsigned char first, last, length, low, high;
} utf8_rows[] = {
    {0x00, 0x7f, 1, 0, 0},       {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
    {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

static bool has_tail(const unsigned char *bytes, const struct utf8_row *row)
{
    if (row->length > 1 && (bytes[1] < row->low || bytes[1] > row->high))
        return false;
    for (size_t i = 2; i < row->length; i++) {
        if (bytes[i] < 0x80 || bytes[i] > 0xbf)
            return false;
    }
    return true;
}

size_t gf__utf8_length(const char *text, size_t n_bytes)
{
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; n_bytes > 0 && i < sizeof utf8_rows / sizeof utf8_rows[0]; i++) {
        const struct utf8_row *row = &utf8_rows[i];
        if (bytes[0] >= row->first && bytes[0] <= row->last)
            return row->length <= n_bytes && has_tail(bytes, row) ? row->length : 0;
    }
    return 0;
}
