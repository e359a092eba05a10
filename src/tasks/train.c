/* tasks/train.c: a training job that is one program. */
#include <string.h>

#include "tasks/tasks_priv.h"

static void say_command(gf__task *task, const gf__program *program)
{
    gf__buffer line = {0};
    for (char *const *argument = program->argv; *argument != NULL; argument++)
        gf__buffer_printf(&line, " %s", *argument);
    if (!line.failed)
        gf__task_say(task, "Running command:%s", line.data);
    gf__buffer_free(&line);
}

static gf_status judge(gf__task *task, const gf__child *child, gf__outcome *out, gf_error *err)
{
    const int exit_status = gf__child_exit(child);
    if (exit_status == 0)
        return GF_OK;
    out->is_failed = true;
    return gf__program_failure(task, NULL, exit_status, &out->error_message, err);
}

static gf_status run_program(gf__task *task, const gf__program *program, gf__outcome *out,
                             gf_error *err)
{
    const gf__child_options options = {
        .argv = program->argv, .env = program->env, .dir = program->dir};
    gf__child *child = NULL, *ended = NULL;
    gf_error ignored;
    say_command(task, program);
    gf_status st = gf__child_start(task, &options, &child, err);
    if (st != GF_OK)
        return st;
    /* That it runs is told for people; a full disk is no reason to end it. */
    (void)gf__task_progress(task, true, NULL, &ignored);
    st = gf__child_wait_any(task, -1, &ended, err);
    if (st == GF_OK)
        st = judge(task, child, out, err);
    gf__child_free(child);
    return st;
}

gf_status gf__task_train(gf__task *task, gf__outcome *out, gf_error *err)
{
    gf__program program = {0};
    gf_error ignored;
    (void)gf__task_progress(task, false, NULL, &ignored);
    gf_status st = gf__program_prepare(task, err);
    if (st == GF_OK)
        st = gf__program_new(task, NULL, &program, err);
    if (st == GF_OK)
        st = run_program(task, &program, out, err);
    gf__program_free(&program);
    return st;
}
