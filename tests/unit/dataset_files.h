/* dataset_files.h: files of data sets, and what was made of them, for the tests of data sets. */
#ifndef GRAFT_TESTS_DATASET_FILES_H
#define GRAFT_TESTS_DATASET_FILES_H

#include "base/base.h"
#include "check.h"
#include "data/data.h"

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

/* "folder cat dog: cat/1.jpg=0 dog/2.jpg=1" */
static inline const char *describe_set(const gf_dataset *set)
{
    static char text[4096];
    size_t n = (size_t)snprintf(text, sizeof text, "%s", gf_dataset_kind(set));

    for (size_t k = 0; k < gf_dataset_n_classes(set); k++)
        n += (size_t)snprintf(text + n, sizeof text - n, " %s", gf_dataset_class_at(set, k));
    n += (size_t)snprintf(text + n, sizeof text - n, ":");
    for (size_t i = 0; i < gf_dataset_n_items(set); i++)
        n += (size_t)snprintf(text + n, sizeof text - n, " %s=%zu", gf_dataset_item_at(set, i),
                              gf_dataset_label_at(set, i));
    return text;
}

#endif
