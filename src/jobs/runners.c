/* jobs/runners.c: the runners by their names. */
#include <string.h>

#include "jobs/keeper_priv.h"

static const struct {
    const char *name;
    gf__runner_kind kind;
    const gf__runner_ops *ops;
} runners[] = {
    {"local", GF__RUNNER_LOCAL, &gf__runner_local},
    {"slurm", GF__RUNNER_SLURM, &gf__runner_slurm},
};

gf_status gf__runner_kind_parse(const char *name, gf__runner_kind *out, gf_error *err)
{
    for (size_t i = 0; i < sizeof runners / sizeof *runners; i++) {
        if (strcmp(runners[i].name, name) == 0) {
            *out = runners[i].kind;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EINVAL, "runner \"%.40s\": expected local or slurm", name);
}

const gf__runner_ops *gf__runner_of_place(const char *place)
{
    for (size_t i = 0; i < sizeof runners / sizeof *runners; i++)
        if (runners[i].ops->is_place(place))
            return runners[i].ops;
    return NULL;
}

const gf__runner_ops *gf__runner_of(gf__runner_kind kind)
{
    return runners[kind].ops;
}
