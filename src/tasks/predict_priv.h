/* tasks/predict_priv.h: batch prediction: what is to be predicted (predict_inputs.c), what a shard
 * has done so far (predict_notes.c), the shard itself (predict_shard.c), all of them and their sum
 * (predict.c).
 *
 * Beside jobs.h's files a job's folder then has
 *     inputs.json           what is to be predicted, decided once: {"format": 1, "nInputs": N,
 *                           "files": [{"address", "path", "kind", "n", "error" (of a broken one)}]}
 *     shards/K.notes        what became of each input, line by line as it is known
 *     shards/K.busy         the inputs that the shard's threads have in their hands
 * Inputs are numbered through all files; each shard has a piece in a row, the first ones one more
 * where they do not divide evenly. */
#ifndef GRAFT_TASKS_PREDICT_PRIV_H
#define GRAFT_TASKS_PREDICT_PRIV_H

#include "model/model.h"
#include "tasks/tasks_priv.h"

/* ---- predict_inputs.c ------------------------------------------------------------------------ */

typedef enum gf__input_kind {
    GF__INPUT_PICTURE,   /* a picture file */
    GF__INPUT_NPZ,       /* the rows of its array "features" */
    GF__INPUT_CSV,       /* a row a line */
    GF__INPUT_INSTANCES, /* JSON: an instance a line, as the server takes them */
    GF__INPUT_LIST,      /* text: the address of a picture a line */
    GF__INPUT_BROKEN     /* cannot be opened: counts as one input, which is an error */
} gf__input_kind;

typedef struct gf__input_file {
    char *address; /* as the job names it, "gs://b/photos/1.jpg" */
    char *path;
    gf__input_kind kind;
    size_t n;    /* inputs in it */
    char *error; /* BROKEN */
} gf__input_file;
typedef struct gf__inputs {
    gf__input_file *files;
    size_t n_files, capacity;
    size_t n;
} gf__inputs;
/* What DIR/inputs.json says; where it is missing, what inputPaths mean, then written there:
 * whoever comes first decides. GF_ENOTFOUND: nothing is there; GF_EUNSUPPORTED: a dataFormat that
 * is not read. End with gf__inputs_free(), also after a failure. */
gf_status gf__inputs_open(gf__task *task, gf__inputs *out, gf_error *err);
void gf__inputs_free(gf__inputs *inputs);

/* ---- predict_read.c -------------------------------------------------------------------------- */

/* Some of them, ready to be read. */
typedef struct gf__input {
    const gf__input_file *file;
    size_t number; /* of a line from 1, of a row from 0 */
    const char *text;
    size_t n_chars;            /* of a line, without its end */
    const gf_dataset *dataset; /* of a row */
} gf__input;
typedef struct gf__input_range {
    size_t first, n;
    gf__input *inputs; /* n */
    struct gf__opened *opened;
    size_t n_opened;
} gf__input_range;
/* End with gf__input_range_close(), also after a failure; inputs outlive it. */
gf_status gf__input_range_open(const gf__inputs *inputs, size_t first, size_t n,
                               const gf_model *model, gf__input_range *out, gf_error *err);
void gf__input_range_close(gf__input_range *range);
/* Whether a line is an input: blank ones are none. */
bool gf__line_has_text(const char *line, size_t n_chars);
/* "gs://b/a.jsonl:17", what results and errors call it. New. */
char *gf__input_name(const gf__input *input);

/* The sample of an input; it and the key live until gf__input_reading_end(), to be called also
 * after a failure. An error is the input's own, but for GF_ENOMEM. */
typedef struct gf__input_reading {
    gf__mapping file;
    gf__instances instances;
    char *text;
    gf_sample sample;
    gf__json *key; /* borrowed; NULL: none */
} gf__input_reading;
gf_status gf__input_read(const gf__task *task, const gf__input *input, const gf_model *model,
                         gf__input_reading *out, gf_error *err);
void gf__input_reading_end(gf__input_reading *reading);

/* ---- predict_notes.c ------------------------------------------------------------------------- */

/* Deaths of a shard's process that an input may have a part in. */
#define GF__MAX_STRIKES 2

typedef struct gf__note {
    char *line; /* JSON; NULL: not known yet */
    bool is_error;
    unsigned char strikes;
} gf__note;
typedef struct gf__notes gf__notes;
/* Takes up what an earlier process of the shard noted in BASE.notes of its n inputs, and what it
 * had in its hands when it died. */
gf_status gf__notes_open(const char *base, size_t n, gf__notes **out, gf_error *err);
void gf__notes_close(gf__notes *notes); /* NULL is fine */
const gf__note *gf__notes_at(const gf__notes *notes, size_t i);
/* Before input i is touched by a thread, so that the next process knows; and after. */
void gf__notes_begin(gf__notes *notes, size_t thread, size_t i);
void gf__notes_end(gf__notes *notes, size_t thread);
/* Its line is known; line is taken over. Threads: any. GF_EIO. */
gf_status gf__notes_add(gf__notes *notes, size_t i, char *line, bool is_error, gf_error *err);
typedef struct gf__note_counts {
    size_t n_results, n_errors;
} gf__note_counts;
gf__note_counts gf__notes_count(gf__notes *notes);

/* ---- predict_shard.c ------------------------------------------------------------------------- */

/* Does shard number k of n_shards: both of its files are written, *output is its part of
 * predictionOutput, new. */
gf_status gf__predict_shard(gf__task *task, size_t k, size_t n_shards, gf__json **output,
                            gf_error *err);

#endif
