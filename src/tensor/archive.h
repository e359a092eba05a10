/* tensor/archive.h: zip archives, for .npz and for checkpoints; archive.c alone sees libzip.
 *
 *     st = gf__archive_open(bytes, n_bytes, &archive, err);
 *     st = gf__archive_begin(archive, i, &size, err);         unpack member i, of `size` bytes
 *     st = gf__archive_read(archive, header, 128, err);       and the rest, in any portions
 *     st = gf__archive_check_end(archive, err);
 *     gf__archive_end(archive);                               also after a failure
 *
 * One member at a time, one thread at a time. */
#ifndef GRAFT_SRC_ARCHIVE_H
#define GRAFT_SRC_ARCHIVE_H

#include "base/base.h"

typedef struct gf__archive gf__archive;

/* The caller keeps the bytes alive. */
gf_status gf__archive_open(const uint8_t *bytes, size_t n_bytes, gf__archive **out, gf_error *err);
void gf__archive_close(gf__archive *archive); /* NULL is fine */
size_t gf__archive_n_members(const gf__archive *archive);
const char *gf__archive_name_at(const gf__archive *archive, size_t i); /* borrowed */

/* Starts unpacking. *size_bytes is what the directory claims; a claim that the packed bytes cannot
 * keep is GF_EFORMAT here, so that memory for *size_bytes may be had. GF_EUNSUPPORTED: encrypted,
 * or neither stored nor deflated. */
gf_status gf__archive_begin(gf__archive *archive, size_t i, size_t *size_bytes, gf_error *err);
/* The next n_bytes, all of them. */
gf_status gf__archive_read(gf__archive *archive, void *bytes, size_t n_bytes, gf_error *err);
/* Once everything was read: nothing more comes, and the checksum agrees. */
gf_status gf__archive_check_end(gf__archive *archive, gf_error *err);
void gf__archive_end(gf__archive *archive);

/* A member to write: its bytes are asked for in order, n_bytes of them in all. */
typedef struct gf__archive_entry {
    char *name;
    uint64_t size_bytes;
    gf_status (*produce)(void *user, uint8_t *out, size_t n_bytes, gf_error *err);
    void *user;
} gf__archive_entry;

/* Written aside and renamed. n > 0. GF_EINVAL for a name that occurs twice; a failure of produce
 * comes back as it is. */
gf_status gf__archive_write(const char *path, const gf__archive_entry *entries, size_t n,
                            bool is_compressed, gf_error *err);

#endif
