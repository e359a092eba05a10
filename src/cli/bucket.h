/* cli/bucket.h: files in the buckets of a server, for graft bucket and graft versions create. */
#ifndef GRAFT_CLI_BUCKET_H
#define GRAFT_CLI_BUCKET_H

#include "cli/remote.h"

bool gf__is_gs(const char *text); /* begins with gs:// */

/* A file, or with all in it a folder, of this machine to address: gs://BUCKET/PATH is the file's own
 * name there, gs://BUCKET/PATH/ the folder that it goes into. *stored (may be NULL) is what it is
 * called now; new, gf__free(). */
gf_status gf__bucket_upload(gf__remote *remote, const char *path, const char *address,
                            bool is_recursive, char **stored, gf_error *err);
/* Bytes as the file at address, gs://BUCKET/PATH. */
gf_status gf__bucket_put(gf__remote *remote, const void *bytes, size_t n_bytes, const char *address,
                         gf_error *err);
/* Whether there is a file at address, gs://BUCKET/PATH; a bucket that is not there has none. */
gf_status gf__bucket_has(gf__remote *remote, const char *address, bool *out, gf_error *err);
gf_status gf__bucket_delete(gf__remote *remote, const char *address, gf_error *err);

#endif
