/* server/fields.c: Google's partial responses: fields=a,b/c,d(e,f),* keeps of a document what the
 * mask names. The mask is walked once for every object it is applied to; nothing is built from it.
 *
 *     mask  = item {"," item}
 *     item  = name ["/" item | "(" mask ")"]        name: a member's, or "*" for all
 *
 * An array is looked through: the mask goes for each of its values. */
#include <string.h>

#include "server/server_priv.h"

#define MAX_DEPTH 32

/* Where reading stands; text ends with NUL. */
typedef struct mask_reader {
    const char *start, *at;
    int depth;
} mask_reader;

static gf_status bad_mask(const mask_reader *reader, const char *expected, gf_error *err)
{
    return gf_error_set(err, GF_EINVAL, "fields=%.200s: expected %s at character %zu",
                        reader->start, expected, (size_t)(reader->at - reader->start) + 1);
}

static gf_status skip_mask(mask_reader *reader, gf_error *err);

static size_t name_length(const char *at)
{
    return strcspn(at, ",/()");
}

/* One item; is there for checking alone, so that applying need not. */
static gf_status skip_item(mask_reader *reader, gf_error *err)
{
    for (;;) {
        const size_t n = name_length(reader->at);
        if (n == 0)
            return bad_mask(reader, "a name", err);
        reader->at += n;
        if (*reader->at != '/')
            break;
        reader->at++;
    }
    if (*reader->at != '(')
        return GF_OK;
    reader->at++;
    if (++reader->depth > MAX_DEPTH)
        return bad_mask(reader, "at most 32 levels", err);
    const gf_status st = skip_mask(reader, err);
    if (st != GF_OK)
        return st;
    reader->depth--;
    if (*reader->at != ')')
        return bad_mask(reader, "')'", err);
    reader->at++;
    return GF_OK;
}

static gf_status skip_mask(mask_reader *reader, gf_error *err)
{
    for (;;) {
        const gf_status st = skip_item(reader, err);
        if (st != GF_OK)
            return st;
        if (*reader->at != ',')
            return GF_OK;
        reader->at++;
    }
}

/* Past an item of a mask that was checked. */
static const char *end_of_item(const char *at)
{
    int depth = 0;
    for (; *at != '\0'; at++) {
        if (depth == 0 && (*at == ',' || *at == ')'))
            return at;
        depth += *at == '(' ? 1 : *at == ')' ? -1 : 0;
    }
    return at;
}

static gf__json *apply(const gf__json *value, const char *mask, bool is_one_item);

/* What of one member the mask keeps. Two items may name it ("a/b,a/c"): both parts are kept. */
static gf__json *keep_member(const gf__json *value, const char *key, const char *mask,
                             bool is_one_item);

static void merge(gf__json *into, const gf__json *from)
{
    const gf__json *value;
    for (const char *key = gf__json_next(from, NULL, &value); key != NULL;
         key = gf__json_next(from, key, &value))
        if (gf__json_find(into, key) == NULL)
            gf__json_set(into, key, gf__json_copy(value));
}

static gf__json *keep_member(const gf__json *value, const char *key, const char *mask,
                             bool is_one_item)
{
    gf__json *kept = NULL;
    for (const char *at = mask;; at++) {
        const size_t n = name_length(at);
        const bool is_it = (n == 1 && *at == '*') || (strlen(key) == n && memcmp(at, key, n) == 0);
        if (is_it) {
            const char after = at[n];
            gf__json *part = after == '/'   ? apply(value, at + n + 1, true)
                             : after == '(' ? apply(value, at + n + 1, false)
                                            : gf__json_copy(value);
            if (kept == NULL) {
                kept = part;
            } else {
                merge(kept, part);
                gf__json_free(part);
            }
        }
        at = end_of_item(at);
        if (is_one_item || *at != ',')
            return kept;
    }
}

/* The value cut down to the mask; NULL where the mask asks for a member of what has none. */
static gf__json *apply(const gf__json *value, const char *mask, bool is_one_item)
{
    if (gf__json_is_array(value)) {
        gf__json *array = gf__json_array();
        for (size_t i = 0; i < gf__json_n_items(value); i++) {
            gf__json *part = apply(gf__json_at(value, i), mask, is_one_item);
            if (part != NULL)
                gf__json_append(array, part);
        }
        return array;
    }
    if (!gf__json_is_object(value))
        return NULL;
    gf__json *object = gf__json_object();
    const gf__json *member;
    for (const char *key = gf__json_next(value, NULL, &member); key != NULL;
         key = gf__json_next(value, key, &member)) {
        gf__json *part = keep_member(member, key, mask, is_one_item);
        if (part != NULL)
            gf__json_set(object, key, part);
    }
    return object;
}

gf_status gf__fields_mask(const gf__json *document, const char *mask, gf__json **out, gf_error *err)
{
    *out = NULL;
    mask_reader check = {.start = mask, .at = mask};
    gf_status st = skip_mask(&check, err);
    if (st == GF_OK && *check.at != '\0')
        st = bad_mask(&check, "',' or the end", err);
    if (st != GF_OK)
        return st;
    gf__json *kept = apply(document, mask, false);
    if (kept == NULL)
        return gf__error_nomem(err, "a document", 0);
    st = gf__json_status(kept, err);
    if (st != GF_OK) {
        gf__json_free(kept);
        return st;
    }
    *out = kept;
    return GF_OK;
}
