/* tasks/package.c: what a user's program needs in place before it runs. */
#include <string.h>

#include "tasks/tasks_priv.h"

gf_status gf__program_prepare(gf__task *task, gf_error *err)
{
    const gf__json *training = gf__json_find(task->spec, "training");
    if (gf__json_n_items(gf__json_find(training, "packages")) > 0)
        return gf_error_set(err, GF_EUNSUPPORTED, "packageUris: this graft unpacks no packages");
    gf__free(task->python_path);
    task->python_path = task->options->python_dir != NULL ? gf__strdup(task->options->python_dir)
                                                          : NULL;
    return GF_OK;
}
