/* server/instances_priv.h: what the families that read instances share beyond server_priv.h. */
#ifndef GRAFT_SERVER_INSTANCES_PRIV_H
#define GRAFT_SERVER_INSTANCES_PRIV_H

#include "server/server_priv.h"

/* Strings and arrays shorter than this are left to the JSON parser. */
#define GF__LONG_CHARS 256

/* Memory that lives until the request is answered; zero to begin with. */
typedef struct gf__arena {
    struct gf__arena_block *blocks;
} gf__arena;
void *gf__arena_alloc(gf__arena *arena, size_t n_bytes); /* aligned for any type; NULL: none left */
void gf__arena_free(gf__arena *arena);

/* gf__asked_parse() for a body whose rows have another name, and that has no column form:
 * TensorFlow Serving's "examples". */
gf_status gf__asked_parse_rows(gf_server *server, const gf_model *model, const char *rows,
                               char *body, size_t n_bytes, gf__asked *out, gf_error *err);

/* base64 of an encoded picture, in any alphabet, padded or not, or a data URL. Decoded where it lies
 * if is_own (text may be changed), else into the arena. */
gf_status gf__instance_of_base64(gf__arena *arena, const char *text, size_t n_chars, bool is_own,
                                 gf__instance *out, gf_error *err);

/* Nested numbers of one shape. */
typedef struct gf__numbers {
    size_t n_dims, shape[GF__JSON_DIMS]; /* n_dims 0: one number */
    size_t n_values;
    bool is_integers; /* all are spelled as integers */
    float *values;    /* in the arena */
} gf__numbers;
gf_status gf__numbers_read(gf__arena *arena, const gf__json_spans *spans, const gf__json *value,
                           gf__numbers *out, gf_error *err);
/* What they are to a model. One number or a list: what its head takes. (H,W,3): a picture,
 *   bytes     if all are spelled as integers and lie in 0 to 255;
 *   scaled    else, if all lie in [-1,1] (pixel / 127.5 - 1);
 *   bytes     else, if all lie in 0 to 255: rounded to the nearest.
 * So a black picture of integers is black, and [0,1] is read as part of [-1,1]. numbers->values is
 * reused. GF_ESHAPE, GF_EFORMAT. */
gf_status gf__instance_of_numbers(gf__numbers *numbers, gf__instance *out, gf_error *err);

/* Whether the model begins with a trunk, and so takes pictures (or its features), not only numbers. */
bool gf__model_takes_pictures(const gf_model *model);

#endif
