/* fuzz_predict_body.c: any bytes as the body of a prediction. The first says of what: a (instances or
 * inputs), e (examples), v (the Open Inference Protocol), h (the same, after a line that is its
 * Inference-Header-Content-Length); capital letters ask a model that takes numbers. What was read
 * must lie where it can be read, and be no more than was allowed. */
#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "fuzz.h"
#include "model/model_priv.h"
#include "server/kserve_v2_priv.h"

#define MAX_INSTANCES 8

static const char *column_names[] = {"length", "width"};
static const char *class_names[] = {"rose", "tulip"};

/* As far as a body is concerned; of each kind one. */
static gf_model make_model(bool takes_numbers)
{
    static const char document[] = "{\"columns\":[\"length\",\"width\"]}";
    gf_model model = {.class_names = class_names, .n_classes = 2, .n_features = 2};
    gf_error err;
    assert(gf__json_parse(takes_numbers ? document : "{}", takes_numbers ? sizeof document - 1 : 2,
                          &model.json, &err) == GF_OK);
    model.trunk_name = takes_numbers ? NULL : "tiny";
    model.layer = takes_numbers ? NULL : "conv";
    model.column_names = takes_numbers ? column_names : NULL;
    model.recipe = (gf_recipe){.version = 1, .width = 4, .height = 4, .scale = 1, .shift = 0};
    return model;
}

static void check_instances(const gf__instance *instances, size_t n)
{
    volatile unsigned sum = 0; /* so that each byte is read */
    assert(n > 0 && n <= MAX_INSTANCES);
    for (size_t i = 0; i < n; i++) {
        const gf__instance *one = &instances[i];
        const bool is_pixels = one->kind == GF__RUN_PIXELS || one->kind == GF__RUN_SCALED;
        const size_t n_values = one->height * one->width * 3;
        if (is_pixels)
            assert(one->n_bytes == n_values * (one->kind == GF__RUN_SCALED ? sizeof(float) : 1));
        for (size_t b = 0; b < one->n_bytes; b++)
            sum = sum + ((const uint8_t *)one->bytes)[b];
    }
}

static void ask(const gf_model *model, bool is_examples, char *body, size_t n_bytes)
{
    static gf_server server = {.options = {.max_instances = MAX_INSTANCES}};
    gf__asked asked;
    gf_error err = {.message = ""};
    const gf_status st = is_examples ? gf__asked_parse_rows(&server, model, "examples", body,
                                                            n_bytes, &asked, &err)
                                     : gf__asked_parse(&server, model, body, n_bytes, &asked, &err);
    if (st == GF_OK) {
        check_instances(asked.instances, asked.n_instances);
        assert(gf__json_is_object(asked.rest));
        gf__asked_free(&asked);
    } else {
        assert(err.message[0] != '\0' && asked.memory == NULL);
    }
}

static void infer(const gf_model *model, const char *header_length, char *body, size_t n_bytes)
{
    gf__v2_request request = {0};
    gf_error err = {.message = ""};
    if (gf__v2_request_parse(model, MAX_INSTANCES, header_length, body, n_bytes, &request, &err) ==
        GF_OK)
        check_instances(request.instances, request.n_instances);
    else
        assert(err.message[0] != '\0');
    gf__v2_request_free(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    if (n_bytes == 0)
        return 0;
    const char what = (char)tolower(bytes[0]);
    char *text = gf__strndup((const char *)bytes + 1, n_bytes - 1);
    char *body = gf__malloc(n_bytes); /* with the NUL that requests have */
    gf_model model = make_model(isupper(bytes[0]) != 0);
    assert(text != NULL && body != NULL);
    memcpy(body, bytes + 1, n_bytes - 1);
    body[n_bytes - 1] = '\0';
    char *line = strchr(text, '\n');
    if (what == 'h' && line != NULL) {
        const size_t n_line = (size_t)(line - text) + 1;
        *line = '\0';
        memmove(body, body + n_line, n_bytes - n_line);
        infer(&model, text, body, n_bytes - 1 - n_line);
    } else if (what == 'v') {
        infer(&model, NULL, body, n_bytes - 1);
    } else {
        ask(&model, what == 'e', body, n_bytes - 1);
    }
    gf__json_free(model.json);
    gf__free(body);
    gf__free(text);
    return 0;
}
