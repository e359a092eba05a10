/* zoo/tensorflow/recognise.c: whether bytes are one of TensorFlow's messages. Protobuf has no signature, so
 * the file's outermost fields are walked to its end, and one message within: all must be fields that
 * TensorFlow has, of the type that it gives them. No text gets so far. */
#include "zoo/tensorflow/tensorflow.h"

enum { VARINT = 0, BYTES = 2 };

/* What is left to read. */
typedef struct span {
    const uint8_t *at;
    size_t n;
} span;

typedef struct field {
    uint64_t number, type;
    span value; /* of BYTES */
} field;

static bool take_varint(span *from, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && from->n > 0; shift += 7) {
        const uint8_t byte = *from->at++;
        from->n--;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* The types that the messages below are made of: a number, or a count of bytes and the bytes. */
static bool take_field(span *from, field *out)
{
    uint64_t tag, value;
    if (!take_varint(from, &tag) || !take_varint(from, &value))
        return false;
    *out = (field){.number = tag >> 3, .type = tag & 7};
    if (out->type == VARINT)
        return true;
    if (out->type != BYTES || value > from->n)
        return false;
    out->value = (span){from->at, (size_t)value};
    from->at += value;
    from->n -= (size_t)value;
    return true;
}

static bool is_printable(span text)
{
    size_t i = 0;
    while (i < text.n && text.at[i] > ' ' && text.at[i] <= '~')
        i++;
    return text.n > 0 && i == text.n;
}

/* NodeDef: name, op, input, device, attr, and two of notes. */
static bool is_node(span message)
{
    bool has_name = false, has_op = false;
    field f;
    while (message.n > 0) {
        if (!take_field(&message, &f) || f.type != BYTES || f.number < 1 || f.number > 7)
            return false;
        if (f.number <= 2 && !is_printable(f.value))
            return false;
        has_name |= f.number == 1;
        has_op |= f.number == 2;
    }
    return has_name && has_op;
}

/* GraphDef: node, library, version (of old), versions, debug_info. */
static bool is_graph_def(span message)
{
    bool has_node = false;
    field f;
    while (message.n > 0) {
        if (!take_field(&message, &f) || f.number < 1 || f.number > 5 ||
            f.type != (f.number == 3 ? VARINT : BYTES))
            return false;
        if (f.number == 1 && !has_node && !is_node(f.value))
            return false;
        has_node |= f.number == 1;
    }
    return has_node;
}

/* MetaGraphDef: of its seven fields the second is the graph. */
static bool is_meta_graph(span message)
{
    bool has_graph = false;
    field f;
    while (message.n > 0) {
        if (!take_field(&message, &f) || f.type != BYTES || f.number < 1 || f.number > 7 ||
            (f.number == 2 && !is_graph_def(f.value)))
            return false;
        has_graph |= f.number == 2;
    }
    return has_graph;
}

/* SavedModel: saved_model_schema_version, meta_graphs. */
static bool is_saved_model(span message)
{
    bool has_meta_graph = false;
    field f;
    while (message.n > 0) {
        if (!take_field(&message, &f) || f.number < 1 || f.number > 2 ||
            f.type != (f.number == 1 ? VARINT : BYTES))
            return false;
        if (f.number == 2 && !has_meta_graph && !is_meta_graph(f.value))
            return false;
        has_meta_graph |= f.number == 2;
    }
    return has_meta_graph;
}

bool gf__savedmodel_recognise(const uint8_t *bytes, size_t n_bytes, gf__source_kind *kind)
{
    const span whole = {bytes, n_bytes};
    if (is_saved_model(whole))
        *kind = GF__SOURCE_SAVEDMODEL;
    else if (is_graph_def(whole))
        *kind = GF__SOURCE_GRAPHDEF;
    else
        return false;
    return true;
}
