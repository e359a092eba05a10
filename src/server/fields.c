/* server/fields.c: Google's partial responses: fields=a,b/c,d(e,f),* keeps of a document what the
 * mask names. The mask is walked anew for every object it is applied to; nothing is built from it.
 *
 *     mask  = item {"," item}
 *     item  = name ["/" item | "(" mask ")"]        name: a member's, or "*" for all
 *
 * An array is looked through: the mask goes for each of its values. A name that no document has keeps
 * nothing, and one that none can have (" b" of "a, b") is refused. */
#include <string.h>

#include "server/server_priv.h"

#define MAX_DEPTH       32
#define MAX_ITEMS       64
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.$@*"

/* Where reading stands; text ends with NUL. */
typedef struct mask_reader {
    const char *start, *at;
    int depth, n_items;
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
        const size_t n_good = strspn(reader->at, NAME_CHARACTERS);
        reader->at += n_good < n ? n_good : n;
        if (n == 0 || n_good < n)
            return bad_mask(reader, n == 0 ? "a name" : "only the characters of names", err);
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
        if (++reader->n_items > MAX_ITEMS)
            return bad_mask(reader, "at most 64 items", err);
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

/* The masks that hold for one value: several where items name the same member ("a/b,a/c"). */
typedef struct mask_part {
    const char *text;
    bool is_one_item; /* what is behind a '/': its commas are not its own */
} mask_part;
typedef struct mask_set {
    mask_part parts[MAX_ITEMS];
    size_t n_parts;
    bool takes_all;
} mask_set;

static void add_matching(const mask_part *mask, const char *key, mask_set *out)
{
    const size_t n_key = strlen(key);
    for (const char *at = mask->text;; at++) {
        const size_t n = name_length(at);
        if ((n == 1 && *at == '*') || (n_key == n && memcmp(at, key, n) == 0)) {
            if (at[n] == '/' || at[n] == '(')
                out->parts[out->n_parts++] = (mask_part){at + n + 1, at[n] == '/'};
            else
                out->takes_all = true;
        }
        at = end_of_item(at);
        if (mask->is_one_item || *at != ',')
            return;
    }
}

/* The value cut down to the masks; NULL where they ask for members of what has none. */
static gf__json *apply(const gf__json *value, const mask_set *masks);

static void keep_member(const gf__json *value, const char *key, const mask_set *masks,
                        gf__json *object)
{
    mask_set inner;
    inner.n_parts = 0;
    inner.takes_all = false;
    for (size_t i = 0; i < masks->n_parts; i++)
        add_matching(&masks->parts[i], key, &inner);
    gf__json *kept = inner.takes_all     ? gf__json_copy(value)
                     : inner.n_parts > 0 ? apply(value, &inner)
                                         : NULL;
    if (kept != NULL || inner.takes_all)
        gf__json_set(object, key, kept);
}

static gf__json *apply(const gf__json *value, const mask_set *masks)
{
    if (gf__json_is_array(value)) {
        gf__json *array = gf__json_array();
        for (size_t i = 0; i < gf__json_n_items(value); i++) {
            gf__json *part = apply(gf__json_at(value, i), masks);
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
         key = gf__json_next(value, key, &member))
        keep_member(member, key, masks, object);
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
    const mask_set whole = {.parts = {{mask, false}}, .n_parts = 1};
    gf__json *kept = apply(document, &whole);
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
