/* replay.c: runs a fuzz target over files, with any compiler.
 *
 *     fuzz_image_replay FILE|FOLDER...
 *
 * Files of a folder are taken in the order of their names. A folder that does not exist holds no
 * inputs, but a run without any fails: it would show nothing. Prints each name before it is run, so
 * that the last line of a crash says which file it was. */
#include <stdio.h>

#include "base/base.h"
#include "fuzz.h"

static size_t n_run;

static bool run_file(const char *path)
{
    char *bytes = NULL;
    size_t n_bytes = 0;
    gf_error err;

    printf("%s\n", path);
    fflush(stdout);
    if (gf__read_file(path, (size_t)64 << 20, &bytes, &n_bytes, &err) != GF_OK) {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    /* Without the NUL that gf__read_file() adds, so that a sanitizer sees a read past the end. */
    uint8_t *exact = gf__malloc(n_bytes);
    for (size_t i = 0; exact != NULL && i < n_bytes; i++)
        exact[i] = (uint8_t)bytes[i];
    gf__free(bytes);
    if (exact == NULL)
        return false;
    (void)LLVMFuzzerTestOneInput(exact, n_bytes);
    n_run++;
    gf__free(exact);
    return true;
}

static bool run_folder(const char *path)
{
    gf__dir_list list = {0};
    gf_error err;
    bool is_good = true;

    if (gf__list_dir(path, &list, &err) != GF_OK) {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    for (size_t i = 0; i < list.n_names; i++) {
        char *file = gf__path_join(path, list.names[i]);
        if (file == NULL || (gf__is_file(file) && !run_file(file)))
            is_good = false;
        gf__free(file);
    }
    gf__dir_list_free(&list);
    return is_good;
}

int main(int argc, char **argv)
{
    bool is_good = true;

    (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        if (gf__is_dir(argv[i]))
            is_good = run_folder(argv[i]) && is_good;
        else if (gf__is_file(argv[i]))
            is_good = run_file(argv[i]) && is_good;
    }
    if (n_run == 0) {
        fprintf(stderr, "no input file found\n");
        is_good = false;
    }
    return is_good ? 0 : 1;
}
