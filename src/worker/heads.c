/* worker/heads.c: the heads, known by the numbers that the other side gave them. A thread of its own
 * reads model files, so that a new version does not slow down the pictures of others; runs for a
 * head that is being loaded wait at it. The same thread frees heads, and gives their memory back to
 * the system. */
#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/worker_priv.h"

struct gf__heads {
    gf__process *process;
    pthread_mutex_t mutex; /* of everything below, and of the waiting runs */
    pthread_cond_t is_called;
    gf__head **table;
    size_t n, capacity;
    gf__head *first_task, *last_task; /* to be loaded, or freed where nobody owns them */
    bool is_ending;
    pthread_t loader;
};

/* ---- the loader's list ---- */

static void add_task(gf__heads *heads, gf__head *head)
{
    head->next = NULL;
    if (heads->last_task != NULL)
        heads->last_task->next = head;
    else
        heads->first_task = head;
    heads->last_task = head;
    pthread_cond_signal(&heads->is_called);
}

static gf__head *next_task(gf__heads *heads)
{
    pthread_mutex_lock(&heads->mutex);
    while (heads->first_task == NULL && !heads->is_ending)
        pthread_cond_wait(&heads->is_called, &heads->mutex);
    gf__head *head = heads->first_task;
    if (head != NULL) {
        heads->first_task = head->next;
        if (heads->first_task == NULL)
            heads->last_task = NULL;
    }
    pthread_mutex_unlock(&heads->mutex);
    return head;
}

/* ---- loading ---- */

/* By lseek: fstat() of this glibc is a call that can look at paths as well, and is refused. */
static gf_status map_handed(gf__head *head, int fd, gf_error *err)
{
    const off_t size = lseek(fd, 0, SEEK_END);
    if (size < 0)
        return gf__error_errno(err, errno, "the size of a model file");
    if (size == 0)
        return gf_error_set(err, GF_EFORMAT, "the model file is empty");
    void *data = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return gf__error_errno(err, errno, "mapping a model file of %lld bytes", (long long)size);
    head->file = (gf__mapping){data, (size_t)size};
    return GF_OK;
}

/* NULL or "": the model takes numbers and runs on no trunk. */
static bool has_trunk(const gf_model *model)
{
    const char *name = gf_model_trunk_name(model);
    return name != NULL && name[0] != '\0';
}

static gf_status check_cut(const gf__plans *plans, gf__head *head, gf_error *err)
{
    const gf_model *model = head->model;
    head->cut = GF__NO_CUT;
    if (plans == NULL || !has_trunk(model))
        return GF_OK; /* for numbers */
    const gf_trunk *trunk = gf__plans_trunk(plans);
    if (!gf__plans_is_trunk(plans, gf_model_trunk_sha256(model)))
        return gf_error_set(err, GF_EMISMATCH,
                            "the model runs on trunk %.60s with SHA-256 %.12s..., this worker on "
                            "%.60s with %.12s...",
                            gf_model_trunk_name(model), gf_model_trunk_sha256(model),
                            gf_trunk_name(trunk), gf_trunk_sha256(trunk));
    gf_status st = gf__model_check_recipe(model, trunk, err);
    if (st != GF_OK)
        return st;
    head->cut = gf__plans_find_cut(plans, gf_model_layer(model), gf_model_pool(model));
    if (head->cut == GF__NO_CUT)
        return gf_error_set(err, GF_EMISMATCH,
                            "the model is cut at %.60s, which is none of the %zu cuts of this "
                            "worker",
                            gf_model_layer(model), gf__plans_n_cuts(plans));
    const size_t found = gf__plans_cut_size(plans, head->cut);
    if (found != gf_head_n_features(gf_model_head(model)))
        return gf_error_set(err, GF_EMISMATCH,
                            "layer %.60s gives %zu values, the head was trained on %zu",
                            gf_model_layer(model), found, gf_head_n_features(gf_model_head(model)));
    return GF_OK;
}

static gf_status load(gf__process *process, gf__head *head, size_t *resident_bytes, gf_error *err)
{
    if (head->file.data == NULL)
        return gf_error_set(err, head->err.code, "%s", head->err.message);
    *resident_bytes = head->file.size;
    gf_status st = gf__model_view(&head->file, &head->model, err);
    if (st == GF_OK)
        st = check_cut(process->plans, head, err);
    if (st == GF_OK && head->cut != GF__NO_CUT)
        st = gf__plans_prepare(process->plans, head->cut, err);
    if (st == GF_OK) {
        if (gf_model_is_bundle(head->model)) /* nobody reads the trunk in it */
            *resident_bytes = gf_head_n_params(gf_model_head(head->model)) * sizeof(float) +
                              strlen(gf_model_document(head->model));
        return GF_OK;
    }
    gf_model_unref(head->model);
    head->model = NULL;
    gf__unmap(&head->file);
    return st;
}

static void answer_failure(gf__process *process, gf__job *job, const gf_error *err)
{
    gf__process_report(process, &(gf__report){.kind = GF__REPORT_RESULT,
                                              .status = err->code,
                                              .message = err->message,
                                              .head = job->run.head,
                                              .id = job->run.id,
                                              .timing = {.n_batch = 1}});
    gf__job_free(job);
}

/* Out of the table; true where it was in it. Under the mutex. */
static bool remove_from_table(gf__heads *heads, const gf__head *head)
{
    for (size_t i = 0; i < heads->n; i++) {
        if (heads->table[i] != head)
            continue;
        heads->table[i] = heads->table[--heads->n];
        return true;
    }
    return false;
}

/* LOADED first: nobody is to see a result of a head before he has heard of it. */
static void load_task(gf__heads *heads, gf__head *head)
{
    const double start = gf__clock_s();
    size_t resident_bytes = 0;
    gf_error err = {0};
    const gf_status st = load(heads->process, head, &resident_bytes, &err);
    gf__process_report(heads->process,
                       &(gf__report){.kind = GF__REPORT_LOADED,
                                     .status = st,
                                     .message = st == GF_OK ? "" : err.message,
                                     .head = head->id,
                                     .resident_bytes = st == GF_OK ? resident_bytes : 0,
                                     .load_ms = 1e3 * (gf__clock_s() - start)});
    pthread_mutex_lock(&heads->mutex);
    head->state = st == GF_OK ? GF__HEAD_LOADED : GF__HEAD_BROKEN;
    head->err = err;
    gf__job *job = head->first_waiting;
    head->first_waiting = head->last_waiting = NULL;
    const bool is_dropped = st != GF_OK && remove_from_table(heads, head);
    pthread_mutex_unlock(&heads->mutex);
    while (job != NULL) {
        gf__job *next = job->next;
        if (st == GF_OK) {
            gf__queue_push(heads->process->queue, job);
        } else {
            answer_failure(heads->process, job, &err);
            gf__head_unref(heads, head);
        }
        job = next;
    }
    if (is_dropped)
        gf__head_unref(heads, head);
    gf__head_unref(heads, head); /* the loader's own */
}

static void free_head(gf__head *head)
{
    gf_model_unref(head->model);
    gf__unmap(&head->file);
    gf__free(head);
    malloc_trim(0);
}

static void *run_loader(void *argument)
{
    gf__heads *heads = argument;
    for (gf__head *head = next_task(heads); head != NULL; head = next_task(heads)) {
        if (atomic_load(&head->n_owners) == 0)
            free_head(head);
        else
            load_task(heads, head);
    }
    return NULL;
}

void gf__head_unref(gf__heads *heads, gf__head *head)
{
    if (head == NULL || atomic_fetch_sub(&head->n_owners, 1) > 1)
        return;
    pthread_mutex_lock(&heads->mutex);
    add_task(heads, head);
    pthread_mutex_unlock(&heads->mutex);
}

/* ---- requests ---- */

gf_status gf__heads_new(gf__process *process, gf__heads **out, gf_error *err)
{
    gf__heads *heads = gf__calloc(1, sizeof *heads);
    if (heads == NULL)
        return gf__error_nomem(err, "heads", sizeof *heads);
    heads->process = process;
    pthread_mutex_init(&heads->mutex, NULL);
    pthread_cond_init(&heads->is_called, NULL);
    const int failure = pthread_create(&heads->loader, NULL, run_loader, heads);
    if (failure != 0) {
        pthread_cond_destroy(&heads->is_called);
        pthread_mutex_destroy(&heads->mutex);
        gf__free(heads);
        return gf__error_errno(err, failure, "starting a thread");
    }
    *out = heads;
    return GF_OK;
}

void gf__heads_finish(gf__heads *heads)
{
    pthread_mutex_lock(&heads->mutex);
    heads->is_ending = true;
    pthread_cond_signal(&heads->is_called);
    pthread_mutex_unlock(&heads->mutex);
    pthread_join(heads->loader, NULL);
}

static gf__head *find(const gf__heads *heads, uint64_t id)
{
    for (size_t i = 0; i < heads->n; i++)
        if (heads->table[i]->id == id)
            return heads->table[i];
    return NULL;
}

static gf_status add_to_table(gf__heads *heads, uint64_t id, int fd, gf_error *err)
{
    if (find(heads, id) != NULL)
        return gf_error_set(err, GF_EEXISTS, "head %llu is loaded already", (unsigned long long)id);
    if (heads->n == heads->capacity) {
        const size_t capacity = heads->capacity > 0 ? 2 * heads->capacity : 16;
        gf__head **table = gf__realloc(heads->table, capacity * sizeof(gf__head *));
        if (table == NULL)
            return gf__error_nomem(err, "heads", capacity * sizeof(gf__head *));
        heads->table = table;
        heads->capacity = capacity;
    }
    gf__head *head = gf__calloc(1, sizeof *head);
    if (head == NULL)
        return gf__error_nomem(err, "a head", sizeof *head);
    head->id = id;
    /* Here rather than by the loader: the process may hold few open files, and many heads may wait. */
    (void)map_handed(head, fd, &head->err);
    atomic_init(&head->n_owners, 1);
    heads->table[heads->n++] = head;
    /* The loader's own, so that unloading meanwhile does not free it under its hands. */
    atomic_fetch_add(&head->n_owners, 1);
    add_task(heads, head);
    return GF_OK;
}

void gf__heads_load(gf__heads *heads, uint64_t id, int fd)
{
    gf_error err;
    pthread_mutex_lock(&heads->mutex);
    const gf_status st = add_to_table(heads, id, fd, &err);
    pthread_mutex_unlock(&heads->mutex);
    close(fd);
    if (st == GF_OK)
        return;
    gf__process_report(
        heads->process,
        &(gf__report){.kind = GF__REPORT_LOADED, .status = st, .message = err.message, .head = id});
}

void gf__heads_unload(gf__heads *heads, uint64_t id)
{
    pthread_mutex_lock(&heads->mutex);
    gf__head *head = find(heads, id);
    if (head != NULL)
        remove_from_table(heads, head);
    pthread_mutex_unlock(&heads->mutex);
    gf__head_unref(heads, head);
}

void gf__heads_submit(gf__heads *heads, gf__job *job)
{
    pthread_mutex_lock(&heads->mutex);
    gf__head *head = find(heads, job->run.head);
    const bool waits = head != NULL && head->state == GF__HEAD_LOADING;
    job->head = head;
    if (head != NULL)
        atomic_fetch_add(&head->n_owners, 1);
    if (waits) {
        job->next = NULL;
        if (head->last_waiting != NULL)
            head->last_waiting->next = job;
        else
            head->first_waiting = job;
        head->last_waiting = job;
    }
    pthread_mutex_unlock(&heads->mutex);
    if (head == NULL) {
        gf_error err;
        gf_error_set(&err, GF_ENOTFOUND, "head %llu is not loaded",
                     (unsigned long long)job->run.head);
        answer_failure(heads->process, job, &err);
    } else if (!waits) {
        gf__queue_push(heads->process->queue, job);
    }
}
