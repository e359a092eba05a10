/* worker/plans.c: the trunk and its plans. Cuts that can be taken together form a chain, ordered by
 * depth: the plan of one gives all before it as well. A cut that changes what the engine fuses
 * (a Conv2D before its normalisation) has a plan of its own, as in training. A plan is compiled when
 * first needed, for all threads on one picture; one thread alone runs the same. All borrow the weights
 * of the first, and a thread runs all in the same memory. */
#include <string.h>

#include "engine/engine.h"
#include "worker/worker_priv.h"
#include "zoo/zoo.h"

typedef struct cut_plan { /* for the cut of the same number */
    gf_plan *plan;
    gf_exec **execs; /* a thread */
    size_t *outputs; /* its cuts, in the order of its outputs */
    size_t n_outputs;
} cut_plan;

struct gf__plans {
    gf_trunk *trunk;
    char *claimed_sha256; /* by the file that the trunk came in; or NULL */
    gf_precision precision;
    int n_threads;
    gf__cut *cuts; /* by depth */
    size_t *sizes;
    cut_plan *plans;
    size_t n_cuts;
    uint8_t **memories;    /* a thread: what its execs run in */
    pthread_mutex_t mutex; /* of making plans */
    const gf_plan *lender; /* the first plan */
};

static gf_status load_trunk(gf__plans *plans, const gf__worker_options *options, gf_error *err)
{
    if (options->trunk_file == NULL)
        return gf__home_trunk(options->home, options->trunk_name, options->trunk_sha256,
                              &plans->trunk, err);
    gf_model *model = NULL;
    gf_status st = gf_model_load(options->trunk_file, &model, err);
    if (st == GF_OK && !gf_model_is_bundle(model))
        st = gf_error_set(err, GF_EINVAL, "%s: holds no trunk", options->trunk_file);
    if (st == GF_OK)
        st = gf_model_trunk(model, NULL, &plans->trunk, err);
    if (st == GF_OK) {
        plans->claimed_sha256 = gf__strdup(gf_model_trunk_sha256(model));
        if (plans->claimed_sha256 == NULL)
            st = gf__error_nomem(err, "a trunk's name", GF__SHA256_HEX);
    }
    gf_model_unref(model);
    return st;
}

static int compare_cuts(const gf__cut *a, const gf__cut *b)
{
    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    return (int)a->pool - (int)b->pool;
}

/* In order, each once. */
static void insert_cut(gf__plans *plans, const gf__cut *cut)
{
    size_t at = plans->n_cuts;
    while (at > 0 && compare_cuts(cut, &plans->cuts[at - 1]) < 0)
        at--;
    if (at > 0 && compare_cuts(cut, &plans->cuts[at - 1]) == 0)
        return;
    memmove(&plans->cuts[at + 1], &plans->cuts[at], (plans->n_cuts - at) * sizeof *cut);
    plans->cuts[at] = *cut;
    plans->n_cuts++;
}

static gf_status init_plan(gf__plans *plans, size_t i, gf_error *err)
{
    cut_plan *own = &plans->plans[i];
    const size_t n_execs = (size_t)plans->n_threads;
    own->execs = gf__calloc(n_execs, sizeof(gf_exec *));
    own->outputs = gf__calloc(plans->n_cuts, sizeof *own->outputs);
    if (own->execs == NULL || own->outputs == NULL)
        return gf__error_nomem(err, "plans", n_execs * sizeof(gf_exec *));
    if (!plans->cuts[i].is_independent) {
        own->outputs[own->n_outputs++] = i;
        return GF_OK;
    }
    for (size_t k = 0; k <= i; k++)
        if (plans->cuts[k].is_independent)
            own->outputs[own->n_outputs++] = k;
    return GF_OK;
}

static gf_status init_cuts(gf__plans *plans, const gf__worker_options *options, gf_error *err)
{
    plans->cuts = gf__calloc(options->n_cuts, sizeof *plans->cuts);
    plans->sizes = gf__calloc(options->n_cuts, sizeof *plans->sizes);
    plans->plans = gf__calloc(options->n_cuts, sizeof *plans->plans);
    plans->memories = gf__calloc((size_t)plans->n_threads, sizeof(uint8_t *));
    if (plans->cuts == NULL || plans->sizes == NULL || plans->plans == NULL ||
        plans->memories == NULL)
        return gf__error_nomem(err, "plans", options->n_cuts * sizeof *plans->cuts);
    for (size_t i = 0; i < options->n_cuts; i++) {
        gf__cut cut;
        const gf_status st = gf__cut_find(gf_trunk_graph(plans->trunk), &options->cuts[i], &cut,
                                          err);
        if (st != GF_OK)
            return st;
        insert_cut(plans, &cut);
    }
    gf_status st = GF_OK;
    for (size_t i = 0; i < plans->n_cuts && st == GF_OK; i++)
        st = init_plan(plans, i, err);
    return st;
}

/* Under the mutex. */
static gf_status make_plan(gf__plans *plans, size_t cut, const char *pack_dir, gf_error *err)
{
    cut_plan *own = &plans->plans[cut];
    gf_output_spec *specs = gf__calloc(own->n_outputs, sizeof *specs);
    if (specs == NULL)
        return gf__error_nomem(err, "a plan", own->n_outputs * sizeof *specs);
    for (size_t i = 0; i < own->n_outputs; i++) {
        const gf__cut *output = &plans->cuts[own->outputs[i]];
        specs[i] = (gf_output_spec){output->layer, output->pool};
    }
    const gf_plan_options options = gf__trunk_plan_options(plans->trunk, plans->precision,
                                                           plans->n_threads, pack_dir);
    const gf_status st = gf__plan_new_borrowing(gf_trunk_graph(plans->trunk), specs, own->n_outputs,
                                                &options, plans->lender, &own->plan, err);
    gf__free(specs);
    gf__trunk_release_pages(plans->trunk); /* 87 MB of float32 that are packed now */
    if (st == GF_OK && plans->lender == NULL)
        plans->lender = own->plan;
    for (size_t i = 0; st == GF_OK && i < own->n_outputs; i++)
        plans->sizes[own->outputs[i]] = gf_plan_output_size(own->plan, i);
    return st;
}

gf_status gf__plans_prepare(gf__plans *plans, size_t cut, gf_error *err)
{
    gf_status st = GF_OK;
    pthread_mutex_lock(&plans->mutex);
    if (plans->plans[cut].plan == NULL)
        st = make_plan(plans, cut, NULL, err);
    pthread_mutex_unlock(&plans->mutex);
    return st;
}

/* The thread's exec of a plan that is there. The memory is as large as the first plan wants it; a
 * plan that wants more (a shorter one rarely does) takes its own. */
static gf_status make_exec(gf__plans *plans, size_t cut, int thread, gf_error *err)
{
    const size_t n_bytes = gf_plan_arena_bytes(plans->lender);
    uint8_t **memory = &plans->memories[thread];
    if (*memory == NULL)
        *memory = gf__alloc_aligned(n_bytes);
    if (*memory == NULL)
        return gf__error_nomem(err, "an exec", n_bytes);
    return gf__exec_new_in(plans->plans[cut].plan, *memory, n_bytes,
                           &plans->plans[cut].execs[thread], err);
}

/* The deepest of the chain from its pack file, and those that stand alone: they give the sizes of
 * all cuts. With the deepest the first picture's arena is taken as well. */
static gf_status make_first(gf__plans *plans, const char *home, gf_error *err)
{
    gf_status st = GF_OK;
    bool has_chain = false;
    char *pack_dir = gf__path_join(home, "packs");
    if (pack_dir == NULL)
        return gf__error_nomem(err, "a path", strlen(home));
    for (size_t i = plans->n_cuts; i-- > 0 && st == GF_OK;) {
        if (has_chain && plans->cuts[i].is_independent)
            continue;
        st = make_plan(plans, i, pack_dir, err);
        has_chain = has_chain || plans->cuts[i].is_independent;
    }
    gf__free(pack_dir);
    if (st == GF_OK)
        st = make_exec(plans, plans->n_cuts - 1, 0, err);
    return st;
}

gf_status gf__plans_new(const gf__worker_options *options, gf__plans **out, gf_error *err)
{
    *out = NULL;
    gf__plans *plans = gf__calloc(1, sizeof *plans);
    if (plans == NULL)
        return gf__error_nomem(err, "plans", sizeof *plans);
    pthread_mutex_init(&plans->mutex, NULL);
    plans->precision = gf_precision_resolve(options->precision);
    plans->n_threads = options->n_threads;
    gf_status st = load_trunk(plans, options, err);
    if (st == GF_OK)
        st = init_cuts(plans, options, err);
    if (st == GF_OK)
        st = make_first(plans, options->home, err);
    if (st == GF_OK) {
        *out = plans;
        plans = NULL;
    }
    gf__plans_free(plans);
    return st;
}

void gf__plans_free(gf__plans *plans)
{
    if (plans == NULL)
        return;
    for (size_t i = 0; plans->plans != NULL && i < plans->n_cuts; i++) {
        cut_plan *own = &plans->plans[i];
        for (int k = 0; own->execs != NULL && k < plans->n_threads; k++)
            gf_exec_free(own->execs[k]);
        gf__free(own->execs);
        gf__free(own->outputs);
        if (own->plan != plans->lender)
            gf_plan_free(own->plan);
    }
    for (int k = 0; plans->memories != NULL && k < plans->n_threads; k++)
        gf__free(plans->memories[k]);
    gf__free(plans->memories);
    gf_plan_free((gf_plan *)(uintptr_t)plans->lender);
    gf__free(plans->plans);
    gf__free(plans->sizes);
    gf__free(plans->cuts);
    gf_trunk_free(plans->trunk);
    gf__free(plans->claimed_sha256);
    pthread_mutex_destroy(&plans->mutex);
    gf__free(plans);
}

const gf_trunk *gf__plans_trunk(const gf__plans *plans)
{
    return plans->trunk;
}

gf_precision gf__plans_precision(const gf__plans *plans)
{
    return plans->precision;
}

size_t gf__plans_n_cuts(const gf__plans *plans)
{
    return plans->n_cuts;
}

bool gf__plans_is_trunk(const gf__plans *plans, const char *sha256)
{
    return strcmp(sha256, gf_trunk_sha256(plans->trunk)) == 0 ||
           (plans->claimed_sha256 != NULL && strcmp(sha256, plans->claimed_sha256) == 0);
}

size_t gf__plans_find_cut(const gf__plans *plans, const char *layer, gf_pool pool)
{
    const gf_output_spec spec = {layer, pool};
    gf__cut wanted;
    if (gf__cut_find(gf_trunk_graph(plans->trunk), &spec, &wanted, NULL) == GF_OK)
        for (size_t i = 0; i < plans->n_cuts; i++)
            if (compare_cuts(&plans->cuts[i], &wanted) == 0)
                return i;
    return GF__NO_CUT;
}

size_t gf__plans_cut_size(const gf__plans *plans, size_t cut)
{
    return plans->sizes[cut];
}

static gf_status run_plan(gf__plans *plans, size_t cut, int thread, bool is_alone,
                          const bool *is_wanted, const uint8_t *pixels, const float **features,
                          gf_error *err)
{
    cut_plan *own = &plans->plans[cut];
    gf_exec **exec = &own->execs[thread];
    gf_status st = gf__plans_prepare(plans, cut, err);
    if (st == GF_OK && *exec == NULL)
        st = make_exec(plans, cut, thread, err);
    if (st == GF_OK)
        st = is_alone ? gf_exec_run(*exec, pixels, 1, err)
                      : gf__exec_run_single(*exec, pixels, err);
    for (size_t i = 0; st == GF_OK && i < own->n_outputs; i++)
        if (is_wanted[own->outputs[i]])
            features[own->outputs[i]] = gf_exec_output(*exec, i);
    return st;
}

gf_status gf__plans_run(gf__plans *plans, int thread, bool is_alone, const bool *is_wanted,
                        const uint8_t *pixels, const float **features, gf_error *err)
{
    gf_status st = GF_OK;
    bool has_chain = false;
    for (size_t i = plans->n_cuts; i-- > 0 && st == GF_OK;) {
        if (!is_wanted[i] || (has_chain && plans->cuts[i].is_independent))
            continue;
        st = run_plan(plans, i, thread, is_alone, is_wanted, pixels, features, err);
        has_chain = has_chain || plans->cuts[i].is_independent;
    }
    return st;
}
