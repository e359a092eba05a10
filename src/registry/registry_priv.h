/* registry/registry_priv.h: what the files of this folder share: the handle, names, rows,
 * documents. */
#ifndef GRAFT_REGISTRY_REGISTRY_PRIV_H
#define GRAFT_REGISTRY_REGISTRY_PRIV_H

#include <pthread.h>

#include "base/base.h"
#include "graft/registry.h"
#include "registry/db_priv.h"
#include "registry/registry.h"

struct gf_registry {
    gf__db *db;            /* under the mutex, from gf__enter_*() to gf__leave() */
    pthread_mutex_t mutex; /* never held while files are copied or hooks run */
    pthread_mutex_t
        blobs;      /* held from storing blobs until a version uses them; taken before mutex */
    gf__lock *lock; /* NULL until gf_registry_lock() */
    gf_registry_options options; /* home is NULL here: it is below */
    char *home, *blobs_dir, *buckets_dir;
    char **file_roots;
};

/* One transaction with the registry's mutex. leave keeps what was done if st is GF_OK, and
 * returns what came of it. */
gf_status gf__enter_read(gf_registry *registry, gf_error *err);
gf_status gf__enter_write(gf_registry *registry, gf_error *err);
gf_status gf__leave(gf_registry *registry, gf_status st, gf_error *err);
/* The same for a call that made a text: *out gets it if all went well, else it is freed. */
gf_status gf__leave_with(gf_registry *registry, gf_status st, char *text, char **out,
                         gf_error *err);

/* names.c */

#define GF__NAME_SIZE      129 /* 128 characters and the NUL */
#define GF__OPERATION_SIZE 320

typedef enum gf__kind {
    GF__KIND_PROJECT,
    GF__KIND_MODEL,
    GF__KIND_VERSION,
    GF__KIND_OPERATION,
    GF__KIND_JOB,
    GF__KIND_TOKEN /* of bodies only */
} gf__kind;

/* "projects/P/models/M/versions/V" in parts; those below the kind that was asked for are "". */
typedef struct gf__name {
    char project[GF__NAME_SIZE], model[GF__NAME_SIZE], version[GF__NAME_SIZE];
    char job[GF__NAME_SIZE];
    char operation[GF__OPERATION_SIZE];
} gf__name;
/* GF_EINVAL where text is no name of that kind. */
gf_status gf__name_parse(const char *text, gf__kind kind, gf__name *out, gf_error *err);
/* The rule for bare names of models, versions and jobs: GF_EINVAL says it. what: "model". */
gf_status gf__name_check(const char *what, const char *name, gf_error *err);
/* The full name again; new, NULL out of memory. */
char *gf__name_text(const gf__name *name);

int64_t gf__now_ms(void);
/* Sets key to RFC 3339 in UTC, whole seconds. */
void gf__set_time(gf__json *object, const char *key, int64_t unix_ms);
/* RFC 3339, any offset; fractions of a second are dropped. False where it is none. */
bool gf__time_parse(const char *text, int64_t *unix_ms);
/* Sets "etag": 8 bytes in base64 that no other state of any model, version or job has. */
void gf__set_etag(gf__json *object, const char *table, int64_t id, int64_t revision);
/* GF_EBUSY where the body names another etag than the document has. */
gf_status gf__check_etag(const gf__json *body, const gf__json *document, gf_error *err);

/* fields.c */

/* Body of a create or patch: a new object in camelCase with name (jobId), etag and the fields that
 * clients may set (of a model also defaultVersion). What is null or "" is left out, as the API
 * leaves out defaults. GF_EINVAL, GF_ELIMIT. */
gf_status gf__fields_read(const char *body, gf__kind kind, gf__json **fields, gf_error *err);
/* Those of them that are stored when it is created. New, with failures inside; NULL out of
 * memory. */
gf__json *gf__fields_stored(const gf__json *fields);

/* mask.c: paths in camelCase, each of them one that may be patched. GF_EINVAL names one that may
 * not. */
#define GF__MASK_PATHS 16
typedef struct gf__mask {
    const char *paths[GF__MASK_PATHS]; /* static storage */
    size_t n_paths;
} gf__mask;
gf_status gf__mask_read(const char *mask, gf__kind kind, gf__mask *out, gf_error *err);
/* fields with the masked members as body has them (gone where it has none). New. */
gf_status gf__mask_apply(const gf__mask *mask, const gf__json *fields, const gf__json *body,
                         gf__json **out, gf_error *err);
bool gf__mask_has(const gf__mask *mask, const char *path);
/* Renames in place: "default_version.name" becomes "defaultVersion.name". */
void gf__to_camel_case(char *text);
/* What a version's fields must agree on among themselves, created or patched. GF_EINVAL. */
gf_status gf__version_check_fields(const gf__json *fields, gf_error *err);

/* registry.c */

/* A call about one thing, by its name: a transaction around work, whose text is handed out. */
typedef gf_status gf__named_work(gf_registry *registry, const gf__name *name, char **out,
                                 gf_error *err);
gf_status gf__call_read(gf_registry *registry, const char *name, gf__kind kind,
                        gf__named_work *work, char **out, gf_error *err);
gf_status gf__call_write(gf_registry *registry, const char *name, gf__kind kind,
                         gf__named_work *work, char **out, gf_error *err);
/* The same for a patch, whose body and mask are read first. */
typedef struct gf__patch {
    gf__kind kind;
    const char *body, *mask;
    gf_status (*work)(gf_registry *registry, const gf__name *name, const gf__json *fields,
                      const gf__mask *mask, char **out, gf_error *err);
} gf__patch;
gf_status gf__call_patch(gf_registry *registry, const char *name, const gf__patch *patch,
                         char **out, gf_error *err);

/* Text of a document, and back. New; GF_ENOMEM also for what failed while the document was
 * built. */
gf_status gf__json_text(const gf__json *document, char **out, gf_error *err);
gf_status gf__json_read_stored(const char *text, gf__json **out, gf_error *err);

/* models.c, versions.c: rows, found by name inside a transaction. */

/* The row of a project, made if there is none. */
gf_status gf__project_add(gf_registry *registry, const char *project, int64_t *id, gf_error *err);

typedef struct gf__model_row {
    int64_t id, revision, project_id;
    int64_t default_version_id; /* 0: none */
    int64_t n_versions;
    char name[GF__NAME_SIZE];
    gf__json *fields;
} gf__model_row;
/* GF_ENOTFOUND. *row is ended with gf__model_row_free(), also after a failure. */
gf_status gf__model_find(gf_registry *registry, const gf__name *name, gf__model_row *row,
                         gf_error *err);
void gf__model_row_free(gf__model_row *row);
/* The API's document. New. */
gf_status gf__model_document(gf_registry *registry, const char *project, const gf__model_row *row,
                             gf__json **out, gf_error *err);

typedef enum gf__state { GF__CREATING, GF__READY, GF__FAILED, GF__DELETING } gf__state;
const char *gf__state_name(gf__state state);

typedef struct gf__version_row {
    int64_t id, revision, model_id, project_id;
    int64_t create_time, last_use_time; /* the second 0: never */
    gf__state state;
    bool is_default;
    gf__name full_name;
    char *source; /* the file or folder that deploymentUri meant when the version was created */
    char *error_message;
    gf__json *fields;
} gf__version_row;
gf_status gf__version_find(gf_registry *registry, const gf__name *name, gf__version_row *row,
                           gf_error *err);
/* The row of a query that gives VERSION_COLUMNS. */
gf_status gf__version_read(gf__rows *rows, gf__version_row *row, gf_error *err);
/* GF_EPRECONDITION where it is gone. */
gf_status gf__version_find_id(gf_registry *registry, int64_t id, gf__version_row *row,
                              gf_error *err);
void gf__version_row_free(gf__version_row *row);
/* GF_EPRECONDITION unless it is READY. */
gf_status gf__version_make_default(gf_registry *registry, const gf__version_row *row,
                                   gf_error *err);
gf_status gf__version_document(const gf__version_row *row, gf__json **out, gf_error *err);
gf_status gf__version_set_state(gf_registry *registry, int64_t id, gf__state state,
                                const char *error_message, gf_error *err);

/* operations.c */

typedef struct gf__operation_row {
    int64_t id, version_id;
    int64_t create_time, start_time, end_time;
    int64_t n_starts, error_code;
    bool is_waiting, is_done, cancel_asked;
    gf__name full_name;
    char type[32];
    char model[GF__NAME_SIZE];
    char *error_message, *response, *subject;
} gf__operation_row;
gf_status gf__operation_find(gf_registry *registry, const gf__name *name, gf__operation_row *row,
                             gf_error *err);
/* The row of a query that gives OPERATION_COLUMNS. */
gf_status gf__operation_read(gf__rows *rows, gf__operation_row *row, gf_error *err);
void gf__operation_row_free(gf__operation_row *row);
gf_status gf__operation_document(const gf__operation_row *row, gf__json **out, gf_error *err);

/* What an operation is about. subject is the Version as it is when the operation begins, NULL
 * for models. */
typedef struct gf__operation_plan {
    const char *type; /* "CREATE_VERSION" */
    const char *verb; /* "create": the name's beginning */
    int64_t project_id;
    gf__name about; /* the model or version */
    int64_t version_id;
    const gf__json *subject;
} gf__operation_plan;
/* Adds one that waits. *row is ended with gf__operation_row_free(), also after a failure. */
gf_status gf__operation_add(gf_registry *registry, const gf__operation_plan *plan,
                            gf__operation_row *row, gf_error *err);
/* Ends it: with a response document (its "@type" is set here), or, where failure is not GF_OK,
 * with that error. */
gf_status gf__operation_succeed(gf_registry *registry, int64_t id, const char *response_type,
                                const gf__json *response, gf_error *err);
gf_status gf__operation_fail(gf_registry *registry, int64_t id, gf_status failure,
                             const char *message, gf_error *err);
/* What the end of an unsuccessful operation makes of its version: FAILED, or back where it was. */
gf_status gf__operation_fail_with_version(gf_registry *registry, const gf__operation_row *row,
                                          gf_status failure, const char *message, gf_error *err);
/* The two ends above, and the text of the finished operation. */
gf_status gf__operation_add_done(gf_registry *registry, const gf__operation_plan *plan,
                                 const char *response_type, const gf__json *response, char **out,
                                 gf_error *err);
gf_status gf__operation_text(gf_registry *registry, const gf__name *name, char **out,
                             gf_error *err);

#define GF__TYPE_MODEL   "type.googleapis.com/google.cloud.ml.v1.Model"
#define GF__TYPE_VERSION "type.googleapis.com/google.cloud.ml.v1.Version"
#define GF__TYPE_EMPTY   "type.googleapis.com/google.protobuf.Empty"

/* jobs.c */

typedef struct gf__job_row {
    int64_t id, revision, priority, n_attempts;
    int64_t create_time, start_time, end_time; /* 0: not yet */
    int64_t position;                          /* in the queue, from 1; 0: not QUEUED */
    gf__job_state state;
    gf__name full_name;
    char *place, *output, *error_message;
    gf__json *fields;
} gf__job_row;
/* GF_ENOTFOUND. *row is ended with gf__job_row_free(), also after a failure. */
gf_status gf__job_find(gf_registry *registry, const gf__name *name, gf__job_row *row,
                       gf_error *err);
gf_status gf__job_find_id(gf_registry *registry, int64_t id, gf__job_row *row, gf_error *err);
/* The row of a query that gives JOB_COLUMNS. */
gf_status gf__job_read(gf__rows *rows, gf__job_row *row, gf_error *err);
void gf__job_row_free(gf__job_row *row);
/* The API's document. New. */
gf_status gf__job_document(const gf__job_row *row, gf__json **out, gf_error *err);

/* list.c, filter.c */

#define GF__FILTER_TERMS 16
typedef struct gf__list_term {
    const char *path; /* camelCase, in gf__list_filter.text */
    const char *value;
    bool is_prefix;  /* VALUE* */
    bool is_negated; /* != */
} gf__list_term;
typedef struct gf__list_filter {
    char *text; /* the filter, cut into pieces */
    gf__list_term terms[GF__FILTER_TERMS];
    size_t n_terms;
} gf__list_filter;
/* GF_EINVAL says where and what. Ended with gf__free(filter->text), also after a failure. */
gf_status gf__filter_read(const char *text, gf__list_filter *filter, gf_error *err);
bool gf__filter_passes(const gf__list_filter *filter, const gf__json *document);

/* A list being made: documents go in in order until it is full. */
typedef struct gf__list {
    const char *key; /* "models" */
    size_t size;
    gf__json *items;
    char after[GF__NAME_SIZE]; /* where the token says to begin; "" for the beginning */
    char last[GF__NAME_SIZE];  /* the position of the last item */
    bool has_more;             /* there is an item that did not fit: the list is full */
    char *identity;            /* what a token of this list belongs to */
    gf__list_filter filter;
} gf__list;
/* parent: the full name that the list is of. GF_EINVAL: size, token, filter. Ended with
 * gf__list_free(), also then. */
gf_status gf__list_begin(const char *key, const char *parent, const gf_registry_page *page,
                         gf__list *list, gf_error *err);
/* Takes the document (always) and keeps it if the filter lets it pass. position: what the token
 * of a page that ends here says; no dots. */
void gf__list_add(gf__list *list, const char *position, gf__json *document);
/* The rows of a query into the list until it is full. item adds one. */
typedef gf_status (*gf__list_item)(gf_registry *registry, const gf__name *parent, gf__rows *rows,
                                   gf__list *list, gf_error *err);
gf_status gf__list_add_rows(gf_registry *registry, gf__query query, const gf__sql_value *values,
                            size_t n_values, const gf__name *parent, gf__list_item item,
                            gf__list *list, gf_error *err);
gf_status gf__list_text(gf__list *list, char **out, gf_error *err);
void gf__list_free(gf__list *list);
/* Newest first: the number below which the next one is. */
int64_t gf__list_before(const gf__list *list);
/* A whole list call: parent is parsed as a parent_kind, collect adds what follows list->after, *out is
 * the answer. */
typedef gf_status (*gf__list_collect)(gf_registry *registry, const gf__name *parent, gf__list *list,
                                      gf_error *err);
gf_status gf__list_answer(gf_registry *registry, const char *key, gf__kind parent_kind,
                          const char *parent, const gf_registry_page *page,
                          gf__list_collect collect, char **out, gf_error *err);

/* origin.c */

typedef struct gf__origin_file {
    char *path;     /* as the version will call it */
    char *absolute; /* where it is now */
    uint64_t size_bytes;
} gf__origin_file;
typedef struct gf__origin {
    gf__origin_file *files; /* by path */
    size_t n_files, capacity;
    uint64_t size_bytes; /* of all */
    bool follows_links;
} gf__origin;
/* Where a deploymentUri leads on this machine, absolute; there is a file or folder. New.
 * GF_EINVAL, GF_ENOTFOUND. */
gf_status gf__origin_find(gf_registry *registry, const char *address, char **path, gf_error *err);
/* The files of a version about to be created, counted against the limits of the options. Ended
 * with gf__origin_free(), also after a failure. */
gf_status gf__origin_list(gf_registry *registry, const char *address, const char *path,
                          gf__origin *out, gf_error *err);
void gf__origin_free(gf__origin *source);

/* blobs.c */

/* Stores a file's bytes under their hash, if they are not there. The caller holds
 * registry->blobs and records the use before it lets go. */
gf_status gf__blob_store(gf_registry *registry, const gf__origin_file *file, bool follows_links,
                         const gf_observer *obs, char sha256[GF__SHA256_HEX], gf_error *err);
/* HOME/blobs/ab/cdef...; new, NULL out of memory. */
char *gf__blob_path(const gf_registry *registry, const char *sha256);
/* The files of a version inside a transaction. */
gf_status gf__files_read(gf_registry *registry, int64_t version_id, gf_registry_files *out,
                         gf_error *err);

#endif
