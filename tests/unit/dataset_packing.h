/* dataset_packing.h: pictures to pack into an .npz, and what came of it, for the tests of dataset make. */
#ifndef GRAFT_TESTS_DATASET_PACKING_H
#define GRAFT_TESTS_DATASET_PACKING_H

#include "data/make_priv.h"
#include "dataset_files.h"
#include "image/image.h"

/* A PNG of noise. */
static inline void add_picture(const char *dir, const char *name, uint64_t seed)
{
    enum { WIDTH = 50, HEIGHT = 40 };
    uint8_t rgb[WIDTH * HEIGHT * 3], *bytes = NULL;
    size_t n_bytes = 0;
    gf_image *image = NULL;
    gf__rng rng;

    gf__rng_seed(&rng, seed, 0);
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)gf__rng_u64(&rng);
    CHECK_OK(gf_image_from_rgb(rgb, WIDTH, HEIGHT, &image, &check_err));
    CHECK_OK(gf_image_encode_png(image, &bytes, &n_bytes, &check_err));
    add_file(dir, name, bytes, n_bytes);
    gf_image_bytes_free(bytes);
    gf_image_free(image);
}

typedef struct fixture {
    char *dir;
    char source[512]; /* DIR/set: 3 cats, 2 dogs, one of which is no picture */
    char list[512];   /* DIR/list.txt */
    char output[512]; /* DIR/out.npz */
} fixture;

static inline fixture make_fixture(void)
{
    fixture f = {.dir = check_temp_dir()};

    snprintf(f.source, sizeof f.source, "%s/set", f.dir);
    snprintf(f.list, sizeof f.list, "%s/list.txt", f.dir);
    snprintf(f.output, sizeof f.output, "%s/out.npz", f.dir);
    add_picture(f.source, "cat/1.png", 1);
    add_picture(f.source, "cat/2.png", 2);
    add_picture(f.source, "cat/3.png", 3);
    add_file(f.source, "dog/4.png", "hello", 5);
    add_picture(f.source, "dog/5.png", 5);
    return f;
}

/* Writes DIR/list.txt, %s being DIR/set. */
static inline void write_list(const fixture *f, const char *format)
{
    gf__buffer text = {0};

    for (const char *at = format; *at != '\0'; at++) {
        if (at[0] == '%' && at[1] == 's') {
            gf__buffer_puts(&text, f->source);
            at++;
        } else {
            gf__buffer_append(&text, at, 1);
        }
    }
    CHECK_OK(gf__write_file(f->list, text.data, text.size, &check_err));
    gf__buffer_free(&text);
}

static inline gf_make_options small_options(void)
{
    gf_make_options options = gf_make_options_default();

    options.size = 16;
    options.n_threads = 2;
    options.n_retries = 0;
    return options;
}

/* Names in DIR, "list.txt out.npz set": nothing may be left beside them. */
static inline void check_left(const fixture *f, const char *want)
{
    gf__dir_list list;
    char names[1024] = "";

    CHECK_OK(gf__list_dir(f->dir, &list, &check_err));
    for (size_t i = 0; i < list.n_names; i++) {
        strcat(names, i > 0 ? " " : "");
        strcat(names, list.names[i]);
    }
    CHECK_STR(names, want);
    gf__dir_list_free(&list);
}

/* Row i of the .npz is the picture as every other part of graft sees it. */
static inline void check_row(const gf_dataset *set, size_t i, const char *file)
{
    uint8_t want[16 * 16 * 3];
    gf_sample sample;
    gf__mapping bytes;

    CHECK_OK(gf__map_file(file, &bytes, &check_err));
    CHECK_OK(
        gf__image_decode_resized(bytes.data, bytes.size, 1 << 20, 16, 16, NULL, want, &check_err));
    gf__unmap(&bytes);
    CHECK_OK(gf_dataset_read(set, i, &sample, &check_err));
    CHECK_EQ(sample.kind, GF_SAMPLE_PIXELS);
    CHECK_EQ(sample.n_bytes, sizeof want);
    assert_memory_equal(sample.data, want, sizeof want);
    gf_sample_release(&sample);
}

static inline gf_dataset *open_output(const fixture *f)
{
    gf_dataset *set = NULL;
    CHECK_OK(gf_dataset_open(f->output, NULL, NULL, &set, &check_err));
    return set;
}

/* Stops at the n-th call of a stage. */
typedef struct stop_point {
    const char *stage;
    uint64_t n_before;
    bool was_told; /* where downloads are kept */
} stop_point;

static inline bool stop_at(void *user, const gf_progress *progress)
{
    stop_point *stopper = user;

    if (strcmp(progress->stage, stopper->stage) != 0)
        return true;
    return stopper->n_before-- > 0;
}

static inline void hear(void *user, gf_log_level level, const char *message)
{
    stop_point *stopper = user;
    stopper->was_told = stopper->was_told || strstr(message, "out.npz.downloads") != NULL;
}

static inline void check_stopped(const fixture *f, const char *source, const char *stage,
                                 uint64_t n_before, const char *left)
{
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    stop_point s = {.stage = stage, .n_before = n_before};

    options.n_connections = 1;
    CHECK_FAILS(GF_ECANCELED, "",
                gf_dataset_make(source, f->output, &options,
                                &(gf_observer){.progress = stop_at, .log = hear, .user = &s},
                                &result, &check_err));
    CHECK(result == NULL);
    CHECK_EQ(s.was_told, strstr(left, ".downloads") != NULL);
    check_left(f, left);
}

#endif
