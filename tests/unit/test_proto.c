/* Messages of others' formats: no description contains itself; hostile bytes cost bounded memory. */
#include "check.h"

#include "proto/onnx.pb-c.h"
#include "proto/proto.h"
#include "proto/tensorflow.pb-c.h"

enum { MAX_DEPTH = 32 };

/* True where type is reached again from itself: protobuf-c would unpack as deep as the bytes say. */
static bool contains_itself(const ProtobufCMessageDescriptor *type,
                            const ProtobufCMessageDescriptor **above, size_t n_above)
{
    for (size_t i = 0; i < n_above; i++) {
        if (above[i] == type)
            return true;
    }
    CHECK(n_above < MAX_DEPTH);
    above[n_above] = type;
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE &&
            contains_itself(type->fields[i].descriptor, above, n_above + 1))
            return true;
    }
    return false;
}

TEST(proto__no_message_contains_itself)
{
    const ProtobufCMessageDescriptor *above[MAX_DEPTH];
    CHECK(!contains_itself(&gf_onnx__model__descriptor, above, 0));
    CHECK(!contains_itself(&gf_tf__saved_model__descriptor, above, 0));
    CHECK(!contains_itself(&gf_tf__bundle_header__descriptor, above, 0));
    CHECK(!contains_itself(&gf_tf__bundle_entry__descriptor, above, 0));
    CHECK(!contains_itself(&gf_tf__trackable_object_graph__descriptor, above, 0));
}

/* Small pieces share blocks, large ones have their own: all are zero, aligned and nobody else's. */
TEST(proto__pieces_of_an_arena_are_apart)
{
    gf__proto_arena arena = {0};
    unsigned char *pieces[600];
    size_t sizes[600];
    for (size_t i = 0; i < 600; i++) {
        sizes[i] = i % 50 == 7 ? 4095 + i % 3 : i * 7 % 300;
        pieces[i] = gf__proto_new(&arena, sizes[i]);
        CHECK(pieces[i] != NULL);
        CHECK_EQ((uintptr_t)pieces[i] % 16, 0);
        for (size_t k = 0; k < sizes[i]; k++)
            CHECK_EQ(pieces[i][k], 0);
        memset(pieces[i], (int)(i % 255) + 1, sizes[i]);
    }
    for (size_t i = 0; i < 600; i++)
        for (size_t k = 0; k < sizes[i]; k++)
            CHECK_EQ(pieces[i][k], i % 255 + 1);
    CHECK(gf__proto_new(&arena, SIZE_MAX) == NULL);
    CHECK(arena.is_out_of_memory);
    gf__proto_arena_free(&arena);
    CHECK(arena.blocks == NULL);
}

TEST(proto__what_is_written_is_read_again)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "graph.pb"), *bytes = NULL;
    gf__proto_arena arena = {0};
    gf__unpacked unpacked = {0};
    size_t capacity = 0, n_bytes = 0;
    gf__writer *writer = NULL;
    GfTf__GraphDef graph;
    gf_tf__graph_def__init(&graph);
    for (size_t i = 0; i < 40; i++) {
        GfTf__NodeDef *node = gf__proto_new(&arena, sizeof *node);
        CHECK(gf__proto_grow(&arena, &graph.node, graph.n_node, &capacity));
        gf_tf__node_def__init(node);
        node->name = gf__proto_borrow(gf__proto_text(&arena, "node_%zu", i));
        graph.node[graph.n_node++] = node;
    }
    CHECK_OK(gf__writer_open(path, &writer, &check_err));
    CHECK_OK(gf__proto_write(&graph.base, writer, NULL, NULL, &check_err));
    CHECK_OK(gf__writer_commit(writer, &check_err));
    CHECK_OK(gf__read_file(path, 1 << 20, &bytes, &n_bytes, &check_err));
    CHECK_OK(gf__proto_unpack(&gf_tf__graph_def__descriptor, bytes, n_bytes, 1 << 20, &unpacked,
                              &check_err));
    const GfTf__GraphDef *again = (const GfTf__GraphDef *)unpacked.message;
    CHECK_EQ(again->n_node, 40);
    CHECK_STR(again->node[39]->name, "node_39");
    gf__unpacked_free(&unpacked);
    CHECK_EQ(unpacked.n_used_bytes, 0);
    gf__free(bytes);
    gf__proto_arena_free(&arena);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(proto__a_message_that_grows_in_memory_is_refused)
{
    enum { N = 100000 };
    gf__unpacked unpacked = {0};
    char *bytes = gf__calloc(N, 2);
    for (size_t i = 0; i < N; i++)
        bytes[2 * i] = 0x0a; /* field 1, of no bytes: an empty node */
    CHECK_FAILS(GF_ELIMIT, "its 200000 bytes become a GraphDef of more than 4 MB in memory",
                gf__proto_unpack(&gf_tf__graph_def__descriptor, bytes, 2 * (size_t)N, 4 << 20,
                                 &unpacked, &check_err));
    CHECK_EQ(unpacked.n_used_bytes, 0);
    gf__unpacked_free(&unpacked);
    gf__free(bytes);
}

TEST(proto__damaged_messages_leave_nothing)
{
    static const char *const damaged[] = {"\x0a\x7f", "\xff\xff\xff", "<html>", "\x0a\x02\x0a\x09"};
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        gf__unpacked unpacked = {0};
        CHECK_FAILS(GF_EFORMAT, "is no protobuf message GraphDef: cut short, damaged",
                    gf__proto_unpack(&gf_tf__graph_def__descriptor, damaged[i], strlen(damaged[i]),
                                     1 << 20, &unpacked, &check_err));
        CHECK_EQ(unpacked.n_used_bytes, 0);
    }
}

TEST(proto__survives_every_allocation_failure)
{
    static const char bytes[] = "\x0a\x03\x0a\x01x\x0a\x03\x0a\x01y";
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st != GF_OK; n++) {
        gf__unpacked unpacked = {0};
        CHECK(n < 100);
        gf__mem_fail_after(n);
        st = gf__proto_unpack(&gf_tf__graph_def__descriptor, bytes, sizeof bytes - 1, 1 << 20,
                              &unpacked, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || st == GF_ENOMEM);
        gf__unpacked_free(&unpacked);
        CHECK_EQ(unpacked.n_used_bytes, 0);
    }
}

static gf_status refuse(void *user, gf_error *err)
{
    return gf_error_set(err, GF_ECANCELED, "%s", (const char *)user);
}

TEST(proto__writing_stops_when_asked)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "stopped.pb"), why[] = "enough";
    gf__writer *writer = NULL;
    GfTf__Tensor tensor;
    gf_tf__tensor__init(&tensor);
    tensor.has_tensor_content = true;
    tensor.tensor_content.len = 1 << 20;
    tensor.tensor_content.data = gf__calloc(1, 1 << 20);
    CHECK_OK(gf__writer_open(path, &writer, &check_err));
    CHECK_FAILS(GF_ECANCELED, "enough",
                gf__proto_write(&tensor.base, writer, refuse, why, &check_err));
    gf__writer_abort(writer);
    gf__free(tensor.tensor_content.data);
    gf__free(path);
    check_remove_dir(dir);
}

/* GraphDef.library, again and again, a function in each: protobuf-c would copy the list a hundred thousand
 * times. */
TEST(proto__a_message_that_comes_again_and_again_ends_soon)
{
    static const char again[] = "\x12\x07\x0a\x05\x0a\x03\x0a\x01"
                                "f";
    gf__buffer bytes = {0};
    gf__unpacked unpacked = {0};
    for (size_t i = 0; i < 100000; i++)
        gf__buffer_append(&bytes, again, sizeof again - 1);
    CHECK_FAILS(GF_ELIMIT, "bytes become a GraphDef of more than 512 MB",
                gf__proto_unpack(&gf_tf__graph_def__descriptor, bytes.data, bytes.size,
                                 (size_t)512 << 20, &unpacked, &check_err));
    CHECK_EQ(unpacked.n_used_bytes, 0);
    gf__unpacked_free(&unpacked);
    gf__buffer_free(&bytes);
}

TESTS_MAIN(UNIT(proto__no_message_contains_itself), UNIT(proto__pieces_of_an_arena_are_apart),
           UNIT(proto__what_is_written_is_read_again),
           UNIT(proto__a_message_that_grows_in_memory_is_refused),
           UNIT(proto__a_message_that_comes_again_and_again_ends_soon),
           UNIT(proto__damaged_messages_leave_nothing),
           UNIT(proto__survives_every_allocation_failure), UNIT(proto__writing_stops_when_asked))
