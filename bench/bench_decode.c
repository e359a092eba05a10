/* bench_decode.c: how fast picture files become a network's input, as one JSON line.
 *
 *     bench_decode [--full] [--size 299] [--seconds 2] FILE...
 *
 * A pass decodes every file from memory and resizes it, in one thread, by the function that
 * training, command line and server call. --full decodes all pixels first, which shows what the DCT
 * scaling of JPEG saves. times_ms are whole passes. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/base.h"
#include "image/image.h"

#define MAX_PASSES 10000

typedef struct settings {
    bool is_full;
    size_t size;
    double seconds;
} settings;

typedef struct bench {
    settings settings;
    uint64_t max_pixels;
    gf__mapping *files;
    const char *const *names;
    size_t n_files;
    gf__image_scratch *scratch;
    uint8_t *rgb;
    double times_ms[MAX_PASSES];
    size_t n_passes;
} bench;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static gf_status decode_full(const bench *b, const gf__mapping *file, gf_error *err)
{
    gf_image *image = NULL;
    gf_status st = gf_image_decode(file->data, file->size, NULL, &image, err);
    if (st == GF_OK)
        st = gf_image_resize_into(image, b->settings.size, b->settings.size, b->rgb, err);
    gf_image_free(image);
    return st;
}

static gf_status run_pass(bench *b, gf_error *err)
{
    for (size_t i = 0; i < b->n_files; i++) {
        const gf__mapping *file = &b->files[i];
        const gf_status st = b->settings.is_full
                                 ? decode_full(b, file, err)
                                 : gf__image_decode_resized(file->data, file->size, b->max_pixels,
                                                            b->settings.size, b->settings.size,
                                                            b->scratch, b->rgb, err);
        if (st != GF_OK) {
            gf__error_prefix(err, "%s", b->names[i]);
            return st;
        }
    }
    return GF_OK;
}

static gf_status run_passes(bench *b, gf_error *err)
{
    gf_status st = run_pass(b, err); /* the first one pays for fresh memory */
    const double end = now_ms() + b->settings.seconds * 1e3;
    while (st == GF_OK && b->n_passes < MAX_PASSES && (b->n_passes < 3 || now_ms() < end)) {
        const double start = now_ms();
        st = run_pass(b, err);
        b->times_ms[b->n_passes++] = now_ms() - start;
    }
    return st;
}

static void print_line(const bench *b)
{
    printf("{\"bench\": \"decode\", \"n_files\": %zu, \"size\": %zu, \"full\": %s, \"times_ms\": [",
           b->n_files, b->settings.size, b->settings.is_full ? "true" : "false");
    for (size_t i = 0; i < b->n_passes; i++)
        printf("%s%.3f", i > 0 ? ", " : "", b->times_ms[i]);
    printf("]}\n");
}

static gf_status run(bench *b, gf_error *err)
{
    gf_status st = gf__image_scratch_new(&b->scratch, err);
    b->max_pixels = gf_image_options_default().max_pixels;
    b->files = gf__calloc(b->n_files, sizeof *b->files);
    b->rgb = gf__malloc(b->settings.size * b->settings.size * 3);
    if (st == GF_OK && (b->files == NULL || b->rgb == NULL))
        st = gf__error_nomem(err, "pictures", b->n_files * sizeof *b->files);
    for (size_t i = 0; i < b->n_files && st == GF_OK; i++)
        st = gf__map_file(b->names[i], &b->files[i], err);
    if (st == GF_OK)
        st = run_passes(b, err);
    if (st == GF_OK)
        print_line(b);
    for (size_t i = 0; b->files != NULL && i < b->n_files; i++)
        gf__unmap(&b->files[i]);
    gf__free(b->files);
    gf__free(b->rgb);
    gf__image_scratch_free(b->scratch);
    return st;
}

static const struct option long_options[] = {{"full", no_argument, NULL, 'f'},
                                             {"size", required_argument, NULL, 'n'},
                                             {"seconds", required_argument, NULL, 's'},
                                             {NULL, 0, NULL, 0}};

static bool read_options(settings *s, int argc, char **argv)
{
    for (int letter; (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (letter) {
        case 'f':
            s->is_full = true;
            break;
        case 'n':
            s->size = strtoul(optarg, NULL, 10);
            break;
        case 's':
            s->seconds = strtod(optarg, NULL);
            break;
        default:
            return false;
        }
    }
    return optind < argc && s->size > 0 && s->size <= 4096;
}

int main(int argc, char **argv)
{
    static bench b = {.settings = {.size = 299, .seconds = 2.0}};
    gf_error err;
    if (!read_options(&b.settings, argc, argv)) {
        fprintf(stderr, "usage: bench_decode [--full] [--size 299] [--seconds 2] FILE...\n");
        return 2;
    }
    b.names = (const char *const *)(argv + optind);
    b.n_files = (size_t)(argc - optind);
    if (run(&b, &err) != GF_OK) {
        fprintf(stderr, "bench_decode: %s\n", err.message);
        return 1;
    }
    return 0;
}
