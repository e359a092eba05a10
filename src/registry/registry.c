/* registry/registry.c: opening and closing a home, and the door between its threads: one
 * transaction at a time. */
#include "registry/registry_priv.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "registry/registry.h"

/* How long a lock is waited for. */
enum { LOCK_WAIT_MS = 1000, LOCK_STEP_MS = 10 };

gf_registry_options gf_registry_options_default(void)
{
    return (gf_registry_options){.busy_timeout_ms = 5000,
                                 .max_version_files = 1000,
                                 .max_version_bytes = (uint64_t)10 << 30};
}

static gf_status copy_options(gf_registry *registry, const gf_registry_options *options,
                              gf_error *err)
{
    registry->options = *options;
    registry->options.home = NULL;
    registry->options.file_roots = NULL;
    registry->options.n_file_roots = 0;
    registry->home = gf__strdup(options->home);
    registry->blobs_dir = gf__path_join(options->home, "blobs");
    registry->buckets_dir = gf__path_join(options->home, "buckets");
    registry->file_roots = gf__calloc(options->n_file_roots + 1, sizeof *registry->file_roots);
    if (registry->home == NULL || registry->blobs_dir == NULL || registry->buckets_dir == NULL ||
        registry->file_roots == NULL)
        return gf__error_nomem(err, "a registry", 0);
    for (size_t i = 0; i < options->n_file_roots; i++) {
        registry->file_roots[i] = gf__strdup(options->file_roots[i]);
        if (registry->file_roots[i] == NULL)
            return gf__error_nomem(err, "a registry", 0);
        registry->options.n_file_roots++;
    }
    return GF_OK;
}

static gf_status open_files(gf_registry *registry, gf_error *err)
{
    char *path = gf__path_join(registry->home, "registry.db");
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(registry->home));
    const gf__migrations schema = gf__schema();
    gf_status st = gf__make_dirs(registry->blobs_dir, err);
    if (st == GF_OK)
        st = gf__make_dirs(registry->buckets_dir, err);
    if (st == GF_OK)
        st = gf__db_open(path, registry->options.busy_timeout_ms, &schema, &registry->db, err);
    gf__free(path);
    return st;
}

gf_status gf_registry_open(const gf_registry_options *options, gf_registry **out, gf_error *err)
{
    *out = NULL;
    if (options->home == NULL || options->home[0] == '\0')
        return gf_error_set(err, GF_EINVAL, "a registry needs a home folder");
    gf_registry *registry = gf__calloc(1, sizeof *registry);
    if (registry == NULL)
        return gf__error_nomem(err, "a registry", sizeof *registry);
    pthread_mutex_init(&registry->mutex, NULL);
    pthread_mutex_init(&registry->blobs, NULL);
    gf_status st = copy_options(registry, options, err);
    if (st == GF_OK)
        st = open_files(registry, err);
    if (st != GF_OK) {
        gf_registry_close(registry);
        return st;
    }
    *out = registry;
    return GF_OK;
}

void gf_registry_close(gf_registry *registry)
{
    if (registry == NULL)
        return;
    gf__db_close(registry->db);
    gf__lock_release(registry->lock);
    for (size_t i = 0; i < registry->options.n_file_roots; i++)
        gf__free(registry->file_roots[i]);
    gf__free(registry->file_roots);
    gf__free(registry->buckets_dir);
    gf__free(registry->blobs_dir);
    gf__free(registry->home);
    pthread_mutex_destroy(&registry->blobs);
    pthread_mutex_destroy(&registry->mutex);
    gf__free(registry);
}

void gf_registry_free_text(char *text)
{
    gf__free(text);
}

gf_status gf_registry_lock(gf_registry *registry, gf_error *err)
{
    assert(registry->lock == NULL);
    char *path = gf__path_join(registry->home, "registry.lock");
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(registry->home));
    gf_status st = gf__lock_acquire(path, false, &registry->lock, err);
    /* Of a process that was just killed, a child that is about to become another program may have it
     * still. */
    for (int waited_ms = 0; st == GF_EBUSY && waited_ms < LOCK_WAIT_MS; waited_ms += LOCK_STEP_MS) {
        nanosleep(&(struct timespec){.tv_nsec = LOCK_STEP_MS * 1000000L}, NULL);
        st = gf__lock_acquire(path, false, &registry->lock, err);
    }
    if (st == GF_EBUSY)
        st = gf_error_set(err, GF_EBUSY, "%s: another process runs the operations of this home",
                          path);
    gf__free(path);
    return st;
}

gf_status gf__enter_read(gf_registry *registry, gf_error *err)
{
    pthread_mutex_lock(&registry->mutex);
    const gf_status st = gf__db_begin_read(registry->db, err);
    if (st != GF_OK)
        pthread_mutex_unlock(&registry->mutex);
    return st;
}

gf_status gf__enter_write(gf_registry *registry, gf_error *err)
{
    pthread_mutex_lock(&registry->mutex);
    const gf_status st = gf__db_begin_write(registry->db, err);
    if (st != GF_OK)
        pthread_mutex_unlock(&registry->mutex);
    return st;
}

gf_status gf__leave(gf_registry *registry, gf_status st, gf_error *err)
{
    const gf_status end = gf__db_end(registry->db, st, err);
    pthread_mutex_unlock(&registry->mutex);
    return end;
}

gf_status gf__leave_with(gf_registry *registry, gf_status st, char *text, char **out, gf_error *err)
{
    st = gf__leave(registry, st, err);
    if (st == GF_OK)
        *out = text;
    else
        gf__free(text);
    return st;
}

static gf_status call(gf_registry *registry, const char *name, gf__kind kind,
                      gf_status (*enter)(gf_registry *registry, gf_error *err),
                      gf__named_work *work, char **out, gf_error *err)
{
    gf__name parts;
    char *text = NULL;
    *out = NULL;
    gf_status st = gf__name_parse(name, kind, &parts, err);
    if (st == GF_OK)
        st = enter(registry, err);
    if (st != GF_OK)
        return st;
    st = work(registry, &parts, &text, err);
    return gf__leave_with(registry, st, text, out, err);
}

gf_status gf__call_read(gf_registry *registry, const char *name, gf__kind kind,
                        gf__named_work *work, char **out, gf_error *err)
{
    return call(registry, name, kind, gf__enter_read, work, out, err);
}

gf_status gf__call_write(gf_registry *registry, const char *name, gf__kind kind,
                         gf__named_work *work, char **out, gf_error *err)
{
    return call(registry, name, kind, gf__enter_write, work, out, err);
}

gf_status gf__call_patch(gf_registry *registry, const char *name, const gf__patch *patch,
                         char **out, gf_error *err)
{
    gf__name parts;
    gf__mask paths;
    gf__json *fields = NULL;
    char *text = NULL;
    *out = NULL;
    gf_status st = gf__name_parse(name, patch->kind, &parts, err);
    if (st == GF_OK)
        st = gf__mask_read(patch->mask, patch->kind, &paths, err);
    if (st == GF_OK)
        st = gf__fields_read(patch->body, patch->kind, &fields, err);
    if (st == GF_OK)
        st = gf__enter_write(registry, err);
    if (st != GF_OK)
        goto done;
    st = patch->work(registry, &parts, fields, &paths, &text, err);
    st = gf__leave_with(registry, st, text, out, err);
done:
    gf__json_free(fields);
    return st;
}

/* Here rather than in the server: an operation's error carries it too. */
int gf__rpc_code(gf_status status)
{
    switch (status) {
    case GF_OK:
        return 0;
    case GF_ECANCELED:
        return 1; /* CANCELLED */
    case GF_EINVAL:
    case GF_EFORMAT:
    case GF_ESHAPE:
        return 3; /* INVALID_ARGUMENT */
    case GF_ENOTFOUND:
        return 5; /* NOT_FOUND */
    case GF_EEXISTS:
        return 6; /* ALREADY_EXISTS */
    case GF_ENOMEM:
    case GF_EOVERLOAD:
        return 8;   /* RESOURCE_EXHAUSTED */
    case GF_ELIMIT: /* as the service answered to a model that was too large */
    case GF_EMISMATCH:
    case GF_EPRECONDITION:
        return 9; /* FAILED_PRECONDITION */
    case GF_EBUSY:
        return 10; /* ABORTED */
    case GF_EUNSUPPORTED:
        return 12; /* UNIMPLEMENTED */
    case GF_EIO:
        return 13; /* INTERNAL */
    case GF_ENETWORK:
    case GF_EUNAVAILABLE:
        return 14; /* UNAVAILABLE */
    case GF_EAUTH:
        return 16; /* UNAUTHENTICATED */
    case GF_EDENIED:
        return 7; /* PERMISSION_DENIED */
    case GF_ETIMEOUT:
        return 4; /* DEADLINE_EXCEEDED */
    }
    return 2; /* UNKNOWN */
}
