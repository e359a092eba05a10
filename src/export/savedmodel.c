/* export/savedmodel.c: TensorFlow's SavedModel: a folder with saved_model.pb (the graph, its weights in it,
 * and its signatures), assets/classes.txt, and assets.extra/graft.json with what TensorFlow has no place for. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export/export_priv.h"
#include "export/savedmodel_priv.h"

#define BASE64_INPUT "serving_default_inputs"
#define BYTES_INPUT  "bytes_inputs"
#define OUTPUT       "outputs"
#define CLASSES_FILE "classes.txt"

enum {
    SCHEMA = 1,
    PRODUCER = 561, /* of TensorFlow 2.4: all that is used is there */
    MOST_SIGNATURES = 3
};

typedef struct savedmodel {
    gf__tf tf;
    const gf__export_source *source;
    GfTf__GraphDef graph;
    GfTf__MetaGraphDef meta;
    GfTf__SavedModel model;
} savedmodel;

/* ---- nodes around the layers ----------------------------------------------------------------- */

/* base64 of either alphabet, padded or not, with line breaks or without, to bytes: DecodeBase64 takes the
 * url-safe one alone. Then each picture file to the network's input. */
static const char *add_decoding(gf__tf *tf)
{
    static const struct {
        const char *name, *input, *pattern, *rewrite;
    } texts[] = {
        {"decode/joined", BASE64_INPUT, "\\s+", ""},
        {"decode/no_plus", "decode/joined", "\\+", "-"},
        {"decode/url_safe", "decode/no_plus", "/", "_"},
    };
    gf__tf_scope *graph = &tf->graph;
    gf__tf_set_batch_shape(graph, gf__tf_node(graph, BASE64_INPUT, "Placeholder", "", "string"),
                           "shape", NULL, 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        GfTf__NodeDef *node = gf__tf_node(graph, texts[i].name, "StaticRegexReplace",
                                          texts[i].input, "");
        gf__tf_set_text(graph, node, "pattern", texts[i].pattern);
        gf__tf_set_text(graph, node, "rewrite", texts[i].rewrite);
    }
    gf__tf_node(graph, "decode/bytes", "DecodeBase64", "decode/url_safe", "");
    gf__tf_set_batch_shape(
        graph, gf__tf_node(graph, BYTES_INPUT, "PlaceholderWithDefault", "decode/bytes", "string"),
        "shape", NULL, 0);
    gf__tf_pictures(tf, BYTES_INPUT, "decode/pictures");
    return "decode/pictures";
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "a/kernel" may be a layer of its own as well as the kernel of "a". */
static gf_status check_names(const gf__tf *tf, gf__proto_arena *arena, gf_error *err)
{
    const size_t n = tf->graph.n_nodes;
    char **names = gf__proto_new(arena, n * sizeof *names);
    for (size_t i = 0; names != NULL && i < n; i++)
        names[i] = tf->graph.nodes[i]->name;
    if (names == NULL || arena->is_out_of_memory)
        return gf__error_nomem(err, "SavedModel", 0);
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 1; i < n; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            return gf_error_set(err, GF_EUNSUPPORTED,
                                "two nodes would be called \"%s\"; rename the layer of that name",
                                names[i]);
    return GF_OK;
}

static gf_status add_nodes(savedmodel *m, gf_error *err)
{
    gf__tf *tf = &m->tf;
    const size_t n = gf_graph_n_layers(tf->net);
    tf->values = gf__proto_new(&tf->arena, n * sizeof *tf->values);
    if (tf->values == NULL)
        return gf__error_nomem(err, "SavedModel", 0);
    if (tf->recipe != NULL) {
        const gf_status st = gf__tf_check_numbers(
            gf_layer_name(gf_graph_layer_at(tf->net, 0)), "a side",
            (const size_t[]){tf->recipe->height, tf->recipe->width}, 2, err);
        if (st != GF_OK)
            return st;
        tf->values[0] = add_decoding(tf);
    }
    for (size_t i = 0; i < n && !tf->arena.is_out_of_memory; i++) {
        gf_status st = gf__tf_layer(tf, i, err);
        if (st == GF_OK)
            st = gf__export_progress(m->source, i, err);
        if (st != GF_OK)
            return st;
    }
    if (tf->arena.is_out_of_memory)
        return gf__error_nomem(err, "SavedModel", 0);
    gf__tf_node(&tf->graph, OUTPUT, "Identity", tf->values[gf__graph_output(tf->net)], "float");
    gf__tf_string(&tf->graph, "classes_file", CLASSES_FILE);
    return check_names(tf, &tf->arena, err);
}

/* ---- signatures ------------------------------------------------------------------------------ */

static void set_tensor(savedmodel *m, GfTf__TensorInfo *info, const char *node, int type,
                       const size_t *shape, size_t n_dims)
{
    gf_tf__tensor_info__init(info);
    info->name = gf__proto_borrow(gf__proto_text(&m->tf.arena, "%s:0", node));
    info->has_dtype = true;
    info->dtype = type;
    info->tensor_shape = gf__tf_batch_shape(&m->tf.arena, shape, n_dims);
}

/* name: inputs, the node's tensor of (any number, shape...), to outputs (that number, classes). */
static void add_signature(savedmodel *m, const char *name, const char *node, int type,
                          const size_t *shape, size_t n_dims)
{
    struct {
        GfTf__SignatureDefEntry entry;
        GfTf__SignatureDef signature;
        GfTf__TensorInfoEntry tensors[2], *lists[2];
        GfTf__TensorInfo infos[2];
    } *made = gf__proto_new(&m->tf.arena, sizeof *made);
    if (made == NULL)
        return;
    gf_tf__signature_def_entry__init(&made->entry);
    gf_tf__signature_def__init(&made->signature);
    made->entry.key = gf__proto_borrow(name);
    made->entry.value = &made->signature;
    for (size_t i = 0; i < 2; i++) {
        gf_tf__tensor_info_entry__init(&made->tensors[i]);
        made->tensors[i].key = gf__proto_borrow(i == 0 ? "inputs" : "outputs");
        made->tensors[i].value = &made->infos[i];
        made->lists[i] = &made->tensors[i];
    }
    set_tensor(m, &made->infos[0], node, type, shape, n_dims);
    set_tensor(m, &made->infos[1], OUTPUT, GF__TF_FLOAT, &m->source->n_classes, 1);
    made->signature.inputs = made->lists;
    made->signature.outputs = made->lists + 1;
    made->signature.n_inputs = made->signature.n_outputs = 1;
    made->signature.method_name = gf__proto_borrow("tensorflow/serving/predict");
    m->meta.signature_def[m->meta.n_signature_def++] = &made->entry;
}

static void add_signatures(savedmodel *m)
{
    const gf_layer *first = gf_graph_layer_at(m->tf.net, 0);
    const char *name = gf_layer_name(first);
    const size_t *shape = gf_layer_shape(first), n_dims = gf_layer_n_dims(first);
    m->meta.signature_def = gf__proto_new(&m->tf.arena,
                                          MOST_SIGNATURES * sizeof *m->meta.signature_def);
    if (m->meta.signature_def == NULL)
        return;
    if (m->tf.recipe == NULL) {
        add_signature(m, "serving_default", name, GF__TF_FLOAT, shape, n_dims);
        return;
    }
    add_signature(m, "bytes", BYTES_INPUT, GF__TF_STRING, NULL, 0);
    add_signature(m, "serving_default", BASE64_INPUT, GF__TF_STRING, NULL, 0);
    add_signature(m, "tensor", name, GF__TF_FLOAT, shape, n_dims);
}

/* ---- the message ----------------------------------------------------------------------------- */

static void add_asset(savedmodel *m)
{
    struct {
        GfTf__AssetFileDef asset, *list[1];
        GfTf__TensorInfo info;
    } *made = gf__proto_new(&m->tf.arena, sizeof *made);
    if (made == NULL)
        return;
    gf_tf__asset_file_def__init(&made->asset);
    gf_tf__tensor_info__init(&made->info);
    made->info.name = gf__proto_borrow("classes_file:0");
    made->asset.tensor_info = &made->info;
    made->asset.filename = gf__proto_borrow(CLASSES_FILE);
    made->list[0] = &made->asset;
    m->meta.asset_file_def = made->list;
    m->meta.n_asset_file_def = 1;
}

static gf_status build(savedmodel *m, gf_error *err)
{
    struct {
        GfTf__MetaInfoDef info;
        GfTf__VersionDef versions;
        GfTf__MetaGraphDef *metas[1];
        char *tags[1];
    } *made = gf__proto_new(&m->tf.arena, sizeof *made);
    if (made == NULL)
        return gf__error_nomem(err, "SavedModel", 0);
    const gf_status st = add_nodes(m, err);
    if (st != GF_OK)
        return st;
    gf_tf__meta_info_def__init(&made->info);
    gf_tf__version_def__init(&made->versions);
    made->tags[0] = gf__proto_borrow("serve");
    made->info.tags = made->tags;
    made->info.n_tags = 1;
    made->versions.has_producer = true;
    made->versions.producer = PRODUCER;
    m->graph.node = m->tf.graph.nodes;
    m->graph.n_node = m->tf.graph.n_nodes;
    m->graph.library = &m->tf.library;
    m->graph.versions = &made->versions;
    m->meta.meta_info_def = &made->info;
    m->meta.graph_def = &m->graph;
    add_signatures(m);
    add_asset(m);
    made->metas[0] = &m->meta;
    m->model.has_saved_model_schema_version = true;
    m->model.saved_model_schema_version = SCHEMA;
    m->model.meta_graphs = made->metas;
    m->model.n_meta_graphs = 1;
    return m->tf.arena.is_out_of_memory ? gf__error_nomem(err, "SavedModel", 0) : GF_OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

static gf_status is_wanted(void *user, gf_error *err)
{
    return gf__export_is_wanted(user, err);
}

static gf_status write_model(savedmodel *m, const char *path, gf_error *err)
{
    gf__writer *writer = NULL;
    gf_status st = gf__writer_open(path, &writer, err);
    if (st != GF_OK)
        return st;
    st = gf__proto_write(&m->model.base, writer, is_wanted, (void *)(uintptr_t)m->source, err);
    if (st == GF_OK)
        return gf__writer_commit(writer, err);
    if (st == GF_ELIMIT)
        gf__error_prefix(err, "%s", path);
    gf__writer_abort(writer);
    return st;
}

/* dir/folder/name, the folder being new. */
static gf_status write_text(const char *dir, const char *folder, const char *name,
                            const gf__buffer *text, gf_error *err)
{
    char *inner = gf__path_join(dir, folder), *path = NULL;
    gf_status st = gf__buffer_status(text, err);
    if (inner != NULL)
        path = gf__path_join(inner, name);
    if (st == GF_OK && path == NULL)
        st = gf__error_nomem(err, "a path", strlen(dir));
    if (st == GF_OK && mkdir(inner, 0777) != 0)
        st = gf__error_errno(err, errno, "%s: cannot create", inner);
    if (st == GF_OK)
        st = gf__write_file(path, text->data, text->size, err);
    gf__free(path);
    gf__free(inner);
    return st;
}

static gf_status write_classes(const gf__export_source *source, const char *dir, gf_error *err)
{
    gf__buffer text = {0};
    for (size_t i = 0; i < source->n_classes; i++) {
        const char *name = source->class_names[i];
        if (strpbrk(name, "\r\n") != NULL) {
            gf__buffer_free(&text);
            return gf_error_set(err, GF_EUNSUPPORTED,
                                "class %zu has a line break in its name, and a SavedModel's class "
                                "names are lines of a file",
                                i);
        }
        gf__buffer_puts(&text, name);
        gf__buffer_puts(&text, "\n");
    }
    const gf_status st = write_text(dir, "assets", CLASSES_FILE, &text, err);
    gf__buffer_free(&text);
    return st;
}

static gf_status write_properties(const gf__export_source *source, const char *dir, gf_error *err)
{
    gf__buffer text = {0};
    gf__json *properties = gf__export_properties(source);
    gf__json_write(properties, true, &text);
    const gf_status st = write_text(dir, "assets.extra", "graft.json", &text, err);
    gf__json_free(properties);
    gf__buffer_free(&text);
    return st;
}

static gf_status write_files(void *user, const char *dir, gf_error *err)
{
    savedmodel *m = user;
    gf_status st = build(m, err);
    if (st == GF_OK)
        st = write_classes(m->source, dir, err);
    if (st == GF_OK)
        st = write_properties(m->source, dir, err);
    if (st != GF_OK)
        return st;
    char *path = gf__path_join(dir, "saved_model.pb");
    st = path != NULL ? write_model(m, path, err) : gf__error_nomem(err, "a path", strlen(dir));
    gf__free(path);
    return st;
}

static void remove_files(void *user, int dir_fd)
{
    (void)user;
    (void)unlinkat(dir_fd, "assets/" CLASSES_FILE, 0);
    (void)unlinkat(dir_fd, "assets", AT_REMOVEDIR);
    (void)unlinkat(dir_fd, "assets.extra/graft.json", 0);
    (void)unlinkat(dir_fd, "assets.extra", AT_REMOVEDIR);
    (void)unlinkat(dir_fd, "saved_model.pb", 0);
}

static gf_status export_named(const gf__export_source *source, const char *path, gf_error *err)
{
    savedmodel m = {.source = source, .tf = {.net = source->graph, .recipe = source->recipe}};
    const gf__export_folder folder = {"SavedModel", write_files, remove_files, &m};
    m.tf.graph.arena = &m.tf.arena;
    gf_tf__function_def_library__init(&m.tf.library);
    gf_tf__graph_def__init(&m.graph);
    gf_tf__meta_graph_def__init(&m.meta);
    gf_tf__saved_model__init(&m.model);
    const gf_status st = gf__export_write_folder(source, path, &folder, err);
    gf__proto_arena_free(&m.tf.arena);
    return st;
}

gf_status gf__export_savedmodel(const gf__export_source *source, const char *path, gf_error *err)
{
    gf__export_source named = *source;
    gf_graph *renamed = NULL;
    if (source->quantisation != GF__EXPORT_F32)
        return gf_error_set(err, GF_EUNSUPPORTED, "SavedModels are written in float32 only");
    gf_status st = gf__export_rename(&named, &renamed, err);
    if (st == GF_OK)
        st = export_named(&named, path, err);
    gf_graph_free(renamed);
    return st;
}
