/* proto/message.c: messages on their way into a file and out of somebody else's bytes. */
#include <limits.h>
#include <stdalign.h>
#include <stddef.h>
#include <string.h>

#include "proto/proto.h"

/* ---- writing --------------------------------------------------------------------------------- */

typedef struct file_sink {
    ProtobufCBuffer base; /* first: what protobuf-c is given */
    gf__writer *writer;
    gf_status (*go_on)(void *user, gf_error *err);
    void *user;
    gf_status st;
    gf_error *err;
} file_sink;

/* protobuf-c appends names and numbers, too: whether to go on is asked where it takes time. */
#define MANY_BYTES ((size_t)64 << 10)

static void append_to_file(ProtobufCBuffer *buffer, size_t n_bytes, const uint8_t *bytes)
{
    file_sink *sink = (file_sink *)buffer;
    if (sink->st == GF_OK && n_bytes >= MANY_BYTES && sink->go_on != NULL)
        sink->st = sink->go_on(sink->user, sink->err);
    if (sink->st == GF_OK)
        gf__writer_write(sink->writer, bytes, n_bytes);
}

gf_status gf__proto_write(const ProtobufCMessage *message, gf__writer *writer,
                          gf_status (*go_on)(void *user, gf_error *err), void *user, gf_error *err)
{
    const size_t n_bytes = protobuf_c_message_get_packed_size(message);
    if (n_bytes > INT_MAX)
        return gf_error_set(err, GF_ELIMIT, "takes %zu bytes, a protobuf file has at most %d",
                            n_bytes, INT_MAX);
    file_sink sink = {
        .base = {.append = append_to_file},
        .writer = writer,
        .go_on = go_on,
        .user = user,
        .err = err,
    };
    protobuf_c_message_pack_to_buffer(message, &sink.base);
    return sink.st;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* In front of each allocation: its size, so that what is freed can be taken again. */
typedef struct allocation {
    size_t n_bytes;
    alignas(max_align_t) unsigned char bytes[];
} allocation;

/* A field of one message that comes again is merged with the one before, and each time its lists are copied:
 * a megabyte of such took minutes. Else only a message's list of fields is given back before the end. */
#define MOST_TIMES_TAKEN 4

static void *take(void *user, size_t size_bytes)
{
    gf__unpacked *u = user;
    size_t n_bytes;
    if (!gf__add_size(sizeof(allocation), size_bytes, &n_bytes) ||
        n_bytes > u->max_bytes - u->n_used_bytes ||
        u->n_taken_bytes / MOST_TIMES_TAKEN > u->max_bytes) {
        u->is_over = true;
        return NULL;
    }
    allocation *made = gf__malloc(n_bytes);
    if (made == NULL) {
        u->is_out_of_memory = true;
        return NULL;
    }
    made->n_bytes = n_bytes;
    u->n_used_bytes += n_bytes;
    u->n_taken_bytes += n_bytes;
    return made->bytes;
}

static void give_back(void *user, void *memory)
{
    gf__unpacked *u = user;
    if (memory == NULL)
        return;
    allocation *made = (allocation *)((char *)memory - offsetof(allocation, bytes));
    u->n_used_bytes -= made->n_bytes;
    gf__free(made);
}

gf_status gf__proto_unpack(const ProtobufCMessageDescriptor *type, const void *bytes,
                           size_t n_bytes, size_t max_bytes, gf__unpacked *out, gf_error *err)
{
    ProtobufCAllocator allocator = {.alloc = take, .free = give_back, .allocator_data = out};
    *out = (gf__unpacked){.max_bytes = max_bytes};
    out->message = protobuf_c_message_unpack(type, &allocator, n_bytes, bytes);
    if (out->message != NULL)
        return GF_OK;
    if (out->is_out_of_memory)
        return gf__error_nomem(err, type->short_name, n_bytes);
    if (out->is_over)
        return gf_error_set(err, GF_ELIMIT,
                            "its %zu bytes become a %s of more than %zu MB in memory", n_bytes,
                            type->short_name, max_bytes >> 20);
    return gf_error_set(err, GF_EFORMAT,
                        "is no protobuf message %s: cut short, damaged, or something else",
                        type->short_name);
}

void gf__unpacked_free(gf__unpacked *unpacked)
{
    ProtobufCAllocator allocator = {.alloc = take, .free = give_back, .allocator_data = unpacked};
    if (unpacked->message != NULL)
        protobuf_c_message_free_unpacked(unpacked->message, &allocator);
    unpacked->message = NULL;
}
