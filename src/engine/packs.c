/* packs.c: packed weights, kept in a file that processes share by mapping it.
 *
 *     name     PRECISION-HASH.pack, HASH the first 32 digits of the name's own hash
 *     header   128 bytes: magic, key (SHA-256 in hex), bytes of data
 *     data     the spans of gf__weights_layout, each 64-byte aligned
 *     trailer  64 bytes: checksum of the data
 *
 * The key covers everything that the bytes depend on: the weights' identity, library and
 * instruction set, the number of threads, and every operation with its layers, folding and
 * packed layout. The name covers the same but for the layouts, which follow from it: so it is known
 * before the primitives are made, and a thread reads and checks the file meanwhile. A file that is not
 * exactly what its key says is made again; it is written aside and renamed, so two processes may both
 * do it and readers keep what they have mapped. */
#include <pthread.h>
#include <string.h>

#include "engine/dnnl_priv.h"

#define MAGIC "GFPACK1\n"

typedef struct pack_header {
    char magic[8];
    char key[GF__SHA256_HEX + 7]; /* 64 digits, zeros */
    uint64_t data_bytes;
    uint8_t zeros[40];
} pack_header;
_Static_assert(sizeof(pack_header) == 128, "the header is part of the file format");

typedef struct pack_trailer {
    uint64_t checksum;
    uint8_t zeros[56];
} pack_trailer;

/* Four independent lanes, so that the check runs at the speed of memory: it reads all of the
 * file before the first run does and thereby also takes the page faults. Guards against a
 * damaged disk, not against a person. */
typedef struct checksum {
    uint64_t lanes[4];
} checksum;

static void checksum_add(checksum *sum, const uint8_t *bytes, size_t n_bytes)
{
    for (size_t i = 0; i + 32 <= n_bytes; i += 32) {
        uint64_t words[4];
        memcpy(words, bytes + i, sizeof words);
        for (size_t lane = 0; lane < 4; lane++)
            sum->lanes[lane] = (sum->lanes[lane] ^ words[lane]) * UINT64_C(0x9e3779b97f4a7c15) +
                               (sum->lanes[lane] >> 29);
    }
}

static uint64_t checksum_value(const checksum *sum)
{
    uint64_t value = 0;
    for (size_t lane = 0; lane < 4; lane++)
        value = (value ^ sum->lanes[lane] ^ (sum->lanes[lane] >> 32)) *
                UINT64_C(0xff51afd7ed558ccd);
    return value ^ (value >> 29);
}

/* Channels from one pixel of the value to the next. */
static size_t step_of(const gf__program *program, size_t v)
{
    const gf__value *value = &program->values[v];
    return value->host == GF__NONE ? value->channels : program->values[value->host].channels;
}

/* What is known before there are primitives. */
static void describe_layers(gf__buffer *text, const gf__program *program, const gf__op *op)
{
    gf__buffer_printf(text, "\n%d %s %s %d %.9g %.9g %zu %zu", (int)op->kind,
                      op->layer != NULL ? gf_layer_name(op->layer) : "-",
                      op->norm != NULL ? gf_layer_name(op->norm) : "-", (int)op->activation,
                      (double)op->scale, (double)op->shift, step_of(program, op->src[0]),
                      step_of(program, op->dst));
}

static void describe_op(gf__buffer *text, const gf__op *op)
{
    gf__buffer_printf(text, "\n%d %zu %zu %s %s %.9g %.9g ", (int)op->kind, op->weights.offset,
                      op->bias.offset, op->layer != NULL ? gf_layer_name(op->layer) : "-",
                      op->norm != NULL ? gf_layer_name(op->norm) : "-", (double)op->scale,
                      (double)op->shift);
    if (op->prim != NULL)
        gf__prim_describe(op->prim, text);
}

/* Where an operation's weights lie does not matter here. */
static gf_status identify(gf_plan *plan, gf_error *err)
{
    for (size_t i = 0; i < plan->program.n_ops; i++) {
        gf__op *op = &plan->program.ops[i];
        if (op->bias.size_bytes == 0)
            continue;
        gf__buffer text = {0};
        gf__op copy = *op;
        copy.weights.offset = copy.bias.offset = 0;
        describe_op(&text, &copy);
        const gf_status st = gf__buffer_status(&text, err);
        if (st == GF_OK)
            gf__sha256_hex(text.data, text.size, op->identity);
        gf__buffer_free(&text);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

/* hash: the key, or what the file's name is made of. */
static gf_status make_hash(const gf_plan *plan, const char *weights_key, bool is_key,
                           char hash[GF__SHA256_HEX], gf_error *err)
{
    gf__buffer text = {0};
    gf__buffer_printf(&text, "%s of %s\n%s threads %d ", is_key ? "pack" : "file", weights_key,
                      gf_precision_name(plan->options.precision), plan->n_inner_threads);
    gf__dnnl_describe(&text);
    for (size_t i = 0; i < plan->program.n_ops; i++) {
        const gf__op *op = &plan->program.ops[i];
        if (op->layer == NULL && op->norm == NULL)
            continue;
        if (is_key)
            describe_op(&text, op);
        else
            describe_layers(&text, &plan->program, op);
    }
    gf_status st = gf__buffer_status(&text, err);
    if (st == GF_OK)
        gf__sha256_hex(text.data, text.size, hash);
    gf__buffer_free(&text);
    return st;
}

static void fill_header(pack_header *header, const gf_plan *plan, const char *key)
{
    *header = (pack_header){.data_bytes = plan->weights_bytes};
    memcpy(header->magic, MAGIC, sizeof header->magic);
    memcpy(header->key, key, GF__SHA256_HEX);
}

/* ---- reading ---- */

struct gf__pack_file {
    char *path;
    gf__mapping mapping; /* no data: there is no such file */
    bool is_whole;       /* by its own checksum; known when the thread has ended */
    bool has_thread;
    pthread_t thread;
};

static void *check_whole(void *argument)
{
    gf__pack_file *file = argument;
    const size_t n_around = sizeof(pack_header) + sizeof(pack_trailer);
    checksum sum = {{1, 2, 3, 4}};
    pack_trailer trailer;
    file->is_whole = false;
    if (file->mapping.data == NULL || file->mapping.size < n_around)
        return NULL;
    const uint8_t *data = file->mapping.data + sizeof(pack_header);
    const size_t data_bytes = file->mapping.size - n_around;
    checksum_add(&sum, data, data_bytes);
    memcpy(&trailer, data + data_bytes, sizeof trailer);
    file->is_whole = trailer.checksum == checksum_value(&sum);
    return NULL;
}

static char *pack_path(const gf_plan *plan, const char *dir, const char *hash)
{
    char *name = gf__asprintf("%s-%.32s.pack", gf_precision_name(plan->options.precision), hash);
    char *path = name != NULL ? gf__path_join(dir, name) : NULL;
    gf__free(name);
    return path;
}

gf_status gf__packs_begin(gf_plan *plan, const gf_plan_options *options, gf_error *err)
{
    char hash[GF__SHA256_HEX];
    if (options->pack_dir == NULL)
        return GF_OK;
    const gf_status st = make_hash(plan, options->weights_key, false, hash, err);
    if (st != GF_OK)
        return st;
    gf__pack_file *file = gf__calloc(1, sizeof *file);
    if (file == NULL)
        return gf__error_nomem(err, "a pack file", sizeof *file);
    plan->pack_file = file;
    file->path = pack_path(plan, options->pack_dir, hash);
    if (file->path == NULL)
        return gf__error_nomem(err, "a file name", 0);
    if (gf__map_file(file->path, &file->mapping, NULL) == GF_OK)
        file->has_thread = pthread_create(&file->thread, NULL, check_whole, file) == 0;
    return GF_OK;
}

static void finish_check(gf__pack_file *file)
{
    if (file->has_thread)
        pthread_join(file->thread, NULL);
    else
        check_whole(file);
    file->has_thread = false;
}

void gf__packs_end(gf_plan *plan)
{
    gf__pack_file *file = plan->pack_file;
    if (file == NULL)
        return;
    if (file->has_thread)
        pthread_join(file->thread, NULL);
    gf__unmap(&file->mapping);
    gf__free(file->path);
    gf__free(file);
    plan->pack_file = NULL;
}

/* The plan's weights from the file, if it is whole and the one that is wanted. */
static bool take_pack(gf_plan *plan, const char *key)
{
    gf__pack_file *file = plan->pack_file;
    pack_header wanted;
    finish_check(file);
    fill_header(&wanted, plan, key);
    if (!file->is_whole ||
        file->mapping.size != sizeof wanted + plan->weights_bytes + sizeof(pack_trailer) ||
        memcmp(file->mapping.data, &wanted, sizeof wanted) != 0)
        return false;
    plan->pack = file->mapping;
    plan->weights = plan->pack.data + sizeof wanted;
    file->mapping = (gf__mapping){0}; /* the plan's now */
    return true;
}

/* ---- writing ---- */

/* Packs one operation and writes it: never more than one layer's weights in memory. */
static gf_status write_op(const gf_plan *plan, const gf__op *op, gf__writer *writer, checksum *sum,
                          gf_error *err)
{
    const size_t weights_bytes = gf__align(op->weights.size_bytes);
    const size_t n_bytes = weights_bytes + gf__align(op->bias.size_bytes);
    uint8_t *bytes = gf__alloc_aligned(n_bytes);
    if (bytes == NULL)
        return gf__error_nomem(err, "packed weights", n_bytes);
    gf_status st = gf__weights_pack(plan, op, bytes, bytes + weights_bytes, err);
    if (st == GF_OK) {
        gf__writer_write(writer, bytes, n_bytes);
        checksum_add(sum, bytes, n_bytes);
    }
    gf__free(bytes);
    return st;
}

static gf_status write_pack(const gf_plan *plan, const char *dir, const char *path, const char *key,
                            gf_error *err)
{
    gf__writer *writer = NULL;
    pack_header header;
    checksum sum = {{1, 2, 3, 4}};
    gf_status st = gf__make_dirs(dir, err);
    if (st != GF_OK)
        return st;
    st = gf__writer_open(path, &writer, err);
    if (st != GF_OK)
        return st;
    fill_header(&header, plan, key);
    gf__writer_write(writer, &header, sizeof header);
    for (size_t i = 0; st == GF_OK && i < plan->program.n_ops; i++)
        if (plan->program.ops[i].bias.size_bytes > 0)
            st = write_op(plan, &plan->program.ops[i], writer, &sum, err);
    if (st != GF_OK) {
        gf__writer_abort(writer);
        return st;
    }
    const pack_trailer trailer = {.checksum = checksum_value(&sum)};
    gf__writer_write(writer, &trailer, sizeof trailer);
    return gf__writer_commit(writer, err);
}

static gf_status pack_in_memory(gf_plan *plan, gf_error *err)
{
    plan->owned_weights = gf__alloc_aligned(plan->weights_bytes);
    if (plan->owned_weights == NULL)
        return gf__error_nomem(err, "packed weights", plan->weights_bytes);
    plan->weights = plan->owned_weights;
    for (size_t i = 0; i < plan->program.n_ops; i++) {
        const gf__op *op = &plan->program.ops[i];
        if (op->bias.size_bytes == 0)
            continue;
        gf_status st = gf__weights_pack(plan, op, plan->owned_weights + op->weights.offset,
                                        plan->owned_weights + op->bias.offset, err);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

static const gf__op *find_lent(const gf_plan *lender, const gf__op *wanted)
{
    for (size_t i = 0; i < lender->program.n_ops; i++) {
        const gf__op *op = &lender->program.ops[i];
        if (wanted->identity[0] != '\0' && strcmp(op->identity, wanted->identity) == 0 &&
            op->weights.size_bytes == wanted->weights.size_bytes &&
            op->bias.size_bytes == wanted->bias.size_bytes)
            return op;
    }
    return NULL;
}

static gf_status pack_rest(gf_plan *plan, size_t n_bytes, gf_error *err)
{
    plan->owned_weights = gf__alloc_aligned(n_bytes);
    if (plan->owned_weights == NULL)
        return gf__error_nomem(err, "packed weights", n_bytes);
    uint8_t *at = plan->owned_weights;
    for (size_t i = 0; i < plan->program.n_ops; i++) {
        gf__op *op = &plan->program.ops[i];
        if (op->bias.size_bytes == 0 || op->bias_at != NULL)
            continue;
        uint8_t *bias = at + gf__align(op->weights.size_bytes);
        const gf_status st = gf__weights_pack(plan, op, at, bias, err);
        if (st != GF_OK)
            return st;
        op->weights_at = at;
        op->bias_at = bias;
        at = bias + gf__align(op->bias.size_bytes);
    }
    return GF_OK;
}

gf_status gf__packs_borrow(gf_plan *plan, const gf_plan *lender, gf_error *err)
{
    size_t n_missing = 0;
    gf_status st = identify(plan, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < plan->program.n_ops; i++) {
        gf__op *op = &plan->program.ops[i];
        const gf__op *lent = op->bias.size_bytes > 0 ? find_lent(lender, op) : NULL;
        if (lent != NULL) {
            op->weights_at = lent->weights_at;
            op->bias_at = lent->bias_at;
        } else if (op->bias.size_bytes > 0) {
            n_missing += gf__align(op->weights.size_bytes) + gf__align(op->bias.size_bytes);
        }
    }
    plan->owned_bytes = n_missing;
    return n_missing > 0 ? pack_rest(plan, n_missing, err) : GF_OK;
}

static gf_status load(gf_plan *plan, const gf_plan_options *options, gf_error *err)
{
    char key[GF__SHA256_HEX];
    gf__pack_file *file = plan->pack_file;
    if (file == NULL || plan->weights_bytes == 0)
        return pack_in_memory(plan, err);
    gf_status st = make_hash(plan, options->weights_key, true, key, err);
    if (st != GF_OK)
        return st;
    if (take_pack(plan, key))
        return GF_OK;
    gf__unmap(&file->mapping);
    if (write_pack(plan, options->pack_dir, file->path, key, NULL) == GF_OK &&
        gf__map_file(file->path, &file->mapping, NULL) == GF_OK && take_pack(plan, key))
        return GF_OK;
    /* A full disk or a folder that cannot be written costs the time of packing, nothing else.
     * Weights that are missing fail again here, and are reported. */
    return pack_in_memory(plan, err);
}

gf_status gf__packs_load(gf_plan *plan, const gf_plan_options *options, gf_error *err)
{
    gf_status st = load(plan, options, err);
    if (st == GF_OK)
        st = identify(plan, err);
    plan->owned_bytes = plan->weights_bytes;
    for (size_t i = 0; st == GF_OK && i < plan->program.n_ops; i++) {
        gf__op *op = &plan->program.ops[i];
        if (op->bias.size_bytes == 0)
            continue;
        op->weights_at = plan->weights + op->weights.offset;
        op->bias_at = plan->weights + op->bias.offset;
    }
    return st;
}
