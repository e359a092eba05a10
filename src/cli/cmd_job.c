/* cli/cmd_job.c: graft job: what a runner of jobs starts, not people. It is in no list of
 * commands. What is left of it is a result in the job's folder; its exit status only says
 * whether there is one. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "tasks/tasks.h"

static const char usage[] =
    "graft: job: is started by graft serve, as graft job DIR ATTEMPT [--shard K | --merge]\n";

static bool read_number(const char *text, long low, long high, long *out)
{
    char *end = NULL;
    *out = strtol(text, &end, 10);
    return end != text && *end == '\0' && *out >= low && *out <= high;
}

static bool read_arguments(int argc, char **argv, gf__task_options *options)
{
    long attempt = 0, shard = 0;
    if (argc < 2 || argv[0][0] != '/' || !read_number(argv[1], 1, 1 << 20, &attempt))
        return false;
    options->dir = argv[0];
    options->attempt = (int)attempt;
    if (argc == 3 && strcmp(argv[2], "--merge") == 0)
        options->part = GF__TASK_MERGE;
    else if (argc == 4 && strcmp(argv[2], "--shard") == 0 &&
             read_number(argv[3], 0, 1 << 20, &shard))
        options->part = GF__TASK_SHARD;
    else if (argc != 2)
        return false;
    options->shard = (size_t)shard;
    return true;
}

/* The folder of the running program; "" where there is no /proc. */
static void find_program_dir(char *path, size_t n_path)
{
    const ssize_t n = readlink("/proc/self/exe", path, n_path - 1);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = '\0';
}

/* In a source tree (BUILD/graft, python/ beside BUILD) that of the tree, else the installed one;
 * NULL where there is neither. New. */
static char *find_python_dir(const char *program_dir)
{
    char *dir = gf__asprintf("%s/../python", program_dir);
    char *package = dir != NULL ? gf__path_join(dir, "graft/__init__.py") : NULL;
    if (package == NULL || !gf__is_file(package)) {
        gf__free(dir);
        dir = gf__is_dir(GRAFT_PYTHON_DIR) ? gf__strdup(GRAFT_PYTHON_DIR) : NULL;
    }
    gf__free(package);
    return dir;
}

/* In a build folder the library lies beside the program; an installed one is found by its name. */
static char *find_library(const char *program_dir)
{
    char *path = gf__path_join(program_dir, "libgraft.so");
    if (path != NULL && gf__is_file(path))
        return path;
    gf__free(path);
    return NULL;
}

int gf__cli_job(int argc, char **argv)
{
    char program_dir[4096];
    gf__task_options options = {.part = GF__TASK_WHOLE};
    gf_error err = {0};
    if (!read_arguments(argc, argv, &options)) {
        fputs(usage, stderr);
        return 2;
    }
    find_program_dir(program_dir, sizeof program_dir);
    char *python_dir = find_python_dir(program_dir), *library = find_library(program_dir);
    options.python_dir = python_dir;
    options.library = library;
    const gf_status st = gf__task_run(&options, &err);
    if (st != GF_OK)
        fprintf(stderr, "graft: job: %s\n", err.message);
    gf__free(python_dir);
    gf__free(library);
    return st == GF_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
