/* proto/proto.h: the protobuf messages of others' formats. onnx.proto and tensorflow.proto describe the
 * fields that graft writes or reads; protoc-c makes onnx.pb-c.h and tensorflow.pb-c.h of them. What is
 * written is built in an arena and packed straight into its file; what is read may be hostile.
 *
 * protobuf-c unpacks a message inside a message by a call of itself, as deep as the bytes say. So no message
 * of ours may contain itself, directly or through others: then depth is bounded by the descriptions, and
 * fields that are not in them are skipped. test_proto.c checks that. */
#ifndef GRAFT_SRC_PROTO_H
#define GRAFT_SRC_PROTO_H

#include <protobuf-c/protobuf-c.h>

#include "base/base.h"

/* ---- building -------------------------------------------------------------------------------- */

/* Memory that ends together. After a failed allocation is_out_of_memory stays true: builders go on with
 * NULL and "" as no-ops, and look once at the end. Start with {0}. */
typedef struct gf__proto_arena {
    struct gf__proto_arena_block *blocks;
    bool is_out_of_memory;
} gf__proto_arena;

/* Zeroed, aligned for anything; NULL out of memory. */
void *gf__proto_new(gf__proto_arena *arena, size_t size_bytes);
/* A text made by printf(); "" out of memory. */
const char *gf__proto_text(gf__proto_arena *arena, const char *fmt, ...) GF_PRINTF(2, 3);
/* One more place in *list, a list of n pointers of any type that doubles; list is the address of the
 * pointer to its first. False out of memory. */
bool gf__proto_grow(gf__proto_arena *arena, void *list, size_t n, size_t *capacity);
void gf__proto_arena_free(gf__proto_arena *arena);

/* protobuf-c wants char *, and reads only. */
char *gf__proto_borrow(const char *text);

/* Appends the packed message to a file that the caller commits or aborts. Before each larger piece
 * go_on(user) is asked (NULL: nobody is): what it returns stops the writing. GF_ELIMIT: more than the 2 GB
 * that protobuf can hold. */
gf_status gf__proto_write(const ProtobufCMessage *message, gf__writer *writer,
                          gf_status (*go_on)(void *user, gf_error *err), void *user, gf_error *err);

/* ---- reading --------------------------------------------------------------------------------- */

/* A message that was unpacked, and its memory. Start with {0}. */
typedef struct gf__unpacked {
    ProtobufCMessage *message; /* of the type that was asked for */
    size_t n_used_bytes, max_bytes;
    size_t n_taken_bytes; /* what was given back, too */
    bool is_over, is_out_of_memory;
} gf__unpacked;

/* Unpacks n_bytes into out, which must not move until it is freed. A message of two bytes becomes a struct
 * of a hundred: max_bytes is the most memory that all of it may take. Texts may contain anything but '\0';
 * numbers, names and shapes mean nothing yet. GF_EFORMAT, GF_ELIMIT. */
gf_status gf__proto_unpack(const ProtobufCMessageDescriptor *type, const void *bytes,
                           size_t n_bytes, size_t max_bytes, gf__unpacked *out, gf_error *err);
void gf__unpacked_free(gf__unpacked *unpacked);

#endif
