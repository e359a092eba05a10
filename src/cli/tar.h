/* cli/tar.h: .tar.gz files whose bytes depend on what is in them and nothing else.
 *
 *     gf__buffer tar = {0}, file = {0};
 *     st = gf__tar_file(&tar, "p-0.0.0/setup.py", bytes, n_bytes, err);
 *     gf__tar_end(&tar);
 *     gf__gzip_stored(&tar, &file);
 *
 * No compression: it would depend on the version of a library, the address of a package is the hash of
 * its bytes, and programs are small. */
#ifndef GRAFT_CLI_TAR_H
#define GRAFT_CLI_TAR_H

#include "base/base.h"

/* One regular file more, of mode 0644, of nobody and of no time. GF_ELIMIT a name that the format has no
 * room for. */
gf_status gf__tar_file(gf__buffer *tar, const char *name, const void *bytes, size_t n_bytes,
                       gf_error *err);
void gf__tar_end(gf__buffer *tar);
/* Appends bytes as a gzip file. */
void gf__gzip_stored(const gf__buffer *bytes, gf__buffer *out);

#endif
