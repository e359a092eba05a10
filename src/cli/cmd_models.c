/* cli/cmd_models.c: graft models create, list, describe, update, delete: models of a server, as gcloud
 * has them. */
#include <string.h>

#include "cli/labels.h"
#include "cli/remote.h"

typedef struct models_settings {
    gf__remote_settings remote;
    gf__label_settings labels;
    gf__cli_list new_labels, regions;
    const char *description, *filter;
    int limit;
} models_settings;

/* Sends a request about one model and prints what comes back. */
static gf_status ask_about_model(gf__cli *cli, const models_settings *s, const char *method,
                                 gf__json **out, gf_error *err)
{
    gf__remote remote;
    gf_status st = gf__remote_open(cli, &s->remote, &remote, err);
    if (st == GF_OK) {
        char *path = gf__model_path(&remote, cli->words[0], NULL, NULL);
        st = gf__remote_call(&remote, method, path, NULL, out, err);
        if (st == GF_OK && gf__json_find(*out, "done") != NULL)
            st = gf__remote_wait(cli, &remote, out, err);
        gf__free(path);
    }
    gf__remote_close(&remote);
    return st;
}

/* ---- create ---------------------------------------------------------------------------------- */

static const gf__option create_options[] = {
    GF__TEXT("--description", "TEXT", NULL, models_settings, description, "What it is for."),
    GF__LIST("--labels", "K=V,K=V", NULL, models_settings, new_labels,
             "Labels to find it by. May be given several times."),
    GF__LIST("--regions", "REGION", NULL, models_settings, regions,
             "Kept with the model, as Cloud ML Engine did; serves nothing else."),
    GF__REMOTE_OPTIONS(models_settings),
    GF__FORMAT_OPTION(models_settings),
};

static gf_status make_model(const models_settings *s, const char *name, gf__json *model,
                            gf_error *err)
{
    gf__json *labels = gf__json_object();
    gf_status st = gf__labels_parse(&s->new_labels, labels, err);
    gf__json_set_string(model, "name", name);
    if (s->description != NULL)
        gf__json_set_string(model, "description", s->description);
    if (s->new_labels.n > 0)
        gf__json_set(model, "labels", labels);
    else
        gf__json_free(labels);
    if (s->regions.n > 0) {
        gf__json *regions = gf__json_array();
        for (size_t i = 0; i < s->regions.n; i++)
            gf__json_append(regions, gf__json_new_string(s->regions.items[i]));
        gf__json_set(model, "regions", regions);
    }
    return st == GF_OK ? gf__json_status(model, err) : st;
}

static gf_status run_create(gf__cli *cli, const void *settings, gf_error *err)
{
    const models_settings *s = settings;
    gf__remote remote;
    gf__json *model = gf__json_object(), *made = NULL;
    gf_status st = gf__remote_open(cli, &s->remote, &remote, err);
    if (st == GF_OK)
        st = make_model(s, cli->words[0], model, err);
    if (st == GF_OK) {
        char *path = gf__model_path(&remote, NULL, NULL, NULL);
        st = gf__remote_call(&remote, "POST", path, model, &made, err);
        gf__free(path);
    }
    gf__json_free(model);
    gf__remote_close(&remote);
    return gf__print_done(cli, st, made, "created model", gf__short_name(made, "name"), err);
}

const gf__command gf__command_models_create = {
    .name = "models create",
    .words = "MODEL",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Make a model: the name that versions go below.",
    .text =
        "A model has a name (letters, digits and underscores, first a letter) and versions, one "
        "of which is its default. The flags are gcloud's.",
    .examples = "graft models create flowers\n"
                "graft models create flowers --description 'roses and tulips' --labels team=garden",
    .options = create_options,
    .n_options = GF__N_OPTIONS(create_options),
    .settings_size = sizeof(models_settings),
    .run = run_create,
};

/* ---- list ------------------------------------------------------------------------------------ */

static const gf__option list_options[] = {
    GF__TEXT(
        "--filter", "EXPR", NULL, models_settings, filter,
        "Only those: FIELD:VALUE, FIELD=VALUE, FIELD!=VALUE joined by AND; VALUE may end in *."),
    GF__INT("--limit", "N", "all", models_settings, limit, 1, 1e9, "No more than so many."),
    GF__REMOTE_OPTIONS(models_settings),
    GF__FORMAT_OPTION(models_settings),
};

static gf_status print_models(gf__cli *cli, gf__json *models, gf_error *err)
{
    static const char *const headings[] = {"NAME", "DEFAULT_VERSION", "DESCRIPTION"};
    if (cli->is_json)
        return gf__cli_print_json(models, err);
    gf__table *table = gf__table_new(headings, 3);
    for (size_t i = 0; i < gf__json_n_items(models); i++) {
        const gf__json *model = gf__json_at(models, i);
        const char *const cells[] = {
            gf__short_name(model, "name"),
            gf__short_name(gf__json_find(model, "defaultVersion"), "name"),
            gf__json_string(gf__json_find(model, "description"), ""),
        };
        gf__table_row(table, cells);
    }
    gf__json_free(models);
    return gf__table_print(table, err);
}

static gf_status run_list(gf__cli *cli, const void *settings, gf_error *err)
{
    const models_settings *s = settings;
    gf__remote remote;
    const gf__list_query query = {"models", "filter", s->filter, s->limit, 0};
    gf__json *models = NULL;
    gf_status st = gf__remote_open(cli, &s->remote, &remote, err);
    if (st == GF_OK) {
        char *path = gf__model_path(&remote, NULL, NULL, NULL);
        st = gf__remote_list(&remote, path, &query, &models, err);
        gf__free(path);
    }
    if (st == GF_OK)
        st = print_models(cli, models, err);
    gf__remote_close(&remote);
    return st;
}

const gf__command gf__command_models_list = {
    .name = "models list",
    .words = "",
    .summary = "List the models of a project.",
    .text = "In the order of their names. With --json, the Model documents of the API in an array.",
    .examples = "graft models list\n"
                "graft models list --filter 'labels.team:garden' --json",
    .options = list_options,
    .n_options = GF__N_OPTIONS(list_options),
    .settings_size = sizeof(models_settings),
    .run = run_list,
};

/* ---- describe, update, delete ---------------------------------------------------------------- */

static const gf__option describe_options[] = {
    GF__REMOTE_OPTIONS(models_settings),
    GF__FORMAT_OPTION(models_settings),
};

static gf_status run_describe(gf__cli *cli, const void *settings, gf_error *err)
{
    gf__json *model = NULL;
    const gf_status st = ask_about_model(cli, settings, "GET", &model, err);
    if (st == GF_OK)
        return gf__print_answer(cli, model, err);
    gf__json_free(model);
    return st;
}

const gf__command gf__command_models_describe = {
    .name = "models describe",
    .words = "MODEL",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Show a model and its default version.",
    .text = "Prints the Model document of the API.",
    .examples = "graft models describe flowers",
    .options = describe_options,
    .n_options = GF__N_OPTIONS(describe_options),
    .settings_size = sizeof(models_settings),
    .run = run_describe,
};

static const gf__option update_options[] = {
    GF__TEXT("--description", "TEXT", NULL, models_settings, description,
             "A new description; '' clears it."),
    GF__LABEL_OPTIONS(models_settings),
    GF__REMOTE_OPTIONS(models_settings),
    GF__FORMAT_OPTION(models_settings),
};

static gf_status run_update(gf__cli *cli, const void *settings, gf_error *err)
{
    const models_settings *s = settings;
    gf__remote remote;
    gf__json *patch = gf__json_object(), *answer = NULL;
    gf__buffer mask = {0};
    char *path = NULL;
    gf_status st = gf__remote_open(cli, &s->remote, &remote, err);
    if (st == GF_OK)
        path = gf__model_path(&remote, cli->words[0], NULL, NULL);
    if (st == GF_OK && s->description != NULL) {
        gf__json_set_string(patch, "description", s->description);
        gf__mask_add(&mask, "description");
    }
    if (st == GF_OK)
        st = gf__labels_change(&remote, path, &s->labels, patch, &mask, err);
    if (st == GF_OK)
        st = gf__remote_patch(cli, &remote, path, patch, &mask, &answer, err);
    gf__json_free(patch);
    gf__buffer_free(&mask);
    gf__free(path);
    gf__remote_close(&remote);
    return gf__print_done(cli, st, answer, "updated model", cli->words[0], err);
}

const gf__command gf__command_models_update = {
    .name = "models update",
    .words = "MODEL",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Change a model's description and labels.",
    .text = "Changes what is named and leaves the rest. The default version is changed with `graft "
            "versions set-default`.",
    .examples = "graft models update flowers --description 'roses, tulips and daisies'\n"
                "graft models update flowers --update-labels team=garden --remove-labels owner",
    .options = update_options,
    .n_options = GF__N_OPTIONS(update_options),
    .settings_size = sizeof(models_settings),
    .run = run_update,
};

static gf_status run_delete(gf__cli *cli, const void *settings, gf_error *err)
{
    gf__json *operation = NULL;
    if (gf__confirm(cli, "Delete model %s?", cli->words[0]) != GF_OK)
        return gf_error_set(err, GF_ECANCELED, "%s was not deleted", cli->words[0]);
    const gf_status st = ask_about_model(cli, settings, "DELETE", &operation, err);
    return gf__print_done(cli, st, operation, "deleted model", cli->words[0], err);
}

const gf__command gf__command_models_delete = {
    .name = "models delete",
    .words = "MODEL",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Delete a model that has no versions.",
    .text =
        "Asks first on a terminal; with --quiet it does not. Its versions must be deleted before.",
    .examples = "graft models delete flowers --quiet",
    .options = describe_options,
    .n_options = GF__N_OPTIONS(describe_options),
    .settings_size = sizeof(models_settings),
    .run = run_delete,
};
