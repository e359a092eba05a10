/* dataset_home.h: data sets opened and described, for the tests of data sets. */
#ifndef GRAFT_TESTS_DATASET_HOME_H
#define GRAFT_TESTS_DATASET_HOME_H

#include "data/data.h"
#include "dataset_files.h"

/* Files by name, each with its name as content. */
static inline void add_files(const char *dir, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++)
        add_file(dir, names[i], names[i], strlen(names[i]));
}
#define FILES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* All warnings, one a line. */
static inline void collect(void *user, gf_log_level level, const char *message)
{
    strcat(user, message);
    strcat(user, "\n");
}

static inline gf_dataset *open_with(const char *path, char warnings[4096])
{
    gf_dataset *set = NULL;

    warnings[0] = '\0';
    CHECK_OK(gf_dataset_open(path, NULL, &(gf_observer){.log = collect, .user = warnings}, &set,
                             &check_err));
    return set;
}

static inline void check_folder(const char *dir, const char *want)
{
    gf_dataset *set = NULL;

    CHECK_OK(gf_dataset_open(dir, NULL, NULL, &set, &check_err));
    CHECK_STR(describe_set(set), want);
    gf_dataset_free(set);
}

static inline void check_refused(const char *path, gf_status code, const char *part)
{
    gf_dataset *set = NULL;

    CHECK_FAILS(code, part, gf_dataset_open(path, NULL, NULL, &set, &check_err));
    CHECK(set == NULL);
    CHECK(strncmp(check_err.message, path, strlen(path)) == 0); /* starts with the path, */
    CHECK(strncmp(check_err.message + strlen(path), ": ", 2) == 0);
    CHECK(strncmp(check_err.message + strlen(path) + 2, path, strlen(path)) != 0); /* once */
}

static inline void hash_of(const char *path, char hex[65])
{
    gf_dataset *set = NULL;

    CHECK_OK(gf_dataset_open(path, NULL, NULL, &set, &check_err));
    CHECK_OK(gf_dataset_hash(set, NULL, hex, &check_err));
    CHECK_EQ(strlen(hex), 64);
    gf_dataset_free(set);
}

#endif
