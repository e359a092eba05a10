/* fuzz_json.c: any bytes as JSON. What was read is walked and written, and what was written must be
 * read as the same text again. */
#include <assert.h>
#include <string.h>

#include "base/base.h"
#include "fuzz.h"

static void walk(const gf__json *value)
{
    const gf__json *item = NULL;
    const char *key = gf__json_is_object(value) ? gf__json_next(value, NULL, &item) : NULL;
    for (; key != NULL; key = gf__json_next(value, key, &item)) {
        assert(gf__json_find(value, key) == item);
        walk(item);
    }
    for (size_t i = 0; gf__json_is_array(value) && i < gf__json_n_items(value); i++)
        walk(gf__json_at(value, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    gf__json *first = NULL, *second = NULL;
    gf__buffer text = {0}, again = {0};
    gf_error err;
    if (gf__json_parse((const char *)bytes, n_bytes, &first, &err) == GF_OK) {
        walk(first);
        gf__json_write(first, false, &text);
        assert(!text.failed && gf__json_parse(text.data, text.size, &second, &err) == GF_OK);
        gf__json_write(second, true, &again);
        again.size = 0;
        gf__json_write(second, false, &again);
        assert(again.size == text.size && memcmp(again.data, text.data, text.size) == 0);
    }
    gf__json_free(first);
    gf__json_free(second);
    gf__buffer_free(&text);
    gf__buffer_free(&again);
    return 0;
}
