/* fuzz_tensor_bundle.c: any bytes as the index of a checkpoint, and as the entries of a block in
 * one whose checksums are right: changed bytes alone would not get past those. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "zoo/tensorflow/tensor_bundle.h"

#define N_AROUND 256 /* bytes of a table around the entries */

typedef struct table {
    uint8_t *bytes;
    size_t size;
} table;

static void put(table *t, const void *bytes, size_t n_bytes)
{
    memcpy(t->bytes + t->size, bytes, n_bytes);
    t->size += n_bytes;
}

static void put_u32(table *t, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        t->bytes[t->size++] = (uint8_t)(value >> 8 * i);
}

static void put_varint(table *t, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        t->bytes[t->size++] = (uint8_t)(value | 0x80);
    t->bytes[t->size++] = (uint8_t)value;
}

static uint32_t masked_checksum(const uint8_t *bytes, size_t n_bytes)
{
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n_bytes; i++) {
        c ^= bytes[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0x82f63b78u ^ c >> 1 : c >> 1;
    }
    c = ~c;
    return (c >> 15 | c << 17) + 0xa282ead8u;
}

/* The end of a block that began at start: no restarts, no compression, its checksum. */
static void end_block(table *t, size_t start)
{
    put_u32(t, 0);
    put(t, "", 1);
    put_u32(t, masked_checksum(t->bytes + start, t->size - start));
}

static void parse(const uint8_t *bytes, size_t n_bytes)
{
    gf_error err;
    gf_tensor *tensor = NULL;
    gf__tensor_bundle *bundle = NULL;
    if (gf__tensor_bundle_parse(bytes, n_bytes, &bundle, &err) != GF_OK)
        return;
    for (size_t i = 0; i < gf__tensor_bundle_n_tensors(bundle); i++) {
        (void)gf__tensor_bundle_load(bundle, gf__tensor_bundle_name_at(bundle, i), &tensor, &err);
        gf_tensor_free(tensor);
    }
    gf__tensor_bundle_close(bundle);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    static const uint8_t magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};
    table t = {.bytes = calloc(n_bytes + N_AROUND, 1)};
    if (t.bytes == NULL)
        return 0;
    put(&t, bytes, n_bytes);
    end_block(&t, 0);
    const size_t meta = t.size;
    end_block(&t, meta);
    const size_t index = t.size;
    put(&t, "\x00\x01", 2); /* an entry: nothing shared, a key of one letter, a handle */
    t.bytes[t.size++] = 0;  /* the handle's length, below */
    const size_t length_at = t.size - 1;
    put(&t, "z", 1);
    const size_t handle = t.size;
    put_varint(&t, 0);
    put_varint(&t, n_bytes + 4);
    t.bytes[length_at] = (uint8_t)(t.size - handle);
    const size_t index_size = t.size + 4 - index;
    end_block(&t, index);
    const size_t footer = t.size;
    put_varint(&t, meta);
    put_varint(&t, 4);
    put_varint(&t, index);
    put_varint(&t, index_size);
    t.size = footer + 40;
    put(&t, magic, sizeof magic);
    parse(t.bytes, t.size);
    free(t.bytes);
    parse(bytes, n_bytes);
    return 0;
}
