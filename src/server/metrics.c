/* server/metrics.c: the metrics page. Requests are counted here, as they end; what versions, pools
 * and workers did is asked of the pools when somebody looks. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/metrics_priv.h"

#define MIN_CODE  100
#define N_CODES   500
#define N_BUCKETS (sizeof bucket_ends_s / sizeof *bucket_ends_s)

static const char *const families[] = {
    [GF__FAMILY_GOOGLE] = "ml_v1",          [GF__FAMILY_ML_PREDICT] = "ml_v1_predict",
    [GF__FAMILY_TENSORFLOW] = "tensorflow", [GF__FAMILY_V2] = "v2",
    [GF__FAMILY_GRAFT] = "graft",           [GF__FAMILY_PLAIN] = "plain"};
#define N_FAMILIES (sizeof families / sizeof *families)
static const double bucket_ends_s[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                       0.25,  0.5,    1,     2.5,  5,     10,   30};

typedef struct family_counts {
    uint64_t n_by_code[N_CODES];
    uint64_t n_by_bucket[N_BUCKETS + 1]; /* the last: slower than all */
    double sum_s;
} family_counts;

struct gf__metrics {
    pthread_mutex_t mutex;
    family_counts counts[N_FAMILIES];
};

gf_status gf__metrics_new(gf__metrics **out, gf_error *err)
{
    *out = gf__calloc(1, sizeof **out);
    if (*out == NULL)
        return gf__error_nomem(err, "metrics", sizeof **out);
    pthread_mutex_init(&(*out)->mutex, NULL);
    return GF_OK;
}

void gf__metrics_free(gf__metrics *metrics)
{
    if (metrics == NULL)
        return;
    pthread_mutex_destroy(&metrics->mutex);
    gf__free(metrics);
}

void gf__metrics_request(gf__metrics *metrics, gf__family family, int code, double total_ms)
{
    size_t b = 0;
    while (b < N_BUCKETS && total_ms / 1e3 > bucket_ends_s[b])
        b++;
    if (code < MIN_CODE || code >= MIN_CODE + N_CODES)
        return;
    pthread_mutex_lock(&metrics->mutex);
    metrics->counts[family].n_by_code[code - MIN_CODE]++;
    metrics->counts[family].n_by_bucket[b]++;
    metrics->counts[family].sum_s += total_ms / 1e3;
    pthread_mutex_unlock(&metrics->mutex);
}

/* ---- writing --------------------------------------------------------------------------------- */

void gf__metric_begin(gf__buffer *out, const char *name, const char *type, const char *help)
{
    gf__buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void gf__metric_label(gf__buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            gf__buffer_puts(out, "\\n");
        else if (*text == '"' || *text == '\\')
            gf__buffer_printf(out, "\\%c", *text);
        else
            gf__buffer_append(out, text, 1);
    }
}

static void write_plain(gf__buffer *out, const char *name, const char *type, const char *help,
                        double value)
{
    gf__metric_begin(out, name, type, help);
    gf__buffer_printf(out, "%s %.17g\n", name, value);
}

static bool was_asked(const family_counts *counts)
{
    uint64_t n = 0;
    for (size_t b = 0; b <= N_BUCKETS; b++)
        n += counts->n_by_bucket[b];
    return n > 0;
}

static void write_counts(gf__buffer *out, const family_counts *counts)
{
    gf__metric_begin(out, "graft_http_requests_total", "counter",
                     "Requests answered, by API family and status code.");
    for (size_t f = 0; f < N_FAMILIES; f++)
        for (size_t c = 0; c < N_CODES; c++)
            if (counts[f].n_by_code[c] > 0)
                gf__buffer_printf(
                    out, "graft_http_requests_total{family=\"%s\",code=\"%zu\"} %llu\n",
                    families[f], c + MIN_CODE, (unsigned long long)counts[f].n_by_code[c]);
    gf__metric_begin(out, "graft_http_request_duration_seconds", "histogram",
                     "From the request line to the last byte of the answer.");
    for (size_t f = 0; f < N_FAMILIES; f++) {
        unsigned long long n = 0;
        if (!was_asked(&counts[f]))
            continue;
        for (size_t b = 0; b < N_BUCKETS; b++) {
            n += counts[f].n_by_bucket[b];
            gf__buffer_printf(
                out, "graft_http_request_duration_seconds_bucket{family=\"%s\",le=\"%g\"} %llu\n",
                families[f], bucket_ends_s[b], n);
        }
        n += counts[f].n_by_bucket[N_BUCKETS];
        gf__buffer_printf(out,
                          "graft_http_request_duration_seconds_bucket{family=\"%s\",le=\"+Inf\"} "
                          "%llu\n"
                          "graft_http_request_duration_seconds_sum{family=\"%s\"} %.9g\n"
                          "graft_http_request_duration_seconds_count{family=\"%s\"} %llu\n",
                          families[f], n, families[f], counts[f].sum_s, families[f], n);
    }
}

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long total = 0, resident = 0;
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu %llu", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double n_open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t n = 0;
    if (folder == NULL)
        return 0;
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n > 3 ? (double)(n - 3) : 0; /* ".", ".." and the folder itself */
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void write_process(gf_server *server, gf__buffer *out)
{
    struct rusage used = {0};
    (void)getrusage(RUSAGE_SELF, &used);
    write_plain(out, "process_start_time_seconds", "gauge", "Since 1970.",
                (double)server->start_unix_s);
    write_plain(out, "process_resident_memory_bytes", "gauge", "Of the gateway alone.",
                resident_bytes());
    write_plain(out, "process_cpu_seconds_total", "counter", "Of the gateway alone.",
                seconds_of(used.ru_utime) + seconds_of(used.ru_stime));
    write_plain(out, "process_open_fds", "gauge", "Of the gateway alone.", n_open_files());
    write_plain(out, "graft_http_requests_in_flight", "gauge", "Requests being read or answered.",
                server->listener != NULL ? (double)gf__listener_n_in_flight(server->listener) : 0);
    write_plain(out, "graft_ready", "gauge", "1 while /readyz says yes.",
                gf__server_is_ready(server) ? 1 : 0);
    gf__metric_begin(out, "graft_build_info", "gauge", "Always 1.");
    gf__buffer_printf(out, "graft_build_info{version=\"%s\"} 1\n", gf_version());
}

static void write_jobs(gf__jobs *jobs, gf__buffer *out)
{
    gf__jobs_counts counts = {0};
    gf__jobs_count(jobs, &counts);
    gf__metric_begin(out, "graft_jobs", "gauge", "Jobs that have not ended.");
    gf__buffer_printf(out, "graft_jobs{state=\"queued\"} %zu\ngraft_jobs{state=\"running\"} %zu\n",
                      counts.n_queued, counts.n_running);
    gf__metric_begin(out, "graft_jobs_ended_total", "counter", "Jobs that ended, by their state.");
    gf__buffer_printf(out,
                      "graft_jobs_ended_total{state=\"succeeded\"} %llu\n"
                      "graft_jobs_ended_total{state=\"failed\"} %llu\n"
                      "graft_jobs_ended_total{state=\"cancelled\"} %llu\n",
                      (unsigned long long)counts.n_succeeded, (unsigned long long)counts.n_failed,
                      (unsigned long long)counts.n_cancelled);
    write_plain(out, "graft_job_attempts_crashed_total", "counter",
                "Runs of a job that ended without a result.", (double)counts.n_attempts_crashed);
    gf__metric_begin(out, "graft_job_submit_to_start_seconds", "summary",
                     "From a job's creation to the start of its process.");
    gf__buffer_printf(out,
                      "graft_job_submit_to_start_seconds_sum %.9g\n"
                      "graft_job_submit_to_start_seconds_count %llu\n",
                      counts.submit_to_start_s_sum, (unsigned long long)counts.n_started);
}

void gf__metrics_write(gf_server *server, bool wants_aliases, gf__buffer *out)
{
    gf__metrics *metrics = server->metrics;
    family_counts *copy = gf__malloc(sizeof metrics->counts);
    if (copy == NULL) {
        out->failed = true;
        return;
    }
    pthread_mutex_lock(&metrics->mutex);
    memcpy(copy, metrics->counts, sizeof metrics->counts);
    pthread_mutex_unlock(&metrics->mutex);
    write_counts(out, copy);
    gf__free(copy);
    write_process(server, out);
    if (server->pools != NULL)
        gf__metrics_write_pools(server->pools, wants_aliases, out);
    if (server->jobs != NULL)
        write_jobs(server->jobs, out);
}
