/* fuzz_yaml.c: any bytes as YAML. What was read is JSON: it is written, and read as the same again. */
#include <assert.h>
#include <string.h>

#include "base/base.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    gf__json *first = NULL, *second = NULL;
    gf__buffer text = {0}, again = {0};
    gf_error err;
    if (gf__yaml_parse((const char *)bytes, n_bytes, &first, &err) == GF_OK) {
        gf__json *list = gf__json_array(); /* a JSON document is no scalar */
        gf__json_append(list, first);
        gf__json_write(list, false, &text);
        assert(!text.failed && gf__json_parse(text.data, text.size, &second, &err) == GF_OK);
        gf__json_write(second, false, &again);
        assert(again.size == text.size && memcmp(again.data, text.data, text.size) == 0);
        gf__json_free(list);
    } else {
        assert(first == NULL && err.message[0] != '\0');
    }
    gf__json_free(second);
    gf__buffer_free(&text);
    gf__buffer_free(&again);
    return 0;
}
