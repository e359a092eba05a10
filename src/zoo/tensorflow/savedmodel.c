/* zoo/tensorflow/savedmodel.c: TensorFlow's files: a SavedModel (saved_model.pb, and variables/ beside it)
 * and a GraphDef alone, whose weights are Const nodes ("frozen"). From the file to the node that
 * puts out the scores. */
#include <limits.h>
#include <string.h>

#include "zoo/operators/operators.h"
#include "zoo/tensorflow/graph_def.h"
#include "zoo/tensorflow/tensorflow.h"

#define BASE_MESSAGE_BYTES ((size_t)512 << 20) /* in memory, beside twice what the file has */
#define MAX_EXTRA_BYTES    ((size_t)16 << 20)

typedef struct loaded {
    gf__mapping file;
    gf__unpacked unpacked;
    const GfTf__GraphDef *def;
    const GfTf__SignatureDef *signature; /* NULL: a GraphDef */
    gf__tensor_bundle *bundle;
    gf__def_graph graph;
} loaded;

static gf_status unpack(loaded *l, const char *path, const ProtobufCMessageDescriptor *type,
                        gf_error *err)
{
    const gf_status st = gf__map_file(path, &l->file, err);
    if (st != GF_OK)
        return st;
    if (l->file.size == 0 || l->file.size > INT_MAX)
        return gf_error_set(err, l->file.size == 0 ? GF_EFORMAT : GF_ELIMIT,
                            "has %zu bytes, a protobuf message has 1 to %d", l->file.size, INT_MAX);
    return gf__proto_unpack(type, l->file.data, l->file.size, BASE_MESSAGE_BYTES + 2 * l->file.size,
                            &l->unpacked, err);
}

/* ---- SavedModel ------------------------------------------------------------------------------ */

static bool has_tag(const GfTf__MetaGraphDef *meta, const char *tag)
{
    const GfTf__MetaInfoDef *info = meta->meta_info_def;
    for (size_t i = 0; info != NULL && i < info->n_tags; i++) {
        if (strcmp(info->tags[i], tag) == 0)
            return true;
    }
    return false;
}

static gf_status find_signature(const GfTf__MetaGraphDef *meta, const GfTf__SignatureDef **out,
                                gf_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < meta->n_signature_def; i++) {
        const GfTf__SignatureDefEntry *entry = meta->signature_def[i];
        if (entry->key == NULL || entry->value == NULL || entry->value->n_outputs == 0)
            continue; /* of a training step, of initialisation */
        if (strcmp(entry->key, "serving_default") == 0) {
            *out = entry->value;
            return GF_OK;
        }
        if (*out == NULL)
            *out = entry->value;
    }
    if (*out == NULL)
        return gf_error_set(
            err, GF_EUNSUPPORTED,
            "has no signature that puts something out; save it with one (Keras does "
            "so in model.export() and model.save())");
    return GF_OK;
}

static gf_status read_message(loaded *l, const char *path, gf_error *err)
{
    const gf_status st = unpack(l, path, &gf_tf__saved_model__descriptor, err);
    if (st != GF_OK)
        return st;
    const GfTf__SavedModel *model = (const GfTf__SavedModel *)l->unpacked.message;
    const GfTf__MetaGraphDef *meta = NULL;
    for (size_t i = 0; i < model->n_meta_graphs; i++) {
        if (meta == NULL || (!has_tag(meta, "serve") && has_tag(model->meta_graphs[i], "serve")))
            meta = model->meta_graphs[i];
    }
    if (meta == NULL || meta->graph_def == NULL)
        return gf_error_set(err, GF_EFORMAT, "is no SavedModel: has no graph");
    l->def = meta->graph_def;
    return find_signature(meta, &l->signature, err);
}

/* Not there where all weights are in the graph. */
static gf_status open_variables(loaded *l, const char *path, gf_error *err)
{
    const int n_folder = (int)(gf__path_base(path) - path);
    char *prefix = gf__asprintf("%.*svariables/variables", n_folder, path);
    char *index = gf__asprintf("%.*svariables/variables.index", n_folder, path);
    gf_status st = GF_OK;
    if (prefix == NULL || index == NULL)
        st = gf__error_nomem(err, "a path", strlen(path));
    else if (gf__is_file(index))
        st = gf__tensor_bundle_open(prefix, &l->bundle, err);
    gf__free(index);
    gf__free(prefix);
    return st;
}

static gf_status find_output(loaded *l, gf__def_ref *out, gf_error *err)
{
    const GfTf__SignatureDef *s = l->signature;
    const GfTf__TensorInfo *info = s->outputs[0]->value;
    if (s->n_outputs != 1)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "the signature has %zu outputs; networks with one can be run",
                            s->n_outputs);
    if (info == NULL || info->name == NULL || info->name[0] == '\0')
        return gf_error_set(err, GF_EFORMAT, "the signature's output has no name");
    for (const char *c = info->name; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~')
            return gf_error_set(err, GF_EFORMAT, "the signature's output has no printable name");
    }
    return gf__def_find(&l->graph, 0, info->name, out, err);
}

/* ---- what graft itself wrote beside it ------------------------------------------------------- */

static gf_status read_extra(const char *model_path, gf__checkpoint *out, gf_error *err)
{
    char *text = NULL;
    size_t size = 0;
    gf__json *json = NULL;
    const int n_folder = (int)(gf__path_base(model_path) - model_path);
    char *path = gf__asprintf("%.*sassets.extra/graft.json", n_folder, model_path);
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(model_path));
    gf_status st = GF_OK;
    if (gf__is_file(path)) {
        st = gf__read_file(path, MAX_EXTRA_BYTES, &text, &size, err);
        if (st == GF_OK)
            st = gf__json_parse(text, size, &json, err);
        if (st == GF_OK)
            st = gf__checkpoint_read_properties(json, out, err);
        if (st != GF_OK)
            gf__error_prefix(err, "assets.extra/graft.json");
    }
    gf__json_free(json);
    gf__free(text);
    gf__free(path);
    return st;
}

/* ---- GraphDef -------------------------------------------------------------------------------- */

static gf_status read_graph_def(loaded *l, const char *path, gf_error *err)
{
    const gf_status st = unpack(l, path, &gf_tf__graph_def__descriptor, err);
    if (st != GF_OK)
        return st;
    l->def = (const GfTf__GraphDef *)l->unpacked.message;
    if (l->def->n_node == 0)
        return gf_error_set(err, GF_EFORMAT, "is no GraphDef: has no nodes");
    return GF_OK;
}

/* Nodes that are there for their effects, or for those that have none left to need them. */
static bool is_aside(const char *op)
{
    static const char *const ops[] = {"NoOp",        "Const",      "Placeholder",       "Assert",
                                      "SaveV2",      "RestoreV2",  "AssignVariableOp",  "Assign",
                                      "VarHandleOp", "VariableV2", "MergeV2Checkpoints"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (strcmp(ops[i], op) == 0)
            return true;
    }
    return false;
}

static void mark_used(loaded *l, bool *is_used)
{
    for (size_t i = 0; i < l->def->n_node; i++) {
        const GfTf__NodeDef *node = l->def->node[i];
        for (size_t k = 0; k < gf__def_n_inputs(node); k++) {
            const size_t used = gf__def_index_of(&l->graph, node->input[k]);
            if (used < l->def->n_node)
                is_used[used] = true;
        }
    }
}

/* The one that nobody uses; of several, the only one that is a softmax. */
static gf_status find_end(loaded *l, gf__def_ref *out, gf_error *err)
{
    gf_status st = GF_OK;
    const char *names[2] = {NULL, NULL};
    size_t n_ends = 0, n_softmax = 0;
    gf__def_ref softmax = {0}, end = {0};
    bool *is_used = gf__calloc(l->def->n_node, sizeof *is_used);
    if (is_used == NULL)
        return gf__error_nomem(err, "nodes", l->def->n_node);
    mark_used(l, is_used);
    for (size_t i = 0; i < l->def->n_node && st == GF_OK; i++) {
        const GfTf__NodeDef *node = l->def->node[i];
        if (is_used[i] || is_aside(node->op))
            continue;
        st = gf__def_find(&l->graph, 0, node->name, &end, err);
        if (st != GF_OK)
            break;
        names[n_ends > 0] = node->name;
        n_ends++;
        if (gf__def_is_op(&l->graph, end, "Softmax")) {
            n_softmax++;
            softmax = end;
        }
        *out = end;
    }
    gf__free(is_used);
    if (st != GF_OK)
        return st;
    if (n_ends == 0)
        return gf_error_set(err, GF_EFORMAT, "has no output: every node is used by another");
    if (n_ends > 1 && n_softmax != 1)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "has %zu outputs (\"%.80s\" and \"%.80s\" among them); graphs with one "
                            "can be run",
                            n_ends, names[0], names[1]);
    if (n_ends > 1)
        *out = softmax;
    return GF_OK;
}

/* ---- both ------------------------------------------------------------------------------------ */

static gf_status make_graph(loaded *l, const char *name, const gf_observer *obs,
                            gf__checkpoint *out, gf_error *err)
{
    gf__operators *ops = NULL;
    gf__def_ref output = {0};
    size_t value = 0, picture[3];
    const bool is_known = gf__architecture_shape(name, picture);
    gf_status st = gf__def_graph_open(l->def, l->bundle, &l->graph, err);
    if (st == GF_OK)
        st = l->signature != NULL ? find_output(l, &output, err) : find_end(l, &output, err);
    if (st == GF_OK)
        st = gf__operators_new("model", &ops, err); /* the same trunk by whatever name */
    if (st == GF_OK)
        st = gf__def_layers(&l->graph, output, is_known ? picture : NULL, obs, ops, &value, err);
    if (st == GF_OK)
        st = gf__operators_finish(ops, value, &out->graph, err);
    if (st == GF_OK)
        out->has_input = gf__operators_input(ops, &out->scale, &out->shift);
    gf__operators_free(ops);
    return st;
}

gf_status gf__savedmodel_read(const gf__source *source, const char *name, const gf_observer *obs,
                              gf__checkpoint *out, gf_error *err)
{
    loaded l = {0};
    const bool is_graph = source->kind == GF__SOURCE_GRAPHDEF;
    gf_status st = is_graph ? read_graph_def(&l, source->path, err)
                            : read_message(&l, source->path, err);
    if (st == GF_OK && !is_graph)
        st = open_variables(&l, source->path, err);
    if (st == GF_OK)
        st = make_graph(&l, name, obs, out, err);
    if (st == GF_OK && !is_graph)
        st = read_extra(source->path, out, err);
    if (st == GF_OK) {
        out->origin = gf__asprintf("TensorFlow %s, %s", is_graph ? "GraphDef" : "SavedModel",
                                   gf__path_base(source->path));
        if (out->origin == NULL)
            st = gf__error_nomem(err, "an origin", strlen(source->path));
    }
    if (st != GF_OK && st != GF_ECANCELED)
        gf__error_prefix(err, "%s", source->path);
    gf__def_graph_close(&l.graph);
    gf__tensor_bundle_close(l.bundle);
    gf__unpacked_free(&l.unpacked);
    gf__unmap(&l.file);
    return st;
}
