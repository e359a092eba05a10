/* Writing the report, and the escaping that all its pieces use: class and file names are whatever
 * somebody called a folder. */
#include <math.h>
#include <string.h>

#include "train/report_priv.h"

void gf__report_text(gf__buffer *out, const char *text)
{
    const char *const end = text + strlen(text);
    for (const char *at = text; at < end;) {
        const size_t n = gf__utf8_length(at, (size_t)(end - at));
        if (n == 0 || (unsigned char)*at < 0x20 || *at == 0x7F)
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
