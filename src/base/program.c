/* base/program.c: environment, signals and group of a program that is about to be started. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

static bool is_kept(const char *entry, const char *const *kept)
{
    bool is = kept == NULL;
    for (; !is && *kept != NULL; kept++)
        is = strncmp(entry, *kept, strlen(*kept)) == 0;
    return is;
}

static bool is_replaced(const char *entry, char *const *added)
{
    bool is = false;
    for (; added != NULL && *added != NULL && !is; added++) {
        const size_t n = strcspn(*added, "=");
        is = strncmp(entry, *added, n) == 0 && entry[n] == '=';
    }
    return is;
}

static size_t count(char *const *entries)
{
    size_t n = 0;
    while (entries != NULL && entries[n] != NULL)
        n++;
    return n;
}

gf_status gf__environment_new(const char *const *kept, char *const *added, char ***out,
                              gf_error *err)
{
    const size_t n_entries = count(environ) + count(added) + 1;
    size_t n = 0;
    char **chosen = gf__calloc(n_entries, sizeof *chosen);
    *out = chosen;
    if (chosen == NULL)
        return gf__error_nomem(err, "an environment", n_entries * sizeof *chosen);
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++)
        if (is_kept(*entry, kept) && !is_replaced(*entry, added))
            chosen[n++] = *entry;
    for (; added != NULL && *added != NULL; added++)
        chosen[n++] = *added;
    return GF_OK;
}

bool gf__environment_has(char *const *environment, const char *name)
{
    const size_t n = strlen(name);
    for (; *environment != NULL; environment++)
        if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
            return true;
    return false;
}

void gf__spawn_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(attributes);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setpgroup(attributes, 0);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                             POSIX_SPAWN_SETPGROUP);
}
