/* cli/jobs_sdist.c: a folder of Python files becomes a package that can be installed, as
 * `python setup.py sdist` would make it, without running anything. */
#include "cli/jobs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tar.h"

#define VERSION    "0.0.0"
#define MAX_DEPTH  32
#define MAX_BYTES  ((size_t)1 << 30)
#define SETUP_FILE "setup.py"

/* What a setup.py may read beside itself. */
static const char *const companions[] = {
    "LICENSE",    "MANIFEST.in",    "README",           "README.md", "README.rst",
    "README.txt", "pyproject.toml", "requirements.txt", "setup.cfg",
};

static const char made_setup[] = "from setuptools import find_packages, setup\n\n"
                                 "setup(name='%s', version='" VERSION
                                 "', packages=find_packages(), "
                                 "include_package_data=True)\n";

static bool is_left_out(const char *name)
{
    const char *ending = gf__path_extension(name);
    return strcmp(name, "__pycache__") == 0 || strcmp(ending, ".pyc") == 0 ||
           strcmp(ending, ".pyo") == 0;
}

static gf_status add_file(gf__buffer *tar, const char *path, const char *name, gf_error *err)
{
    gf__mapping file = {0};
    gf_status st = gf__map_file(path, &file, err);
    if (st == GF_OK && file.size > MAX_BYTES - (tar->size < MAX_BYTES ? tar->size : MAX_BYTES))
        st = gf_error_set(err, GF_ELIMIT,
                          "%s: with it the package has more than 1 GiB; put data into a bucket",
                          path);
    if (st == GF_OK)
        st = gf__tar_file(tar, name, file.data, file.size, err);
    gf__unmap(&file);
    return st;
}

/* All below path, in the order of names. */
static gf_status add_folder(gf__buffer *tar, const char *path, const char *name, int depth,
                            gf_error *err)
{
    gf__dir_list list = {0};
    if (depth > MAX_DEPTH)
        return gf_error_set(err, GF_ELIMIT, "%s: more than %d folders deep", path, MAX_DEPTH);
    gf_status st = gf__list_dir(path, &list, err);
    for (size_t i = 0; i < list.n_names && st == GF_OK; i++) {
        if (is_left_out(list.names[i]))
            continue;
        char *inner = gf__path_join(path, list.names[i]);
        char *inner_name = gf__path_join(name, list.names[i]);
        if (inner == NULL || inner_name == NULL)
            st = gf__error_nomem(err, "a path", 0);
        else if (gf__is_dir(inner))
            st = add_folder(tar, inner, inner_name, depth + 1, err);
        else
            st = add_file(tar, inner, inner_name, err);
        gf__free(inner);
        gf__free(inner_name);
    }
    gf__dir_list_free(&list);
    return st;
}

static gf_status add_text(gf__buffer *tar, const char *root, const char *file, char *text,
                          gf_error *err)
{
    char *name = gf__path_join(root, file);
    const gf_status st = name != NULL && text != NULL
                             ? gf__tar_file(tar, name, text, strlen(text), err)
                             : gf__error_nomem(err, "a package", 0);
    gf__free(name);
    gf__free(text);
    return st;
}

static gf_status add_beside(gf__buffer *tar, const char *parent, const char *root, const char *file,
                            gf_error *err)
{
    char *path = gf__path_join(parent, file), *name = gf__path_join(root, file);
    gf_status st = path != NULL && name != NULL ? GF_OK : gf__error_nomem(err, "a path", 0);
    if (st == GF_OK && gf__is_file(path))
        st = add_file(tar, path, name, err);
    gf__free(path);
    gf__free(name);
    return st;
}

static gf_status add_setup(gf__buffer *tar, const char *parent, const char *root,
                           const char *package, gf_error *err)
{
    gf_status st = GF_OK;
    char *path = gf__path_join(parent, SETUP_FILE);
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(parent));
    if (!gf__is_file(path))
        st = add_text(tar, root, SETUP_FILE, gf__asprintf(made_setup, package), err);
    else
        st = add_beside(tar, parent, root, SETUP_FILE, err);
    for (size_t i = 0; i < sizeof companions / sizeof companions[0] && st == GF_OK; i++)
        if (gf__is_file(path))
            st = add_beside(tar, parent, root, companions[i], err);
    gf__free(path);
    return st;
}

static gf_status add_all(gf__buffer *tar, const char *path, const char *parent, const char *root,
                         gf_error *err)
{
    const char *package = gf__path_base(path);
    char *inner = gf__path_join(root, package);
    gf_status st = inner != NULL ? GF_OK : gf__error_nomem(err, "a path", strlen(root));
    if (st == GF_OK)
        st = add_text(
            tar, root, "PKG-INFO",
            gf__asprintf("Metadata-Version: 1.0\nName: %s\nVersion: " VERSION "\n", package), err);
    if (st == GF_OK)
        st = add_setup(tar, parent, root, package, err);
    if (st == GF_OK)
        st = add_folder(tar, path, inner, 0, err);
    gf__free(inner);
    return st;
}

/* An absolute path without a slash at its end, so that "." and ".." have a name, too. */
static gf_status find_package(const char *package_path, char **path, char **parent, gf_error *err)
{
    char found[PATH_MAX];
    *path = *parent = NULL;
    if (realpath(package_path, found) == NULL)
        return gf_error_set(err, GF_ENOTFOUND, "--package-path %s: no such folder", package_path);
    if (!gf__is_dir(found))
        return gf_error_set(err, GF_EINVAL,
                            "--package-path %s: is a file; expected the folder of a Python "
                            "package (a package that is made already goes with --packages)",
                            package_path);
    const char *base = gf__path_base(found);
    *path = gf__strdup(found);
    *parent = gf__strndup(found, (size_t)(base - found));
    char *marker = gf__path_join(found, "__init__.py");
    gf_status st = *path != NULL && *parent != NULL && marker != NULL
                       ? GF_OK
                       : gf__error_nomem(err, "a path", strlen(found));
    if (st == GF_OK && !gf__is_file(marker))
        st = gf_error_set(err, GF_EINVAL,
                          "--package-path %s: not a Python package, as it has no __init__.py; an "
                          "empty one will do",
                          package_path);
    if (st == GF_OK && base[strspn(base, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
                                         "0123456789")] != '\0')
        st = gf_error_set(err, GF_EINVAL,
                          "--package-path %s: %s is no name that Python could import", package_path,
                          base);
    gf__free(marker);
    return st;
}

gf_status gf__sdist_build(const char *package_path, gf__sdist *out, gf_error *err)
{
    char *path = NULL, *parent = NULL, *root = NULL;
    gf__buffer tar = {0};
    *out = (gf__sdist){0};
    gf_status st = find_package(package_path, &path, &parent, err);
    if (st == GF_OK) {
        root = gf__asprintf("%s-" VERSION, gf__path_base(path));
        out->name = gf__asprintf("%s-" VERSION ".tar.gz", gf__path_base(path));
        if (root == NULL || out->name == NULL)
            st = gf__error_nomem(err, "a name", 0);
    }
    if (st == GF_OK)
        st = add_all(&tar, path, parent, root, err);
    if (st == GF_OK) {
        gf__tar_end(&tar);
        st = gf__buffer_status(&tar, err);
    }
    if (st == GF_OK) {
        gf__gzip_stored(&tar, &out->bytes);
        st = gf__buffer_status(&out->bytes, err);
    }
    gf__buffer_free(&tar);
    gf__free(root);
    gf__free(path);
    gf__free(parent);
    return st;
}

void gf__sdist_free(gf__sdist *sdist)
{
    gf__free(sdist->name);
    gf__buffer_free(&sdist->bytes);
    *sdist = (gf__sdist){0};
}
