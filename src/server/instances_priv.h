/* server/instances_priv.h: what the families that read instances share beyond server_priv.h. */
#ifndef GRAFT_SERVER_INSTANCES_PRIV_H
#define GRAFT_SERVER_INSTANCES_PRIV_H

#include "model/model.h"
#include "server/server_priv.h"

/* gf__asked_parse() for a body whose rows have another name, and that has no column form:
 * TensorFlow Serving's "examples". */
gf_status gf__asked_parse_rows(gf_server *server, const gf_model *model, const char *rows,
                               char *body, size_t n_bytes, gf__asked *out, gf_error *err);

/* What a pool takes. */
gf__instance gf__instance_of_sample(const gf_sample *sample);

#endif
