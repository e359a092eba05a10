/* fuzz_tfjs.c: any bytes as a JavaScript literal that describes a network, as a TensorFlow.js
 * document, and as the module of an npm package. A document that names itself as its shard gets as
 * far as the weights. */
#include "fuzz.h"
#include "scratch.h"
#include "zoo/tfjs/tfjs_priv.h"

static void read_as(gf__source_kind kind, const char *name, const uint8_t *bytes, size_t n_bytes)
{
    scratch s;
    gf_error err;
    gf__checkpoint checkpoint = {0};
    if (scratch_write(&s, name, bytes, n_bytes)) {
        const gf__source source = {.kind = kind, .path = s.file};
        (void)gf__tfjs_read(&source, NULL, &checkpoint, &err);
    }
    gf__checkpoint_free(&checkpoint);
    scratch_remove(&s);
}

static void read_literal(const char *text, size_t n_chars)
{
    gf__buffer out = {0};
    gf__json *json = NULL;
    gf_graph *graph = NULL;
    gf_error err;
    if (gf__js_to_json(text, n_chars, &out, NULL, &err) == GF_OK &&
        gf__json_parse(out.data, out.size, &json, &err) == GF_OK)
        (void)gf__graph_from_config(json, &graph, &err);
    gf_graph_free(graph);
    gf__json_free(json);
    gf__buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    read_literal((const char *)bytes, n_bytes);
    read_as(GF__SOURCE_TFJS, "model.json", bytes, n_bytes);
    read_as(GF__SOURCE_NPM, "model.min.js", bytes, n_bytes);
    return 0;
}
