/* scratch.h: for parsers that take a path: the input as a file in a folder of this process, written
 * without fsync. */
#ifndef GRAFT_TESTS_FUZZ_SCRATCH_H
#define GRAFT_TESTS_FUZZ_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct scratch {
    char folder[64];
    char file[128];
} scratch;

static inline bool scratch_write(scratch *s, const char *name, const uint8_t *bytes, size_t n_bytes)
{
    snprintf(s->folder, sizeof s->folder, "/tmp/graft-fuzz-%d", (int)getpid());
    snprintf(s->file, sizeof s->file, "%s/%s", s->folder, name);
    (void)mkdir(s->folder, 0700);
    FILE *file = fopen(s->file, "wb");
    if (file == NULL)
        return false;
    const bool is_written = fwrite(bytes, 1, n_bytes, file) == n_bytes;
    return fclose(file) == 0 && is_written;
}

static inline void scratch_remove(scratch *s)
{
    unlink(s->file);
    rmdir(s->folder);
}

#endif
