/* fuzz_package.c: any bytes as a user's package, as the METADATA of a wheel and as an sdist's requires.txt. Whatever is
 * unpacked lies in the folder that was asked for. */
#include <ftw.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "scratch.h"
#include "tasks/tasks_priv.h"

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    return remove(path);
}

/* The scratch folder has the input and "in", and nothing else. */
static void check_folder(const scratch *s)
{
    gf__dir_list list;
    if (gf__list_dir(s->folder, &list, NULL) != GF_OK)
        return;
    for (size_t i = 0; i < list.n_names; i++)
        if (strcmp(list.names[i], "in") != 0 && strcmp(list.names[i], "package") != 0)
            abort();
    gf__dir_list_free(&list);
}

static void unpack(const scratch *s, const char *dir)
{
    static const gf__archive_limits limits = {.max_entries = 50, .max_bytes = 1 << 20};
    gf_error err;
    (void)gf__archive_unpack(NULL, s->file, dir, &limits, &err);
    check_folder(s);
    (void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void read_metadata(const scratch *s, char *dir)
{
    char file[sizeof s->file];
    memcpy(file, s->file, sizeof file);
    const gf__unpacked package = {.uri = "p", .dir = dir, .root = dir, .metadata = file};
    gf__texts requirements = {0};
    gf_error err;
    (void)gf__requirements_find(NULL, &package, &requirements, &err);
    gf__texts_free(&requirements);
}

static void read_requires(char *dir, const uint8_t *bytes, size_t n_bytes)
{
    char inner[512], file[600];
    gf__texts requirements = {0};
    gf_error err;
    snprintf(inner, sizeof inner, "%.400s/p.egg-info", dir);
    snprintf(file, sizeof file, "%s/requires.txt", inner);
    FILE *out = gf__make_dirs(inner, &err) == GF_OK ? fopen(file, "wb") : NULL;
    if (out != NULL) {
        const size_t n_written = fwrite(bytes, 1, n_bytes, out);
        if (fclose(out) == 0 && n_written == n_bytes) {
            const gf__unpacked package = {.uri = "p", .dir = dir, .root = dir};
            (void)gf__requirements_find(NULL, &package, &requirements, &err);
        }
    }
    gf__texts_free(&requirements);
    (void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    scratch s;
    char dir[128];
    if (!scratch_write(&s, "package", bytes, n_bytes))
        return 0;
    snprintf(dir, sizeof dir, "%s/in", s.folder);
    unpack(&s, dir);
    read_metadata(&s, dir);
    read_requires(dir, bytes, n_bytes);
    scratch_remove(&s);
    return 0;
}
