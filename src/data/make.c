/* make.c: pictures of any source into the article's .npz. Downloads if they must be, decodes and
 * resizes on all threads into rows on disk, then writes the rows that came out well in the order of
 * the source. */
#include <stdio.h>
#include <string.h>

#include "data/each_priv.h"
#include "data/make_priv.h"

#define MAX_SIZE        4096
#define MAX_CONNECTIONS 64

typedef struct make_run {
    const char *output;
    gf_make_options options;
    const gf_observer *obs;
    gf_dataset *set;
    gf__downloads *downloads; /* NULL unless items are addresses */
    char **failures;          /* why item i is left out, or NULL */
    gf__names repeated;       /* addresses left out before anything else */
    int n_threads;
    gf__image_scratch **scratch; /* one a thread */
    uint8_t **rows;              /* likewise: size x size x 3 bytes */
    gf__spool *spool;
    size_t *kept; /* items that became rows */
    size_t n_kept;
} make_run;

gf_make_options gf_make_options_default(void)
{
    return (gf_make_options){.size = 299, .n_connections = 8, .n_retries = 3};
}

void gf_make_result_free(gf_make_result *result)
{
    if (result == NULL)
        return;
    for (size_t i = 0; i < result->n_skipped; i++)
        gf__free(result->skipped[i]);
    gf__free(result->skipped);
    gf__free(result);
}

static gf_status check_options(const gf_make_options *options, gf_error *err)
{
    if (options->size < 1 || options->size > MAX_SIZE)
        return gf_error_set(err, GF_EINVAL, "size is %zu pixels, expected 1 to %d", options->size,
                            MAX_SIZE);
    if (options->n_connections < 1 || options->n_connections > MAX_CONNECTIONS)
        return gf_error_set(err, GF_EINVAL, "%d connections, expected 1 to %d",
                            options->n_connections, MAX_CONNECTIONS);
    if (options->n_retries < 0)
        return gf_error_set(err, GF_EINVAL, "%d retries, expected 0 or more", options->n_retries);
    return GF_OK;
}

/* ---- the source ------------------------------------------------------------------------------ */

/* Beside the output, where there is room for it, and under a name that the next run finds. */
static gf_status open_downloads(make_run *make, gf_error *err)
{
    gf_status st;
    char *dir = gf__asprintf("%s.downloads", make->output);

    if (dir == NULL)
        return gf__error_nomem(err, "a path", strlen(make->output));
    st = gf__downloads_open(dir, &make->downloads, err);
    gf__free(dir);
    return st;
}

static gf_status read_urls(make_run *make, const char *source, const gf__mapping *file,
                           gf_error *err)
{
    static const gf_dataset_options no_options = {0};
    gf_status st;
    gf__names labels = {0};

    st = gf__dataset_new(source, &make->set, err);
    if (st != GF_OK)
        return st;
    st = gf__urls_read(make->set, (const char *)file->data, file->size, &labels, &make->repeated,
                       err);
    if (st == GF_OK)
        st = gf__labels_resolve(make->set, &labels, &no_options, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", source);
    gf__names_free(&labels);
    if (st != GF_OK)
        return st;
    return open_downloads(make, err);
}

static gf_status open_source(make_run *make, const char *source, gf_error *err)
{
    gf__mapping file = {0};
    gf_status st;

    if (gf__is_file(source)) {
        st = gf__map_file(source, &file, err);
        if (st != GF_OK)
            return st;
    }
    if (file.size > 0 && gf__is_url_list((const char *)file.data, file.size))
        st = read_urls(make, source, &file, err);
    else
        st = gf_dataset_open(source, NULL, make->obs, &make->set, err);
    if (st == GF_OK && make->set != NULL)
        st = gf__dataset_wants_pictures(make->set, err);
    gf__unmap(&file);
    return st;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static gf_status read_item(const make_run *make, size_t i, gf_sample *sample, gf__mapping *file,
                           gf_error *err)
{
    gf_status st;
    char *path;

    if (make->downloads == NULL)
        return gf_dataset_read(make->set, i, sample, err);
    path = gf__downloads_path(make->downloads, gf_dataset_item_at(make->set, i));
    if (path == NULL)
        return gf__error_nomem(err, "a path", 0);
    st = gf__map_file(path, file, err);
    gf__free(path);
    if (st == GF_OK)
        *sample = (gf_sample){.kind = GF_SAMPLE_ENCODED,
                              .data = file->size > 0 ? (const void *)file->data : "",
                              .n_bytes = file->size};
    return st;
}

/* Pixels of an .npz are resized as pictures are. */
static gf_status resize_pixels(const gf_sample *sample, size_t size, uint8_t *row, gf_error *err)
{
    gf_status st;
    gf_image *image = NULL;
    const size_t n_values = sample->width * sample->height * 3;
    uint8_t *bytes = NULL;

    if (sample->kind == GF_SAMPLE_SCALED) {
        bytes = gf__malloc(n_values);
        if (bytes == NULL)
            return gf__error_nomem(err, "a picture", n_values);
        gf__sample_to_bytes(sample, bytes);
    }
    st = gf_image_from_rgb(bytes != NULL ? bytes : sample->data, sample->width, sample->height,
                           &image, err);
    if (st == GF_OK)
        st = gf_image_resize_into(image, size, size, row, err);
    gf_image_free(image);
    gf__free(bytes);
    return st;
}

static gf_status make_row(make_run *make, size_t i, int thread, gf_error *err)
{
    gf_status st;
    gf_sample sample = {0};
    gf__mapping file = {0};
    const size_t size = make->options.size;
    uint8_t *row = make->rows[thread];

    st = read_item(make, i, &sample, &file, err);
    if (st == GF_OK && sample.kind == GF_SAMPLE_ENCODED)
        st = gf__image_decode_resized(sample.data, sample.n_bytes, make->options.max_pixels, size,
                                      size, make->scratch[thread], row, err);
    else if (st == GF_OK)
        st = resize_pixels(&sample, size, row, err);
    gf_sample_release(&sample);
    gf__unmap(&file);
    return st;
}

/* The item is named by the line that says why it was left out. */
static gf_status leave_out(make_run *make, size_t i, const gf_error *why, gf_error *err)
{
    const char *file = gf_dataset_file_at(make->set, i), *message = why->message;
    const size_t n = file != NULL ? strlen(file) : 0;

    if (n > 0 && strncmp(message, file, n) == 0 && strncmp(message + n, ": ", 2) == 0)
        message += n + 2;
    make->failures[i] = gf__strdup(message);
    return make->failures[i] != NULL ? GF_OK : gf__error_nomem(err, "a message", strlen(message));
}

static gf_status make_one(void *user, size_t i, int thread, gf_error *err)
{
    make_run *make = user;
    gf_error why = {0};
    gf_status st;

    if (make->failures[i] != NULL)
        return GF_OK;
    st = make_row(make, i, thread, &why);
    if (st == GF_ENOMEM) {
        *err = why;
        return st;
    }
    if (st != GF_OK)
        return leave_out(make, i, &why, err);
    return gf__spool_write(make->spool, i, make->rows[thread], err);
}

static const char *name_of(void *user, size_t i)
{
    const make_run *make = user;
    return gf_dataset_item_at(make->set, i);
}

static gf_status prepare_threads(make_run *make, gf_error *err)
{
    const size_t n = (size_t)make->n_threads;
    const size_t row_bytes = make->options.size * make->options.size * 3;

    make->scratch = gf__calloc(n, sizeof(gf__image_scratch *));
    make->rows = gf__calloc(n, sizeof *make->rows);
    if (make->scratch == NULL || make->rows == NULL)
        return gf__error_nomem(err, "threads", n * sizeof *make->rows);
    for (size_t t = 0; t < n; t++) {
        const gf_status st = gf__image_scratch_new(&make->scratch[t], err);

        if (st != GF_OK)
            return st;
        make->rows[t] = gf__malloc(row_bytes);
        if (make->rows[t] == NULL)
            return gf__error_nomem(err, "a picture", row_bytes);
    }
    return gf__spool_open(make->output, row_bytes, &make->spool, err);
}

static gf_status make_rows(make_run *make, gf_error *err)
{
    gf__each each = {.stage = "decode", .n_items = make->set->n_items, .obs = make->obs};
    gf_status st = prepare_threads(make, err);

    if (st != GF_OK)
        return st;
    each.work = make_one;
    each.name = name_of;
    each.user = make;
    return gf__each_run(&each, make->n_threads, err);
}

static gf_status download(make_run *make, gf_error *err)
{
    const gf__downloads_options options = {make->options.n_connections, make->options.n_retries};

    return gf__downloads_get(make->downloads, make->set, &options, make->obs, make->failures, err);
}

/* ---- the .npz -------------------------------------------------------------------------------- */

static gf_status choose_kept(make_run *make, gf_error *err)
{
    const gf_dataset *set = make->set;
    size_t first = 0;

    make->kept = gf__calloc(set->n_items, sizeof *make->kept);
    if (make->kept == NULL)
        return gf__error_nomem(err, "items", set->n_items * sizeof *make->kept);
    for (size_t i = 0; i < set->n_items; i++) {
        if (make->failures[i] == NULL)
            make->kept[make->n_kept++] = i;
    }
    if (make->n_kept > 0)
        return GF_OK;
    return gf_error_set(err, GF_ENOTFOUND, "none of the %zu pictures could be had; %s: %s",
                        set->n_items, gf_dataset_item_at(set, first), make->failures[first]);
}

static gf_status fill_row(void *user, size_t i, void *row, gf_error *err)
{
    make_run *make = user;
    gf_status st = gf__observe_progress(make->obs, "write", i, make->n_kept, NULL, err);

    if (st != GF_OK)
        return st;
    return gf__spool_read(make->spool, make->kept[i], row, err);
}

static gf_status write_npz(make_run *make, gf_error *err)
{
    gf_status st;
    gf_tensor *labels = NULL;
    const size_t shape[4] = {make->n_kept, make->options.size, make->options.size, 3};
    gf_npz_member members[3] = {{.name = "features"}, {.name = "labels"}, {.name = "classes"}};

    st = gf_tensor_new(GF_DTYPE_I64, shape, 1, &labels, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < make->n_kept; i++)
        ((int64_t *)gf_tensor_mutable_data(labels))[i] = (int64_t)gf_dataset_label_at(
            make->set, make->kept[i]);
    members[0].dtype = GF_DTYPE_U8;
    members[0].shape = shape;
    members[0].n_dims = 4;
    members[0].fill_row = fill_row;
    members[0].user = make;
    members[1].tensor = labels;
    members[2].strings = (const char *const *)make->set->classes.at;
    members[2].n_strings = make->set->classes.n;
    st = gf_npz_save(make->output, members, 3, make->options.is_compressed, err);
    gf_tensor_free(labels);
    return st;
}

static gf_status build_result(make_run *make, gf_make_result **out, gf_error *err)
{
    gf_status st = GF_OK;
    gf__names skipped = make->repeated;
    gf_make_result *result = gf__calloc(1, sizeof *result);

    if (result == NULL)
        return gf__error_nomem(err, "a result", sizeof *result);
    make->repeated = (gf__names){0}; /* moved */
    for (size_t i = 0; i < make->set->n_items && st == GF_OK; i++) {
        char *line;

        if (make->failures[i] == NULL)
            continue;
        line = gf__asprintf("%s: %s", gf_dataset_item_at(make->set, i), make->failures[i]);
        st = line != NULL ? gf__names_add(&skipped, line, err)
                          : gf__error_nomem(err, "a message", strlen(make->failures[i]));
        gf__free(line);
    }
    result->n_written = make->n_kept;
    result->skipped = skipped.at;
    result->n_skipped = skipped.n;
    if (st != GF_OK) {
        gf_make_result_free(result);
        return st;
    }
    *out = result;
    return GF_OK;
}

static void clear(make_run *make, gf_status st)
{
    if (gf__downloads_close(make->downloads, st != GF_OK) && st != GF_OK)
        gf__observe_log(
            make->obs, GF_LOG_INFO,
            "pictures downloaded so far are in %s.downloads; the same command goes on with "
            "them",
            make->output);
    for (int t = 0; t < make->n_threads; t++) {
        gf__image_scratch_free(make->scratch != NULL ? make->scratch[t] : NULL);
        gf__free(make->rows != NULL ? make->rows[t] : NULL);
    }
    gf__free(make->scratch);
    gf__free(make->rows);
    for (size_t i = 0; make->failures != NULL && i < make->set->n_items; i++)
        gf__free(make->failures[i]);
    gf__free(make->failures);
    gf__free(make->kept);
    gf__names_free(&make->repeated);
    gf__spool_close(make->spool);
    gf_dataset_free(make->set);
}

gf_status gf_dataset_make(const char *source, const char *output, const gf_make_options *options,
                          const gf_observer *obs, gf_make_result **out, gf_error *err)
{
    gf_status st;
    make_run make = {.output = output, .obs = obs};

    *out = NULL;
    make.options = options != NULL ? *options : gf_make_options_default();
    if (make.options.max_pixels == 0)
        make.options.max_pixels = gf_image_options_default().max_pixels;
    make.n_threads = make.options.n_threads > 0 ? make.options.n_threads : gf_threads_available();
    st = check_options(&make.options, err);
    if (st != GF_OK)
        return st;
    st = open_source(&make, source, err);
    if (st != GF_OK)
        goto done;
    make.failures = gf__calloc(make.set->n_items, sizeof *make.failures);
    if (make.failures == NULL) {
        st = gf__error_nomem(err, "items", make.set->n_items * sizeof *make.failures);
        goto done;
    }
    if (make.downloads != NULL) {
        st = download(&make, err);
        if (st != GF_OK)
            goto done;
    }
    st = make_rows(&make, err);
    if (st != GF_OK)
        goto done;
    st = choose_kept(&make, err);
    if (st != GF_OK)
        goto done;
    st = write_npz(&make, err);
    if (st != GF_OK)
        goto done;
    st = build_result(&make, out, err);
done:
    clear(&make, st);
    return st;
}
