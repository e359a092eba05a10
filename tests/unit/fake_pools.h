/* fake_pools.h: the door of src/pool/ as a list of names, for tests of those who stand on it: what is
 * added, scaled and removed can be looked at, and a check or a removal made to fail or to wait. All of
 * pool.h is here, so that none of the real one is linked. */
#ifndef GRAFT_TESTS_FAKE_POOLS_H
#define GRAFT_TESTS_FAKE_POOLS_H

#include "check.h"

#include <pthread.h>

#include "base/base.h"
#include "pool/pool.h"

#define FAKE_VERSIONS 2048

struct gf__served {
    char *name, *model_path;
    int min_nodes, max_nodes;
};

struct gf__pools {
    int unused;
};

/* One a program. */
static struct fake_pools {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct gf__served *versions[FAKE_VERSIONS];
    size_t n_versions;
    size_t n_added, n_removed, n_scaled;
    const char *refuse_add;   /* names that contain this cannot be added */
    const char *refuse_check; /* nor these checked */
    bool hold_checks;         /* they wait until this is false */
    size_t n_checking;
    bool are_starting; /* the workers that stay are not all there */
} fake = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
static gf__pools fake_pools __attribute__((unused));

static size_t fake_find(const char *name)
{
    size_t i = 0;
    while (i < fake.n_versions && strcmp(fake.versions[i]->name, name) != 0)
        i++;
    return i;
}

static void fake_free(struct gf__served *served)
{
    free(served->name);
    free(served->model_path);
    free(served);
}

static inline void fake_reset(void)
{
    for (size_t i = 0; i < fake.n_versions; i++)
        fake_free(fake.versions[i]);
    fake.n_versions = fake.n_added = fake.n_removed = fake.n_scaled = fake.n_checking = 0;
    fake.refuse_add = fake.refuse_check = NULL;
    fake.hold_checks = fake.are_starting = false;
}

gf__pools_options gf__pools_options_default(void)
{
    return (gf__pools_options){0};
}

gf_status gf__pools_new(const gf__pools_options *options, gf__pools **out, gf_error *err)
{
    *out = &fake_pools;
    return GF_OK;
}

void gf__pools_drain(gf__pools *pools, int timeout_ms)
{
}

void gf__pools_free(gf__pools *pools)
{
}

gf_status gf__pools_check(gf__pools *pools, const gf__version_spec *spec, double *load_ms,
                          gf_error *err)
{
    gf_status st = GF_OK;
    pthread_mutex_lock(&fake.mutex);
    fake.n_checking++;
    pthread_cond_broadcast(&fake.changed);
    while (fake.hold_checks)
        pthread_cond_wait(&fake.changed, &fake.mutex);
    if (fake.refuse_check != NULL && strstr(spec->name, fake.refuse_check) != NULL)
        st = gf_error_set(err, GF_EMISMATCH, "self-test: sample 0 differs");
    pthread_mutex_unlock(&fake.mutex);
    *load_ms = 1;
    return st;
}

gf_status gf__pools_add(gf__pools *pools, const gf__version_spec *spec, gf_error *err)
{
    gf_status st = GF_OK;
    pthread_mutex_lock(&fake.mutex);
    if (fake.refuse_add != NULL && strstr(spec->name, fake.refuse_add) != NULL) {
        st = gf_error_set(err, GF_EFORMAT, "damaged on purpose");
    } else if (fake_find(spec->name) < fake.n_versions) {
        st = gf_error_set(err, GF_EEXISTS, "there already");
    } else {
        struct gf__served *served = calloc(1, sizeof *served);
        *served = (struct gf__served){strdup(spec->name), strdup(spec->model_path), spec->min_nodes,
                                      spec->max_nodes};
        assert_true(fake.n_versions < FAKE_VERSIONS);
        fake.versions[fake.n_versions++] = served;
        fake.n_added++;
    }
    pthread_mutex_unlock(&fake.mutex);
    return st;
}

gf_status gf__pools_scale(gf__pools *pools, const char *name, int min_nodes, int max_nodes,
                          gf_error *err)
{
    pthread_mutex_lock(&fake.mutex);
    const size_t i = fake_find(name);
    const bool is_there = i < fake.n_versions;
    if (is_there) {
        fake.versions[i]->min_nodes = min_nodes;
        fake.versions[i]->max_nodes = max_nodes;
        fake.n_scaled++;
    }
    pthread_mutex_unlock(&fake.mutex);
    return is_there ? GF_OK : gf_error_set(err, GF_ENOTFOUND, "%s: not there", name);
}

gf_status gf__pools_remove(gf__pools *pools, const char *name, gf_error *err)
{
    pthread_mutex_lock(&fake.mutex);
    const size_t i = fake_find(name);
    const bool is_there = i < fake.n_versions;
    if (is_there) {
        fake_free(fake.versions[i]);
        fake.versions[i] = fake.versions[--fake.n_versions];
        fake.n_removed++;
    }
    pthread_mutex_unlock(&fake.mutex);
    return is_there ? GF_OK : gf_error_set(err, GF_ENOTFOUND, "%s: not there", name);
}

gf__served *gf__pools_find(gf__pools *pools, const char *name)
{
    pthread_mutex_lock(&fake.mutex);
    const size_t i = fake_find(name);
    gf__served *served = i < fake.n_versions ? fake.versions[i] : NULL;
    pthread_mutex_unlock(&fake.mutex);
    return served;
}

void gf__served_unref(gf__served *served)
{
}

const char *gf__served_name(const gf__served *served)
{
    return served->name;
}

const gf_model *gf__served_model(const gf__served *served)
{
    return NULL;
}

gf_status gf__pools_predict(gf__pools *pools, const gf__prediction_request *request,
                            gf__predictions **out, gf_error *err)
{
    *out = NULL;
    return gf_error_set(err, GF_EUNAVAILABLE, "these pools predict nothing");
}

void gf__predictions_free(gf__predictions *predictions)
{
}

gf_status gf__pools_describe(gf__pools *pools, gf__json **out, gf_error *err)
{
    *out = gf__json_object();
    return gf__json_status(*out, err);
}

bool gf__pools_are_ready(gf__pools *pools)
{
    return !fake.are_starting;
}

void gf__pools_count(gf__pools *pools, void (*pool)(void *user, const gf__pool_counts *counts),
                     void (*version)(void *user, const gf__version_counts *counts), void *user)
{
}

#endif
