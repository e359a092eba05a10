/* tasks/requirements.c: what a user's packages need beside themselves, and how it gets there. It is read
 * from what the packages carry, asked of their setup.py where they carry nothing, and installed by pip
 * unless it can be imported already: graft's own package and Debian's numpy need no network. */
#include <stdio.h>
#include <string.h>

#include "tasks/tasks_priv.h"

#define MAX_METADATA_BYTES ((size_t)16 << 20)

/* ---- running a step ---- */

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

/* A program that must end well for the work to begin. */
static gf_status run_step(gf__task *task, const char *what, gf__texts *argv, const char *dir,
                          const char *python_path, gf_error *err)
{
    gf__texts env = {0};
    gf__child *child = NULL, *ended = NULL;
    gf__texts_take(&env, gf__asprintf("PYTHONPATH=%s", python_path));
    gf__texts_add(&env, "PYTHONUNBUFFERED=1");
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

static const char *python_of(const gf__task *task)
{
    return task->options->python != NULL ? task->options->python : "python3";
}

/* ---- what packages carry ---- */

static char *read_text(const char *dir, const char *name)
{
    char *path = gf__path_join(dir, name), *text = NULL;
    size_t n_bytes = 0;
    if (path != NULL && gf__is_file(path))
        (void)gf__read_file(path, MAX_METADATA_BYTES, &text, &n_bytes, NULL);
    gf__free(path);
    return text;
}

/* The line at *at without its end, a copy; *at moves to the next. NULL after the last one. */
static char *next_line(const char **at)
{
    if (**at == '\0')
        return NULL;
    const size_t n_chars = strcspn(*at, "\n");
    size_t n_kept = n_chars;
    while (n_kept > 0 && strchr(" \t\r", (*at)[n_kept - 1]) != NULL)
        n_kept--;
    char *line = gf__strndup(*at, n_kept);
    *at += n_chars + ((*at)[n_chars] == '\n');
    return line;
}

static const char *field_value(const char *line, const char *name)
{
    const size_t n_chars = strlen(name);
    if (strncasecmp(line, name, n_chars) != 0 || line[n_chars] != ':')
        return NULL;
    return line + n_chars + 1 + strspn(line + n_chars + 1, " \t");
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
    char *line;
    while ((line = next_line(&at)) != NULL && line[0] != '\0') {
        const char *version = field_value(line, "Metadata-Version");
        const char *requirement = field_value(line, "Requires-Dist");
        const char *dynamic = field_value(line, "Dynamic");
        if (version != NULL) /* 2.2: what is not called dynamic is final */
            found.is_complete = strcmp(version, "2.2") >= 0;
        if (dynamic != NULL && strcasecmp(dynamic, "Requires-Dist") == 0)
            found.is_complete = false;
        if (requirement != NULL) {
            gf__texts_add(requirements, requirement);
            found.has_requirements = true;
        }
        gf__free(line);
    }
    gf__free(line);
    return found;
}

/* setuptools' requires.txt: lines, and sections: "[extra]" is somebody's wish, "[:marker]" a condition. */
static void read_requires(const char *text, gf__texts *requirements)
{
    char marker[512] = "";
    bool is_extra = false;
    const char *at = text;
    char *line;
    while ((line = next_line(&at)) != NULL) {
        const size_t n_chars = strlen(line);
        if (n_chars > 2 && line[0] == '[' && line[n_chars - 1] == ']') {
            is_extra = line[1] != ':';
            snprintf(marker, sizeof marker, "%.*s", (int)(is_extra ? 0 : n_chars - 3), line + 2);
        } else if (n_chars > 0 && line[0] != '#' && !is_extra) {
            gf__texts_take(requirements,
                           gf__asprintf("%s%s%s", line, marker[0] != '\0' ? " ; " : "", marker));
        }
        gf__free(line);
    }
}

static bool is_egg_info(const char *name)
{
    const size_t n_chars = strlen(name);
    return n_chars > 9 && strcmp(name + n_chars - 9, ".egg-info") == 0;
}

/* Looks into NAME.egg-info in a folder: whether there is one. */
static bool read_egg_info(const char *dir, gf__texts *requirements)
{
    gf__dir_list list;
    bool is_found = false;
    if (gf__list_dir(dir, &list, NULL) != GF_OK)
        return false;
    for (size_t i = 0; i < list.n_names && !is_found; i++) {
        char *inner = is_egg_info(list.names[i]) ? gf__path_join(dir, list.names[i]) : NULL;
        if (inner != NULL && gf__is_dir(inner)) {
            char *text = read_text(inner, "requires.txt");
            if (text != NULL)
                read_requires(text, requirements);
            gf__free(text);
            is_found = true;
        }
        gf__free(inner);
    }
    gf__dir_list_free(&list);
    return is_found;
}

static bool mentions(const char *dir, const char *name, const char *word)
{
    char *text = read_text(dir, name);
    const bool is_there = text != NULL && strstr(text, word) != NULL;
    gf__free(text);
    return is_there;
}

static bool may_have_requirements(const char *root)
{
    return mentions(root, "setup.py", "install_requires") ||
           mentions(root, "setup.cfg", "install_requires") ||
           mentions(root, "pyproject.toml", "dependencies");
}

/* The sdist was not made by setuptools: its setup.py tells, into a folder beside it. */
static gf_status ask_setup(gf__task *task, const gf__unpacked *package, gf__texts *requirements,
                           gf_error *err)
{
    gf__texts argv = {0};
    char *setup = gf__path_join(package->root, "setup.py");
    char *base = gf__asprintf("%s.egg", package->dir);
    gf_status st = setup != NULL && base != NULL ? gf__make_dirs(base, err)
                                                 : gf__error_nomem(err, "a path", 0);
    gf__texts_add(&argv, python_of(task));
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
        st = run_step(task, "packageUris: asking setup.py for its install_requires", &argv,
                      package->root, "", err);
    if (st == GF_OK)
        (void)read_egg_info(base, requirements);
    gf__texts_free(&argv);
    gf__free(setup);
    gf__free(base);
    return st;
}

static gf_status find_of_sdist(gf__task *task, const gf__unpacked *package, gf__texts *requirements,
                               gf_error *err)
{
    char *src = gf__path_join(package->root, "src");
    const bool has_egg = read_egg_info(package->root, requirements) ||
                         (src != NULL && read_egg_info(src, requirements));
    gf__free(src);
    if (has_egg)
        return GF_OK;
    char *text = read_text(package->root, "PKG-INFO");
    const metadata found = text != NULL ? read_fields(text, requirements) : (metadata){0};
    gf__free(text);
    if (found.has_requirements || found.is_complete || !may_have_requirements(package->root))
        return GF_OK;
    return ask_setup(task, package, requirements, err);
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

/* Writes those that cannot be imported at a fitting version to the file, one a line. graft itself comes
 * with the job: what has its name elsewhere is another program. */
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
    gf__texts_add(&argv, python_of(task));
    gf__texts_add(&argv, "-c");
    gf__texts_add(&argv, check_script);
    gf__texts_add(&argv, list);
    for (size_t i = 0; i < requirements->n; i++)
        gf__texts_add(&argv, requirements->items[i]);
    const gf_status st = run_step(task, "packageUris: looking at the packages' requirements", &argv,
                                  task->options->dir, task->python_path, err);
    gf__texts_free(&argv);
    return st;
}

static gf_status run_pip(gf__task *task, const char *list, gf_error *err)
{
    static const char *const words[] = {"-m",
                                        "pip",
                                        "install",
                                        "--no-input",
                                        "--disable-pip-version-check",
                                        "--no-warn-script-location",
                                        "--upgrade",
                                        "-r"};
    gf__texts argv = {0};
    gf__texts_add(&argv, python_of(task));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        gf__texts_add(&argv, words[i]);
    gf__texts_add(&argv, list);
    gf__texts_take(&argv, gf__asprintf("--target=%s/site-packages", task->options->dir));
    const gf_status st = run_step(task, "packageUris: pip, installing their requirements,", &argv,
                                  task->options->dir, "", err);
    gf__texts_free(&argv);
    return st;
}

static void say_missing(gf__task *task, const char *text)
{
    const char *at = text;
    char *line;
    while ((line = next_line(&at)) != NULL) {
        gf__task_say(task, "Installing %s", line);
        gf__free(line);
    }
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
        text = read_text(task->options->dir, "requirements.txt");
    if (text != NULL && text[0] != '\0') {
        say_missing(task, text);
        st = run_pip(task, list, err);
    }
    gf__free(text);
    gf__free(list);
    return st;
}
