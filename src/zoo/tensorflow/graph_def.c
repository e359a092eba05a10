/* zoo/tensorflow/graph_def.c: names of a graph and of its functions, and the way from a name to a node. */
#include "zoo/tensorflow/graph_def.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NODES     ((size_t)400000) /* of a graph or function; Inception-v3's has 2000 */
#define MAX_FRAMES    ((size_t)4096)
#define MAX_DEPTH     ((size_t)64)      /* of calls */
#define MAX_MARKS     ((size_t)4 << 20) /* nodes of all frames */
#define MAX_STEPS     ((size_t)10000) /* through Identity, calls and arguments; more goes in a circle */
#define MAX_ALL_STEPS ((size_t)1 << 28) /* and names that are compared on the way */
#define MAX_INPUTS    ((size_t)65536)
#define MAX_KEY_BYTES ((size_t)4096) /* of a name in the checkpoint */

/* ---- names ----------------------------------------------------------------------------------- */

/* They go into messages. TensorFlow itself allows letters, digits and a few signs. */
static bool is_good_name(const char *name)
{
    if (name == NULL || name[0] == '\0')
        return false;
    for (const char *c = name; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~' || *c == '"')
            return false;
    }
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const gf__def_name *)a)->text, ((const gf__def_name *)b)->text);
}

/* Sorted, and not by a hash: names that somebody has made to collide take no longer than others. */
static gf_status sort_names(gf__def_name *names, size_t n, const char *what, gf_error *err)
{
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(names[i - 1].text, names[i].text) == 0)
            return gf_error_set(err, GF_EFORMAT, "two %s are called \"%.100s\"", what,
                                names[i].text);
    }
    return GF_OK;
}

static bool is_name(const char *name, const char *text, size_t n_chars)
{
    return strncmp(name, text, n_chars) == 0 && name[n_chars] == '\0';
}

typedef struct word {
    const char *text;
    size_t n_chars;
} word;

static int compare_word(const void *key, const void *name)
{
    const word *w = key;
    const char *text = ((const gf__def_name *)name)->text;
    const int order = strncmp(w->text, text, w->n_chars);
    return order != 0 ? order : -(text[w->n_chars] != '\0');
}

/* n where there is none. */
static size_t find_name(const gf__def_name *names, size_t n, const char *text, size_t n_chars)
{
    const word w = {text, n_chars};
    const gf__def_name *found = n > 0 ? bsearch(&w, names, n, sizeof *names, compare_word) : NULL;
    return found != NULL ? found->index : n;
}

static size_t find_node(const gf__def_body *body, const char *text, size_t n_chars)
{
    return body->names != NULL ? find_name(body->names, body->n_nodes, text, n_chars)
                               : body->n_nodes;
}

static gf_status check_node(const GfTf__NodeDef *node, size_t i, gf_error *err)
{
    bool is_good = is_good_name(node->name) && is_good_name(node->op);
    if (node->n_input > MAX_INPUTS)
        return gf_error_set(err, GF_ELIMIT, "node %zu has %zu inputs, at most %zu are read", i,
                            node->n_input, MAX_INPUTS);
    for (size_t k = 0; is_good && k < node->n_input; k++)
        is_good = is_good_name(node->input[k]);
    if (!is_good)
        return gf_error_set(err, GF_EFORMAT,
                            "node %zu has no proper name: its name, op or an input is empty or not "
                            "printable",
                            i);
    return GF_OK;
}

static gf_status index_body(gf__def_body *body, gf_error *err)
{
    if (body->n_nodes > MAX_NODES)
        return gf_error_set(err, GF_ELIMIT, "has %zu nodes, at most %zu are read", body->n_nodes,
                            MAX_NODES);
    gf_status st = GF_OK;
    body->names = gf__calloc(body->n_nodes + 1, sizeof *body->names);
    if (body->names == NULL)
        return gf__error_nomem(err, "names", body->n_nodes * sizeof *body->names);
    for (size_t i = 0; i < body->n_nodes && st == GF_OK; i++) {
        st = check_node(body->nodes[i], i, err);
        body->names[i] = (gf__def_name){body->nodes[i]->name, i};
    }
    return st == GF_OK ? sort_names(body->names, body->n_nodes, "nodes", err) : st;
}

static gf_status index_functions(gf__def_graph *graph, gf_error *err)
{
    const size_t n = graph->n_functions;
    graph->names = gf__calloc(n + 1, sizeof *graph->names);
    if (graph->names == NULL)
        return gf__error_nomem(err, "names", n * sizeof *graph->names);
    for (size_t i = 0; i < n; i++) {
        const GfTf__OpDef *signature = graph->functions[i].function->signature;
        if (signature == NULL || !is_good_name(signature->name))
            return gf_error_set(err, GF_EFORMAT, "function %zu has no proper name", i);
        graph->names[i] = (gf__def_name){signature->name, i};
    }
    return sort_names(graph->names, n, "functions", err);
}

/* NULL: there is none of that name. */
static gf__def_body *find_function(const gf__def_graph *graph, const char *name)
{
    const size_t n = graph->n_functions;
    const size_t i = name != NULL ? find_name(graph->names, n, name, strlen(name)) : n;
    return i < n ? &graph->functions[i] : NULL;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static gf_status add_frame(gf__def_graph *graph, gf__def_frame frame, size_t *out, gf_error *err)
{
    const size_t n = frame.body->n_nodes;
    if (graph->n_frames == MAX_FRAMES || frame.depth == MAX_DEPTH || n > MAX_MARKS - graph->n_marks)
        return gf_error_set(
            err, GF_ELIMIT,
            "functions call one another too deeply or too often (%zu calls, %zu deep)",
            graph->n_frames, frame.depth);
    if (graph->n_frames == graph->frame_capacity) {
        const size_t capacity = graph->frame_capacity == 0 ? 16 : 2 * graph->frame_capacity;
        gf__def_frame *frames = gf__realloc(graph->frames, capacity * sizeof *frames);
        if (frames == NULL)
            return gf__error_nomem(err, "calls", capacity * sizeof *frames);
        graph->frames = frames;
        graph->frame_capacity = capacity;
    }
    frame.marks = gf__calloc(n + 1, sizeof *frame.marks);
    if (frame.marks == NULL)
        return gf__error_nomem(err, "nodes", n * sizeof *frame.marks);
    graph->n_marks += n;
    *out = graph->n_frames;
    graph->frames[graph->n_frames++] = frame;
    return GF_OK;
}

/* What function a node calls; NULL: it is no call. */
static gf__def_body *called_function(const gf__def_graph *graph, const GfTf__NodeDef *node)
{
    if (strcmp(node->op, "PartitionedCall") != 0 &&
        strcmp(node->op, "StatefulPartitionedCall") != 0)
        return find_function(graph, node->op); /* as TensorFlow 1 calls them */
    const GfTf__AttrValue *f = gf__def_attr(node, "f");
    return f != NULL && f->func != NULL ? find_function(graph, f->func->name) : NULL;
}

static gf_status enter(gf__def_graph *graph, gf__def_ref call, gf__def_body *body, size_t *out,
                       gf_error *err)
{
    graph->n_steps += graph->n_frames;
    for (size_t i = 1; i < graph->n_frames; i++) {
        if (graph->frames[i].parent == call.frame && graph->frames[i].caller == call.node) {
            *out = i;
            return GF_OK;
        }
    }
    if (body->names == NULL) {
        const gf_status st = index_body(body, err);
        if (st != GF_OK) {
            gf__error_prefix(err, "function \"%.100s\"", body->function->signature->name);
            return st;
        }
    }
    return add_frame(graph,
                     (gf__def_frame){.body = body,
                                     .parent = call.frame,
                                     .caller = call.node,
                                     .depth = graph->frames[call.frame].depth + 1},
                     out, err);
}

static bool restores(const gf__def_body *body)
{
    for (size_t i = 0; i < body->n_nodes; i++) {
        if (body->nodes[i]->op != NULL && strcmp(body->nodes[i]->op, "RestoreV2") == 0)
            return true;
    }
    return false;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* What restores variables from the bundle: AssignVariableOp(variable, RestoreV2(prefix,
 * names)[k]). */
static gf_status note_restored(gf__def_graph *graph, gf__def_ref assign, gf_error *err)
{
    gf__def_ref variable = {0}, value = {0}, names = {0};
    gf_status st = gf__def_input(graph, assign, 0, &variable, err);
    if (st == GF_OK)
        st = gf__def_input(graph, assign, 1, &value, err);
    if (st != GF_OK || variable.frame != 0 || !gf__def_is_op(graph, value, "RestoreV2"))
        return st;
    st = gf__def_input(graph, value, 1, &names, err);
    if (st != GF_OK || !gf__def_is_op(graph, names, "Const"))
        return st;
    const GfTf__AttrValue *list = gf__def_attr(gf__def_node_at(graph, names), "value");
    const GfTf__Tensor *texts = list != NULL ? list->tensor : NULL;
    if (texts == NULL || value.output >= texts->n_string_val ||
        texts->string_val[value.output].len > MAX_KEY_BYTES)
        return GF_OK; /* who needs the variable says that it has no name */
    const ProtobufCBinaryData *text = &texts->string_val[value.output];
    gf__free((void *)graph->keys[variable.node]);
    graph->keys[variable.node] = gf__strndup((const char *)text->data, text->len);
    return graph->keys[variable.node] != NULL ? GF_OK : gf__error_nomem(err, "a name", text->len);
}

static gf_status note_variables(gf__def_graph *graph, size_t frame, gf_error *err)
{
    gf_status st = GF_OK;
    const gf__def_body *body = graph->frames[frame].body;
    for (size_t i = 0; i < body->n_nodes && st == GF_OK; i++) {
        const char *op = body->nodes[i]->op;
        if (strcmp(op, "AssignVariableOp") == 0 || strcmp(op, "Assign") == 0)
            st = note_restored(graph, (gf__def_ref){.frame = frame, .node = i}, err);
    }
    return st;
}

static gf_status find_variables(gf__def_graph *graph, gf_error *err)
{
    graph->keys = gf__calloc(graph->main.n_nodes + 1, sizeof *graph->keys);
    if (graph->keys == NULL)
        return gf__error_nomem(err, "variables", graph->main.n_nodes * sizeof *graph->keys);
    gf_status st = restores(&graph->main) ? note_variables(graph, 0, err) : GF_OK;
    for (size_t i = 0; i < graph->main.n_nodes && st == GF_OK; i++) {
        gf__def_body *body = called_function(graph, graph->main.nodes[i]);
        size_t frame;
        if (body == NULL || !body->restores)
            continue;
        st = enter(graph, (gf__def_ref){.node = i}, body, &frame, err);
        if (st == GF_OK)
            st = note_variables(graph, frame, err);
    }
    return st;
}

gf_status gf__def_graph_open(const GfTf__GraphDef *def, gf__tensor_bundle *bundle,
                             gf__def_graph *out, gf_error *err)
{
    size_t frame;
    const GfTf__FunctionDefLibrary *library = def->library;
    *out = (gf__def_graph){.main = {.nodes = def->node, .n_nodes = def->n_node}, .bundle = bundle};
    gf_status st = index_body(&out->main, err);
    if (st != GF_OK)
        goto done;
    out->functions = gf__calloc(library != NULL ? library->n_function + 1 : 1,
                                sizeof *out->functions);
    if (out->functions == NULL) {
        st = gf__error_nomem(err, "functions", sizeof *out->functions);
        goto done;
    }
    for (; library != NULL && out->n_functions < library->n_function; out->n_functions++) {
        const GfTf__FunctionDef *function = library->function[out->n_functions];
        out->functions[out->n_functions] = (gf__def_body){
            .nodes = function->node_def, .n_nodes = function->n_node_def, .function = function};
        out->functions[out->n_functions].restores = restores(&out->functions[out->n_functions]);
    }
    st = index_functions(out, err);
    if (st == GF_OK)
        st = add_frame(out, (gf__def_frame){.body = &out->main}, &frame, err);
    if (st == GF_OK && bundle != NULL)
        st = find_variables(out, err);
done:
    if (st != GF_OK)
        gf__def_graph_close(out);
    return st;
}

void gf__def_graph_close(gf__def_graph *graph)
{
    for (size_t i = 0; i < graph->n_frames; i++)
        gf__free(graph->frames[i].marks);
    for (size_t i = 0; i < graph->n_functions; i++)
        gf__free(graph->functions[i].names);
    for (size_t i = 0; graph->keys != NULL && i < graph->main.n_nodes; i++)
        gf__free((void *)graph->keys[i]);
    gf__free(graph->keys);
    gf__free(graph->frames);
    gf__free(graph->functions);
    gf__free(graph->names);
    gf__free(graph->main.names);
    *graph = (gf__def_graph){0};
}

/* ---- references ------------------------------------------------------------------------------ */

const GfTf__NodeDef *gf__def_node_at(const gf__def_graph *graph, gf__def_ref ref)
{
    return graph->frames[ref.frame].body->nodes[ref.node];
}

bool gf__def_is_op(const gf__def_graph *graph, gf__def_ref ref, const char *op)
{
    return strcmp(gf__def_node_at(graph, ref)->op, op) == 0;
}

size_t gf__def_n_inputs(const GfTf__NodeDef *node)
{
    size_t n = node->n_input;
    while (n > 0 && node->input[n - 1][0] == '^')
        n--;
    return n;
}

size_t gf__def_index_of(const gf__def_graph *graph, const char *input)
{
    return find_node(&graph->main, input, strcspn(input, ":"));
}

/* A name on its way: in which frame, and what it says. */
typedef struct place {
    size_t frame;
    const char *name;
} place;

static size_t find_argument(const GfTf__FunctionDef *function, const char *name, size_t n_chars)
{
    const GfTf__OpDef *signature = function->signature;
    size_t i = 0;
    while (i < signature->n_input_arg && (signature->input_arg[i]->name == NULL ||
                                          !is_name(signature->input_arg[i]->name, name, n_chars)))
        i++;
    return i;
}

/* The number of outputs where there is none of that name, as of an argument. */
static size_t find_output(const GfTf__OpDef *signature, const char *name, size_t n_chars)
{
    size_t i = 0;
    while (i < signature->n_output_arg && (signature->output_arg[i]->name == NULL ||
                                           !is_name(signature->output_arg[i]->name, name, n_chars)))
        i++;
    return i;
}

/* Splits "name:output:1" or "name:1". The outputs of an operator that has several names for them
 * are not told apart by number; the only one of use is the batch normalization's, and the first. */
static gf_status find_direct(gf__def_graph *graph, place at, gf__def_ref *out, gf_error *err)
{
    const gf__def_body *body = graph->frames[at.frame].body;
    const size_t n_name = strcspn(at.name, ":");
    const char *colon = strrchr(at.name, ':');
    const size_t i = find_node(body, at.name, n_name);
    *out = (gf__def_ref){.frame = at.frame, .node = i};
    if (i == body->n_nodes)
        return gf_error_set(err, GF_EFORMAT, "there is no node \"%.*s\", which another needs",
                            (int)(n_name < 100 ? n_name : 100), at.name);
    if (colon == NULL)
        return GF_OK;
    const char *output = at.name + n_name + 1;
    if (strncmp(body->nodes[i]->op, "FusedBatchNorm", 14) == 0 && colon > output &&
        strncmp(output, "y:", 2) != 0)
        return gf_error_set(err, GF_EUNSUPPORTED, "\"%.120s\" is needed, which graft does not make",
                            at.name);
    out->output = strtoul(colon + 1, NULL, 10);
    const gf__def_body *called = colon > output ? find_function(graph, body->nodes[i]->op) : NULL;
    if (called != NULL) /* whose outputs have names of their own */
        out->output += find_output(called->function->signature, output, (size_t)(colon - output));
    return GF_OK;
}

/* Input i of the node that a frame's call is. */
static gf_status go_to_caller(gf__def_graph *graph, place *at, size_t argument, gf_error *err)
{
    const gf__def_frame *frame = &graph->frames[at->frame];
    const GfTf__NodeDef *caller = graph->frames[frame->parent].body->nodes[frame->caller];
    if (argument >= gf__def_n_inputs(caller))
        return gf_error_set(err, GF_EFORMAT, "node \"%.100s\" calls a function with too few inputs",
                            caller->name);
    *at = (place){.frame = frame->parent, .name = caller->input[argument]};
    return GF_OK;
}

/* Output ref.output of the function that is called. */
static gf_status go_into_call(gf__def_graph *graph, gf__def_ref ref, gf__def_body *body, place *at,
                              gf_error *err)
{
    const GfTf__FunctionDef *function = body->function;
    const GfTf__OpDef *signature = function->signature;
    const char *name = ref.output < signature->n_output_arg
                           ? signature->output_arg[ref.output]->name
                           : NULL;
    const gf_status st = enter(graph, ref, body, &at->frame, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; name != NULL && i < function->n_ret; i++) {
        const GfTf__StringEntry *ret = function->ret[i];
        if (ret->key != NULL && strcmp(ret->key, name) == 0 && is_good_name(ret->value)) {
            at->name = ret->value;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EFORMAT, "function \"%.100s\" has no output %zu", signature->name,
                        ref.output);
}

/* What gives on its first input, where nothing is trained. */
static bool passes_on(const char *op)
{
    static const char *const ops[] = {"Identity",      "StopGradient",  "PreventGradient",
                                      "Snapshot",      "CheckNumerics", "EnsureShape",
                                      "ReadVariableOp"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (strcmp(ops[i], op) == 0)
            return true;
    }
    return false;
}

gf_status gf__def_find(gf__def_graph *graph, size_t frame, const char *name, gf__def_ref *out,
                       gf_error *err)
{
    place at = {.frame = frame, .name = name};
    gf__def_ref found = {0};
    gf_status st = GF_OK;
    for (size_t n = 0; n < MAX_STEPS && st == GF_OK; n++) {
        if (++graph->n_steps > MAX_ALL_STEPS)
            return gf_error_set(err, GF_ELIMIT, "has too many references to follow");
        const gf__def_body *body = graph->frames[at.frame].body;
        if (body->function != NULL && strchr(at.name, ':') == NULL) {
            const size_t argument = find_argument(body->function, at.name, strlen(at.name));
            graph->n_steps += argument;
            if (argument < body->function->signature->n_input_arg) {
                st = go_to_caller(graph, &at, argument, err);
                continue;
            }
        }
        st = find_direct(graph, at, &found, err);
        if (st != GF_OK)
            return st;
        const GfTf__NodeDef *node = gf__def_node_at(graph, found);
        gf__def_body *called = called_function(graph, node);
        const bool is_many = strcmp(node->op, "IdentityN") == 0;
        const size_t input = is_many ? found.output : 0;
        if (called != NULL) {
            st = go_into_call(graph, found, called, &at, err);
        } else if (!is_many && !passes_on(node->op)) {
            *out = found; /* only then: callers go on with what they had */
            return GF_OK;
        } else if (input < gf__def_n_inputs(node)) {
            at.name = node->input[input];
        } else {
            st = gf_error_set(err, GF_EFORMAT, "node \"%.100s\" (%.40s) has no input %zu",
                              node->name, node->op, input);
        }
    }
    if (st != GF_OK)
        return st;
    return gf_error_set(err, GF_EFORMAT, "\"%.100s\" is computed from itself (a cycle)", name);
}

gf_status gf__def_input(gf__def_graph *graph, gf__def_ref ref, size_t i, gf__def_ref *out,
                        gf_error *err)
{
    const GfTf__NodeDef *node = gf__def_node_at(graph, ref);
    if (i >= gf__def_n_inputs(node))
        return gf_error_set(err, GF_EFORMAT, "node \"%.100s\" (%.40s) has no input %zu", node->name,
                            node->op, i);
    return gf__def_find(graph, ref.frame, node->input[i], out, err);
}
