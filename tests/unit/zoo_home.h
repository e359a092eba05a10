/* zoo_home.h: golden files imported into a fresh home, for the tests of importers. */
#ifndef GRAFT_TESTS_ZOO_HOME_H
#define GRAFT_TESTS_ZOO_HOME_H

#include "check.h"
#include "zoo/zoo.h"

static inline gf_trunk *import_fixture(const char *fixture, const char *name, const char *home)
{
    gf_trunk *trunk = NULL;
    CHECK_OK(gf_zoo_import(check_fixture(fixture), name, home, NULL, NULL, &check_err));
    CHECK_OK(gf_trunk_load(home, name, &trunk, &check_err));
    return trunk;
}

/* The home holds trunks/ and nothing else: no folder of an import that is over. */
static inline void check_home_is_clean(char *home)
{
    gf__dir_list list;
    CHECK_OK(gf__list_dir(home, &list, &check_err));
    for (size_t i = 0; i < list.n_names; i++)
        CHECK(list.names[i][0] != '.');
    gf__dir_list_free(&list);
    check_remove_dir(home);
}

#endif
