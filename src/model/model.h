/* model/model.h: the door of model for other folders: writing a model file. */
#ifndef GRAFT_SRC_MODEL_H
#define GRAFT_SRC_MODEL_H

#include "base/base.h"
#include "graft/model.h"
#include "model/instances.h"

/* A small picture, or a row of numbers, kept in the model with the scores it must give. */
typedef struct gf__self_test_sample {
    const char *item;
    const uint8_t *png; /* recipe-sized picture, lossless; NULL of a model that takes numbers */
    size_t n_bytes;
    const float *numbers; /* n_features, as they came; NULL of one that takes pictures */
    const float *scores;  /* n_classes */
} gf__self_test_sample;

/* How columns of numbers are brought to one range: (x - mean) / scale, one of each a column. */
typedef struct gf__standardisation {
    const float *means, *scales;
} gf__standardisation;
/* n columns of one row; out may be row. The only place where it is done. */
void gf__standardise(const gf__standardisation *how, const float *row, float *out, size_t n);
/* From rows (n_rows, n_columns); a column that never changes gets the scale 1. */
void gf__standardisation_fit(const float *rows, size_t n_rows, size_t n_columns, float *means,
                             float *scales);

typedef struct gf__model_content {
    const gf_head *head;
    const char *const *class_names; /* n_classes of the head */
    gf_trunk *trunk; /* borrowed; NULL: the model takes numbers, the next two say how; then layer,
                        pool, precision and recipe mean nothing */
    const char *const *column_names; /* n_features of the head */
    gf__standardisation standardisation;
    const char *layer;
    gf_pool pool;
    gf_precision precision;
    gf_recipe recipe;
    /* the training record, copied: options, data, split, history, metrics; may be NULL */
    const gf__json *training;
    const gf__self_test_sample *samples;
    size_t n_samples;
    double tolerance; /* largest allowed score difference in the self-test */
    bool is_bundle;
} gf__model_content;

/* Same content gives the same bytes. */
gf_status gf__model_save(const char *path, const gf__model_content *content, gf_error *err);

/* The model file at path, loaded as model, once more: with the trunk inside as far as the cut, or without
 * one (trunk NULL). The bytes are those that gf__model_save() would have written. GF_EMISMATCH: a trunk
 * that wants other pictures. */
gf_status gf__model_save_bundle(const gf_model *model, const char *path, const gf_trunk *trunk,
                                const char *output, gf_error *err);

/* Of the files of a version, or of a folder, the one that is a model: a .safetensors with graft's
 * document. GF_EFORMAT: none, or a second one, which is named. */
typedef struct gf__model_candidate {
    const char *name; /* as people call it */
    const char *path; /* where its bytes lie */
} gf__model_candidate;
gf_status gf__model_choose_file(const gf__model_candidate *files, size_t n, size_t *index,
                                gf_error *err);

/* A trunk of the home that is known by name and SHA-256: under that name, else under another. */
gf_status gf__home_trunk(const char *home, const char *name, const char *sha256, gf_trunk **out,
                         gf_error *err);
/* Whether the trunk wants its pictures as the model prepares them. GF_EMISMATCH. */
gf_status gf__model_check_recipe(const gf_model *model, const gf_trunk *trunk, gf_error *err);

/* Whether it has no trunk and takes columns of numbers. */
bool gf__model_takes_numbers(const gf_model *model);
/* NULL members for one with a trunk: features come as they are. */
gf__standardisation gf__model_standardisation(const gf_model *model);
/* n numbers into scores: a row of columns, or a feature vector where the model has a trunk. logits
 * may be NULL. GF_ESHAPE their number, GF_EINVAL one that is not finite; else as
 * gf__model_score(). */
gf_status gf__model_predict_numbers(const gf_model *model, const float *numbers, size_t n,
                                    float *scores, float *logits, gf_error *err);

/* The head on one vector (standardised here where the model says so): scores and, where it is not NULL, what they were before the softmax
 * (n_classes floats each). GF_EMISMATCH: numbers that are none, weights are damaged. */
gf_status gf__model_score(const gf_model *model, const float *features, float *scores,
                          float *logits, gf_error *err);

/* A sample of any kind into n_classes scores: a picture goes through the network, numbers straight to
 * the head. Errors as gf_predictor_picture() and gf_predictor_numbers(). */
gf_status gf__predictor_sample(gf_predictor *predictor, const gf_sample *sample, float *scores,
                               gf_error *err);

/* The stored pictures with their scores, and the judge, for who runs the network himself: begin
 * with {0}, add the scores found for each sample, then judge. */
size_t gf__model_n_samples(const gf_model *model);
gf__self_test_sample gf__model_sample_at(const gf_model *model, size_t i);
typedef struct gf__self_test_finding {
    double difference; /* the largest */
    size_t sample, class_number;
    double found;
} gf__self_test_finding;
void gf__self_test_add(gf__self_test_finding *worst, const gf_model *model, size_t sample,
                       const float *scores);
/* precision: what the scores were computed in. GF_EMISMATCH names sample, class and scores. */
gf_status gf__self_test_judge(const gf__self_test_finding *worst, const gf_model *model,
                              gf_precision precision, gf_error *err);

/* What a model is run in: wanted, or for AUTO the model's own precision, but for bf16 where
 * float32 is faster. */
gf_precision gf__model_choose_precision(const gf_model *model, gf_precision wanted);

/* Reads the document alone: who only asks for classes, cut and trunk holds no weights. Such a model
 * has no head (gf_model_head() gives NULL) and no pictures for a self-test. */
gf_status gf__model_load_document(const char *path, gf_model **out, gf_error *err);

/* A model from bytes that the caller keeps alive (the fuzzer's way in). */
gf_status gf__model_parse(const void *bytes, size_t n_bytes, gf_model **out, gf_error *err);
/* The same without a copy of the head's weights: they are read where they lie, in a file that nobody
 * changes and that stays mapped as long as the model. Weights that are not aligned there are copied
 * after all. */
gf_status gf__model_view(const gf__mapping *bytes, gf_model **out, gf_error *err);

/* An extractor for the model's cut: the trunk from the bundle, else from HOME/trunks by SHA-256.
 * options->precision AUTO means the same there.
 * Cache and packs as options say. */
gf_status gf__model_extractor(gf_model *model, const char *home,
                              const gf_extractor_options *options, gf_extractor **out,
                              gf_error *err);

/* A member of the document that this version does not know is kept by everything that rewrites a
 * model. Borrowed. */
const gf__json *gf__model_json(const gf_model *model);

#endif
