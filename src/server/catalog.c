/* server/catalog.c: names of the API -> versions that can be asked.
 *
 * Two locks. turn is held by whoever brings a part of the catalog up to date, from reading the
 * registry to the end: what was read later is never overwritten by what was read earlier. mutex is
 * held for the moments in which the catalog is looked at or changed; so a request sees a model's
 * versions and its default from before a change, or from after it. mutex is taken after turn, and
 * the pools' own lock after mutex. */
#include <string.h>

#include "server/catalog_priv.h"
#include "server/server_priv.h"

struct gf__catalog {
    gf_server *server;
    pthread_mutex_t turn, mutex;
    gf__catalog_model **models; /* by project and name */
    size_t n_models, capacity;
};

/* ---- finding --------------------------------------------------------------------------------- */

static int compare(const gf__catalog_model *model, const char *project, const char *name)
{
    const int order = strcmp(model->project, project);
    return order != 0 ? order : strcmp(model->name, name);
}

/* Where a model is, or belongs. */
static size_t place_of(const gf__catalog *catalog, const char *project, const char *name,
                       bool *is_there)
{
    size_t low = 0, high = catalog->n_models;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare(catalog->models[middle], project, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *is_there = low < catalog->n_models && compare(catalog->models[low], project, name) == 0;
    return low;
}

static gf__catalog_model *find_model(const gf__catalog *catalog, const char *project,
                                     const char *name)
{
    bool is_there;
    const size_t i = place_of(catalog, project, name, &is_there);
    return is_there ? catalog->models[i] : NULL;
}

static gf__catalog_item *find_item(const gf__catalog_model *model, const char *name)
{
    bool is_there = false;
    const size_t i = model != NULL ? gf__catalog_place(model, name, &is_there) : 0;
    return is_there ? model->items[i] : NULL;
}

static bool can_be_asked(const gf__catalog_item *item)
{
    return item->is_ready && item->is_pooled;
}

static gf_status find_labelled(const gf__catalog_model *model, const char *label,
                               gf__catalog_item **out, gf_error *err)
{
    for (size_t i = 0; i < model->n_items; i++) {
        gf__catalog_item *item = model->items[i];
        if (gf__json_find(item->labels, label) == NULL)
            continue;
        if (*out == NULL || (can_be_asked(item) && !can_be_asked(*out)))
            *out = item;
    }
    if (*out != NULL)
        return GF_OK;
    return gf_error_set(err, GF_ENOTFOUND, "label not found: %.100s at projects/%s/models/%s",
                        label, model->project, model->name);
}

static gf_status find_default(const gf__catalog_model *model, gf__catalog_item **out, gf_error *err)
{
    *out = find_item(model, model->default_name);
    if (*out != NULL)
        return GF_OK;
    return gf_error_set(err, GF_EPRECONDITION,
                        "projects/%s/models/%s: has no default version; create a version first, "
                        "or wait until it is READY",
                        model->project, model->name);
}

static gf_status refuse_unready(const gf__catalog_item *item, gf_error *err)
{
    const bool has_reason = item->error_message[0] != '\0';
    if (can_be_asked(item))
        return GF_OK;
    if (strcmp(item->state, "READY") == 0)
        return gf_error_set(err, GF_EPRECONDITION, "%s: is being deleted", item->full_name);
    return gf_error_set(err, GF_EPRECONDITION, "%s: is %s, not READY%s%s", item->full_name,
                        item->state, has_reason ? ": " : "", item->error_message);
}

/* Under the mutex. *is_awaited: what was found may become READY. */
static gf_status find(const gf__catalog *catalog, const char *project, const char *model,
                      const char *version, const char *label, gf__served **out, bool *is_awaited,
                      gf_error *err)
{
    const gf__catalog_model *entry = find_model(catalog, project, model);
    gf__catalog_item *item = NULL;
    gf_status st = GF_OK;
    if (entry == NULL)
        return gf_error_set(err, GF_ENOTFOUND, "model not found: projects/%.128s/models/%.128s",
                            project, model);
    if (version != NULL) {
        item = find_item(entry, version);
        if (item == NULL)
            st = gf_error_set(err, GF_ENOTFOUND,
                              "version not found: projects/%s/models/%s/versions/%.128s", project,
                              model, version);
    } else if (label != NULL) {
        st = find_labelled(entry, label, &item, err);
    } else {
        st = find_default(entry, &item, err);
    }
    if (st == GF_OK)
        st = refuse_unready(item, err);
    *is_awaited = st == GF_EPRECONDITION && (item == NULL || strcmp(item->state, "READY") != 0);
    if (st != GF_OK)
        return st;
    *out = gf__pools_find(catalog->server->pools, item->full_name);
    return *out != NULL
               ? GF_OK
               : gf_error_set(err, GF_EUNAVAILABLE, "%s: is being unloaded", item->full_name);
}

gf_status gf__catalog_find(gf__catalog *catalog, const char *project, const char *model,
                           const char *version, const char *label, gf__served **out, gf_error *err)
{
    bool is_awaited = false;
    *out = NULL;
    pthread_mutex_lock(&catalog->mutex);
    gf_status st = find(catalog, project, model, version, label, out, &is_awaited, err);
    pthread_mutex_unlock(&catalog->mutex);
    if (!is_awaited)
        return st;
    /* READY in the registry, and told to a client, a moment before it is here: look there. */
    char *name = gf__name_of(project, model, version);
    if (name == NULL)
        return gf__error_nomem(err, "a name", 0);
    st = gf__catalog_refresh(catalog, name, err);
    gf__free(name);
    if (st != GF_OK)
        return st;
    pthread_mutex_lock(&catalog->mutex);
    st = find(catalog, project, model, version, label, out, &is_awaited, err);
    pthread_mutex_unlock(&catalog->mutex);
    return st;
}

static size_t visit_items(const gf__catalog_model *model,
                          void (*visit)(void *user, const gf__catalog_version *version), void *user)
{
    for (size_t i = 0; i < model->n_items; i++) {
        const gf__catalog_item *item = model->items[i];
        const gf__catalog_version version = {
            .project = model->project,
            .model = model->name,
            .version = item->name,
            .state = item->state,
            .error_message = item->error_message,
            .is_default = strcmp(item->name, model->default_name) == 0,
            .labels = item->labels};
        visit(user, &version);
    }
    return model->n_items;
}

/* Under the mutex. */
static size_t walk(const gf__catalog *catalog, const char *project, const char *model,
                   void (*visit)(void *user, const gf__catalog_version *version), void *user)
{
    size_t n = 0;
    bool is_there = false;
    const size_t begin = project == NULL
                             ? 0
                             : place_of(catalog, project, model != NULL ? model : "", &is_there);
    for (size_t i = begin; i < catalog->n_models; i++) {
        const gf__catalog_model *entry = catalog->models[i];
        if (project != NULL && strcmp(entry->project, project) != 0)
            break;
        if (model == NULL || strcmp(entry->name, model) == 0)
            n += visit_items(entry, visit, user);
        else if (project != NULL)
            break;
    }
    return n;
}

/* A line for each version, so that one model's come together. */
static void note_unready(void *user, const gf__catalog_version *version)
{
    if (strcmp(version->state, "CREATING") == 0)
        gf__buffer_printf(user, "projects/%s/models/%s\n", version->project, version->model);
}

/* What is being made may be READY in the registry, and told to a client, a moment before it is
 * here. */
static void catch_up(gf__catalog *catalog, const char *project, const char *model)
{
    gf__buffer unready = {0};
    pthread_mutex_lock(&catalog->mutex);
    walk(catalog, project, model, note_unready, &unready);
    pthread_mutex_unlock(&catalog->mutex);
    char *names = gf__buffer_take(&unready, NULL);
    const char *before = "";
    for (char *name = names, *end; name != NULL && *name != '\0'; name = end + 1) {
        end = strchr(name, '\n');
        *end = '\0';
        if (strcmp(name, before) != 0)
            gf__catalog_refresh(catalog, name, NULL);
        before = name;
    }
    gf__free(names);
}

size_t gf__catalog_visit(gf__catalog *catalog, const char *project, const char *model,
                         void (*visit)(void *user, const gf__catalog_version *version), void *user)
{
    catch_up(catalog, project, model);
    pthread_mutex_lock(&catalog->mutex);
    const size_t n = walk(catalog, project, model, visit, user);
    pthread_mutex_unlock(&catalog->mutex);
    return n;
}

/* ---- what the pools have --------------------------------------------------------------------- */

static gf_status add_to_pools(gf__catalog *catalog, const gf__catalog_item *item, gf_error *err)
{
    gf_server *server = catalog->server;
    gf_registry_files files;
    const char *path = NULL;
    gf_status st = gf_registry_get_files(server->registry, item->full_name, &files, err);
    if (st == GF_OK)
        st = gf__catalog_model_file(&files, &path, err);
    if (st == GF_OK)
        st = gf__pools_add(server->pools,
                           &(gf__version_spec){.name = item->full_name,
                                               .model_path = path,
                                               .min_nodes = item->min_nodes,
                                               .max_nodes = item->max_nodes},
                           err);
    gf_registry_free_files(&files);
    return st;
}

/* READY for the registry, and yet it cannot be had: it is shown as FAILED with the reason, others
 * go on, and the next refresh tries again. */
static gf_status note_failure(gf__catalog *catalog, gf__catalog_item *item, const gf_error *reason,
                              gf_error *err)
{
    gf__observe_log(&catalog->server->options.observer, GF_LOG_WARNING, "%s: is not served: %s",
                    item->full_name, reason->message);
    gf__free(item->error_message);
    gf__free(item->state);
    item->state = gf__strdup("FAILED");
    item->error_message = gf__strdup(reason->message);
    return item->state != NULL && item->error_message != NULL
               ? GF_OK
               : gf__error_nomem(err, "a message", 0);
}

/* Brings the pools in step with what was read. before: the same version as it was, or NULL. What is
 * being deleted stays in the pools until gf__catalog_drop(), and is not found any more. */
static gf_status pool_item(gf__catalog *catalog, const gf__catalog_item *before,
                           gf__catalog_item *item, gf_error *err)
{
    gf__pools *pools = catalog->server->pools;
    gf_error reason = {0};
    item->is_pooled = before != NULL && before->is_pooled;
    if (!item->is_ready)
        return GF_OK;
    if (item->is_pooled) {
        if (item->min_nodes != before->min_nodes || item->max_nodes != before->max_nodes)
            return gf__pools_scale(pools, item->full_name, item->min_nodes, item->max_nodes, err);
        return GF_OK;
    }
    gf_status st = add_to_pools(catalog, item, &reason);
    if (st == GF_EEXISTS)
        st = gf__pools_scale(pools, item->full_name, item->min_nodes, item->max_nodes, &reason);
    item->is_pooled = st == GF_OK;
    return st == GF_OK ? GF_OK : note_failure(catalog, item, &reason, err);
}

/* Items of before that after (may be NULL) has not, out of the pools; waits for their last
 * requests. */
static void remove_gone(gf__catalog *catalog, const gf__catalog_model *before,
                        const gf__catalog_model *after)
{
    for (size_t i = 0; before != NULL && i < before->n_items; i++) {
        const gf__catalog_item *item = before->items[i];
        if (item->is_pooled && find_item(after, item->name) == NULL)
            gf__pools_remove(catalog->server->pools, item->full_name, NULL);
    }
}

/* ---- keeping in step ------------------------------------------------------------------------- */

static gf_status reserve_model(gf__catalog *catalog, gf_error *err)
{
    if (catalog->n_models < catalog->capacity)
        return GF_OK;
    const size_t capacity = catalog->capacity == 0 ? 16 : 2 * catalog->capacity;
    gf__catalog_model **models = gf__realloc(catalog->models,
                                             capacity * sizeof(gf__catalog_model *));
    if (models == NULL)
        return gf__error_nomem(err, "a list of models", capacity * sizeof(gf__catalog_model *));
    catalog->models = models;
    catalog->capacity = capacity;
    return GF_OK;
}

/* Puts model in the place of the one of its name, or takes that one out (model NULL). *before is
 * what was there. Under the mutex. */
static gf_status exchange(gf__catalog *catalog, const char *project, const char *name,
                          gf__catalog_model *model, gf__catalog_model **before, gf_error *err)
{
    bool is_there;
    const gf_status st = reserve_model(catalog, err);
    const size_t i = place_of(catalog, project, name, &is_there);
    gf__catalog_model **at = catalog->models + i;
    *before = NULL;
    if (st != GF_OK)
        return st;
    if (is_there)
        *before = *at;
    if (is_there && model == NULL)
        memmove(at, at + 1, (--catalog->n_models - i) * sizeof(gf__catalog_model *));
    else if (!is_there && model != NULL)
        memmove(at + 1, at, (catalog->n_models++ - i) * sizeof(gf__catalog_model *));
    if (model != NULL)
        *at = model;
    return GF_OK;
}

/* The whole model. *gone is what it was, to be taken from the pools and freed. Under turn: nobody
 * else changes the model meanwhile. */
static gf_status refresh_model(gf__catalog *catalog, const gf__name_parts *name,
                               gf__catalog_model **after, gf__catalog_model **gone, gf_error *err)
{
    gf__catalog_model *model = NULL;
    gf_error own = {0};
    gf_status st = gf__catalog_read_model(catalog->server->registry, name->model_name, &model,
                                          &own);
    if (st != GF_OK && st != GF_ENOTFOUND)
        return gf_error_set(err, st, "%s", own.message);
    const gf__catalog_model *before = find_model(catalog, name->project, name->model);
    st = GF_OK;
    for (size_t i = 0; model != NULL && st == GF_OK && i < model->n_items; i++)
        st = pool_item(catalog, before != NULL ? find_item(before, model->items[i]->name) : NULL,
                       model->items[i], err);
    if (st == GF_OK) {
        pthread_mutex_lock(&catalog->mutex);
        st = exchange(catalog, name->project, name->model, model, gone, err);
        pthread_mutex_unlock(&catalog->mutex);
    }
    if (st != GF_OK) {
        gf__catalog_model_free(model);
        return st;
    }
    *after = model;
    return GF_OK;
}

/* Puts item in the place of the one of its name, or takes that one out (item NULL). *before is what
 * was there. Under the mutex. */
static gf_status exchange_item(gf__catalog_model *model, const char *name, gf__catalog_item *item,
                               gf__catalog_item **before, gf_error *err)
{
    bool is_there;
    const gf_status st = gf__catalog_reserve(model, err);
    const size_t i = gf__catalog_place(model, name, &is_there);
    gf__catalog_item **at = model->items + i;
    *before = NULL;
    if (st != GF_OK)
        return st;
    if (is_there)
        *before = *at;
    if (is_there && item == NULL)
        memmove(at, at + 1, (--model->n_items - i) * sizeof(gf__catalog_item *));
    else if (!is_there && item != NULL)
        memmove(at + 1, at, (model->n_items++ - i) * sizeof(gf__catalog_item *));
    if (item != NULL)
        *at = item;
    return GF_OK;
}

/* One version, without reading its model's others: with a thousand of them that is a thousand times
 * less. item (NULL: it is gone) and *default_name are what was read; both are taken over. */
static gf_status refresh_item(gf__catalog *catalog, gf__catalog_model *model, const char *version,
                              gf__catalog_item *item, char *default_name, gf_error *err)
{
    gf__catalog_item *before = find_item(model, version);
    gf_status st = item != NULL ? pool_item(catalog, before, item, err) : GF_OK;
    if (st == GF_OK) {
        pthread_mutex_lock(&catalog->mutex);
        st = exchange_item(model, version, item, &before, err);
        if (st == GF_OK) {
            char *old = model->default_name;
            model->default_name = default_name;
            default_name = old;
        }
        pthread_mutex_unlock(&catalog->mutex);
    }
    gf__free(default_name);
    if (st != GF_OK) {
        gf__catalog_item_free(item);
        return st;
    }
    if (item == NULL && before != NULL && before->is_pooled)
        gf__pools_remove(catalog->server->pools, before->full_name, NULL);
    gf__catalog_item_free(before);
    return GF_OK;
}

/* *is_done false where the whole model is to be read. */
static gf_status refresh_version(gf__catalog *catalog, const gf__name_parts *name,
                                 const char *full_name, bool *is_done, gf_error *err)
{
    gf__catalog_model *model = find_model(catalog, name->project, name->model);
    gf__catalog_item *item = NULL;
    char *default_name = NULL;
    gf_error own;
    *is_done = false;
    if (name->version[0] == '\0' || model == NULL)
        return GF_OK;
    const gf_status st = gf__catalog_read_version(catalog->server->registry, name->model_name,
                                                  full_name, &item, &default_name, &own);
    if (st == GF_ENOTFOUND) /* the model is gone as well */
        return GF_OK;
    *is_done = true;
    if (st != GF_OK)
        return gf_error_set(err, st, "%s", own.message);
    return refresh_item(catalog, model, name->version, item, default_name, err);
}

gf_status gf__catalog_refresh(gf__catalog *catalog, const char *name, gf_error *err)
{
    gf__name_parts where;
    gf__catalog_model *after = NULL, *gone = NULL;
    bool is_done = false;
    gf_status st = gf__name_split(name, &where, err);
    if (st != GF_OK)
        goto done;
    pthread_mutex_lock(&catalog->turn);
    st = refresh_version(catalog, &where, name, &is_done, err);
    if (st == GF_OK && !is_done)
        st = refresh_model(catalog, &where, &after, &gone, err);
    /* Under turn, so that after stays. Nothing is left to remove but what vanished without a
     * gf__catalog_drop(). */
    remove_gone(catalog, gone, after);
    pthread_mutex_unlock(&catalog->turn);
    gf__catalog_model_free(gone);
done:
    gf__name_parts_free(&where);
    return st;
}

gf_status gf__catalog_drop(gf__catalog *catalog, const char *version, gf_error *err)
{
    gf__name_parts where;
    bool was_pooled = false;
    gf_status st = gf__name_split(version, &where, err);
    if (st != GF_OK)
        goto done;
    pthread_mutex_lock(&catalog->turn);
    pthread_mutex_lock(&catalog->mutex);
    gf__catalog_item *item = find_item(find_model(catalog, where.project, where.model),
                                       where.version);
    if (item != NULL) {
        was_pooled = item->is_pooled;
        item->is_pooled = item->is_ready = false;
    }
    pthread_mutex_unlock(&catalog->mutex);
    pthread_mutex_unlock(&catalog->turn);
    /* Outside of turn: the last request may take a minute, and others go on. */
    if (was_pooled)
        st = gf__pools_remove(catalog->server->pools, version, err);
done:
    gf__name_parts_free(&where);
    return st;
}

static gf_status load_model(void *user, const char *model, gf_error *err)
{
    return gf__catalog_refresh(user, model, err);
}

gf_status gf__catalog_new(gf_server *server, gf__catalog **out, gf_error *err)
{
    gf__catalog *catalog = gf__calloc(1, sizeof *catalog);
    *out = NULL;
    if (catalog == NULL)
        return gf__error_nomem(err, "the catalog", sizeof *catalog);
    catalog->server = server;
    pthread_mutex_init(&catalog->turn, NULL);
    pthread_mutex_init(&catalog->mutex, NULL);
    const gf_status st = gf__catalog_each_model(server->registry, load_model, catalog, err);
    if (st != GF_OK) {
        gf__catalog_free(catalog);
        return st;
    }
    *out = catalog;
    return GF_OK;
}

void gf__catalog_free(gf__catalog *catalog)
{
    if (catalog == NULL)
        return;
    for (size_t i = 0; i < catalog->n_models; i++)
        gf__catalog_model_free(catalog->models[i]);
    gf__free(catalog->models);
    pthread_mutex_destroy(&catalog->turn);
    pthread_mutex_destroy(&catalog->mutex);
    gf__free(catalog);
}
