/* zoo/tensorflow/tensor_bundle.c: names and places from the index, values from the data files.
 *
 *     index   blocks, the block of blocks, a footer: two handles (offset and size as varints), padding, 8
 *             bytes of magic number
 *     block   entries, the offsets of some of them (which nobody needs who reads all), their number; behind
 *             it a byte that says how it is compressed and a checksum
 *     entry   varints: bytes of the key that are the last one's, bytes that follow, bytes of the value */
#include "zoo/tensorflow/tensor_bundle.h"

#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "proto/tensorflow.pb-c.h"

#define FOOTER_BYTES    48
#define TRAILER_BYTES   5 /* of a block: compression, checksum */
#define MAGIC           0xdb4775248b80fb57u
#define MAX_INDEX_BYTES ((size_t)64 << 20)
#define MAX_TENSORS     65536
#define MAX_NAME_BYTES  4096
#define MAX_NAMES_BYTES ((size_t)16 << 20)
#define MAX_SHARDS      1000
#define MAX_ENTRY_BYTES ((size_t)64 << 10) /* of one entry's message, in memory */

typedef struct entry {
    char *name;
    int dtype; /* DataType */
    size_t shape[GF_TENSOR_MAX_DIMS];
    size_t n_dims;
    uint64_t shard, offset, size;
    uint32_t checksum;
} entry;

struct gf__tensor_bundle {
    uint32_t table[256]; /* of CRC-32C */
    entry *entries;      /* sorted by name, as they come */
    size_t n_entries, capacity;
    size_t n_name_bytes;
    size_t n_shards;
    gf__mapping *shards;
};

/* ---- checksums ------------------------------------------------------------------------------- */

/* CRC-32C (Castagnoli). */
static void make_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0x82f63b78u ^ c >> 1 : c >> 1;
        table[i] = c;
    }
}

/* As it is stored: turned and shifted, so that a checksum of bytes with checksums in them is
 * one, too. */
static uint32_t masked_checksum(const uint32_t table[256], const uint8_t *bytes, size_t n_bytes)
{
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n_bytes; i++)
        c = table[(c ^ bytes[i]) & 0xff] ^ c >> 8;
    c = ~c;
    return (c >> 15 | c << 17) + 0xa282ead8u;
}

/* ---- the table ------------------------------------------------------------------------------- */

typedef struct span {
    const uint8_t *bytes;
    size_t n_bytes;
} span;

static bool take_varint(span *from, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && from->n_bytes > 0; shift += 7) {
        const uint8_t byte = *from->bytes++;
        from->n_bytes--;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool take_bytes(span *from, uint64_t n_bytes, span *out)
{
    if (n_bytes > from->n_bytes)
        return false;
    *out = (span){.bytes = from->bytes, .n_bytes = (size_t)n_bytes};
    from->bytes += n_bytes;
    from->n_bytes -= (size_t)n_bytes;
    return true;
}

static uint32_t load_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

/* The entries of the block that a handle names. */
static gf_status open_block(const gf__tensor_bundle *bundle, span file, span *handle, span *out,
                            gf_error *err)
{
    uint64_t offset, size;
    if (!take_varint(handle, &offset) || !take_varint(handle, &size) || offset > file.n_bytes ||
        size > file.n_bytes - offset || file.n_bytes - offset - size < TRAILER_BYTES || size < 4)
        return gf_error_set(err, GF_EFORMAT,
                            "a block of the index is not inside of it: cut short?");
    const uint8_t *block = file.bytes + offset;
    if (block[size] != 0)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "a block of the index is compressed (kind %d); TensorFlow writes them "
                            "uncompressed",
                            block[size]);
    if (masked_checksum(bundle->table, block, (size_t)size + 1) != load_u32(block + size + 1))
        return gf_error_set(err, GF_EMISMATCH, "a block of the index is damaged: wrong checksum");
    const uint64_t n_restarts = load_u32(block + size - 4);
    if (n_restarts > (size - 4) / 4)
        return gf_error_set(err, GF_EFORMAT, "a block of the index says that it has %llu parts",
                            (unsigned long long)n_restarts);
    *out = (span){.bytes = block, .n_bytes = (size_t)(size - 4 - 4 * n_restarts)};
    return GF_OK;
}

/* A key in the making: each begins as the last one did. */
typedef struct table_key {
    char text[MAX_NAME_BYTES + 1];
    size_t n_chars;
} table_key;

static gf_status take_entry(span *block, table_key *key, span *value, gf_error *err)
{
    uint64_t n_shared, n_more, n_value;
    span more;
    if (!take_varint(block, &n_shared) || !take_varint(block, &n_more) ||
        !take_varint(block, &n_value) || n_shared > key->n_chars ||
        n_more > MAX_NAME_BYTES - n_shared || !take_bytes(block, n_more, &more) ||
        !take_bytes(block, n_value, value))
        return gf_error_set(err, GF_EFORMAT, "an entry of the index is damaged");
    memcpy(key->text + n_shared, more.bytes, more.n_bytes);
    key->n_chars = (size_t)n_shared + more.n_bytes;
    key->text[key->n_chars] = '\0';
    return GF_OK;
}

/* ---- entries --------------------------------------------------------------------------------- */

static gf_status read_header(gf__tensor_bundle *bundle, span value, gf_error *err)
{
    gf__unpacked unpacked = {0};
    gf_status st = gf__proto_unpack(&gf_tf__bundle_header__descriptor, value.bytes, value.n_bytes,
                                    MAX_ENTRY_BYTES, &unpacked, err);
    if (st != GF_OK)
        return st;
    const GfTf__BundleHeader *header = (const GfTf__BundleHeader *)unpacked.message;
    if (header->endianness != 0)
        st = gf_error_set(err, GF_EUNSUPPORTED, "its values are in another byte order than little");
    else if (header->num_shards < 1 || header->num_shards > MAX_SHARDS)
        st = gf_error_set(err, GF_EFORMAT, "says that it has %d data files, expected 1 to %d",
                          header->num_shards, MAX_SHARDS);
    else
        bundle->n_shards = (size_t)header->num_shards;
    gf__unpacked_free(&unpacked);
    return st;
}

static gf_status read_place(const GfTf__BundleEntry *from, entry *to, gf_error *err)
{
    const GfTf__TensorShape *shape = from->shape;
    to->n_dims = shape != NULL ? shape->n_dim : 0;
    bool is_good = from->offset >= 0 && from->size >= 0 && from->shard_id >= 0 &&
                   to->n_dims <= GF_TENSOR_MAX_DIMS;
    for (size_t i = 0; is_good && i < to->n_dims; i++) {
        is_good = shape->dim[i]->size >= 0;
        to->shape[i] = is_good ? (size_t)shape->dim[i]->size : 0;
    }
    if (!is_good)
        return gf_error_set(err, GF_EFORMAT, "\"%.120s\" has no usable shape or place", to->name);
    to->dtype = from->dtype;
    to->shard = (uint64_t)from->shard_id;
    to->offset = (uint64_t)from->offset;
    to->size = (uint64_t)from->size;
    to->checksum = from->crc32c;
    return GF_OK;
}

static gf_status make_room(gf__tensor_bundle *bundle, size_t n_chars, gf_error *err)
{
    if (bundle->n_entries == MAX_TENSORS || n_chars > MAX_NAMES_BYTES - bundle->n_name_bytes)
        return gf_error_set(err, GF_ELIMIT, "has more than %d tensors, or too long names",
                            MAX_TENSORS);
    bundle->n_name_bytes += n_chars;
    if (bundle->n_entries < bundle->capacity)
        return GF_OK;
    const size_t capacity = bundle->capacity == 0 ? 64 : 2 * bundle->capacity;
    entry *entries = gf__realloc(bundle->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return gf__error_nomem(err, "tensors", capacity * sizeof *entries);
    bundle->entries = entries;
    bundle->capacity = capacity;
    return GF_OK;
}

/* Names of variables are printable; they go into messages. */
static bool is_printable(const table_key *key)
{
    for (size_t i = 0; i < key->n_chars; i++) {
        if (key->text[i] < ' ' || key->text[i] > '~')
            return false;
    }
    return true;
}

static gf_status read_entry(gf__tensor_bundle *bundle, const table_key *key, span value,
                            gf_error *err)
{
    gf__unpacked unpacked = {0};
    const entry *last = bundle->n_entries > 0 ? &bundle->entries[bundle->n_entries - 1] : NULL;
    if (!is_printable(key))
        return gf_error_set(err, GF_EFORMAT, "the name of tensor %zu is not printable",
                            bundle->n_entries);
    if (last != NULL && strcmp(last->name, key->text) >= 0)
        return gf_error_set(err, GF_EFORMAT, "\"%.120s\" is not in its place in the index",
                            key->text);
    gf_status st = make_room(bundle, key->n_chars, err);
    if (st != GF_OK)
        return st;
    entry *added = &bundle->entries[bundle->n_entries];
    *added = (entry){.name = gf__strdup(key->text)};
    if (added->name == NULL)
        return gf__error_nomem(err, "a name", key->n_chars);
    bundle->n_entries++;
    st = gf__proto_unpack(&gf_tf__bundle_entry__descriptor, value.bytes, value.n_bytes,
                          MAX_ENTRY_BYTES, &unpacked, err);
    if (st == GF_OK)
        st = read_place((const GfTf__BundleEntry *)unpacked.message, added, err);
    gf__unpacked_free(&unpacked);
    return st;
}

static gf_status read_block(gf__tensor_bundle *bundle, span block, table_key *key, gf_error *err)
{
    gf_status st = GF_OK;
    span value;
    key->n_chars = 0;
    while (block.n_bytes > 0 && st == GF_OK) {
        st = take_entry(&block, key, &value, err);
        if (st != GF_OK)
            return st;
        st = key->n_chars == 0 ? read_header(bundle, value, err)
                               : read_entry(bundle, key, value, err);
    }
    return st;
}

static gf_status read_table(gf__tensor_bundle *bundle, span file, gf_error *err)
{
    uint64_t magic = 0;
    span blocks, block, unused;
    table_key key = {.n_chars = 0}, block_key = {.n_chars = 0};
    if (file.n_bytes < FOOTER_BYTES)
        return gf_error_set(err, GF_EFORMAT, "has %zu bytes, an index has at least %d: cut short?",
                            file.n_bytes, FOOTER_BYTES);
    span footer = {.bytes = file.bytes + file.n_bytes - FOOTER_BYTES, .n_bytes = FOOTER_BYTES - 8};
    for (size_t i = 8; i-- > 0;)
        magic = magic << 8 | footer.bytes[FOOTER_BYTES - 8 + i];
    if (magic != MAGIC)
        return gf_error_set(err, GF_EFORMAT, "is no index of a checkpoint, or is cut short");
    gf_status st = open_block(bundle, file, &footer, &unused, err); /* of meta data: empty */
    if (st == GF_OK)
        st = open_block(bundle, file, &footer, &blocks, err);
    while (st == GF_OK && blocks.n_bytes > 0) {
        span handle;
        st = take_entry(&blocks, &block_key, &handle, err);
        if (st == GF_OK)
            st = open_block(bundle, file, &handle, &block, err);
        if (st == GF_OK)
            st = read_block(bundle, block, &key, err);
    }
    if (st == GF_OK && bundle->n_shards == 0)
        st = gf_error_set(err, GF_EFORMAT, "has no header");
    return st;
}

gf_status gf__tensor_bundle_parse(const void *bytes, size_t n_bytes, gf__tensor_bundle **out,
                                  gf_error *err)
{
    *out = NULL;
    gf__tensor_bundle *bundle = gf__calloc(1, sizeof *bundle);
    if (bundle == NULL)
        return gf__error_nomem(err, "a checkpoint", sizeof *bundle);
    make_table(bundle->table);
    const gf_status st = read_table(bundle, (span){.bytes = bytes, .n_bytes = n_bytes}, err);
    if (st != GF_OK) {
        gf__tensor_bundle_close(bundle);
        return st;
    }
    *out = bundle;
    return GF_OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

static gf_status map_shards(gf__tensor_bundle *bundle, const char *prefix, gf_error *err)
{
    gf_status st = GF_OK;
    bundle->shards = gf__calloc(bundle->n_shards, sizeof *bundle->shards);
    if (bundle->shards == NULL)
        return gf__error_nomem(err, "data files", bundle->n_shards * sizeof *bundle->shards);
    for (size_t i = 0; i < bundle->n_shards && st == GF_OK; i++) {
        char *path = gf__asprintf("%s.data-%05zu-of-%05zu", prefix, i, bundle->n_shards);
        st = path != NULL ? gf__map_file(path, &bundle->shards[i], err)
                          : gf__error_nomem(err, "a path", strlen(prefix));
        gf__free(path);
    }
    return st;
}

gf_status gf__tensor_bundle_open(const char *prefix, gf__tensor_bundle **out, gf_error *err)
{
    char *bytes = NULL;
    size_t n_bytes = 0;
    *out = NULL;
    char *path = gf__asprintf("%s.index", prefix);
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(prefix));
    gf_status st = gf__read_file(path, MAX_INDEX_BYTES, &bytes, &n_bytes, err);
    if (st == GF_OK) {
        st = gf__tensor_bundle_parse(bytes, n_bytes, out, err);
        if (st != GF_OK)
            gf__error_prefix(err, "%s", path);
    }
    if (st == GF_OK)
        st = map_shards(*out, prefix, err);
    if (st != GF_OK) {
        gf__tensor_bundle_close(*out);
        *out = NULL;
    }
    gf__free(bytes);
    gf__free(path);
    return st;
}

void gf__tensor_bundle_close(gf__tensor_bundle *bundle)
{
    if (bundle == NULL)
        return;
    for (size_t i = 0; i < bundle->n_entries; i++)
        gf__free(bundle->entries[i].name);
    for (size_t i = 0; bundle->shards != NULL && i < bundle->n_shards; i++)
        gf__unmap(&bundle->shards[i]);
    gf__free(bundle->shards);
    gf__free(bundle->entries);
    gf__free(bundle);
}

/* ---- tensors --------------------------------------------------------------------------------- */

size_t gf__tensor_bundle_n_tensors(const gf__tensor_bundle *bundle)
{
    return bundle->n_entries;
}

const char *gf__tensor_bundle_name_at(const gf__tensor_bundle *bundle, size_t i)
{
    return bundle->entries[i].name;
}

static int compare_name(const void *name, const void *with)
{
    return strcmp(name, ((const entry *)with)->name);
}

static bool dtype_of(int type, gf_dtype *out)
{
    static const struct {
        int type;
        gf_dtype dtype;
    } kinds[] = {{1, GF_DTYPE_F32}, {2, GF_DTYPE_F64}, {19, GF_DTYPE_F16}, {14, GF_DTYPE_BF16}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].type == type) {
            *out = kinds[i].dtype;
            return true;
        }
    }
    return false;
}

/* The entry's bytes, which are there and what they were. */
static gf_status find_bytes(const gf__tensor_bundle *bundle, const entry *e, gf_dtype dtype,
                            const uint8_t **out, gf_error *err)
{
    size_t n_bytes = gf_dtype_size(dtype);
    bool fits = true;
    for (size_t i = 0; i < e->n_dims; i++)
        fits = fits && gf__mul_size(n_bytes, e->shape[i], &n_bytes);
    if (!fits || n_bytes == 0 || n_bytes != e->size)
        return gf_error_set(err, GF_EFORMAT, "has %llu bytes, which is not what its shape needs",
                            (unsigned long long)e->size);
    if (bundle->shards == NULL || e->shard >= bundle->n_shards ||
        e->offset > bundle->shards[e->shard].size ||
        e->size > bundle->shards[e->shard].size - e->offset)
        return gf_error_set(err, GF_EFORMAT, "is not inside of the data file: cut short?");
    *out = bundle->shards[e->shard].data + e->offset;
    if (masked_checksum(bundle->table, *out, n_bytes) != e->checksum)
        return gf_error_set(err, GF_EMISMATCH, "is damaged: wrong checksum");
    return GF_OK;
}

static gf_status load(const gf__tensor_bundle *bundle, const entry *e, gf_tensor **out,
                      gf_error *err)
{
    gf_dtype dtype = GF_DTYPE_F32;
    const uint8_t *bytes = NULL;
    gf_tensor *raw = NULL;
    if (!dtype_of(e->dtype, &dtype))
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "is of TensorFlow's type %d; weights are float32, float64, float16 or "
                            "bfloat16",
                            e->dtype);
    gf_status st = find_bytes(bundle, e, dtype, &bytes, err);
    if (st == GF_OK)
        st = gf_tensor_new(dtype, e->shape, e->n_dims, &raw, err);
    if (st != GF_OK)
        return st;
    memcpy(gf_tensor_mutable_data(raw), bytes, gf_tensor_size_bytes(raw));
    if (dtype == GF_DTYPE_F32) {
        *out = raw;
        return GF_OK;
    }
    st = gf_tensor_to_f32(raw, out, err);
    gf_tensor_free(raw);
    return st;
}

gf_status gf__tensor_bundle_load(const gf__tensor_bundle *bundle, const char *name, gf_tensor **out,
                                 gf_error *err)
{
    *out = NULL;
    const entry *e = bundle->n_entries == 0 ? NULL
                                            : bsearch(name, bundle->entries, bundle->n_entries,
                                                      sizeof *bundle->entries, compare_name);
    if (e == NULL)
        return gf_error_set(err, GF_ENOTFOUND, "the checkpoint has no \"%.120s\"", name);
    const gf_status st = load(bundle, e, out, err);
    if (st != GF_OK)
        gf__error_prefix(err, "\"%.120s\"", e->name);
    return st;
}
