/* server/kserve_v2_priv.h: an inference request of the Open Inference Protocol, read and answered. */
#ifndef GRAFT_SERVER_KSERVE_V2_PRIV_H
#define GRAFT_SERVER_KSERVE_V2_PRIV_H

#include "server/predict_priv.h"

/* The one tensor that goes in and the one that comes out, by the names of the other families. */
#define GF__V2_INPUT  "inputs"
#define GF__V2_OUTPUT "outputs"

typedef struct gf__v2_request {
    gf__instance *instances; /* they point into the body and the memory below */
    size_t n_instances;
    const char *id;   /* NULL: none; to be given back */
    bool is_binary;   /* the answer's tensor as bytes behind the JSON */
    int timeout_ms;   /* 0: none asked for */
    size_t n_classes; /* classification extension: so many of the best; 0: scores */
    gf__json *document;
    gf__json_spans *spans;
    gf__arena arena;
} gf__v2_request;

/* header_length: the header Inference-Header-Content-Length, NULL where it is missing. body is
 * changed in place. Errors name tensor, field, and what was found. */
gf_status gf__v2_request_parse(const gf_model *model, size_t max_instances,
                               const char *header_length, char *body, size_t n_bytes,
                               gf__v2_request *out, gf_error *err);
void gf__v2_request_free(gf__v2_request *request);

/* wants_debug: with the hashes of each, as a parameter. */
gf_status gf__v2_respond(const gf__v2_request *asked, const gf__served *served,
                         const gf__predictions *predictions, bool wants_debug,
                         gf__response *response, gf_error *err);

#endif
