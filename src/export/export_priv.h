/* export/export_priv.h: what the formats share. */
#ifndef GRAFT_EXPORT_EXPORT_PRIV_H
#define GRAFT_EXPORT_EXPORT_PRIV_H

#include "export/export.h"

/* {"classes": [...], "preprocessing": {...} | "columns": [...], "trunk", "layer"}; new, with failures
 * inside. */
gf__json *gf__export_properties(const gf__export_source *source);

/* names.c: makes source's graph one whose names TensorFlow takes: itself, or *renamed (else NULL), which the caller
 * frees; weights are shared. GF_EUNSUPPORTED: two would have one name. */
gf_status gf__export_rename(gf__export_source *source, gf_graph **renamed, gf_error *err);

/* Tells how many layers are through, and asks whether to go on: GF_ECANCELED. Then, while the file is
 * written, asks alone; at the end, before it gets its name, tells that all is done. */
gf_status gf__export_progress(const gf__export_source *source, size_t n_done, gf_error *err);
gf_status gf__export_is_wanted(const gf__export_source *source, gf_error *err);
gf_status gf__export_end(const gf__export_source *source, gf_error *err);
/* An error about a temporary file, or one in a temporary folder, is one about path: nobody knows the
 * other, and it is gone. */
void gf__export_blame(gf_error *err, const char *temporary, const char *path);

/* An export that is a folder. */
typedef struct gf__export_folder {
    const char *kind; /* for messages: "SavedModel" */
    gf_status (*write)(void *user, const char *dir, gf_error *err);
    void (*remove)(void *user, int dir_fd); /* what write made, as far as it is there */
    void *user;
} gf__export_folder;
/* Has it written aside and renames it: path is all of it, or nothing is left. GF_EEXISTS. */
gf_status gf__export_write_folder(const gf__export_source *source, const char *path,
                                  const gf__export_folder *folder, gf_error *err);

#endif
