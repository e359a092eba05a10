/* tasks/step.c: the programs that must end well for the work to begin: those of Python that install a job's
 * packages. */
#include "tasks/tasks_priv.h"

static gf_status say_failure(gf__task *task, const char *what, const gf__child *child,
                             gf_error *err)
{
    const int exit_status = gf__child_exit(child);
    gf__free(task->failure);
    task->failure = gf__asprintf("%s failed with status %d:\n%s", what, exit_status,
                                 gf__child_tail(child));
    return gf_error_set(err, GF_EPRECONDITION, "%s failed with status %d; the log says why", what,
                        exit_status);
}

gf_status gf__task_step(gf__task *task, const char *what, gf__texts *argv, const char *dir,
                        const char *python_path, gf_error *err)
{
    gf__texts env = {0};
    gf__child *child = NULL, *ended = NULL;
    gf__texts_take(&env, gf__asprintf("PYTHONPATH=%s", python_path));
    gf__texts_add(&env, "PYTHONUNBUFFERED=1");
    /* It warns root of breaking the system's packages; what it installs goes into a folder of the
     * job's. */
    gf__texts_add(&env, "PIP_ROOT_USER_ACTION=ignore");
    gf_status st = gf__texts_status(&env, err);
    if (st == GF_OK)
        st = gf__texts_status(argv, err);
    const gf__child_options options = {.argv = argv->items, .env = env.items, .dir = dir};
    if (st == GF_OK)
        st = gf__child_start(task, &options, &child, err);
    if (st == GF_OK)
        st = gf__child_wait_any(task, -1, &ended, err);
    if (st == GF_OK && gf__child_exit(child) != 0)
        st = say_failure(task, what, child, err);
    gf__child_free(child);
    gf__texts_free(&env);
    return st;
}
