/* cli/serve_container.h: graft serve in a container: the variables of Knative (PORT, K_REVISION) and of
 * Vertex AI (AIP_...). */
#ifndef GRAFT_CLI_SERVE_CONTAINER_H
#define GRAFT_CLI_SERVE_CONTAINER_H

#include "cli/cli.h"
#include "server/server.h"

/* What the command line says is left alone. */
typedef struct gf__serve_wishes {
    bool has_port, has_address, needs_tokens;
} gf__serve_wishes;

/* Where to listen, who may ask, and Vertex AI's routes. Texts of *o point into the environment.
 * GF_EINVAL a port that is none. */
gf_status gf__serve_apply_container(const gf__serve_wishes *wishes, gf_server_options *o,
                                    gf_error *err);

#define GF__SERVE_NAME_SIZE 160
/* Puts the model of AIP_STORAGE_URI in the registry before the server opens it; the server then
 * copies and checks it like any other. version: its name there, also where an earlier start has made
 * it; the model's default may be of another address. "" without AIP_STORAGE_URI. */
gf_status gf__serve_register_storage(const gf_server_options *o, char version[GF__SERVE_NAME_SIZE],
                                     gf_error *err);

#endif
