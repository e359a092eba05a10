/* registry/filter.c: the filters of lists, as far as the API's documentation shows them:
 *
 *     jobId:rnn* AND state:FAILED
 *     labels.team=vision AND isDefault=true AND name!="projects/P/models/M"
 *
 * FIELD is a path in the document, camelCase or snake_case. ':' and '=' are the same: the text
 * of a string, number or truth value, exact or with '*' at the end (alone: the field is there); of a
 * list, one of its items.
 * "name" also matches by its last part. */
#include "registry/registry_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool is_path_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-';
}

static gf_status complain(const gf__list_filter *filter, const char *at, const char *expected,
                          gf_error *err)
{
    return gf_error_set(err, GF_EINVAL, "filter, character %td: expected %s", at - filter->text + 1,
                        expected);
}

static char *skip_spaces(char *at)
{
    return at + strspn(at, " \t");
}

/* After the first dot keys may be a user's (labels): only what comes before is renamed. */
static void rename_path(char *path)
{
    if (strncmp(path, "labels.", 7) != 0)
        gf__to_camel_case(path);
}

/* FIELD and operator at *at; the operator is overwritten by the end of FIELD. */
static gf_status read_field(gf__list_filter *filter, char **at, gf__list_term *term, gf_error *err)
{
    char *path = *at;
    while (is_path_char(**at))
        ++*at;
    char *end = *at;
    char *sign = skip_spaces(end);
    if (end == path)
        return complain(filter, path, "the name of a field", err);
    term->is_negated = sign[0] == '!' && sign[1] == '=';
    if (!term->is_negated && sign[0] != ':' && sign[0] != '=')
        return complain(filter, sign, "':', '=' or '!='", err);
    *at = skip_spaces(sign + (term->is_negated ? 2 : 1));
    *end = '\0';
    rename_path(path);
    term->path = path;
    return GF_OK;
}

static gf_status read_value(gf__list_filter *filter, char **at, gf__list_term *term, gf_error *err)
{
    const bool is_quoted = **at == '"';
    char *value = *at + (is_quoted ? 1 : 0);
    char *end = value + strcspn(value, is_quoted ? "\"" : " \t");
    if (is_quoted && *end == '\0')
        return complain(filter, end, "a closing '\"'", err);
    if (!is_quoted && (end == value || strpbrk(value, "()") != NULL))
        return complain(filter, value, "a value; parentheses are not known, values in quotes are",
                        err);
    *at = *end != '\0' ? end + 1 : end;
    *end = '\0';
    if (!is_quoted && end[-1] == '*') {
        end[-1] = '\0';
        term->is_prefix = true;
    }
    term->value = value;
    return GF_OK;
}

static gf_status read_terms(gf__list_filter *filter, gf_error *err)
{
    char *at = skip_spaces(filter->text);
    gf_status st = GF_OK;
    while (*at != '\0' && st == GF_OK) {
        if (filter->n_terms == GF__FILTER_TERMS)
            return gf_error_set(err, GF_EINVAL, "filter: more than %d conditions",
                                GF__FILTER_TERMS);
        gf__list_term *term = &filter->terms[filter->n_terms++];
        st = read_field(filter, &at, term, err);
        if (st == GF_OK)
            st = read_value(filter, &at, term, err);
        at = skip_spaces(at);
        if (st != GF_OK || *at == '\0')
            break;
        if (strncmp(at, "AND", 3) != 0 || (at[3] != ' ' && at[3] != '\t'))
            return complain(filter, at, "AND (OR and NOT are not known)", err);
        at = skip_spaces(at + 3);
        if (*at == '\0')
            return complain(filter, at, "a condition after AND", err);
    }
    return st;
}

gf_status gf__filter_read(const char *text, gf__list_filter *filter, gf_error *err)
{
    *filter = (gf__list_filter){0};
    if (text == NULL)
        return GF_OK;
    filter->text = gf__strdup(text);
    if (filter->text == NULL)
        return gf__error_nomem(err, "a filter", strlen(text));
    return read_terms(filter, err);
}

/* A label's key may have dots itself: the whole rest is tried as one key first. */
static const gf__json *find_path(const gf__json *document, const char *path)
{
    while (document != NULL) {
        const gf__json *member = gf__json_find(document, path);
        const char *dot = strchr(path, '.');
        if (member != NULL || dot == NULL)
            return member;
        char key[64];
        const size_t n_chars = (size_t)(dot - path);
        if (n_chars >= sizeof key)
            return NULL;
        memcpy(key, path, n_chars);
        key[n_chars] = '\0';
        document = gf__json_find(document, key);
        path = dot + 1;
    }
    return NULL;
}

static bool matches_text(const gf__list_term *term, const char *text)
{
    return term->is_prefix ? strncmp(text, term->value, strlen(term->value)) == 0
                           : strcmp(text, term->value) == 0;
}

/* As it stands in the document. */
static void write_number(const gf__json *value, char *text, size_t size)
{
    const int64_t whole = gf__json_int(value, 0);
    if (gf__json_int(value, 1) == whole)
        snprintf(text, size, "%lld", (long long)whole);
    else
        snprintf(text, size, "%.9g", gf__json_number(value, 0));
}

static bool matches(const gf__list_term *term, const gf__json *value)
{
    char number[32];
    const char *text = gf__json_string(value, NULL);
    if (text != NULL)
        return matches_text(term, text) ||
               (strcmp(term->path, "name") == 0 && matches_text(term, gf__path_base(text)));
    if (gf__json_is_number(value)) {
        write_number(value, number, sizeof number);
        return matches_text(term, number);
    }
    for (size_t i = 0; gf__json_is_array(value) && i < gf__json_n_items(value); i++) {
        if (matches(term, gf__json_at(value, i)))
            return true;
    }
    if (gf__json_is_bool(value) || (value == NULL && strcmp(term->value, "false") == 0))
        return matches_text(term, gf__json_bool(value, false) ? "true" : "false");
    return value != NULL && term->is_prefix && term->value[0] == '\0';
}

bool gf__filter_passes(const gf__list_filter *filter, const gf__json *document)
{
    for (size_t i = 0; i < filter->n_terms; i++) {
        const gf__list_term *term = &filter->terms[i];
        if (matches(term, find_path(document, term->path)) == term->is_negated)
            return false;
    }
    return true;
}
