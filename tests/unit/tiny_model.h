/* tiny_model.h: a small model file with a self-test that holds, and ways to spoil it. */
#ifndef GRAFT_TESTS_TINY_MODEL_H
#define GRAFT_TESTS_TINY_MODEL_H

#include "tiny.h"

#define TINY_SAMPLES 2

static const char *const tiny_classes[3] = {"rose", "tulip", "Gänseblümchen"};

typedef struct tiny_self_test {
    gf__self_test_sample samples[TINY_SAMPLES];
    float scores[TINY_SAMPLES][3];
} tiny_self_test;

/* Pictures of the input's size with what trunk and head say to them. */
static inline void tiny_make_self_test(gf_trunk *trunk, const gf_head *head, tiny_self_test *out)
{
    gf_extractor_options options = gf_extractor_options_default();
    const gf_output_spec spec = {"conv", GF_POOL_AVG};
    gf_extractor *extractor = NULL;
    options.precision = GF_PRECISION_F32;
    options.n_threads = 1;
    options.for_latency = true;
    CHECK_OK(gf_extractor_new(trunk, &spec, 1, &options, &extractor, &check_err));
    for (size_t i = 0; i < TINY_SAMPLES; i++) {
        float values[TINY_FILTERS], *features = values;
        uint8_t *png = NULL;
        size_t n_bytes = 0;
        tiny_png(TINY_SIDE, TINY_SIDE, 500 + i, &png, &n_bytes);
        CHECK_OK(gf_extractor_picture(extractor, png, n_bytes, &features, NULL, &check_err));
        CHECK_OK(gf_head_predict(head, features, 1, out->scores[i], &check_err));
        out->samples[i] = (gf__self_test_sample){
            .item = i == 0 ? "rose/1.jpg" : "tulip/7.jpg",
            .png = png,
            .n_bytes = n_bytes,
            .scores = out->scores[i],
        };
    }
    gf_extractor_free(extractor);
}

static inline void tiny_end_self_test(tiny_self_test *self_test)
{
    for (size_t i = 0; i < TINY_SAMPLES; i++)
        gf_image_bytes_free((uint8_t *)(uintptr_t)self_test->samples[i].png);
}

static inline void tiny_save_model(const char *path, gf_trunk *trunk, const gf_head *head,
                                   bool is_bundle)
{
    static const char record[] = "{\"options\":{\"n_epochs\":20},\"metrics\":{\"accuracy\":0.975}}";
    tiny_self_test self_test;
    gf__json *training = NULL;
    CHECK_OK(gf__json_parse(record, strlen(record), &training, &check_err));
    tiny_make_self_test(trunk, head, &self_test);
    const gf__model_content content = {.head = head,
                                       .class_names = tiny_classes,
                                       .trunk = trunk,
                                       .layer = "conv",
                                       .pool = GF_POOL_AVG,
                                       .precision = GF_PRECISION_F32,
                                       .recipe = gf_recipe_of(trunk),
                                       .training = training,
                                       .samples = self_test.samples,
                                       .n_samples = TINY_SAMPLES,
                                       .tolerance = 1e-4,
                                       .is_bundle = is_bundle};
    CHECK_OK(gf__model_save(path, &content, &check_err));
    tiny_end_self_test(&self_test);
    gf__json_free(training);
}

/* A change to a model file: a piece of its document exchanged (once), a tensor left out, or put in
 * another's place, or one more. NULL: not. */
typedef struct tiny_change {
    const char *from, *to;
    const char *drop;
    const char *replace;
    const char *extra;
    const gf_tensor *by; /* of the two above */
} tiny_change;

static inline char *tiny_exchange(const char *text, const char *from, const char *to)
{
    const char *at = from != NULL ? strstr(text, from) : NULL;
    if (from == NULL)
        return gf__strdup(text);
    if (at == NULL)
        fail_msg("the document has no %s: %s", from, text);
    return gf__asprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static inline void tiny_change_model(const char *path, const tiny_change *change)
{
    gf_safetensors *file = NULL;
    gf_named_tensor tensors[64];
    size_t n = 0;
    CHECK_OK(gf_safetensors_open(path, &file, &check_err));
    for (size_t i = 0; i < gf_safetensors_n_tensors(file); i++) {
        const char *name = gf_safetensors_name_at(file, i);
        if (change->drop != NULL && strcmp(name, change->drop) == 0)
            continue;
        const bool is_replaced = change->replace != NULL && strcmp(name, change->replace) == 0;
        tensors[n].name = name;
        tensors[n++].tensor = is_replaced ? change->by : gf_safetensors_find(file, name);
    }
    if (change->extra != NULL)
        tensors[n++] = (gf_named_tensor){change->extra, change->by};
    char *text = tiny_exchange(gf_safetensors_metadata(file, "graft"), change->from, change->to);
    const gf_metadata metadata = {"graft", text};
    CHECK_OK(gf_safetensors_save(path, tensors, n, &metadata, 1, &check_err));
    gf__free(text);
    gf_safetensors_close(file);
}

#endif
