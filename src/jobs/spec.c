/* jobs/spec.c: the Job -> spec.json, with the things that it names looked for: packages, inputs, the
 * model. What is missing is the job's failure, said before a process is started. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/keeper_priv.h"
#include "model/model.h"

#define SPEC_FORMAT    1
#define SPEC_MAX_BYTES ((size_t)64 << 20)
#define MODEL_LINK     "model.safetensors"

/* ---- addresses ---- */

static bool has_wildcard(const char *address)
{
    return strpbrk(address, "*?[") != NULL;
}

/* The path of an address; is_needed: something must be there. Errors name the address. */
static gf_status resolve(const gf__spec_context *context, const char *address, bool is_needed,
                         char **path, gf_error *err)
{
    const gf_status st = gf__registry_resolve(context->registry, address, path, err);
    if (st == GF_OK && is_needed && access(*path, F_OK) != 0) {
        gf__free(*path);
        *path = NULL;
        return gf_error_set(err, GF_ENOTFOUND, "%s: no such file or folder", address);
    }
    return st;
}

/* That it can be an address; what is there is looked for where it must be there already. */
static gf_status check_address(const gf__spec_context *context, const gf__json *input,
                               const char *field, bool is_needed, gf_error *err)
{
    const char *address = gf__json_string(gf__json_find(input, field), NULL);
    char *path = NULL;
    if (address == NULL || address[0] == '\0')
        return GF_OK;
    const gf_status st = resolve(context, address, is_needed, &path, err);
    gf__free(path);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", field);
    return st;
}

/* A home may be given relative to the folder that the server was started in; a job runs in its own. */
static gf_status find_absolute(const char *path, char real[PATH_MAX], gf_error *err)
{
    return realpath(path, real) != NULL ? GF_OK : gf__error_errno(err, errno, "%s", path);
}

static gf_status set_absolute(gf__json *spec, const char *key, const char *path, gf_error *err)
{
    char real[PATH_MAX];
    const gf_status st = find_absolute(path, real, err);
    if (st == GF_OK)
        gf__json_set_string(spec, key, real);
    return st;
}

/* ---- training ---- */

static gf_status add_package(const gf__spec_context *context, const char *address, size_t i,
                             gf__json *paths, gf_error *err)
{
    char *path = NULL, real[PATH_MAX];
    gf_status st = resolve(context, address, true, &path, err);
    if (st == GF_OK && !gf__is_file(path))
        st = gf_error_set(err, GF_EINVAL, "%s: is a folder, expected a package (.tar.gz, .whl)",
                          address);
    if (st == GF_OK)
        st = find_absolute(path, real, err);
    if (st == GF_OK)
        gf__json_append(paths, gf__json_new_string(real));
    else
        gf__error_prefix(err, "packageUris[%zu]", i);
    gf__free(path);
    return st;
}

static gf_status add_training(const gf__spec_context *context, const gf__json *input,
                              gf__json *spec, gf_error *err)
{
    gf__json *training = gf__json_copy(input), *paths = gf__json_array();
    const gf__json *uris = gf__json_find(input, "packageUris");
    gf_status st = check_address(context, input, "jobDir", false, err);
    for (size_t i = 0; i < gf__json_n_items(uris) && st == GF_OK; i++)
        st = add_package(context, gf__json_string(gf__json_at(uris, i), ""), i, paths, err);
    gf__json_set(training, "packages", paths);
    gf__json_set(spec, "training", training);
    if (st != GF_OK)
        gf__error_prefix(err, "trainingInput");
    return st;
}

/* ---- the model of a batch prediction ---- */

static gf_status choose(const gf__model_candidate *files, size_t n, char **found, gf_error *err)
{
    size_t index = 0;
    const gf_status st = gf__model_choose_file(files, n, &index, err);
    if (st != GF_OK)
        return st;
    *found = gf__strdup(files[index].path);
    return *found != NULL ? GF_OK : gf__error_nomem(err, "a path", strlen(files[index].path));
}

static gf_status find_in_version(const gf__spec_context *context, const char *version, char **found,
                                 gf_error *err)
{
    gf_registry_files files = {0};
    gf__model_candidate *candidates = NULL;
    gf_status st = gf_registry_get_files(context->registry, version, &files, err);
    if (st == GF_OK) {
        candidates = gf__calloc(files.n_files + 1, sizeof *candidates);
        if (candidates == NULL)
            st = gf__error_nomem(err, "a list of files", files.n_files);
    }
    for (size_t i = 0; i < files.n_files && st == GF_OK; i++)
        candidates[i] = (gf__model_candidate){files.files[i].path, files.files[i].blob_path};
    if (st == GF_OK)
        st = choose(candidates, files.n_files, found, err);
    gf__free(candidates);
    gf_registry_free_files(&files);
    return st;
}

/* The one in a folder. */
static gf_status find_in_folder(const char *path, char **found, gf_error *err)
{
    gf__dir_list names = {0};
    gf__model_candidate *candidates = NULL;
    gf_status st = gf__list_dir(path, &names, err);
    if (st == GF_OK) {
        candidates = gf__calloc(names.n_names + 1, sizeof *candidates);
        if (candidates == NULL)
            st = gf__error_nomem(err, "a list of files", names.n_names);
    }
    for (size_t i = 0; i < names.n_names && st == GF_OK; i++) {
        char *file = gf__path_join(path, names.names[i]);
        candidates[i] = (gf__model_candidate){names.names[i], file};
        st = file != NULL ? GF_OK : gf__error_nomem(err, "a path", strlen(path));
    }
    if (st == GF_OK)
        st = choose(candidates, names.n_names, found, err);
    for (size_t i = 0; candidates != NULL && i < names.n_names; i++)
        gf__free((void *)(uintptr_t)candidates[i].path);
    gf__free(candidates);
    gf__dir_list_free(&names);
    return st;
}

/* A file, whatever it is called, or the one in a folder. */
static gf_status find_at(const char *path, char **found, gf_error *err)
{
    const gf__model_candidate file = {MODEL_LINK, path};
    return gf__is_dir(path) ? find_in_folder(path, found, err) : choose(&file, 1, found, err);
}

static gf_status check_ready(const gf__spec_context *context, const char *version, gf_error *err)
{
    char *text = NULL;
    gf__json *document = NULL;
    gf_status st = gf_registry_get_version(context->registry, version, &text, err);
    if (st == GF_OK)
        st = gf__json_parse(text, strlen(text), &document, err);
    const char *state = gf__json_string(gf__json_find(document, "state"), "?");
    if (st == GF_OK && strcmp(state, "READY") != 0)
        st = gf_error_set(err, GF_EPRECONDITION, "%s: is %s, not READY", version, state);
    gf__json_free(document);
    gf_registry_free_text(text);
    return st;
}

/* New: the full name of a model's default version. */
static gf_status default_version(const gf__spec_context *context, const char *model, char **version,
                                 gf_error *err)
{
    char *text = NULL;
    gf__json *document = NULL;
    gf_status st = gf_registry_get_model(context->registry, model, &text, err);
    if (st == GF_OK)
        st = gf__json_parse(text, strlen(text), &document, err);
    const gf__json *chosen = gf__json_find(document, "defaultVersion");
    const char *name = gf__json_string(gf__json_find(chosen, "name"), NULL);
    if (st == GF_OK && name == NULL)
        st = gf_error_set(err, GF_EPRECONDITION, "%s: has no default version; create one first",
                          model);
    if (st == GF_OK) {
        *version = gf__strdup(name);
        if (*version == NULL)
            st = gf__error_nomem(err, "a name", strlen(name));
    }
    gf__json_free(document);
    gf_registry_free_text(text);
    return st;
}

/* The version goes, or the file in the bucket is replaced, while the job runs: a name of its own
 * keeps the bytes. Where that cannot be, the file is taken where it lies. */
static gf_status keep_model(const char *dir, char **path, gf_error *err)
{
    char *kept = gf__path_join(dir, MODEL_LINK);
    if (kept == NULL)
        return gf__error_nomem(err, "a path", strlen(dir));
    (void)unlink(kept);
    if (link(*path, kept) == 0) {
        gf__free(*path);
        *path = kept;
        return GF_OK;
    }
    gf__free(kept);
    return GF_OK;
}

static gf_status find_model(const gf__spec_context *context, const gf__json *input, char **path,
                            char **version, gf_error *err)
{
    const char *field = "versionName", *uri = gf__json_string(gf__json_find(input, "uri"), NULL);
    const char *name = gf__json_string(gf__json_find(input, "versionName"), NULL);
    const char *model = gf__json_string(gf__json_find(input, "modelName"), NULL);
    gf_status st = GF_OK;
    if (uri != NULL) {
        char *at = NULL;
        field = "uri";
        st = resolve(context, uri, true, &at, err);
        if (st == GF_OK) {
            st = find_at(at, path, err);
            if (st == GF_EFORMAT)
                gf__error_prefix(err, "%s", uri);
        }
        gf__free(at);
    } else if (name != NULL) {
        *version = gf__strdup(name);
        st = *version != NULL ? GF_OK : gf__error_nomem(err, "a name", strlen(name));
    } else {
        field = "modelName";
        st = default_version(context, model != NULL ? model : "", version, err);
    }
    if (st == GF_OK && *version != NULL)
        st = check_ready(context, *version, err);
    if (st == GF_OK && *version != NULL) {
        st = find_in_version(context, *version, path, err);
        if (st == GF_EFORMAT)
            gf__error_prefix(err, "%s", *version);
    }
    if (st != GF_OK)
        gf__error_prefix(err, "%s", field);
    return st;
}

/* ---- prediction ---- */

static gf_status check_inputs(const gf__spec_context *context, const gf__json *input, gf_error *err)
{
    const gf__json *paths = gf__json_find(input, "inputPaths");
    for (size_t i = 0; i < gf__json_n_items(paths); i++) {
        const char *address = gf__json_string(gf__json_at(paths, i), "");
        char *path = NULL;
        const gf_status st = resolve(context, address, !has_wildcard(address), &path, err);
        gf__free(path);
        if (st != GF_OK) {
            gf__error_prefix(err, "inputPaths[%zu]", i);
            return st;
        }
    }
    return GF_OK;
}

static gf_status add_prediction(const gf__spec_context *context, const gf__json *input,
                                gf__json *spec, gf_error *err)
{
    gf__json *prediction = gf__json_copy(input);
    char *model = NULL, *version = NULL;
    gf_status st = check_inputs(context, input, err);
    if (st == GF_OK)
        st = check_address(context, input, "outputPath", false, err);
    if (st == GF_OK)
        st = find_model(context, input, &model, &version, err);
    if (st == GF_OK)
        st = keep_model(context->dir, &model, err);
    if (st == GF_OK)
        st = set_absolute(prediction, "model", model, err);
    if (st == GF_OK && version != NULL)
        gf__json_set_string(prediction, "version", version);
    if (st != GF_OK)
        gf__error_prefix(err, "predictionInput");
    gf__json_set(spec, "prediction", prediction);
    gf__free(model);
    gf__free(version);
    return st;
}

/* ---- the document ---- */

/* What a new server changes. A program is named as it was given where it has no name on the disk:
 * /proc/PID/exe of a server whose file was replaced. */
static gf_status set_server(const gf__spec_context *context, const gf__job_plan *plan,
                            gf__json *spec, gf_error *err)
{
    char *buckets = gf__path_join(context->home, "buckets");
    if (buckets == NULL)
        return gf__error_nomem(err, "a path", strlen(context->home));
    gf_status st = set_absolute(spec, "home", context->home, err);
    if (st == GF_OK)
        st = set_absolute(spec, "buckets", buckets, err);
    if (st == GF_OK && set_absolute(spec, "program", context->program, NULL) != GF_OK)
        gf__json_set_string(spec, "program", context->program);
    gf__json_set_string(spec, "python", context->python);
    gf__json_set_int(spec, "nCpus", (int64_t)plan->size.n_cpus);
    gf__json_set_int(spec, "maxMemoryBytes", (int64_t)plan->size.max_memory_bytes);
    gf__json_set_int(spec, "graceMs", context->grace_ms);
    if (context->start_time_ms > 0)
        gf__json_set_int(spec, "startTimeMs", context->start_time_ms);
    if (st == GF_OK && context->server_url != NULL)
        gf__json_set_string(spec, "server", context->server_url);
    gf__free(buckets);
    return st;
}

static gf_status build(const gf__spec_context *context, const gf__json *job,
                       const gf__job_plan *plan, gf__json *spec, gf_error *err)
{
    gf__json_set_int(spec, "format", SPEC_FORMAT);
    gf__json_set_string(spec, "name", context->name);
    gf__json_set_string(spec, "kind", plan->is_training ? "training" : "prediction");
    gf_status st = set_server(context, plan, spec, err);
    gf__json_set_int(spec, "maxRunningS", plan->max_running_s);
    gf__json_set_int(spec, "nShards", (int64_t)plan->n_shards);
    if (st == GF_OK && plan->is_training)
        st = add_training(context, gf__json_find(job, "trainingInput"), spec, err);
    else if (st == GF_OK)
        st = add_prediction(context, gf__json_find(job, "predictionInput"), spec, err);
    return st == GF_OK ? gf__json_status(spec, err) : st;
}

/* The spec of an earlier attempt; NULL: there is none that can be read. */
static gf__json *read_earlier(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    gf__json *spec = NULL;
    if (gf__read_file(path, SPEC_MAX_BYTES, &text, &size, NULL) == GF_OK)
        (void)gf__json_parse(text, size, &spec, NULL);
    gf__free(text);
    if (gf__json_int(gf__json_find(spec, "format"), 0) == SPEC_FORMAT)
        return spec;
    gf__json_free(spec);
    return NULL;
}

static gf_status write_spec(const char *path, const gf__json *spec, gf_error *err)
{
    gf__buffer text = {0};
    gf__json_write(spec, true, &text);
    gf__buffer_puts(&text, "\n");
    gf_status st = gf__buffer_status(&text, err);
    if (st == GF_OK)
        st = gf__write_file(path, text.data, text.size, err);
    gf__buffer_free(&text);
    return st;
}

gf_status gf__spec_write(const gf__spec_context *context, const gf__json *job,
                         const gf__job_plan *plan, gf_error *err)
{
    gf_status st = gf__make_dirs(context->dir, err);
    char *path = gf__path_join(context->dir, "spec.json");
    if (st == GF_OK && path == NULL)
        st = gf__error_nomem(err, "a path", strlen(context->dir));
    gf__json *spec = st == GF_OK ? read_earlier(path) : NULL;
    if (st == GF_OK && spec != NULL) {
        st = set_server(context, plan, spec, err);
    } else if (st == GF_OK) {
        spec = gf__json_object();
        st = build(context, job, plan, spec, err);
    }
    if (st == GF_OK)
        st = write_spec(path, spec, err);
    gf__json_free(spec);
    gf__free(path);
    return st;
}

void gf__spec_release(const char *dir)
{
    char *path = gf__path_join(dir, MODEL_LINK);
    if (path != NULL)
        (void)unlink(path);
    gf__free(path);
}
