/* server/metrics_priv.h: what the two halves of the metrics page share. */
#ifndef GRAFT_SERVER_METRICS_PRIV_H
#define GRAFT_SERVER_METRICS_PRIV_H

#include "server/server_priv.h"

void gf__metric_begin(gf__buffer *out, const char *name, const char *type, const char *help);
/* The text as it stands between the quotes of a label. */
void gf__metric_label(gf__buffer *out, const char *text);
/* metrics_pools.c */
void gf__metrics_write_pools(gf__pools *pools, bool wants_aliases, gf__buffer *out);

#endif
