/* server/operations.c: the thread that runs waiting operations, one at a time in the order they
 * came, and does in between what the registry needs now and then: noting which versions were used,
 * removing what nobody uses. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/catalog_priv.h"
#include "server/server_priv.h"

#define NOTE_EVERY_S      30     /* lastUseTime is this old at most */
#define COLLECT_EVERY_S   3600   /* whether or not anything was deleted */
#define COLLECT_AFTER_S   5      /* after a deletion: several are collected at once */
#define KEEP_OPERATIONS_S 604800 /* done ones can be looked up for a week */
#define RETRY_AFTER_S     1      /* where the registry could not be written */

typedef struct use { /* a version that answered */
    char *name;
    int64_t unix_time;
} use;

typedef struct use_list {
    use *items; /* by name */
    size_t n_items, capacity;
} use_list;

struct gf__operations {
    gf_server *server;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool is_woken;                    /* under mutex */
    use_list uses;                    /* under mutex */
    atomic_bool is_stopping;          /* set under mutex */
    double note_due_s, collect_due_s; /* of the thread */
    bool is_stuck; /* of the thread: the registry could not be written, maybe an operation's end */
};

static void log_failure(const gf__operations *operations, const char *what, const gf_error *err)
{
    gf__observe_log(&operations->server->options.observer, GF_LOG_WARNING, "%s: %s", what,
                    err->message);
}

/* ---- which versions were used ---------------------------------------------------------------- */

static size_t place_of(const use_list *list, const char *name, bool *is_there)
{
    size_t low = 0, high = list->n_items;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(list->items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *is_there = low < list->n_items && strcmp(list->items[low].name, name) == 0;
    return low;
}

/* Out of memory it is not noted: nothing is wrong with the prediction. */
static void note(use_list *list, const char *name, int64_t now)
{
    bool is_there;
    const size_t i = place_of(list, name, &is_there);
    if (is_there) {
        list->items[i].unix_time = now;
        return;
    }
    if (list->n_items == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
        use *items = gf__realloc(list->items, capacity * sizeof *items);
        if (items == NULL)
            return;
        list->items = items;
        list->capacity = capacity;
    }
    char *copy = gf__strdup(name);
    if (copy == NULL)
        return;
    memmove(list->items + i + 1, list->items + i, (list->n_items - i) * sizeof *list->items);
    list->items[i] = (use){copy, now};
    list->n_items++;
}

void gf__operations_note_use(gf__operations *operations, const char *version)
{
    if (operations == NULL)
        return;
    pthread_mutex_lock(&operations->mutex);
    note(&operations->uses, version, (int64_t)time(NULL));
    pthread_mutex_unlock(&operations->mutex);
}

static void write_uses(gf__operations *operations)
{
    bool is_reported = false;
    gf_error err;
    pthread_mutex_lock(&operations->mutex);
    use_list list = operations->uses;
    operations->uses = (use_list){0};
    pthread_mutex_unlock(&operations->mutex);
    for (size_t i = 0; i < list.n_items; i++) {
        const gf_status st = gf_registry_note_use(operations->server->registry, list.items[i].name,
                                                  list.items[i].unix_time, &err);
        if (st != GF_OK && st != GF_ENOTFOUND && !is_reported) { /* deleted meanwhile is fine */
            log_failure(operations, "lastUseTime was not noted", &err);
            is_reported = true;
        }
        gf__free(list.items[i].name);
    }
    gf__free(list.items);
}

/* ---- operations ------------------------------------------------------------------------------ */

static gf_status check(void *user, const char *version, const gf_registry_files *files,
                       gf_error *err)
{
    const gf__operations *operations = user;
    const char *path = NULL;
    double load_ms = 0;
    gf_status st = gf__catalog_model_file(files, &path, err);
    if (st == GF_OK)
        st = gf__pools_check(operations->server->pools,
                             &(gf__version_spec){.name = version, .model_path = path}, &load_ms,
                             err);
    if (st == GF_OK)
        gf__observe_log(&operations->server->options.observer, GF_LOG_INFO,
                        "%s: loaded in %.1f ms, self-test passed", version, load_ms);
    return st;
}

static gf_status unload(void *user, const char *version, gf_error *err)
{
    const gf__operations *operations = user;
    return gf__catalog_drop(operations->server->catalog, version, err);
}

static bool is_stopping(void *user)
{
    const gf__operations *operations = user;
    return atomic_load(&operations->is_stopping);
}

static bool may_go_on(void *user, const gf_progress *progress)
{
    return !is_stopping(user);
}

static void log_end(const gf__operations *operations, const gf__json *document)
{
    const gf_observer *obs = &operations->server->options.observer;
    const char *name = gf__json_string(gf__json_find(document, "name"), "");
    const gf__json *error = gf__json_find(document, "error");
    if (error != NULL)
        gf__observe_log(obs, GF_LOG_WARNING, "%s: failed: %s", name,
                        gf__json_string(gf__json_find(error, "message"), ""));
    else if (gf__json_bool(gf__json_find(document, "done"), false))
        gf__observe_log(obs, GF_LOG_INFO, "%s: done", name);
    else
        gf__observe_log(obs, GF_LOG_INFO, "%s: goes on at the next start", name);
}

/* The catalog follows, and what a deletion or a failed copy left is collected soon. */
static void follow(gf__operations *operations, const char *operation)
{
    gf_error err;
    gf__json *document = NULL;
    gf_status st = gf__json_parse(operation, strlen(operation), &document, &err);
    if (st == GF_OK) {
        const gf__json *metadata = gf__json_find(document, "metadata");
        const gf__json *version = gf__json_find(metadata, "version");
        log_end(operations, document);
        st = gf__catalog_refresh(operations->server->catalog,
                                 gf__json_string(gf__json_find(version, "name"), ""), &err);
    }
    if (st != GF_OK)
        log_failure(operations, "the catalog was not brought up to date", &err);
    const bool was_creation =
        strcmp(gf__json_string(gf__json_find(gf__json_find(document, "metadata"), "operationType"),
                               ""),
               "CREATE_VERSION") == 0;
    if (!was_creation || gf__json_find(document, "error") != NULL)
        operations->collect_due_s = gf__clock_s() + COLLECT_AFTER_S;
    gf__json_free(document);
}

/* An operation whose end could not be noted (a full disk) runs for the registry, and no thread runs
 * it: it waits again, once the registry can be written. */
static gf_status get_unstuck(gf__operations *operations, gf_error *err)
{
    return operations->is_stuck
               ? gf_registry_recover(operations->server->registry, GF_REGISTRY_RESUME, NULL, err)
               : GF_OK;
}

/* False where none waits, or none could be run. */
static bool run_one(gf__operations *operations, gf_status *st)
{
    const gf_registry_hooks hooks = {check, unload, is_stopping, operations};
    const gf_observer obs = {.progress = may_go_on, .user = operations};
    char *operation = NULL;
    gf_error err;
    *st = get_unstuck(operations, &err);
    if (*st == GF_OK)
        *st = gf_registry_run_operation(operations->server->registry, NULL, &hooks, &obs,
                                        &operation, &err);
    if (*st != GF_OK && !operations->is_stuck) /* it is tried again each second: said once */
        log_failure(operations, "an operation could not be run", &err);
    operations->is_stuck = *st != GF_OK;
    const bool has_run = operation != NULL;
    if (has_run)
        follow(operations, operation);
    gf_registry_free_text(operation);
    return has_run;
}

static void collect(gf__operations *operations)
{
    size_t n_blobs = 0;
    gf_error err;
    const gf_status st = gf_registry_collect(operations->server->registry, KEEP_OPERATIONS_S,
                                             &n_blobs, &err);
    if (st != GF_OK)
        log_failure(operations, "unused files were not removed", &err);
    else if (n_blobs > 0)
        gf__observe_log(&operations->server->options.observer, GF_LOG_INFO,
                        "%zu unused files removed", n_blobs);
    operations->collect_due_s = gf__clock_s() + COLLECT_EVERY_S;
}

/* What is due by now. */
static void keep_house(gf__operations *operations)
{
    if (gf__clock_s() >= operations->note_due_s) {
        write_uses(operations);
        operations->note_due_s = gf__clock_s() + NOTE_EVERY_S;
    }
    if (gf__clock_s() >= operations->collect_due_s)
        collect(operations);
}

static void sleep_until(gf__operations *operations, double due_s)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const double wait_s = due_s - gf__clock_s();
    until.tv_sec += wait_s > 0 ? (time_t)wait_s + 1 : 0;
    pthread_mutex_lock(&operations->mutex);
    while (!operations->is_woken && !atomic_load(&operations->is_stopping))
        if (pthread_cond_timedwait(&operations->wake, &operations->mutex, &until) != 0)
            break;
    operations->is_woken = false;
    pthread_mutex_unlock(&operations->mutex);
}

static void *run(void *user)
{
    gf__operations *operations = user;
    while (!atomic_load(&operations->is_stopping)) {
        gf_status st;
        if (run_one(operations, &st))
            continue;
        keep_house(operations);
        double due_s = operations->note_due_s < operations->collect_due_s
                           ? operations->note_due_s
                           : operations->collect_due_s;
        if (st != GF_OK && gf__clock_s() + RETRY_AFTER_S < due_s)
            due_s = gf__clock_s() + RETRY_AFTER_S;
        sleep_until(operations, due_s);
    }
    write_uses(operations);
    return NULL;
}

/* ---- start and stop -------------------------------------------------------------------------- */

static void free_all(gf__operations *operations)
{
    pthread_cond_destroy(&operations->wake);
    pthread_mutex_destroy(&operations->mutex);
    gf__free(operations);
}

gf_status gf__operations_start(gf_server *server, gf__operations **out, gf_error *err)
{
    gf__operations *operations = gf__calloc(1, sizeof *operations);
    pthread_condattr_t monotonic;
    *out = NULL;
    if (operations == NULL)
        return gf__error_nomem(err, "the operations thread", sizeof *operations);
    operations->server = server;
    operations->note_due_s = gf__clock_s() + NOTE_EVERY_S;
    operations->collect_due_s = gf__clock_s() + COLLECT_AFTER_S;
    pthread_mutex_init(&operations->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&operations->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    const int code = gf__thread_start(&operations->thread, run, operations);
    if (code != 0) {
        free_all(operations);
        return gf__error_errno(err, code, "the operations thread");
    }
    *out = operations;
    return GF_OK;
}

void gf__operations_wake(gf__operations *operations)
{
    if (operations == NULL)
        return;
    pthread_mutex_lock(&operations->mutex);
    operations->is_woken = true;
    pthread_cond_signal(&operations->wake);
    pthread_mutex_unlock(&operations->mutex);
}

void gf__operations_let_go(gf__operations *operations)
{
    if (operations == NULL)
        return;
    pthread_mutex_lock(&operations->mutex);
    atomic_store(&operations->is_stopping, true);
    pthread_cond_signal(&operations->wake);
    pthread_mutex_unlock(&operations->mutex);
}

void gf__operations_stop(gf__operations *operations)
{
    if (operations == NULL)
        return;
    gf__operations_let_go(operations);
    pthread_join(operations->thread, NULL);
    free_all(operations);
}
