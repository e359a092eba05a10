/* fuzz_http_request.c: any bytes as the parts of a request that are read here and not by the HTTP
 * library: lines of target, method, mask of fields, and headers, an empty line, a body. */
#include <assert.h>
#include <string.h>

#include "base/base.h"
#include "fuzz.h"
#include "server/http_priv.h"
#include "server/server_priv.h"

/* The line at *at, ended in place; "" past the end. */
static char *next_line(char **at)
{
    char *line = *at;
    char *end = strchr(line, '\n');
    *at = end != NULL ? end + 1 : line + strlen(line);
    if (end != NULL)
        *end = '\0';
    return line;
}

static void read_headers(char **at, gf__exchange *exchange)
{
    for (char *line = next_line(at); *line != '\0'; line = next_line(at)) {
        char *colon = strchr(line, ':');
        if (colon == NULL || exchange->n_headers == GF__MAX_HEADERS)
            continue;
        *colon = '\0';
        exchange->headers[exchange->n_headers++] = (gf__pair){line,
                                                              colon + 1 + strspn(colon + 1, " ")};
    }
}

/* Every part lies within the body, one after the other. */
static void read_form(const gf__request *request)
{
    gf__form form;
    gf_error err;
    if (gf__request_form(request, &form, &err) != GF_OK)
        return;
    const char *behind = request->body;
    for (size_t i = 0; i < form.n_parts; i++) {
        const gf__part_of_form *part = &form.parts[i];
        assert(part->bytes >= behind);
        behind = part->bytes + part->n_bytes;
        assert(behind < request->body + request->body_bytes && *behind == '\0');
        assert(part->name == NULL || strlen(part->name) < request->body_bytes);
        assert(part->file_name == NULL || strlen(part->file_name) < request->body_bytes);
    }
    gf__form_free(&form);
}

/* What a mask keeps it keeps again. */
static void read_mask(const char *mask)
{
    static const char text[] = "{\"a\":{\"b\":[{\"c\":1,\"d\":{\"e\":2}}],\"c\":3},\"b\":[[1],{}]}";
    gf__json *document = NULL, *once = NULL, *twice = NULL;
    gf__buffer first = {0}, second = {0};
    gf_error err;
    assert(gf__json_parse(text, sizeof text - 1, &document, &err) == GF_OK);
    if (gf__fields_mask(document, mask, &once, &err) == GF_OK) {
        assert(gf__fields_mask(once, mask, &twice, &err) == GF_OK);
        gf__json_write(once, false, &first);
        gf__json_write(twice, false, &second);
        assert(strcmp(first.data, second.data) == 0);
    }
    gf__buffer_free(&first);
    gf__buffer_free(&second);
    gf__json_free(document);
    gf__json_free(once);
    gf__json_free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    char *text = gf__malloc(n_bytes + 1);
    gf__exchange exchange = {0};
    gf__request request = {.exchange = &exchange};
    gf_error err;
    uint64_t n_announced;
    int code;
    memcpy(text, bytes, n_bytes);
    text[n_bytes] = '\0';
    char *at = text;
    const char *target = next_line(&at), *method = next_line(&at), *mask = next_line(&at);
    read_headers(&at, &exchange);
    if (gf__request_read(&request, method, target, &err) == GF_OK)
        assert(request.path[0] == '/' || strcmp(request.path, "*") == 0);
    assert(request.id[0] != '\0' && strlen(request.id) < GF__REQUEST_ID);
    if (gf__request_framing(&request, &n_announced, &code, &err) != GF_OK)
        assert(code >= 400);
    read_mask(mask);
    request.body = at;
    request.body_bytes = n_bytes - (size_t)(at - text);
    (void)gf__request_take_query_body(&request, &err);
    (void)gf__request_flag(&request, "prettyPrint");
    read_form(&request);
    gf__request_clear(&request);
    gf__free(text);
    return 0;
}
