/* zoo/pickle.c: the machine that a pickle runs on, protocols 2 to 5 (PEP 307, PEP 3154; instructions as
 * CPython's pickletools documents them). A stack, a memo, and a table of instructions; what is not in the
 * table is refused. Lists that contain themselves can be made and do no harm: nothing here recurses. */
#include <stdio.h>
#include <string.h>

#include "zoo/torch_priv.h"

#define MAX_STACK       (1u << 20)
#define MAX_MEMO        (1u << 20)
#define MAX_BLOCK_BYTES ((size_t)256 << 20) /* of all values together */

struct gf__pickle_block {
    struct gf__pickle_block *next;
    _Alignas(16) uint8_t bytes[];
};

typedef struct machine {
    gf__pickle *pickle;
    const uint8_t *bytes;
    size_t n_bytes, at;
    gf__pickle_value **stack; /* a mark is NULL */
    size_t n_stack, stack_capacity;
    gf__pickle_value **memo;
    size_t n_memo, n_put;
    gf_error *err;
    gf_status st; /* the first failure; instructions stop then */
} machine;

/* ---- values ---------------------------------------------------------------------------------- */

static void fail(machine *m, gf_status st, const char *what)
{
    if (m->st == GF_OK)
        m->st = gf_error_set(m->err, st, "pickle, byte %zu: %.200s", m->at, what);
}

static void *new_bytes(machine *m, size_t n_bytes)
{
    struct gf__pickle_block *block = NULL;
    if (m->st != GF_OK)
        return NULL;
    if (n_bytes > MAX_BLOCK_BYTES - m->pickle->n_block_bytes) {
        fail(m, GF_ELIMIT, "builds more than 256 MB of values");
        return NULL;
    }
    block = gf__calloc(1, sizeof *block + n_bytes);
    if (block == NULL) {
        m->st = gf__error_nomem(m->err, "a pickle's value", n_bytes);
        return NULL;
    }
    m->pickle->n_block_bytes += sizeof *block + n_bytes;
    block->next = m->pickle->blocks;
    m->pickle->blocks = block;
    return block->bytes;
}

static gf__pickle_value *new_value(machine *m, gf__pickle_kind kind)
{
    gf__pickle_value *value = new_bytes(m, sizeof *value);
    if (value != NULL)
        value->kind = kind;
    return value;
}

static gf__pickle_value *new_text(machine *m, gf__pickle_kind kind, const uint8_t *chars, size_t n)
{
    gf__pickle_value *value = new_value(m, kind);
    char *copy = new_bytes(m, n + 1);
    if (copy == NULL)
        return NULL;
    if (n > 0)
        memcpy(copy, chars, n);
    value->text = copy;
    value->n_chars = n;
    return value;
}

static void add_item(machine *m, gf__pickle_value *list, gf__pickle_value *item)
{
    if (m->st == GF_OK && list->n_items == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 4 : 2 * list->capacity;
        gf__pickle_value **items = new_bytes(m, capacity * sizeof(gf__pickle_value *));
        if (items == NULL)
            return;
        if (list->n_items > 0)
            memcpy(items, list->items, list->n_items * sizeof(gf__pickle_value *));
        list->items = items;
        list->capacity = capacity;
    }
    if (m->st == GF_OK)
        list->items[list->n_items++] = item;
}

const gf__pickle_value *gf__pickle_find(const gf__pickle_value *dict, const char *key)
{
    if (dict == NULL || dict->kind != GF__PICKLE_DICT)
        return NULL;
    for (size_t i = 0; i + 1 < dict->n_items; i += 2)
        if (dict->items[i]->kind == GF__PICKLE_TEXT && strcmp(dict->items[i]->text, key) == 0)
            return dict->items[i + 1];
    return NULL;
}

/* ---- the stack ------------------------------------------------------------------------------- */

static void push_or_mark(machine *m, gf__pickle_value *value)
{
    if (m->st == GF_OK && m->n_stack == m->stack_capacity) {
        const size_t capacity = m->stack_capacity == 0 ? 256 : 2 * m->stack_capacity;
        if (capacity > MAX_STACK) {
            fail(m, GF_ELIMIT, "the stack is full");
            return;
        }
        gf__pickle_value **stack = gf__realloc(m->stack, capacity * sizeof(gf__pickle_value *));
        if (stack == NULL) {
            m->st = gf__error_nomem(m->err, "a pickle's stack", capacity);
            return;
        }
        m->stack = stack;
        m->stack_capacity = capacity;
    }
    if (m->st == GF_OK)
        m->stack[m->n_stack++] = value;
}

static void push(machine *m, gf__pickle_value *value)
{
    if (value != NULL)
        push_or_mark(m, value);
}

/* NULL after a failure only: a mark is none of the values that instructions ask for. */
static gf__pickle_value *pop(machine *m)
{
    if (m->st == GF_OK && (m->n_stack == 0 || m->stack[m->n_stack - 1] == NULL))
        fail(m, GF_EFORMAT, "takes from an empty stack");
    return m->st == GF_OK ? m->stack[--m->n_stack] : NULL;
}

static gf__pickle_value *top(machine *m, gf__pickle_kind kind, const char *what)
{
    if (m->st == GF_OK && (m->n_stack == 0 || m->stack[m->n_stack - 1] == NULL ||
                           m->stack[m->n_stack - 1]->kind != kind))
        fail(m, GF_EFORMAT, what);
    return m->st == GF_OK ? m->stack[m->n_stack - 1] : NULL;
}

/* The index behind the last mark; what lies there are the items. */
static size_t first_marked(machine *m)
{
    size_t i = m->n_stack;
    while (i > 0 && m->stack[i - 1] != NULL)
        i--;
    if (i == 0)
        fail(m, GF_EFORMAT, "has no mark on the stack");
    return i;
}

static gf__pickle_value *pop_items(machine *m, gf__pickle_kind kind, size_t first)
{
    gf__pickle_value *value = new_value(m, kind);
    for (size_t i = first; m->st == GF_OK && i < m->n_stack; i++) {
        if (m->stack[i] == NULL)
            fail(m, GF_EFORMAT, "takes a mark for a value");
        else
            add_item(m, value, m->stack[i]);
    }
    return value;
}

static void push_tuple(machine *m, size_t n)
{
    if (m->st == GF_OK && m->n_stack < n)
        fail(m, GF_EFORMAT, "takes from an empty stack");
    if (m->st != GF_OK)
        return;
    gf__pickle_value *tuple = pop_items(m, GF__PICKLE_TUPLE, m->n_stack - n);
    m->n_stack -= n;
    push(m, tuple);
}

static void push_marked(machine *m, gf__pickle_kind kind)
{
    const size_t first = first_marked(m);
    if (m->st != GF_OK)
        return;
    gf__pickle_value *value = pop_items(m, kind, first);
    m->n_stack = first - 1;
    push(m, value);
}

/* Items behind the mark go into the container below it. */
static void append_marked(machine *m, gf__pickle_kind kind)
{
    const size_t first = first_marked(m);
    if (m->st != GF_OK)
        return;
    const size_t n = m->n_stack - first;
    gf__pickle_value **items = m->stack + first;
    m->n_stack = first - 1;
    gf__pickle_value *into = top(m, kind, "fills what is no list or dict");
    if (kind == GF__PICKLE_DICT && n % 2 != 0)
        fail(m, GF_EFORMAT, "has a key without a value");
    for (size_t i = 0; m->st == GF_OK && i < n; i++)
        add_item(m, into, items[i]);
}

static void append_one(machine *m, gf__pickle_kind kind, size_t n)
{
    gf__pickle_value *last = pop(m), *before = n == 2 ? pop(m) : NULL;
    gf__pickle_value *into = top(m, kind, "fills what is no list or dict");
    if (into == NULL)
        return;
    if (before != NULL)
        add_item(m, into, before);
    add_item(m, into, last);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    gf_dtype dtype;
} storages[] = {
    {"torch.FloatStorage", GF_DTYPE_F32},  {"torch.HalfStorage", GF_DTYPE_F16},
    {"torch.DoubleStorage", GF_DTYPE_F64}, {"torch.BFloat16Storage", GF_DTYPE_BF16},
    {"torch.LongStorage", GF_DTYPE_I64},   {"torch.IntStorage", GF_DTYPE_I32},
    {"torch.ShortStorage", GF_DTYPE_I16},  {"torch.CharStorage", GF_DTYPE_I8},
    {"torch.ByteStorage", GF_DTYPE_U8},    {"torch.BoolStorage", GF_DTYPE_BOOL},
};
#define N_STORAGES (sizeof storages / sizeof *storages)

static const char *const functions[] = {"collections.OrderedDict",
                                        "torch._utils._rebuild_tensor_v2",
                                        "torch._utils._rebuild_parameter", "torch.Size"};

static bool is_name_known(const char *name)
{
    for (size_t i = 0; i < N_STORAGES; i++)
        if (strcmp(name, storages[i].name) == 0)
            return true;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(name, functions[i]) == 0)
            return true;
    return false;
}

static void push_name(machine *m, const char *module, size_t n_module, const char *name,
                      size_t n_name)
{
    char text[128];
    snprintf(text, sizeof text, "%.*s.%.*s", n_module > 80 ? 80 : (int)n_module, module,
             n_name > 40 ? 40 : (int)n_name, name);
    if (is_name_known(text)) {
        push(m, new_text(m, GF__PICKLE_NAME, (const uint8_t *)text, strlen(text)));
        return;
    }
    char message[224];
    snprintf(message, sizeof message,
             "wants %s; only tensors are built from a checkpoint: save model.state_dict()", text);
    fail(m, GF_EUNSUPPORTED, message);
}

/* A tuple of whole numbers that are sizes; *n of them. */
static void read_sizes(machine *m, const gf__pickle_value *tuple, size_t *out, size_t *n)
{
    if (tuple->kind != GF__PICKLE_TUPLE || tuple->n_items > GF_TENSOR_MAX_DIMS) {
        fail(m, GF_EFORMAT, "a tensor's shape is no tuple of at most 8 numbers");
        return;
    }
    for (size_t i = 0; i < tuple->n_items; i++) {
        const gf__pickle_value *item = tuple->items[i];
        if (item->kind != GF__PICKLE_INTEGER || item->integer < 0 || item->integer > INT64_MAX / 16)
            fail(m, GF_EFORMAT, "a tensor's shape has an item that is no size");
        else
            out[i] = (size_t)item->integer;
    }
    *n = tuple->n_items;
}

/* (storage, offset, size, stride, requires_grad, backward_hooks) */
static gf__pickle_value *rebuild_tensor(machine *m, const gf__pickle_value *args)
{
    size_t n_strides = 0;
    if (args->n_items < 4 || args->items[0]->kind != GF__PICKLE_STORAGE ||
        args->items[1]->kind != GF__PICKLE_INTEGER || args->items[1]->integer < 0) {
        fail(m, GF_EFORMAT, "a tensor without a storage and an offset");
        return NULL;
    }
    gf__pickle_value *tensor = new_value(m, GF__PICKLE_TENSOR);
    if (tensor == NULL)
        return NULL;
    tensor->storage = args->items[0];
    tensor->offset = (size_t)args->items[1]->integer;
    read_sizes(m, args->items[2], tensor->shape, &tensor->n_dims);
    if (m->st == GF_OK)
        read_sizes(m, args->items[3], tensor->strides, &n_strides);
    if (m->st == GF_OK && n_strides != tensor->n_dims)
        fail(m, GF_EFORMAT, "a tensor with another number of strides than dimensions");
    return tensor;
}

static void call(machine *m)
{
    gf__pickle_value *args = pop(m), *function = pop(m);
    if (m->st != GF_OK)
        return;
    if (function->kind != GF__PICKLE_NAME || args->kind != GF__PICKLE_TUPLE) {
        fail(m, GF_EUNSUPPORTED, "calls what is not one of the functions that build tensors");
        return;
    }
    if (strcmp(function->text, "collections.OrderedDict") == 0 && args->n_items == 0)
        push(m, new_value(m, GF__PICKLE_DICT));
    else if (strcmp(function->text, "torch._utils._rebuild_tensor_v2") == 0)
        push(m, rebuild_tensor(m, args));
    else if (strcmp(function->text, "torch._utils._rebuild_parameter") == 0 && args->n_items > 0)
        push(m, args->items[0]);
    else if (strcmp(function->text, "torch.Size") == 0 && args->n_items == 1)
        push(m, args->items[0]);
    else
        fail(m, GF_EUNSUPPORTED, "calls a function with arguments that build no tensor");
}

/* ("storage", torch.FloatStorage, key, location, n_values ...) */
static void load_storage(machine *m)
{
    const gf__pickle_value *id = pop(m);
    if (id == NULL)
        return;
    if (id->kind != GF__PICKLE_TUPLE || id->n_items < 5 || id->items[0]->kind != GF__PICKLE_TEXT ||
        strcmp(id->items[0]->text, "storage") != 0 || id->items[1]->kind != GF__PICKLE_NAME ||
        id->items[2]->kind != GF__PICKLE_TEXT || id->items[4]->kind != GF__PICKLE_INTEGER) {
        fail(m, GF_EFORMAT, "a persistent id that is no tensor's storage");
        return;
    }
    for (size_t i = 0; i < N_STORAGES; i++) {
        if (strcmp(id->items[1]->text, storages[i].name) != 0)
            continue;
        gf__pickle_value *storage = new_value(m, GF__PICKLE_STORAGE);
        if (storage == NULL)
            return;
        storage->text = id->items[2]->text;
        storage->n_chars = id->items[2]->n_chars;
        storage->dtype = storages[i].dtype;
        storage->integer = id->items[4]->integer;
        push(m, storage);
        return;
    }
    fail(m, GF_EUNSUPPORTED, "a storage of another type than numbers");
}

/* Attributes of a dict (its _metadata) are nothing that weights need. */
static void build(machine *m)
{
    (void)pop(m);
    (void)top(m, GF__PICKLE_DICT, "sets attributes of what is no dict");
}

/* ---- reading --------------------------------------------------------------------------------- */

static const uint8_t *take(machine *m, size_t n)
{
    if (m->st == GF_OK && n > m->n_bytes - m->at)
        fail(m, GF_EFORMAT, "ends in the middle of an instruction");
    if (m->st != GF_OK)
        return NULL;
    m->at += n;
    return m->bytes + m->at - n;
}

static uint64_t take_number(machine *m, size_t n_bytes)
{
    const uint8_t *bytes = take(m, n_bytes);
    uint64_t number = 0;
    for (size_t i = n_bytes; bytes != NULL && i-- > 0;)
        number = number << 8 | bytes[i];
    return number;
}

static void push_integer(machine *m, int64_t integer)
{
    gf__pickle_value *value = new_value(m, GF__PICKLE_INTEGER);
    if (value == NULL)
        return;
    value->integer = integer;
    push(m, value);
}

/* LONG1: two's complement, little-endian, any number of bytes; those above 64 bits must say nothing
 * new (the magic number of old files is 80 bits, and is compared by its bytes). */
static void push_long(machine *m)
{
    const size_t n = (size_t)take_number(m, 1);
    const uint8_t *bytes = take(m, n);
    uint64_t number = bytes != NULL && n > 0 && bytes[n - 1] >= 0x80 ? UINT64_MAX : 0;
    if (bytes == NULL)
        return;
    for (size_t i = n < 8 ? n : 8; i-- > 0;)
        number = number << 8 | bytes[i];
    push_integer(m, (int64_t)number);
}

static void push_real(machine *m)
{
    const uint8_t *bytes = take(m, 8);
    uint64_t bits = 0;
    gf__pickle_value *value = new_value(m, GF__PICKLE_REAL);
    if (bytes == NULL || value == NULL)
        return;
    for (size_t i = 0; i < 8; i++) /* big-endian */
        bits = bits << 8 | bytes[i];
    memcpy(&value->real, &bits, sizeof bits);
    push(m, value);
}

static void push_text(machine *m, size_t n_size_bytes)
{
    const uint64_t n = take_number(m, n_size_bytes);
    if (n > m->n_bytes)
        fail(m, GF_EFORMAT, "a text longer than the file");
    const uint8_t *chars = take(m, (size_t)n);
    if (chars != NULL)
        push(m, new_text(m, GF__PICKLE_TEXT, chars, (size_t)n));
}

/* GLOBAL: two lines, module and name. */
static void push_global(machine *m)
{
    const char *lines[2];
    size_t n[2];
    for (size_t i = 0; i < 2; i++) {
        lines[i] = (const char *)m->bytes + m->at;
        const char *end = memchr(lines[i], '\n', m->n_bytes - m->at);
        if (end == NULL) {
            fail(m, GF_EFORMAT, "ends in the middle of a name");
            return;
        }
        n[i] = (size_t)(end - lines[i]);
        m->at += n[i] + 1;
    }
    push_name(m, lines[0], n[0], lines[1], n[1]);
}

static void push_stacked_global(machine *m)
{
    const gf__pickle_value *name = pop(m), *module = pop(m);
    if (m->st != GF_OK)
        return;
    if (name->kind != GF__PICKLE_TEXT || module->kind != GF__PICKLE_TEXT)
        fail(m, GF_EFORMAT, "a name that is no text");
    else
        push_name(m, module->text, module->n_chars, name->text, name->n_chars);
}

static void put(machine *m, uint64_t index)
{
    if (m->st == GF_OK && (m->n_stack == 0 || m->stack[m->n_stack - 1] == NULL))
        fail(m, GF_EFORMAT, "remembers what is not there");
    if (m->st == GF_OK && index >= MAX_MEMO)
        fail(m, GF_ELIMIT, "remembers too much");
    if (m->st != GF_OK)
        return;
    if (index >= m->n_memo) {
        const size_t n = (size_t)index + 1 + m->n_memo / 2;
        gf__pickle_value **memo = gf__realloc(m->memo, n * sizeof(gf__pickle_value *));
        if (memo == NULL) {
            m->st = gf__error_nomem(m->err, "a pickle's memo", n);
            return;
        }
        memset(memo + m->n_memo, 0, (n - m->n_memo) * sizeof(gf__pickle_value *));
        m->memo = memo;
        m->n_memo = n;
    }
    m->memo[index] = m->stack[m->n_stack - 1];
    m->n_put++;
}

static void get(machine *m, uint64_t index)
{
    if (m->st == GF_OK && (index >= m->n_memo || m->memo[index] == NULL))
        fail(m, GF_EFORMAT, "asks for what was never remembered");
    if (m->st == GF_OK)
        push(m, m->memo[index]);
}

/* ---- instructions ---------------------------------------------------------------------------- */

static void push_truth(machine *m, bool truth)
{
    gf__pickle_value *value = new_value(m, GF__PICKLE_BOOL);
    if (value == NULL)
        return;
    value->truth = truth;
    push(m, value);
}

static void run_container(machine *m, uint8_t code)
{
    switch (code) {
    case ')':
        push(m, new_value(m, GF__PICKLE_TUPLE));
        return;
    case ']':
        push(m, new_value(m, GF__PICKLE_LIST));
        return;
    case '}':
        push(m, new_value(m, GF__PICKLE_DICT));
        return;
    case 't':
        push_marked(m, GF__PICKLE_TUPLE);
        return;
    case 0x85:
        push_tuple(m, 1);
        return;
    case 0x86:
        push_tuple(m, 2);
        return;
    case 0x87:
        push_tuple(m, 3);
        return;
    case 'a':
        append_one(m, GF__PICKLE_LIST, 1);
        return;
    case 'e':
        append_marked(m, GF__PICKLE_LIST);
        return;
    case 's':
        append_one(m, GF__PICKLE_DICT, 2);
        return;
    case 'u':
        append_marked(m, GF__PICKLE_DICT);
        return;
    default: {
        char message[80];
        snprintf(message, sizeof message, "instruction 0x%02x has no place in a checkpoint", code);
        fail(m, GF_EUNSUPPORTED, message);
    }
    }
}

static void run_value(machine *m, uint8_t code)
{
    switch (code) {
    case 'N':
        push(m, new_value(m, GF__PICKLE_NONE));
        return;
    case 0x88:
        push_truth(m, true);
        return;
    case 0x89:
        push_truth(m, false);
        return;
    case 'K':
        push_integer(m, (int64_t)take_number(m, 1));
        return;
    case 'M':
        push_integer(m, (int64_t)take_number(m, 2));
        return;
    case 'J':
        push_integer(m, (int32_t)(uint32_t)take_number(m, 4));
        return;
    case 0x8a:
        push_long(m);
        return;
    case 'G':
        push_real(m);
        return;
    case 0x8c:
        push_text(m, 1);
        return;
    case 'X':
        push_text(m, 4);
        return;
    case 0x8d:
        push_text(m, 8);
        return;
    case 'c':
        push_global(m);
        return;
    case 0x93:
        push_stacked_global(m);
        return;
    case 'Q':
        load_storage(m);
        return;
    case 'R':
        call(m);
        return;
    case 'b':
        build(m);
        return;
    default:
        run_container(m, code);
        return;
    }
}

/* False at the end. */
static bool run_instruction(machine *m)
{
    const uint8_t *code = take(m, 1);
    if (code == NULL)
        return false;
    switch (*code) {
    case '.':
        return false;
    case 0x80: /* protocol */
        if (take_number(m, 1) > 5)
            fail(m, GF_EUNSUPPORTED, "a protocol above 5");
        break;
    case 0x95:
        (void)take(m, 8);
        break; /* a frame: only for reading ahead */
    case '(':
        push_or_mark(m, NULL);
        break;
    case '0':
        (void)pop(m);
        break;
    case '2':
        push(m, m->n_stack > 0 ? m->stack[m->n_stack - 1] : NULL);
        break;
    case 'q':
        put(m, take_number(m, 1));
        break;
    case 'r':
        put(m, take_number(m, 4));
        break;
    case 0x94:
        put(m, m->n_put);
        break;
    case 'h':
        get(m, take_number(m, 1));
        break;
    case 'j':
        get(m, take_number(m, 4));
        break;
    default:
        run_value(m, *code);
        break;
    }
    return m->st == GF_OK;
}

gf_status gf__pickle_run(const uint8_t *bytes, size_t n_bytes, gf__pickle *out, gf_error *err)
{
    machine m = {.pickle = out, .bytes = bytes, .n_bytes = n_bytes, .err = err};
    while (run_instruction(&m))
        continue;
    out->value = pop(&m);
    out->n_used = m.at;
    gf__free(m.stack);
    gf__free(m.memo);
    return m.st;
}

void gf__pickle_free(gf__pickle *pickle)
{
    while (pickle->blocks != NULL) {
        struct gf__pickle_block *next = pickle->blocks->next;
        gf__free(pickle->blocks);
        pickle->blocks = next;
    }
    *pickle = (gf__pickle){0};
}
