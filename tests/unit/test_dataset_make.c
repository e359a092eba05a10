/* Packing pictures into an .npz, from folders and from lists of addresses (file:// ones: no test
 * needs a network). */
#include "check.h"

#include "base/base.h"
#include "data/make_priv.h"
#include "image/image.h"

/* ---- fixtures -------------------------------------------------------------------------------- */

static void add_bytes(const char *dir, const char *name, const void *bytes, size_t n_bytes)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    *strrchr(path, '/') = '\0';
    CHECK_OK(gf__make_dirs(path, &check_err));
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK_OK(gf__write_file(path, bytes, n_bytes, &check_err));
}

/* A PNG of noise. */
static void add_picture(const char *dir, const char *name, uint64_t seed)
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
    add_bytes(dir, name, bytes, n_bytes);
    gf_image_bytes_free(bytes);
    gf_image_free(image);
}

typedef struct fixture {
    char *dir;
    char source[512]; /* DIR/set: 3 cats, 2 dogs, one of which is no picture */
    char list[512];   /* DIR/list.txt */
    char output[512]; /* DIR/out.npz */
} fixture;

static fixture make_fixture(void)
{
    fixture f = {.dir = check_temp_dir()};

    snprintf(f.source, sizeof f.source, "%s/set", f.dir);
    snprintf(f.list, sizeof f.list, "%s/list.txt", f.dir);
    snprintf(f.output, sizeof f.output, "%s/out.npz", f.dir);
    add_picture(f.source, "cat/1.png", 1);
    add_picture(f.source, "cat/2.png", 2);
    add_picture(f.source, "cat/3.png", 3);
    add_bytes(f.source, "dog/4.png", "hello", 5);
    add_picture(f.source, "dog/5.png", 5);
    return f;
}

/* Writes DIR/list.txt, %s being DIR/set. */
static void write_list(const fixture *f, const char *format)
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

static gf_make_options small_options(void)
{
    gf_make_options options = gf_make_options_default();

    options.size = 16;
    options.n_threads = 2;
    options.n_retries = 0;
    return options;
}

/* Names in DIR, "list.txt out.npz set": nothing may be left beside them. */
static void check_left(const fixture *f, const char *want)
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
static void check_row(const gf_dataset *set, size_t i, const char *file)
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

static gf_dataset *open_output(const fixture *f)
{
    gf_dataset *set = NULL;
    CHECK_OK(gf_dataset_open(f->output, NULL, NULL, &set, &check_err));
    return set;
}

/* ---- from a folder --------------------------------------------------------------------------- */

TEST(make__packs_a_folder_and_lists_what_it_left_out)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    static const char *const names[] = {"cat/1.png", "cat/2.png", "cat/3.png", "dog/5.png"};

    for (int is_compressed = 0; is_compressed < 2; is_compressed++) {
        options.is_compressed = is_compressed != 0;
        CHECK_OK(gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
        CHECK_EQ(result->n_written, 4);
        CHECK_EQ(result->n_skipped, 1);
        CHECK(strncmp(result->skipped[0], "dog/4.png: ", 11) == 0);
        CHECK(strstr(result->skipped[0], f.dir) == NULL);
        gf_make_result_free(result);

        gf_dataset *set = open_output(&f);
        CHECK_EQ(gf_dataset_n_items(set), 4);
        CHECK_STR(gf_dataset_class_at(set, 0), "cat");
        CHECK_STR(gf_dataset_class_at(set, 1), "dog");
        for (size_t i = 0; i < 4; i++) {
            char file[1024];
            snprintf(file, sizeof file, "%s/%s", f.source, names[i]);
            CHECK_EQ(gf_dataset_label_at(set, i), i == 3);
            check_row(set, i, file);
        }
        gf_dataset_free(set);
    }
    check_left(&f, "out.npz set");
    check_remove_dir(f.dir);
}

TEST(make__writes_what_the_article_reads)
{
    fixture f = make_fixture();
    gf_make_options options = gf_make_options_default();
    gf_make_result *result = NULL;
    gf_npz *file = NULL;
    gf_tensor *tensor = NULL;

    CHECK_EQ(options.size, 299);
    CHECK_OK(gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
    gf_make_result_free(result);
    CHECK_OK(gf_npz_open(f.output, &file, &check_err));
    CHECK_STR(gf_npz_name_at(file, 0), "features");
    CHECK_OK(gf_npz_load(file, "features", &tensor, &check_err));
    CHECK_EQ(gf_tensor_dtype(tensor), GF_DTYPE_U8);
    CHECK_EQ(gf_tensor_n_dims(tensor), 4);
    CHECK_EQ(gf_tensor_shape(tensor)[1], 299);
    gf_tensor_free(tensor);
    CHECK_OK(gf_npz_load(file, "labels", &tensor, &check_err));
    CHECK_EQ(gf_tensor_dtype(tensor), GF_DTYPE_I64);
    CHECK_EQ(((const int64_t *)gf_tensor_data(tensor))[3], 1);
    gf_tensor_free(tensor);
    gf_npz_close(file);
    check_remove_dir(f.dir);
}

TEST(make__gives_the_same_bytes_on_any_number_of_threads)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    char hex[2][65];

    for (int i = 0; i < 2; i++) {
        options.n_threads = i == 0 ? 1 : 3;
        CHECK_OK(gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
        gf_make_result_free(result);
        CHECK_OK(gf__hash_file(GF__HASH_SHA256, f.output, hex[i], &check_err));
    }
    CHECK_STR(hex[0], hex[1]);
    check_remove_dir(f.dir);
}

TEST(make__resizes_an_npz)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    char again[600];

    CHECK_OK(gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
    gf_make_result_free(result);
    options.size = 8;
    snprintf(again, sizeof again, "%s/8.npz", f.dir);
    CHECK_OK(gf_dataset_make(f.output, again, &options, NULL, &result, &check_err));
    CHECK_EQ(result->n_written, 4);
    gf_make_result_free(result);
    gf_dataset *set = NULL;
    gf_sample sample;
    CHECK_OK(gf_dataset_open(again, NULL, NULL, &set, &check_err));
    CHECK_STR(gf_dataset_class_at(set, 1), "dog");
    CHECK_OK(gf_dataset_read(set, 0, &sample, &check_err));
    CHECK_EQ(sample.width, 8);
    gf_sample_release(&sample);
    gf_dataset_free(set);
    check_remove_dir(f.dir);
}

TEST(make__refuses_options_and_sources_that_cannot_be)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    char path[600];

    options.size = 4097;
    CHECK_FAILS(GF_EINVAL, "size is 4097 pixels, expected 1 to 4096",
                gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
    options = small_options();
    options.n_connections = 0;
    CHECK_FAILS(GF_EINVAL, "0 connections, expected 1 to 64",
                gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
    options = small_options();
    options.n_retries = -1;
    CHECK_FAILS(GF_EINVAL, "-1 retries",
                gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
    options = small_options();
    snprintf(path, sizeof path, "%s/gone", f.dir);
    CHECK_FAILS(GF_ENOTFOUND, "gone",
                gf_dataset_make(path, f.output, &options, NULL, &result, &check_err));
    snprintf(path, sizeof path, "%s/gone/out.npz", f.dir);
    CHECK_FAILS(GF_ENOTFOUND, "gone",
                gf_dataset_make(f.source, path, &options, NULL, &result, &check_err));
    CHECK(result == NULL);
    check_left(&f, "set");
    check_remove_dir(f.dir);
}

TEST(make__fails_where_nothing_can_be_read)
{
    fixture f = {.dir = check_temp_dir()};
    gf_make_result *result = NULL;
    gf_make_options options = small_options();

    snprintf(f.source, sizeof f.source, "%s/set", f.dir);
    snprintf(f.output, sizeof f.output, "%s/out.npz", f.dir);
    add_bytes(f.source, "cat/1.png", "hello", 5);
    add_bytes(f.source, "dog/2.png", "hello", 5);
    CHECK_FAILS(GF_ENOTFOUND, "none of the 2 pictures could be had; cat/1.png: ",
                gf_dataset_make(f.source, f.output, &options, NULL, &result, &check_err));
    check_left(&f, "set");
    check_remove_dir(f.dir);
}

/* ---- lists of addresses ---------------------------------------------------------------------- */

/* "http://a=cat http://b=dog | skipped; ..." or the message of the failure. */
static const char *parse(const char *text)
{
    static char out[2048];
    gf_dataset *set = NULL;
    gf__names labels = {0}, skipped = {0};
    gf_error err = {0};
    size_t n = 0;

    out[0] = '\0';
    CHECK(gf__is_url_list(text, strlen(text)));
    CHECK_OK(gf__dataset_new("list", &set, &check_err));
    if (gf__urls_read(set, text, strlen(text), &labels, &skipped, &err) != GF_OK)
        snprintf(out, sizeof out, "%s", err.message);
    for (size_t i = 0; i < labels.n && err.message[0] == '\0'; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%s=%s", i > 0 ? " " : "",
                              gf_dataset_item_at(set, i), labels.at[i]);
    for (size_t i = 0; i < skipped.n; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, " | %s", skipped.at[i]);
    gf__names_free(&labels);
    gf__names_free(&skipped);
    gf_dataset_free(set);
    return out;
}

TEST(urls__are_read_from_lines_and_tables)
{
    CHECK_STR(parse("http://x/1.jpg cat\nhttps://x/2.jpg dog"),
              "http://x/1.jpg=cat https://x/2.jpg=dog");
    CHECK_STR(parse("# mine\n\n  http://x/1.jpg\t big  cat \r\n#http://x/2.jpg dog\n"),
              "http://x/1.jpg=big  cat");
    CHECK_STR(parse("http://x/1,2.jpg,cat\n"), "http://x/1,2.jpg=cat");
    CHECK_STR(parse("http://x/1.jpg, big cat\n"), "http://x/1.jpg=big cat");
    CHECK_STR(parse("http://x/1.jpg#top,cat\n"), "http://x/1.jpg#top=cat");
    CHECK_STR(parse("\xef\xbb\xbfHTTP://x/1.jpg cat\n"), "HTTP://x/1.jpg=cat");
    CHECK_STR(parse("id,label,url\n1,cat,http://x/1.jpg\n2,\"a, b\",\"http://x/2,3.jpg\"\n"),
              "http://x/1.jpg=cat http://x/2,3.jpg=a, b");
    CHECK_STR(parse("\"http://x/1.jpg\",\"cat\"\n"), "http://x/1.jpg=cat");
}

TEST(urls__that_stand_there_twice_are_taken_once)
{
    CHECK_STR(parse("http://x/1 a\nhttp://x/2 b\nhttp://x/1 a\nhttp://x/3 c\nhttp://x/1 b\n"),
              "http://x/1=a http://x/2=b http://x/3=c | http://x/1: stands in the list twice"
              " | http://x/1: stands in the list twice");
}

TEST(urls__errors_say_the_line)
{
    CHECK_STR(parse("http://x/1.jpg cat\n\nhttp://x/2.jpg\n"),
              "line 3: no label after the address; expected ADDRESS LABEL");
    CHECK_STR(parse("http://x/1.jpg cat\nx/2.jpg dog\n"),
              "line 2: x/2.jpg is no address; expected http://... or https://...");
    CHECK_STR(parse("http://x/1.jpg caf\xe9\n"),
              "line 1: the label 'caf?' is not UTF-8; save the list as UTF-8");
    CHECK_STR(parse("url,name\nhttp://x/1.jpg,cat\n"),
              "line 1: a column 'url' and no column 'label'");
    CHECK_STR(parse("url,label\n"), "no addresses, expected lines of ADDRESS LABEL");
    CHECK_STR(parse("url,label\nhttp://x/1.jpg\n"),
              "line 2: 1 column, expected an address and a label");
    CHECK_STR(parse("url,label\nhttp://x/1.jpg,\n"), "line 2: no label");
}

TEST(urls__are_told_from_other_text)
{
    CHECK(!gf__is_url_list("", 0));
    CHECK(!gf__is_url_list("# http://x/1 a\n", 15));
    CHECK(!gf__is_url_list("path,label\nhttp://x/1,a\n", 24));
    CHECK(!gf__is_url_list("httpd.png,a\n", 12));
    CHECK(!gf__is_url_list("http://", 7));
}

TEST(make__downloads_and_lists_the_unreachable)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    char file[600];

    write_list(&f, "# pictures\nfile://%s/cat/1.png cat\nfile://%s/cat/gone.png cat\n"
                   "file://%s/dog/5.png,dog\nfile://%s/dog/4.png dog\nfile://%s/cat/1.png dog\n"
                   "http://127.0.0.1:9/1.png owl\n");
    CHECK_OK(gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    CHECK_EQ(result->n_written, 2);
    CHECK_EQ(result->n_skipped, 4);
    CHECK(strstr(result->skipped[0], "cat/1.png: stands in the list twice") != NULL);
    CHECK(strstr(result->skipped[1], "cat/gone.png: ") != NULL);
    CHECK(strstr(result->skipped[2], "dog/4.png: ") != NULL);
    CHECK(strncmp(result->skipped[3], "http://127.0.0.1:9/1.png: ", 26) == 0);
    for (size_t i = 0; i < 4; i++) /* the address once, the folder of downloads not at all */
        CHECK(strstr(result->skipped[i] + 8, "://") == NULL &&
              strstr(result->skipped[i], ".downloads") == NULL);
    gf_make_result_free(result);
    check_left(&f, "list.txt out.npz set");

    gf_dataset *set = open_output(&f);
    CHECK_EQ(gf_dataset_n_items(set), 2);
    CHECK_EQ(gf_dataset_n_classes(set), 3);
    CHECK_STR(gf_dataset_class_at(set, 2), "owl");
    snprintf(file, sizeof file, "%s/cat/1.png", f.source);
    check_row(set, 0, file);
    snprintf(file, sizeof file, "%s/dog/5.png", f.source);
    check_row(set, 1, file);
    CHECK_EQ(gf_dataset_label_at(set, 1), 1);
    gf_dataset_free(set);
    check_remove_dir(f.dir);
}

TEST(make__removes_only_what_it_downloaded)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    char dir[600], mine[700];

    snprintf(dir, sizeof dir, "%s.downloads", f.output);
    snprintf(mine, sizeof mine, "%s/mine.txt", dir);
    CHECK_OK(gf__make_dirs(dir, &check_err));
    CHECK_OK(gf__write_file(mine, "x", 1, &check_err));
    write_list(&f, "file://%s/cat/1.png cat\nfile://%s/dog/5.png dog\n");
    CHECK_OK(gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    gf_make_result_free(result);
    gf__dir_list list;
    CHECK_OK(gf__list_dir(dir, &list, &check_err));
    CHECK_EQ(list.n_names, 1);
    CHECK_STR(list.names[0], "mine.txt");
    gf__dir_list_free(&list);
    check_remove_dir(f.dir);
}

TEST(make__leaves_nothing_where_no_address_answers)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;

    write_list(&f, "file://%s/gone/1.png cat\nfile://%s/gone/2.png dog\n");
    CHECK_FAILS(GF_ENOTFOUND, "none of the 2 pictures could be had; file://",
                gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    check_left(&f, "list.txt set");
    check_remove_dir(f.dir);
}

/* ---- stopping -------------------------------------------------------------------------------- */

/* Stops at the n-th call of a stage. */
typedef struct stop_point {
    const char *stage;
    uint64_t n_before;
    bool was_told; /* where downloads are kept */
} stop_point;

static bool stop_at(void *user, const gf_progress *progress)
{
    stop_point *stopper = user;

    if (strcmp(progress->stage, stopper->stage) != 0)
        return true;
    return stopper->n_before-- > 0;
}

static void hear(void *user, gf_log_level level, const char *message)
{
    stop_point *stopper = user;
    stopper->was_told = stopper->was_told || strstr(message, "out.npz.downloads") != NULL;
}

static void check_stopped(const fixture *f, const char *source, const char *stage,
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

TEST(make__stopped_leaves_nothing_of_the_npz)
{
    fixture f = make_fixture();

    check_stopped(&f, f.source, "decode", 0, "set");
    check_stopped(&f, f.source, "decode", 2, "set");
    check_stopped(&f, f.source, "write", 0, "set");
    check_stopped(&f, f.source, "write", 2, "set");
    check_remove_dir(f.dir);
}

TEST(make__goes_on_with_the_downloads_of_a_stopped_run)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    char file[600];

    write_list(&f, "file://%s/cat/1.png cat\nfile://%s/dog/5.png dog\n");
    check_stopped(&f, f.list, "decode", 0, "list.txt out.npz.downloads set");
    /* What was had is not asked for again. */
    snprintf(file, sizeof file, "%s/cat/1.png", f.source);
    CHECK_EQ(remove(file), 0);
    CHECK_OK(gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    CHECK_EQ(result->n_written, 2);
    gf_make_result_free(result);
    check_left(&f, "list.txt out.npz set");
    check_remove_dir(f.dir);
}

TEST(make__does_not_share_its_downloads)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;
    gf__downloads *first = NULL;
    char dir[600];

    write_list(&f, "file://%s/cat/1.png cat\nfile://%s/dog/5.png dog\n");
    snprintf(dir, sizeof dir, "%s.downloads", f.output);
    CHECK_OK(gf__downloads_open(dir, &first, &check_err));
    CHECK_FAILS(GF_EBUSY, "out.npz.downloads",
                gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    check_left(&f, "list.txt out.npz.downloads set");
    CHECK(!gf__downloads_close(first, true));
    check_left(&f, "list.txt set");
    check_remove_dir(f.dir);
}

TEST(make__can_be_stopped_while_downloading)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;

    write_list(&f, "file://%s/cat/1.png cat\nfile://%s/cat/2.png cat\nfile://%s/dog/5.png dog\n");
    check_stopped(&f, f.list, "download", 0, "list.txt set");
    CHECK_OK(gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    CHECK_EQ(result->n_written, 3);
    gf_make_result_free(result);
    check_remove_dir(f.dir);
}

TEST(make__survives_every_allocation_failure)
{
    fixture f = make_fixture();
    gf_make_options options = small_options();
    gf_make_result *result = NULL;

    options.n_threads = 1;
    options.n_connections = 1;
    write_list(&f, "file://%s/cat/1.png cat\nfile://%s/dog/gone.png dog\n");
    for (int i = 0; i < 2; i++) {
        gf_status st = GF_ENOMEM;
        for (size_t n = 0; st == GF_ENOMEM || st == GF_ENOTFOUND; n++) {
            gf__mem_fail_after(n);
            st = gf_dataset_make(i == 0 ? f.source : f.list, f.output, &options, NULL, &result,
                                 NULL);
            gf__mem_fail_never();
            CHECK(st == GF_OK || result == NULL);
        }
        CHECK_EQ(st, GF_OK);
        gf_make_result_free(result);
        result = NULL;
    }
    /* Where memory ran out while tidying up, the downloads stay for the next run. */
    CHECK_OK(gf_dataset_make(f.list, f.output, &options, NULL, &result, &check_err));
    gf_make_result_free(result);
    remove(f.output);
    check_left(&f, "list.txt set");
    check_remove_dir(f.dir);
}

TESTS_MAIN(UNIT(make__packs_a_folder_and_lists_what_it_left_out),
           UNIT(make__writes_what_the_article_reads),
           UNIT(make__gives_the_same_bytes_on_any_number_of_threads), UNIT(make__resizes_an_npz),
           UNIT(make__refuses_options_and_sources_that_cannot_be),
           UNIT(make__fails_where_nothing_can_be_read), UNIT(urls__are_read_from_lines_and_tables),
           UNIT(urls__that_stand_there_twice_are_taken_once), UNIT(urls__errors_say_the_line),
           UNIT(urls__are_told_from_other_text), UNIT(make__downloads_and_lists_the_unreachable),
           UNIT(make__removes_only_what_it_downloaded),
           UNIT(make__leaves_nothing_where_no_address_answers),
           UNIT(make__stopped_leaves_nothing_of_the_npz),
           UNIT(make__goes_on_with_the_downloads_of_a_stopped_run),
           UNIT(make__does_not_share_its_downloads), UNIT(make__can_be_stopped_while_downloading),
           UNIT(make__survives_every_allocation_failure))
