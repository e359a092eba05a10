/* dataset_files.h: files of data sets, for the tests that make some. */
#ifndef GRAFT_TESTS_DATASET_FILES_H
#define GRAFT_TESTS_DATASET_FILES_H

#include "base/base.h"
#include "check.h"

/* A file below dir, in folders that are made where they are not there. */
static inline void add_file(const char *dir, const char *name, const void *bytes, size_t n_bytes)
{
    char *path = gf__path_join(dir, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    CHECK_OK(gf__make_dirs(path, &check_err));
    *slash = '/';
    CHECK_OK(gf__write_file(path, bytes, n_bytes, &check_err));
    gf__free(path);
}

#endif
