/* server/ml_v1_priv.h: what the handlers of Cloud ML Engine v1 share. */
#ifndef GRAFT_SERVER_ML_V1_PRIV_H
#define GRAFT_SERVER_ML_V1_PRIV_H

#include "server/server_priv.h"

#define GF__ML_V1 "/v1/projects/{project}"

/* The name that the route's parameters make, of as many parts as there are (1: the project ...); new.
 * Notes model and version for the log. GF_ENOMEM. */
gf_status gf__request_name(gf__request *request, size_t n_parts, char **out, gf_error *err);

/* The catalog follows a change of the registry: the model or version by that name. */
void gf__ml_v1_follow(gf_server *server, const char *changed);

/* The version that an operation is about, or the resource that a document is: what was created, or
 * changed. New, NULL where it cannot be told. */
char *gf__subject_of(const char *document);

/* "projects/P/jobs/J" of the route's parameters; "projects/P" where there is no J. New. GF_ENOMEM. */
gf_status gf__request_job_name(const gf__request *request, char **out, gf_error *err);

/* ml_v1_resources.c */
typedef gf_status gf__handler(gf_server *server, gf__request *request, gf__response *response,
                              gf_error *err);
gf__handler gf__models_create, gf__models_get, gf__models_list, gf__models_patch, gf__models_delete;
gf__handler gf__versions_create, gf__versions_get, gf__versions_list, gf__versions_patch,
    gf__versions_delete, gf__versions_set_default;
gf__handler gf__operations_list;
/* ml_v1_jobs.c, ml_v1_job_logs.c */
gf__handler gf__jobs_create, gf__jobs_list, gf__jobs_get, gf__jobs_patch, gf__jobs_cancel,
    gf__jobs_stream_logs;

#endif
