/* server/server_priv.h: what the parts of the server share.
 *
 *     http.c       the listener; http_incoming.c bytes to requests, http_outgoing.c responses to bytes
 *     routes.c     request -> route -> role -> handler -> answer
 *     respond.c    answers and errors in each family's own shape
 *     names.c      "projects/P/models/M/versions/V", put together and taken apart
 *     catalog.c    names of the API -> versions the pools serve
 *     instances.c  what a prediction request's body asks for, in any family's spelling
 *     ml_v1.c, ml_v1_jobs.c, ml_v1_predict.c, tfserving.c, kserve_v2.c, vertex.c, graft_v1.c: one file a family
 *     operations.c the thread that runs operations, and what happens before a version is READY
 *     server.c     start, drain, end */
#ifndef GRAFT_SERVER_PRIV_H
#define GRAFT_SERVER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "graft/server.h"
#include "jobs/jobs.h"
#include "pool/pool.h"
#include "registry/registry.h"
#include "server/http.h"
#include "server/server.h"

typedef struct gf__catalog gf__catalog;
typedef struct gf__metrics gf__metrics;
typedef struct gf__access_log gf__access_log;
typedef struct gf__operations gf__operations;

struct gf_server {
    gf_server_options options; /* texts are the server's own copies */
    gf_registry *registry;
    gf__pools *pools;
    gf__catalog *catalog;
    gf__operations *operations;
    gf__jobs *jobs; /* NULL: this server runs none */
    gf__metrics *metrics;
    gf__access_log *access_log;
    gf__listener *listener;
    char *url;
    int port;
    char *uploads_dir;    /* HOME/uploads: bodies on their way */
    bool needs_tokens;    /* asked for, or not on loopback */
    atomic_bool is_ready; /* started up */
    atomic_bool is_draining;
    atomic_uint_fast64_t n_uploads;
    int64_t start_unix_s;
};

/* Whether /readyz says yes: started, the workers that stay are there, not draining. */
bool gf__server_is_ready(gf_server *server);

/* ---- routes.c, respond.c --------------------------------------------------------------------- */

/* Whose rules an answer follows, in its errors above all. */
typedef enum gf__family {
    GF__FAMILY_GOOGLE, /* {"error":{"code","message","status"}} */
    /* The same for what has nothing to do with the instances; {"error":"text"} for what is wrong
     * with them (GF_EINVAL, GF_EFORMAT, GF_ESHAPE, GF_EUNSUPPORTED), with 200 if the options say
     * so. */
    GF__FAMILY_ML_PREDICT,
    GF__FAMILY_TENSORFLOW, /* {"error":"text"}; also KServe v1 */
    GF__FAMILY_V2,         /* {"error":"text"} */
    GF__FAMILY_GRAFT,      /* as GOOGLE */
    GF__FAMILY_PLAIN       /* a line of text: health, metrics */
} gf__family;

/* What a token must allow; each includes those after it. */
typedef enum gf__role {
    GF__ROLE_ADMIN,   /* tokens */
    GF__ROLE_DEPLOY,  /* models, versions, buckets; reading them */
    GF__ROLE_PREDICT, /* predictions, status, metadata */
    GF__ROLE_NONE     /* open to all: health, discovery */
} gf__role;

enum {
    GF__PROJECT_OF_SERVER = -1, /* names without a project: the server's own */
    GF__PROJECT_OF_NONE = -2,   /* what is told, request->token_project says */
    GF__PROJECT_OF_ALL = -4,    /* not for tokens of one project */
    GF__PROJECT_OF_OBJECT = -3  /* params[1] is an object's name: see gf__token_may_use() */
};

typedef struct gf__route {
    const char *method;
    /* Segments in {} stand for one segment each ("{rest*}" at the end: all that is left); a last
     * segment may carry a verb: "/v1/projects/{project}/models/{model}:predict". Without one, the
     * last {} takes no segment with a ':'. "$health" and "$predict" stand for the options
     * health_route and predict_route. */
    const char *pattern;
    gf__family family;
    gf__role role;
    gf_status (*handle)(gf_server *server, gf__request *request, gf__response *response,
                        gf_error *err);
    /* Where the project's name is among params, checked against a token's that is for one project
     * alone; or one of these. */
    int project_param;
    bool is_upload; /* the body goes to a file: request->body is its path */
} gf__route;
#define GF__ROUTES_END                                                \
    {                                                                 \
        NULL, NULL, GF__FAMILY_PLAIN, GF__ROLE_ADMIN, NULL, -1, false \
    }

/* One table a family, ended by GF__ROUTES_END, each in that family's file. */
extern const gf__route gf__routes_ml_v1[], gf__routes_ml_v1_predict[], gf__routes_tfserving[],
    gf__routes_kserve_v2[], gf__routes_vertex[], gf__routes_graft_v1[],
    gf__routes_graft_v1_classify[], gf__routes_discovery[], gf__routes_health[],
    gf__routes_openapi[];

/* The listener's three questions; user is the server. */
gf_status gf__routes_admit(void *user, gf__request *request, uint64_t *max_body_bytes,
                           char **spool_path, gf_error *err);
void gf__routes_respond(void *user, gf__request *request, gf_status st, const gf_error *err,
                        gf__response *response);
void gf__routes_done(void *user, const gf__request *request, const gf__response *response,
                     double total_ms, uint64_t n_sent_bytes, const char *client_address,
                     bool is_complete);

/* The HTTP code of a status, and google.rpc's name for it ("INVALID_ARGUMENT"): one switch for all
 * families. GF_ELIMIT is 400; the listener's own limits have their own codes. */
int gf__http_code(gf_status status);
const char *gf__rpc_name(gf_status status);
/* What is wrong with the instances of a prediction, as far as a status can tell. */
bool gf__is_about_instances(gf_status st);
/* The answer that a failure is in this family. For handlers that must say it themselves: an error that
 * keeps code 200. Retry-After comes with every 429 and 503, whoever made it. */
void gf__respond_error(gf_server *server, gf__family family, gf_status st, const char *message,
                       gf__response *response);
/* 501, for a handler to return: understood, and not something that this server does. */
gf_status gf__unimplemented(gf__request *request, const char *message, gf_error *err);
/* Serializes and frees the document, honouring the query's prettyPrint (default compact) and the
 * fields= mask (a,b/c,d(e,f),*: GF_EINVAL where it cannot be read) for the Google families. */
gf_status gf__respond_json(const gf__request *request, gf__response *response, gf__json *document,
                           gf_error *err);
/* The same from a text of the registry, which is ended with gf_registry_free_text(). */
gf_status gf__respond_text(const gf__request *request, gf__response *response, char *text,
                           gf_error *err);

/* ---- names.c --------------------------------------------------------------------------------- */

/* "projects/P[/models/M[/versions/V]]" of parts, NULL for those that it has not; new, gf__free(). */
char *gf__name_of(const char *project, const char *model, const char *version);
typedef struct gf__name_parts {
    const char *project, *model, *version; /* version "" where the name has none */
    char *model_name;                      /* "projects/P/models/M" */
    char *text;                            /* what the parts lie in */
} gf__name_parts;
/* Takes apart a model's or version's name. End with gf__name_parts_free(). GF_EINVAL. */
gf_status gf__name_split(const char *name, gf__name_parts *out, gf_error *err);
void gf__name_parts_free(gf__name_parts *parts);
/* "V" of "projects/P/models/M/versions/V", "M" (*n_chars of it). Borrowed. */
const char *gf__version_part(const char *name);
const char *gf__model_part(const char *name, size_t *n_chars);

/* fields.c: keeps what the partial-response mask names. GF_EINVAL. */
gf_status gf__fields_mask(const gf__json *document, const char *mask, gf__json **out,
                          gf_error *err);

/* The first of two spellings of a query parameter that is there; NULL. */
const char *gf__query_either(const gf__request *request, const char *camel, const char *snake);
/* pageSize, pageToken, filter of a list. Borrowed from the request. GF_EINVAL. */
gf_status gf__request_page(const gf__request *request, gf_registry_page *out, gf_error *err);

/* For a handler whose body is small JSON: the document; GF_EFORMAT. An empty body is {}. */
gf_status gf__request_json(const gf__request *request, gf__json **out, gf_error *err);

/* ---- catalog.c ------------------------------------------------------------------------------- */

/* All that can be asked for predictions now: filled from the registry at the start, kept in step by
 * the calls below after each change. Lookups take a lock for a moment and touch no database. */
gf_status gf__catalog_new(gf_server *server, gf__catalog **out, gf_error *err);
void gf__catalog_free(gf__catalog *catalog);
/* Reads the model and its versions anew ("projects/P/models/M"): what became READY is added to the
 * pools, what went is removed, scaling and default follow. */
gf_status gf__catalog_refresh(gf__catalog *catalog, const char *model, gf_error *err);
/* Takes a version out at once, and waits for its last request: before it is deleted. */
gf_status gf__catalog_drop(gf__catalog *catalog, const char *version, gf_error *err);
/* version NULL: the default. label (TensorFlow Serving): a version whose labels have that key; NULL
 * else. *out is ended with gf__served_unref(). GF_ENOTFOUND "model not found: ..."; GF_EPRECONDITION
 * a model without a version that is READY. */
gf_status gf__catalog_find(gf__catalog *catalog, const char *project, const char *model,
                           const char *version, const char *label, gf__served **out, gf_error *err);
typedef struct gf__catalog_version {
    const char *project, *model, *version;
    const char *state;         /* of the registry: READY, CREATING ... */
    const char *error_message; /* "" */
    bool is_default;
    const gf__json *labels; /* NULL: none */
} gf__catalog_version;
/* Every version of a model (model NULL: of all models of the project; project NULL: of all), under
 * a lock: do not call back. Of what is CREATING the registry is asked first. Returns how many. */
size_t gf__catalog_visit(gf__catalog *catalog, const char *project, const char *model,
                         void (*visit)(void *user, const gf__catalog_version *version), void *user);

/* ---- instances.c ----------------------------------------------------------------------------- */

/* What a JSON prediction body asks for: see gf__instances of model/instances.h. */
typedef struct gf__asked {
    gf__instance *instances;
    size_t n_instances;
    gf__json **keys;      /* n_instances; each NULL, or the instance's "key" to be given back */
    bool is_column_form;  /* TensorFlow Serving's "inputs" */
    char *signature_name; /* NULL: none */
    gf__json *rest;       /* the body's other members ("parameters" ...) */
    void *memory;         /* that all of it lies in */
} gf__asked;
/* body is changed in place (long strings are decoded where they lie). n at most max_instances.
 * Errors name the instance: "instances[3]: base64: byte 17 ...". */
gf_status gf__asked_parse(gf_server *server, const gf_model *model, char *body, size_t n_bytes,
                          gf__asked *out, gf_error *err);
void gf__asked_free(gf__asked *asked);

/* predict.c: catalog, pools, metrics and the request's debug flag, in one call for every family. The
 * first failed instance becomes the error: "instances[3]: truncated JPEG at byte 8113". */
gf_status gf__predict(gf_server *server, gf__request *request, gf__response *response,
                      gf__served *served, const gf__instance *instances, size_t n_instances,
                      gf__predictions **out, gf_error *err);
/* {"tensor":"...","features":"...","logits":"...", "logitValues":[...]} of one, for ?debug=1. */
gf__json *gf__debug_json(const gf__prediction *prediction);

/* ---- operations.c ---------------------------------------------------------------------------- */

/* The thread that runs waiting operations: checks a version on a worker (self-test), then refreshes
 * the catalog. */
gf_status gf__operations_start(gf_server *server, gf__operations **out, gf_error *err);
void gf__operations_wake(gf__operations *operations); /* after one was created */
/* Begins nothing more, and stops what runs where it can be: that goes on at the next start. Before
 * the pools are drained. NULL is fine. */
void gf__operations_let_go(gf__operations *operations);
void gf__operations_stop(gf__operations *operations); /* let_go, and waits; NULL is fine */
/* Notes that a version answered, for lastUseTime; written to the registry now and then. */
void gf__operations_note_use(gf__operations *operations, const char *version);

/* ---- metrics.c, access_log.c, auth.c --------------------------------------------------------- */

gf_status gf__metrics_new(gf__metrics **out, gf_error *err);
void gf__metrics_free(gf__metrics *metrics);
/* After each request. */
void gf__metrics_request(gf__metrics *metrics, gf__family family, int code, double total_ms);
/* Prometheus text format. wants_aliases: TensorFlow Serving's and Triton's names beside our own;
 * they break Prometheus' naming rules, which `promtool check metrics` holds against a page. */
void gf__metrics_write(gf_server *server, bool wants_aliases, gf__buffer *out);

gf_status gf__access_log_open(const char *path, gf__access_log **out, gf_error *err);
gf_status gf__access_log_reopen(gf__access_log *log, gf_error *err);
void gf__access_log_close(gf__access_log *log);
/* One JSON line a request: time, id, trace, client, method, path (never the query: it may hold a
 * key), code, bytes, milliseconds, model, version. */
void gf__access_log_write(gf__access_log *log, const gf__request *request,
                          const gf__response *response, double total_ms, uint64_t n_sent_bytes,
                          const char *client_address, bool is_complete);

/* Whether the request may use the route: Authorization: Bearer, or key=. GF_EAUTH, GF_EDENIED. Sets
 * request->token_project. */
gf_status gf__authorize(gf_server *server, const gf__route *route, gf__request *request,
                        gf_error *err);
/* Buckets are all projects'. A token of one project may use the objects below its own name in any
 * of them, gs://BUCKET/PROJECT/..., and no others. object: the name, or the beginning of names,
 * behind gs://BUCKET/. GF_EDENIED. */
gf_status gf__token_may_use(const gf__request *request, const char *object, gf_error *err);

#endif
