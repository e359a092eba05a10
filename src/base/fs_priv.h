/* base/fs_priv.h: the last steps of writing a file, for writers that are not a gf__writer. */
#ifndef GRAFT_BASE_FS_PRIV_H
#define GRAFT_BASE_FS_PRIV_H

#include "graft/base.h"

/* The path, or the file behind it: renaming over a link would replace the link. A device or a
 * folder is refused, since rename() as root would replace /dev/null just as happily. *out is ended
 * with gf__free(). */
gf_status gf__resolve_target(const char *path, char **out, gf_error *err);

/* fsync of the file, rename, fsync of the folder. */
gf_status gf__rename_durably(const char *from, const char *to, gf_error *err);

#endif
