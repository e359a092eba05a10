/* pool/versions.c: the versions that can be asked for, and the pools and cuts that they need. */
#include <stdio.h>
#include <string.h>

#include "model/model.h"
#include "pool/pool_priv.h"
#include "zoo/zoo.h"

/* ---- cuts ---- */

bool gf__cut_is_needed(const gf__cut *cut)
{
    return cut->n_versions > 0 || (cut->n_checks > 0 && !cut->is_broken);
}

bool gf__node_has_cut(const gf__node *node, size_t cut)
{
    return cut == GF__NO_CUT || (cut < node->n_cuts && node->has_cut[cut]);
}

bool gf__node_is_outdated(const gf__node *node)
{
    for (size_t i = 0; i < node->pool->n_cuts; i++)
        if (gf__cut_is_needed(&node->pool->cuts[i]) && !gf__node_has_cut(node, i))
            return true;
    return false;
}

static gf_status find_cut(gf__trunk_pool *pool, const gf_model *model, size_t *out, gf_error *err)
{
    const char *layer = gf_model_layer(model);
    *out = 0;
    while (*out < pool->n_cuts && (pool->cuts[*out].pool != gf_model_pool(model) ||
                                   strcmp(pool->cuts[*out].layer, layer) != 0))
        (*out)++;
    if (*out < pool->n_cuts)
        return GF_OK;
    char *copy = gf__strdup(layer);
    gf__cut *cuts = gf__realloc(pool->cuts, (pool->n_cuts + 1) * sizeof *cuts);
    if (cuts != NULL)
        pool->cuts = cuts;
    if (copy == NULL || cuts == NULL) {
        gf__free(copy);
        return gf__error_nomem(err, "a cut", 0);
    }
    cuts[pool->n_cuts++] = (gf__cut){.layer = copy, .pool = gf_model_pool(model)};
    return GF_OK;
}

/* ---- pools ---- */

int gf__trunk_pool_min_nodes(const gf__trunk_pool *pool)
{
    int most = 0;
    for (size_t i = 0; i < pool->pools->n_versions; i++) {
        const gf__served *version = pool->pools->versions[i];
        if (version->pool == pool && version->min_nodes > most)
            most = version->min_nodes;
    }
    return most;
}

int gf__trunk_pool_max_nodes(const gf__trunk_pool *pool)
{
    const int n_threads = pool->pools->n_threads;
    int most = 1;
    for (size_t i = 0; i < pool->pools->n_versions; i++) {
        const gf__served *version = pool->pools->versions[i];
        if (version->pool != pool)
            continue;
        const int mine = version->max_nodes > 0 ? version->max_nodes : n_threads;
        most = mine > most ? mine : most;
    }
    return most < n_threads ? most : n_threads;
}

/* One that is served goes before one that is being checked. */
char *gf__trunk_pool_file(const gf__trunk_pool *pool)
{
    const gf__served *bundle = NULL;
    for (const gf__served *version = pool->checks; version != NULL; version = version->next_check)
        if (gf_model_is_bundle(version->model))
            bundle = version;
    for (size_t i = 0; i < pool->pools->n_versions; i++) {
        const gf__served *version = pool->pools->versions[i];
        if (version->pool == pool && !gf_model_is_bundle(version->model))
            return NULL;
        bundle = version->pool == pool ? version : bundle;
    }
    return bundle != NULL ? gf__strdup(bundle->model_path) : NULL;
}

void gf__trunk_pool_free(gf__trunk_pool *pool)
{
    for (size_t i = 0; i < pool->n_cuts; i++)
        gf__free(pool->cuts[i].layer);
    gf__free(pool->cuts);
    gf__free(pool->trunk_name);
    gf__free(pool->trunk_sha256);
    gf__free(pool);
}

static gf_status new_pool(gf__pools *pools, const char *name, const char *sha256,
                          gf_precision precision, gf__trunk_pool **out, gf_error *err)
{
    gf__trunk_pool *pool = gf__calloc(1, sizeof *pool);
    if (pool == NULL)
        return gf__error_nomem(err, "a pool", sizeof *pool);
    pool->pools = pools;
    pool->precision = precision;
    pool->trunk_name = name != NULL ? gf__strdup(name) : NULL;
    pool->trunk_sha256 = sha256 != NULL ? gf__strdup(sha256) : NULL;
    if ((name != NULL && pool->trunk_name == NULL) ||
        (sha256 != NULL && pool->trunk_sha256 == NULL)) {
        gf__trunk_pool_free(pool);
        return gf__error_nomem(err, "a pool", 0);
    }
    pool->counts.trunk = name != NULL ? pool->trunk_name : "";
    pool->counts.precision = name != NULL ? gf_precision_name(precision) : "";
    pool->next = pools->first_pool;
    pools->first_pool = pool;
    *out = pool;
    return GF_OK;
}

static gf_status find_pool(gf__pools *pools, const char *name, const char *sha256,
                           gf_precision precision, gf__trunk_pool **out, gf_error *err)
{
    for (gf__trunk_pool *pool = pools->first_pool; pool != NULL; pool = pool->next) {
        const bool is_same = sha256 == NULL || pool->trunk_sha256 == NULL
                                 ? sha256 == pool->trunk_sha256
                                 : pool->precision == precision &&
                                       strcmp(pool->trunk_sha256, sha256) == 0;
        if (is_same) {
            *out = pool;
            return GF_OK;
        }
    }
    return new_pool(pools, name, sha256, precision, out, err);
}

/* ---- a version ---- */

void gf__served_unref(gf__served *served)
{
    if (served == NULL || atomic_fetch_sub_explicit(&served->n_owners, 1, memory_order_acq_rel) > 1)
        return;
    gf_model_unref(served->model);
    gf__free(served->name);
    gf__free(served->model_path);
    gf__free(served);
}

const char *gf__served_name(const gf__served *served)
{
    return served->name;
}

const gf_model *gf__served_model(const gf__served *served)
{
    return served->model;
}

/* The trunk inside is known by a hash that is computed once; a model of its own, so that its pages
 * are let go. */
static gf_status hash_inside(const char *path, char sha256[GF__SHA256_HEX], gf_error *err)
{
    gf_model *model = NULL;
    gf_trunk *trunk = NULL;
    gf_status st = gf__model_load_document(path, &model, err);
    if (st == GF_OK)
        st = gf_model_trunk(model, NULL, &trunk, err);
    if (st == GF_OK)
        snprintf(sha256, GF__SHA256_HEX, "%s", gf_trunk_sha256(trunk));
    gf_trunk_free(trunk);
    gf_model_unref(model);
    return st;
}

static gf_status read_version(const gf__version_spec *spec, gf__served **out,
                              char sha256[GF__SHA256_HEX], gf_error *err)
{
    *out = NULL;
    gf__served *version = gf__calloc(1, sizeof *version);
    if (version == NULL)
        return gf__error_nomem(err, "a version", sizeof *version);
    atomic_init(&version->n_owners, 1);
    version->min_nodes = spec->min_nodes;
    version->max_nodes = spec->max_nodes;
    version->name = gf__strdup(spec->name);
    version->model_path = gf__strdup(spec->model_path);
    gf_status st = version->name != NULL && version->model_path != NULL
                       ? gf__model_load_document(spec->model_path, &version->model, err)
                       : gf__error_nomem(err, "a version", 0);
    if (st == GF_OK && gf_model_is_bundle(version->model))
        st = hash_inside(spec->model_path, sha256, err);
    else if (st == GF_OK && gf_model_trunk_sha256(version->model) != NULL)
        snprintf(sha256, GF__SHA256_HEX, "%s", gf_model_trunk_sha256(version->model));
    if (st == GF_OK)
        *out = version;
    else
        gf__served_unref(version);
    return st;
}

/* Under the mutex, as the next three. Finds or makes its pool. */
static gf_status attach(gf__pools *pools, gf__served *version, const char *sha256, gf_error *err)
{
    const char *name = gf_model_trunk_name(version->model);
    const bool has_trunk = name != NULL && name[0] != '\0';
    const gf_precision precision = has_trunk ? gf__model_choose_precision(version->model,
                                                                          pools->options.precision)
                                             : GF_PRECISION_F32;
    gf_status st = find_pool(pools, has_trunk ? name : NULL, has_trunk ? sha256 : NULL, precision,
                             &version->pool, err);
    version->cut = GF__NO_CUT;
    if (st == GF_OK && has_trunk)
        st = find_cut(version->pool, version->model, &version->cut, err);
    if (st != GF_OK)
        return st;
    if (version->cut != GF__NO_CUT) {
        gf__cut *cut = &version->pool->cuts[version->cut];
        *(version->is_check ? &cut->n_checks : &cut->n_versions) += 1;
    }
    version->head = ++pools->last_head;
    version->pool->n_versions++;
    if (version->is_check) {
        version->next_check = version->pool->checks;
        version->pool->checks = version;
    }
    version->counts.name = version->name;
    gf__pools_wake(pools);
    return GF_OK;
}

static bool is_loaded(const gf__served *version)
{
    for (gf__node *node = version->pool->nodes; node != NULL; node = node->next)
        if (gf__heads_find(node, version->head) != NULL)
            return true;
    return false;
}

/* Returns when nobody waits for it and no node has its head. */
static void detach(gf__pools *pools, gf__served *version)
{
    version->is_removed = true;
    gf__trunk_pool_wake_nodes(version->pool);
    while (version->n_tickets > 0 || is_loaded(version)) {
        pthread_cond_wait(&pools->changed, &pools->mutex);
        gf__trunk_pool_wake_nodes(version->pool);
    }
    if (version->cut != GF__NO_CUT) {
        gf__cut *cut = &version->pool->cuts[version->cut];
        *(version->is_check ? &cut->n_checks : &cut->n_versions) -= 1;
        cut->is_broken = cut->is_broken && cut->n_checks > 0;
    }
    for (gf__served **at = &version->pool->checks; *at != NULL; at = &(*at)->next_check)
        if (*at == version) {
            *at = version->next_check;
            break;
        }
    version->pool->n_versions--;
    version->pool = NULL; /* it may end now; a request that comes late has only the version */
    gf__pools_wake(pools);
}

/* Where name is or belongs. */
static size_t find_place(const gf__pools *pools, const char *name, bool *is_there)
{
    size_t low = 0, high = pools->n_versions;
    *is_there = false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(pools->versions[middle]->name, name);
        if (order == 0) {
            *is_there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static gf_status enter(gf__pools *pools, gf__served *version, const char *sha256, gf_error *err)
{
    bool is_there = false;
    const size_t i = find_place(pools, version->name, &is_there);
    if (is_there)
        return gf_error_set(err, GF_EEXISTS, "%s is being served already", version->name);
    if (pools->n_versions == pools->max_versions) {
        const size_t n = pools->max_versions == 0 ? 16 : 2 * pools->max_versions;
        gf__served **larger = gf__realloc(pools->versions, n * sizeof(gf__served *));
        if (larger == NULL)
            return gf__error_nomem(err, "the list of versions", n * sizeof(gf__served *));
        pools->versions = larger;
        pools->max_versions = n;
    }
    const gf_status st = attach(pools, version, sha256, err);
    if (st != GF_OK)
        return st;
    memmove(&pools->versions[i + 1], &pools->versions[i],
            (pools->n_versions - i) * sizeof(gf__served *));
    pools->versions[i] = version;
    pools->n_versions++;
    return GF_OK;
}

/* ---- the calls ---- */

gf_status gf__pools_add(gf__pools *pools, const gf__version_spec *spec, gf_error *err)
{
    char sha256[GF__SHA256_HEX] = "";
    gf__served *version = NULL;
    gf_status st = read_version(spec, &version, sha256, err);
    if (st != GF_OK)
        return st;
    pthread_mutex_lock(&pools->mutex);
    st = enter(pools, version, sha256, err);
    pthread_mutex_unlock(&pools->mutex);
    if (st != GF_OK)
        gf__served_unref(version);
    return st;
}

gf_status gf__pools_check(gf__pools *pools, const gf__version_spec *spec, double *load_ms,
                          gf_error *err)
{
    char sha256[GF__SHA256_HEX] = "";
    gf__served *version = NULL;
    gf_status st = read_version(spec, &version, sha256, err);
    if (st != GF_OK)
        return st;
    version->is_check = true;
    pthread_mutex_lock(&pools->mutex);
    st = attach(pools, version, sha256, err);
    pthread_mutex_unlock(&pools->mutex);
    if (st == GF_OK) {
        st = gf__self_test(pools, version, err);
        pthread_mutex_lock(&pools->mutex);
        if (st == GF_EUNSUPPORTED && version->head_bytes > 0)
            st = GF_OK; /* it loads, and has no samples */
        if (load_ms != NULL)
            *load_ms = version->load_ms;
        detach(pools, version);
        pthread_mutex_unlock(&pools->mutex);
    }
    gf__served_unref(version);
    return st;
}

static gf__served *find(gf__pools *pools, const char *name, size_t *i, gf_error *err)
{
    bool is_there = false;
    *i = find_place(pools, name, &is_there);
    if (is_there)
        return pools->versions[*i];
    gf_error_set(err, GF_ENOTFOUND, "%s is not being served", name);
    return NULL;
}

gf_status gf__pools_scale(gf__pools *pools, const char *name, int min_nodes, int max_nodes,
                          gf_error *err)
{
    size_t i = 0;
    pthread_mutex_lock(&pools->mutex);
    gf__served *version = find(pools, name, &i, err);
    if (version != NULL) {
        version->min_nodes = min_nodes;
        version->max_nodes = max_nodes;
        gf__pools_wake(pools);
    }
    pthread_mutex_unlock(&pools->mutex);
    return version != NULL ? GF_OK : GF_ENOTFOUND;
}

gf_status gf__pools_remove(gf__pools *pools, const char *name, gf_error *err)
{
    size_t i = 0;
    pthread_mutex_lock(&pools->mutex);
    gf__served *version = find(pools, name, &i, err);
    if (version != NULL) {
        memmove(&pools->versions[i], &pools->versions[i + 1],
                (--pools->n_versions - i) * sizeof(gf__served *));
        detach(pools, version);
    }
    pthread_mutex_unlock(&pools->mutex);
    if (version == NULL)
        return GF_ENOTFOUND;
    gf__served_unref(version);
    return GF_OK;
}

gf__served *gf__pools_find(gf__pools *pools, const char *name)
{
    size_t i = 0;
    pthread_mutex_lock(&pools->mutex);
    gf__served *version = find(pools, name, &i, NULL);
    if (version != NULL)
        atomic_fetch_add_explicit(&version->n_owners, 1, memory_order_relaxed);
    pthread_mutex_unlock(&pools->mutex);
    return version;
}
