/* jsonl_set.c: JSON lines as a data set, one {"path": "rose/1.jpg", "label": "rose"} a line, with
 * the names that other tools give these keys. Other keys are passed over. */
#include <stdio.h>
#include <string.h>

#include "data/dataset_priv.h"

#define MAX_LINE_BYTES (1u << 20)

/* The first of the keys that the line has. */
static const gf__json *find_any(const gf__json *line, const char *const *keys, const char **key)
{
    for (size_t i = 0; keys[i] != NULL; i++) {
        const gf__json *value = gf__json_find(line, keys[i]);

        *key = keys[i];
        if (value != NULL)
            return value;
    }
    *key = keys[0];
    return NULL;
}

static gf_status get_path(const gf__json *line, const char **path, gf_error *err)
{
    static const char *const keys[] = {"path", "file", "image", "filename", "file_name", NULL};
    const char *key;
    const gf__json *value = find_any(line, keys, &key);
    gf_status st;

    if (value == NULL)
        return gf_error_set(err, GF_EFORMAT, "no key 'path' (or 'file', 'image', 'filename')");
    if (!gf__json_is_string(value))
        return gf_error_set(err, GF_EFORMAT, "'%s' is not a string", key);
    *path = gf__json_string(value, "");
    st = gf__row_check_path(*path, err);
    if (st != GF_OK)
        gf__error_prefix(err, "'%s'", key);
    return st;
}

/* A name, or a whole number as text. digits is room for one. */
static gf_status get_label(const gf__json *line, char digits[24], const char **label, gf_error *err)
{
    static const char *const keys[] = {"label", "class", "category", "target", NULL};
    const char *key;
    const gf__json *value = find_any(line, keys, &key);

    if (value == NULL)
        return gf_error_set(err, GF_EFORMAT, "no key 'label' (or 'class')");
    if (gf__json_is_string(value)) {
        gf_status st;

        *label = gf__json_string(value, "");
        st = gf__row_check_label(*label, err);
        if (st != GF_OK)
            gf__error_prefix(err, "'%s'", key);
        return st;
    }
    if (!gf__json_is_number(value) ||
        gf__json_number(value, 0.5) != (double)gf__json_int(value, -1) ||
        gf__json_int(value, -1) < 0)
        return gf_error_set(err, GF_EFORMAT, "'%s' is neither a name nor a whole number", key);
    snprintf(digits, 24, "%lld", (long long)gf__json_int(value, 0));
    *label = digits;
    return GF_OK;
}

static gf_status add_line(gf_dataset *set, const char *text, size_t n_chars, const char *dir,
                          gf__names *labels, gf_error *err)
{
    gf_status st;
    gf__json *line = NULL;
    char digits[24];
    const char *path = NULL, *label = NULL;

    if (n_chars > MAX_LINE_BYTES)
        return gf_error_set(err, GF_ELIMIT, "%zu bytes in one line, expected at most %u", n_chars,
                            MAX_LINE_BYTES);
    st = gf__json_parse(text, n_chars, &line, err);
    if (st != GF_OK)
        return st;
    if (!gf__json_is_object(line))
        st = gf_error_set(err, GF_EFORMAT, "not an object, expected {\"path\":..., \"label\":...}");
    if (st == GF_OK)
        st = get_path(line, &path, err);
    if (st == GF_OK)
        st = get_label(line, digits, &label, err);
    if (st == GF_OK)
        st = gf__row_add(set, labels, dir, path, label, err);
    gf__json_free(line);
    return st;
}

gf_status gf__jsonl_set_read(gf_dataset *set, const char *text, size_t n_bytes, const char *dir,
                             gf__names *labels, gf_error *err)
{
    size_t at = n_bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    for (size_t line = 1; at < n_bytes; line++) {
        const char *end = memchr(text + at, '\n', n_bytes - at);
        const size_t stop = end != NULL ? (size_t)(end - text) : n_bytes;
        size_t first = at, last = stop;

        while (first < last && (text[first] == ' ' || text[first] == '\t' || text[first] == '\r'))
            first++;
        if (first < last) {
            const gf_status st = add_line(set, text + first, last - first, dir, labels, err);

            if (st != GF_OK) {
                gf__error_prefix(err, "line %zu", line);
                return st;
            }
        }
        at = stop + 1;
    }
    if (set->n_items == 0)
        return gf_error_set(err, GF_EFORMAT, "no pictures listed");
    return GF_OK;
}
