/* image decode: every format and oddity against Pillow's pixels (tests/golden/make_images.py), the
 * limits, and files that are broken in every way we could think of. */
#include "check.h"

#include "base/base.h"
#include "image/image.h"

static const char *fixture(const char *name)
{
    static char relative[512];
    snprintf(relative, sizeof relative, "golden/images/%s", name);
    return check_fixture(relative);
}

static uint8_t *read_fixture(const char *name, size_t *n_bytes)
{
    char *bytes = NULL;
    CHECK_OK(gf__read_file(fixture(name), (size_t)1 << 20, &bytes, n_bytes, &check_err));
    return (uint8_t *)bytes;
}

/* One line of images.txt. */
typedef struct golden {
    char name[64];
    size_t width, height;
    int tolerance;
} golden;

static bool next_golden(FILE *list, golden *out)
{
    char line[256];
    while (fgets(line, sizeof line, list) != NULL) {
        if (line[0] != '#' && sscanf(line, "%63s %zu %zu %d", out->name, &out->width, &out->height,
                                     &out->tolerance) == 4)
            return true;
    }
    return false;
}

static void check_pixels(const golden *want, const uint8_t *got)
{
    char name[64];
    size_t n_bytes = 0;
    snprintf(name, sizeof name, "%.*s.rgb", (int)(strchr(want->name, '.') - want->name),
             want->name);
    uint8_t *rgb = read_fixture(name, &n_bytes);
    CHECK_EQ(n_bytes, 3 * want->width * want->height);
    for (size_t i = 0; i < n_bytes; i++) {
        if (abs(got[i] - rgb[i]) > want->tolerance)
            fail_msg("%s: pixel %zu,%zu channel %zu is %d, expected %d +- %d", want->name,
                     i / 3 % want->width, i / 3 / want->width, i % 3, got[i], rgb[i],
                     want->tolerance);
    }
    gf__free(rgb);
}

/* Decodes all the pictures whose name begins so, and returns their number. */
static size_t check_family(const char *prefix)
{
    FILE *list = fopen(fixture("images.txt"), "r");
    golden want;
    size_t n = 0;

    assert_non_null(list);
    while (next_golden(list, &want)) {
        if (strncmp(want.name, prefix, strlen(prefix)) != 0)
            continue;
        gf_image *image = NULL;
        CHECK_OK(gf_image_load(fixture(want.name), NULL, &image, &check_err));
        if (gf_image_width(image) != want.width || gf_image_height(image) != want.height)
            fail_msg("%s: %zux%zu, expected %zux%zu", want.name, gf_image_width(image),
                     gf_image_height(image), want.width, want.height);
        check_pixels(&want, gf_image_rgb(image));
        gf_image_free(image);
        n++;
    }
    fclose(list);
    return n;
}

TEST(decode__jpeg_gives_pillows_pixels)
{
    CHECK_EQ(check_family("jpeg-"), 17);
}

TEST(decode__png_gives_pillows_pixels)
{
    CHECK_EQ(check_family("png-"), 20);
}

TEST(decode__webp_gives_pillows_pixels)
{
    CHECK_EQ(check_family("webp-"), 7);
}

TEST(decode__gif_gives_pillows_pixels)
{
    CHECK_EQ(check_family("gif-"), 5);
}

TEST(decode__bmp_gives_pillows_pixels)
{
    CHECK_EQ(check_family("bmp-"), 13);
}

/* The path of every picture into a network: rows resized as they come must give what resizing the
 * whole gives. */
TEST(decode_resized__equals_decode_then_resize)
{
    FILE *list = fopen(fixture("images.txt"), "r");
    gf__image_scratch *scratch = NULL;
    golden want;

    assert_non_null(list);
    CHECK_OK(gf__image_scratch_new(&scratch, &check_err));
    while (next_golden(list, &want)) {
        uint8_t two_steps[3 * 29 * 13], one_step[3 * 29 * 13], no_scratch[3 * 29 * 13];
        gf_image *image = NULL;
        size_t n_bytes = 0;
        uint8_t *bytes = read_fixture(want.name, &n_bytes);
        CHECK_OK(gf_image_decode(bytes, n_bytes, NULL, &image, &check_err));
        CHECK_OK(gf_image_resize_into(image, 29, 13, two_steps, &check_err));
        CHECK_OK(gf__image_decode_resized(bytes, n_bytes, UINT64_MAX, 29, 13, scratch, one_step,
                                          &check_err));
        CHECK_OK(gf__image_decode_resized(bytes, n_bytes, UINT64_MAX, 29, 13, NULL, no_scratch,
                                          &check_err));
        if (memcmp(one_step, two_steps, sizeof one_step) != 0)
            fail_msg("%s: resized on the way differs", want.name);
        assert_memory_equal(one_step, no_scratch, sizeof one_step);
        gf_image_free(image);
        gf__free(bytes);
    }
    gf__image_scratch_free(scratch);
    fclose(list);
}

TEST(decode__scales_a_jpeg_to_at_least_twice_the_target)
{
    static const struct {
        size_t target_width, target_height, width, height;
    } cases[] = {{0, 0, 24, 18}, {1, 1, 3, 3},   {2, 2, 6, 5},     {3, 2, 6, 5},      {3, 3, 12, 9},
                 {6, 4, 12, 9},  {7, 4, 24, 18}, {24, 18, 24, 18}, {299, 299, 24, 18}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gf_image_options options = gf_image_options_default();
        options.target_width = cases[i].target_width;
        options.target_height = cases[i].target_height;
        gf_image *image = NULL;
        CHECK_OK(gf_image_load(fixture("jpeg-420.jpg"), &options, &image, &check_err));
        CHECK_EQ(gf_image_width(image), cases[i].width);
        CHECK_EQ(gf_image_height(image), cases[i].height);
        gf_image_free(image);
    }
}

TEST(decode__scales_a_turned_jpeg_by_its_upright_sides)
{
    gf_image_options options = gf_image_options_default();
    options.target_width = 2;
    options.target_height = 3;
    gf_image *image = NULL;
    CHECK_OK(gf_image_load(fixture("jpeg-exif-6.jpg"), &options, &image, &check_err));
    CHECK_EQ(gf_image_width(image), 5);
    CHECK_EQ(gf_image_height(image), 6);
    gf_image_free(image);
}

TEST(read_info__tells_what_is_stored)
{
    static const struct {
        const char *name;
        gf_image_info want;
    } cases[] = {
        {"jpeg-420.jpg", {GF_IMAGE_JPEG, 24, 18, 1, false, 3, 8}},
        {"jpeg-grey.jpg", {GF_IMAGE_JPEG, 24, 18, 1, false, 1, 8}},
        {"jpeg-cmyk.jpg", {GF_IMAGE_JPEG, 24, 18, 1, false, 4, 8}},
        {"jpeg-exif-6.jpg", {GF_IMAGE_JPEG, 24, 18, 6, false, 3, 8}},
        {"jpeg-exif-6-little.jpg", {GF_IMAGE_JPEG, 24, 18, 6, false, 3, 8}},
        {"png-rgba-16.png", {GF_IMAGE_PNG, 24, 18, 1, true, 4, 16}},
        {"png-grey-alpha.png", {GF_IMAGE_PNG, 24, 18, 1, true, 2, 8}},
        {"png-palette-2.png", {GF_IMAGE_PNG, 24, 18, 1, false, 1, 2}},
        {"png-palette-transparent.png", {GF_IMAGE_PNG, 24, 18, 1, true, 1, 4}},
        {"png-exif-6.png", {GF_IMAGE_PNG, 24, 18, 6, false, 3, 8}},
        {"webp-lossless-alpha.webp", {GF_IMAGE_WEBP, 24, 18, 1, true, 4, 8}},
        {"webp-exif-8.webp", {GF_IMAGE_WEBP, 24, 18, 8, false, 3, 8}},
        {"gif-transparent.gif", {GF_IMAGE_GIF, 24, 18, 1, true, 1, 8}},
        {"bmp-32-v4-alpha.bmp", {GF_IMAGE_BMP, 24, 18, 1, true, 4, 8}},
        {"bmp-4-rle.bmp", {GF_IMAGE_BMP, 24, 18, 1, false, 1, 4}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const gf_image_info *want = &cases[i].want;
        gf_image_info got;
        size_t n_bytes = 0;
        uint8_t *bytes = read_fixture(cases[i].name, &n_bytes);
        CHECK_OK(gf_image_read_info(bytes, n_bytes, &got, &check_err));
        if (got.format != want->format || got.width != want->width || got.height != want->height ||
            got.orientation != want->orientation || got.has_alpha != want->has_alpha ||
            got.n_channels != want->n_channels || got.bit_depth != want->bit_depth)
            fail_msg("%s: %s %zux%zu, orientation %d, alpha %d, %d channels of %d bits",
                     cases[i].name, gf_image_format_name(got.format), got.width, got.height,
                     got.orientation, got.has_alpha, got.n_channels, got.bit_depth);
        gf__free(bytes);
    }
}

static gf_status decode_text(const void *bytes, size_t n_bytes)
{
    gf_image *image = NULL;
    const gf_status st = gf_image_decode(bytes, n_bytes, NULL, &image, &check_err);
    if (st != GF_OK)
        assert_null(image);
    gf_image_free(image);
    return st;
}

TEST(decode__says_what_a_file_is_that_is_no_picture)
{
    CHECK_FAILS(GF_EFORMAT, "empty file", decode_text("", 0));
    CHECK_FAILS(GF_EFORMAT, "not a picture: starts with \"PK\\x03\\x04\" (a zip archive?)",
                decode_text("PK\3\4", 4));
    CHECK_FAILS(GF_EFORMAT, "not a picture: starts with \"hello wo\" (text?)",
                decode_text("hello world", 11));
    CHECK_FAILS(GF_EFORMAT, "(a web page?)", decode_text("<!DOCTYPE html><html>", 21));
    CHECK_FAILS(GF_EFORMAT, "starts with \"\\x00\\x01\\x02\"", decode_text("\0\1\2", 3));
    CHECK_FAILS(GF_EFORMAT, "starts with \"\\xff\\xd8\"", decode_text("\xFF\xD8", 2));
    CHECK_FAILS(GF_EUNSUPPORTED, "a TIFF picture; JPEG, PNG, WebP, GIF and BMP can be read",
                decode_text("II*\0\10\0\0\0", 8));
    CHECK_FAILS(GF_EUNSUPPORTED, "an AVIF picture", decode_text("\0\0\0\40ftypavif", 12));
}

TEST(load__names_the_file_once)
{
    gf_image *image = NULL;
    char *dir = check_temp_dir();
    char *path = gf__path_join(dir, "notes.jpg");
    CHECK_OK(gf__write_file(path, "not at all", 10, &check_err));
    CHECK_FAILS(GF_EFORMAT, "notes.jpg: not a picture",
                gf_image_load(path, NULL, &image, &check_err));
    CHECK_EQ(strncmp(check_err.message, path, strlen(path)), 0);
    remove(path);
    CHECK_FAILS(GF_ENOTFOUND, "notes.jpg", gf_image_load(path, NULL, &image, &check_err));
    assert_null(image);
    remove(dir);
    gf__free(path);
    free(dir);
}

TEST(decode__holds_the_limit_of_pixels_exactly)
{
    static const char *const names[] = {"jpeg-420.jpg", "png-rgb.png", "webp-lossy.webp",
                                        "gif-plain.gif", "bmp-24.bmp"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        gf_image_options options = gf_image_options_default();
        gf_image *image = NULL;
        options.max_pixels = 24 * 18;
        CHECK_OK(gf_image_load(fixture(names[i]), &options, &image, &check_err));
        gf_image_free(image);
        options.max_pixels = 24 * 18 - 1;
        CHECK_FAILS(GF_ELIMIT, "picture of 24x18 pixels is over the limit of 431 (--max-pixels)",
                    gf_image_load(fixture(names[i]), &options, &image, &check_err));
        assert_null(image);
    }
}

static void put_be32(uint8_t *at, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

TEST(decode__refuses_a_bomb_by_its_header)
{
    size_t n_bytes = 0;
    uint8_t *png = read_fixture("png-rgb.png", &n_bytes);
    put_be32(png + 16, 100000);
    put_be32(png + 20, 100000);
    CHECK_FAILS(GF_ELIMIT,
                "picture of 100000x100000 pixels is over the limit of 67108864 (--max-pixels)",
                decode_text(png, n_bytes));
    put_be32(png + 16, 0x80000000U);
    CHECK_FAILS(GF_EFORMAT, "corrupt PNG", decode_text(png, n_bytes));
    put_be32(png + 16, 0);
    CHECK_FAILS(GF_EFORMAT, "corrupt PNG: a picture of 0x100000 pixels", decode_text(png, n_bytes));
    gf__free(png);

    uint8_t *bmp = read_fixture("bmp-8-rle.bmp", &n_bytes);
    memcpy(bmp + 18, "\xFF\xFF\xFF\x7F\xFF\xFF\xFF\x7F", 8);
    CHECK_FAILS(GF_ELIMIT, "2147483647x2147483647", decode_text(bmp, n_bytes));
    gf__free(bmp);
}

/* Each scan costs a few bytes and a walk over the whole canvas. */
TEST(decode__refuses_a_jpeg_of_endless_scans)
{
    size_t n_bytes = 0;
    uint8_t *bytes = read_fixture("jpeg-progressive.jpg", &n_bytes);
    size_t scan = 0,
           end; /* the first one, which may come again: it does not build on what was before */
    while (bytes[scan] != 0xFF || bytes[scan + 1] != 0xDA)
        scan++;
    for (end = scan + 2; bytes[end] != 0xFF || bytes[end + 1] == 0;)
        end++;

    for (size_t n_more = 20; n_more <= 60; n_more += 40) {
        gf__buffer file = {0};
        gf__buffer_append(&file, bytes, end);
        for (size_t i = 0; i < n_more; i++)
            gf__buffer_append(&file, bytes + scan, end - scan);
        gf__buffer_append(&file, bytes + end, n_bytes - end);
        CHECK(!file.failed);
        if (n_more == 20)
            CHECK_OK(decode_text(file.data, file.size));
        else
            CHECK_FAILS(GF_ELIMIT, "JPEG with more than 40 scans",
                        decode_text(file.data, file.size));
        gf__buffer_free(&file);
    }
    gf__free(bytes);
}

/* Where the last bytes of a file are only end marks, cutting them off leaves a whole picture. */
static size_t n_end_mark(const char *name)
{
    if (strstr(name, ".jpg") != NULL)
        return 2;
    if (strstr(name, ".png") != NULL)
        return 12 + 4; /* IEND, and the last checksum, which comes after the last row */
    if (strstr(name, "animated.") != NULL)
        return SIZE_MAX; /* the first frame is complete long before the end */
    if (strstr(name, "rle") != NULL)
        return 4; /* end of row, end of picture */
    return strstr(name, ".gif") != NULL ? 1 : 0;
}

TEST(decode__calls_a_file_cut_anywhere_truncated)
{
    FILE *list = fopen(fixture("images.txt"), "r");
    golden want;

    assert_non_null(list);
    while (next_golden(list, &want)) {
        size_t n_bytes = 0;
        uint8_t *bytes = read_fixture(want.name, &n_bytes);
        for (size_t n = 12; n < n_bytes; n++) {
            uint8_t *part = gf__malloc(n); /* of its own, so that a sanitizer sees reads past it */
            memcpy(part, bytes, n);
            check_err.message[0] = '\0';
            const gf_status st = decode_text(part, n);
            gf__free(part);
            if (st == GF_OK && n_bytes - n <= n_end_mark(want.name))
                continue;
            if (st != GF_EFORMAT || check_err.message[0] == '\0')
                fail_msg("%s cut after %zu of %zu bytes: %s (%s)", want.name, n, n_bytes,
                         gf_status_name(st), check_err.message);
        }
        gf__free(bytes);
    }
    fclose(list);
}

TEST(decode__says_where_a_file_ended)
{
    size_t n_bytes = 0;
    uint8_t *bytes = read_fixture("jpeg-444.jpg", &n_bytes);
    CHECK_FAILS(GF_EFORMAT, "truncated JPEG: ended in the header", decode_text(bytes, 100));
    CHECK_FAILS(GF_EFORMAT, "truncated JPEG: ended after row 8 of 18",
                decode_text(bytes, n_bytes - 100));
    gf__free(bytes);
    bytes = read_fixture("bmp-24.bmp", &n_bytes);
    CHECK_FAILS(GF_EFORMAT, "truncated BMP: ended after row 17 of 18",
                decode_text(bytes, n_bytes - 1));
    gf__free(bytes);
    bytes = read_fixture("png-rgb.png", &n_bytes);
    CHECK_FAILS(GF_EFORMAT, "truncated PNG: ended before the first of 18 rows",
                decode_text(bytes, n_bytes / 2));
    gf__free(bytes);
    bytes = read_fixture("png-rgb-interlaced.png", &n_bytes);
    CHECK_FAILS(GF_EFORMAT, "truncated PNG: ended in pass 1 of 7", decode_text(bytes, n_bytes / 2));
    gf__free(bytes);
    bytes = read_fixture("webp-lossless.webp", &n_bytes);
    CHECK_FAILS(GF_EFORMAT, "truncated WebP: ", decode_text(bytes, n_bytes - 10));
    gf__free(bytes);
    bytes = read_fixture("gif-plain.gif", &n_bytes);
    CHECK_FAILS(GF_EFORMAT, "truncated GIF: ended after row", decode_text(bytes, n_bytes - 100));
    gf__free(bytes);
}

/* Not every changed byte can be noticed; none may crash, hang, or fail without a word. */
TEST(decode__survives_any_changed_byte)
{
    FILE *list = fopen(fixture("images.txt"), "r");
    golden want;

    assert_non_null(list);
    while (next_golden(list, &want)) {
        size_t n_bytes = 0;
        uint8_t *bytes = read_fixture(want.name, &n_bytes);
        for (size_t i = 0; i < n_bytes; i++) {
            static const uint8_t flips[] = {0xFF, 0x01, 0x80};
            for (size_t f = 0; f < sizeof flips; f++) {
                bytes[i] ^= flips[f];
                gf_image_options options = {.max_pixels = 1 << 16};
                gf_image *image = NULL;
                check_err.message[0] = '\0';
                const gf_status st = gf_image_decode(bytes, n_bytes, &options, &image, &check_err);
                CHECK(st == GF_OK ? image != NULL : image == NULL && check_err.message[0] != '\0');
                CHECK(strchr(check_err.message, '\n') == NULL);
                gf_image_free(image);
                bytes[i] ^= flips[f];
            }
        }
        gf__free(bytes);
    }
    fclose(list);
}

TEST(decode__notices_damaged_png_data)
{
    size_t n_bytes = 0;
    uint8_t *png = read_fixture("png-rgb.png", &n_bytes);
    png[n_bytes / 2] ^= 0x55;
    CHECK_FAILS(GF_EFORMAT, "corrupt PNG: ", decode_text(png, n_bytes));
    gf__free(png);
}

TEST(decode__survives_every_allocation_failure)
{
    static const char *const names[] = {"jpeg-cmyk.jpg",           "jpeg-exif-6.jpg",
                                        "png-rgba-interlaced.png", "webp-lossy-alpha.webp",
                                        "gif-plain.gif",           "bmp-8-rle.bmp"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n_bytes = 0;
        uint8_t *bytes = read_fixture(names[i], &n_bytes);
        gf_image *image = NULL;
        uint8_t rgb[3 * 5 * 4];
        gf_status st = GF_ENOMEM;
        for (size_t n = 0; st == GF_ENOMEM; n++) {
            gf__mem_fail_after(n);
            st = gf_image_decode(bytes, n_bytes, NULL, &image, &check_err);
            gf__mem_fail_never();
            CHECK(st == GF_OK || (st == GF_ENOMEM && image == NULL));
        }
        gf_image_free(image);
        st = GF_ENOMEM;
        for (size_t n = 0; st == GF_ENOMEM; n++) {
            gf__mem_fail_after(n);
            st = gf__image_decode_resized(bytes, n_bytes, 1000, 5, 4, NULL, rgb, &check_err);
            gf__mem_fail_never();
        }
        CHECK_EQ(st, GF_OK);
        gf__free(bytes);
    }
}

TESTS_MAIN(UNIT(decode__jpeg_gives_pillows_pixels), UNIT(decode__png_gives_pillows_pixels),
           UNIT(decode__webp_gives_pillows_pixels), UNIT(decode__gif_gives_pillows_pixels),
           UNIT(decode__bmp_gives_pillows_pixels), UNIT(decode_resized__equals_decode_then_resize),
           UNIT(decode__scales_a_jpeg_to_at_least_twice_the_target),
           UNIT(decode__scales_a_turned_jpeg_by_its_upright_sides),
           UNIT(read_info__tells_what_is_stored),
           UNIT(decode__says_what_a_file_is_that_is_no_picture), UNIT(load__names_the_file_once),
           UNIT(decode__holds_the_limit_of_pixels_exactly),
           UNIT(decode__refuses_a_bomb_by_its_header),
           UNIT(decode__refuses_a_jpeg_of_endless_scans),
           UNIT(decode__calls_a_file_cut_anywhere_truncated), UNIT(decode__says_where_a_file_ended),
           UNIT(decode__survives_any_changed_byte), UNIT(decode__notices_damaged_png_data),
           UNIT(decode__survives_every_allocation_failure))
