/* base/yaml.c: YAML's events, as libyaml finds them in a text, put together to a JSON value. The library is
 * loaded when there is something to be read: no other command needs it. */
#include "base/yaml.h"

#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/error.h"
#include "base/mem.h"

#define YAML_LIBRARY "libyaml-0.so.2"
#define MAX_DEPTH    64

#define YAML_FUNCTIONS(X)      \
    X(parser_initialize)       \
    X(parser_set_input_string) \
    X(parser_parse)            \
    X(parser_delete)           \
    X(event_delete)

typedef struct functions {
#define DECLARE(name) __typeof__(yaml_##name) *name;
    YAML_FUNCTIONS(DECLARE)
#undef DECLARE
} functions;

typedef struct reading {
    functions lib;
    yaml_parser_t parser;
    yaml_event_t event; /* the present one */
    bool has_event;
    gf_error *err;
} reading;

static gf_status load_library(functions *out, gf_error *err)
{
    static const struct {
        const char *name;
        size_t offset;
    } entries[] = {
#define ENTRY(name) {"yaml_" #name, offsetof(functions, name)},
        YAML_FUNCTIONS(ENTRY)
#undef ENTRY
    };
    void *library = dlopen(YAML_LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "YAML needs libyaml (Debian: apt install libyaml-0-2): %s", dlerror());
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        void *symbol = dlsym(library, entries[i].name);
        if (symbol == NULL)
            return gf_error_set(err, GF_EUNSUPPORTED, "%s has no %s", YAML_LIBRARY,
                                entries[i].name);
        memcpy((char *)out + entries[i].offset, &symbol, sizeof symbol);
    }
    return GF_OK;
}

/* ---- events ---- */

static gf_status refuse_at(const reading *r, const yaml_mark_t *mark, const char *why)
{
    return gf_error_set(r->err, GF_EFORMAT, "YAML, line %zu, column %zu: %.160s", mark->line + 1,
                        mark->column + 1, why);
}

static gf_status refuse(const reading *r, const char *why)
{
    return refuse_at(r, &r->event.start_mark, why);
}

static gf_status next(reading *r)
{
    if (r->has_event)
        r->lib.event_delete(&r->event);
    r->has_event = r->lib.parser_parse(&r->parser, &r->event) != 0;
    if (r->has_event)
        return GF_OK;
    if (r->parser.error == YAML_MEMORY_ERROR)
        return gf__error_nomem(r->err, "a YAML document", 0);
    const char *problem = r->parser.problem != NULL ? r->parser.problem : "cannot be read";
    if (r->parser.error == YAML_READER_ERROR) /* it knows no line */
        return gf_error_set(r->err, GF_EFORMAT, "YAML, byte %zu: %.160s", r->parser.problem_offset,
                            problem);
    return refuse_at(r, &r->parser.problem_mark, problem);
}

/* ---- scalars ---- */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* JSON's spelling, with YAML's liberties before it: "+1", ".5". Not 0x10 and not 017, which readers disagree
 * about. */
static bool is_number(const char *text, bool *is_integer)
{
    const char *at = text + (*text == '-' || *text == '+');
    const size_t n_whole = strspn(at, "0123456789");
    if (n_whole > 1 && *at == '0')
        return false;
    at += n_whole;
    *is_integer = *at == '\0' && n_whole > 0;
    if (*at == '.') {
        const size_t n_parts = strspn(at + 1, "0123456789");
        if (n_whole == 0 && n_parts == 0)
            return false;
        at += 1 + n_parts;
    } else if (n_whole == 0) {
        return false;
    }
    if (*at == 'e' || *at == 'E') {
        at += 1 + (at[1] == '-' || at[1] == '+');
        const size_t n_digits = strspn(at, "0123456789");
        if (n_digits == 0)
            return false;
        at += n_digits;
    }
    return *at == '\0';
}

/* A number too large for its kind stays what was written. */
static gf__json *plain_number(const char *text, bool is_integer)
{
    if (is_integer) {
        errno = 0;
        const long long number = strtoll(text, NULL, 10);
        return errno == 0 ? gf__json_new_int(number) : gf__json_new_string(text);
    }
    const double number = strtod(text, NULL);
    return isfinite(number) ? gf__json_new_number(number) : gf__json_new_string(text);
}

static gf__json *plain(const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    bool is_integer = false;
    if (is_one_of(text, nulls))
        return gf__json_new_null();
    if (is_one_of(text, trues) || is_one_of(text, falses))
        return gf__json_new_bool(is_one_of(text, trues));
    return is_number(text, &is_integer) ? plain_number(text, is_integer)
                                        : gf__json_new_string(text);
}

/* The scalar that is the present event. */
static gf_status scalar_text(const reading *r, const char **text)
{
    *text = (const char *)r->event.data.scalar.value;
    if (strlen(*text) != r->event.data.scalar.length)
        return refuse(r, "a NUL in a text");
    return GF_OK;
}

static gf_status read_scalar(const reading *r, gf__json **out)
{
    const char *text = NULL;
    const gf_status st = scalar_text(r, &text);
    if (st == GF_OK)
        *out = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain(text)
                                                                     : gf__json_new_string(text);
    return st;
}

/* ---- values ---- */

static gf_status read_value(reading *r, int depth, gf__json **out);

static gf_status read_sequence(reading *r, int depth, gf__json *array)
{
    gf_status st = next(r);
    while (st == GF_OK && r->event.type != YAML_SEQUENCE_END_EVENT) {
        gf__json *item = NULL;
        st = read_value(r, depth, &item);
        if (st != GF_OK)
            break;
        gf__json_append(array, item);
        st = next(r);
    }
    return st;
}

static gf_status check_key(const reading *r, const gf__json *object)
{
    const char *text = NULL;
    if (r->event.type != YAML_SCALAR_EVENT)
        return refuse(r, "expected a name, found a list, a mapping or an alias as one");
    const gf_status st = scalar_text(r, &text);
    if (st == GF_OK && gf__json_find(object, text) != NULL)
        return refuse(r, "the name is there twice");
    if (st == GF_OK && strcmp(text, "<<") == 0)
        return refuse(r, "<< (merging) is not read here");
    return st;
}

static gf_status read_mapping(reading *r, int depth, gf__json *object)
{
    gf_status st = next(r);
    while (st == GF_OK && r->event.type != YAML_MAPPING_END_EVENT) {
        gf__json *value = NULL;
        char *key = NULL;
        st = check_key(r, object);
        if (st == GF_OK) {
            key = gf__strdup((const char *)r->event.data.scalar.value);
            st = key != NULL ? next(r) : gf__error_nomem(r->err, "a name", 0);
        }
        if (st == GF_OK)
            st = read_value(r, depth, &value);
        if (st == GF_OK) {
            gf__json_set(object, key, value);
            st = next(r);
        }
        gf__free(key);
    }
    return st;
}

/* What could make a document mean more than its text, or something else than JSON can say. */
static gf_status check_plainness(const reading *r)
{
    const yaml_event_t *event = &r->event;
    const bool is_scalar = event->type == YAML_SCALAR_EVENT;
    const bool is_list = event->type == YAML_SEQUENCE_START_EVENT;
    if (event->type == YAML_ALIAS_EVENT)
        return refuse(r, "aliases (*name) are not read here");
    const yaml_char_t *anchor = is_scalar ? event->data.scalar.anchor
                                : is_list ? event->data.sequence_start.anchor
                                          : event->data.mapping_start.anchor;
    const yaml_char_t *tag = is_scalar ? event->data.scalar.tag
                             : is_list ? event->data.sequence_start.tag
                                       : event->data.mapping_start.tag;
    if (anchor != NULL)
        return refuse(r, "anchors (&name) are not read here");
    return tag == NULL ? GF_OK : refuse(r, "tags (!name) are not read here");
}

static gf_status read_value(reading *r, int depth, gf__json **out)
{
    gf_status st = check_plainness(r);
    if (st != GF_OK)
        return st;
    if (r->event.type == YAML_SCALAR_EVENT)
        return read_scalar(r, out);
    if (depth >= MAX_DEPTH)
        return refuse(r, "too many lists and mappings in one another");
    const bool is_list = r->event.type == YAML_SEQUENCE_START_EVENT;
    gf__json *value = is_list ? gf__json_array() : gf__json_object();
    st = value == NULL ? gf__error_nomem(r->err, "a YAML document", 0)
         : is_list     ? read_sequence(r, depth + 1, value)
                       : read_mapping(r, depth + 1, value);
    if (st == GF_OK)
        *out = value;
    else
        gf__json_free(value);
    return st;
}

/* ---- documents ---- */

static gf_status read_document(reading *r, gf__json **out)
{
    gf_status st = next(r); /* the stream's beginning */
    if (st == GF_OK)
        st = next(r);
    if (st == GF_OK && r->event.type == YAML_STREAM_END_EVENT) {
        *out = gf__json_new_null();
        return GF_OK;
    }
    if (st == GF_OK)
        st = next(r);
    if (st == GF_OK)
        st = read_value(r, 0, out);
    if (st == GF_OK)
        st = next(r); /* the document's end */
    if (st == GF_OK)
        st = next(r);
    if (st == GF_OK && r->event.type != YAML_STREAM_END_EVENT)
        st = refuse(r, "a second document; expected one");
    return st;
}

gf_status gf__yaml_parse(const char *text, size_t n_chars, gf__json **out, gf_error *err)
{
    reading r = {.err = err};
    gf__json *document = NULL;
    *out = NULL;
    gf_status st = load_library(&r.lib, err);
    if (st != GF_OK)
        return st;
    if (r.lib.parser_initialize(&r.parser) == 0)
        return gf__error_nomem(err, "a YAML parser", 0);
    r.lib.parser_set_input_string(&r.parser, (const unsigned char *)text, n_chars);
    st = read_document(&r, &document);
    if (st == GF_OK)
        st = gf__json_status(document, err);
    if (r.has_event)
        r.lib.event_delete(&r.event);
    r.lib.parser_delete(&r.parser);
    if (st == GF_OK)
        *out = document;
    else
        gf__json_free(document);
    return st;
}
