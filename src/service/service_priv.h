/* service/service_priv.h: what the use cases share: folders of a home, a part of a data set with
 * its features, small pictures. */
#ifndef GRAFT_SERVICE_PRIV_H
#define GRAFT_SERVICE_PRIV_H

#include <pthread.h>

#include "base/base.h"
#include "data/data.h"
#include "features/features.h"
#include "graft/service.h"
#include "image/image.h"
#include "model/model.h"
#include "tensor/tensor.h"
#include "train/train.h"
#include "zoo/zoo.h"

/* An extractor with the home's pack folder, and (where is_cached) its feature cache. */
gf_status gf__service_extractor(const gf_context *context, gf_trunk *trunk,
                                const gf_output_spec *outputs, size_t n_outputs,
                                gf_precision precision, bool is_cached, gf_extractor **out,
                                gf_error *err);
/* The one that a model's head was trained behind, with packs and cache; checked to fit the head. */
gf_status gf__service_model_extractor(const gf_context *context, gf_model *model,
                                      gf_extractor **out, gf_error *err);
int gf__service_threads(const gf_context *context);

/* GF_EINVAL if writing path would write over something that is read. path may be NULL. */
gf_status gf__check_spares(const char *path, const char *input, const char *what, gf_error *err);

/* Whether a name means a model file (true) or a trunk. Both may be safetensors files: the "graft"
 * document inside says which. */
gf_status gf__is_model_file(const char *name, bool *is_model, gf_error *err);

/* Items of a data set that are used together, with the features of one or more outputs. Unreadable
 * pictures are taken out when the features are made. Start zeroed; end with gf__part_free(). The
 * data set is borrowed. */
typedef struct gf__part {
    const gf_dataset *dataset;
    size_t *items;
    size_t *labels; /* numbers of the model's classes, one an item */
    size_t n;
    size_t n_skipped;
    size_t n_cached;
    bool *is_bad;         /* of the items as they were before the unreadable ones were taken out */
    gf_tensor **features; /* n_outputs tensors (n * n_views, size): view 0 first */
    size_t n_outputs, n_views;
} gf__part;
/* items NULL: all of the data set. Labels are matched by name with the classes given: GF_EMISMATCH
 * names a class that is not among them. class_names NULL: the data set's own numbers. */
gf_status gf__part_init(gf__part *part, const gf_dataset *dataset, const size_t *items,
                        size_t n_items, const char *const *class_names, size_t n_classes,
                        gf_error *err);
/* Makes the features of the plain pictures. GF_EFORMAT if none can be read. */
gf_status gf__part_extract(gf__part *part, gf_extractor *extractor, const gf_observer *obs,
                           gf_error *err);
/* The same for two parts, in one go where they are of one data set. */
gf_status gf__parts_extract(gf__part *train, gf__part *test, gf_extractor *extractor,
                            const gf_observer *obs, gf_error *err);
/* After that: adds n_views augmented views (kinds, seeded). */
gf_status gf__part_extract_views(gf__part *part, gf_extractor *extractor, size_t n_views,
                                 unsigned kinds, uint64_t seed, const gf_observer *obs,
                                 gf_error *err);
/* GF_EUNSUPPORTED for a head whose scores are answers of their own (it ends in sigmoid): which class is the
 * right one cannot be told from them. */
gf_status gf__check_one_class(const gf_head *head, gf_error *err);
/* The features of output i as training data. Borrowed from the part. */
gf_fit_data gf__part_fit_data(const gf__part *part, size_t output);
/* Adds the items of each class to counts. */
void gf__part_count(const gf__part *part, size_t *counts);
void gf__part_free(gf__part *part);

/* export_graft.c: format "graft": with the trunk inside, or, for the head only, without it. A file that is
 * that already, or has no trunk, is copied. */
gf_status gf__export_graft(const gf_export_request *request, gf_model *model, gf_error *err);

/* network.c: the head's layers with their weights, behind the graph's last one; all before are frozen. */
gf_status gf__append_head(gf_graph *graph, const gf_head *head, gf_error *err);

/* Metrics of a head on a part. */
gf_status gf__part_metrics(const gf__part *part, size_t output, const gf_head *head,
                           gf_metrics **out, gf_error *err);

/* Cross-validated accuracy of a linear probe on each output of a part, n_outputs values; of a large
 * part on a seeded choice of its items. */
gf_status gf__part_probe(const gf__part *part, size_t n_classes, const gf_probe_options *options,
                         const gf_observer *obs, double *accuracy, gf_error *err);

/* Wrong answers of a part, most certain first: indices into the part. *order is new, ended with
 * gf__free(). */
gf_status gf__part_mistakes(const gf__part *part, const gf_metrics *metrics, size_t **order,
                            size_t *n, gf_error *err);
/* "item: is A, taken for B (0.93)" for each. *lines is new: every line and the list are ended with
 * gf__free(). */
gf_status gf__mistake_lines(const gf__part *part, const gf_metrics *metrics, const size_t *order,
                            size_t n, const char *const *class_names, char ***lines, gf_error *err);
void gf__strings_free(char **strings, size_t n);
gf_status gf__class_names_copy(const gf_dataset *dataset, char ***out, size_t *n, gf_error *err);

/* A picture of an item as a small JPEG that fits side x side pixels. *bytes is new, ended with
 * gf_image_bytes_free(). */
gf_status gf__thumbnail(const gf_dataset *dataset, size_t item, uint64_t max_pixels, size_t side,
                        uint8_t **bytes, size_t *n_bytes, gf_error *err);
/* The recipe's own picture of an item as PNG: what a self-test keeps. */
gf_status gf__recipe_picture(const gf_dataset *dataset, size_t item, const gf_recipe *recipe,
                             uint64_t max_pixels, uint8_t **bytes, size_t *n_bytes, gf_error *err);

/* A model's self-test: one picture of each of the first classes of a part, with the scores the head
 * gives the features of that output. Ended with gf__samples_clear(), also after a failure. */
#define GF__SELF_TEST_SAMPLES 3
typedef struct gf__samples {
    gf__self_test_sample at[GF__SELF_TEST_SAMPLES];
    size_t n;
    float *scores;
    double tolerance; /* what the precision of the features allows */
} gf__samples;
gf_status gf__samples_new(const gf__part *part, size_t output, const gf_head *head,
                          const gf_extractor *extractor, const gf_recipe *recipe,
                          uint64_t max_pixels, gf__samples *out, gf_error *err);
void gf__samples_clear(gf__samples *samples);

/* numbers.c: tables of numbers. Features of both parts: the columns, standardised by mean and
 * deviation of the training part, which come back (new, also after a failure). GF_EMISMATCH other
 * columns. */
gf_status gf__part_numbers_fit(gf__part *train, gf__part *test, float **means, float **scales,
                               gf_error *err);
/* The same with means and scales that are known. */
gf_status gf__part_rows(gf__part *part, const gf__standardisation *how, gf_error *err);
/* The same as the model does it. GF_EMISMATCH also where only one of them is about numbers. */
gf_status gf__part_numbers(gf__part *part, const gf_model *model, gf_error *err);
/* Columns of a data set; the list is new, the names are borrowed. */
gf_status gf__column_names_new(const gf_dataset *dataset, const char ***out, gf_error *err);
gf_status gf__samples_of_numbers(const gf__part *part, const gf_head *head, gf__samples *out,
                                 gf_error *err);

/* train_network.c: the trunk a training looks through, the cuts that are wanted, the extractor. Start
 * zeroed. The request must outlive it. */
typedef struct gf__train_network {
    gf_trunk *trunk;
    gf_extractor *extractor;
    gf_output_spec *outputs;
    size_t n_outputs;
    const char *const *probe_layers; /* n_outputs names where "auto" is to choose; else NULL */
    const gf_train_request *request;
    pthread_t thread;
    bool is_running, is_opened;
    gf_status status;
    gf_error error;
} gf__train_network;
/* With two threads or more and a data set of pictures: begins opening it in a thread, with a plan
 * where no feature is cached yet, so that every picture will need it. */
void gf__train_network_start(gf__train_network *network, const gf_train_request *request);
/* Opened when it returns; errors are those of opening it. Only then may the members be read. */
gf_status gf__train_network_wait(gf__train_network *network, gf_error *err);
void gf__train_network_close(gf__train_network *network); /* also one that was never started */

/* What a training run was, for the model file and the report. */
typedef struct gf__train_facts {
    const gf_train_request *request;
    const gf_dataset *dataset, *test_dataset; /* the latter NULL with a split */
    const char *dataset_sha256;
    const gf_trunk *trunk; /* NULL, and so is layer: a table of numbers */
    const char *layer;
    gf_precision precision;
    const gf__part *train, *test;
    const gf_head *head;
    const gf_train_result *result;
} gf__train_facts;
gf_status gf__training_record(const gf__train_facts *facts, gf__json **out, gf_error *err);
gf_status gf__training_report(const gf__train_facts *facts, const char *path, gf_error *err);

/* The mistakes of a part as pictures of a report; at most GF__REPORT_PICTURES of them. Ended with
 * gf__report_pictures_free(). */
#define GF__REPORT_PICTURES 60
gf_status gf__report_pictures(const gf__part *part, const gf_metrics *metrics, const size_t *order,
                              size_t n, uint64_t max_pixels, gf_report_picture **out,
                              size_t *n_pictures, gf_error *err);
void gf__report_pictures_free(gf_report_picture *pictures, size_t n);

#endif
