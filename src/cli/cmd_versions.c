/* cli/cmd_versions.c: graft versions create, list, describe, update, set-default, delete, as gcloud
 * has them. */
#include <string.h>

#include "cli/bucket.h"
#include "cli/labels.h"

typedef struct versions_settings {
    gf__remote_settings remote;
    gf__label_settings labels;
    gf__cli_list new_labels;
    const char *model, *origin, *bucket, *description, *filter;
    const char *runtime_version, *python_version, *framework, *machine_type;
    int min_nodes, max_nodes, nodes, limit; /* -1: not given */
    bool is_async;
} versions_settings;

static void preset(void *settings)
{
    versions_settings *s = settings;
    s->bucket = "graft-models";
    s->min_nodes = s->max_nodes = s->nodes = -1;
}

#define MODEL_OPTION                                         \
    GF__TEXT("--model", "M", NULL, versions_settings, model, \
             "The model that the version is of. Always needed.")
#define SCALING_OPTIONS                                                                           \
    GF__INT("--min-nodes", "N", "0", versions_settings, min_nodes, 0, 10000,                      \
            "Workers that stay when nothing is asked; with 0 the next request waits for one."),   \
        GF__INT("--max-nodes", "N", "as many as there are threads", versions_settings, max_nodes, \
                1, 10000, "No more workers than that."),                                          \
        GF__INT("--nodes", "N", NULL, versions_settings, nodes, 1, 10000,                         \
                "So many workers, always; instead of the two above.")

static const gf__option create_options[] = {
    MODEL_OPTION,
    GF__TEXT(
        "--origin", "FILE|DIR|URI", NULL, versions_settings, origin,
        "The model file, or a folder with it: of this machine (uploaded first), gs://BUCKET/PATH, "
        "or file:///PATH where the server allows it. Always needed."),
    GF__TEXT("--staging-bucket", "BUCKET", "graft-models", versions_settings, bucket,
             "The bucket that a file of this machine goes into."),
    GF__TEXT("--description", "TEXT", NULL, versions_settings, description, "What is new in it."),
    GF__LIST("--labels", "K=V,K=V", NULL, versions_settings, new_labels,
             "Labels; TensorFlow Serving's clients can ask for a version by one."),
    SCALING_OPTIONS,
    GF__FLAG("--async", versions_settings, is_async,
             "Do not wait until it is READY; print the operation."),
    GF__TEXT("--runtime-version", "V", NULL, versions_settings, runtime_version,
             "Kept with the version, as gcloud sends it; means nothing here."),
    GF__TEXT("--python-version", "V", NULL, versions_settings, python_version, "The same."),
    GF__TEXT("--framework", "NAME", NULL, versions_settings, framework, "The same."),
    GF__TEXT("--machine-type", "NAME", NULL, versions_settings, machine_type, "The same."),
    GF__REMOTE_OPTIONS(versions_settings),
    GF__FORMAT_OPTION(versions_settings),
};

static gf_status check_model(const versions_settings *s, gf_error *err)
{
    return s->model != NULL && s->model[0] != '\0'
               ? GF_OK
               : gf_error_set(err, GF_EINVAL, "expected --model M: whose version it is");
}

/* What a command asks of a server, whose answer is *out. */
typedef gf_status version_call(gf__cli *cli, gf__remote *remote, const versions_settings *s,
                               gf__json **out, gf_error *err);

static gf_status ask_server(gf__cli *cli, const versions_settings *s, version_call *call,
                            gf__json **out, gf_error *err)
{
    gf__remote remote;
    gf_status st = check_model(s, err);
    if (st != GF_OK)
        return st;
    st = gf__remote_open(cli, &s->remote, &remote, err);
    if (st == GF_OK)
        st = call(cli, &remote, s, out, err);
    gf__remote_close(&remote);
    return st;
}

/* A file of this machine is uploaded and becomes gs://; other addresses stay. */
static gf_status find_origin(gf__remote *remote, const versions_settings *s, const char *version,
                             char **origin, gf_error *err)
{
    if (s->origin == NULL || s->origin[0] == '\0')
        return gf_error_set(err, GF_EINVAL, "expected --origin FILE|DIR|URI: what it is made of");
    if (strstr(s->origin, "://") != NULL) {
        *origin = gf__strdup(s->origin);
        return *origin != NULL ? GF_OK : gf__error_nomem(err, "an address", strlen(s->origin));
    }
    if (!gf__is_file(s->origin) && !gf__is_dir(s->origin))
        return gf_error_set(err, GF_ENOTFOUND, "%s: no such file or folder", s->origin);
    const char *slash = gf__is_dir(s->origin) ? "" : "/";
    char *target = gf__asprintf("gs://%s/%s/%s/%s%s", s->bucket, remote->project,
                                gf__path_base(s->model), gf__path_base(version), slash);
    gf_status st = target != NULL ? gf__bucket_upload(remote, s->origin, target, true, origin, err)
                                  : gf__error_nomem(err, "an address", strlen(s->origin));
    gf__free(target);
    return st;
}

static gf_status set_scaling(const versions_settings *s, gf__json *version, gf__buffer *mask,
                             gf_error *err)
{
    const bool is_automatic = s->min_nodes >= 0 || s->max_nodes >= 0;
    if (is_automatic && s->nodes >= 0)
        return gf_error_set(err, GF_EINVAL,
                            "--nodes: instead of --min-nodes and --max-nodes, not "
                            "beside them");
    gf__json *scaling = gf__json_object();
    if (s->min_nodes >= 0)
        gf__json_set_int(scaling, "minNodes", s->min_nodes);
    if (s->max_nodes >= 0)
        gf__json_set_int(scaling, "maxNodes", s->max_nodes);
    if (s->nodes >= 0)
        gf__json_set_int(scaling, "nodes", s->nodes);
    if (is_automatic || s->nodes >= 0)
        gf__json_set(version, is_automatic ? "autoScaling" : "manualScaling", scaling);
    else
        gf__json_free(scaling);
    if (s->min_nodes >= 0)
        gf__mask_add(mask, "autoScaling.minNodes");
    if (s->max_nodes >= 0)
        gf__mask_add(mask, "autoScaling.maxNodes");
    if (s->nodes >= 0)
        gf__mask_add(mask, "manualScaling.nodes");
    return GF_OK;
}

/* All but deploymentUri. */
static gf_status make_version(const versions_settings *s, const char *name, gf__json *version,
                              gf_error *err)
{
    const struct {
        const char *key, *value;
    } texts[] = {
        {"name", name},
        {"description", s->description},
        {"runtimeVersion", s->runtime_version},
        {"pythonVersion", s->python_version},
        {"framework", s->framework},
        {"machineType", s->machine_type},
    };
    gf__buffer mask = {0};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].value != NULL)
            gf__json_set_string(version, texts[i].key, texts[i].value);
    gf__json *labels = gf__json_object();
    gf_status st = gf__labels_parse(&s->new_labels, labels, err);
    if (s->new_labels.n > 0)
        gf__json_set(version, "labels", labels);
    else
        gf__json_free(labels);
    if (st == GF_OK)
        st = set_scaling(s, version, &mask, err);
    gf__buffer_free(&mask);
    return st == GF_OK ? gf__json_status(version, err) : st;
}

/* What the operation made, as the API has it. */
static gf_status print_made(gf__cli *cli, const versions_settings *s, gf__json *operation,
                            gf_error *err)
{
    const gf__json *version = gf__json_find(operation, "response");
    gf_status st = GF_OK;
    if (s->is_async) {
        if (cli->is_json)
            return gf__cli_print_json(operation, err);
        printf("%s\n", gf__json_string(gf__json_find(operation, "name"), ""));
    } else if (cli->is_json) {
        st = gf__cli_print_json(gf__json_copy(version), err);
    } else {
        printf("created version %s of %s: %s%s\n", gf__short_name(version, "name"),
               gf__path_base(s->model), gf__json_string(gf__json_find(version, "state"), "READY"),
               gf__json_bool(gf__json_find(version, "isDefault"), false) ? ", the default" : "");
    }
    gf__json_free(operation);
    return st;
}

static gf_status create(gf__cli *cli, gf__remote *remote, const versions_settings *s,
                        gf__json **operation, gf_error *err)
{
    gf__json *version = gf__json_object();
    char *origin = NULL, *path = gf__model_path(remote, s->model, NULL, NULL);
    char *list = gf__model_path(remote, s->model, NULL, "/versions");
    /* before anything is uploaded for nothing */
    gf_status st = make_version(s, cli->words[0], version, err);
    if (st == GF_OK && s->origin != NULL)
        st = gf__remote_call(remote, "GET", path, NULL, NULL, err);
    if (st == GF_OK)
        st = find_origin(remote, s, cli->words[0], &origin, err);
    gf__bar_end(&cli->bar);
    if (st == GF_OK) {
        gf__json_set_string(version, "deploymentUri", origin);
        st = gf__remote_call(remote, "POST", list, version, operation, err);
    }
    if (st == GF_OK && !s->is_async)
        st = gf__remote_wait(cli, remote, operation, err);
    gf__free(list);
    gf__free(path);
    gf__free(origin);
    gf__json_free(version);
    return st;
}

static gf_status run_create(gf__cli *cli, const void *settings, gf_error *err)
{
    const versions_settings *s = settings;
    gf__json *operation = NULL;
    const gf_status st = ask_server(cli, s, create, &operation, err);
    if (st == GF_OK)
        return print_made(cli, s, operation, err);
    gf__json_free(operation);
    return st;
}

const gf__command gf__command_versions_create = {
    .name = "versions create",
    .words = "VERSION",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Deploy a trained model as a version.",
    .text =
        "Uploads the file where it is one of this machine, has the server copy it and run the "
        "model's self-test on a worker, and waits until the version is READY. The first version "
        "of a model becomes its default. A version never changes.",
    .examples =
        "graft versions create v1 --model flowers --origin flowers.safetensors\n"
        "graft versions create v2 --model flowers --origin gs://mine/flowers/ --min-nodes 1",
    .options = create_options,
    .n_options = GF__N_OPTIONS(create_options),
    .settings_size = sizeof(versions_settings),
    .preset = preset,
    .run = run_create,
};

/* ---- list ------------------------------------------------------------------------------------ */

static const gf__option list_options[] = {
    MODEL_OPTION,
    GF__TEXT(
        "--filter", "EXPR", NULL, versions_settings, filter,
        "Only those: FIELD:VALUE, FIELD=VALUE, FIELD!=VALUE joined by AND; VALUE may end in *."),
    GF__INT("--limit", "N", "all", versions_settings, limit, 1, 1e9, "No more than so many."),
    GF__REMOTE_OPTIONS(versions_settings),
    GF__FORMAT_OPTION(versions_settings),
};

static gf_status print_versions(gf__cli *cli, gf__json *versions, gf_error *err)
{
    static const char *const headings[] = {"NAME", "DEFAULT", "STATE", "DEPLOYMENT_URI", "ERROR"};
    if (cli->is_json)
        return gf__cli_print_json(versions, err);
    gf__table *table = gf__table_new(headings, 5);
    for (size_t i = 0; i < gf__json_n_items(versions); i++) {
        const gf__json *version = gf__json_at(versions, i);
        const char *const cells[] = {
            gf__short_name(version, "name"),
            gf__json_bool(gf__json_find(version, "isDefault"), false) ? "yes" : "",
            gf__json_string(gf__json_find(version, "state"), ""),
            gf__json_string(gf__json_find(version, "deploymentUri"), ""),
            gf__json_string(gf__json_find(version, "errorMessage"), ""),
        };
        gf__table_row(table, cells);
    }
    gf__json_free(versions);
    return gf__table_print(table, err);
}

static gf_status list(gf__cli *cli, gf__remote *remote, const versions_settings *s, gf__json **out,
                      gf_error *err)
{
    const gf__list_query query = {"versions", "filter", s->filter, s->limit, 0};
    char *path = gf__model_path(remote, s->model, NULL, "/versions");
    const gf_status st = gf__remote_list(remote, path, &query, out, err);
    gf__free(path);
    return st;
}

static gf_status run_list(gf__cli *cli, const void *settings, gf_error *err)
{
    gf__json *versions = NULL;
    const gf_status st = ask_server(cli, settings, list, &versions, err);
    return st == GF_OK ? print_versions(cli, versions, err) : st;
}

const gf__command gf__command_versions_list = {
    .name = "versions list",
    .words = "",
    .summary = "List the versions of a model.",
    .text =
        "In the order of their names. With --json, the Version documents of the API in an array.",
    .examples = "graft versions list --model flowers",
    .options = list_options,
    .n_options = GF__N_OPTIONS(list_options),
    .settings_size = sizeof(versions_settings),
    .preset = preset,
    .run = run_list,
};

/* ---- describe, update, set-default, delete --------------------------------------------------- */

static const gf__option one_options[] = {
    MODEL_OPTION,
    GF__REMOTE_OPTIONS(versions_settings),
    GF__FORMAT_OPTION(versions_settings),
};

/* Sends a request about the version in words[0]; waits where an operation comes back. */
static gf_status ask_about_version(gf__cli *cli, const versions_settings *s, const char *method,
                                   const char *verb, gf__json **out, gf_error *err)
{
    gf__remote remote;
    gf__json *body = verb != NULL ? gf__json_object() : NULL;
    gf_status st = check_model(s, err);
    if (st != GF_OK)
        goto done;
    st = gf__remote_open(cli, &s->remote, &remote, err);
    if (st == GF_OK) {
        char *path = gf__model_path(&remote, s->model, cli->words[0], verb);
        st = gf__remote_call(&remote, method, path, body, out, err);
        gf__free(path);
    }
    if (st == GF_OK && gf__json_find(*out, "metadata") != NULL)
        st = gf__remote_wait(cli, &remote, out, err);
    gf__remote_close(&remote);
done:
    gf__json_free(body);
    return st;
}

static gf_status run_describe(gf__cli *cli, const void *settings, gf_error *err)
{
    gf__json *version = NULL;
    const gf_status st = ask_about_version(cli, settings, "GET", NULL, &version, err);
    if (st == GF_OK)
        return gf__print_answer(cli, version, err);
    gf__json_free(version);
    return st;
}

const gf__command gf__command_versions_describe = {
    .name = "versions describe",
    .words = "VERSION",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Show a version.",
    .text = "Prints the Version document of the API: its state, origin, scaling, and why it FAILED "
            "where it did.",
    .examples = "graft versions describe v1 --model flowers",
    .options = one_options,
    .n_options = GF__N_OPTIONS(one_options),
    .settings_size = sizeof(versions_settings),
    .preset = preset,
    .run = run_describe,
};

static gf_status run_set_default(gf__cli *cli, const void *settings, gf_error *err)
{
    gf__json *version = NULL;
    const gf_status st = ask_about_version(cli, settings, "POST", ":setDefault", &version, err);
    return gf__print_done(cli, st, version, "the default is version", cli->words[0], err);
}

const gf__command gf__command_versions_set_default = {
    .name = "versions set-default",
    .words = "VERSION",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Make a version the one that requests without a version get.",
    .text = "It must be READY. Requests that are being answered are finished by the one before.",
    .examples = "graft versions set-default v2 --model flowers",
    .options = one_options,
    .n_options = GF__N_OPTIONS(one_options),
    .settings_size = sizeof(versions_settings),
    .preset = preset,
    .run = run_set_default,
};

static gf_status run_delete(gf__cli *cli, const void *settings, gf_error *err)
{
    const versions_settings *s = settings;
    gf__json *operation = NULL;
    gf_status st = check_model(s, err);
    if (st == GF_OK &&
        gf__confirm(cli, "Delete version %s of %s?", cli->words[0], s->model) != GF_OK)
        st = gf_error_set(err, GF_ECANCELED, "%s was not deleted", cli->words[0]);
    if (st == GF_OK)
        st = ask_about_version(cli, s, "DELETE", NULL, &operation, err);
    return gf__print_done(cli, st, operation, "deleted version", cli->words[0], err);
}

const gf__command gf__command_versions_delete = {
    .name = "versions delete",
    .words = "VERSION",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Delete a version.",
    .text =
        "Asks first on a terminal; with --quiet it does not. A default version can only be deleted "
        "as the last one. Requests that are being answered are finished first.",
    .examples = "graft versions delete v1 --model flowers --quiet",
    .options = one_options,
    .n_options = GF__N_OPTIONS(one_options),
    .settings_size = sizeof(versions_settings),
    .preset = preset,
    .run = run_delete,
};

static const gf__option update_options[] = {
    MODEL_OPTION,
    GF__TEXT("--description", "TEXT", NULL, versions_settings, description,
             "A new description; '' clears it."),
    SCALING_OPTIONS,
    GF__LABEL_OPTIONS(versions_settings),
    GF__REMOTE_OPTIONS(versions_settings),
    GF__FORMAT_OPTION(versions_settings),
};

static gf_status update(gf__cli *cli, gf__remote *remote, const versions_settings *s,
                        gf__json **operation, gf_error *err)
{
    gf__json *patch = gf__json_object();
    gf__buffer mask = {0};
    char *path = gf__model_path(remote, s->model, cli->words[0], NULL);
    if (s->description != NULL) {
        gf__json_set_string(patch, "description", s->description);
        gf__mask_add(&mask, "description");
    }
    gf_status st = set_scaling(s, patch, &mask, err);
    if (st == GF_OK)
        st = gf__labels_change(remote, path, &s->labels, patch, &mask, err);
    if (st == GF_OK)
        st = gf__remote_patch(cli, remote, path, patch, &mask, operation, err);
    gf__json_free(patch);
    gf__buffer_free(&mask);
    gf__free(path);
    return st;
}

static gf_status run_update(gf__cli *cli, const void *settings, gf_error *err)
{
    gf__json *operation = NULL;
    const gf_status st = ask_server(cli, settings, update, &operation, err);
    return gf__print_done(cli, st, operation, "updated version", cli->words[0], err);
}

const gf__command gf__command_versions_update = {
    .name = "versions update",
    .words = "VERSION",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Change a version's scaling, description and labels.",
    .text = "Changes what is named and leaves the rest. What it predicts never changes.",
    .examples = "graft versions update v1 --model flowers --min-nodes 1\n"
                "graft versions update v1 --model flowers --update-labels stage=canary",
    .options = update_options,
    .n_options = GF__N_OPTIONS(update_options),
    .settings_size = sizeof(versions_settings),
    .preset = preset,
    .run = run_update,
};
