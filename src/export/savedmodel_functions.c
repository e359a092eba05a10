/* export/savedmodel_functions.c: tables of rows become TensorFlow functions: each name of an input is found,
 * each literal becomes a constant. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "export/savedmodel_priv.h"

typedef struct body {
    gf__tf_scope scope;
    GfTf__FunctionDef *function;
    const gf__tf_number *numbers;
    size_t n_numbers;
} body;

/* ---- constants ------------------------------------------------------------------------------- */

/* Where values of the type go; any other but these is an int_val. */
static void set_integers(gf__tf_scope *scope, GfTf__Tensor *tensor, const int64_t *values, size_t n)
{
    float *floats = gf__proto_new(scope->arena, n * sizeof *floats);
    int32_t *integers = gf__proto_new(scope->arena, n * sizeof *integers);
    protobuf_c_boolean *truths = gf__proto_new(scope->arena, n * sizeof *truths);
    int64_t *longs = gf__proto_new(scope->arena, n * sizeof *longs);
    if (tensor == NULL || scope->arena->is_out_of_memory)
        return;
    for (size_t i = 0; i < n; i++) {
        floats[i] = (float)values[i];
        integers[i] = (int32_t)values[i];
        truths[i] = values[i] != 0;
        longs[i] = values[i];
    }
    switch (tensor->dtype) {
    case GF__TF_FLOAT:
        tensor->float_val = floats;
        tensor->n_float_val = n;
        break;
    case GF__TF_BOOL:
        tensor->bool_val = truths;
        tensor->n_bool_val = n;
        break;
    case GF__TF_INT64:
        tensor->int64_val = longs;
        tensor->n_int64_val = n;
        break;
    default:
        tensor->int_val = integers;
        tensor->n_int_val = n;
    }
}

/* 4, int64:4, [1,2], uint8[1,2], [[1],[2]]: without a type int32. */
static void add_literal(gf__tf_scope *scope, const char *name, const char *text)
{
    enum { MOST = 64 };
    int64_t values[MOST];
    size_t n = 0, n_rows = 0;
    const char *start = *text >= 'a' ? text + strcspn(text, "[:") : text;
    const char *type = start == text
                           ? "int32"
                           : gf__proto_text(scope->arena, "%.*s", (int)(start - text), text);
    const size_t n_dims = *start != '[' ? 0 : start[1] != '[' ? 1 : 2;
    for (const char *at = start; *at != '\0';) {
        n_rows += *at == '[';
        if (*at == '-' || (*at >= '0' && *at <= '9')) {
            char *end = NULL;
            assert(n < MOST);
            values[n++] = strtoll(at, &end, 10);
            at = end;
        } else {
            at++;
        }
    }
    const size_t n_columns = n_dims == 2 ? n / (n_rows - 1) : n;
    const size_t shape[2] = {n_dims == 2 ? n_rows - 1 : n_columns, n_columns};
    set_integers(scope, gf__tf_constant(scope, name, type, shape, n_dims), values, n);
}

static void add_number(gf__tf_scope *scope, const gf__tf_number *number)
{
    float *value = gf__proto_new(scope->arena, sizeof *value);
    if (number->n_integers > 0) {
        gf__tf_numbers(scope, number->name + 1, number->integers, &number->n_integers,
                       number->n_integers > 1);
    } else if (value != NULL) {
        *value = number->value;
        gf__tf_floats(scope, number->name + 1, value, NULL, 0);
    }
}

/* ---- inputs ---------------------------------------------------------------------------------- */

static const GfTf__NodeDef *find_node(const gf__tf_scope *scope, const char *name)
{
    for (size_t i = 0; i < scope->n_nodes; i++)
        if (strcmp(scope->nodes[i]->name, name) == 0)
            return scope->nodes[i];
    return NULL;
}

static bool is_argument(const GfTf__FunctionDef *function, const char *name)
{
    for (size_t i = 0; i < function->signature->n_input_arg; i++)
        if (strcmp(function->signature->input_arg[i]->name, name) == 0)
            return true;
    return false;
}

static bool is_literal(const char *word)
{
    return strchr("-[0123456789", *word) != NULL || strpbrk(word, "[:") != NULL;
}

/* A row's word as TensorFlow wants it: NODE:OUTPUT:INDEX, or an argument's name. */
static const char *resolve(body *b, const char *word)
{
    gf__proto_arena *arena = b->scope.arena;
    if (*word == '^' || is_argument(b->function, word))
        return word;
    if (is_literal(word)) {
        const char *name = gf__proto_text(arena, "constant_%zu", b->scope.n_nodes);
        add_literal(&b->scope, name, word);
        return gf__proto_text(arena, "%s:output:0", name);
    }
    if (*word == '$') {
        for (size_t i = 0; i < b->n_numbers; i++)
            if (strcmp(b->numbers[i].name, word) == 0 && find_node(&b->scope, word + 1) == NULL)
                add_number(&b->scope, &b->numbers[i]);
        word++;
    }
    const char *dot = strchr(word, '.');
    const char *name = dot == NULL ? word : gf__proto_text(arena, "%.*s", (int)(dot - word), word);
    const GfTf__NodeDef *node = find_node(&b->scope, name);
    assert(node != NULL || arena->is_out_of_memory);
    return node == NULL ? ""
                        : gf__proto_text(arena, "%s:%s:%s", name, gf__tf_output_name(node->op),
                                         dot == NULL ? "0" : dot + 1);
}

/* ---- functions ------------------------------------------------------------------------------- */

static size_t count_words(const char *text)
{
    size_t n = 0;
    for (const char *c = text; *c != '\0'; c++)
        n += *c != ' ' && (c == text || c[-1] == ' ');
    return n;
}

/* The next of words with single spaces between, copied; NULL behind the last. */
static const char *take_word(gf__proto_arena *arena, const char **text)
{
    const size_t n = strcspn(*text, " ");
    if (n == 0)
        return NULL;
    const char *word = gf__proto_text(arena, "%.*s", (int)n, *text);
    *text += n + ((*text)[n] == ' ');
    return word;
}

/* "name:type name:type=ROW" -> arguments; the words stay whole for whoever wants what is behind. */
static GfTf__ArgDef **new_arguments(gf__proto_arena *arena, const char *text)
{
    const size_t n = count_words(text);
    GfTf__ArgDef **list = gf__proto_new(arena, n * sizeof *list);
    for (size_t i = 0; list != NULL && i < n; i++) {
        const char *word = take_word(arena, &text);
        const size_t n_name = strcspn(word, ":");
        list[i] = gf__proto_new(arena, sizeof **list);
        if (list[i] == NULL || arena->is_out_of_memory)
            return NULL;
        gf_tf__arg_def__init(list[i]);
        list[i]->name = gf__proto_borrow(gf__proto_text(arena, "%.*s", (int)n_name, word));
        list[i]->has_type = true;
        list[i]->type = gf__tf_type(word + n_name + 1, strcspn(word + n_name + 1, "="));
    }
    return list;
}

static void add_row(body *b, const gf__tf_row *row)
{
    gf__proto_arena *arena = b->scope.arena;
    const char *rest = row->inputs, *inputs = "";
    if (strcmp(row->op, "Const") == 0) { /* a text: nothing else is not a literal */
        gf__tf_string(&b->scope, row->name, row->inputs);
        return;
    }
    while (*rest != '\0' && !arena->is_out_of_memory) {
        const char *word = resolve(b, take_word(arena, &rest));
        inputs = *inputs == '\0' ? word : gf__proto_text(arena, "%s %s", inputs, word);
    }
    gf__tf_node(&b->scope, row->name, row->op, inputs, row->settings);
}

static void add_results(body *b, const char *text)
{
    gf__proto_arena *arena = b->scope.arena;
    const size_t n = count_words(text);
    GfTf__StringEntry **list = gf__proto_new(arena, n * sizeof *list);
    for (size_t i = 0; list != NULL && i < n; i++) {
        const char *word = take_word(arena, &text);
        list[i] = gf__proto_new(arena, sizeof **list);
        if (list[i] == NULL || arena->is_out_of_memory)
            return;
        gf_tf__string_entry__init(list[i]);
        list[i]->key = b->function->signature->output_arg[i]->name;
        list[i]->value = gf__proto_borrow(resolve(b, strchr(word, '=') + 1));
    }
    b->function->ret = list;
    b->function->n_ret = n;
}

void gf__tf_add_function(gf__tf *tf, const gf__tf_function *function, const gf__tf_number *numbers,
                         size_t n_numbers)
{
    struct {
        GfTf__FunctionDef function;
        GfTf__OpDef signature;
    } *made = gf__proto_new(&tf->arena, sizeof *made);
    GfTf__ArgDef **arguments = new_arguments(&tf->arena, function->arguments);
    GfTf__ArgDef **results = new_arguments(&tf->arena, function->results);
    if (made == NULL || arguments == NULL || results == NULL ||
        !gf__proto_grow(&tf->arena, &tf->library.function, tf->library.n_function,
                        &tf->library_capacity))
        return;
    gf_tf__function_def__init(&made->function);
    gf_tf__op_def__init(&made->signature);
    made->function.signature = &made->signature;
    made->signature.name = gf__proto_borrow(function->name);
    made->signature.input_arg = arguments;
    made->signature.n_input_arg = count_words(function->arguments);
    made->signature.output_arg = results;
    made->signature.n_output_arg = count_words(function->results);
    body b = {{.arena = &tf->arena}, &made->function, numbers, n_numbers};
    for (size_t i = 0; i < function->n_rows && !tf->arena.is_out_of_memory; i++)
        add_row(&b, &function->rows[i]);
    if (!tf->arena.is_out_of_memory)
        add_results(&b, function->results);
    made->function.node_def = b.scope.nodes;
    made->function.n_node_def = b.scope.n_nodes;
    tf->library.function[tf->library.n_function++] = &made->function;
}
