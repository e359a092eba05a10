/* image/encode.c: RGB pixels into JPEG (libjpeg-turbo) and PNG (libpng) bytes: thumbnails of
 * reports, plots.
 *
 * Both libraries report by longjmp, which never leaves this file. The bytes are the caller's, from
 * base/mem. */
#include "image/image_priv.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

typedef struct jpeg_writer {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    jmp_buf on_error;
    unsigned char *bytes; /* libjpeg's, from the C library's malloc */
    unsigned long n_bytes;
    gf_error *err;
    gf_status st;
} jpeg_writer;

static void fail_jpeg(j_common_ptr jpeg)
{
    jpeg_writer *writer = jpeg->client_data;
    char text[JMSG_LENGTH_MAX];

    writer->errors.format_message(jpeg, text);
    writer->st = gf_error_set(writer->err, GF_ENOMEM, "cannot write a JPEG: %s", text);
    longjmp(writer->on_error, 1);
}

static void drop_message(j_common_ptr jpeg)
{
    (void)jpeg;
}

/* The writer is the caller's: locals of a function that calls setjmp() would be lost after the
 * jump. */
static void write_jpeg(jpeg_writer *writer, const gf_image *image, int quality)
{
    struct jpeg_compress_struct *jpeg = &writer->jpeg;

    if (setjmp(writer->on_error) != 0)
        return;
    jpeg_create_compress(jpeg);
    jpeg_mem_dest(jpeg, &writer->bytes, &writer->n_bytes);
    jpeg->image_width = (JDIMENSION)image->width;
    jpeg->image_height = (JDIMENSION)image->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row = image->rgb + 3 * image->width * jpeg->next_scanline; /* read only */
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

gf_status gf_image_encode_jpeg(const gf_image *image, int quality, uint8_t **bytes, size_t *n_bytes,
                               gf_error *err)
{
    jpeg_writer writer = {.err = err, .st = GF_OK};

    *bytes = NULL;
    *n_bytes = 0;
    if (quality < 1 || quality > 100)
        return gf_error_set(err, GF_EINVAL, "JPEG quality %d, expected 1 to 100", quality);
    if (image->width > JPEG_MAX_DIMENSION || image->height > JPEG_MAX_DIMENSION)
        return gf_error_set(err, GF_ELIMIT, "a JPEG has at most %ld pixels a side, not %zux%zu",
                            JPEG_MAX_DIMENSION, image->width, image->height);
    writer.jpeg.err = jpeg_std_error(&writer.errors);
    writer.errors.error_exit = fail_jpeg;
    writer.errors.output_message = drop_message;
    writer.jpeg.client_data = &writer;
    write_jpeg(&writer, image, quality);
    if (writer.st == GF_OK) {
        *bytes = gf__malloc(writer.n_bytes);
        if (*bytes == NULL)
            writer.st = gf__error_nomem(err, "a JPEG", writer.n_bytes);
    }
    if (writer.st == GF_OK) {
        memcpy(*bytes, writer.bytes, writer.n_bytes);
        *n_bytes = writer.n_bytes;
    }
    jpeg_destroy_compress(&writer.jpeg);
    gf__free(writer.bytes); /* libjpeg's, from malloc(): base/mem.c ends everything with free() */
    return writer.st;
}

/* zlib's own choice, 6, takes twice as long to make a photograph 1 % smaller. */
#define PNG_LEVEL 4

static void append_bytes(png_structp png, png_bytep bytes, size_t n_bytes)
{
    gf__buffer *buffer = png_get_io_ptr(png);

    gf__buffer_append(buffer, bytes, n_bytes);
    if (buffer->failed)
        png_error(png, "out of memory");
}

static void flush_nothing(png_structp png)
{
    (void)png;
}

static void fail_png(png_structp png, png_const_charp message)
{
    gf_error *err = png_get_error_ptr(png);

    (void)gf_error_set(err, GF_ENOMEM, "cannot write a PNG: %s", message);
    png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

typedef struct png_writer {
    png_structp png;
    png_infop info;
    gf__buffer buffer;
} png_writer;

/* False where libpng jumped, having set the error. */
static bool write_png(png_writer *writer, const gf_image *image)
{
    png_structp png = writer->png;

    if (setjmp(png_jmpbuf(png)) != 0)
        return false;
    png_set_write_fn(png, &writer->buffer, append_bytes, flush_nothing);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_IHDR(png, writer->info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, PNG_LEVEL);
    png_write_info(png, writer->info);
    for (size_t y = 0; y < image->height; y++)
        png_write_row(png, image->rgb + 3 * image->width * y);
    png_write_end(png, NULL);
    return true;
}

gf_status gf_image_encode_png(const gf_image *image, uint8_t **bytes, size_t *n_bytes,
                              gf_error *err)
{
    png_writer writer = {.png = NULL};
    gf_status st = GF_ENOMEM;

    *bytes = NULL;
    *n_bytes = 0;
    if (image->width > PNG_UINT_31_MAX / 4 || image->height > PNG_UINT_31_MAX)
        return gf_error_set(err, GF_ELIMIT, "%zux%zu pixels are too many for a PNG", image->width,
                            image->height);
    writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, err, fail_png, ignore_warning);
    if (writer.png != NULL)
        writer.info = png_create_info_struct(writer.png);
    if (writer.info == NULL) {
        (void)gf__error_nomem(err, "the PNG writer", 0);
    } else if (write_png(&writer, image)) {
        *bytes = (uint8_t *)gf__buffer_take(&writer.buffer, n_bytes);
        st = *bytes != NULL ? GF_OK : gf__error_nomem(err, "a PNG", 0);
    }
    png_destroy_write_struct(&writer.png, &writer.info);
    gf__buffer_free(&writer.buffer);
    return st;
}

void gf_image_bytes_free(uint8_t *bytes)
{
    gf__free(bytes);
}
