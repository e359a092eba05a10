/* server/server.c: a server's parts, started in the order they need each other and ended in the
 * opposite one. */
#include "graft/server.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "server/server_priv.h"

#define MAX_PEM_BYTES ((size_t)1 << 20)
#define DRAIN_POLL_MS 5
#define N_OTHER_FILES ((size_t)128) /* that may be open beside connections */

gf_server_options gf_server_options_default(void)
{
    return (gf_server_options){
        .address = "127.0.0.1",
        .port = 8080,
        .project = "default",
        .max_body_bytes = (uint64_t)32 << 20,
        .max_upload_bytes = (uint64_t)4 << 30,
        .max_header_bytes = (size_t)32 << 10,
        .max_connections = 1000,
        .max_instances = 1024,
        .read_timeout_ms = 30000,
        .deadline_ms = 60000,
        .drain_timeout_ms = 30000,
        .precision = GF_PRECISION_AUTO,
        .idle_timeout_ms = 60000,
        .max_waiting = 64,
        .run_timeout_ms = 30000,
        .max_head_bytes = (uint64_t)512 << 20,
        .max_worker_bytes = (uint64_t)8 << 30,
        .is_jobs_enabled = true,
        .runner = "local",
        .job_grace_ms = 10000,
    };
}

/* ---- options --------------------------------------------------------------------------------- */

static gf_status keep_text(const char **text, gf_error *err)
{
    if (*text == NULL)
        return GF_OK;
    const char *from = *text;
    *text = gf__strdup(from);
    return *text != NULL ? GF_OK : gf__error_nomem(err, "an option", strlen(from));
}

#define N_TEXTS 15
static void texts_of(gf_server_options *options, const char **texts[N_TEXTS])
{
    const char **all[N_TEXTS] = {
        &options->home,          &options->program,         &options->address,
        &options->tls_cert,      &options->tls_key,         &options->project,
        &options->cors_origin,   &options->access_log,      &options->health_route,
        &options->predict_route, &options->vertex_model,    &options->vertex_version,
        &options->runner,        &options->slurm_partition, &options->python};
    memcpy(texts, all, sizeof all);
}

/* file_roots is the registry's alone, which copies it. */
static gf_status copy_options(gf_server *server, const gf_server_options *options, gf_error *err)
{
    const char **texts[N_TEXTS];
    gf_status st = GF_OK;
    server->options = *options;
    server->options.file_roots = NULL;
    server->options.n_file_roots = 0;
    texts_of(&server->options, texts);
    for (size_t i = 0; i < N_TEXTS; i++) {
        if (st == GF_OK)
            st = keep_text(texts[i], err);
        else
            *texts[i] = NULL;
    }
    return st;
}

static void free_options(gf_server *server)
{
    const char **texts[N_TEXTS];
    texts_of(&server->options, texts);
    for (size_t i = 0; i < N_TEXTS; i++)
        gf__free((void *)(uintptr_t)*texts[i]);
}

static bool is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcmp(address, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, address, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Times and counts that would make every request fail. */
static gf_status check_least(const gf_server_options *options, gf_error *err)
{
    const struct {
        const char *name;
        int64_t value, least;
    } rules[] = {
        {"deadline", options->deadline_ms, 1},
        {"run timeout", options->run_timeout_ms, 1},
        {"idle timeout", options->idle_timeout_ms, 1},
        {"read timeout", options->read_timeout_ms, 0},
        {"drain timeout", options->drain_timeout_ms, 0},
        {"drain delay", options->drain_delay_ms, 0},
        {"threads", options->n_threads, 0},
        {"job CPUs", options->n_job_cpus, 0},
        {"job grace", options->job_grace_ms, 0},
        {"max instances", options->max_instances < INT64_MAX ? (int64_t)options->max_instances : 0,
         1},
        {"max waiting", options->max_waiting < INT64_MAX ? (int64_t)options->max_waiting : 0, 1},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].value < rules[i].least)
            return gf_error_set(err, GF_EINVAL, "%s %lld: expected %lld or more", rules[i].name,
                                (long long)rules[i].value, (long long)rules[i].least);
    return GF_OK;
}

static gf_status check_options(const gf_server_options *options, gf_error *err)
{
    if (options->home == NULL || options->home[0] == '\0')
        return gf_error_set(err, GF_EINVAL, "a server needs a home folder");
    if (options->program == NULL)
        return gf_error_set(err, GF_EINVAL, "a server needs the program that workers are");
    if (options->address == NULL || options->address[0] == '\0')
        return gf_error_set(err, GF_EINVAL, "a server needs an address");
    if (options->project == NULL || options->project[0] == '\0')
        return gf_error_set(err, GF_EINVAL, "a server needs a project");
    const gf_status st = gf__registry_check_project(options->project, err);
    if (st != GF_OK)
        return st;
    if (options->port < 0 || options->port > 65535)
        return gf_error_set(err, GF_EINVAL, "port %d: expected 0 to 65535", options->port);
    if ((options->tls_cert == NULL) != (options->tls_key == NULL))
        return gf_error_set(err, GF_EINVAL, "TLS needs both a certificate and its key");
    if (options->max_connections == 0 || options->max_connections > 1000000)
        return gf_error_set(err, GF_EINVAL, "max connections %zu: expected 1 to 1000000",
                            options->max_connections);
    if (options->max_header_bytes < 256 || options->max_header_bytes > (size_t)16 << 20)
        return gf_error_set(err, GF_EINVAL, "max header bytes %zu: expected 256 to 16 MiB",
                            options->max_header_bytes);
    if (options->max_body_bytes == 0 || options->max_body_bytes > (uint64_t)1 << 40)
        return gf_error_set(err, GF_EINVAL, "max body bytes: expected 1 to 1 TiB");
    return check_least(options, err);
}

/* ---- starting -------------------------------------------------------------------------------- */

/* Of processes that were killed while they wrote. Buckets are users': what is in them is nobody else's to judge. */
static void sweep_home(const gf_server_options *options)
{
    static const struct {
        const char *name;
        int depth;
    } folders[] = {{"trunks", 0}, {"packs", 0}, {"features", 1}, {"jobs", 1}};
    size_t n_swept = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = gf__path_join(options->home, folders[i].name);
        if (path != NULL)
            n_swept += gf__sweep_temporaries(path, folders[i].depth);
        gf__free(path);
    }
    if (n_swept > 0)
        gf__observe_log(&options->observer, GF_LOG_INFO,
                        "%zu files that killed processes had left half written are removed",
                        n_swept);
}

static gf_status open_registry(gf_server *server, const gf_server_options *options, gf_error *err)
{
    gf_registry_options settings = gf_registry_options_default();
    settings.home = options->home;
    settings.file_roots = options->file_roots;
    settings.n_file_roots = options->n_file_roots;
    gf_status st = gf_registry_open(&settings, &server->registry, err);
    if (st == GF_OK)
        st = gf_registry_lock(server->registry, err);
    if (st == GF_EBUSY)
        return gf_error_set(err, GF_EBUSY,
                            "%s: another server runs on this home; stop it, or use another home",
                            options->home);
    if (st == GF_OK)
        st = gf_registry_recover(server->registry, GF_REGISTRY_RESUME, NULL, err);
    if (st == GF_OK)
        sweep_home(options);
    return st;
}

static gf_status check_tokens(gf_server *server, gf_error *err)
{
    char *text = NULL;
    gf__json *list = NULL;
    server->needs_tokens = server->options.needs_tokens ||
                           (!server->options.is_open && !is_loopback(server->options.address));
    if (!server->needs_tokens)
        return GF_OK;
    gf_status st = gf_registry_list_tokens(server->registry, &text, err);
    if (st == GF_OK)
        st = gf__json_parse(text, strlen(text), &list, err);
    if (st == GF_OK && gf__json_n_items(gf__json_find(list, "tokens")) == 0)
        st = gf_error_set(err, GF_EINVAL,
                          "%s: no client could ask this server anything, as there are no tokens; "
                          "make one with `graft token create --role admin`",
                          server->options.address);
    gf__json_free(list);
    gf_registry_free_text(text);
    return st;
}

/* HOME/uploads, without what a killed server left there. Only the holder of the lock comes here. */
static gf_status make_uploads_dir(gf_server *server, gf_error *err)
{
    gf__dir_list left = {0};
    server->uploads_dir = gf__path_join(server->options.home, "uploads");
    if (server->uploads_dir == NULL)
        return gf__error_nomem(err, "a path", strlen(server->options.home));
    gf_status st = gf__make_dirs(server->uploads_dir, err);
    if (st == GF_OK)
        st = gf__list_dir(server->uploads_dir, &left, err);
    for (size_t i = 0; i < left.n_names; i++) {
        char *path = gf__path_join(server->uploads_dir, left.names[i]);
        if (path != NULL)
            (void)unlink(path);
        gf__free(path);
    }
    gf__dir_list_free(&left);
    return st;
}

static gf_status make_url(gf_server *server, gf_error *err)
{
    const char *scheme = server->options.tls_cert != NULL ? "https" : "http";
    const char *address = server->options.address;
    const int port = server->port = gf__listener_port(server->listener);
    server->url = strchr(address, ':') != NULL ? gf__asprintf("%s://[%s]:%d", scheme, address, port)
                                               : gf__asprintf("%s://%s:%d", scheme, address, port);
    return server->url != NULL ? GF_OK : gf__error_nomem(err, "an address", strlen(address));
}

/* Each connection is an open file. Workers, the registry and the heads being loaded need some, too:
 * silent clients must not take those from them. */
static size_t connections_within_limit(const gf_server *server)
{
    const size_t wanted = server->options.max_connections;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return wanted;
    const size_t n_files = (size_t)files.rlim_cur;
    const size_t most = n_files > 2 * N_OTHER_FILES ? n_files - N_OTHER_FILES : n_files / 2;
    if (wanted <= most)
        return wanted;
    gf__observe_log(&server->options.observer, GF_LOG_WARNING,
                    "at most %zu connections at a time instead of %zu: only %zu files may be open "
                    "(ulimit -n)",
                    most, wanted, n_files);
    return most > 0 ? most : 1;
}

static gf_status open_port(gf_server *server, gf_error *err)
{
    const gf_server_options *options = &server->options;
    char *cert = NULL, *key = NULL;
    size_t n_bytes = 0;
    gf_status st = GF_OK;
    if (options->tls_cert != NULL) {
        st = gf__read_file(options->tls_cert, MAX_PEM_BYTES, &cert, &n_bytes, err);
        if (st == GF_OK)
            st = gf__read_file(options->tls_key, MAX_PEM_BYTES, &key, &n_bytes, err);
    }
    if (st == GF_OK) {
        const gf__listener_options settings = {
            .address = options->address,
            .port = options->port,
            .tls_cert_pem = cert,
            .tls_key_pem = key,
            .max_header_bytes = options->max_header_bytes,
            .max_connections = connections_within_limit(server),
            .read_timeout_ms = options->read_timeout_ms,
            .user = server,
            .admit = gf__routes_admit,
            .respond = gf__routes_respond,
            .done = gf__routes_done,
        };
        st = gf__listener_open(&settings, &server->listener, err);
    }
    gf__free(cert);
    gf__free(key);
    return st;
}

static gf_status start_pools(gf_server *server, gf_error *err)
{
    const gf_server_options *options = &server->options;
    gf__pools_options settings = gf__pools_options_default();
    settings.program = options->program;
    settings.home = options->home;
    settings.precision = options->precision;
    settings.n_threads = options->n_threads;
    settings.idle_timeout_ms = options->idle_timeout_ms;
    settings.max_waiting = options->max_waiting;
    settings.deadline_ms = options->deadline_ms;
    settings.run_timeout_ms = options->run_timeout_ms;
    settings.max_head_bytes = options->max_head_bytes;
    settings.max_worker_bytes = options->max_worker_bytes;
    settings.max_pixels = options->max_pixels;
    settings.observer = options->observer;
    return gf__pools_new(&settings, &server->pools, err);
}

/* Once the port is known: jobs are told where the server is. */
static gf_status start_jobs(gf_server *server, gf_error *err)
{
    const gf_server_options *options = &server->options;
    gf__jobs_options settings = gf__jobs_options_default();
    if (!options->is_jobs_enabled)
        return GF_OK;
    const gf_status st = gf__runner_kind_parse(options->runner, &settings.runner, err);
    if (st != GF_OK)
        return st;
    /* "/proc/PID/exe" means nothing on another machine, or after this process. */
    char program[PATH_MAX];
    const bool is_found = realpath(options->program, program) != NULL;
    settings.registry = server->registry;
    settings.home = options->home;
    settings.program = is_found ? program : options->program;
    settings.server_url = server->url;
    settings.n_cpus = options->n_job_cpus;
    settings.grace_ms = options->job_grace_ms;
    settings.slurm_partition = options->slurm_partition;
    settings.python = options->python;
    settings.observer = options->observer;
    return gf__jobs_start(&settings, &server->jobs, err);
}

/* Clients come last: whoever gets an answer gets it from a whole server. Operations come before
 * them, so that what was accepted is under way. */
static gf_status start_parts(gf_server *server, const gf_server_options *options, gf_error *err)
{
    gf_status st = open_registry(server, options, err);
    if (st == GF_OK)
        st = check_tokens(server, err);
    if (st == GF_OK)
        st = make_uploads_dir(server, err);
    if (st == GF_OK)
        st = gf__access_log_open(server->options.access_log, &server->access_log, err);
    if (st == GF_OK)
        st = gf__metrics_new(&server->metrics, err);
    if (st == GF_OK)
        st = start_pools(server, err);
    if (st == GF_OK)
        st = gf__catalog_new(server, &server->catalog, err);
    if (st == GF_OK)
        st = gf__operations_start(server, &server->operations, err);
    if (st == GF_OK)
        st = open_port(server, err);
    if (st == GF_OK)
        st = make_url(server, err);
    if (st == GF_OK)
        st = start_jobs(server, err);
    if (st == GF_OK)
        st = gf__listener_accept(server->listener, err);
    return st;
}

gf_status gf_server_start(const gf_server_options *options, gf_server **out, gf_error *err)
{
    *out = NULL;
    gf_status st = check_options(options, err);
    if (st != GF_OK)
        return st;
    gf_server *server = gf__calloc(1, sizeof *server);
    if (server == NULL)
        return gf__error_nomem(err, "a server", sizeof *server);
    server->start_unix_s = (int64_t)time(NULL);
    st = copy_options(server, options, err);
    if (st == GF_OK)
        st = start_parts(server, options, err);
    if (st != GF_OK) {
        gf_server_free(server);
        return st;
    }
    *out = server;
    return GF_OK;
}

int gf_server_port(const gf_server *server)
{
    return server->port;
}

const char *gf_server_url(const gf_server *server)
{
    return server->url;
}

bool gf__server_is_ready(gf_server *server)
{
    if (atomic_load(&server->is_draining))
        return false;
    /* Asked until it was so once: a worker that crashes later is the pool's business. */
    if (!atomic_load(&server->is_ready) && gf__pools_are_ready(server->pools))
        atomic_store(&server->is_ready, true);
    return atomic_load(&server->is_ready);
}

/* ---- ending ---------------------------------------------------------------------------------- */

static void sleep_ms(int64_t ms)
{
    const struct timespec time = {.tv_sec = (time_t)(ms / 1000),
                                  .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

gf_status gf_server_drain(gf_server *server, gf_error *err)
{
    atomic_store(&server->is_draining, true);
    gf__listener_let_go(server->listener);
    if (server->options.drain_delay_ms > 0)
        sleep_ms(server->options.drain_delay_ms);
    gf__listener_close(server->listener);
    const int64_t end_ms = gf__clock_ms() + server->options.drain_timeout_ms;
    while (gf__listener_n_in_flight(server->listener) > 0 && gf__clock_ms() < end_ms)
        sleep_ms(DRAIN_POLL_MS);
    const size_t n_left = gf__listener_n_in_flight(server->listener);
    if (n_left > 0)
        return gf_error_set(err, GF_ETIMEOUT, "%zu requests were not answered within %d ms", n_left,
                            server->options.drain_timeout_ms);
    /* Operations first: one that checks a version needs the pools to the end. */
    gf__listener_free(server->listener);
    server->listener = NULL;
    gf__jobs_free(server->jobs); /* those that run go on: the next server finds them */
    server->jobs = NULL;
    gf__operations_stop(server->operations);
    server->operations = NULL;
    const int64_t left_ms = end_ms - gf__clock_ms();
    gf__pools_drain(server->pools, left_ms > 0 ? (int)left_ms : 0);
    return GF_OK;
}

gf_status gf_server_reopen_logs(gf_server *server, gf_error *err)
{
    return gf__access_log_reopen(server->access_log, err);
}

void gf_server_free(gf_server *server)
{
    if (server == NULL)
        return;
    /* Not drained, or not all of it: without their pools handlers return, and the listener's
     * threads can end. */
    if (server->listener != NULL && server->pools != NULL) {
        gf__listener_close(server->listener);
        gf__pools_drain(server->pools, 0);
    }
    gf__listener_free(server->listener);
    gf__jobs_free(server->jobs);
    gf__operations_stop(server->operations);
    gf__catalog_free(server->catalog);
    gf__pools_free(server->pools);
    gf__metrics_free(server->metrics);
    gf__access_log_close(server->access_log);
    gf_registry_close(server->registry);
    free_options(server);
    gf__free(server->uploads_dir);
    gf__free(server->url);
    gf__free(server);
}
