/* tasks/features.c: pythonModule "graft.features": `graft features` with the job's args, by
 * shards. Each shard fills the home's cache with its part; then one run without a shard finds
 * everything there and writes what was asked for. So a shard has nothing to leave, and one that is
 * done again costs next to nothing. */
#include <string.h>

#include "tasks/shards_priv.h"

/* The value of one that is given as "--output F" is an argument of its own. */
static bool is_output(const char *argument, bool *has_value)
{
    static const char *const names[] = {"--output", "-o", "--plot"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const size_t n_chars = strlen(names[i]);
        if (strncmp(argument, names[i], n_chars) != 0)
            continue;
        *has_value = argument[n_chars] == '\0';
        if (*has_value || argument[n_chars] == '=')
            return true;
    }
    return false;
}

/* The same command for a shard: into the cache only. */
static void add_shard_arguments(const gf__task *task, char *const *argv, gf__texts *out)
{
    for (size_t i = 0; argv[i] != NULL; i++) {
        bool has_value = false;
        if (!is_output(argv[i], &has_value))
            gf__texts_add(out, argv[i]);
        else if (has_value && argv[i + 1] != NULL)
            i++;
        if (i == 1) /* behind the command: nothing is an option after "--" */
            gf__texts_take(
                out, gf__asprintf("--shard=%zu/%zu", task->options->shard, gf__shards_n(task)));
    }
    for (size_t i = 0; i < out->n; i++) {
        if (strncmp(out->items[i], "--threads=", 10) != 0)
            continue;
        gf__free(out->items[i]);
        out->items[i] = gf__asprintf("--threads=%d", gf__shards_n_threads(task));
        out->failed = out->failed || out->items[i] == NULL;
        return; /* ours; one of the user comes later */
    }
}

static gf_status run(gf__task *task, char *const *argv, const gf__program *program,
                     gf__outcome *out, gf_error *err)
{
    const gf__child_options options = {.argv = argv, .env = program->env, .dir = program->dir};
    gf__child *child = NULL, *ended = NULL;
    gf_status st = gf__child_start(task, &options, &child, err);
    if (st != GF_OK)
        return st;
    (void)gf__task_progress(task, true, NULL, NULL);
    st = gf__child_wait_any(task, -1, &ended, err);
    const int exit_status = st == GF_OK ? gf__child_exit(child) : 0;
    out->is_failed = exit_status != 0;
    if (out->is_failed)
        st = gf__program_failure(task, NULL, exit_status, &out->error_message, err);
    gf__child_free(child);
    return st;
}

static gf_status run_shard(gf__task *task, const gf__program *program, gf__outcome *out,
                           gf_error *err)
{
    gf__texts argv = {0};
    add_shard_arguments(task, program->argv, &argv);
    gf_status st = gf__texts_status(&argv, err);
    if (st == GF_OK)
        st = run(task, argv.items, program, out, err);
    gf__texts_free(&argv);
    return st;
}

/* One shard is all of it: then there is nothing to share out. */
static gf_status run_whole(gf__task *task, const gf__program *program, gf__outcome *out,
                           gf_error *err)
{
    gf_status st = GF_OK;
    if (gf__shards_n(task) > 1) {
        st = gf__shards_run(task, NULL, err);
        if (st == GF_OK)
            st = gf__shards_collect(task, NULL, out, err);
    }
    return st == GF_OK && !out->is_failed ? run(task, program->argv, program, out, err) : st;
}

gf_status gf__task_features(gf__task *task, gf__outcome *out, gf_error *err)
{
    gf__program program = {0};
    gf_status st = gf__program_prepare(task, err);
    if (st == GF_OK)
        st = gf__program_new(task, NULL, &program, err);
    if (st == GF_OK)
        st = task->options->part == GF__TASK_SHARD ? run_shard(task, &program, out, err)
                                                   : run_whole(task, &program, out, err);
    gf__program_free(&program);
    return st;
}
