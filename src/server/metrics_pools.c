/* server/metrics_pools.c: what versions, pools and workers did, as metrics: under our own names, and
 * under those that dashboards for TensorFlow Serving and Triton know. The pools are asked once a
 * page; a metric's lines stand together, as the format wants it. */
#include <string.h>

#include "server/metrics_priv.h"

typedef struct version_row {
    gf__version_counts counts;
    gf__name_parts name;
} version_row;

typedef struct pool_row {
    gf__pool_counts counts;
    char *trunk, *precision;
} pool_row;

typedef struct rows {
    version_row *versions;
    pool_row *pools;
    size_t n_versions, n_pools;
    bool failed;
} rows;

/* ---- collecting ------------------------------------------------------------------------------ */

/* One more of n; doubles at powers of two. NULL, and the old one as it was, without memory. */
static void *grow(void *array, size_t n, size_t item_bytes)
{
    if (n > 0 && (n & (n - 1)) != 0)
        return array;
    return gf__realloc(array, (n > 0 ? 2 * n : 1) * item_bytes);
}

static void collect_version(void *user, const gf__version_counts *counts)
{
    rows *page = user;
    version_row *grown = grow(page->versions, page->n_versions, sizeof *grown);
    if (grown == NULL) {
        page->failed = true;
        return;
    }
    page->versions = grown;
    version_row *row = &grown[page->n_versions];
    *row = (version_row){.counts = *counts};
    const gf_status st = gf__name_split(counts->name, &row->name, NULL);
    if (st == GF_OK)
        page->n_versions++;
    page->failed = page->failed || st != GF_OK;
}

static void collect_pool(void *user, const gf__pool_counts *counts)
{
    rows *page = user;
    pool_row *grown = grow(page->pools, page->n_pools, sizeof *grown);
    if (grown == NULL) {
        page->failed = true;
        return;
    }
    page->pools = grown;
    pool_row *row = &grown[page->n_pools++];
    *row = (pool_row){.counts = *counts,
                      .trunk = gf__strdup(counts->trunk != NULL ? counts->trunk : ""),
                      .precision = gf__strdup(counts->precision != NULL ? counts->precision : "")};
    if (row->trunk == NULL || row->precision == NULL)
        page->failed = true;
}

static void free_rows(rows *page)
{
    for (size_t i = 0; i < page->n_versions; i++)
        gf__name_parts_free(&page->versions[i].name);
    for (size_t i = 0; i < page->n_pools; i++) {
        gf__free(page->pools[i].trunk);
        gf__free(page->pools[i].precision);
    }
    gf__free(page->versions);
    gf__free(page->pools);
}

/* ---- versions -------------------------------------------------------------------------------- */

typedef double number_of_version(const gf__version_counts *counts);

static double n_ok(const gf__version_counts *c)
{
    return (double)c->n_requests_ok;
}
static double n_failed(const gf__version_counts *c)
{
    return (double)c->n_requests_failed;
}
static double n_rejected(const gf__version_counts *c)
{
    return (double)c->n_rejected;
}
static double n_requests(const gf__version_counts *c)
{
    return (double)(c->n_requests_ok + c->n_requests_failed);
}
static double n_instances(const gf__version_counts *c)
{
    return (double)c->n_instances;
}
static double n_passes(const gf__version_counts *c)
{
    return (double)c->n_passes;
}
static double n_waiting(const gf__version_counts *c)
{
    return (double)c->n_waiting;
}
static double load_seconds(const gf__version_counts *c)
{
    return c->load_seconds;
}
static double head_bytes(const gf__version_counts *c)
{
    return (double)c->resident_bytes;
}
static double queue_us(const gf__version_counts *c)
{
    return (double)c->queue_us;
}
static double decode_us(const gf__version_counts *c)
{
    return (double)c->decode_us;
}
static double network_us(const gf__version_counts *c)
{
    return (double)c->network_us;
}
static double head_us(const gf__version_counts *c)
{
    return (double)c->head_us;
}
static double duration_us(const gf__version_counts *c)
{
    return (double)c->duration_us;
}
static double queue_s(const gf__version_counts *c)
{
    return (double)c->queue_us / 1e6;
}
static double decode_s(const gf__version_counts *c)
{
    return (double)c->decode_us / 1e6;
}
static double network_s(const gf__version_counts *c)
{
    return (double)c->network_us / 1e6;
}
static double head_s(const gf__version_counts *c)
{
    return (double)c->head_us / 1e6;
}
static double duration_s(const gf__version_counts *c)
{
    return (double)c->duration_us / 1e6;
}

/* One line a version. more: further labels, with a comma in front. Lines of one name follow each
 * other in the tables; the first has help and type. */
typedef struct version_metric {
    const char *name, *type, *help, *more;
    number_of_version *number;
} version_metric;

static const version_metric our_metrics[] = {
    {"graft_model_requests_total", "counter", "Prediction requests, by outcome.", ",outcome=\"ok\"",
     n_ok},
    {"graft_model_requests_total", NULL, NULL, ",outcome=\"failed\"", n_failed},
    {"graft_model_requests_total", NULL, NULL, ",outcome=\"rejected\"", n_rejected},
    {"graft_model_instances_total", "counter", "Instances that were answered.", "", n_instances},
    {"graft_model_passes_total", "counter", "Network passes that those instances took.", "",
     n_passes},
    {"graft_model_waiting", "gauge", "Requests not yet wholly handed to workers.", "", n_waiting},
    {"graft_model_load_seconds", "gauge", "What the last load of the head took; 0: never loaded.",
     "", load_seconds},
    {"graft_model_resident_bytes", "gauge", "Of the head, in all workers.", "", head_bytes},
    {"graft_model_duration_seconds_total", "counter", "Sum over requests.", "", duration_s},
    {"graft_model_queue_seconds_total", "counter", "Sum over requests, waiting for a worker.", "",
     queue_s},
    {"graft_model_decode_seconds_total", "counter", "Sum over instances.", "", decode_s},
    {"graft_model_network_seconds_total", "counter", "Sum over instances.", "", network_s},
    {"graft_model_head_seconds_total", "counter", "Sum over instances.", "", head_s},
};

static void write_version_metrics(const rows *page, const version_metric *metrics, size_t n_metrics,
                                  const char *model_label, const char *version_label,
                                  gf__buffer *out)
{
    for (size_t m = 0; m < n_metrics; m++) {
        const version_metric *metric = &metrics[m];
        if (metric->type != NULL)
            gf__metric_begin(out, metric->name, metric->type, metric->help);
        for (size_t i = 0; i < page->n_versions; i++) {
            const version_row *row = &page->versions[i];
            gf__buffer_printf(out, "%s{project=\"%s\",%s=\"%s\",%s=\"%s\"%s} %.9g\n", metric->name,
                              row->name.project, model_label, row->name.model, version_label,
                              row->name.version, metric->more, metric->number(&row->counts));
        }
    }
}

/* Triton's. */
static const version_metric triton_metrics[] = {
    {"nv_inference_request_success", "counter", "Successful inference requests.", "", n_ok},
    {"nv_inference_request_failure", "counter", "Failed inference requests.", ",reason=\"BACKEND\"",
     n_failed},
    {"nv_inference_request_failure", NULL, NULL, ",reason=\"REJECTED\"", n_rejected},
    {"nv_inference_count", "counter", "Inferences performed.", "", n_instances},
    {"nv_inference_exec_count", "counter", "Model executions performed.", "", n_passes},
    {"nv_inference_pending_request_count", "gauge", "Requests that wait.", "", n_waiting},
    {"nv_inference_request_duration_us", "counter", "Sum over requests.", "", duration_us},
    {"nv_inference_queue_duration_us", "counter", "Sum over requests.", "", queue_us},
    {"nv_inference_compute_input_duration_us", "counter", "Sum: decoding.", "", decode_us},
    {"nv_inference_compute_infer_duration_us", "counter", "Sum: the network.", "", network_us},
    {"nv_inference_compute_output_duration_us", "counter", "Sum: the head.", "", head_us},
};

/* TensorFlow Serving's; its histograms have one bucket here, which is what a mean needs. */
static const version_metric tensorflow_metrics[] = {
    {":tensorflow:serving:request_count", "counter", "Requests.", ",status=\"OK\"", n_ok},
    {":tensorflow:serving:request_count", NULL, NULL, ",status=\"ERROR\"", n_failed},
    {":tensorflow:serving:request_count", NULL, NULL, ",status=\"RESOURCE_EXHAUSTED\"", n_rejected},
};
static const version_metric example_metrics[] = {
    {":tensorflow:serving:request_example_count_total", "counter", "Instances that were answered.",
     "", n_instances},
};
static const version_metric latency_parts[] = {
    {":tensorflow:serving:request_latency_bucket", NULL, NULL, ",le=\"+Inf\"", n_requests},
    {":tensorflow:serving:request_latency_sum", NULL, NULL, "", duration_us},
    {":tensorflow:serving:request_latency_count", NULL, NULL, "", n_requests},
};

#define N_OF(table) (sizeof(table) / sizeof *(table))

/* ---- pools ----------------------------------------------------------------------------------- */

typedef double number_of_pool(const gf__pool_counts *counts);

static double pool_nodes(const gf__pool_counts *c)
{
    return (double)c->n_nodes;
}
static double pool_waiting(const gf__pool_counts *c)
{
    return (double)c->n_waiting;
}
static double pool_starts(const gf__pool_counts *c)
{
    return (double)c->n_starts;
}
static double pool_stops(const gf__pool_counts *c)
{
    return (double)c->n_stops;
}
static double pool_crashes(const gf__pool_counts *c)
{
    return (double)c->n_crashes;
}
static double pool_retries(const gf__pool_counts *c)
{
    return (double)c->n_retries;
}
static double pool_cold_start(const gf__pool_counts *c)
{
    return c->cold_start_seconds;
}
static double pool_rss(const gf__pool_counts *c)
{
    return (double)c->rss_bytes;
}

static const struct {
    const char *name, *type, *help;
    number_of_pool *number;
} pool_metrics[] = {
    {"graft_pool_nodes", "gauge", "Workers.", pool_nodes},
    {"graft_pool_waiting", "gauge", "Requests not yet wholly handed to workers.", pool_waiting},
    {"graft_worker_starts_total", "counter", "Workers started.", pool_starts},
    {"graft_worker_stops_total", "counter", "Workers stopped because they were idle.", pool_stops},
    {"graft_worker_crashes_total", "counter", "Workers that died.", pool_crashes},
    {"graft_worker_retries_total", "counter", "Instances that were given to another worker.",
     pool_retries},
    {"graft_cold_start_seconds", "gauge", "What the last start of a worker took.", pool_cold_start},
    {"graft_worker_resident_bytes", "gauge", "Of all workers of the pool.", pool_rss},
};

static void write_pool_metrics(const rows *page, gf__buffer *out)
{
    for (size_t m = 0; m < N_OF(pool_metrics); m++) {
        gf__metric_begin(out, pool_metrics[m].name, pool_metrics[m].type, pool_metrics[m].help);
        for (size_t i = 0; i < page->n_pools; i++) {
            const pool_row *row = &page->pools[i];
            gf__buffer_printf(out, "%s{trunk=\"", pool_metrics[m].name);
            gf__metric_label(out, row->trunk);
            gf__buffer_printf(out, "\",precision=\"%s\"} %.9g\n", row->precision,
                              pool_metrics[m].number(&row->counts));
        }
    }
}

void gf__metrics_write_pools(gf__pools *pools, bool wants_aliases, gf__buffer *out)
{
    rows page = {0};
    gf__pools_count(pools, collect_pool, collect_version, &page);
    if (page.failed) {
        out->failed = true;
        goto done;
    }
    write_pool_metrics(&page, out);
    write_version_metrics(&page, our_metrics, N_OF(our_metrics), "model", "version", out);
    if (!wants_aliases)
        goto done;
    write_version_metrics(&page, triton_metrics, N_OF(triton_metrics), "model", "version", out);
    write_version_metrics(&page, tensorflow_metrics, N_OF(tensorflow_metrics), "model_name",
                          "model_version", out);
    /* "model" and not "model_name": so it is there, too. */
    write_version_metrics(&page, example_metrics, N_OF(example_metrics), "model", "model_version",
                          out);
    gf__metric_begin(out, ":tensorflow:serving:request_latency", "histogram",
                     "Microseconds; one bucket.");
    write_version_metrics(&page, latency_parts, N_OF(latency_parts), "model_name", "model_version",
                          out);
done:
    free_rows(&page);
}
