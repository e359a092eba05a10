/* features/extract_dataset.c: a data set's features, row by row, from the cache where they are and
 * from the network where not.
 *
 * Each thread takes the next row that nobody has: hash the picture, ask the cache, else read,
 * preprocess, run. Rows go to their place in the result, so their order is the caller's. New rows
 * are gathered and handed to the cache PENDING at a time: a lock a row would be slow, and a killed
 * run should lose no more than a second of work. */
#include <stdatomic.h>
#include <string.h>

#include "data/data.h"
#include "features/cache_priv.h"
#include "features/extractor_priv.h"

#define PENDING 32u

typedef struct pending_row {
    uint8_t key[GF__CACHE_KEY];
    size_t row;
} pending_row;

typedef struct extraction {
    gf_extractor *extractor;
    const gf_dataset *dataset;
    const gf__extract_list *lists; /* whose rows are numbered on, list after list */
    size_t n_lists;
    size_t n_rows; /* of all lists */
    const gf_view *view;
    const gf_observer *obs;
    gf__cache **caches; /* n_outputs, some NULL; NULL without a cache folder */

    atomic_bool is_stopped;
    pthread_mutex_t mutex; /* of the members below, and of the observer */
    size_t n_done;
    pending_row pending[PENDING];
    size_t n_pending;
    gf_status status; /* of the first row (in their order) that failed */
    gf_error error;
    size_t failed_row;
} extraction;

/* The list that a row is of; *row becomes its place there. */
static const gf__extract_list *list_of(const extraction *run, size_t *row)
{
    const gf__extract_list *list = run->lists;
    while (*row >= list->request.n_items) {
        *row -= list->request.n_items;
        list++;
    }
    return list;
}

static size_t item_of(const extraction *run, size_t row)
{
    const gf__extract_list *list = list_of(run, &row);
    return list->request.items != NULL ? list->request.items[row] : row;
}

static float *row_of(const extraction *run, size_t output, size_t row)
{
    const gf__extract_list *list = list_of(run, &row);
    float *values = gf_tensor_mutable_data(list->out[output]);
    return values + row * run->extractor->outputs[output].size;
}

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* A picture that cannot even be hashed has no key; what is wrong with it shows when it is read. */
static bool key_of_row(const extraction *run, size_t row, uint8_t key[GF__CACHE_KEY])
{
    char hex[GF__SHA256_HEX];
    if (run->caches == NULL ||
        gf__dataset_item_hash(run->dataset, item_of(run, row), hex, NULL) != GF_OK)
        return false;
    for (size_t i = 0; i < GF__CACHE_KEY; i++)
        key[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
    return true;
}

static bool get_cached(extraction *run, size_t row, const uint8_t key[GF__CACHE_KEY])
{
    for (size_t i = 0; i < run->extractor->n_outputs; i++) {
        if (run->caches[i] == NULL || !gf__cache_get(run->caches[i], key, row_of(run, i, row)))
            return false;
    }
    return true;
}

/* Under the mutex. */
static void keep_pending(extraction *run)
{
    gf__cache_row rows[PENDING];
    for (size_t i = 0; run->caches != NULL && i < run->extractor->n_outputs; i++) {
        if (run->caches[i] == NULL)
            continue;
        for (size_t k = 0; k < run->n_pending; k++)
            rows[k] = (gf__cache_row){run->pending[k].key, row_of(run, i, run->pending[k].row)};
        gf__cache_put(run->caches[i], rows, run->n_pending);
    }
    run->n_pending = 0;
}

static void fail(extraction *run, size_t row, gf_status status, const gf_error *error)
{
    pthread_mutex_lock(&run->mutex);
    if (run->status == GF_OK || row < run->failed_row) {
        run->status = status;
        run->error = *error;
        run->failed_row = row;
    }
    pthread_mutex_unlock(&run->mutex);
    atomic_store(&run->is_stopped, true);
}

static void finish_row(extraction *run, size_t row, const uint8_t *key, bool is_cached)
{
    gf_error error;
    const char *item = gf_dataset_item_at(run->dataset, item_of(run, row));
    pthread_mutex_lock(&run->mutex);
    run->n_done++;
    size_t place = row;
    const gf__extract_list *list = list_of(run, &place);
    if (list->request.n_cached != NULL)
        *list->request.n_cached += is_cached;
    if (key != NULL && !is_cached) {
        memcpy(run->pending[run->n_pending].key, key, GF__CACHE_KEY);
        run->pending[run->n_pending].row = row;
        if (++run->n_pending == PENDING)
            keep_pending(run);
    }
    const gf_status st = gf__observe_progress(run->obs, "features", run->n_done, run->n_rows, item,
                                              &error);
    pthread_mutex_unlock(&run->mutex);
    if (st != GF_OK)
        fail(run, row, st, &error);
}

/* Whether another picture may do better. */
static bool is_fault_of_picture(gf_status st)
{
    return st != GF_OK && st != GF_ENOMEM && st != GF_ECANCELED;
}

static void mark_bad(extraction *run, size_t row, const gf_error *error)
{
    for (size_t i = 0; i < run->extractor->n_outputs; i++)
        memset(row_of(run, i, row), 0, run->extractor->outputs[i].size * sizeof(float));
    size_t place = row;
    pthread_mutex_lock(&run->mutex);
    list_of(run, &place)->request.is_bad[place] = true;
    gf__observe_log(run->obs, GF_LOG_WARNING, "%s", error->message);
    pthread_mutex_unlock(&run->mutex);
    finish_row(run, row, NULL, false);
}

static gf_status read_pixels(extraction *run, size_t row, gf__extractor_worker *worker,
                             gf_error *err)
{
    gf_sample sample = {0};
    gf_status st = gf_dataset_read(run->dataset, item_of(run, row), &sample, err);
    if (st != GF_OK)
        return st; /* names the item */
    st = gf__extractor_preprocess(run->extractor, worker, &sample, run->view, err);
    gf_sample_release(&sample);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", gf_dataset_item_at(run->dataset, item_of(run, row)));
    return st;
}

static gf_status run_network(extraction *run, size_t row, gf__extractor_worker *worker,
                             float **features, gf_error *err)
{
    for (size_t i = 0; i < run->extractor->n_outputs; i++)
        features[i] = row_of(run, i, row);
    return gf__extractor_run(run->extractor, worker, features, err);
}

/* *is_bad: the picture cannot be read, and the caller wants to know instead of stopping. */
static gf_status compute(extraction *run, size_t row, gf__extractor_worker *worker, bool *is_bad,
                         gf_error *err)
{
    gf_status st = gf__extractor_ready(run->extractor, worker, err);
    if (st != GF_OK)
        return st;
    st = read_pixels(run, row, worker, err);
    *is_bad = is_fault_of_picture(st) && list_of(run, &(size_t){row})->request.is_bad != NULL;
    if (st != GF_OK)
        return st;
    float **features = gf__calloc(run->extractor->n_outputs, sizeof *features);
    if (features == NULL)
        return gf__error_nomem(err, "features", run->extractor->n_outputs * sizeof *features);
    st = run_network(run, row, worker, features, err);
    gf__free(features);
    return st;
}

static void extract_row(void *user, size_t row, int thread)
{
    extraction *run = user;
    if (atomic_load(&run->is_stopped))
        return;
    uint8_t key[GF__CACHE_KEY];
    const bool has_key = key_of_row(run, row, key);
    if (has_key && get_cached(run, row, key)) {
        finish_row(run, row, key, true);
        return;
    }
    gf_error error;
    bool is_bad = false;
    const gf_status st = compute(run, row, &run->extractor->workers[thread], &is_bad, &error);
    if (is_bad)
        mark_bad(run, row, &error);
    else if (st != GF_OK)
        fail(run, row, st, &error);
    else
        finish_row(run, row, has_key ? key : NULL, false);
}

/* Of the cache file of an output; NULL out of memory. */
static char *identity_of(const gf_extractor *extractor, const gf__extractor_output *output,
                         const gf_view *view)
{
    gf__identity identity = {.trunk_sha256 = gf_trunk_sha256(extractor->trunk),
                             .layer = output->layer,
                             .pool = output->pool,
                             .precision = extractor->precision,
                             .recipe = extractor->recipe,
                             .max_pixels = extractor->max_pixels};
    if (view != NULL)
        identity.view = *view;
    return gf__identity_text(&identity);
}

bool gf__extractor_has_cached(const gf_extractor *extractor)
{
    bool has_all = extractor->cache_dir != NULL && extractor->is_cacheable;
    for (size_t i = 0; i < extractor->n_outputs && has_all; i++) {
        char *text = identity_of(extractor, &extractor->outputs[i], NULL);
        has_all = text != NULL && gf__cache_may_have_rows(extractor->cache_dir, text);
        gf__free(text);
    }
    return has_all;
}

/* One cache file an output; see gf__identity. */
static gf_status open_caches(extraction *run, gf_error *err)
{
    const gf_extractor *extractor = run->extractor;
    run->caches = gf__calloc(extractor->n_outputs, sizeof(gf__cache *));
    if (run->caches == NULL)
        return gf__error_nomem(err, "caches", extractor->n_outputs * sizeof(gf__cache *));
    gf_status st = GF_OK;
    for (size_t i = 0; i < extractor->n_outputs && st == GF_OK; i++) {
        const gf__extractor_output *output = &extractor->outputs[i];
        char *text = identity_of(extractor, output, run->view);
        st = text == NULL ? gf__error_nomem(err, "a cache's name", 0)
                          : gf__cache_open(extractor->cache_dir, text, output->size, run->obs,
                                           &run->caches[i], err);
        gf__free(text);
    }
    return st;
}

static void close_caches(extraction *run)
{
    for (size_t i = 0; run->caches != NULL && i < run->extractor->n_outputs; i++)
        gf__cache_close(run->caches[i]);
    gf__free(run->caches);
}

static gf_status new_tensors(const gf_extractor *extractor, const gf__extract_list *list,
                             gf_error *err)
{
    gf_status st = GF_OK;
    memset(list->out, 0, extractor->n_outputs * sizeof *list->out);
    for (size_t i = 0; i < extractor->n_outputs && st == GF_OK; i++) {
        const size_t shape[2] = {list->request.n_items, extractor->outputs[i].size};
        st = gf_tensor_new(GF_DTYPE_F32, shape, 2, &list->out[i], err);
    }
    return st;
}

static void free_tensors(const gf_extractor *extractor, const gf__extract_list *list)
{
    for (size_t i = 0; i < extractor->n_outputs; i++) {
        gf_tensor_free(list->out[i]);
        list->out[i] = NULL;
    }
}

static gf_status extract_rows(extraction *run, gf_error *err)
{
    gf_extractor *extractor = run->extractor;
    if (extractor->pool == NULL) {
        const gf_status st = gf__pool_new(extractor->n_threads, &extractor->pool, err);
        if (st != GF_OK)
            return st;
    }
    gf__pool_run(extractor->pool, run->n_rows, extract_row, run);
    keep_pending(run); /* also of a run that failed or was stopped: its work is not lost */
    if (run->status != GF_OK && err != NULL)
        *err = run->error;
    return run->status;
}

static void begin_list(extraction *run, const gf__extract_list *list)
{
    run->n_rows += list->request.n_items;
    if (list->request.is_bad != NULL)
        memset(list->request.is_bad, 0, list->request.n_items * sizeof(bool));
    if (list->request.n_cached != NULL)
        *list->request.n_cached = 0;
}

static gf_status extract_lists(extraction *run, gf_error *err)
{
    const gf_extractor *extractor = run->extractor;
    gf_status st = GF_OK;
    for (size_t i = 0; i < run->n_lists; i++) {
        const gf_status made = new_tensors(extractor, &run->lists[i], st == GF_OK ? err : NULL);
        st = st == GF_OK ? made : st;
        begin_list(run, &run->lists[i]);
    }
    if (st == GF_OK && extractor->cache_dir != NULL && extractor->is_cacheable)
        st = open_caches(run, err);
    if (st == GF_OK)
        st = extract_rows(run, err);
    close_caches(run);
    for (size_t i = 0; i < run->n_lists && st != GF_OK; i++)
        free_tensors(extractor, &run->lists[i]);
    return st;
}

gf_status gf__extractor_lists(gf_extractor *extractor, const gf_dataset *dataset,
                              const gf__extract_list *lists, size_t n_lists, const gf_observer *obs,
                              gf_error *err)
{
    for (size_t i = 0; i < n_lists; i++)
        memset(lists[i].out, 0, extractor->n_outputs * sizeof *lists[i].out);
    if (extractor->for_latency)
        return gf_error_set(err, GF_EINVAL,
                            "an extractor made for latency takes single pictures; make one "
                            "without for_latency for a data set");
    const gf_status wanted = gf__dataset_wants_pictures(dataset, err);
    if (wanted != GF_OK)
        return wanted;
    extraction run = {.extractor = extractor,
                      .dataset = dataset,
                      .lists = lists,
                      .n_lists = n_lists,
                      .view = lists[0].request.view,
                      .obs = obs};
    atomic_init(&run.is_stopped, false);
    pthread_mutex_init(&run.mutex, NULL);
    const gf_status st = extract_lists(&run, err);
    pthread_mutex_destroy(&run.mutex);
    return st;
}

gf_status gf_extractor_dataset(gf_extractor *extractor, const gf_dataset *dataset,
                               const gf_extract_request *request, const gf_observer *obs,
                               gf_tensor **out, gf_error *err)
{
    gf__extract_list list = {.out = out};
    if (request != NULL)
        list.request = *request;
    if (list.request.items == NULL)
        list.request.n_items = gf_dataset_n_items(dataset);
    return gf__extractor_lists(extractor, dataset, &list, 1, obs, err);
}
