/* server/predict_priv.h: what the families that answer predictions share. */
#ifndef GRAFT_SERVER_PREDICT_PRIV_H
#define GRAFT_SERVER_PREDICT_PRIV_H

#include "server/instances_priv.h"

/* The version that a name of TensorFlow Serving or KServe means, in the server's own project. A
 * number N that is no version's name means "vN": their versions are numbers, ours are names.
 * GF_EUNAVAILABLE where none is READY. */
gf_status gf__find_served(gf_server *server, const char *project, const char *model,
                          const char *version, const char *label, gf__served **out, gf_error *err);
/* {"models":["a","b"]}: those of the server's own project that have versions, as KServe v1 and v2
 * have it. */
gf_status gf__respond_models(gf_server *server, gf__request *request, gf__response *response,
                             gf_error *err);

/* JSON as text: a number that comes back as the same float and is never taken for an integer; a
 * string. */
void gf__write_number(gf__buffer *out, double number);
void gf__write_string(gf__buffer *out, const char *text);
/* [[0.9,0.1],...]: the scores of each; and the member "debug":[{...},...], for ?debug=1. */
void gf__write_predictions(gf__buffer *out, const gf__predictions *predictions);
void gf__write_debug(gf__buffer *out, const gf__predictions *predictions);

/* The k classes with the highest scores, best first, equal ones in the order of the classes; new,
 * gf__free(). k is at most n. */
size_t *gf__top_classes(const float *scores, size_t n, size_t k);

#endif
