/* registry/registry.h: the door of registry, for service and server. */
#ifndef GRAFT_SRC_REGISTRY_H
#define GRAFT_SRC_REGISTRY_H

#include "graft/registry.h"

/* The google.rpc.Code (0 to 16) that a status is in an Operation's error, and in the answers of
 * the server. */
int gf__rpc_code(gf_status status);

/* The file or folder of this machine that an address means, under the rules of
 * gf_registry_create_version(): what bucket uploads and downloads use as well. It need not
 * exist, but no step on the way may be a link. *path is new, ended with gf__free(). GF_EINVAL. */
gf_status gf__registry_resolve(gf_registry *registry, const char *address, char **path,
                               gf_error *err);

/* Whether a project can have that name: "P", not "projects/P". GF_EINVAL. */
gf_status gf__registry_check_project(const char *project, gf_error *err);

#endif
