/* zoo/torch/pickle.c: the instructions of pickles, protocols 2 to 5 (PEP 307, PEP 3154; as CPython's pickletools
 * documents them): a table, and what is not in it is refused. */
#include <stdio.h>
#include <string.h>

#include "zoo/torch/pickle_priv.h"

#define MAX_MEMO (1u << 20)

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

static void push_name(gf__pickle_machine *m, const char *module, size_t n_module, const char *name,
                      size_t n_name)
{
    char text[128];
    snprintf(text, sizeof text, "%.*s.%.*s", n_module > 80 ? 80 : (int)n_module, module,
             n_name > 40 ? 40 : (int)n_name, name);
    if (is_name_known(text)) {
        gf__pickle_push(
            m, gf__pickle_new_text(m, GF__PICKLE_NAME, (const uint8_t *)text, strlen(text)));
        return;
    }
    char message[224];
    snprintf(message, sizeof message,
             "wants %s; only tensors are built from a checkpoint: save model.state_dict()", text);
    gf__pickle_fail(m, GF_EUNSUPPORTED, message);
}

/* A tuple of whole numbers that are sizes; *n of them. */
static void read_sizes(gf__pickle_machine *m, const gf__pickle_value *tuple, size_t *out, size_t *n)
{
    if (tuple->kind != GF__PICKLE_TUPLE || tuple->n_items > GF_TENSOR_MAX_DIMS) {
        gf__pickle_fail(m, GF_EFORMAT, "a tensor's shape is no tuple of at most 8 numbers");
        return;
    }
    for (size_t i = 0; i < tuple->n_items; i++) {
        const gf__pickle_value *item = tuple->items[i];
        if (item->kind != GF__PICKLE_INTEGER || item->integer < 0 || item->integer > INT64_MAX / 16)
            gf__pickle_fail(m, GF_EFORMAT, "a tensor's shape has an item that is no size");
        else
            out[i] = (size_t)item->integer;
    }
    *n = tuple->n_items;
}

/* (storage, offset, size, stride, requires_grad, backward_hooks) */
static gf__pickle_value *rebuild_tensor(gf__pickle_machine *m, const gf__pickle_value *args)
{
    size_t n_strides = 0;
    if (args->n_items < 4 || args->items[0]->kind != GF__PICKLE_STORAGE ||
        args->items[1]->kind != GF__PICKLE_INTEGER || args->items[1]->integer < 0) {
        gf__pickle_fail(m, GF_EFORMAT, "a tensor without a storage and an offset");
        return NULL;
    }
    gf__pickle_value *tensor = gf__pickle_new(m, GF__PICKLE_TENSOR);
    if (tensor == NULL)
        return NULL;
    tensor->storage = args->items[0];
    tensor->offset = (size_t)args->items[1]->integer;
    read_sizes(m, args->items[2], tensor->shape, &tensor->n_dims);
    if (m->st == GF_OK)
        read_sizes(m, args->items[3], tensor->strides, &n_strides);
    if (m->st == GF_OK && n_strides != tensor->n_dims)
        gf__pickle_fail(m, GF_EFORMAT, "a tensor with another number of strides than dimensions");
    return tensor;
}

static void call(gf__pickle_machine *m)
{
    gf__pickle_value *args = gf__pickle_pop(m), *function = gf__pickle_pop(m);
    if (m->st != GF_OK)
        return;
    if (function->kind != GF__PICKLE_NAME || args->kind != GF__PICKLE_TUPLE) {
        gf__pickle_fail(m, GF_EUNSUPPORTED,
                        "calls what is not one of the functions that build tensors");
        return;
    }
    if (strcmp(function->text, "collections.OrderedDict") == 0 && args->n_items == 0)
        gf__pickle_push(m, gf__pickle_new(m, GF__PICKLE_DICT));
    else if (strcmp(function->text, "torch._utils._rebuild_tensor_v2") == 0)
        gf__pickle_push(m, rebuild_tensor(m, args));
    else if (strcmp(function->text, "torch._utils._rebuild_parameter") == 0 && args->n_items > 0)
        gf__pickle_push(m, args->items[0]);
    else if (strcmp(function->text, "torch.Size") == 0 && args->n_items == 1)
        gf__pickle_push(m, args->items[0]);
    else
        gf__pickle_fail(m, GF_EUNSUPPORTED, "calls a function with arguments that build no tensor");
}

/* ("storage", torch.FloatStorage, key, location, n_values ...) */
static void load_storage(gf__pickle_machine *m)
{
    const gf__pickle_value *id = gf__pickle_pop(m);
    if (id == NULL)
        return;
    if (id->kind != GF__PICKLE_TUPLE || id->n_items < 5 || id->items[0]->kind != GF__PICKLE_TEXT ||
        strcmp(id->items[0]->text, "storage") != 0 || id->items[1]->kind != GF__PICKLE_NAME ||
        id->items[2]->kind != GF__PICKLE_TEXT || id->items[4]->kind != GF__PICKLE_INTEGER) {
        gf__pickle_fail(m, GF_EFORMAT, "a persistent id that is no tensor's storage");
        return;
    }
    for (size_t i = 0; i < N_STORAGES; i++) {
        if (strcmp(id->items[1]->text, storages[i].name) != 0)
            continue;
        gf__pickle_value *storage = gf__pickle_new(m, GF__PICKLE_STORAGE);
        if (storage == NULL)
            return;
        storage->text = id->items[2]->text;
        storage->n_chars = id->items[2]->n_chars;
        storage->dtype = storages[i].dtype;
        storage->integer = id->items[4]->integer;
        gf__pickle_push(m, storage);
        return;
    }
    gf__pickle_fail(m, GF_EUNSUPPORTED, "a storage of another type than numbers");
}

/* Attributes of a dict (its _metadata) are nothing that weights need. */
static void build(gf__pickle_machine *m)
{
    (void)gf__pickle_pop(m);
    (void)gf__pickle_top(m, GF__PICKLE_DICT, "sets attributes of what is no dict");
}

/* ---- reading --------------------------------------------------------------------------------- */

static const uint8_t *take(gf__pickle_machine *m, size_t n)
{
    if (m->st == GF_OK && n > m->n_bytes - m->at)
        gf__pickle_fail(m, GF_EFORMAT, "ends in the middle of an instruction");
    if (m->st != GF_OK)
        return NULL;
    m->at += n;
    return m->bytes + m->at - n;
}

static uint64_t take_number(gf__pickle_machine *m, size_t n_bytes)
{
    const uint8_t *bytes = take(m, n_bytes);
    uint64_t number = 0;
    for (size_t i = n_bytes; bytes != NULL && i-- > 0;)
        number = number << 8 | bytes[i];
    return number;
}

static void push_integer(gf__pickle_machine *m, int64_t integer)
{
    gf__pickle_value *value = gf__pickle_new(m, GF__PICKLE_INTEGER);
    if (value == NULL)
        return;
    value->integer = integer;
    gf__pickle_push(m, value);
}

/* LONG1: two's complement, little-endian, any number of bytes; those above 64 bits must say nothing
 * new (the magic number of old files is 80 bits, and is compared by its bytes). */
static void push_long(gf__pickle_machine *m)
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

static void push_real(gf__pickle_machine *m)
{
    const uint8_t *bytes = take(m, 8);
    uint64_t bits = 0;
    gf__pickle_value *value = gf__pickle_new(m, GF__PICKLE_REAL);
    if (bytes == NULL || value == NULL)
        return;
    for (size_t i = 0; i < 8; i++) /* big-endian */
        bits = bits << 8 | bytes[i];
    memcpy(&value->real, &bits, sizeof bits);
    gf__pickle_push(m, value);
}

static void push_text(gf__pickle_machine *m, size_t n_size_bytes)
{
    const uint64_t n = take_number(m, n_size_bytes);
    if (n > m->n_bytes)
        gf__pickle_fail(m, GF_EFORMAT, "a text longer than the file");
    const uint8_t *chars = take(m, (size_t)n);
    if (chars != NULL)
        gf__pickle_push(m, gf__pickle_new_text(m, GF__PICKLE_TEXT, chars, (size_t)n));
}

/* GLOBAL: two lines, module and name. */
static void push_global(gf__pickle_machine *m)
{
    const char *lines[2];
    size_t n[2];
    for (size_t i = 0; i < 2; i++) {
        lines[i] = (const char *)m->bytes + m->at;
        const char *end = memchr(lines[i], '\n', m->n_bytes - m->at);
        if (end == NULL) {
            gf__pickle_fail(m, GF_EFORMAT, "ends in the middle of a name");
            return;
        }
        n[i] = (size_t)(end - lines[i]);
        m->at += n[i] + 1;
    }
    push_name(m, lines[0], n[0], lines[1], n[1]);
}

static void push_stacked_global(gf__pickle_machine *m)
{
    const gf__pickle_value *name = gf__pickle_pop(m), *module = gf__pickle_pop(m);
    if (m->st != GF_OK)
        return;
    if (name->kind != GF__PICKLE_TEXT || module->kind != GF__PICKLE_TEXT)
        gf__pickle_fail(m, GF_EFORMAT, "a name that is no text");
    else
        push_name(m, module->text, module->n_chars, name->text, name->n_chars);
}

static void put(gf__pickle_machine *m, uint64_t index)
{
    if (m->st == GF_OK && (m->n_stack == 0 || m->stack[m->n_stack - 1] == NULL))
        gf__pickle_fail(m, GF_EFORMAT, "remembers what is not there");
    if (m->st == GF_OK && index >= MAX_MEMO)
        gf__pickle_fail(m, GF_ELIMIT, "remembers too much");
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

static void get(gf__pickle_machine *m, uint64_t index)
{
    if (m->st == GF_OK && (index >= m->n_memo || m->memo[index] == NULL))
        gf__pickle_fail(m, GF_EFORMAT, "asks for what was never remembered");
    if (m->st == GF_OK)
        gf__pickle_push(m, m->memo[index]);
}

/* ---- instructions ---------------------------------------------------------------------------- */

static void push_truth(gf__pickle_machine *m, bool truth)
{
    gf__pickle_value *value = gf__pickle_new(m, GF__PICKLE_BOOL);
    if (value == NULL)
        return;
    value->truth = truth;
    gf__pickle_push(m, value);
}

static void run_container(gf__pickle_machine *m, uint8_t code)
{
    switch (code) {
    case ')':
        gf__pickle_push(m, gf__pickle_new(m, GF__PICKLE_TUPLE));
        return;
    case ']':
        gf__pickle_push(m, gf__pickle_new(m, GF__PICKLE_LIST));
        return;
    case '}':
        gf__pickle_push(m, gf__pickle_new(m, GF__PICKLE_DICT));
        return;
    case 't':
        gf__pickle_push_marked(m, GF__PICKLE_TUPLE);
        return;
    case 0x85:
        gf__pickle_push_tuple(m, 1);
        return;
    case 0x86:
        gf__pickle_push_tuple(m, 2);
        return;
    case 0x87:
        gf__pickle_push_tuple(m, 3);
        return;
    case 'a':
        gf__pickle_append_one(m, GF__PICKLE_LIST, 1);
        return;
    case 'e':
        gf__pickle_append_marked(m, GF__PICKLE_LIST);
        return;
    case 's':
        gf__pickle_append_one(m, GF__PICKLE_DICT, 2);
        return;
    case 'u':
        gf__pickle_append_marked(m, GF__PICKLE_DICT);
        return;
    default: {
        char message[80];
        snprintf(message, sizeof message, "instruction 0x%02x has no place in a checkpoint", code);
        gf__pickle_fail(m, GF_EUNSUPPORTED, message);
    }
    }
}

static void run_value(gf__pickle_machine *m, uint8_t code)
{
    switch (code) {
    case 'N':
        gf__pickle_push(m, gf__pickle_new(m, GF__PICKLE_NONE));
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
static bool run_instruction(gf__pickle_machine *m)
{
    const uint8_t *code = take(m, 1);
    if (code == NULL)
        return false;
    switch (*code) {
    case '.':
        return false;
    case 0x80: /* protocol */
        if (take_number(m, 1) > 5)
            gf__pickle_fail(m, GF_EUNSUPPORTED, "a protocol above 5");
        break;
    case 0x95:
        (void)take(m, 8);
        break; /* a frame: only for reading ahead */
    case '(':
        gf__pickle_push_or_mark(m, NULL);
        break;
    case '0':
        (void)gf__pickle_pop(m);
        break;
    case '2':
        gf__pickle_push(m, m->n_stack > 0 ? m->stack[m->n_stack - 1] : NULL);
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
    gf__pickle_machine m = {.pickle = out, .bytes = bytes, .n_bytes = n_bytes, .err = err};
    while (run_instruction(&m))
        continue;
    out->value = gf__pickle_pop(&m);
    out->n_used = m.at;
    gf__free(m.stack);
    gf__free(m.memo);
    return m.st;
}
