/* fuzz_registry.c: any bytes as what a client of the registry sends: a body, and after a zero byte a
 * filter, mask, name, page token or address. */
#include <assert.h>
#include <string.h>

#include "fuzz.h"
#include "registry/job_fields_priv.h"
#include "registry/registry.h"
#include "registry/registry_priv.h"

/* A registry with nothing in it but where addresses lead. */
static void make_registry(gf_registry *registry)
{
    static char buckets[] = "/nowhere/buckets", root[] = "/nowhere/root";
    static char *roots[] = {root};
    *registry = (gf_registry){.buckets_dir = buckets, .file_roots = roots};
    registry->options.n_file_roots = 1;
}

/* A job that is taken is one that can be run. */
static void check_job(const gf__json *fields)
{
    gf_registry registry;
    gf_error err = {0};
    make_registry(&registry);
    const gf_status st = gf__job_check_fields(&registry, "p", fields, &err);
    assert(st == GF_OK || ((st == GF_EINVAL || st == GF_EUNSUPPORTED) && err.message[0] != '\0'));
    if (st != GF_OK)
        return;
    const gf__json *training = gf__json_find(fields, "trainingInput");
    assert((training == NULL) == (gf__json_find(fields, "predictionInput") != NULL));
    assert(training == NULL || gf__json_is_string(gf__json_find(training, "pythonModule")));
}

/* A body's fields, filtered and masked by the other text. */
static void read_fields(const char *body, const char *other, gf__kind kind)
{
    gf__json *fields = NULL, *changed = NULL;
    gf__list_filter filter = {0};
    gf__mask mask;
    gf_error err;

    if (gf__fields_read(body, kind, &fields, &err) != GF_OK)
        return;
    gf__json *stored = gf__fields_stored(fields);
    assert(gf__json_is_object(stored) && gf__json_find(stored, "name") == NULL);
    (void)gf__version_check_fields(fields, &err);
    if (kind == GF__KIND_JOB)
        check_job(fields);
    if (gf__filter_read(other, &filter, &err) == GF_OK)
        (void)gf__filter_passes(&filter, fields);
    gf__free(filter.text);
    if (gf__mask_read(other, kind, &mask, &err) == GF_OK) {
        assert(mask.n_paths > 0 && mask.n_paths <= GF__MASK_PATHS);
        if (gf__mask_apply(&mask, stored, fields, &changed, &err) == GF_OK)
            assert(gf__json_is_object(changed));
        gf__json_free(changed);
    }
    gf__json_free(stored);
    gf__json_free(fields);
}

/* A name that is one comes out as it went in. */
static void read_name(const char *text)
{
    gf__name name;
    gf_error err;
    for (int kind = GF__KIND_PROJECT; kind < GF__KIND_TOKEN; kind++) {
        if (gf__name_parse(text, (gf__kind)kind, &name, &err) != GF_OK)
            continue;
        char *again = gf__name_text(&name);
        assert(again != NULL && strcmp(again, text) == 0);
        gf__free(again);
    }
}

/* A token that was never given out is refused; that one is guessed is not to be expected. */
static void read_token(const char *text)
{
    const gf_registry_page page = {.token = text};
    gf__list list;
    gf_error err;
    const gf_status st = gf__list_begin("models", "projects/p", &page, &list, &err);
    assert(st == GF_EINVAL || text[0] == '\0');
    gf__list_free(&list);
}

/* No address leads out of the buckets. */
static void resolve(const char *address)
{
    gf_registry registry;
    char *path = NULL;
    gf_error err;
    make_registry(&registry);
    if (gf__registry_resolve(&registry, address, &path, &err) == GF_OK) {
        assert(strncmp(path, "/nowhere/buckets/", 17) == 0);
        assert(strstr(path, "/../") == NULL && strstr(path, "//") == NULL);
        assert(strlen(path) < 3 || strcmp(path + strlen(path) - 3, "/..") != 0);
    }
    gf__free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    char *body = gf__strndup((const char *)bytes, n_bytes);
    assert(body != NULL);
    const size_t n_body = strlen(body);
    char *other = n_body < n_bytes
                      ? gf__strndup((const char *)bytes + n_body + 1, n_bytes - n_body - 1)
                      : gf__strdup(body);
    assert(other != NULL);
    read_fields(body, other, GF__KIND_MODEL);
    read_fields(body, other, GF__KIND_VERSION);
    read_fields(body, other, GF__KIND_JOB);
    read_name(other);
    read_token(other);
    resolve(other);
    gf__free(other);
    gf__free(body);
    return 0;
}
