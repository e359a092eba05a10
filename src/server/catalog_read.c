/* server/catalog_read.c: models and versions from the registry's documents, and which of a
 * version's files is the model. */
#include "server/catalog_priv.h"

#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "server/server_priv.h"

#define PAGE_SIZE 100 /* the largest the registry gives */

void gf__catalog_item_free(gf__catalog_item *item)
{
    if (item == NULL)
        return;
    gf__free(item->name);
    gf__free(item->full_name);
    gf__free(item->state);
    gf__free(item->error_message);
    gf__json_free(item->labels);
    gf__free(item);
}

void gf__catalog_model_free(gf__catalog_model *model)
{
    if (model == NULL)
        return;
    for (size_t i = 0; i < model->n_items; i++)
        gf__catalog_item_free(model->items[i]);
    gf__free(model->items);
    gf__free(model->project);
    gf__free(model->name);
    gf__free(model->default_name);
    gf__free(model);
}

size_t gf__catalog_place(const gf__catalog_model *model, const char *name, bool *is_there)
{
    size_t low = 0, high = model->n_items;
    *is_there = false;
    while (low < high && !*is_there) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(model->items[middle]->name, name);
        *is_there = order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return *is_there ? high : low;
}

gf_status gf__catalog_reserve(gf__catalog_model *model, gf_error *err)
{
    if (model->n_items < model->capacity)
        return GF_OK;
    const size_t capacity = model->capacity == 0 ? 4 : 2 * model->capacity;
    gf__catalog_item **items = gf__realloc(model->items, capacity * sizeof(gf__catalog_item *));
    if (items == NULL)
        return gf__error_nomem(err, "a list of versions", capacity * sizeof(gf__catalog_item *));
    model->items = items;
    model->capacity = capacity;
    return GF_OK;
}

static void read_scaling(const gf__json *document, gf__catalog_item *item)
{
    const gf__json *scaling = gf__json_find(document, "autoScaling");
    const gf__json *manual = gf__json_find(document, "manualScaling");
    item->min_nodes = (int)gf__json_int(gf__json_find(scaling, "minNodes"), 0);
    item->max_nodes = (int)gf__json_int(gf__json_find(scaling, "maxNodes"), 0);
    if (manual != NULL) {
        item->min_nodes = (int)gf__json_int(gf__json_find(manual, "nodes"), 0);
        item->max_nodes = item->min_nodes;
    }
}

static gf_status read_item(const gf__json *document, gf__catalog_item **out, gf_error *err)
{
    gf__catalog_item *item = gf__calloc(1, sizeof *item);
    const gf__json *labels = gf__json_find(document, "labels");
    *out = NULL;
    if (item == NULL)
        return gf__error_nomem(err, "a version", sizeof *item);
    item->full_name = gf__strdup(gf__json_string(gf__json_find(document, "name"), ""));
    item->name = item->full_name != NULL ? gf__strdup(gf__path_base(item->full_name)) : NULL;
    item->state = gf__strdup(gf__json_string(gf__json_find(document, "state"), ""));
    item->error_message = gf__strdup(gf__json_string(gf__json_find(document, "errorMessage"), ""));
    item->labels = labels != NULL ? gf__json_copy(labels) : NULL;
    if (item->name == NULL || item->state == NULL || item->error_message == NULL ||
        (labels != NULL && item->labels == NULL)) {
        gf__catalog_item_free(item);
        return gf__error_nomem(err, "a version", 0);
    }
    item->is_ready = strcmp(item->state, "READY") == 0;
    read_scaling(document, item);
    *out = item;
    return GF_OK;
}

/* A text of the registry as a document; the text is ended. */
static gf_status parse_text(char *text, gf__json **out, gf_error *err)
{
    const gf_status st = gf__json_parse(text, strlen(text), out, err);
    gf_registry_free_text(text);
    return st;
}

/* A list call of the registry, from its first page to its last. */
typedef struct list_walk {
    gf_status (*list)(gf_registry *registry, const char *parent, const gf_registry_page *page,
                      char **list, gf_error *err);
    const char *parent, *key;
    gf_status (*visit)(void *user, const gf__json *document, gf_error *err);
    void *user;
} list_walk;

static gf_status walk_page(gf_registry *registry, const list_walk *walk, char **token,
                           gf_error *err)
{
    const gf_registry_page page = {.size = PAGE_SIZE, .token = *token};
    char *text = NULL;
    gf__json *document = NULL;
    gf_status st = walk->list(registry, walk->parent, &page, &text, err);
    if (st == GF_OK)
        st = parse_text(text, &document, err);
    const gf__json *items = gf__json_find(document, walk->key);
    for (size_t i = 0; st == GF_OK && i < gf__json_n_items(items); i++)
        st = walk->visit(walk->user, gf__json_at(items, i), err);
    gf__free(*token);
    *token = NULL;
    const char *next = gf__json_string(gf__json_find(document, "nextPageToken"), NULL);
    if (st == GF_OK && next != NULL) {
        *token = gf__strdup(next);
        st = *token != NULL ? GF_OK : gf__error_nomem(err, "a page token", 0);
    }
    gf__json_free(document);
    return st;
}

static gf_status walk_list(gf_registry *registry, const list_walk *walk, gf_error *err)
{
    char *token = NULL;
    gf_status st = GF_OK;
    do
        st = walk_page(registry, walk, &token, err);
    while (st == GF_OK && token != NULL);
    gf__free(token);
    return st;
}

static gf_status add_item(void *user, const gf__json *document, gf_error *err)
{
    gf__catalog_model *model = user;
    gf__catalog_item *item = NULL;
    gf_status st = gf__catalog_reserve(model, err);
    if (st == GF_OK)
        st = read_item(document, &item, err);
    if (st == GF_OK) /* the registry lists by name, in the order of strcmp() */
        model->items[model->n_items++] = item;
    return st;
}

static gf_status read_default(gf_registry *registry, const char *model, char **default_name,
                              gf_error *err)
{
    char *text = NULL;
    gf__json *document = NULL;
    *default_name = NULL;
    gf_status st = gf_registry_get_model(registry, model, &text, err);
    if (st == GF_OK)
        st = parse_text(text, &document, err);
    if (st != GF_OK)
        return st;
    const gf__json *version = gf__json_find(document, "defaultVersion");
    *default_name = gf__strdup(gf__path_base(gf__json_string(gf__json_find(version, "name"), "")));
    gf__json_free(document);
    return *default_name != NULL ? GF_OK : gf__error_nomem(err, "a name", 0);
}

static gf_status keep_name(const char *name, gf__catalog_model *model, gf_error *err)
{
    gf__name_parts parts;
    const gf_status st = gf__name_split(name, &parts, err);
    if (st != GF_OK)
        return st;
    model->project = gf__strdup(parts.project);
    model->name = gf__strdup(parts.model);
    gf__name_parts_free(&parts);
    return model->project != NULL && model->name != NULL ? GF_OK
                                                         : gf__error_nomem(err, "a name", 0);
}

gf_status gf__catalog_read_model(gf_registry *registry, const char *name, gf__catalog_model **out,
                                 gf_error *err)
{
    gf__catalog_model *model = gf__calloc(1, sizeof *model);
    const list_walk walk = {gf_registry_list_versions, name, "versions", add_item, model};
    *out = NULL;
    if (model == NULL)
        return gf__error_nomem(err, "a model", sizeof *model);
    gf_status st = keep_name(name, model, err);
    if (st == GF_OK)
        st = walk_list(registry, &walk, err);
    if (st == GF_OK)
        st = read_default(registry, name, &model->default_name, err);
    if (st != GF_OK) {
        gf__catalog_model_free(model);
        return st;
    }
    *out = model;
    return GF_OK;
}

gf_status gf__catalog_read_version(gf_registry *registry, const char *model, const char *version,
                                   gf__catalog_item **out, char **default_name, gf_error *err)
{
    char *text = NULL;
    gf__json *document = NULL;
    gf_error own;
    *out = NULL;
    gf_status st = read_default(registry, model, default_name, err);
    if (st != GF_OK)
        return st;
    st = gf_registry_get_version(registry, version, &text, &own);
    if (st == GF_ENOTFOUND)
        return GF_OK;
    if (st == GF_OK)
        st = parse_text(text, &document, &own);
    if (st == GF_OK)
        st = read_item(document, out, &own);
    gf__json_free(document);
    if (st == GF_OK)
        return GF_OK;
    gf__free(*default_name);
    *default_name = NULL;
    return gf_error_set(err, st, "%s", own.message);
}

typedef struct model_walk {
    gf_status (*visit)(void *user, const char *model, gf_error *err);
    void *user;
} model_walk;

static gf_status visit_model(void *user, const gf__json *document, gf_error *err)
{
    const model_walk *walk = user;
    return walk->visit(walk->user, gf__json_string(gf__json_find(document, "name"), ""), err);
}

static gf_status visit_project(gf_registry *registry, const char *project, model_walk *models,
                               gf_error *err)
{
    char *parent = gf__asprintf("projects/%s", project);
    const list_walk walk = {gf_registry_list_models, parent, "models", visit_model, models};
    const gf_status st = parent != NULL ? walk_list(registry, &walk, err)
                                        : gf__error_nomem(err, "a name", 0);
    gf__free(parent);
    return st;
}

gf_status gf__catalog_each_model(gf_registry *registry,
                                 gf_status (*visit)(void *user, const char *model, gf_error *err),
                                 void *user, gf_error *err)
{
    char *text = NULL;
    gf__json *document = NULL;
    model_walk models = {visit, user};
    gf_status st = gf_registry_list_projects(registry, &text, err);
    if (st == GF_OK)
        st = parse_text(text, &document, err);
    const gf__json *projects = gf__json_find(document, "projects");
    for (size_t i = 0; st == GF_OK && i < gf__json_n_items(projects); i++)
        st = visit_project(registry, gf__json_string(gf__json_at(projects, i), ""), &models, err);
    gf__json_free(document);
    return st;
}

/* ---- the model file -------------------------------------------------------------------------- */

gf_status gf__catalog_model_file(const gf_registry_files *files, const char **blob_path,
                                 gf_error *err)
{
    size_t index = 0;
    gf__model_candidate *candidates = gf__calloc(files->n_files + 1, sizeof *candidates);
    if (candidates == NULL)
        return gf__error_nomem(err, "a list of files", files->n_files);
    for (size_t i = 0; i < files->n_files; i++)
        candidates[i] = (gf__model_candidate){files->files[i].path, files->files[i].blob_path};
    const gf_status st = gf__model_choose_file(candidates, files->n_files, &index, err);
    gf__free(candidates);
    if (st == GF_OK)
        *blob_path = files->files[index].blob_path;
    return st;
}
