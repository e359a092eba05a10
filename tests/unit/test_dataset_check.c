/* The check of a data set: each kind of issue on pictures made for it. */
#include "data/check_priv.h"
#include "dataset_files.h"
#include "image/image.h"

/* ---- pictures -------------------------------------------------------------------------------- */

/* A smooth pattern that depends on the seed: waves of random direction in each channel. */
static gf_image *make_picture(uint64_t seed, size_t width, size_t height)
{
    uint8_t *rgb = malloc(width * height * 3);
    gf_image *image = NULL;
    gf__rng rng;
    double waves[3][4][3];

    gf__rng_seed(&rng, seed, 0);
    for (size_t c = 0; c < 3; c++) {
        for (size_t w = 0; w < 4; w++) {
            for (size_t k = 0; k < 3; k++)
                waves[c][w][k] = (gf__rng_uniform(&rng) - 0.5) * 20.0;
        }
    }
    for (size_t i = 0; i < width * height; i++) {
        const double x = (double)(i % width) / (double)width,
                     y = (double)(i / width) / (double)height;
        for (size_t c = 0; c < 3; c++) {
            double sum = 0.0;
            for (size_t w = 0; w < 4; w++)
                sum += sin(waves[c][w][0] * x + waves[c][w][1] * y + waves[c][w][2]);
            rgb[3 * i + c] = (uint8_t)(127.5 + 30.0 * sum);
        }
    }
    CHECK_OK(gf_image_from_rgb(rgb, width, height, &image, &check_err));
    free(rgb);
    return image;
}

/* Takes the picture over. quality 0: a PNG. */
static void add_image(const char *dir, const char *name, gf_image *image, int quality)
{
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;

    if (quality == 0)
        CHECK_OK(gf_image_encode_png(image, &bytes, &n_bytes, &check_err));
    else
        CHECK_OK(gf_image_encode_jpeg(image, quality, &bytes, &n_bytes, &check_err));
    add_file(dir, name, bytes, n_bytes);
    gf_image_bytes_free(bytes);
    gf_image_free(image);
}

static void add_picture(const char *dir, const char *name, uint64_t seed)
{
    add_image(dir, name, make_picture(seed, 120, 90), 0);
}

/* ---- reports --------------------------------------------------------------------------------- */

static gf_check_report *check_dir(const char *dir, const gf_check_options *options)
{
    gf_dataset *set = NULL;
    gf_check_report *report = NULL;

    CHECK_OK(gf_dataset_open(dir, NULL, NULL, &set, &check_err));
    CHECK_OK(gf_dataset_check(set, options, NULL, &report, &check_err));
    gf_dataset_free(set);
    return report;
}

/* "corrupt a/1.jpg | note; duplicate ..." */
static const char *describe(const gf_check_report *report)
{
    static char text[8192];
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < report->n_issues; i++) {
        const gf_issue *issue = &report->issues[i];
        n += (size_t)snprintf(text + n, sizeof text - n, "%s %s", gf_issue_kind_name(issue->kind),
                              issue->item);
        if (issue->other != NULL)
            n += (size_t)snprintf(text + n, sizeof text - n, " %s", issue->other);
        if (issue->note != NULL)
            n += (size_t)snprintf(text + n, sizeof text - n, " | %s", issue->note);
        n += (size_t)snprintf(text + n, sizeof text - n, "\n");
    }
    return text;
}

static void expect(const char *dir, const char *want)
{
    gf_check_report *report = check_dir(dir, NULL);

    CHECK_STR(describe(report), want);
    gf_check_report_free(report);
}

TEST(check__finds_nothing_in_a_clean_set)
{
    char *dir = check_temp_dir();

    for (int i = 0; i < 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s/%d.png", i % 2 == 0 ? "cat" : "dog", i);
        add_picture(dir, name, (uint64_t)i);
    }
    gf_check_report *report = check_dir(dir, NULL);
    CHECK_STR(describe(report), "");
    CHECK_EQ(report->n_items, 10);
    CHECK_EQ(report->n_readable, 10);
    CHECK_EQ(report->n_classes, 2);
    CHECK_STR(report->class_names[1], "dog");
    CHECK_EQ(report->n_per_class[0], 5);
    CHECK_EQ(report->n_per_class[1], 5);
    gf_check_report_free(report);
    check_remove_dir(dir);
}

TEST(check__lists_what_cannot_be_read)
{
    char *dir = check_temp_dir();
    gf_image *image = make_picture(1, 64, 64);
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;

    add_picture(dir, "cat/1.png", 1);
    add_picture(dir, "dog/2.png", 2);
    CHECK_OK(gf_image_encode_jpeg(image, 90, &bytes, &n_bytes, &check_err));
    add_file(dir, "cat/cut.jpg", bytes, n_bytes / 2);
    add_file(dir, "dog/text.jpg", "hello", 5);
    add_file(dir, "dog/zero.png", "", 0);
    add_file(dir, "dog/notes.txt", "hello", 5);
    add_file(dir, "dog/phone.heic", "hello", 5);
    gf_image_bytes_free(bytes);
    gf_image_free(image);

    gf_check_report *report = check_dir(dir, NULL);
    CHECK_EQ(report->n_items, 5);
    CHECK_EQ(report->n_readable, 2);
    CHECK_EQ(report->n_by_kind[GF_ISSUE_CORRUPT], 3);
    CHECK_EQ(report->n_by_kind[GF_ISSUE_NOT_A_PICTURE], 2);
    CHECK_EQ(report->n_issues, 5);
    CHECK_STR(report->issues[0].item, "cat/cut.jpg");
    CHECK_STR(report->issues[1].item, "dog/text.jpg");
    CHECK_STR(report->issues[2].item, "dog/zero.png");
    CHECK(report->issues[2].note != NULL && strstr(report->issues[2].note, dir) == NULL);
    CHECK_STR(report->issues[3].item, "dog/notes.txt");
    CHECK(report->issues[3].note == NULL);
    CHECK_STR(report->issues[4].note, "HEIC, which graft does not read; convert it to JPEG or PNG");
    gf_check_report_free(report);
    check_remove_dir(dir);
}

TEST(check__finds_misnamed_small_blank_and_turned_pictures)
{
    char *dir = check_temp_dir();
    uint8_t grey[40 * 40 * 3];
    gf_image *blank = NULL;

    memset(grey, 0x80, sizeof grey);
    CHECK_OK(gf_image_from_rgb(grey, 40, 40, &blank, &check_err));
    add_image(dir, "cat/blank.png", blank, 0);
    add_picture(dir, "cat/really-png.jpg", 1);
    add_picture(dir, "cat/tiff.tif", 2); /* by its content a PNG */
    add_image(dir, "dog/small.png", make_picture(3, 100, 31), 0);
    add_image(dir, "dog/just-large-enough.png", make_picture(4, 100, 32), 0);
    expect(dir, "misnamed cat/really-png.jpg | a PNG named .jpg\n"
                "misnamed cat/tiff.tif | a PNG named .tif\n"
                "one-colour cat/blank.png | all of it is #808080\n"
                "small dog/small.png | 100 x 31 pixels\n");
    check_remove_dir(dir);
}

/* A JPEG with an EXIF segment that says orientation 6, put after the start marker. */
static void add_turned(const char *dir, const char *name)
{
    static const char exif[] = "\xff\xe1\0\x22"
                               "Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0";
    gf_image *image = make_picture(77, 100, 80);
    uint8_t *bytes = NULL, *turned;
    size_t n_bytes = 0;
    const size_t n_exif = sizeof exif - 1;

    CHECK_EQ(n_exif, 2 + 0x22);
    CHECK_OK(gf_image_encode_jpeg(image, 90, &bytes, &n_bytes, &check_err));
    turned = malloc(n_bytes + n_exif);
    memcpy(turned, bytes, 2);
    memcpy(turned + 2, exif, n_exif);
    memcpy(turned + 2 + n_exif, bytes + 2, n_bytes - 2);
    add_file(dir, name, turned, n_bytes + n_exif);
    free(turned);
    gf_image_bytes_free(bytes);
    gf_image_free(image);
}

TEST(check__finds_pictures_that_exif_turns)
{
    char *dir = check_temp_dir();

    add_turned(dir, "cat/phone.jpg");
    add_picture(dir, "dog/1.png", 1);
    expect(dir, "turned cat/phone.jpg | EXIF orientation 6\n");
    check_remove_dir(dir);
}

TEST(check__finds_duplicates_and_their_conflicts)
{
    char *dir = check_temp_dir();

    add_picture(dir, "cat/1.png", 1);
    add_picture(dir, "cat/2.png", 1);
    add_picture(dir, "cat/3.png", 1);
    add_picture(dir, "cat/4.png", 4);
    add_picture(dir, "dog/5.png", 1);
    add_picture(dir, "dog/6.png", 6);
    expect(dir, "duplicate cat/2.png cat/1.png | the same bytes\n"
                "duplicate cat/3.png cat/1.png | the same bytes\n"
                "label-conflict dog/5.png cat/1.png | the same bytes\n");
    check_remove_dir(dir);
}

TEST(check__finds_pictures_that_look_the_same)
{
    char *dir = check_temp_dir();
    gf_image *small = NULL, *large = make_picture(1, 400, 300);

    CHECK_OK(gf_image_resize(large, 200, 150, &small, &check_err));
    add_image(dir, "cat/large.png", large, 0);
    add_image(dir, "cat/small.jpg", small, 60);
    add_image(dir, "dog/other.png", make_picture(2, 400, 300), 0);
    gf_check_report *report = check_dir(dir, NULL);
    CHECK_EQ(report->n_issues, 1);
    CHECK_EQ(report->issues[0].kind, GF_ISSUE_NEAR_DUPLICATE);
    CHECK_STR(report->issues[0].item, "cat/small.jpg");
    CHECK_STR(report->issues[0].other, "cat/large.png");
    CHECK(strstr(report->issues[0].note, "looks the same") != NULL);
    gf_check_report_free(report);
    check_remove_dir(dir);
}

TEST(check__finds_the_test_set_in_the_training_set)
{
    char *dir = check_temp_dir(), train[1024], test[1024];
    gf_check_options options = gf_check_options_default();
    gf_dataset *other = NULL;

    snprintf(train, sizeof train, "%s/a", dir);
    snprintf(test, sizeof test, "%s/b", dir);
    add_picture(train, "cat/1.png", 1);
    add_picture(train, "dog/2.png", 2);
    add_image(train, "dog/3.png", make_picture(3, 200, 150), 0);
    add_picture(test, "cat/x.png", 9);
    add_picture(test, "cat/y.png", 1);
    add_image(test, "dog/z.jpg", make_picture(3, 100, 75), 80);
    add_picture(test, "dog/zz.png", 9); /* a duplicate inside the other set is not ours to tell */
    CHECK_OK(gf_dataset_open(test, NULL, NULL, &other, &check_err));
    options.other = other;
    gf_check_report *report = check_dir(train, &options);
    CHECK_EQ(report->n_issues, 2);
    CHECK_EQ(report->n_by_kind[GF_ISSUE_CROSS_DUPLICATE], 2);
    CHECK_STR(report->issues[0].item, "cat/1.png");
    CHECK_STR(report->issues[0].other, "cat/y.png");
    CHECK_STR(report->issues[1].item, "dog/3.png");
    CHECK_STR(report->issues[1].other, "dog/z.jpg");
    CHECK_EQ(report->n_items, 3);
    gf_check_report_free(report);
    gf_dataset_free(other);
    check_remove_dir(dir);
}

TEST(check__finds_classes_that_are_too_small)
{
    char *dir = check_temp_dir();
    char name[32];

    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "%s/%d.png", i < 6 ? "cat" : i < 8 ? "dog" : "owl", i);
        if (i != 9)
            add_picture(dir, name, (uint64_t)i);
    }
    add_file(dir, "yak/notes.txt", "x", 1);
    expect(dir, "not-a-picture yak/notes.txt\n"
                "imbalance owl | 1 item, the largest class has 6\n"
                "imbalance yak | a folder without pictures\n");
    check_remove_dir(dir);
}

TEST(check__looks_into_npz_files)
{
    char *dir = check_temp_dir(), path[1024];
    const size_t shape[4] = {4, 40, 40, 3}, label_shape[1] = {4};
    gf_tensor *features = NULL, *labels = NULL;
    gf_check_report *report;

    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, shape, 4, &features, &check_err));
    CHECK_OK(gf_tensor_new(GF_DTYPE_I64, label_shape, 1, &labels, &check_err));
    for (size_t i = 0; i < 4; i++) {
        gf_image *image = make_picture(i == 2 ? 0 : i, 40, 40);
        for (size_t v = 0; v < 4800; v++)
            ((float *)gf_tensor_mutable_data(features))[i * 4800 + v] =
                i == 3 ? -1.0F : (float)gf_image_rgb(image)[v] / 127.5F - 1.0F;
        ((int64_t *)gf_tensor_mutable_data(labels))[i] = i == 2;
        gf_image_free(image);
    }
    snprintf(path, sizeof path, "%s/set.npz", dir);
    CHECK_OK(gf_npz_save(path,
                         (const gf_npz_member[]){{.name = "features", .tensor = features},
                                                 {.name = "labels", .tensor = labels}},
                         2, false, &check_err));
    report = check_dir(path, NULL);
    CHECK_STR(describe(report), "label-conflict features[2] features[0] | the same bytes\n"
                                "one-colour features[3] | all of it is #000000\n");
    gf_check_report_free(report);
    gf_tensor_free(features);
    gf_tensor_free(labels);
    check_remove_dir(dir);
}

/* ---- stopping and failing -------------------------------------------------------------------- */

typedef struct call_watch {
    uint64_t n_calls, stop_after, last;
    bool is_rising;
} call_watch;

static bool count_calls(void *user, const gf_progress *progress)
{
    call_watch *watch = user;

    if (strcmp(progress->stage, "check") == 0) {
        watch->is_rising = watch->is_rising && progress->n_done == watch->last + 1;
        watch->last = progress->n_done;
        CHECK_EQ(progress->n_total, 12);
        CHECK(progress->item != NULL);
    }
    return ++watch->n_calls != watch->stop_after;
}

TEST(check__tells_its_progress_and_can_be_stopped)
{
    char *dir = check_temp_dir();
    gf_dataset *set = NULL;
    gf_check_report *report = NULL;
    gf_check_options options = gf_check_options_default();
    call_watch watch = {.is_rising = true};

    for (int i = 0; i < 12; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s/%d.png", i % 2 == 0 ? "cat" : "dog", i);
        add_picture(dir, name, (uint64_t)i);
    }
    options.n_threads = 3;
    CHECK_OK(gf_dataset_open(dir, NULL, NULL, &set, &check_err));
    CHECK_OK(gf_dataset_check(set, &options,
                              &(gf_observer){.progress = count_calls, .user = &watch}, &report,
                              &check_err));
    CHECK_EQ(watch.last, 12);
    CHECK(watch.is_rising);
    gf_check_report_free(report);
    watch = (call_watch){.stop_after = 3};
    CHECK_FAILS(GF_ECANCELED, "",
                gf_dataset_check(set, &options,
                                 &(gf_observer){.progress = count_calls, .user = &watch}, &report,
                                 &check_err));
    CHECK(report == NULL);
    CHECK_EQ(watch.n_calls, 3);
    gf_dataset_free(set);
    check_remove_dir(dir);
}

TEST(check__refuses_a_distance_that_means_nothing)
{
    char *dir = check_temp_dir();
    gf_dataset *set = NULL;
    gf_check_report *report = NULL;
    gf_check_options options = gf_check_options_default();

    add_picture(dir, "cat/1.png", 1);
    CHECK_OK(gf_dataset_open(dir, NULL, NULL, &set, &check_err));
    options.near_distance = 16;
    CHECK_OK(gf_dataset_check(set, &options, NULL, &report, &check_err));
    gf_check_report_free(report);
    options.near_distance = 17;
    CHECK_FAILS(GF_EINVAL, "17 bits, expected at most 16",
                gf_dataset_check(set, &options, NULL, &report, &check_err));
    CHECK(report == NULL);
    gf_dataset_free(set);
    check_remove_dir(dir);
}

TEST(check__survives_every_allocation_failure)
{
    char *dir = check_temp_dir();
    gf_dataset *set = NULL;
    gf_check_report *report = NULL;
    gf_check_options options = gf_check_options_default();
    gf_status st = GF_ENOMEM;

    add_picture(dir, "cat/1.png", 1);
    add_file(dir, "dog/2.jpg", "x", 1);
    add_file(dir, "dog/3.jpg", "x", 1);
    add_file(dir, "dog/4.txt", "x", 1);
    options.n_threads = 1;
    CHECK_OK(gf_dataset_open(dir, NULL, NULL, &set, &check_err));
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_dataset_check(set, &options, NULL, &report, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && report == NULL));
    }
    CHECK_EQ(st, GF_OK);
    gf_check_report_free(report);
    gf_dataset_free(set);
    check_remove_dir(dir);
}

TESTS_MAIN(UNIT(check__finds_nothing_in_a_clean_set), UNIT(check__lists_what_cannot_be_read),
           UNIT(check__finds_misnamed_small_blank_and_turned_pictures),
           UNIT(check__finds_pictures_that_exif_turns),
           UNIT(check__finds_duplicates_and_their_conflicts),
           UNIT(check__finds_pictures_that_look_the_same),
           UNIT(check__finds_the_test_set_in_the_training_set),
           UNIT(check__finds_classes_that_are_too_small), UNIT(check__looks_into_npz_files),
           UNIT(check__tells_its_progress_and_can_be_stopped),
           UNIT(check__refuses_a_distance_that_means_nothing),
           UNIT(check__survives_every_allocation_failure))
