/* data/make_priv.h: the parts of packing pictures into an .npz: lists of addresses, their
 * downloads, and rows of pixels that wait on disk until all are there. */
#ifndef GRAFT_DATA_MAKE_PRIV_H
#define GRAFT_DATA_MAKE_PRIV_H

#include "data/dataset_priv.h"

/* ---- lists of addresses ---- */

/* Whether text is such a list: its first line that is no comment starts with an address, or is a
 * CSV header with "url". */
bool gf__is_url_list(const char *text, size_t n_bytes);
/* Items named by their address, labels as in other lists. An address that stands there twice is
 * left out the second time and added to skipped with the reason. "line 3: ...". */
gf_status gf__urls_read(gf_dataset *set, const char *text, size_t n_bytes, gf__names *labels,
                        gf__names *skipped, gf_error *err);

/* ---- downloads ---- */

typedef struct gf__downloads_options {
    int n_connections;
    int n_retries;
} gf__downloads_options;

/* A folder for downloads, created, and held against a second run: GF_EBUSY. */
typedef struct gf__downloads gf__downloads;
gf_status gf__downloads_open(const char *dir, gf__downloads **out, gf_error *err);
/* Gets every item's address into a file of its own. Files that an earlier run left there are taken
 * as they are. failures: n_items messages, NULL where it went well; owned by the caller. */
gf_status gf__downloads_get(gf__downloads *downloads, const gf_dataset *set,
                            const gf__downloads_options *options, const gf_observer *obs,
                            char **failures, gf_error *err);
/* The file that an address goes to; new, NULL out of memory. */
char *gf__downloads_path(const gf__downloads *downloads, const char *url);
/* Removes the folder with what was downloaded into it (never a file of another name); with
 * keep_files only where it is empty. True where it stays. NULL is fine. */
bool gf__downloads_close(gf__downloads *downloads, bool keep_files);

/* ---- rows on disk ---- */

/* Rows of one size in a file without a name, which is gone with the process however that ends. Rows
 * are written and read by number, from any thread. */
typedef struct gf__spool gf__spool;
/* beside: a path in the folder to use, the one that the result goes to. */
gf_status gf__spool_open(const char *beside, size_t row_bytes, gf__spool **out, gf_error *err);
gf_status gf__spool_write(gf__spool *spool, size_t row, const void *bytes, gf_error *err);
gf_status gf__spool_read(gf__spool *spool, size_t row, void *bytes, gf_error *err);
void gf__spool_close(gf__spool *spool);

#endif
