/* server/http_form.c: the parts of a multipart/form-data body (RFC 7578), found where they lie. Own
 * code and not the HTTP library's: the body is in memory already, and nothing needs copying. */
#include <string.h>
#include <strings.h>

#include "server/http_priv.h"

#define MAX_BOUNDARY 70 /* RFC 2046 */
#define MAX_PARTS    4096

/* ---- header parameters ----------------------------------------------------------------------- */

/* A quoted value without its quotes and backslashes, in place; returns what is behind it. */
static char *unquote(char *at, const char **value)
{
    char *to = at;
    *value = at;
    while (*at != '\0' && *at != '"') {
        if (*at == '\\' && (at[1] == '"' || at[1] == '\\'))
            at++;
        *to++ = *at++;
    }
    if (*at == '"')
        at++;
    at += strcspn(at, ";");
    char *behind = *at == ';' ? at + 1 : NULL;
    *to = '\0';
    return behind;
}

/* The next "name=value" of a header, cut out in place. *at is behind a ';', NULL at the end. */
static bool next_parameter(char **at, const char **name, const char **value)
{
    while (*at != NULL) {
        char *p = *at + strspn(*at, " \t");
        char *equals = p + strcspn(p, "=;");
        if (*equals != '=') {
            *at = *equals == ';' ? equals + 1 : NULL;
            continue;
        }
        *equals = '\0';
        *name = p;
        if (equals[1] == '"') {
            *at = unquote(equals + 2, value);
            return true;
        }
        *value = equals + 1;
        char *end = equals + 1 + strcspn(equals + 1, ";");
        *at = *end == ';' ? end + 1 : NULL;
        *end = '\0';
        return true;
    }
    return false;
}

static char *first_parameter(char *header)
{
    char *semicolon = strchr(header, ';');
    return semicolon != NULL ? semicolon + 1 : NULL;
}

/* "--BOUNDARY" of the request's Content-Type. */
static gf_status read_delimiter(const gf__request *request, char delimiter[MAX_BOUNDARY + 3],
                                gf_error *err)
{
    const char *type = gf__request_header(request, "Content-Type");
    if (type == NULL || strncasecmp(type, "multipart/form-data", 19) != 0)
        return gf_error_set(err, GF_EFORMAT, "expected a multipart/form-data body, found %.100s",
                            type != NULL ? type : "no Content-Type");
    char *copy = gf__strdup(type);
    if (copy == NULL)
        return gf__error_nomem(err, "a header", strlen(type));
    gf_status st = GF_EFORMAT;
    const char *name, *value;
    for (char *at = first_parameter(copy); next_parameter(&at, &name, &value);) {
        const size_t n = strlen(value);
        if (strcasecmp(name, "boundary") != 0 || n == 0 || n > MAX_BOUNDARY)
            continue;
        memcpy(delimiter, "--", 2);
        memcpy(delimiter + 2, value, n + 1);
        st = GF_OK;
    }
    gf__free(copy);
    if (st != GF_OK)
        return gf_error_set(err, GF_EFORMAT,
                            "multipart/form-data: expected a boundary of 1 to %d characters",
                            MAX_BOUNDARY);
    return GF_OK;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void read_disposition(char *header, gf__part_of_form *part)
{
    const char *name, *value;
    for (char *at = first_parameter(header); next_parameter(&at, &name, &value);) {
        if (strcasecmp(name, "name") == 0)
            part->name = value;
        else if (strcasecmp(name, "filename") == 0)
            part->file_name = value;
    }
}

/* A part's own headers: lines up to an empty one. *at moves behind it. */
static gf_status read_part_headers(char **at, const char *end, gf__part_of_form *part,
                                   gf_error *err)
{
    for (;;) {
        char *line = *at;
        char *line_end = memmem(line, (size_t)(end - line), "\r\n", 2);
        if (line_end == NULL)
            return gf_error_set(err, GF_EFORMAT,
                                "multipart/form-data: the headers of a part do not end");
        *at = line_end + 2;
        if (line_end == line)
            return GF_OK;
        *line_end = '\0';
        if (strncasecmp(line, "Content-Type:", 13) == 0)
            part->content_type = line + 13 + strspn(line + 13, " \t");
        else if (strncasecmp(line, "Content-Disposition:", 20) == 0)
            read_disposition(line + 20, part);
    }
}

/* Where the next delimiter line begins, its CRLF in front included; NULL: there is none. */
static char *find_delimiter(char *at, const char *end, const char *delimiter, size_t n_chars)
{
    for (char *found = at;; found += 2) {
        found = memmem(found, (size_t)(end - found), "\r\n", 2);
        if (found == NULL || (size_t)(end - found) < n_chars + 4)
            return NULL;
        if (memcmp(found + 2, delimiter, n_chars) == 0)
            return found;
    }
}

static gf_status add_part(gf__form *form, const gf__part_of_form *part, gf_error *err)
{
    if (form->n_parts == MAX_PARTS)
        return gf_error_set(err, GF_ELIMIT, "multipart/form-data: more than %d parts", MAX_PARTS);
    if ((form->n_parts & (form->n_parts + 1)) == 0) { /* 0, 1, 3, 7 ...: full */
        const size_t n_bytes = (2 * form->n_parts + 1) * sizeof *form->parts;
        gf__part_of_form *parts = gf__realloc(form->parts, n_bytes);
        if (parts == NULL)
            return gf__error_nomem(err, "a form", n_bytes);
        form->parts = parts;
    }
    form->parts[form->n_parts++] = *part;
    return GF_OK;
}

/* From behind one delimiter to the next; *at is NULL behind the last one. */
static gf_status read_part(char **at, char *end, const char *delimiter, gf__form *form,
                           gf_error *err)
{
    gf__part_of_form part = {0};
    const size_t n_chars = strlen(delimiter);
    gf_status st = read_part_headers(at, end, &part, err);
    if (st != GF_OK)
        return st;
    /* The CRLF behind the headers may be the one in front of the delimiter of an empty part. */
    char *body_end = find_delimiter(*at - 2, end, delimiter, n_chars);
    if (body_end == NULL)
        return gf_error_set(err, GF_EFORMAT, "multipart/form-data: the last part does not end");
    part.bytes = body_end > *at ? *at : body_end;
    part.n_bytes = (size_t)(body_end - part.bytes);
    char *behind = body_end + 2 + n_chars;
    const bool is_last = memcmp(behind, "--", 2) == 0;
    if (!is_last) {
        behind += strspn(behind, " \t");
        if (strncmp(behind, "\r\n", 2) != 0)
            return gf_error_set(err, GF_EFORMAT,
                                "multipart/form-data: a boundary is followed by other characters");
    }
    *body_end = '\0'; /* a text's end, for those who look for one */
    *at = is_last ? NULL : behind + 2;
    return add_part(form, &part, err);
}

gf_status gf__request_form(const gf__request *request, gf__form *out, gf_error *err)
{
    char delimiter[MAX_BOUNDARY + 3];
    *out = (gf__form){0};
    gf_status st = read_delimiter(request, delimiter, err);
    if (st != GF_OK)
        return st;
    const size_t n_chars = strlen(delimiter);
    char *end = request->body + request->body_bytes;
    char *at = request->body;
    if (strncmp(at, delimiter, n_chars) != 0) { /* text in front of the first one is nobody's */
        at = find_delimiter(at, end, delimiter, n_chars);
        if (at == NULL)
            return gf_error_set(err, GF_EFORMAT,
                                "multipart/form-data: the body has no line with its boundary");
        at += 2;
    }
    at += n_chars;
    if (strncmp(at, "--", 2) == 0)
        return GF_OK; /* a form without parts */
    at += strspn(at, " \t");
    if (strncmp(at, "\r\n", 2) != 0)
        return gf_error_set(err, GF_EFORMAT,
                            "multipart/form-data: a boundary is followed by other characters");
    for (at += 2; at != NULL && st == GF_OK;)
        st = read_part(&at, end, delimiter, out, err);
    if (st != GF_OK)
        gf__form_free(out);
    return st;
}

void gf__form_free(gf__form *form)
{
    gf__free(form->parts);
    *form = (gf__form){0};
}
