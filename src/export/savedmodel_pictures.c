/* export/savedmodel_pictures.c: from a picture file's bytes to the network's input in TensorFlow's operators,
 * as src/image does it: JPEG decoded at 1/2, 1/4 or 1/8 where it will be made smaller, alpha over
 * white, turned as EXIF says (TensorFlow's own decoders do not look), then resized along the rows and along
 * the columns with a triangle filter, to whole levels each time. The decoders and the filter are
 * TensorFlow's; pixels differ from graft's by one level at most, where a sum lies between two.
 *
 * Bytes of a file are followed by N_PADDING zeros, so that fields can be read before it is known
 * that they lie inside. */
#include "export/savedmodel_priv.h"

#define N_PADDING "16" /* at least what is read at once: 12 bytes */
/* Segments or chunks that are looked at: a step costs TensorFlow 40 microseconds, and a file of fill bytes
 * has millions. A PNG of libpng's reaches half a gigabyte with them. */
#define MOST_STEPS "65536"
#define ROWS(rows) (rows), sizeof(rows) / sizeof *(rows)

/* ---- EXIF ------------------------------------------------------------------------------------ */

/* The orientation in size bytes of EXIF data at `at`; 1 where there is none. See image/exif.c. */
static const gf__tf_row orientation_rows[] = {
    {"i_name", "AddV2", "at [0,1,2,3,4,5]", "int32"},
    {"name", "GatherV2", "bytes i_name 0", "uint8"},
    {"is_byte_same", "Equal", "name uint8[69,120,105,102,0,0]", "uint8"}, /* "Exif\0\0" */
    {"is_name", "All", "is_byte_same [0]", ""},
    {"has_room", "GreaterEqual", "size 6", "int32"},
    {"has_name", "LogicalAnd", "is_name has_room", ""},
    {"n_name", "SelectV2", "has_name 6 0", "int32"},
    {"tiff", "AddV2", "at n_name", "int32"},
    {"left", "Sub", "size n_name", "int32"},

    {"i_header", "AddV2", "tiff [0,1,2,3,4,5,6,7]", "int32"},
    {"header", "GatherV2", "bytes i_header 0", "uint8"},
    {"order", "Slice", "header [0] [4]", "uint8"},
    {"is_big_byte", "Equal", "order uint8[77,77,0,42]", "uint8"}, /* "MM\0*" */
    {"is_big", "All", "is_big_byte [0]", ""},
    {"is_little_byte", "Equal", "order uint8[73,73,42,0]", "uint8"}, /* "II*\0" */
    {"is_little", "All", "is_little_byte [0]", ""},
    {"is_tiff", "LogicalOr", "is_big is_little", ""},
    {"has_header", "GreaterEqual", "left 8", "int32"},
    {"is_good", "LogicalAnd", "is_tiff has_header", ""},

    /* Where the list of fields is. */
    {"place", "Slice", "header [4] [4]", "uint8"},
    {"place_wide", "Cast", "place", "uint8 int64"},
    {"factors", "SelectV2", "is_big int64[16777216,65536,256,1] int64[1,256,65536,16777216]",
     "int64"},
    {"parts", "Mul", "place_wide factors", "int64"},
    {"list_told", "Sum", "parts [0]", "int64"},
    {"left_wide", "Cast", "left", "int32 int64"},
    {"list_most", "Sub", "left_wide int64:2", "int64"},
    {"is_list_inside", "LessEqual", "list_told list_most", "int64"},
    {"has_list", "LogicalAnd", "is_good is_list_inside", ""},
    {"list_wide", "SelectV2", "has_list list_told int64:0", "int64"},
    {"list", "Cast", "list_wide", "int64 int32"},
    {"list_at", "AddV2", "tiff list", "int32"},

    /* How many there are, and how many of them lie inside. */
    {"i_count", "AddV2", "list_at [0,1]", "int32"},
    {"count", "GatherV2", "bytes i_count 0", "uint8"},
    {"count_wide", "Cast", "count", "uint8 int32"},
    {"factors_16", "SelectV2", "is_big [256,1] [1,256]", "int32"},
    {"count_parts", "Mul", "count_wide factors_16", "int32"},
    {"n_told", "Sum", "count_parts [0]", "int32"},
    {"behind_list", "Sub", "left list", "int32"},
    {"behind_count", "Sub", "behind_list 2", "int32"},
    {"n_inside", "FloorDiv", "behind_count 12", "int32"},
    {"n_low", "Minimum", "n_told n_inside", "int32"},
    {"n_whole", "Maximum", "n_low 0", "int32"},
    {"n", "SelectV2", "has_list n_whole 0", "int32"},

    /* Of each: tag and type, which together are four bytes to be found, and the value. */
    {"numbers", "Range", "0 n 1", ""},
    {"offsets", "Mul", "numbers 12", "int32"},
    {"first_at", "AddV2", "list_at 2", "int32"},
    {"field_at", "AddV2", "offsets first_at", "int32"},
    {"field_column", "ExpandDims", "field_at 1", "int32"},
    {"i_fields", "AddV2", "field_column [0,1,2,3,8,9]", "int32"},
    {"fields", "GatherV2", "bytes i_fields 0", "uint8"},
    {"tag", "SelectV2", "is_big uint8[1,18,0,3] uint8[18,1,3,0]", "uint8"},
    {"field_tags", "Slice", "fields [0,0] [-1,4]", "uint8"},
    {"is_tag_byte", "Equal", "field_tags tag", "uint8"},
    {"is_tag", "All", "is_tag_byte [1]", ""},
    {"field_values", "Slice", "fields [0,4] [-1,2]", "uint8"},
    {"values_wide", "Cast", "field_values", "uint8 int32"},
    {"value_parts", "Mul", "values_wide factors_16", "int32"},
    {"values", "Sum", "value_parts [1]", "int32"},

    /* The first of them, or 1. */
    {"found", "Where", "is_tag", "bool"},
    {"found_values", "GatherNd", "values found", "int32"},
    {"or_upright", "ConcatV2", "found_values [1] 0", "int32 N=2"},
    {"first", "Slice", "or_upright [0] [1]", "int32"},
    {"value", "Squeeze", "first", "int32"},
    {"is_low", "GreaterEqual", "value 1", "int32"},
    {"is_high", "LessEqual", "value 8", "int32"},
    {"is_known", "LogicalAnd", "is_low is_high", ""},
    {"orientation", "SelectV2", "is_known value 1", "int32"},
};

/* ---- JPEG ------------------------------------------------------------------------------------ */

#define JPEG_WALK "step:int32 at:int32 found_at:int32 found_size:int32 bytes:uint8 length:int32"

/* Goes from segment to segment until EXIF data is found, or a scan or the end. */
static const gf__tf_row jpeg_more_rows[] = {
    {"last", "Sub", "length 4", "int32"},
    {"is_inside", "LessEqual", "at last", "int32"},
    {"safe_at", "Minimum", "at length", "int32"},
    {"i_marker", "AddV2", "safe_at [0,1]", "int32"},
    {"marks", "GatherV2", "bytes i_marker 0", "uint8"},
    {"mark", "Unpack", "marks", "uint8 num=2"},
    {"is_marker", "Equal", "mark uint8:255", "uint8"},
    {"is_no_scan", "NotEqual", "mark.1 uint8:218", "uint8"},
    {"is_no_end", "NotEqual", "mark.1 uint8:217", "uint8"},
    {"has_none", "Equal", "found_size 0", "int32"},
    {"is_readable", "LogicalAnd", "is_inside is_marker", ""},
    {"is_segment", "LogicalAnd", "is_no_scan is_no_end", ""},
    {"goes_on", "LogicalAnd", "is_readable is_segment", ""},
    {"is_wanted", "LogicalAnd", "goes_on has_none", ""},
    {"is_early", "LessEqual", "step " MOST_STEPS, "int32"},
    {"more", "LogicalAnd", "is_wanted is_early", ""},
};

static const gf__tf_row jpeg_next_rows[] = {
    {"next_step", "AddV2", "step 1", "int32"},
    {"i_header", "AddV2", "at [1,2,3]", "int32"},
    {"header", "GatherV2", "bytes i_header 0", "uint8"},
    {"header_wide", "Cast", "header", "uint8 int32"},
    {"part", "Unpack", "header_wide", "int32 num=3"},
    {"high", "Mul", "part.1 256", "int32"},
    {"size", "AddV2", "high part.2", "int32"}, /* counts itself */
    {"is_fill", "Equal", "part 255", "int32"},
    {"is_app1", "Equal", "part 225", "int32"},
    {"i_name", "AddV2", "at [4,5,6,7,8,9]", "int32"},
    {"name", "GatherV2", "bytes i_name 0", "uint8"},
    {"is_byte_same", "Equal", "name uint8[69,120,105,102,0,0]", "uint8"},
    {"is_name", "All", "is_byte_same [0]", ""},
    {"has_room", "GreaterEqual", "size 8", "int32"},
    {"left_with_mark", "Sub", "length at", "int32"},
    {"left", "Sub", "left_with_mark 2", "int32"},
    {"is_size", "GreaterEqual", "size 2", "int32"},
    {"is_inside", "LessEqual", "size left", "int32"},
    {"is_whole", "LogicalAnd", "is_size is_inside", ""},
    {"is_called_so", "LogicalAnd", "is_app1 is_name", ""},
    {"is_long", "LogicalAnd", "has_room is_whole", ""},
    {"is_exif", "LogicalAnd", "is_called_so is_long", ""},
    {"behind_mark", "AddV2", "at 2", "int32"},
    {"behind", "AddV2", "behind_mark size", "int32"},
    {"behind_fill", "AddV2", "at 1", "int32"},
    {"or_end", "SelectV2", "is_whole behind length", "int32"},
    {"next", "SelectV2", "is_fill behind_fill or_end", "int32"},
    {"content", "AddV2", "at 4", "int32"},
    {"content_size", "Sub", "size 2", "int32"},
    {"new_at", "SelectV2", "is_exif content found_at", "int32"},
    {"new_size", "SelectV2", "is_exif content_size found_size", "int32"},
};

static const gf__tf_row jpeg_whole_rows[] = {{"decode", "DecodeJpeg", "file", "ratio=1"}};
static const gf__tf_row jpeg_half_rows[] = {{"decode", "DecodeJpeg", "file", "ratio=2"}};
static const gf__tf_row jpeg_quarter_rows[] = {{"decode", "DecodeJpeg", "file", "ratio=4"}};
static const gf__tf_row jpeg_eighth_rows[] = {{"decode", "DecodeJpeg", "file", "ratio=8"}};

/* See image/decode_jpeg.c: the smallest that leaves both sides at least twice the target, which lies
 * across where the picture does. */
static const gf__tf_row jpeg_rows[] = {
    {"walk", "StatelessWhile", "1 2 0 0 bytes length",
     "T=[int32,int32,int32,int32,uint8,int32] cond=@graft_jpeg_more body=@graft_jpeg_next "
     "parallel_iterations=1"},
    {"turn", "PartitionedCall", "bytes walk.2 walk.3",
     "Tin=[uint8,int32,int32] Tout=[int32] f=@graft_orientation"},
    {"is_across", "GreaterEqual", "turn 5", "int32"},
    {"target", "SelectV2", "is_across $across $upright", "int32"},
    {"shape", "ExtractJpegShape", "file", ""},
    {"sides", "Slice", "shape [0] [2]", "int32"},
    {"rounded_up", "AddV2", "sides [[1],[3],[7]]", "int32"},
    {"shrunk", "FloorDiv", "rounded_up [[2],[4],[8]]", "int32"},
    {"shrunk_half", "FloorDiv", "shrunk 2", "int32"},
    {"is_side_enough", "GreaterEqual", "shrunk_half target", "int32"},
    {"is_enough", "All", "is_side_enough [1]", ""},
    {"ones", "Cast", "is_enough", "bool int32"},
    {"n_halvings", "Sum", "ones [0]", "int32"},
    {"decode", "StatelessCase", "n_halvings file",
     "Tin=[string] Tout=[uint8] "
     "branches=[@graft_jpeg_whole,@graft_jpeg_half,@graft_jpeg_quarter,@graft_jpeg_eighth]"},
};

/* ---- PNG ------------------------------------------------------------------------------------- */

#define PNG_WALK \
    "step:int32 at:int32 found_at:int32 found_size:int32 has_alpha:bool bytes:uint8 length:int32"

/* Goes from chunk to chunk up to the end: eXIf may come behind the pixels, and the last one counts. */
static const gf__tf_row png_more_rows[] = {
    {"left", "Sub", "length at", "int32"},
    {"is_frame", "GreaterEqual", "left 12", "int32"},
    {"is_early", "LessEqual", "step " MOST_STEPS, "int32"},
    {"more", "LogicalAnd", "is_frame is_early", ""},
};

static const gf__tf_row png_next_rows[] = {
    {"next_step", "AddV2", "step 1", "int32"},
    {"i_size", "AddV2", "at [0,1,2,3]", "int32"},
    {"size_bytes", "GatherV2", "bytes i_size 0", "uint8"},
    {"size_wide", "Cast", "size_bytes", "uint8 int64"},
    {"parts", "Mul", "size_wide int64[16777216,65536,256,1]", "int64"},
    {"size_told", "Sum", "parts [0]", "int64"},
    {"left_with_frame", "Sub", "length at", "int32"},
    {"left", "Sub", "left_with_frame 12", "int32"},
    {"left_wide", "Cast", "left", "int32 int64"},
    {"is_whole", "LessEqual", "size_told left_wide", "int64"},
    {"size_safe", "SelectV2", "is_whole size_told int64:0", "int64"},
    {"size", "Cast", "size_safe", "int64 int32"},
    {"i_kind", "AddV2", "at [4,5,6,7]", "int32"},
    {"kind", "GatherV2", "bytes i_kind 0", "uint8"},
    {"is_byte_same", "Equal", /* "eXIf", "tRNS", "IEND" */
     "kind uint8[[101,88,73,102],[116,82,78,83],[73,69,78,68]]", "uint8"},
    {"is_same", "All", "is_byte_same [1]", ""},
    {"is", "Unpack", "is_same", "bool num=3"},
    {"is_exif", "LogicalAnd", "is is_whole", ""},
    {"is_transparency", "LogicalAnd", "is.1 is_whole", ""},
    {"alpha", "LogicalOr", "has_alpha is_transparency", ""},
    {"is_no_end", "LogicalNot", "is.2", ""},
    {"goes_on", "LogicalAnd", "is_whole is_no_end", ""},
    {"behind_frame", "AddV2", "at 12", "int32"},
    {"behind", "AddV2", "behind_frame size", "int32"},
    {"next", "SelectV2", "goes_on behind length", "int32"},
    {"content", "AddV2", "at 8", "int32"},
    {"new_at", "SelectV2", "is_exif content found_at", "int32"},
    {"new_size", "SelectV2", "is_exif size found_size", "int32"},
};

static const gf__tf_row png_opaque_rows[] = {{"decode", "DecodePng", "file", "channels=3"}};

/* See gf__blend_white(): level * alpha over white, with (s + (s >> 8)) >> 8 for a division by 255. */
static const gf__tf_row png_alpha_rows[] = {
    {"decode", "DecodePng", "file", "channels=4"},
    {"wide", "Cast", "decode", "uint8 int32"},
    {"levels", "Slice", "wide [0,0,0] [-1,-1,3]", "int32"},
    {"alpha", "Slice", "wide [0,0,3] [-1,-1,1]", "int32"},
    {"ink", "Mul", "levels alpha", "int32"},
    {"covered", "Mul", "alpha 255", "int32"},
    {"paper", "Sub", "65153 covered", "int32"}, /* 255 * 255, and a half of 256 */
    {"sum", "AddV2", "ink paper", "int32"},
    {"part", "RightShift", "sum 8", "int32"},
    {"both", "AddV2", "sum part", "int32"},
    {"level", "RightShift", "both 8", "int32"},
    {"pixels", "Cast", "level", "int32 uint8"},
};

/* Four channels only where there is transparency: of low bit depths, TensorFlow would fill in the
 * wrong one. */
static const gf__tf_row png_rows[] = {
    {"kind_at", "Minimum", "25 length", "int32"},
    {"kind", "GatherV2", "bytes kind_at 0", "uint8"},
    {"alpha_bit", "BitwiseAnd", "kind uint8:4", "uint8"},
    {"has_channel", "NotEqual", "alpha_bit uint8:0", "uint8"},
    {"walk", "StatelessWhile", "1 8 0 0 has_channel bytes length",
     "T=[int32,int32,int32,int32,bool,uint8,int32] cond=@graft_png_more body=@graft_png_next "
     "parallel_iterations=1"},
    {"turn", "PartitionedCall", "bytes walk.2 walk.3",
     "Tin=[uint8,int32,int32] Tout=[int32] f=@graft_orientation"},
    {"decode", "StatelessIf", "walk.4 file",
     "Tin=[string] Tout=[uint8] then_branch=@graft_png_alpha else_branch=@graft_png_opaque"},
};

/* ---- one picture ----------------------------------------------------------------------------- */

/* DecodeJpeg would take a GIF, and make something else of it than graft does. */
static const gf__tf_row refused_rows[] = {
    {"message", "Const", "a picture that is neither JPEG nor PNG", ""},
    {"refuse", "Assert", "bool:0 message", "string"},
    {"pixels", "Identity", "uint8:0 ^refuse", "uint8"},
    {"turn", "Identity", "1", "int32"},
};

static const gf__tf_row picture_rows[] = {
    {"file_bytes", "DecodeRaw", "file", "uint8"},
    {"bytes", "Pad", "file_bytes [[0," N_PADDING "]]", "uint8"},
    {"length", "StringLength", "file", ""},
    {"begin_3", "Slice", "bytes [0] [3]", "uint8"},
    {"begin_8", "Slice", "bytes [0] [8]", "uint8"},
    {"is_jpeg_byte", "Equal", "begin_3 uint8[255,216,255]", "uint8"},
    {"is_jpeg", "All", "is_jpeg_byte [0]", ""},
    {"is_png_byte", "Equal", "begin_8 uint8[137,80,78,71,13,10,26,10]", "uint8"},
    {"is_png", "All", "is_png_byte [0]", ""},
    {"png_or_other", "SelectV2", "is_png 1 2", "int32"},
    {"kind", "SelectV2", "is_jpeg 0 png_or_other", "int32"},
    {"decode", "Case", "kind file bytes length",
     "Tin=[string,uint8,int32] Tout=[uint8,int32] "
     "branches=[@graft_jpeg,@graft_png,@graft_refused]"},

    /* Orientations 0 (there is none) to 8: which side comes first, and which ones are mirrored then. */
    {"orders", "GatherV2",
     "[[0,1,2],[0,1,2],[0,1,2],[0,1,2],[0,1,2],[1,0,2],[1,0,2],[1,0,2],[1,0,2]] decode.1 0",
     "int32"},
    {"mirrors", "GatherV2",
     "bool[[0,0,0],[0,0,0],[0,1,0],[1,1,0],[1,0,0],[0,0,0],[0,1,0],[1,1,0],[1,0,0]] decode.1 0",
     "bool"},
    {"ordered", "Transpose", "decode orders", "uint8"},
    {"upright", "Reverse", "ordered mirrors", "uint8"},

    {"batch", "ExpandDims", "upright 0", "uint8"},
    {"shape", "Shape", "upright", "uint8"},
    {"side", "Unpack", "shape", "int32 num=3"},
    {"have_height", "Cast", "side", "int32 float"},
    {"have_width", "Cast", "side.1", "int32 float"},
    {"want_height", "Cast", "$height", "int32 float"},
    {"want_width", "Cast", "$width", "int32 float"},
    {"by_height", "RealDiv", "want_height have_height", "float"},
    {"by_width", "RealDiv", "want_width have_width", "float"},

    {"narrow_size", "Pack", "side $width", "int32 N=2"},
    {"narrow_scale", "Pack", "float:1 by_width", "float N=2"},
    {"narrow", "ScaleAndTranslate", "batch narrow_size narrow_scale float[0,0]", "uint8"},
    {"narrow_up", "AddV2", "narrow $half", "float"},
    {"narrow_levels", "Floor", "narrow_up", "float"},
    {"small_size", "Pack", "$height $width", "int32 N=2"},
    {"small_scale", "Pack", "by_height float:1", "float N=2"},
    {"small", "ScaleAndTranslate", "narrow_levels small_size small_scale float[0,0]", "float"},
    {"small_up", "AddV2", "small $half", "float"},
    {"small_levels", "Floor", "small_up", "float"},
    {"pixels", "Squeeze", "small_levels", "float squeeze_dims=[0]"},
    {"scaled", "Mul", "pixels $scale", "float"},
    {"input", "AddV2", "scaled $shift", "float"},
};

static const gf__tf_function functions[] = {
    {"graft_orientation", "bytes:uint8 at:int32 size:int32", "turn:int32=orientation",
     ROWS(orientation_rows)},
    {"graft_jpeg_more", JPEG_WALK, "go_on:bool=more", ROWS(jpeg_more_rows)},
    {"graft_jpeg_next", JPEG_WALK,
     "n:int32=next_step to:int32=next place:int32=new_at size_found:int32=new_size "
     "same_bytes:uint8=bytes "
     "same_length:int32=length",
     ROWS(jpeg_next_rows)},
    {"graft_jpeg_whole", "file:string", "pixels:uint8=decode", ROWS(jpeg_whole_rows)},
    {"graft_jpeg_half", "file:string", "pixels:uint8=decode", ROWS(jpeg_half_rows)},
    {"graft_jpeg_quarter", "file:string", "pixels:uint8=decode", ROWS(jpeg_quarter_rows)},
    {"graft_jpeg_eighth", "file:string", "pixels:uint8=decode", ROWS(jpeg_eighth_rows)},
    {"graft_jpeg", "file:string bytes:uint8 length:int32",
     "pixels:uint8=decode orientation:int32=turn", ROWS(jpeg_rows)},
    {"graft_png_more", PNG_WALK, "go_on:bool=more", ROWS(png_more_rows)},
    {"graft_png_next", PNG_WALK,
     "n:int32=next_step to:int32=next place:int32=new_at size_found:int32=new_size "
     "is_clear:bool=alpha "
     "same_bytes:uint8=bytes same_length:int32=length",
     ROWS(png_next_rows)},
    {"graft_png_opaque", "file:string", "rgb:uint8=decode", ROWS(png_opaque_rows)},
    {"graft_png_alpha", "file:string", "rgb:uint8=pixels", ROWS(png_alpha_rows)},
    {"graft_png", "file:string bytes:uint8 length:int32",
     "pixels:uint8=decode orientation:int32=turn", ROWS(png_rows)},
    {"graft_refused", "file:string bytes:uint8 length:int32",
     "rgb:uint8=pixels orientation:int32=turn", ROWS(refused_rows)},
    {"graft_picture", "file:string", "tensor:float=input", ROWS(picture_rows)},
};

void gf__tf_pictures(gf__tf *tf, const char *bytes, const char *name)
{
    const int32_t height = (int32_t)tf->recipe->height, width = (int32_t)tf->recipe->width;
    const gf__tf_number numbers[] = {
        {"$height", {height}, 1, 0},
        {"$width", {width}, 1, 0},
        {"$upright", {height, width}, 2, 0},
        {"$across", {width, height}, 2, 0},
        {"$half", {0}, 0, 0.5f},
        {"$scale", {0}, 0, tf->recipe->scale},
        {"$shift", {0}, 0, tf->recipe->shift},
    };
    const size_t shape[3] = {tf->recipe->height, tf->recipe->width, 3};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        gf__tf_add_function(tf, &functions[i], numbers, sizeof numbers / sizeof *numbers);
    gf__tf_set_shape_list(&tf->graph,
                          gf__tf_node(&tf->graph, name, "MapDefun", bytes,
                                      "Targuments=[string] output_types=[float] f=@graft_picture"),
                          "output_shapes", shape, 3);
}
