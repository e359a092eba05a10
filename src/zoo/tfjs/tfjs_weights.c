/* tfjs_weights.c: weights of a TensorFlow.js model. The manifest has groups; the shards of a group,
 * put one after another, hold its weights one after another. A weight is float32, or quantised:
 *
 *     uint8, uint16    value = float(q * scale + min), computed in double as tfjs-core does
 *     float16          IEEE half precision
 *
 * In an npm package each shard is a module that exports its bytes as base64. Sizes come from the
 * manifest and from the files, and must agree to the byte; memory is taken for what was read, never
 * for what was promised. */
#include <string.h>

#include "zoo/tfjs/tfjs_priv.h"

#define MAX_WEIGHTS     16384
#define MAX_GROUP_BYTES ((size_t)2 << 30)

typedef struct storage {
    const char *dtype; /* as the manifest writes it */
    size_t value_bytes;
    void (*decode)(const uint8_t *bytes, size_t n, double scale, double min, float *out);
} storage;

typedef struct entry {
    const char *name; /* borrowed from the document */
    const storage *storage;
    double scale, min;
    size_t shape[GF_TENSOR_MAX_DIMS];
    size_t n_dims;
    size_t n_bytes;
} entry;

/* ---- storage ---- */

static uint16_t load_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static void decode_f32(const uint8_t *bytes, size_t n, double scale, double min, float *out)
{
    (void)scale;
    (void)min;
    memcpy(out, bytes, n * sizeof *out);
}

static void decode_f16(const uint8_t *bytes, size_t n, double scale, double min, float *out)
{
    (void)scale;
    (void)min;
    for (size_t i = 0; i < n; i++)
        out[i] = gf__f16_to_f32(load_u16(bytes + 2 * i));
}

static void decode_u8(const uint8_t *bytes, size_t n, double scale, double min, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(bytes[i] * scale + min);
}

static void decode_u16(const uint8_t *bytes, size_t n, double scale, double min, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(load_u16(bytes + 2 * i) * scale + min);
}

static const storage storages[] = {
    {"float32", 4, decode_f32},
    {"float16", 2, decode_f16},
    {"uint8", 1, decode_u8},
    {"uint16", 2, decode_u16},
};
#define N_STORAGES (sizeof storages / sizeof storages[0])

static const storage *find_storage(const char *dtype)
{
    for (size_t i = 0; i < N_STORAGES; i++) {
        if (strcmp(storages[i].dtype, dtype) == 0)
            return &storages[i];
    }
    return NULL;
}

/* ---- the manifest ---- */

static gf_status read_storage(const gf__json *json, entry *e, gf_error *err)
{
    const gf__json *quantization = gf__json_find(json, "quantization");
    const char *dtype = gf__json_string(gf__json_find(json, "dtype"), "");
    if (strcmp(dtype, "float32") != 0)
        return gf_error_set(err, GF_EUNSUPPORTED, "weight \"%.128s\" is %.20s, expected float32",
                            e->name, dtype);
    if (quantization == NULL || gf__json_is_null(quantization)) {
        e->storage = find_storage("float32");
        return GF_OK;
    }
    dtype = gf__json_string(gf__json_find(quantization, "dtype"), "");
    e->storage = find_storage(dtype);
    if (e->storage == NULL || e->storage->decode == decode_f32)
        return gf_error_set(
            err, GF_EUNSUPPORTED,
            "weight \"%.128s\" is quantised to \"%.20s\", expected uint8, uint16 or "
            "float16",
            e->name, dtype);
    if (e->storage->decode == decode_f16)
        return GF_OK;
    gf_status st = gf__json_get_number(quantization, "scale", &e->scale, err);
    if (st == GF_OK)
        st = gf__json_get_number(quantization, "min", &e->min, err);
    if (st != GF_OK)
        gf__error_prefix(err, "weight \"%.128s\"", e->name);
    return st;
}

static gf_status read_shape(const gf__json *json, entry *e, gf_error *err)
{
    const gf__json *shape = gf__json_find(json, "shape");
    size_t n_values = 1;
    e->n_dims = gf__json_n_items(shape);
    bool is_good = gf__json_is_array(shape) && e->n_dims <= GF_TENSOR_MAX_DIMS;
    for (size_t i = 0; is_good && i < e->n_dims; i++) {
        const int64_t side = gf__json_int(gf__json_at(shape, i), -1);
        is_good = side >= 1;
        e->shape[i] = is_good ? (size_t)side : 0;
        is_good = is_good && gf__mul_size(n_values, e->shape[i], &n_values);
    }
    is_good = is_good && gf__mul_size(n_values, e->storage->value_bytes, &e->n_bytes) &&
              e->n_bytes <= MAX_GROUP_BYTES;
    if (!is_good)
        return gf_error_set(err, GF_EFORMAT, "weight \"%.128s\" has no usable shape", e->name);
    return GF_OK;
}

static gf_status read_entry(const gf__json *json, entry *out, gf_error *err)
{
    gf_status st = gf__json_get_string(json, "name", &out->name, err);
    if (st == GF_OK)
        st = read_storage(json, out, err);
    if (st == GF_OK)
        st = read_shape(json, out, err);
    return st;
}

/* ---- shards ---- */

/* A document may not reach out of its folder. */
static bool is_inside(const char *path)
{
    if (path[0] == '\0' || path[0] == '/')
        return false;
    for (const char *part = path; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        const size_t length = strcspn(part, "/");
        if (length == 0 || (length == 2 && part[0] == '.' && part[1] == '.'))
            return false;
    }
    return true;
}

static char *shard_path(const gf__source *source, const char *path)
{
    const int n_folder = (int)(gf__path_base(source->path) - source->path);
    return gf__asprintf("%.*s%s%s", n_folder, source->path, path,
                        source->kind == GF__SOURCE_NPM ? ".min.js" : "");
}

/* The bytes that a module exports as base64. */
static gf_status unwrap_shard(const char *text, size_t size, gf__buffer *data, gf_error *err)
{
    size_t offset, n_bytes = 0;
    uint8_t *bytes = NULL;
    gf__buffer base64 = {0};
    gf_status st = gf__js_find(text, size, ".exports", &offset, err);
    if (st == GF_OK)
        st = gf__js_string(text + offset, size - offset, &base64, NULL, err);
    if (st == GF_OK)
        st = gf__base64_decode(base64.size > 0 ? base64.data : "", base64.size, &bytes, &n_bytes,
                               err);
    if (st == GF_OK)
        gf__buffer_append(data, bytes, n_bytes);
    gf__free(bytes);
    gf__buffer_free(&base64);
    return st;
}

static gf_status read_shard(const gf__source *source, const char *path, size_t limit,
                            gf__buffer *data, gf_error *err)
{
    char *text = NULL;
    size_t size = 0;
    char *full = shard_path(source, path);
    if (full == NULL)
        return gf__error_nomem(err, "a path", strlen(path));
    if (source->kind == GF__SOURCE_NPM)
        limit = limit / 3 * 4 + 65536; /* base64 and the wrapping */
    gf_status st = gf__read_file(full, limit, &text, &size, err);
    if (st != GF_OK)
        goto done;
    if (source->kind == GF__SOURCE_NPM)
        st = unwrap_shard(text, size, data, err);
    else
        gf__buffer_append(data, text, size);
    if (st == GF_OK)
        st = gf__buffer_status(data, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", gf__path_base(full));
done:
    gf__free(text);
    gf__free(full);
    return st;
}

/* All shards of a group, one after another: exactly n_bytes. */
static gf_status read_shards(const gf__source *source, const gf__json *group, size_t n_bytes,
                             const gf_observer *obs, gf__buffer *data, gf_error *err)
{
    const gf__json *paths;
    gf_status st = gf__json_get_array(group, "paths", &paths, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < gf__json_n_items(paths); i++) {
        const char *path = gf__json_string(gf__json_at(paths, i), "");
        if (!is_inside(path))
            return gf_error_set(err, GF_EFORMAT,
                                "paths[%zu] \"%.60s\" is not a file beside the document", i, path);
        st = read_shard(source, path, n_bytes - data->size + 1, data, err);
        if (st != GF_OK)
            return st;
        if (data->size > n_bytes)
            break;
        st = gf__observe_progress(obs, "import", data->size, n_bytes, path, err);
        if (st != GF_OK)
            return st;
    }
    if (data->size != n_bytes)
        return gf_error_set(err, GF_EFORMAT, "the shards hold %s %zu bytes, the weights need %zu",
                            data->size > n_bytes ? "at least" : "only", data->size, n_bytes);
    return GF_OK;
}

/* ---- into the graph ---- */

static const char *graft_weight_name(const char *name)
{
    return strcmp(name, "depthwise_kernel") == 0 ? "kernel" : name;
}

/* "conv2d_1/kernel", or with scopes before the layer's name: "sequential/conv2d_1/kernel". */
static size_t find_layer(const gf_graph *graph, const char *name, size_t length)
{
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const char *layer = gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)i));
        const size_t n = strlen(layer);
        if (n <= length && memcmp(name + length - n, layer, n) == 0 &&
            (n == length || name[length - n - 1] == '/'))
            return i;
    }
    return gf_graph_n_layers(graph);
}

static gf_status decode_entry(const entry *e, const uint8_t *bytes, gf_tensor **out, gf_error *err)
{
    const gf_status st = gf_tensor_new(GF_DTYPE_F32, e->shape, e->n_dims, out, err);
    if (st == GF_OK)
        e->storage->decode(bytes, gf_tensor_n_values(*out), e->scale, e->min,
                           gf_tensor_mutable_data(*out));
    return st;
}

static gf_status set_entry(gf_graph *graph, const entry *e, const uint8_t *bytes, gf_error *err)
{
    const char *slash = strrchr(e->name, '/');
    const size_t length = slash != NULL ? (size_t)(slash - e->name) : 0;
    const size_t layer = find_layer(graph, e->name, length);
    if (slash == NULL || layer == gf_graph_n_layers(graph))
        return gf_error_set(err, GF_EMISMATCH,
                            "weight \"%.128s\" belongs to no layer of the topology", e->name);
    const char *weight = graft_weight_name(slash + 1);
    if (gf_layer_weight(gf_graph_layer_at(graph, (ptrdiff_t)layer), weight) != NULL)
        return gf_error_set(err, GF_EFORMAT, "weight \"%.128s\" is there twice", e->name);
    gf_tensor *tensor = NULL;
    gf_status st = decode_entry(e, bytes, &tensor, err);
    if (st != GF_OK)
        return st;
    st = gf__graph_set_weight(graph, layer, weight, tensor, err);
    if (st != GF_OK)
        gf_tensor_free(tensor);
    return st;
}

static gf_status check_complete(const gf_graph *graph, gf_error *err)
{
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++) {
            if (gf__layer_weight_at(layer, k) == NULL)
                return gf_error_set(err, GF_EFORMAT,
                                    "layer \"%s\": its %s is not in weightsManifest",
                                    gf_layer_name(layer), gf__layer_weight_name(layer, k));
        }
    }
    return GF_OK;
}

/* "uint8", or "uint8/float16" where a file mixes them. */
static void note_storage(const storage *used, bool seen[N_STORAGES], gf__buffer *text)
{
    bool is_first = true;
    const size_t i = (size_t)(used - storages);
    for (size_t k = 0; k < N_STORAGES; k++)
        is_first = is_first && !seen[k];
    if (!seen[i])
        gf__buffer_printf(text, "%s%s", is_first ? "" : "/", used->dtype);
    seen[i] = true;
}

static gf_status read_entries(const gf__json *list, entry *entries, size_t *n_bytes, gf_error *err)
{
    *n_bytes = 0;
    for (size_t i = 0; i < gf__json_n_items(list); i++) {
        const gf_status st = read_entry(gf__json_at(list, i), &entries[i], err);
        if (st != GF_OK)
            return st;
        *n_bytes += entries[i].n_bytes; /* each below 2 GiB, at most MAX_WEIGHTS: cannot wrap */
    }
    if (*n_bytes > MAX_GROUP_BYTES)
        return gf_error_set(err, GF_ELIMIT, "the weights need %zu bytes, at most %zu are read",
                            *n_bytes, MAX_GROUP_BYTES);
    return GF_OK;
}

static gf_status read_group(const gf__source *source, const gf__json *group, gf_graph *graph,
                            const gf_observer *obs, bool seen[N_STORAGES], gf__buffer *storage_text,
                            gf_error *err)
{
    const gf__json *list;
    gf__buffer data = {0};
    entry *entries = NULL;
    size_t n_bytes, offset = 0;
    gf_status st = gf__json_get_array(group, "weights", &list, err);
    if (st != GF_OK)
        return st;
    const size_t n = gf__json_n_items(list);
    if (n > MAX_WEIGHTS)
        return gf_error_set(err, GF_ELIMIT, "weightsManifest has more than %d weights",
                            MAX_WEIGHTS);
    entries = gf__calloc(n, sizeof *entries);
    if (entries == NULL)
        return gf__error_nomem(err, "weights", n * sizeof *entries);
    st = read_entries(list, entries, &n_bytes, err);
    if (st != GF_OK)
        goto done;
    st = read_shards(source, group, n_bytes, obs, &data, err);
    if (st != GF_OK)
        goto done;
    for (size_t i = 0; i < n; i++) {
        st = set_entry(graph, &entries[i], (const uint8_t *)data.data + offset, err);
        if (st != GF_OK)
            goto done;
        offset += entries[i].n_bytes;
        note_storage(entries[i].storage, seen, storage_text);
    }
done:
    gf__buffer_free(&data);
    gf__free(entries);
    return st;
}

gf_status gf__tfjs_read_weights(const gf__source *source, const gf__json *manifest, gf_graph *graph,
                                const gf_observer *obs, gf__buffer *storage_text, gf_error *err)
{
    bool seen[N_STORAGES] = {false};
    for (size_t i = 0; i < gf__json_n_items(manifest); i++) {
        const gf_status st = read_group(source, gf__json_at(manifest, i), graph, obs, seen,
                                        storage_text, err);
        if (st != GF_OK)
            return st;
    }
    return check_complete(graph, err);
}
