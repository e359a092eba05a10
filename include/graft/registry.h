/* graft/registry.h: projects > models > versions and their operations, as Cloud ML Engine v1 has
 * them.
 *
 *     gf_registry_options options = gf_registry_options_default();
 *     options.home = "/var/lib/graft";
 *     gf_registry *registry = NULL;
 *     char *operation = NULL;
 *     st = gf_registry_open(&options, &registry, &err);
 *     st = gf_registry_create_model(registry, "projects/P", "{\"name\":\"flowers\"}", &text, &err);
 *     st = gf_registry_create_version(registry, "projects/P/models/flowers",
 *              "{\"name\":\"v1\",\"deploymentUri\":\"gs://bucket/flowers/\"}", &operation, &err);
 *     ...
 *     gf_registry_free_text(operation);
 *     gf_registry_close(registry);
 *
 * Resources go in and out as the API's own JSON documents (Model, Version, Operation, their lists):
 * what a client sent is given back, and a front end only hands texts on. Names are full ones
 * ("projects/P/models/M/versions/V") except in the body of a create. Fields may be spelled in
 * camelCase or snake_case; fields the API does not have are refused, output-only ones ignored.
 * Fractions come back with nine significant digits.
 *
 * Durable    what a call acknowledged with GF_OK survives the process and the power.
 * Threads    one handle may be used by any number of threads; calls on it take turns.
 * Processes  any number may have a home open. Operations are run by one: gf_registry_lock().
 * Errors     of every call: GF_ENOMEM; GF_EIO (a full disk says so); GF_EBUSY where another process
 *            keeps writing; GF_EFORMAT where the database is found damaged. Each call lists what it
 *            adds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_REGISTRY_H
#define GRAFT_REGISTRY_H

#include "graft/base.h"

GF_BEGIN_DECLS

typedef struct gf_registry gf_registry;

typedef struct gf_registry_options {
    /* The folder of registry.db, blobs/ and buckets/; made if missing. No default. */
    const char *home;
    int busy_timeout_ms; /* how long to wait for another process that writes, default 5000 */
    /* Folders that file:// addresses may point into; none by default, so that none may. */
    const char *const *file_roots;
    size_t n_file_roots;
    /* Plain paths, too, are taken as a deploymentUri: for callers on this machine. Default
     * false. */
    bool takes_local_paths;
    size_t max_version_files;   /* default 1000, as the API has it */
    uint64_t max_version_bytes; /* default 10 GiB */
} gf_registry_options;
GF_API gf_registry_options gf_registry_options_default(void);

/* Opens or makes the registry of a home: checks the database, brings an older schema to this one.
 *
 * options  copied, texts and all.
 * *out     ended with gf_registry_close(); NULL on failure.
 * Errors   GF_EINVAL no home; GF_EFORMAT no registry, or damaged; GF_EUNSUPPORTED made by a newer
 *          graft. */
GF_API gf_status gf_registry_open(const gf_registry_options *options, gf_registry **out,
                                  gf_error *err);
GF_API void gf_registry_close(gf_registry *registry); /* NULL is fine */

/* Ends any text that a call below gave out. NULL is fine. */
GF_API void gf_registry_free_text(char *text);

/* Which part of a list. All zero: the first 20 of all. */
typedef struct gf_registry_page {
    int size;          /* 0 for 20; more than 100 is 100 */
    const char *token; /* nextPageToken of the page before, or NULL */
    /* FIELD:VALUE, FIELD=VALUE, FIELD!=VALUE joined by AND; VALUE may end in '*'. NULL for all. */
    const char *filter;
} gf_registry_page;

/* Models. Lists are in the order of names; a token stays good while others create and delete.
 *
 * create  body: Model with its bare name. *model is the stored one. A project begins to exist with
 *         its first model or job. GF_EINVAL a name or field that cannot be, GF_EEXISTS.
 * get     GF_ENOTFOUND.
 * list    {"models": [...], "nextPageToken": "..."}, or {}. GF_EINVAL page size below 0, a token of
 *         another list, a filter that cannot be read.
 * patch   mask: comma-separated paths out of description, labels, default_version.name, etag. A
 *         field in the mask and not in the body is cleared. *operation is done already. GF_EINVAL,
 *         GF_ENOTFOUND; GF_EBUSY where the body has an etag and the model another one by now.
 * delete  *operation is done already. GF_ENOTFOUND; GF_EPRECONDITION while it has versions. */
GF_API gf_status gf_registry_create_model(gf_registry *registry, const char *parent,
                                          const char *body, char **model, gf_error *err);
GF_API gf_status gf_registry_get_model(gf_registry *registry, const char *name, char **model,
                                       gf_error *err);
GF_API gf_status gf_registry_list_models(gf_registry *registry, const char *parent,
                                         const gf_registry_page *page, char **list, gf_error *err);
GF_API gf_status gf_registry_patch_model(gf_registry *registry, const char *name, const char *body,
                                         const char *mask, char **operation, gf_error *err);
GF_API gf_status gf_registry_delete_model(gf_registry *registry, const char *name, char **operation,
                                          gf_error *err);

/* Versions. The first of a model is its default; a later one takes over by itself only from a
 * default that FAILED.
 *
 * create  body: Version with its bare name and deploymentUri, a file or a folder: gs://BUCKET/PATH
 *         in HOME/buckets, file:// below a file root, a plain path where takes_local_paths. The
 *         version is CREATING and *operation waits for gf_registry_run_operation(). GF_EINVAL,
 *         GF_EEXISTS, GF_ENOTFOUND the model, or nothing there.
 * patch   mask out of description, labels, requestLoggingConfig, autoScaling, autoScaling.minNodes,
 *         autoScaling.maxNodes, manualScaling, manualScaling.nodes, etag. The rest never changes.
 *         GF_EPRECONDITION unless READY or FAILED.
 * delete  DELETING, and *operation waits. GF_EPRECONDITION for the default version unless it is the
 *         only one, and for one that is being created or deleted.
 * set_default  GF_EPRECONDITION unless READY. *version is the new default. */
GF_API gf_status gf_registry_create_version(gf_registry *registry, const char *parent,
                                            const char *body, char **operation, gf_error *err);
GF_API gf_status gf_registry_get_version(gf_registry *registry, const char *name, char **version,
                                         gf_error *err);
GF_API gf_status gf_registry_list_versions(gf_registry *registry, const char *parent,
                                           const gf_registry_page *page, char **list,
                                           gf_error *err);
GF_API gf_status gf_registry_patch_version(gf_registry *registry, const char *name,
                                           const char *body, const char *mask, char **operation,
                                           gf_error *err);
GF_API gf_status gf_registry_delete_version(gf_registry *registry, const char *name,
                                            char **operation, gf_error *err);
GF_API gf_status gf_registry_set_default_version(gf_registry *registry, const char *name,
                                                 char **version, gf_error *err);

/* Notes that the version answered a prediction then (seconds since 1970); earlier times than the
 * noted one change nothing. One write to the disk: a server notes it now and then, not at every
 * prediction. GF_ENOTFOUND. */
GF_API gf_status gf_registry_note_use(gf_registry *registry, const char *name, int64_t unix_time,
                                      gf_error *err);

/* The files of a version, by path: what a worker opens. */
typedef struct gf_registry_file {
    char *path;      /* below deploymentUri; the base name where that is a file */
    char *blob_path; /* where its bytes lie, read-only, as long as the version exists */
    char *sha256;    /* 64 lower-case hex digits */
    uint64_t size_bytes;
} gf_registry_file;
typedef struct gf_registry_files {
    gf_registry_file *files;
    size_t n_files;
} gf_registry_files;
/* *out is ended with gf_registry_free_files(). Empty until they are all in.
 * GF_ENOTFOUND. */
GF_API gf_status gf_registry_get_files(gf_registry *registry, const char *name,
                                       gf_registry_files *out, gf_error *err);
GF_API void gf_registry_free_files(gf_registry_files *files);

/* Operations, newest first in a list. Names are "projects/P/operations/ID".
 *
 * cancel  One that waits ends at once, one that runs at its next file or step; with error code 1
 *         either way. A version that was being created is FAILED then, one that was being
 *         deleted is back. A done one stays as it is. */
GF_API gf_status gf_registry_get_operation(gf_registry *registry, const char *name,
                                           char **operation, gf_error *err);
GF_API gf_status gf_registry_list_operations(gf_registry *registry, const char *parent,
                                             const gf_registry_page *page, char **list,
                                             gf_error *err);
GF_API gf_status gf_registry_cancel_operation(gf_registry *registry, const char *name,
                                              gf_error *err);

/* Makes this handle the one that runs operations (HOME/registry.lock, given back by close or by
 * dying). GF_EBUSY where another still has it after a second. The three calls below may only be made with it. */
GF_API gf_status gf_registry_lock(gf_registry *registry, gf_error *err);

/* What becomes of operations that ran when their process ended. */
typedef enum gf_registry_recovery {
    GF_REGISTRY_RESUME, /* they wait again; after three starts they fail with a reason */
    GF_REGISTRY_FAIL    /* they fail with a reason */
} gf_registry_recovery;
/* To be called after gf_registry_lock(), and after a gf_registry_run_operation() that failed, while
 * nothing runs. *n_found may be NULL. */
GF_API gf_status gf_registry_recover(gf_registry *registry, gf_registry_recovery recovery,
                                     size_t *n_found, gf_error *err);

/* What running an operation needs from those who serve. All members may be NULL. Called without
 * any lock of the registry. */
typedef struct gf_registry_hooks {
    /* The files of a new version are in: can it be served? What is said in err becomes its
     * errorMessage. */
    gf_status (*check)(void *user, const char *version, const gf_registry_files *files,
                       gf_error *err);
    /* The version is about to go: stop using it. An error keeps it. */
    gf_status (*unload)(void *user, const char *version, gf_error *err);
    /* Asked where the work was stopped or failed: is this process about to end? Then the operation
     * waits again, for the next one to run. */
    bool (*is_stopping)(void *user);
    void *user;
} gf_registry_hooks;

/* Runs one operation to its end: copies and checks a version, or deletes one. What the operation
 * came to is in the document; the status tells about the registry only; where it could not even
 * note a failure, the operation runs until gf_registry_recover().
 *
 * name    NULL for the one that waits longest.
 * hooks   may be NULL. obs: stage "copy", bytes; stopping it cancels the operation.
 * *operation  the operation, done (or waiting again: is_stopping); NULL where name was NULL and
 *         none waits.
 * Errors  GF_ENOTFOUND; GF_EPRECONDITION where it runs or is done. */
GF_API gf_status gf_registry_run_operation(gf_registry *registry, const char *name,
                                           const gf_registry_hooks *hooks, const gf_observer *obs,
                                           char **operation, gf_error *err);

/* Jobs: training and batch prediction, as the API's Job documents. They are never deleted. jobPosition
 * counts from 1, over all projects, while a job is QUEUED.
 *
 * create  body: Job with jobId and either trainingInput or predictionInput. *job is the stored one,
 *         QUEUED. What it needs (packages, inputs, a model) is looked for when it starts; addresses
 *         are gs://BUCKET/PATH, or plain paths where takes_local_paths. GF_EINVAL a field that is
 *         missing or cannot be (the message begins with its path), GF_EUNSUPPORTED containers, TFRecords,
 *         GF_EEXISTS.
 * get     GF_ENOTFOUND.
 * list    {"jobs": [...], "nextPageToken": "..."}, or {}; newest first. Filters as elsewhere
 *         ("jobId:rnn* AND state:FAILED").
 * patch   mask out of labels, etag. *job is the changed one. GF_EBUSY where the body has an etag and
 *         the job another one by now (a state makes a new one, progress does not).
 * cancel  QUEUED is CANCELLED at once, with that in errorMessage; PREPARING and RUNNING are
 *         CANCELLING until their processes have ended. GF_EPRECONDITION one that has ended
 *         (CANCELLED and CANCELLING ones stay as they are). */
GF_API gf_status gf_registry_create_job(gf_registry *registry, const char *parent, const char *body,
                                        char **job, gf_error *err);
GF_API gf_status gf_registry_get_job(gf_registry *registry, const char *name, char **job,
                                     gf_error *err);
GF_API gf_status gf_registry_list_jobs(gf_registry *registry, const char *parent,
                                       const gf_registry_page *page, char **list, gf_error *err);
GF_API gf_status gf_registry_patch_job(gf_registry *registry, const char *name, const char *body,
                                       const char *mask, char **job, gf_error *err);
GF_API gf_status gf_registry_cancel_job(gf_registry *registry, const char *name, gf_error *err);

/* Tokens: who may ask a server on this home for what. Only a hash of the secret is kept.
 *
 * create  body: {"role": "admin|deploy|predict", "project": "P" (none: all), "expireTime": RFC 3339
 *         (none: never), "description"}. *token is {"name": "tokens/ID", "token": "graft_...", role,
 *         project, createTime, expireTime}: the one time that the secret is shown. GF_EINVAL, also
 *         for an admin's with a project (who makes tokens for all) or a time that is over.
 * list    {"tokens": [...]} without secrets, or {}.
 * revoke  GF_ENOTFOUND.
 * check   *token is the document of the one whose secret this is. GF_EAUTH unknown, expired or
 *         revoked (not told which). Compared in constant time. Another process may have revoked it a
 *         moment ago: that is seen at once. */
GF_API gf_status gf_registry_create_token(gf_registry *registry, const char *body, char **token,
                                          gf_error *err);
GF_API gf_status gf_registry_list_tokens(gf_registry *registry, char **list, gf_error *err);
GF_API gf_status gf_registry_revoke_token(gf_registry *registry, const char *name, gf_error *err);
GF_API gf_status gf_registry_check_token(gf_registry *registry, const char *secret, char **token,
                                         gf_error *err);

/* {"projects": ["P", ...]} in the order of names: those that have or had a model or a job. */
GF_API gf_status gf_registry_list_projects(gf_registry *registry, char **list, gf_error *err);

/* Removes blobs that no version uses, what killed processes left beside them, and operations
 * done for more than keep_seconds. *n_blobs (may be NULL): files removed. */
GF_API gf_status gf_registry_collect(gf_registry *registry, int64_t keep_seconds, size_t *n_blobs,
                                     gf_error *err);

GF_END_DECLS

#endif
