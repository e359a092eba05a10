/* jobs/elsewhere.c: a server was started again with another --runner, and some of its jobs are
 * where the one before has put them. They are asked for, and ended, through that; new attempts
 * begin with the present one. */
#include <stdio.h>
#include <string.h>

#include "jobs/keeper_priv.h"

gf_status gf__owner_find(gf__jobs *jobs, const char *place, const gf__runner_ops **ops, void **self,
                         gf_error *err)
{
    *ops = gf__runner_of_place(place);
    *self = jobs->runner;
    if (*ops == jobs->ops)
        return GF_OK;
    if (*ops == NULL)
        return gf_error_set(err, GF_EFORMAT, "\"%.60s\" is a place of no runner of this graft",
                            place);
    if (jobs->other == NULL) {
        const gf_status st = (*ops)->open(&jobs->options, &jobs->other, err);
        if (st != GF_OK) {
            jobs->other = NULL;
            return st;
        }
        jobs->other_ops = *ops;
    }
    *self = jobs->other;
    return GF_OK;
}

void gf__owners_close(gf__jobs *jobs)
{
    if (jobs->other != NULL)
        jobs->other_ops->close(jobs->other);
    jobs->other = NULL;
}

/* What cannot be looked at is taken for held: nothing is to run twice. */
static bool is_held(const char *dir, const char *name)
{
    gf__lock *lock = NULL;
    char *path = gf__path_join(dir, name);
    const bool is = path == NULL ||
                    (gf__is_file(path) && gf__lock_acquire(path, false, &lock, NULL) != GF_OK);
    gf__lock_release(lock);
    gf__free(path);
    return is;
}

static bool is_lock(const char *name)
{
    const size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, ".lock") == 0;
}

bool gf__job_is_locked(const char *dir)
{
    gf__dir_list names = {0};
    char *shards = gf__path_join(dir, "shards");
    bool is = shards == NULL || is_held(dir, "lock");
    if (!is && gf__is_dir(shards))
        is = gf__list_dir(shards, &names, NULL) != GF_OK;
    for (size_t i = 0; i < names.n_names && !is; i++)
        is = is_lock(names.names[i]) && is_held(shards, names.names[i]);
    gf__dir_list_free(&names);
    gf__free(shards);
    return is;
}
