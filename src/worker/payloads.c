/* worker/payloads.c: what is in the frames, written and read back. See protocol.h. */
#include <math.h>
#include <string.h>

#include "worker/protocol.h"
#include "worker/wire_priv.h"

void gf__setup_write(const gf__worker_options *options, double started_s, gf__buffer *out)
{
    gf__wire_put_double(out, started_s);
    gf__wire_put_text(out, options->home);
    gf__wire_put_text(out, options->trunk_sha256);
    gf__wire_put_text(out, options->trunk_name);
    gf__wire_put_text(out, options->trunk_file);
    gf__wire_put_u32(out, (uint32_t)options->precision);
    gf__wire_put_u32(out, (uint32_t)options->n_threads);
    gf__wire_put_u64(out, options->max_pixels);
    gf__wire_put_u64(out, options->max_memory_bytes);
    gf__wire_put_u32(out, (uint32_t)options->n_cuts);
    for (size_t i = 0; i < options->n_cuts; i++) {
        gf__wire_put_text(out, options->cuts[i].layer);
        gf__wire_put_u32(out, (uint32_t)options->cuts[i].pool);
    }
}

gf_status gf__setup_read(const uint8_t *payload, size_t n_bytes, gf__setup *out, gf_error *err)
{
    gf__wire_cursor in = {payload, n_bytes, false};
    gf__worker_options *options = &out->options;
    *out = (gf__setup){0};
    out->started_s = gf__wire_get_double(&in);
    options->home = gf__wire_get_text(&in);
    options->trunk_sha256 = gf__wire_get_text(&in);
    options->trunk_name = gf__wire_get_text(&in);
    options->trunk_file = gf__wire_get_text(&in);
    options->precision = (gf_precision)gf__wire_get_enum(&in, GF_PRECISION_BF16 + 1);
    options->n_threads = (int)gf__wire_get_enum(&in, GF__WORKER_MAX_THREADS + 1);
    options->max_pixels = gf__wire_get_u64(&in);
    options->max_memory_bytes = gf__wire_get_u64(&in);
    options->n_cuts = gf__wire_get_enum(&in, GF__WORKER_MAX_CUTS + 1);
    if (!in.failed) {
        out->cuts = gf__calloc(options->n_cuts, sizeof *out->cuts);
        if (out->cuts == NULL)
            return gf__error_nomem(err, "cuts", options->n_cuts * sizeof *out->cuts);
    }
    for (size_t i = 0; !in.failed && i < options->n_cuts; i++) {
        out->cuts[i].layer = gf__wire_get_text(&in);
        out->cuts[i].pool = (gf_pool)gf__wire_get_enum(&in, GF_POOL_MAX + 1);
        in.failed = in.failed || out->cuts[i].layer == NULL;
    }
    options->cuts = out->cuts;
    in.failed = in.failed || options->home == NULL || options->n_threads < 1 ||
                (options->trunk_sha256 == NULL) != (options->trunk_name == NULL);
    const gf_status st = gf__wire_end(&in, "set-up", err);
    if (st != GF_OK) {
        gf__free(out->cuts);
        *out = (gf__setup){0};
    }
    return st;
}

void gf__number_write(uint64_t number, gf__buffer *out)
{
    gf__wire_put_u64(out, number);
}

gf_status gf__number_read(const uint8_t *payload, size_t n_bytes, uint64_t *out, gf_error *err)
{
    gf__wire_cursor in = {payload, n_bytes, false};
    *out = gf__wire_get_u64(&in);
    return gf__wire_end(&in, "request", err);
}

void gf__run_write(const gf__run *run, gf__buffer *out)
{
    gf__wire_put_u64(out, run->id);
    gf__wire_put_u64(out, run->head);
    gf__wire_put_u32(out, (uint32_t)run->kind);
    gf__wire_put_u32(out, run->wants_debug ? 1 : 0);
    gf__wire_put_u64(out, run->height);
    gf__wire_put_u64(out, run->width);
}

gf_status gf__run_read(const uint8_t *payload, size_t n_bytes, gf__run *out, gf_error *err)
{
    gf__wire_cursor in = {payload, n_bytes, false};
    *out = (gf__run){0};
    out->id = gf__wire_get_u64(&in);
    out->head = gf__wire_get_u64(&in);
    out->kind = (gf__run_kind)gf__wire_get_enum(&in, GF__RUN_SELF_TEST + 1);
    out->wants_debug = gf__wire_get_enum(&in, 2) == 1;
    out->height = gf__wire_get_size(&in);
    out->width = gf__wire_get_size(&in);
    out->n_bytes = in.left;
    out->bytes = gf__wire_take(&in, in.left);
    return gf__wire_end(&in, "run", err);
}

void gf__report_write(const gf__report *report, gf__buffer *out)
{
    gf__wire_put_u32(out, (uint32_t)report->kind);
    gf__wire_put_u32(out, (uint32_t)report->status);
    gf__wire_put_text(out, report->message != NULL ? report->message : "");
    gf__wire_put_u32(out, (uint32_t)report->precision);
    gf__wire_put_double(out, report->start_ms);
    gf__wire_put_u32(out, report->is_locked_down_fs ? 1 : 0);
    gf__wire_put_u64(out, report->head);
    gf__wire_put_u64(out, report->resident_bytes);
    gf__wire_put_double(out, report->load_ms);
    gf__wire_put_u64(out, report->id);
    gf__wire_put_double(out, report->timing.wait_ms);
    gf__wire_put_double(out, report->timing.decode_ms);
    gf__wire_put_double(out, report->timing.network_ms);
    gf__wire_put_double(out, report->timing.head_ms);
    gf__wire_put_u32(out, report->timing.n_batch);
    gf__wire_put_u32(out, report->timing.n_threads);
    gf__wire_put_text(out, report->tensor_sha256);
    gf__wire_put_text(out, report->features_sha256);
    gf__wire_put_text(out, report->logits_sha256);
    gf__wire_put_u64(out, report->scores != NULL ? report->n_scores : 0);
    gf__wire_put_u32(out, report->logits != NULL ? 1 : 0);
    if (report->scores != NULL)
        gf__wire_put_floats(out, report->scores, report->n_scores);
    if (report->logits != NULL)
        gf__wire_put_floats(out, report->logits, report->n_scores);
}

/* 64 digits, or nothing. */
static void get_hash(gf__wire_cursor *in, char hex[GF__SHA256_HEX])
{
    const char *text = gf__wire_get_text(in);
    const size_t n = text != NULL ? strlen(text) : 0;
    if (text == NULL || (n != 0 && (n != GF__SHA256_HEX - 1 ||
                                    strspn(text, "0123456789abcdef") != GF__SHA256_HEX - 1)))
        in->failed = true;
    else
        memcpy(hex, text, n + 1);
}

static double get_time(gf__wire_cursor *in)
{
    const double ms = gf__wire_get_double(in);
    if (!(ms >= 0 && isfinite(ms)))
        in->failed = true;
    return in->failed ? 0 : ms;
}

static bool is_utf8(const char *text)
{
    for (size_t left = strlen(text), n; left > 0; text += n, left -= n) {
        n = gf__utf8_length(text, left);
        if (n == 0)
            return false;
    }
    return true;
}

static const char *get_message(gf__wire_cursor *in)
{
    const char *text = gf__wire_get_text(in);
    if (text != NULL && strlen(text) < GF_ERROR_MAX && is_utf8(text))
        return text;
    in->failed = true;
    return "";
}

static gf_status read_floats(gf__wire_cursor *in, gf__report *out, bool has_logits, float **floats,
                             gf_error *err)
{
    const size_t n = out->n_scores * (has_logits ? 2 : 1);
    *floats = gf__malloc(n * sizeof **floats);
    if (*floats == NULL)
        return gf__error_nomem(err, "scores", n * sizeof **floats);
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = gf__wire_get_u32(in);
        memcpy(&(*floats)[i], &bits, sizeof bits);
        if (!isfinite((*floats)[i]))
            in->failed = true;
    }
    out->scores = *floats;
    out->logits = has_logits ? *floats + out->n_scores : NULL;
    return GF_OK;
}

gf_status gf__report_read(const uint8_t *payload, size_t n_bytes, gf__report *out, float **floats,
                          gf_error *err)
{
    gf__wire_cursor in = {payload, n_bytes, false};
    *out = (gf__report){0};
    *floats = NULL;
    out->kind = (gf__report_kind)gf__wire_get_enum(&in, GF__REPORT_RESULT + 1);
    out->status = (gf_status)gf__wire_get_enum(&in, GF_ETIMEOUT + 1);
    out->message = get_message(&in);
    out->precision = (gf_precision)gf__wire_get_enum(&in, GF_PRECISION_BF16 + 1);
    out->start_ms = get_time(&in);
    out->is_locked_down_fs = gf__wire_get_enum(&in, 2) == 1;
    out->head = gf__wire_get_u64(&in);
    out->resident_bytes = gf__wire_get_size(&in);
    out->load_ms = get_time(&in);
    out->id = gf__wire_get_u64(&in);
    out->timing.wait_ms = get_time(&in);
    out->timing.decode_ms = get_time(&in);
    out->timing.network_ms = get_time(&in);
    out->timing.head_ms = get_time(&in);
    out->timing.n_batch = gf__wire_get_u32(&in);
    out->timing.n_threads = gf__wire_get_u32(&in);
    get_hash(&in, out->tensor_sha256);
    get_hash(&in, out->features_sha256);
    get_hash(&in, out->logits_sha256);
    out->n_scores = gf__wire_get_size(&in);
    const bool has_logits = gf__wire_get_enum(&in, 2) == 1;
    if (out->n_scores > in.left / sizeof(float))
        in.failed = true;
    gf_status st = GF_OK;
    if (!in.failed && out->n_scores > 0)
        st = read_floats(&in, out, has_logits, floats, err);
    if (st == GF_OK)
        st = gf__wire_end(&in, "report", err);
    if (st != GF_OK) {
        gf__free(*floats);
        *floats = NULL;
    }
    return st;
}
