/* base/program.h: what a program that is about to be started gets of this process. */
#ifndef GRAFT_SRC_BASE_PROGRAM_H
#define GRAFT_SRC_BASE_PROGRAM_H

#include <spawn.h>

#include "base/error.h"

/* Its environment. This process' own is handed on, not looked at: nothing of the library depends on
 * what is in it.
 * kept: which variables of ours it gets, by how they begin ("LC_", "PATH="), NULL at the end; NULL
 * itself: all. added: "NAME=value", instead of ours of that name, NULL at the end; NULL: none.
 * *out: new, ended by NULL, gf__free(); its texts are ours and those of added. */
gf_status gf__environment_new(const char *const *kept, char *const *added, char ***out,
                              gf_error *err);
/* True where a variable of that name is in it. */
bool gf__environment_has(char *const *environment, const char *name);

/* For posix_spawn(), ended with posix_spawnattr_destroy(): signals as in a new login, whatever we
 * ignore or block, and a process group of its own: Ctrl-C on the terminal is meant for us, and it is
 * killed with whatever it has started. */
void gf__spawn_attributes(posix_spawnattr_t *attributes);

#endif
