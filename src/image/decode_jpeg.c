/* image/decode_jpeg.c: JPEG through libjpeg-turbo.
 *
 * Baseline, progressive, grey, YCbCr, RGB, CMYK and YCCK. When the picture will be made smaller,
 * the decoder itself shrinks it by 2, 4 or 8 in the inverse DCT. A file that ends early or holds
 * bytes that cannot be decoded is an error: the grey areas libjpeg would paint are no picture.
 * libjpeg reports by longjmp; the jump never leaves this file. */
#include "image/image_priv.h"

#include <setjmp.h>
#include <stdio.h>

#include <jerror.h>
#include <jpeglib.h>

/* A real progressive file has ten to twenty scans; each may walk over the whole canvas at the cost
 * of a few bytes, so many of them are an attack on the CPU: 40 over 64 megapixels take three
 * seconds. */
#define MAX_SCANS 40

typedef struct jpeg_reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf on_error;
    bool has_ended;      /* libjpeg asked for bytes past the end */
    bool has_many_scans; /* more than MAX_SCANS */
    gf_error *err;
    gf_status st;
} jpeg_reader;

static jpeg_reader *reader_of(j_common_ptr jpeg)
{
    return (jpeg_reader *)jpeg->client_data;
}

static gf_status describe(jpeg_reader *reader)
{
    const struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    char text[JMSG_LENGTH_MAX];

    if (reader->has_many_scans)
        return gf_error_set(reader->err, GF_ELIMIT, "JPEG with more than %d scans", MAX_SCANS);
    if (reader->has_ended && jpeg->output_height == 0)
        return gf_error_set(reader->err, GF_EFORMAT, "truncated JPEG: ended in the header");
    const unsigned long long row = jpeg->output_height == 0
                                       ? 0
                                       : (unsigned long long)jpeg->output_scanline *
                                             jpeg->image_height / jpeg->output_height;
    if (reader->has_ended)
        return gf_error_set(reader->err, GF_EFORMAT, "truncated JPEG: ended after row %llu of %u",
                            row, jpeg->image_height);
    reader->errors.format_message((j_common_ptr)&reader->jpeg, text);
    switch (reader->errors.msg_code) {
    case JERR_OUT_OF_MEMORY:
        return gf_error_set(reader->err, GF_ENOMEM, "out of memory for a JPEG of %ux%u pixels",
                            jpeg->image_width, jpeg->image_height);
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_COMPONENT_COUNT:
    case JERR_CCIR601_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
        return gf_error_set(reader->err, GF_EUNSUPPORTED,
                            "JPEG of a kind that is not supported: %s", text);
    default:
        return gf_error_set(reader->err, GF_EFORMAT, "corrupt JPEG: %s (row %llu of %u)", text, row,
                            jpeg->image_height);
    }
}

static void fail(j_common_ptr jpeg)
{
    jpeg_reader *reader = reader_of(jpeg);
    reader->st = describe(reader);
    longjmp(reader->on_error, 1);
}

/* Warnings: most mean that pixels are lost. These do not, and cameras produce them. */
static void note_message(j_common_ptr jpeg, int level)
{
    if (level >= 0)
        return;
    switch (jpeg->err->msg_code) {
    case JWRN_JPEG_EOF: /* complete rows without the end mark: a picture nevertheless */
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
    case JWRN_BOGUS_PROGRESSION:
        return;
    default:
        fail(jpeg);
    }
}

static void drop_message(j_common_ptr jpeg)
{
    (void)jpeg;
}

/* The bytes are all in memory, so being asked for more means that the file is too short. libjpeg
 * gets an end mark: it may have all the rows already, and complains (JWRN_HIT_MARKER) when it has
 * not. A file of several scans could lack whole ones unnoticed, so there the mark is required. */
static boolean end_input(j_decompress_ptr jpeg)
{
    static const JOCTET end_mark[2] = {0xFF, JPEG_EOI};
    jpeg_reader *reader = reader_of((j_common_ptr)jpeg);

    reader->has_ended = true;
    if (jpeg->input_scan_number == 0 || jpeg_has_multiple_scans(jpeg))
        fail((j_common_ptr)jpeg);
    jpeg->src->next_input_byte = end_mark;
    jpeg->src->bytes_in_buffer = sizeof end_mark;
    return TRUE;
}

static void watch_progress(j_common_ptr jpeg)
{
    jpeg_reader *reader = reader_of(jpeg);

    if (reader->jpeg.input_scan_number <= MAX_SCANS)
        return;
    reader->has_many_scans = true;
    fail(jpeg);
}

/* Everything up to and with the header. The caller has set on_error. */
static void open_reader(jpeg_reader *reader, gf__file_view file)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;

    jpeg_create_decompress(jpeg);
    jpeg_mem_src(jpeg, file.bytes, (unsigned long)file.n_bytes);
    jpeg->src->fill_input_buffer = end_input;
    reader->progress.progress_monitor = watch_progress;
    jpeg->progress = &reader->progress;
    jpeg_read_header(jpeg, TRUE);
}

static void prepare_reader(jpeg_reader *reader, gf_error *err)
{
    *reader = (jpeg_reader){.err = err, .st = GF_OK};
    reader->jpeg.err = jpeg_std_error(&reader->errors);
    reader->errors.error_exit = fail;
    reader->errors.emit_message = note_message;
    reader->errors.output_message = drop_message;
    reader->jpeg.client_data = reader;
}

/* The reader belongs to the caller of this and of read_picture(): locals of a function that calls
 * setjmp() would be lost after the jump. */
static void read_info(jpeg_reader *reader, gf__file_view file, gf_image_info *out)
{
    if (setjmp(reader->on_error) != 0)
        return;
    open_reader(reader, file);
    out->width = reader->jpeg.image_width;
    out->height = reader->jpeg.image_height;
    out->n_channels = reader->jpeg.num_components;
    out->bit_depth = reader->jpeg.data_precision;
    out->orientation = gf__exif_orientation_jpeg(file);
}

gf_status gf__jpeg_info(gf__file_view file, gf_image_info *out, gf_error *err)
{
    jpeg_reader reader;

    prepare_reader(&reader, err);
    read_info(&reader, file, out);
    jpeg_destroy_decompress(&reader.jpeg);
    return reader.st;
}

/* The largest of 8, 4, 2 and 1 that leaves both sides at least twice the target. libjpeg-turbo
 * knows more scales; only these have fast code. */
static unsigned choose_shrink(const gf_image_info *info, const gf__sink *sink)
{
    if (sink->target_width == 0 || sink->target_height == 0)
        return 1;
    for (unsigned shrink = 8; shrink > 1; shrink /= 2) {
        const size_t width = (info->width + shrink - 1) / shrink;
        const size_t height = (info->height + shrink - 1) / shrink;
        if (width / 2 >= sink->target_width && height / 2 >= sink->target_height)
            return shrink;
    }
    return 1;
}

static void choose_colours(struct jpeg_decompress_struct *jpeg)
{
    const bool is_cmyk = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    jpeg->out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
}

/* CMYK in JPEG is stored inverted: Adobe began it, every writer follows. */
static void cmyk_to_rgb(const uint8_t *cmyk, size_t n_pixels, uint8_t *rgb)
{
    for (size_t i = 0; i < n_pixels; i++, cmyk += 4, rgb += 3) {
        const unsigned light = cmyk[3];
        for (size_t c = 0; c < 3; c++) {
            const unsigned product = (255U - cmyk[c]) * light + 128U;
            rgb[c] = (uint8_t)(light - ((product + (product >> 8)) >> 8));
        }
    }
}

static void read_rows(struct jpeg_decompress_struct *jpeg, gf__sink *sink)
{
    const bool is_cmyk = jpeg->out_color_space == JCS_CMYK;

    while (jpeg->output_scanline < jpeg->output_height) {
        const size_t y = jpeg->output_scanline;
        uint8_t *row = gf__sink_row(sink, y);
        JSAMPROW target = is_cmyk ? sink->scratch->side.data : row;
        jpeg_read_scanlines(jpeg, &target, 1);
        if (is_cmyk)
            cmyk_to_rgb(target, sink->width, row);
        gf__sink_put(sink, y, row);
    }
}

static void read_picture(jpeg_reader *reader, gf__file_view file, const gf_image_info *info,
                         gf__sink *sink)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;

    if (setjmp(reader->on_error) != 0)
        return;
    open_reader(reader, file);
    choose_colours(jpeg);
    jpeg->dct_method = JDCT_ISLOW;
    jpeg->scale_num = 1;
    jpeg->scale_denom = choose_shrink(info, sink);
    jpeg_start_decompress(jpeg);
    reader->st = gf__sink_begin(sink, jpeg->output_width, jpeg->output_height, reader->err);
    if (reader->st == GF_OK && jpeg->out_color_space == JCS_CMYK)
        reader->st = gf__block_reserve(&sink->scratch->side, 4 * sink->width, "a CMYK row",
                                       reader->err);
    if (reader->st == GF_OK)
        read_rows(jpeg, sink);
}

gf_status gf__jpeg_decode(gf__file_view file, const gf_image_info *info, gf__sink *sink,
                          gf_error *err)
{
    jpeg_reader reader;

    prepare_reader(&reader, err);
    read_picture(&reader, file, info, sink);
    jpeg_destroy_decompress(&reader.jpeg);
    return reader.st;
}
