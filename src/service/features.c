/* service/features.c: the output of any layers, for one picture or a whole data set, as arrays in
 * memory and in files. */
#include <string.h>

#include "service/service_priv.h"

static gf_status resolve_layers(const gf_features_request *r, const gf_graph *graph,
                                gf_features_result *result, gf_output_spec *specs, gf_error *err)
{
    static const char *const preset[] = {"avg_pool"};
    const gf_pool spatial = r->has_pool ? r->pool : result->is_dataset ? GF_POOL_AVG : GF_POOL_NONE;
    const char *const *names = r->n_layers > 0 ? r->layers : preset;
    for (size_t i = 0; i < result->n_layers; i++) {
        bool needs_pool = false;
        const gf_status st = gf__zoo_resolve_cut(graph, names[i], &specs[i].layer, &needs_pool,
                                                 err);
        if (st != GF_OK)
            return st;
        /* "avg_pool" means pooled by its average whatever --pool says, also where the network has
         * no layer of that name. */
        const bool is_avg_pool = strcmp(names[i], "avg_pool") == 0;
        specs[i].pool = !needs_pool ? GF_POOL_NONE : is_avg_pool ? GF_POOL_AVG : spatial;
        result->layers[i] = gf__strdup(is_avg_pool ? names[i] : specs[i].layer);
        if (result->layers[i] == NULL)
            return gf__error_nomem(err, "layer name", 0);
    }
    return GF_OK;
}

/* Gives tensors (n, size) the layer's own shape: (n, height, width, channels). */
static gf_status shape_tensor(const gf_extractor *extractor, size_t output, size_t n,
                              gf_tensor **tensor, gf_error *err)
{
    size_t shape[4] = {n};
    const size_t n_dims = gf_extractor_output_shape(extractor, output, shape + 1);
    const size_t size = gf_extractor_output_size(extractor, output);
    gf_tensor *shaped = NULL;
    const gf_status st = gf_tensor_new(GF_DTYPE_F32, shape, n_dims + 1, &shaped, err);
    if (st != GF_OK)
        return st;
    memcpy(gf_tensor_mutable_data(shaped), gf_tensor_data(*tensor), n * size * sizeof(float));
    gf_tensor_free(*tensor);
    *tensor = shaped;
    return GF_OK;
}

static gf_status extract_picture(const gf_features_request *r, gf_extractor *extractor,
                                 gf_features_result *result, gf_error *err)
{
    gf__mapping file = {0};
    float **rows = gf__calloc(result->n_layers, sizeof *rows);
    gf_status st = rows != NULL ? GF_OK : gf__error_nomem(err, "rows", 0);
    if (st == GF_OK)
        st = gf__map_file(r->source, &file, err);
    for (size_t i = 0; i < result->n_layers && st == GF_OK; i++) {
        size_t shape[4] = {1};
        const size_t n_dims = gf_extractor_output_shape(extractor, i, shape + 1);
        st = gf_tensor_new(GF_DTYPE_F32, shape, n_dims + 1, &result->features[i], err);
        if (st == GF_OK)
            rows[i] = gf_tensor_mutable_data(result->features[i]);
    }
    if (st == GF_OK) {
        st = gf_extractor_picture(extractor, file.data, file.size, rows, NULL, err);
        if (st != GF_OK)
            gf__error_prefix(err, "%s", r->source);
    }
    if (st == GF_OK) {
        result->n_items = 1;
        result->items = gf__calloc(1, sizeof *result->items);
        if (result->items != NULL)
            result->items[0] = gf__strdup(r->source);
        if (result->items == NULL || result->items[0] == NULL)
            st = gf__error_nomem(err, "name", 0);
    }
    gf__unmap(&file);
    gf__free(rows);
    return st;
}

static gf_status take_items(gf__part *part, gf_features_result *result, gf_error *err)
{
    result->items = gf__calloc(part->n, sizeof *result->items);
    if (result->items == NULL)
        return gf__error_nomem(err, "names", part->n * sizeof *result->items);
    result->n_items = part->n;
    for (size_t i = 0; i < part->n; i++) {
        result->items[i] = gf__strdup(gf_dataset_item_at(part->dataset, part->items[i]));
        if (result->items[i] == NULL)
            return gf__error_nomem(err, "names", 0);
    }
    result->labels = part->labels;
    part->labels = NULL;
    result->n_skipped = part->n_skipped;
    result->n_cached = part->n_cached;
    return gf__class_names_copy(part->dataset, &result->class_names, &result->n_classes, err);
}

static gf_status extract_dataset(const gf_features_request *r, gf_extractor *extractor,
                                 const gf_observer *obs, gf_features_result *result, gf_error *err)
{
    gf_dataset *dataset = NULL;
    gf__part part = {0};
    gf_status st = gf_dataset_open(r->source, NULL, obs, &dataset, err);
    if (st == GF_OK)
        st = gf__dataset_wants_pictures(dataset, err);
    if (st == GF_OK)
        st = gf__part_init(&part, dataset, NULL, 0, NULL, 0, err);
    if (st == GF_OK)
        st = gf__part_extract(&part, extractor, obs, err);
    for (size_t i = 0; i < result->n_layers && st == GF_OK; i++) {
        st = shape_tensor(extractor, i, part.n, &part.features[i], err);
        if (st == GF_OK) {
            result->features[i] = part.features[i];
            part.features[i] = NULL;
        }
    }
    if (st == GF_OK)
        st = take_items(&part, result, err);
    gf__part_free(&part);
    gf_dataset_free(dataset);
    return st;
}

/* The pictures of one shard, a piece in a row, into the cache. */
static gf_status fill_cache(const gf_features_request *r, const gf_dataset *dataset,
                            gf_extractor *extractor, const gf_observer *obs,
                            gf_features_result *result, gf_error *err)
{
    const size_t n_all = gf_dataset_n_items(dataset), each = n_all / r->n_shards;
    const size_t rest = n_all % r->n_shards;
    const size_t first = each * r->shard + (r->shard < rest ? r->shard : rest);
    const size_t n = each + (r->shard < rest);
    size_t *items = gf__calloc(n, sizeof *items);
    bool *is_bad = gf__calloc(n, sizeof *is_bad);
    const gf_extract_request request = {
        .items = items, .n_items = n, .is_bad = is_bad, .n_cached = &result->n_cached};
    gf_status st = items != NULL && is_bad != NULL ? GF_OK : gf__error_nomem(err, "items", n);
    for (size_t i = 0; i < n && st == GF_OK; i++)
        items[i] = first + i;
    if (st == GF_OK && n > 0)
        st = gf_extractor_dataset(extractor, dataset, &request, obs, result->features, err);
    for (size_t i = 0; i < n && st == GF_OK; i++)
        result->n_skipped += is_bad[i];
    result->n_items = n - result->n_skipped;
    for (size_t i = 0; i < result->n_layers; i++) {
        gf_tensor_free(result->features[i]);
        result->features[i] = NULL;
    }
    gf__free(is_bad);
    gf__free(items);
    return st;
}

static gf_status extract_shard(const gf_features_request *r, gf_extractor *extractor,
                               const gf_observer *obs, gf_features_result *result, gf_error *err)
{
    gf_dataset *dataset = NULL;
    gf_status st = gf_dataset_open(r->source, NULL, obs, &dataset, err);
    if (st == GF_OK)
        st = gf__dataset_wants_pictures(dataset, err);
    if (st == GF_OK)
        st = fill_cache(r, dataset, extractor, obs, result, err);
    gf_dataset_free(dataset);
    return st;
}

/* A file that begins like a picture is one; everything else is opened as a data set. */
static gf_status is_picture(const char *path, bool *out, gf_error *err)
{
    gf__mapping file = {0};
    gf_image_info info;
    *out = false;
    if (gf__is_dir(path))
        return GF_OK;
    const gf_status st = gf__map_file(path, &file, err);
    if (st != GF_OK)
        return st;
    const char *extension = gf__path_extension(path);
    static const char *const dataset_endings[] = {".npz", ".csv", ".jsonl", ".json", ".tsv"};
    bool is_dataset = false;
    for (size_t i = 0; i < sizeof dataset_endings / sizeof dataset_endings[0]; i++)
        is_dataset = is_dataset || strcmp(extension, dataset_endings[i]) == 0;
    *out = !is_dataset || gf_image_read_info(file.data, file.size, &info, NULL) == GF_OK;
    gf__unmap(&file);
    return GF_OK;
}

static gf_status run_request(const gf_features_request *r, const gf_observer *obs,
                             gf_features_result *result, gf_error *err)
{
    gf_trunk *trunk = NULL;
    gf_extractor *extractor = NULL;
    bool is_one_picture = false;
    gf_output_spec *specs = gf__calloc(result->n_layers, sizeof *specs);
    result->layers = gf__calloc(result->n_layers, sizeof *result->layers);
    result->features = gf__calloc(result->n_layers, sizeof *result->features);
    gf_status st = GF_OK;
    if (specs == NULL || result->layers == NULL || result->features == NULL)
        st = gf__error_nomem(err, "layers", 0);
    if (st == GF_OK)
        st = is_picture(r->source, &is_one_picture, err);
    result->is_dataset = !is_one_picture;
    if (st == GF_OK && r->n_shards > 0 && (is_one_picture || r->shard >= r->n_shards))
        st = gf_error_set(err, GF_EINVAL,
                          "shard %zu of %zu of %s: expected a data set and a shard from 0 to %zu",
                          r->shard, r->n_shards, r->source, r->n_shards - 1);
    if (st == GF_OK)
        st = gf_trunk_load(r->context.home, r->trunk, &trunk, err);
    if (st == GF_OK)
        st = resolve_layers(r, gf_trunk_graph(trunk), result, specs, err);
    if (st == GF_OK)
        st = gf__service_extractor(&r->context, trunk, specs, result->n_layers, r->precision,
                                   !is_one_picture, &extractor, err);
    if (st == GF_OK && r->n_shards > 0)
        st = extract_shard(r, extractor, obs, result, err);
    else if (st == GF_OK)
        st = is_one_picture ? extract_picture(r, extractor, result, err)
                            : extract_dataset(r, extractor, obs, result, err);
    gf_extractor_free(extractor);
    gf_trunk_free(trunk);
    gf__free(specs);
    return st;
}

gf_status gf_service_features(const gf_features_request *request, const gf_observer *obs,
                              gf_features_result **out, gf_error *err)
{
    *out = NULL;
    gf_features_result *result = gf__calloc(1, sizeof *result);
    if (result == NULL)
        return gf__error_nomem(err, "result", sizeof *result);
    result->n_layers = request->n_layers > 0 ? request->n_layers : 1;
    const gf_status st = run_request(request, obs, result, err);
    if (st == GF_OK) {
        *out = result;
        result = NULL;
    }
    gf_features_result_free(result);
    return st;
}

void gf_features_result_free(gf_features_result *result)
{
    if (result == NULL)
        return;
    for (size_t i = 0; i < result->n_layers && result->features != NULL; i++)
        gf_tensor_free(result->features[i]);
    gf__free(result->features);
    gf__strings_free(result->layers, result->n_layers);
    if (result->items != NULL)
        gf__strings_free(result->items, result->n_items);
    gf__strings_free(result->class_names, result->n_classes);
    gf__free(result->labels);
    gf__free(result);
}

static gf_status save_npz(const gf_features_result *result, const char *path, gf_error *err)
{
    gf_tensor *labels = NULL;
    gf_npz_member *members = gf__calloc(result->n_layers + 3, sizeof *members);
    gf_status st = members != NULL ? GF_OK : gf__error_nomem(err, "members", 0);
    size_t n = 0;
    for (size_t i = 0; i < result->n_layers && st == GF_OK; i++)
        members[n++] = (gf_npz_member){.name = result->n_layers == 1 ? "features"
                                                                     : result->layers[i],
                                       .tensor = result->features[i]};
    if (st == GF_OK && result->is_dataset) {
        st = gf_tensor_new(GF_DTYPE_I64, &result->n_items, 1, &labels, err);
        for (size_t i = 0; i < result->n_items && st == GF_OK; i++)
            ((int64_t *)gf_tensor_mutable_data(labels))[i] = (int64_t)result->labels[i];
        members[n++] = (gf_npz_member){.name = "labels", .tensor = labels};
        members[n++] = (gf_npz_member){.name = "classes",
                                       .strings = (const char *const *)result->class_names,
                                       .n_strings = result->n_classes};
        members[n++] = (gf_npz_member){.name = "items",
                                       .strings = (const char *const *)result->items,
                                       .n_strings = result->n_items};
    }
    if (st == GF_OK)
        st = gf_npz_save(path, members, n, false, err);
    gf_tensor_free(labels);
    gf__free(members);
    return st;
}

gf_status gf_features_save(const gf_features_result *result, const char *path, gf_error *err)
{
    const char *ending = gf__path_extension(path);
    if (strcmp(ending, ".npz") == 0)
        return save_npz(result, path, err);
    if (strcmp(ending, ".npy") != 0)
        return gf_error_set(err, GF_EINVAL, "%s: expected a name that ends in .npy or .npz", path);
    if (result->n_layers != 1)
        return gf_error_set(err, GF_EINVAL, "%s: an .npy holds one layer, not %zu; use .npz", path,
                            result->n_layers);
    return gf_npy_save(path, result->features[0], err);
}
