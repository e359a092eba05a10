/* graft/data.h: labelled pictures: opening, splitting, checking and packing data sets.
 *
 *     gf_dataset *flowers = NULL;
 *     gf_split *split = NULL;
 *     st = gf_dataset_open("flowers/", NULL, NULL, &flowers, err);        flowers/rose/1.jpg ...
 *     gf_split_options options = {.test_fraction = 0.2, .seed = 42};
 *     st = gf_split_new(flowers, &options, &split, err);
 *
 * A data set is a folder of class folders, an .npz as in numpy.savez(features=, labels=), or a CSV
 * or JSON-lines file of path and label. Class folders and items are in byte order of their names.
 * Tables of numbers are data sets too: a CSV of numbers and a class (the column 'label', 'class',
 * 'category' or 'target', else the last), or an .npz with features (N,D).
 * Threads: reading items is safe from any thread.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_DATA_H
#define GRAFT_DATA_H

#include "graft/base.h"

GF_BEGIN_DECLS

typedef struct gf_dataset gf_dataset;

typedef enum gf_sample_kind {
    GF_SAMPLE_ENCODED, /* a picture file's bytes */
    GF_SAMPLE_PIXELS,  /* RGB bytes height x width x 3, from a uint8 .npz */
    GF_SAMPLE_SCALED,  /* floats in [-1,1], height x width x 3: already preprocessed */
    GF_SAMPLE_NUMBERS  /* width floats: a row of a table, no picture */
} gf_sample_kind;

typedef struct gf_sample {
    gf_sample_kind kind;
    const void *data; /* borrowed until gf_sample_release() */
    size_t n_bytes;
    size_t width, height; /* 0 for ENCODED */
    void *owner;          /* private */
} gf_sample;

typedef struct gf_dataset_options {
    /* Labels by name where the file has only numbers, NULL: "0", "1", ... (an .npz may bring its
     * own "classes"). */
    const char *const *class_names;
    size_t n_class_names;
    /* A table of numbers without a class: every column is a number. It has one class,
     * "unlabelled". */
    bool is_unlabelled;
} gf_dataset_options;

/* Opens and lists; pictures are read later. Errors: GF_ENOTFOUND, GF_EFORMAT with file, line and
 * field; GF_EINVAL for a folder without class folders or with fewer than one picture. options, obs
 * may be NULL. */
GF_API gf_status gf_dataset_open(const char *path, const gf_dataset_options *options,
                                 const gf_observer *obs, gf_dataset **out, gf_error *err);
GF_API void gf_dataset_free(gf_dataset *dataset);

/* Arrays in memory as a data set: n pictures (GF_SAMPLE_PIXELS, uint8 (n,height,width,3), borrowed:
 * they must outlive the set) or n rows of width numbers (GF_SAMPLE_NUMBERS, float32 (n,width),
 * copied). labels NULL: all 0. Without class_names the classes are "0" to the largest label. */
typedef struct gf_dataset_arrays {
    gf_sample_kind kind;
    const void *values;
    size_t n, height, width;
    const size_t *labels;
    const char *const *class_names;
    size_t n_class_names;
} gf_dataset_arrays;
/* GF_EINVAL no items, GF_ESHAPE empty items, GF_EFORMAT a label that is no class or a number that
 * is none, GF_EUNSUPPORTED another kind. */
GF_API gf_status gf_dataset_new(const gf_dataset_arrays *arrays, gf_dataset **out, gf_error *err);

GF_API const char *gf_dataset_path(const gf_dataset *dataset);
/* "folder", "npz", "csv", "jsonl", "arrays" */
GF_API const char *gf_dataset_kind(const gf_dataset *dataset);
GF_API size_t gf_dataset_n_items(const gf_dataset *dataset);
GF_API size_t gf_dataset_n_classes(const gf_dataset *dataset);
GF_API const char *gf_dataset_class_at(const gf_dataset *dataset, size_t k);
GF_API size_t gf_dataset_label_at(const gf_dataset *dataset, size_t i); /* < n_classes */
GF_API const char *gf_dataset_item_at(const gf_dataset *dataset,
                                      size_t i); /* "rose/1.jpg", "features[17]" */
/* A table's columns without the class; 0 and NULL for pictures. */
GF_API size_t gf_dataset_n_columns(const gf_dataset *dataset);
GF_API const char *gf_dataset_column_at(const gf_dataset *dataset, size_t i);
/* The file of an item; NULL in an .npz or a table. */
GF_API const char *gf_dataset_file_at(const gf_dataset *dataset, size_t i);

GF_API gf_status gf_dataset_read(const gf_dataset *dataset, size_t i, gf_sample *out,
                                 gf_error *err);
GF_API void gf_sample_release(gf_sample *sample);

/* SHA-256 over items, labels, class names and all content, in order: 64 digits into hex (65
 * chars). */
GF_API gf_status gf_dataset_hash(const gf_dataset *dataset, const gf_observer *obs, char *hex,
                                 gf_error *err);

/* Which items are trained on and which are held out. */
typedef struct gf_split {
    size_t *train; /* item numbers, shuffled */
    size_t n_train;
    size_t *test;
    size_t n_test;
} gf_split;

typedef struct gf_split_options {
    double test_fraction; /* in (0,1); the held-out part has ceil(fraction * n) items */
    uint32_t seed;
    bool is_stratified; /* every class in the same proportion */
} gf_split_options;
/* Index for index what scikit-learn's train_test_split(test_size=, random_state=, stratify=) gives.
 * Errors GF_EINVAL where a part would be empty, or (stratified) a class has fewer than 2 items or a
 * part fewer items than classes. */
GF_API gf_status gf_split_new(const gf_dataset *dataset, const gf_split_options *options,
                              gf_split **out, gf_error *err);
/* The same for n rows with labels (labels may be NULL unless stratified). */
GF_API gf_status gf_split_labels(const size_t *labels, size_t n, size_t n_classes,
                                 const gf_split_options *options, gf_split **out, gf_error *err);
GF_API void gf_split_free(gf_split *split);

/* What is wrong or odd in a data set. */
typedef enum gf_issue_kind {
    GF_ISSUE_CORRUPT,        /* cannot be decoded; note says why */
    GF_ISSUE_MISNAMED,       /* the ending says another format than the content */
    GF_ISSUE_NOT_A_PICTURE,  /* a file in a class folder that is no picture */
    GF_ISSUE_DUPLICATE,      /* same bytes as another item */
    GF_ISSUE_NEAR_DUPLICATE, /* looks the same as another item */
    /* same or looks the same as an item of the other data set (test against train) */
    GF_ISSUE_CROSS_DUPLICATE,
    GF_ISSUE_LABEL_CONFLICT, /* a duplicate of another item with another class */
    GF_ISSUE_TURNED,         /* EXIF orientation other than 1: tools that ignore it see it turned */
    GF_ISSUE_ONE_COLOUR,     /* no content */
    GF_ISSUE_SMALL,          /* shorter side under 32 pixels */
    GF_ISSUE_IMBALANCE,      /* a class with less than a third of the largest class's items */
    GF_N_ISSUE_KINDS
} gf_issue_kind;
GF_API const char *gf_issue_kind_name(gf_issue_kind kind); /* "corrupt", "near-duplicate" ... */

typedef struct gf_issue {
    gf_issue_kind kind;
    char *item;  /* or class */
    char *other; /* the other item, NULL where there is none */
    char *note;  /* one line, or NULL */
} gf_issue;

typedef struct gf_check_report {
    size_t n_items, n_classes, n_readable;
    char **class_names;
    size_t *n_per_class;
    gf_issue *issues; /* by kind, then item */
    size_t n_issues;
    size_t n_by_kind[GF_N_ISSUE_KINDS];
} gf_check_report;

typedef struct gf_check_options {
    int n_threads;           /* 0: gf_threads_available() */
    uint64_t max_pixels;     /* 0: the default of gf_image_options */
    unsigned near_distance;  /* bits of 64 that may differ in the difference hash, default 4 */
    const gf_dataset *other; /* the test set, looked for duplicates across; may be NULL */
} gf_check_options;
GF_API gf_check_options gf_check_options_default(void);
/* Decodes every picture once. Unreadable pictures are issues of the report, not errors. */
GF_API gf_status gf_dataset_check(const gf_dataset *dataset, const gf_check_options *options,
                                  const gf_observer *obs, gf_check_report **out, gf_error *err);
GF_API void gf_check_report_free(gf_check_report *report);

/* Packs pictures into the article's .npz: features uint8 (N,size,size,3), labels int64 (N),
 * classes. source is a data set, or a text file of "URL label" lines (also CSV url,label),
 * downloaded in parallel with retries. */
typedef struct gf_make_options {
    size_t size;         /* pixels a side, default 299 */
    int n_threads;       /* decoding; 0: gf_threads_available() */
    int n_connections;   /* downloads at once, default 8 */
    int n_retries;       /* default 3 */
    uint64_t max_pixels; /* 0: default */
    bool is_compressed;  /* deflate, default false as numpy.savez */
} gf_make_options;
GF_API gf_make_options gf_make_options_default(void);

typedef struct gf_make_result {
    size_t n_written;
    char **skipped; /* "URL or file: why", one line each */
    size_t n_skipped;
} gf_make_result;
/* Items that cannot be had or read are listed, not fatal, unless none is left (GF_ENOTFOUND). */
GF_API gf_status gf_dataset_make(const char *source, const char *output,
                                 const gf_make_options *options, const gf_observer *obs,
                                 gf_make_result **out, gf_error *err);
GF_API void gf_make_result_free(gf_make_result *result);

GF_END_DECLS

#endif
