/* graft/server.h: the prediction service: what `graft serve` runs, for programs that embed it.
 *
 *     gf_server_options options = gf_server_options_default();
 *     options.home = home;
 *     options.port = 0;                            any free one
 *     gf_server *server = NULL;
 *     st = gf_server_start(&options, &server, &err);
 *     printf("%s\n", gf_server_url(server));       http://127.0.0.1:41873
 *     ...
 *     gf_server_drain(server);                     finishes what is in flight
 *     gf_server_free(server);
 *
 * It answers Cloud ML Engine v1, TensorFlow Serving, KServe v1, the Open Inference Protocol (v2),
 * the Vertex AI container contract and its own /graft/v1 (docs/api.md). The registry of the home is
 * its: a second server on the same home is refused.
 * Threads: any call from any thread; it has threads of its own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_SERVER_H
#define GRAFT_SERVER_H

#include "graft/engine.h"

GF_BEGIN_DECLS

typedef struct gf_server_options {
    const char *home;    /* no default */
    const char *program; /* the program graft, which workers are started as; no default */
    const char *address; /* default "127.0.0.1" (also "::1", "localhost"); others need tokens */
    int port;            /* default 8080; 0: any free one */
    const char *tls_cert, *tls_key; /* PEM files; both or none */
    const char *project; /* of names without one (TensorFlow Serving, KServe); default "default" */
    bool needs_tokens;   /* also on loopback; default false */
    /* No tokens on any address: for a network that is closed by other means. Default false. */
    bool is_open;
    const char *cors_origin; /* NULL: no cross-origin requests; "*" or an origin */
    /* Folders that file:// deployment addresses may point into. */
    const char *const *file_roots;
    size_t n_file_roots;
    /* Limits; each is answered in the family's own error shape. */
    uint64_t max_body_bytes;   /* default 32 MiB; 413 beyond */
    uint64_t max_upload_bytes; /* of a file put into a bucket; default 4 GiB */
    size_t max_header_bytes;   /* request line and headers; default 32 KiB; 431 beyond */
    size_t max_connections;    /* default 1000; further ones wait in the listen queue */
    size_t max_instances;      /* in one request; default 1024; 400 beyond */
    int read_timeout_ms;       /* a connection that says nothing; default 30000; 0: none */
    int deadline_ms;           /* a prediction's whole stay; default 60000; 504 beyond */
    int drain_timeout_ms;      /* how long drain waits for what is in flight; default 30000 */
    /* How long readiness is off while requests are still taken, before drain closes the port: load
     * balancers need a moment to notice. Default 0. */
    int drain_delay_ms;
    /* Workers; as gf__pools_options has them. */
    gf_precision precision;
    int n_threads;
    int idle_timeout_ms; /* default 60000 */
    size_t max_waiting;  /* requests waiting for one trunk; default 64; 429 beyond */
    /* A worker longer busy with one picture is killed, and the picture tried once more; default
     * 30000. */
    int run_timeout_ms;
    uint64_t max_head_bytes;   /* default 512 MiB */
    uint64_t max_worker_bytes; /* address space of a worker; default 8 GiB */
    uint64_t max_pixels;
    /* Training and batch prediction jobs. */
    bool is_jobs_enabled; /* default true; else none are taken, and those there are can be read */
    const char *runner;   /* "local" (default): processes of this machine; "slurm" */
    int n_job_cpus;       /* that jobs use together; default 0: all of the machine's */
    int job_grace_ms;     /* from asking a job to end to ending it; default 10000 */
    const char *slurm_partition; /* NULL: Slurm's default */
    const char *python; /* that runs jobs' packages: a path, or a name; default NULL: "python3" */
    bool ml_v1_errors_200;  /* a model's failure on projects/...:predict is {"error"} with 200 */
    const char *access_log; /* a file, "-" for stdout, NULL for none */
    /* Vertex AI container: what AIP_HEALTH_ROUTE, AIP_PREDICT_ROUTE ask for; NULL: none. The model
     * they mean is the project's only one, or vertex_model; of it vertex_version, or the default. */
    const char *health_route, *predict_route, *vertex_model, *vertex_version;
    gf_observer observer; /* log only */
} gf_server_options;
GF_API gf_server_options gf_server_options_default(void);

typedef struct gf_server gf_server; /* opaque */

/* Opens the registry, takes up its READY versions, resumes operations, listens. Ready (/readyz) once
 * versions with min nodes above 0 have a worker.
 * Errors: GF_EBUSY another server has the home; GF_EINVAL an option (its name is in the message), or an address other than
 * loopback while there are no tokens; GF_EIO the address cannot be had (the message says why);
 * GF_EFORMAT the registry or a certificate is damaged. */
GF_API gf_status gf_server_start(const gf_server_options *options, gf_server **out, gf_error *err);
GF_API int gf_server_port(const gf_server *server);
GF_API const char *gf_server_url(const gf_server *server); /* "http://127.0.0.1:8080" */
/* Not ready from now on, keeps answering; returns when nothing is in flight any more or
 * drain_timeout_ms is over. GF_ETIMEOUT then. May be called once. */
GF_API gf_status gf_server_drain(gf_server *server, gf_error *err);
/* Opens the access log anew (after a rotation). */
GF_API gf_status gf_server_reopen_logs(gf_server *server, gf_error *err);
GF_API void gf_server_free(gf_server *server); /* NULL is fine */

GF_END_DECLS

#endif
