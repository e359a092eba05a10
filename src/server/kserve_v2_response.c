/* server/kserve_v2_response.c: scores, or the best classes, as the one tensor of an answer: JSON, or
 * bytes behind the JSON. */
#include <stdio.h>
#include <string.h>

#include "model/model.h"
#include "server/kserve_v2_priv.h"

/* The tensor's content, in both forms; which one is sent, the request says. */
typedef struct content {
    gf__buffer json, bytes;
    size_t n_columns;
} content;

static void add_scores(content *out, const gf__prediction *item)
{
    for (size_t k = 0; k < item->n_scores; k++) {
        if (out->json.size > 0)
            gf__buffer_puts(&out->json, ",");
        gf__write_number(&out->json, (double)item->scores[k]);
        uint32_t bits;
        memcpy(&bits, &item->scores[k], sizeof bits);
        const uint8_t little[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16),
                                   (uint8_t)(bits >> 24)};
        gf__buffer_append(&out->bytes, little, sizeof little);
    }
}

/* "score:index:label", as Triton writes it. */
static gf_status add_classes(content *out, const gf_model *model, const gf__prediction *item,
                             gf_error *err)
{
    size_t *top = gf__top_classes(item->scores, item->n_scores, out->n_columns);
    if (top == NULL)
        return gf__error_nomem(err, "the best classes", out->n_columns * sizeof *top);
    for (size_t i = 0; i < out->n_columns; i++) {
        gf__buffer text = {0};
        gf__buffer_printf(&text, "%.6f:%zu:%s", (double)item->scores[top[i]], top[i],
                          gf_model_class_at(model, top[i]));
        if (out->json.size > 0)
            gf__buffer_puts(&out->json, ",");
        gf__write_string(&out->json, text.failed ? "" : text.data);
        const uint8_t length[4] = {(uint8_t)text.size, (uint8_t)(text.size >> 8),
                                   (uint8_t)(text.size >> 16), (uint8_t)(text.size >> 24)};
        gf__buffer_append(&out->bytes, length, sizeof length);
        gf__buffer_append(&out->bytes, text.data, text.size);
        out->json.failed = out->json.failed || text.failed;
        gf__buffer_free(&text);
    }
    gf__free(top);
    return GF_OK;
}

static gf_status fill(content *out, const gf__v2_request *asked, const gf_model *model,
                      const gf__predictions *predictions, gf_error *err)
{
    const size_t n_classes = gf_model_n_classes(model);
    gf_status st = GF_OK;
    out->n_columns = asked->n_classes > 0 && asked->n_classes < n_classes ? asked->n_classes
                                                                          : n_classes;
    for (size_t i = 0; i < predictions->n_items && st == GF_OK; i++) {
        if (asked->n_classes > 0)
            st = add_classes(out, model, &predictions->items[i], err);
        else
            add_scores(out, &predictions->items[i]);
    }
    if (st == GF_OK)
        st = gf__buffer_status(&out->bytes, err);
    return st == GF_OK ? gf__buffer_status(&out->json, err) : st;
}

static void write_head(const gf__v2_request *asked, const gf__served *served, gf__buffer *out)
{
    size_t n_chars = 0;
    const char *model = gf__model_part(gf__served_name(served), &n_chars);
    gf__buffer_printf(out, "{\"model_name\":\"%.*s\",\"model_version\":\"%s\"", (int)n_chars, model,
                      gf__version_part(gf__served_name(served)));
    if (asked->id != NULL) {
        gf__buffer_puts(out, ",\"id\":");
        gf__write_string(out, asked->id);
    }
}

gf_status gf__v2_respond(const gf__v2_request *asked, const gf__served *served,
                         const gf__predictions *predictions, bool wants_debug,
                         gf__response *response, gf_error *err)
{
    content found = {0};
    gf__buffer *out = &response->body;
    gf_status st = fill(&found, asked, gf__served_model(served), predictions, err);
    if (st != GF_OK)
        goto done;
    write_head(asked, served, out);
    if (wants_debug) {
        gf__buffer_puts(out, ",\"parameters\":{");
        gf__write_debug(out, predictions);
        gf__buffer_puts(out, "}");
    }
    gf__buffer_printf(
        out,
        ",\"outputs\":[{\"name\":\"" GF__V2_OUTPUT "\",\"shape\":[%zu,%zu],\"datatype\":\"%s\",",
        predictions->n_items, found.n_columns, asked->n_classes > 0 ? "BYTES" : "FP32");
    if (asked->is_binary) {
        gf__buffer_printf(out, "\"parameters\":{\"binary_data_size\":%zu}}]}", found.bytes.size);
        gf__response_header(response, "Inference-Header-Content-Length", "%zu", out->size);
        response->content_type = "application/octet-stream";
        gf__buffer_append(out, found.bytes.data, found.bytes.size);
    } else {
        gf__buffer_puts(out, "\"data\":[");
        gf__buffer_append(out, found.json.data, found.json.size);
        gf__buffer_puts(out, "]}]}");
    }
    st = gf__buffer_status(out, err);
done:
    gf__buffer_free(&found.json);
    gf__buffer_free(&found.bytes);
    return st;
}
