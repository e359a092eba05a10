/* tasks/build.c: an sdist whose modules are not where they will be imported from is built, and what pip would have
 * installed goes into DIR/packages/N.built. Most are used as they were unpacked, which needs neither
 * time nor tools. */
#include <string.h>

#include "tasks/tasks_priv.h"

#define MAX_SETUP_BYTES ((size_t)16 << 20)

/* ---- whether ---- */

/* Words without which no package has its modules elsewhere, or made. Those of other tools than setuptools
 * mean it only in their own tables. */
static const char *const layout_words[] = {
    "package_dir", "package-dir", "ext_modules", "ext-modules", "cmdclass", "where", NULL};
static const char *const other_words[] = {"packages", "sources", "module", "include", NULL};

static bool has_word(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strstr(text, *words) != NULL)
            return true;
    return false;
}

static bool is_of_other_tool(const char *text)
{
    return strstr(text, "build-backend") != NULL && strstr(text, "setuptools") == NULL;
}

gf_status gf__build_is_needed(const gf__unpacked *package, bool *is_needed, gf_error *err)
{
    static const char *const files[] = {"setup.py", "setup.cfg", "pyproject.toml"};
    gf_status st = GF_OK;
    *is_needed = false;
    for (size_t i = 0; i < sizeof files / sizeof *files && !*is_needed && st == GF_OK; i++) {
        char *text = NULL, *path = gf__path_join(package->root, files[i]);
        size_t n_bytes = 0;
        if (path == NULL)
            return gf__error_nomem(err, "a path", 0);
        if (gf__is_file(path))
            st = gf__read_file(path, MAX_SETUP_BYTES, &text, &n_bytes, err);
        if (text != NULL)
            *is_needed = has_word(text, layout_words) ||
                         (is_of_other_tool(text) && has_word(text, other_words));
        gf__free(text);
        gf__free(path);
    }
    return st;
}

/* ---- doing it ---- */

/* With setuptools that is there, as any pip would ask it to, and without a network. Else pip does it, and fetches
 * what the package says it is built with unless that is there. */
static const char script[] =
    "import importlib.metadata, os, subprocess, sys\n"
    "import tomllib\n"
    "target, scratch = sys.argv[1:3]\n"
    "system = {}\n"
    "if os.path.exists('pyproject.toml'):\n"
    "    with open('pyproject.toml', 'rb') as file:\n"
    "        system = tomllib.load(file).get('build-system', {})\n"
    "def is_there(text):\n"
    "    try:\n"
    "        from packaging.requirements import Requirement\n"
    "    except ImportError:\n"
    "        from pip._vendor.packaging.requirements import Requirement\n"
    "    need = Requirement(text)\n"
    "    if need.marker and not need.marker.evaluate({'extra': ''}):\n"
    "        return True\n"
    "    try:\n"
    "        version = importlib.metadata.version(need.name)\n"
    "    except importlib.metadata.PackageNotFoundError:\n"
    "        return need.name == 'wheel' and is_setuptools  # it is not asked for one\n"
    "    return need.specifier.contains(version, prereleases=True)\n"
    "backend = system.get('build-backend', 'setuptools.build_meta')\n"
    "is_setuptools = backend.startswith('setuptools.') and 'backend-path' not in system\n"
    "has_all = all(is_there(text) for text in system.get('requires', ['setuptools']))\n"
    "if is_setuptools and has_all:\n"
    "    os.makedirs(target, exist_ok=True)\n"
    "    setup = ['setup.py'] if os.path.exists('setup.py') else ['-c', 'import setuptools; "
    "setuptools.setup()']\n"
    "    words = ['-q', 'egg_info', '--egg-base', target, 'build', '--build-base', scratch, "
    "'--build-lib', target]\n"
    "else:\n"
    "    setup = ['-m', 'pip', 'install', '--no-deps', '--no-input', '--progress-bar=off', "
    "'--target', target,\n"
    "             '--disable-pip-version-check', '--no-warn-script-location']\n"
    "    words = (['--no-build-isolation'] if has_all else []) + ['.']\n"
    "sys.exit(subprocess.call([sys.executable] + setup + words))\n";

static gf_status run(gf__task *task, const gf__unpacked *package, const char *target, gf_error *err)
{
    gf__texts argv = {0};
    gf__texts_add(&argv, gf__task_python(task));
    gf__texts_add(&argv, "-c");
    gf__texts_add(&argv, script);
    gf__texts_add(&argv, target);
    gf__texts_take(&argv, gf__asprintf("%s.scratch", package->dir));
    const gf_status st = gf__task_step(task, "packageUris: building the package", &argv,
                                       package->root, "", err);
    gf__texts_free(&argv);
    return st;
}

gf_status gf__build(gf__task *task, gf__unpacked *package, gf_error *err)
{
    char *root = NULL, *target = gf__asprintf("%s.built", package->dir);
    if (target == NULL)
        return gf__error_nomem(err, "a path", 0);
    gf__task_say(task, "Building %s", gf__path_base(package->uri));
    gf_status st = run(task, package, target, err);
    if (st == GF_OK) {
        root = gf__strdup(target);
        if (root == NULL)
            st = gf__error_nomem(err, "a path", 0);
    }
    if (st != GF_OK) {
        gf__free(target);
        return st;
    }
    gf__free(package->dir);
    gf__free(package->root);
    package->dir = target;
    package->root = root;
    package->is_built = true;
    return GF_OK;
}
