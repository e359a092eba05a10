/* base/environment.h: the environment of a program that is about to be started. This process' own
 * is handed on, not looked at: nothing of the library depends on what is in it. */
#ifndef GRAFT_SRC_BASE_ENVIRONMENT_H
#define GRAFT_SRC_BASE_ENVIRONMENT_H

#include "base/error.h"

/* kept: which variables of ours it gets, by how they begin ("LC_", "PATH="), NULL at the end; NULL
 * itself: all. added: "NAME=value", instead of ours of that name, NULL at the end; NULL: none.
 * *out: new, ended by NULL, gf__free(); its texts are ours and those of added. */
gf_status gf__environment_new(const char *const *kept, char *const *added, char ***out,
                              gf_error *err);

#endif
