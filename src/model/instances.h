/* model/instances.h: what clients send a model as JSON, into samples: every spelling of a picture,
 * lists of numbers, rows of named columns. The server's bodies and the lines of a batch job come
 * through here.
 *
 *     gf__instances all;
 *     const gf__instances_form form = {.rows = "instances", .columns = "", .max_instances = 64};
 *     st = gf__instances_parse(model, &form, body, n_bytes, &all, err);
 *     ... all.samples[i] ...
 *     gf__instances_free(&all); */
#ifndef GRAFT_SRC_MODEL_INSTANCES_H
#define GRAFT_SRC_MODEL_INSTANCES_H

#include "base/base.h"
#include "graft/data.h"
#include "graft/model.h"

/* Strings and arrays shorter than this are left to the JSON parser. */
#define GF__LONG_CHARS 256

/* Memory that lives until it is freed as a whole; zero to begin with. */
typedef struct gf__arena {
    struct gf__arena_block *blocks;
} gf__arena;
void *gf__arena_alloc(gf__arena *arena, size_t n_bytes); /* aligned for any type; NULL: none left */
void gf__arena_free(gf__arena *arena);

/* Instances may be, each: a string (base64 in any alphabet, padded or not, or a data URL);
 * {"b64": "..."}; an object with one such under any name, or "key" beside it (given back); nested
 * numbers: (H,W,3) in 0..255 or [-1,1] as the model's recipe has it, or (D) for what the head
 * takes; an object of named numbers for a model with column names. */
typedef struct gf__instances {
    gf_sample *samples; /* owner is NULL: they point into the body and the memory below */
    size_t n;
    gf__json **keys;      /* n; each NULL, or the instance's "key" to be given back */
    bool is_column_form;  /* TensorFlow Serving's "inputs" */
    char *signature_name; /* NULL: none */
    gf__json *rest;       /* the body's other members ("parameters" ...) */
    void *memory;
} gf__instances;
typedef struct gf__instances_form {
    const char *rows;    /* the member that has the list; "": the body itself is it */
    const char *columns; /* "inputs" of TensorFlow Serving; "": there is no such form */
    size_t max_instances;
} gf__instances_form;
/* body is changed in place (long strings are decoded where they lie) and must outlive *out. Errors
 * name the instance: "instances[3]: base64: byte 17 ...". */
gf_status gf__instances_parse(const gf_model *model, const gf__instances_form *form, char *body,
                              size_t n_bytes, gf__instances *out, gf_error *err);
void gf__instances_free(gf__instances *all); /* a zeroed one is fine */

/* base64 of an encoded picture, in any alphabet, padded or not, or a data URL. Decoded where it
 * lies if is_own (text may be changed), else into the arena. */
gf_status gf__sample_of_base64(gf__arena *arena, const char *text, size_t n_chars, bool is_own,
                               gf_sample *out, gf_error *err);

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
gf_status gf__sample_of_numbers(gf__numbers *numbers, gf_sample *out, gf_error *err);

/* Whether the model begins with a trunk, and so takes pictures (or its features), not only
 * numbers. */
bool gf__model_takes_pictures(const gf_model *model);

#endif
