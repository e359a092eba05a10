/* export/onnx_decoder.c: operators from the bytes of a JPEG or PNG file to the network's input, as
 * graft prepares pictures: decoded, turned as EXIF says, resized, scaled.
 *
 * ONNX decodes and does not turn, and loops need graphs within graphs. So the turn is arithmetic:
 * EXIF is found by the bytes that it begins with, its first directory is read with Gather, and each
 * orientation is a row of a table that says which pixel goes where. Pixels are (1,C,H,W) here. */
#include "export/onnx_priv.h"

#define INPUTS(...) ((const char *const[]){__VA_ARGS__, NULL})

enum {
    N_HEAD_BYTES = 65536, /* how far EXIF is looked for: it stands before the picture */
    N_SPARE = 1024,       /* zeros behind the bytes, so that what is read in the end is there */
    N_ENTRIES = 64,       /* of the directory; cameras write a dozen */
    N_ENTRY_BYTES = 12,
    TAG_ORIENTATION = 0x0112,
    TYPE_SHORT = 3,
    N_ORIENTATIONS = 9 /* 0 counts as 1 */
};

/* ---- small things ---------------------------------------------------------------------------- */

/* A constant vector of whole numbers, by a name of its own. */
#define NUMBERS(onnx, name, ...)                                \
    add_numbers((onnx), (name), (const int64_t[]){__VA_ARGS__}, \
                sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t))

static const char *add_numbers(gf__onnx *onnx, const char *name, const int64_t *values, size_t n)
{
    gf__onnx_numbers(onnx, name, values, n);
    return name;
}

static const char *add_float(gf__onnx *onnx, const char *name, float value)
{
    float *at = gf__onnx_weight(onnx, name, NULL, 0);
    if (at != NULL)
        *at = value;
    return name;
}

/* A node of one output, whose name it returns. */
static const char *apply(gf__onnx *onnx, const char *op, const char *output,
                         const char *const *inputs)
{
    gf__onnx_node(onnx, op, output, inputs);
    return output;
}

static const char *cast(gf__onnx *onnx, const char *output, const char *value, int64_t type)
{
    gf__onnx_int(onnx, gf__onnx_node(onnx, "Cast", output, INPUTS(value)), "to", type);
    return output;
}

/* ---- EXIF ------------------------------------------------------------------------------------ */

/* The numbers 0, step, 2 step, ... as a constant. */
static const char *add_steps(gf__onnx *onnx, const char *name, size_t n, int64_t step)
{
    int64_t *values = gf__proto_new(&onnx->arena, n * sizeof *values);
    for (size_t i = 0; values != NULL && i < n; i++)
        values[i] = (int64_t)i * step;
    if (values != NULL)
        gf__onnx_numbers(onnx, name, values, n);
    return name;
}

/* The first bytes of the file as numbers, zeros behind them. */
static const char *add_head(gf__onnx *onnx)
{
    const char *head = apply(
        onnx, "Slice", "exif/first",
        INPUTS("picture", NUMBERS(onnx, "exif/zero", 0), NUMBERS(onnx, "exif/end", N_HEAD_BYTES)));
    head = cast(onnx, "exif/numbers", head, GF__ONNX_INT64);
    return apply(onnx, "Pad", "exif/bytes", INPUTS(head, NUMBERS(onnx, "exif/spare", 0, N_SPARE)));
}

/* "exif/at": where the segment with EXIF begins (FF E1, two bytes of length, "Exif", two zeros), in a
 * vector of one; "exif/is_there": whether it does, in a JPEG. */
static void find_segment(gf__onnx *onnx, const char *bytes)
{
    NUMBERS(onnx, "exif/signature", 0xFF, 0xE1, 'E', 'x', 'i', 'f', 0, 0);
    NUMBERS(onnx, "exif/signature_at", 0, 1, 4, 5, 6, 7, 8, 9);
    NUMBERS(onnx, "exif/one", 1);
    const char *n = apply(onnx, "Size", "exif/size", INPUTS("exif/numbers"));
    const char *starts = apply(
        onnx, "Range", "exif/starts",
        INPUTS(gf__onnx_scalar(onnx, "exif/begin", 0), n, gf__onnx_scalar(onnx, "exif/step", 1)));
    starts = apply(onnx, "Unsqueeze", "exif/column", INPUTS(starts, "exif/one"));
    const char *places = apply(onnx, "Add", "exif/places", INPUTS(starts, "exif/signature_at"));
    const char *windows = apply(onnx, "Gather", "exif/windows", INPUTS(bytes, places));
    const char *same = apply(onnx, "Equal", "exif/same", INPUTS(windows, "exif/signature"));
    same = cast(onnx, "exif/same_numbers", same, GF__ONNX_INT32);
    const char *found = apply(onnx, "ReduceMin", "exif/found", INPUTS(same, "exif/one"));
    gf__onnx_int(onnx, gf__onnx_node(onnx, "ArgMax", "exif/segment", INPUTS(found)), "axis", 0);
    apply(onnx, "Reshape", "exif/at", INPUTS("exif/segment", "exif/one"));
    const char *most = apply(onnx, "ReduceMax", "exif/any", INPUTS(found, "exif/zero"));
    most = cast(onnx, "exif/is_found", most, GF__ONNX_BOOL);
    NUMBERS(onnx, "exif/jpeg", 0xFF, 0xD8);
    const char *begin = apply(onnx, "Slice", "exif/magic",
                              INPUTS(bytes, "exif/zero", NUMBERS(onnx, "exif/two", 2)));
    begin = cast(onnx, "exif/is_magic",
                 apply(onnx, "Equal", "exif/magic_same", INPUTS(begin, "exif/jpeg")),
                 GF__ONNX_INT32);
    begin = apply(onnx, "ReduceMin", "exif/is_all_magic", INPUTS(begin, "exif/zero"));
    begin = cast(onnx, "exif/is_jpeg", begin, GF__ONNX_BOOL);
    apply(onnx, "And", "exif/is_there", INPUTS(most, begin));
}

/* Bytes at places (..., n), n of them a number, in the file's order: weights are the powers of 256.
 * Returns (..., 1). */
static const char *read_number(gf__onnx *onnx, const char *name, const char *bytes,
                               const char *start, const char *offsets, const char *weights)
{
    const char *at = apply(onnx, "Add", gf__proto_text(&onnx->arena, "%s_at", name),
                           INPUTS(start, offsets));
    const char *found = apply(onnx, "Gather", gf__proto_text(&onnx->arena, "%s_bytes", name),
                              INPUTS(bytes, at));
    found = apply(onnx, "Mul", gf__proto_text(&onnx->arena, "%s_parts", name),
                  INPUTS(found, weights));
    return apply(onnx, "ReduceSum", name, INPUTS(found, "exif/last"));
}

/* Powers of 256 for the byte order: "II" or "MM" at the start of the header. */
static void choose_order(gf__onnx *onnx, const char *bytes, const char *tiff)
{
    const char *order = apply(onnx, "Gather", "exif/order", INPUTS(bytes, tiff));
    const char *is_big = apply(onnx, "Equal", "exif/is_big",
                               INPUTS(order, NUMBERS(onnx, "exif/M", 'M')));
    apply(onnx, "Where", "exif/order_2",
          INPUTS(is_big, NUMBERS(onnx, "exif/big_2", 256, 1),
                 NUMBERS(onnx, "exif/little_2", 1, 256)));
    apply(onnx, "Where", "exif/order_4",
          INPUTS(is_big, NUMBERS(onnx, "exif/big_4", 1 << 24, 1 << 16, 1 << 8, 1),
                 NUMBERS(onnx, "exif/little_4", 1, 1 << 8, 1 << 16, 1 << 24)));
}

/* One field of all entries: (N_ENTRIES, 1). */
static const char *read_field(gf__onnx *onnx, const char *name, const char *bytes,
                              const char *entries, int64_t offset)
{
    const char *offsets = gf__proto_text(&onnx->arena, "%s_offset", name);
    NUMBERS(onnx, offsets, offset, offset + 1);
    return read_number(onnx, name, bytes, entries, offsets, "exif/order_2");
}

static const char *equals(gf__onnx *onnx, const char *name, const char *value, int64_t number)
{
    const char *constant = gf__proto_text(&onnx->arena, "%s_wanted", name);
    NUMBERS(onnx, constant, number);
    return apply(onnx, "Equal", name, INPUTS(value, constant));
}

/* The orientation, 0 to 8, in a vector of one; 0: not said. The directory is at most as far as the
 * spare zeros let it be read; beyond that there is none. */
static const char *find_orientation(gf__onnx *onnx)
{
    const char *bytes = add_head(onnx);
    find_segment(onnx, bytes);
    NUMBERS(onnx, "exif/last", -1);
    const char *tiff = apply(onnx, "Add", "exif/tiff",
                             INPUTS("exif/at", NUMBERS(onnx, "exif/header", 10)));
    choose_order(onnx, bytes, tiff);
    const char *ifd = read_number(onnx, "exif/ifd", bytes, tiff,
                                  NUMBERS(onnx, "exif/ifd_offset", 4, 5, 6, 7), "exif/order_4");
    ifd = apply(onnx, "Add", "exif/directory", INPUTS(ifd, tiff));
    ifd = apply(onnx, "Min", "exif/inside", INPUTS(ifd, "exif/size"));
    const char *n_entries = read_field(onnx, "exif/n_entries", bytes, ifd, 0);
    const char *steps = add_steps(onnx, "exif/entry_offsets", N_ENTRIES, N_ENTRY_BYTES);
    const char *entries = apply(onnx, "Add", "exif/entries", INPUTS(ifd, steps));
    entries = apply(onnx, "Unsqueeze", "exif/entry_column", INPUTS(entries, "exif/one"));
    const char *is_tag = equals(onnx, "exif/is_tag",
                                read_field(onnx, "exif/tag", bytes, entries, 2), TAG_ORIENTATION);
    const char *is_short = equals(onnx, "exif/is_short",
                                  read_field(onnx, "exif/type", bytes, entries, 4), TYPE_SHORT);
    const char *value = read_field(onnx, "exif/value", bytes, entries, 10);
    const char *numbers = add_steps(onnx, "exif/entry_numbers", N_ENTRIES, 1);
    numbers = apply(onnx, "Unsqueeze", "exif/number_column", INPUTS(numbers, "exif/one"));
    const char *is_entry = apply(onnx, "Less", "exif/is_entry", INPUTS(numbers, n_entries));
    const char *is_it = apply(onnx, "And", "exif/is_it", INPUTS(is_tag, is_short));
    is_it = apply(onnx, "And", "exif/is_orientation", INPUTS(is_it, is_entry));
    is_it = apply(onnx, "And", "exif/is_here", INPUTS(is_it, "exif/is_there"));
    is_it = cast(onnx, "exif/here_number", is_it, GF__ONNX_INT64);
    value = apply(onnx, "Mul", "exif/values", INPUTS(value, is_it));
    value = apply(onnx, "ReduceMax", "exif/orientation", INPUTS(value, "exif/zero"));
    value = apply(onnx, "Reshape", "exif/said", INPUTS(value, "exif/one"));
    const char *is_known = apply(onnx, "Less", "exif/is_known",
                                 INPUTS(value, NUMBERS(onnx, "exif/most", N_ORIENTATIONS)));
    return apply(onnx, "Where", "exif/known", INPUTS(is_known, value, "exif/zero"));
}

/* ---- turning --------------------------------------------------------------------------------- */

/* What a stored picture is resized to, and where pixel (y,x) of the turned one then is in it:
 * down * y + right * x + start. */
typedef struct turn {
    int64_t height, width, down, right, start;
} turn;

static turn plan_turn(int64_t H, int64_t W, int orientation)
{
    switch (orientation) {
    case 2:
        return (turn){H, W, W, -1, W - 1};
    case 3:
        return (turn){H, W, -W, -1, H * W - 1};
    case 4:
        return (turn){H, W, -W, 1, (H - 1) * W};
    case 5:
        return (turn){W, H, 1, H, 0};
    case 6:
        return (turn){W, H, 1, -H, (W - 1) * H};
    case 7:
        return (turn){W, H, -1, -H, W * H - 1};
    case 8:
        return (turn){W, H, -1, H, H - 1};
    default:
        return (turn){H, W, W, 1, 0};
    }
}

/* "turn/NAME": one column of the table of plans, the row of the orientation. */
static const char *add_choice(gf__onnx *onnx, const char *name, const turn *plans, size_t field,
                              const char *orientation)
{
    int64_t values[N_ORIENTATIONS];
    for (size_t i = 0; i < N_ORIENTATIONS; i++) {
        const int64_t fields[] = {plans[i].height, plans[i].width, plans[i].down, plans[i].right,
                                  plans[i].start};
        values[i] = fields[field];
    }
    const char *table = gf__proto_text(&onnx->arena, "turn/%s_table", name);
    gf__onnx_numbers(onnx, table, values, N_ORIENTATIONS);
    return apply(onnx, "Gather", gf__proto_text(&onnx->arena, "turn/%s", name),
                 INPUTS(table, orientation));
}

/* Resized to turn/height x turn/width; then the turned one is gathered. */
static const char *turn_resized(gf__onnx *onnx, const char *resized, size_t H, size_t W,
                                const char *down, const char *right, const char *start)
{
    const char *y = add_steps(onnx, "turn/y", H, 1), *x = add_steps(onnx, "turn/x", W, 1);
    y = apply(onnx, "Unsqueeze", "turn/y_column", INPUTS(y, "exif/one"));
    y = apply(onnx, "Mul", "turn/rows", INPUTS(y, down));
    x = apply(onnx, "Mul", "turn/columns", INPUTS(x, right));
    const char *at = apply(onnx, "Add", "turn/from_start", INPUTS(y, x));
    at = apply(onnx, "Add", "turn/places", INPUTS(at, start));
    const char *flat = apply(onnx, "Reshape", "turn/flat",
                             INPUTS(resized, NUMBERS(onnx, "turn/flat_shape", 1, 3, -1)));
    GfOnnx__Node *node = gf__onnx_node(onnx, "Gather", "turn/turned", INPUTS(flat, at));
    gf__onnx_int(onnx, node, "axis", 2);
    return "turn/turned";
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* (h,w,3) bytes -> (1,3,h,w) floats. */
static const char *decode(gf__onnx *onnx)
{
    GfOnnx__Node *node = gf__onnx_node(onnx, "ImageDecoder", "picture/decoded", INPUTS("picture"));
    gf__onnx_string(onnx, node, "pixel_format", "RGB");
    node = gf__onnx_node(onnx, "Transpose", "picture/planes", INPUTS("picture/decoded"));
    gf__onnx_ints(onnx, node, "perm", (const int64_t[]){2, 0, 1}, 3);
    const char *pixels = cast(onnx, "picture/floats", "picture/planes", GF__ONNX_FLOAT);
    return apply(onnx, "Unsqueeze", "picture/one", INPUTS(pixels, "exif/zero"));
}

/* A triangle as wide as the scale, as graft's; whole levels afterwards. */
static const char *resize(gf__onnx *onnx, const char *pixels, const char *height, const char *width)
{
    GfOnnx__Node *node = gf__onnx_node(onnx, "Concat", "picture/size", INPUTS(height, width));
    gf__onnx_int(onnx, node, "axis", 0);
    node = gf__onnx_node(onnx, "Resize", "picture/resized", INPUTS(pixels, "", "", "picture/size"));
    gf__onnx_ints(onnx, node, "axes", (const int64_t[]){2, 3}, 2);
    gf__onnx_int(onnx, node, "antialias", 1);
    gf__onnx_int(onnx, node, "exclude_outside", 1); /* not edges repeated */
    gf__onnx_string(onnx, node, "mode", "linear");
    return apply(onnx, "Round", "picture/levels", INPUTS("picture/resized"));
}

void gf__onnx_decoder(gf__onnx *onnx, const gf_recipe *recipe, const char *output)
{
    turn plans[N_ORIENTATIONS];
    for (int i = 0; i < N_ORIENTATIONS; i++)
        plans[i] = plan_turn((int64_t)recipe->height, (int64_t)recipe->width, i);
    const char *orientation = find_orientation(onnx);
    const char *height = add_choice(onnx, "height", plans, 0, orientation);
    const char *width = add_choice(onnx, "width", plans, 1, orientation);
    const char *down = add_choice(onnx, "down", plans, 2, orientation);
    const char *right = add_choice(onnx, "right", plans, 3, orientation);
    const char *start = add_choice(onnx, "start", plans, 4, orientation);
    const char *pixels = resize(onnx, decode(onnx), height, width);
    pixels = turn_resized(onnx, pixels, recipe->height, recipe->width, down, right, start);
    pixels = apply(onnx, "Mul", "picture/scaled",
                   INPUTS(pixels, add_float(onnx, "picture/scale", recipe->scale)));
    apply(onnx, "Add", output, INPUTS(pixels, add_float(onnx, "picture/shift", recipe->shift)));
}
