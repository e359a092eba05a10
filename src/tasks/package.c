/* tasks/package.c: a user's packages, each unpacked into a folder of its own below DIR/packages
 * and used from there: an sdist's modules lie in its folder NAME-VERSION (or in src/ there), a
 * wheel's at its top. Those that say more of where their modules are get built (build.c). */
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "tasks/tasks_priv.h"

/* The registry takes 100 packages a job; these are of one package. */
#define MAX_ENTRIES 50000
#define MAX_BYTES   (UINT64_C(4) << 30)

static bool ends_with(const char *text, const char *end)
{
    const size_t n_text = strlen(text), n_end = strlen(end);
    return n_text > n_end && strcmp(text + n_text - n_end, end) == 0;
}

static bool has_file(const char *dir, const char *name)
{
    char *path = gf__path_join(dir, name);
    const bool is_there = path != NULL && gf__is_file(path);
    gf__free(path);
    return is_there;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    return remove(path);
}

/* ---- one package ---- */

static gf_status find_wheel(gf__unpacked *package, const gf__dir_list *list, gf_error *err)
{
    for (size_t i = 0; i < list->n_names; i++) {
        if (!ends_with(list->names[i], ".dist-info"))
            continue;
        char *metadata = gf__asprintf("%s/%s/METADATA", package->dir, list->names[i]);
        if (metadata == NULL)
            return gf__error_nomem(err, "a path", 0);
        if (gf__is_file(metadata)) {
            package->metadata = metadata;
            if (package->root == NULL)
                package->root = gf__strdup(package->dir);
            return package->root != NULL ? GF_OK : gf__error_nomem(err, "a path", 0);
        }
        gf__free(metadata);
    }
    return GF_OK;
}

static bool is_project(const char *dir)
{
    return has_file(dir, "setup.py") || has_file(dir, "pyproject.toml") ||
           has_file(dir, "setup.cfg");
}

/* NAME-VERSION is the one folder with a project in it. */
static gf_status find_sdist(gf__unpacked *package, const gf__dir_list *list, gf_error *err)
{
    for (size_t i = 0; i < list->n_names && package->root == NULL; i++) {
        char *dir = gf__path_join(package->dir, list->names[i]);
        if (dir == NULL)
            return gf__error_nomem(err, "a path", 0);
        if (is_project(dir))
            package->root = dir;
        else
            gf__free(dir);
    }
    return GF_OK;
}

static gf_status find_root(gf__unpacked *package, gf_error *err)
{
    gf__dir_list list = {0};
    gf_status st = gf__list_dir(package->dir, &list, err);
    if (st == GF_OK)
        st = find_wheel(package, &list, err);
    if (st == GF_OK && package->root == NULL)
        st = find_sdist(package, &list, err);
    gf__dir_list_free(&list);
    if (st == GF_OK && package->root == NULL)
        st = gf_error_set(err, GF_EFORMAT,
                          "%s: expected an sdist (NAME-VERSION/setup.py or pyproject.toml in it) "
                          "or a wheel (NAME-VERSION.dist-info/METADATA)",
                          gf__path_base(package->uri));
    return st;
}

static void add_path(gf__buffer *path, const char *dir)
{
    if (dir == NULL)
        path->failed = true;
    else if (gf__is_dir(dir))
        gf__buffer_printf(path, "%s%s", path->size > 0 ? ":" : "", dir);
}

static void add_below(gf__buffer *path, const char *dir, const char *name)
{
    char *inner = gf__path_join(dir, name);
    add_path(path, inner);
    gf__free(inner);
}

static gf_status add_wheel_paths(const gf__unpacked *package, gf__buffer *path, gf_error *err)
{
    gf__dir_list list;
    const gf_status st = gf__list_dir(package->root, &list, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < list.n_names; i++) {
        char *data = gf__path_join(package->root, list.names[i]);
        if (data != NULL && ends_with(data, ".data")) {
            add_below(path, data, "purelib");
            add_below(path, data, "platlib");
        }
        gf__free(data);
    }
    gf__dir_list_free(&list);
    return GF_OK;
}

static gf_status add_paths(const gf__unpacked *package, gf__buffer *path, gf_error *err)
{
    add_path(path, package->root);
    if (package->metadata != NULL)
        return add_wheel_paths(package, path, err);
    if (package->is_built)
        return GF_OK;
    if (!has_file(package->root, "src/__init__.py")) /* else it is a package of that name */
        add_below(path, package->root, "src");
    return GF_OK;
}

static gf_status unpack(gf__task *task, size_t i, gf__unpacked *package, gf_error *err)
{
    static const gf__archive_limits limits = {.max_entries = MAX_ENTRIES, .max_bytes = MAX_BYTES};
    const gf__json *training = gf__json_find(task->spec, "training");
    const char *file = gf__json_string(gf__json_at(gf__json_find(training, "packages"), i), "");
    package->uri = gf__json_string(gf__json_at(gf__json_find(training, "packageUris"), i), file);
    package->dir = gf__asprintf("%s/packages/%zu", task->options->dir, i);
    if (package->dir == NULL)
        return gf__error_nomem(err, "a path", 0);
    gf_status st = gf__archive_unpack(task, file, package->dir, &limits, err);
    return st == GF_OK ? find_root(package, err) : st;
}

static void free_package(gf__unpacked *package)
{
    gf__free(package->dir);
    gf__free(package->root);
    gf__free(package->metadata);
}

/* ---- all of them ---- */

/* A new folder: an earlier attempt may have left half of one. */
static gf_status clear(const gf__task *task, const char *name, gf_error *err)
{
    char *path = gf__path_join(task->options->dir, name);
    if (path == NULL)
        return gf__error_nomem(err, "a path", 0);
    if (gf__is_dir(path))
        (void)nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS);
    const gf_status st = gf__make_dirs(path, err);
    gf__free(path);
    return st;
}

/* What pip installed has a wheel's metadata, what setuptools made an egg-info. */
static gf_status find_installed(gf__unpacked *package, gf_error *err)
{
    gf__dir_list list = {0};
    gf_status st = gf__list_dir(package->dir, &list, err);
    if (st == GF_OK)
        st = find_wheel(package, &list, err);
    gf__dir_list_free(&list);
    return st;
}

static gf_status add_package(gf__task *task, size_t i, gf__buffer *path, gf__texts *requirements,
                             gf_error *err)
{
    gf__unpacked package = {0};
    bool is_to_build = false;
    gf_status st = unpack(task, i, &package, err);
    if (st == GF_OK && package.metadata == NULL)
        st = gf__build_is_needed(&package, &is_to_build, err);
    if (st == GF_OK && is_to_build)
        st = gf__build(task, &package, err);
    if (st == GF_OK && is_to_build)
        st = find_installed(&package, err);
    if (st == GF_OK)
        st = add_paths(&package, path, err);
    if (st == GF_OK)
        st = gf__requirements_find(task, &package, requirements, err);
    free_package(&package);
    return st;
}

static gf_status prepare_packages(gf__task *task, gf__buffer *path, gf__texts *requirements,
                                  gf_error *err)
{
    const gf__json *files = gf__json_find(gf__json_find(task->spec, "training"), "packages");
    gf_status st = clear(task, "packages", err);
    if (st == GF_OK)
        st = clear(task, "site-packages", err);
    for (size_t i = 0; i < gf__json_n_items(files) && st == GF_OK; i++) {
        st = add_package(task, i, path, requirements, err);
        if (st != GF_OK && st != GF_ECANCELED && st != GF_ETIMEOUT)
            gf__error_prefix(err, "packageUris[%zu]", i);
    }
    return st;
}

gf_status gf__program_prepare(gf__task *task, gf_error *err)
{
    const gf__json *training = gf__json_find(task->spec, "training");
    gf__buffer path = {0};
    gf__texts requirements = {0};
    if (strcmp(gf__json_string(gf__json_find(training, "pythonModule"), ""), "graft.train") == 0)
        return GF_OK;
    gf_status st = prepare_packages(task, &path, &requirements, err);
    if (st == GF_OK) {
        add_below(&path, task->options->dir, "site-packages");
        if (task->options->python_dir != NULL)
            add_path(&path, task->options->python_dir);
        st = gf__buffer_status(&path, err);
    }
    if (st == GF_OK) {
        gf__free(task->python_path);
        task->python_path = gf__buffer_take(&path, NULL);
        st = gf__requirements_install(task, &requirements, err);
    }
    gf__texts_free(&requirements);
    gf__buffer_free(&path);
    return st;
}
