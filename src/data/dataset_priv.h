/* data/dataset_priv.h: what a data set holds, and what the readers of its kinds share.
 *
 * A reader fills an empty gf_dataset: items in order, each with a name and a label, and the
 * classes. Readers of text (CSV, JSON lines) see memory only, so that a fuzzer can call them. */
#ifndef GRAFT_DATA_DATASET_PRIV_H
#define GRAFT_DATA_DATASET_PRIV_H

#include <stdatomic.h>

#include "base/base.h"
#include "data/data.h"
#include "image/image.h"
#include "tensor/tensor.h"

#define GF__PICTURES_EXPECTED "expected JPEG, PNG, WebP, GIF or BMP files"

/* Strings that are owned. Start zeroed. */
typedef struct gf__names {
    char **at;
    size_t n;
    size_t capacity;
} gf__names;
gf_status gf__names_add(gf__names *names, const char *text, gf_error *err); /* copies */
void gf__names_free(gf__names *names);

typedef struct gf__item {
    char *text;     /* the file's path; in an .npz the item's name */
    size_t name_at; /* where in text the item's name starts */
    size_t label;
} gf__item;

/* A digest that is made when it is first asked for, by any thread. */
typedef struct gf__kept_hash {
    atomic_int state; /* see hash.c */
    char hex[GF__SHA256_HEX];
} gf__kept_hash;

struct gf_dataset {
    char *path;
    const char *kind; /* static */
    gf__item *items;
    size_t n_items, capacity;
    gf__names classes;
    gf__names strangers; /* folder: paths of files in class folders that are no pictures */
    gf__names empty;     /* folder: names of class folders without pictures; they are no classes */
    gf__names columns;   /* of a table of numbers; none where items are pictures */
    gf_tensor *features; /* npz: uint8 or float32 (N,H,W,3); a table: float32 (N,D); NULL where
                            items are files */
    gf__kept_hash *hashes; /* n_items, where nobody else can change features; else NULL */
};

/* An empty set; slashes at the path's end are dropped. */
gf_status gf__dataset_new(const char *path, gf_dataset **out, gf_error *err);
/* Adds an item; text is copied, its name starts at name_at. */
gf_status gf__dataset_add(gf_dataset *set, const char *text, size_t name_at, size_t label,
                          gf_error *err);

/* Readers. Messages start with the place inside the data set ("line 3, column 2: ..."), or with the
 * path of a folder. */
gf_status gf__folder_read(gf_dataset *set, const gf_observer *obs, gf_error *err);
gf_status gf__npz_set_read(gf_dataset *set, const gf_dataset_options *options,
                           const gf_observer *obs, gf_error *err);
/* Text of n_bytes; item paths are taken from dir (that ends in a slash, or is ""). labels receives
 * one name an item. */
gf_status gf__csv_set_read(gf_dataset *set, const char *text, size_t n_bytes, const char *dir,
                           gf__names *labels, gf_error *err);
gf_status gf__jsonl_set_read(gf_dataset *set, const char *text, size_t n_bytes, const char *dir,
                             gf__names *labels, gf_error *err);

/* Tables of numbers. Whether a CSV is one, by its first records; reading it; float32 rows from an
 * .npz's (N,D), whose columns get names. */
bool gf__is_number_table(const char *text, size_t n_bytes);
gf_status gf__number_table_read(gf_dataset *set, const char *text, size_t n_bytes,
                                bool is_unlabelled, gf__names *labels, gf_error *err);
#define GF__UNLABELLED "unlabelled"
gf_status gf__number_rows_take(gf_dataset *set, gf_tensor **features, gf_error *err);

/* What both text readers demand of a row; messages name no place. Then the row goes into set and
 * labels. */
gf_status gf__row_check_path(const char *path, gf_error *err);
gf_status gf__row_check_label(const char *label, gf_error *err);
gf_status gf__row_add(gf_dataset *set, gf__names *labels, const char *dir, const char *path,
                      const char *label, gf_error *err);

/* Classes from one label name an item: names in byte order; all whole numbers are ordered as
 * numbers, or, where options name the classes, index those names. */
gf_status gf__labels_resolve(gf_dataset *set, const gf__names *labels,
                             const gf_dataset_options *options, gf_error *err);
/* Classes from numbers: those named, else "0" to the largest. Messages say which item. */
gf_status gf__labels_from_numbers(gf_dataset *set, const int64_t *numbers,
                                  const char *const *class_names, size_t n_class_names,
                                  gf_error *err);
/* More classes than this are a column of something else. */
#define GF__MAX_CLASSES 100000

/* Items whose content nobody can change are hashed once: call it when they are all there. */
gf_status gf__dataset_keep_hashes(gf_dataset *set, gf_error *err);

/* SHA-256 of a sample's content, 65 chars into hex. */
gf_status gf__sample_hash(const gf_sample *sample, char *hex, gf_error *err);
/* The bytes of a SCALED sample, width x height x 3. */
void gf__sample_to_bytes(const gf_sample *sample, uint8_t *rgb);

/* What a file's ending promises: GF_IMAGE_UNKNOWN for none of graft's formats; *foreign (may be
 * NULL) is then the name of a picture format that graft does not read ("HEIC"), or NULL. */
gf_image_format gf__ending_format(const char *path, const char **foreign);

#endif
