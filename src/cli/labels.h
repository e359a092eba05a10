/* cli/labels.h: what the update commands share: labels, and the mask of what changes. */
#ifndef GRAFT_CLI_LABELS_H
#define GRAFT_CLI_LABELS_H

#include "cli/remote.h"

typedef struct gf__label_settings { /* a member "labels" of the settings */
    gf__cli_list update, remove;
    bool clears;
} gf__label_settings;

#define GF__LABEL_OPTIONS(S)                                       \
    GF__LIST("--update-labels", "K=V,K=V", NULL, S, labels.update, \
             "Set these labels; others stay."),                    \
        GF__LIST("--remove-labels", "K,K", NULL, S, labels.remove, \
                 "Remove the labels of these names."),             \
        GF__FLAG("--clear-labels", S, labels.clears, "Remove all labels first.")

void gf__mask_add(gf__buffer *mask, const char *path);
/* Reads the labels at path, changes them as asked into patch, with the etag they had, and adds them
 * to the mask. Nothing where nothing is asked. */
gf_status gf__labels_change(gf__remote *remote, const char *path, const gf__label_settings *asked,
                            gf__json *patch, gf__buffer *mask, gf_error *err);
/* PATCHes and waits for the operation. GF_EINVAL for an empty mask. */
gf_status gf__remote_patch(gf__cli *cli, gf__remote *remote, const char *path,
                           const gf__json *patch, const gf__buffer *mask, gf__json **operation,
                           gf_error *err);

#endif
