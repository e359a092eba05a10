/* registry/job_fields_priv.h: what a job's body must be: its shape and its values. */
#ifndef GRAFT_REGISTRY_JOB_FIELDS_PRIV_H
#define GRAFT_REGISTRY_JOB_FIELDS_PRIV_H

#include "registry/registry_priv.h"

/* Body of a create or patch: a new object in camelCase with the fields that clients may set. What is
 * null or "" is left out, what only the registry sets as well. GF_EINVAL begins with the field's
 * path. */
gf_status gf__job_fields_read(const gf__json *body, gf__json **fields, gf_error *err);
/* "3600s", "0.5s": false where it is none. */
bool gf__duration_parse(const char *text, double *seconds);

/* Whether these fields, as they are stored, make a job of that project: everything that can be said without looking for
 * packages, inputs and models. GF_EINVAL with the field's path; GF_EUNSUPPORTED containers. */
gf_status gf__job_check_fields(gf_registry *registry, const char *project, const gf__json *fields,
                               gf_error *err);
/* trainingInput.hyperparameters alone; in job_search.c. */
gf_status gf__job_check_search(const gf__json *spec, gf_error *err);

/* Addresses of jobs are looked up by their processes: what they may be is decided here.
 * GF_EINVAL. */
gf_status gf__job_check_address(gf_registry *registry, const char *path, const char *address,
                                gf_error *err);

#endif
