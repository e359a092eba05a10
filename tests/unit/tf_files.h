/* tf_files.h: golden files of TensorFlow's, for the tests of their importer. */
#ifndef GRAFT_TESTS_TF_FILES_H
#define GRAFT_TESTS_TF_FILES_H

#include "check.h"
#include "zoo/tensorflow/tensorflow.h"

static inline const char *fixture(const char *name)
{
    static char path[96];
    snprintf(path, sizeof path, "golden/zoo/tf/%s", name);
    return check_fixture(path);
}

static inline gf_status read_as(const char *name, const char *path, gf__checkpoint *out)
{
    gf__source source = {0};
    gf_status st = gf__source_find(path, name, &source, &check_err);
    if (st == GF_OK)
        st = gf__savedmodel_read(&source, name, NULL, out, &check_err);
    gf__free(source.path);
    return st;
}

static inline gf_status read_path(const char *path, gf__checkpoint *out)
{
    return read_as("net", path, out);
}

static inline char *read_fixture(const char *name, size_t *size)
{
    char *bytes = NULL;
    CHECK_OK(gf__read_file(fixture(name), 1 << 20, &bytes, size, &check_err));
    return bytes;
}

#endif
