/* tasks/requirements.c: what a user's packages need beside themselves, and how it gets there. It
 * is read from what the packages carry, asked of their setup.py where they carry nothing, and
 * installed by pip unless it can be imported already: graft's own package and Debian's numpy
 * need no network. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tasks/tasks_priv.h"

#define MAX_METADATA_BYTES ((size_t)16 << 20)

/* ---- what packages carry ---- */

/* *text is new, NULL where there is no such file. */
static gf_status read_text(const char *dir, const char *name, char **text, gf_error *err)
{
    size_t n_bytes = 0;
    gf_status st = GF_OK;
    char *path = gf__path_join(dir, name);
    *text = NULL;
    if (path == NULL)
        return gf__error_nomem(err, "a path", 0);
    if (gf__is_file(path))
        st = gf__read_file(path, MAX_METADATA_BYTES, text, &n_bytes, err);
    gf__free(path);
    return st;
}

typedef struct line { /* a part of a text: without its end and the white space before that */
    const char *text;
    int n;
} line;

/* The line at *at, which moves to the next one; false after the last. */
static bool next_line(const char **at, line *out)
{
    const char *start = *at;
    const size_t n_chars = strcspn(start, "\n");
    size_t n_kept = n_chars;
    if (*start == '\0')
        return false;
    while (n_kept > 0 && strchr(" \t\r", start[n_kept - 1]) != NULL)
        n_kept--;
    *at = start + n_chars + (start[n_chars] == '\n');
    *out = (line){.text = start,
                  .n = (int)n_kept}; /* a text is no longer than MAX_METADATA_BYTES */
    return true;
}

/* "Name: value": the value, where the line is that field. */
static bool is_field(const line *of, const char *name, line *value)
{
    const int n_name = (int)strlen(name);
    if (of->n <= n_name || strncasecmp(of->text, name, (size_t)n_name) != 0 ||
        of->text[n_name] != ':')
        return false;
    int start = n_name + 1;
    while (start < of->n && strchr(" \t", of->text[start]) != NULL)
        start++;
    *value = (line){.text = of->text + start, .n = of->n - start};
    return true;
}

static bool is_text(const line *of, const char *text)
{
    return (size_t)of->n == strlen(text) && strncasecmp(of->text, text, (size_t)of->n) == 0;
}

typedef struct metadata {
    bool has_requirements;
    bool is_complete; /* says that there are no others than those it lists */
} metadata;

/* METADATA and PKG-INFO: fields up to the first empty line. */
static metadata read_fields(const char *text, gf__texts *requirements)
{
    metadata found = {0};
    const char *at = text;
    line of, value;
    while (next_line(&at, &of) && of.n > 0) {
        if (is_field(&of, "Metadata-Version",
                     &value)) /* 2.2: what is not called dynamic is final */
            found.is_complete = value.n > 0 && strtod(value.text, NULL) >= 2.2;
        if (is_field(&of, "Dynamic", &value) && is_text(&value, "Requires-Dist"))
            found.is_complete = false;
        if (!is_field(&of, "Requires-Dist", &value))
            continue;
        gf__texts_take(requirements, gf__strndup(value.text, (size_t)value.n));
        found.has_requirements = true;
    }
    return found;
}

/* setuptools' requires.txt: lines, and sections: "[extra]" is somebody's wish, "[:marker]" a
 * condition. */
static void read_requires(const char *text, gf__texts *requirements)
{
    line marker = {.text = "", .n = 0}, of;
    bool is_extra = false;
    const char *at = text;
    while (next_line(&at, &of)) {
        if (of.n > 2 && of.text[0] == '[' && of.text[of.n - 1] == ']') {
            is_extra = of.text[1] != ':';
            marker = (line){.text = of.text + 2, .n = of.n - 3};
        } else if (of.n > 0 && of.text[0] != '#' && !is_extra) {
            gf__texts_take(requirements,
                           gf__asprintf("%.*s%s%.*s", of.n, of.text, marker.n > 0 ? " ; " : "",
                                        marker.n, marker.text));
        }
    }
}

static gf_status read_requires_in(const char *dir, gf__texts *requirements, gf_error *err)
{
    char *text = NULL;
    const gf_status st = read_text(dir, "requires.txt", &text, err);
    if (text != NULL)
        read_requires(text, requirements);
    gf__free(text);
    return st;
}

static bool is_egg_info(const char *name)
{
    const size_t n_chars = strlen(name);
    return n_chars > 9 && strcmp(name + n_chars - 9, ".egg-info") == 0;
}

/* Looks for NAME.egg-info in a folder, if there is one of that name. */
static gf_status read_egg_info(const char *dir, gf__texts *requirements, bool *is_found,
                               gf_error *err)
{
    gf__dir_list list;
    *is_found = false;
    if (!gf__is_dir(dir))
        return GF_OK;
    gf_status st = gf__list_dir(dir, &list, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < list.n_names && !*is_found && st == GF_OK; i++) {
        if (!is_egg_info(list.names[i]))
            continue;
        char *inner = gf__path_join(dir, list.names[i]);
        *is_found = inner != NULL && gf__is_dir(inner); /* setuptools of long ago wrote a file */
        if (inner == NULL)
            st = gf__error_nomem(err, "a path", 0);
        else if (*is_found)
            st = read_requires_in(inner, requirements, err);
        gf__free(inner);
    }
    gf__dir_list_free(&list);
    return st;
}

/* Whether one of its files may say something of requirements: a word that they cannot do
 * without. */
static gf_status look_for_requirements(const char *root, bool *may_have, gf_error *err)
{
    static const char *const places[][2] = {{"setup.py", "install_requires"},
                                            {"setup.cfg", "install_requires"},
                                            {"pyproject.toml", "dependencies"}};
    gf_status st = GF_OK;
    *may_have = false;
    for (size_t i = 0; i < sizeof places / sizeof *places && st == GF_OK; i++) {
        char *text = NULL;
        st = read_text(root, places[i][0], &text, err);
        *may_have = *may_have || (text != NULL && strstr(text, places[i][1]) != NULL);
        gf__free(text);
    }
    return st;
}

/* The sdist was not made by setuptools: its setup.py tells, into a folder beside it. */
static gf_status ask_setup(gf__task *task, const gf__unpacked *package, gf__texts *requirements,
                           gf_error *err)
{
    gf__texts argv = {0};
    bool is_found = false;
    char *setup = gf__path_join(package->root, "setup.py");
    char *base = gf__asprintf("%s.egg", package->dir);
    gf_status st = setup != NULL && base != NULL ? gf__make_dirs(base, err)
                                                 : gf__error_nomem(err, "a path", 0);
    gf__texts_add(&argv, gf__task_python(task));
    if (setup != NULL && gf__is_file(setup)) {
        gf__texts_add(&argv, "setup.py");
    } else {
        gf__texts_add(&argv, "-c");
        gf__texts_add(&argv, "import setuptools; setuptools.setup()");
    }
    gf__texts_add(&argv, "-q");
    gf__texts_add(&argv, "egg_info");
    gf__texts_take(&argv, gf__asprintf("--egg-base=%s", base != NULL ? base : ""));
    if (st == GF_OK)
        st = gf__task_step(task, "packageUris: asking setup.py for its install_requires", &argv,
                           package->root, "", err);
    if (st == GF_OK)
        st = read_egg_info(base, requirements, &is_found, err);
    gf__texts_free(&argv);
    gf__free(setup);
    gf__free(base);
    return st;
}

/* What the sdist carries; *is_known false: nothing that says so. */
static gf_status read_sdist(const gf__unpacked *package, gf__texts *requirements, bool *is_known,
                            gf_error *err)
{
    char *src = gf__path_join(package->root, "src"), *text = NULL;
    bool may_have = false;
    *is_known = false;
    gf_status st = src != NULL ? read_egg_info(package->root, requirements, is_known, err)
                               : gf__error_nomem(err, "a path", 0);
    if (st == GF_OK && !*is_known)
        st = read_egg_info(src, requirements, is_known, err);
    gf__free(src);
    if (st != GF_OK || *is_known)
        return st;
    st = read_text(package->root, "PKG-INFO", &text, err);
    const metadata found = text != NULL ? read_fields(text, requirements) : (metadata){0};
    gf__free(text);
    if (st == GF_OK)
        st = look_for_requirements(package->root, &may_have, err);
    *is_known = found.has_requirements || found.is_complete || !may_have;
    return st;
}

static gf_status find_of_sdist(gf__task *task, const gf__unpacked *package, gf__texts *requirements,
                               gf_error *err)
{
    bool is_known = false;
    const gf_status st = read_sdist(package, requirements, &is_known, err);
    return st == GF_OK && !is_known ? ask_setup(task, package, requirements, err) : st;
}

gf_status gf__requirements_find(gf__task *task, const gf__unpacked *package,
                                gf__texts *requirements, gf_error *err)
{
    gf_status st = GF_OK;
    if (package->metadata == NULL) {
        st = find_of_sdist(task, package, requirements, err);
    } else {
        char *text = NULL;
        size_t n_bytes = 0;
        st = gf__read_file(package->metadata, MAX_METADATA_BYTES, &text, &n_bytes, err);
        if (st == GF_OK)
            (void)read_fields(text, requirements);
        gf__free(text);
    }
    return st == GF_OK ? gf__texts_status(requirements, err) : st;
}

/* ---- installing ---- */

/* Writes those that cannot be imported at a fitting version to the file, one a line. graft
 * itself comes with the job: what has its name elsewhere is another program. */
static const char check_script[] =
    "import importlib.metadata, sys\n"
    "try:\n"
    "    from packaging.requirements import InvalidRequirement, Requirement\n"
    "except ImportError:\n"
    "    try:\n"
    "        from pip._vendor.packaging.requirements import InvalidRequirement, Requirement\n"
    "    except ImportError:\n"
    "        sys.exit('packages with requirements need pip (Debian: apt install python3-pip)')\n"
    "with open(sys.argv[1], 'w', encoding='utf-8') as missing:\n"
    "    for text in sys.argv[2:]:\n"
    "        try:\n"
    "            need = Requirement(text)\n"
    "        except InvalidRequirement as error:\n"
    "            sys.exit(f'{text!r} is no requirement: {error}')\n"
    "        if need.marker and not need.marker.evaluate({'extra': ''}):\n"
    "            continue\n"
    "        if need.name.lower() == 'graft':\n"
    "            continue\n"
    "        try:\n"
    "            version = importlib.metadata.version(need.name)\n"
    "        except importlib.metadata.PackageNotFoundError:\n"
    "            version = None\n"
    "        fits = version and need.specifier.contains(version, prereleases=True)\n"
    "        if not fits or need.url or need.extras:\n"
    "            print(need, file=missing)\n";

static gf_status check(gf__task *task, const gf__texts *requirements, const char *list,
                       gf_error *err)
{
    gf__texts argv = {0};
    gf__texts_add(&argv, gf__task_python(task));
    gf__texts_add(&argv, "-c");
    gf__texts_add(&argv, check_script);
    gf__texts_add(&argv, list);
    for (size_t i = 0; i < requirements->n; i++)
        gf__texts_add(&argv, requirements->items[i]);
    const gf_status st = gf__task_step(task, "packageUris: looking at the packages' requirements",
                                       &argv, task->options->dir, task->python_path, err);
    gf__texts_free(&argv);
    return st;
}

static gf_status run_pip(gf__task *task, const char *list, gf_error *err)
{
    static const char *const words[] = {"-m",
                                        "pip",
                                        "install",
                                        "--no-input",
                                        "--progress-bar=off",
                                        "--disable-pip-version-check",
                                        "--no-warn-script-location",
                                        "--upgrade",
                                        "-r"};
    gf__texts argv = {0};
    gf__texts_add(&argv, gf__task_python(task));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        gf__texts_add(&argv, words[i]);
    gf__texts_add(&argv, list);
    gf__texts_take(&argv, gf__asprintf("--target=%s/site-packages", task->options->dir));
    const gf_status st = gf__task_step(task, "packageUris: pip, installing their requirements,",
                                       &argv, task->options->dir, "", err);
    gf__texts_free(&argv);
    return st;
}

static void say_missing(gf__task *task, const char *text)
{
    const char *at = text;
    line of;
    while (next_line(&at, &of))
        gf__task_say(task, "Installing %.*s", of.n, of.text);
}

gf_status gf__requirements_install(gf__task *task, const gf__texts *requirements, gf_error *err)
{
    char *text = NULL;
    if (requirements->n == 0)
        return GF_OK;
    char *list = gf__path_join(task->options->dir, "requirements.txt");
    if (list == NULL)
        return gf__error_nomem(err, "a path", 0);
    gf_status st = check(task, requirements, list, err);
    if (st == GF_OK)
        st = read_text(task->options->dir, "requirements.txt", &text, err);
    if (text != NULL && text[0] != '\0') {
        say_missing(task, text);
        st = run_pip(task, list, err);
    }
    gf__free(text);
    gf__free(list);
    return st;
}
