/* Writing the report, and the escaping that all its pieces use: class and file names are whatever
 * somebody called a folder. */
#include <math.h>
#include <string.h>

#include "train/report_priv.h"

/* Bytes of the UTF-8 character at text (Unicode 15, table 3-7), 0 where there is none. */
static size_t measure_character(const unsigned char *text)
{
    const unsigned char lead = text[0];
    size_t n = 0;
    unsigned char low = 0x80,
                  high = 0xBF; /* of the second byte: no overlong forms, no surrogates */
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead <= 0xDF)
        n = 2;
    else if (lead >= 0xE0 && lead <= 0xEF)
        n = 3;
    else if (lead >= 0xF0 && lead <= 0xF4)
        n = 4;
    if (lead == 0xE0)
        low = 0xA0;
    else if (lead == 0xED)
        high = 0x9F;
    else if (lead == 0xF0)
        low = 0x90;
    else if (lead == 0xF4)
        high = 0x8F;
    for (size_t i = 1; i < n; i++) { /* stops at the NUL, which is out of every range */
        if (text[i] < low || text[i] > high)
            return 0;
        low = 0x80;
        high = 0xBF;
    }
    return n;
}

void gf__report_text(gf__buffer *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        const size_t n = measure_character(at);
        if (n == 0 || *at < 0x20 || *at == 0x7F)
            gf__buffer_puts(out, *at == '\n' || *at == '\t' ? " " : "\xEF\xBF\xBD");
        else if (*at == '&')
            gf__buffer_puts(out, "&amp;");
        else if (*at == '<')
            gf__buffer_puts(out, "&lt;");
        else if (*at == '>')
            gf__buffer_puts(out, "&gt;");
        else if (*at == '"')
            gf__buffer_puts(out, "&quot;");
        else if (*at == '\'')
            gf__buffer_puts(out, "&#39;");
        else
            gf__buffer_append(out, at, n);
        at += n > 0 ? n : 1;
    }
}

void gf__report_percent(gf__buffer *out, double fraction)
{
    if (isnan(fraction))
        gf__buffer_puts(out, "\xE2\x80\x93");
    else
        gf__buffer_printf(out, "%.1f\xE2\x80\xAF%%", 100.0 * fraction);
}

gf_status gf_report_save(const gf_report *report, const char *path, gf_error *err)
{
    gf__buffer page = {0};
    gf__report_page(report, &page);
    gf_status st = gf__buffer_status(&page, err);
    if (st == GF_OK)
        st = gf__write_file(path, page.data, page.size, err);
    gf__buffer_free(&page);
    return st;
}
