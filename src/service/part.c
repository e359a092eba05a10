/* service/part.c: a part of a data set: its items, their labels in the model's numbering, their
 * features. */
#include <string.h>

#include "service/service_priv.h"

/* Class numbers of the data set -> numbers of the model. */
static gf_status map_classes(const gf_dataset *dataset, const char *const *class_names,
                             size_t n_classes, size_t *map, gf_error *err)
{
    for (size_t k = 0; k < gf_dataset_n_classes(dataset); k++) {
        const char *name = gf_dataset_class_at(dataset, k);
        size_t found = n_classes;
        for (size_t j = 0; j < n_classes && found == n_classes; j++)
            if (strcmp(class_names[j], name) == 0)
                found = j;
        if (found == n_classes)
            return gf_error_set(err, GF_EMISMATCH,
                                "%s: class %s is not one of the model's %zu classes (%s, ...)",
                                gf_dataset_path(dataset), name, n_classes, class_names[0]);
        map[k] = found;
    }
    return GF_OK;
}

static gf_status fill_labels(gf__part *part, const char *const *class_names, size_t n_classes,
                             gf_error *err)
{
    const size_t n_own = gf_dataset_n_classes(part->dataset);
    size_t *map = gf__calloc(n_own, sizeof *map);
    if (map == NULL)
        return gf__error_nomem(err, "class numbers", n_own * sizeof *map);
    gf_status st = GF_OK;
    if (class_names != NULL)
        st = map_classes(part->dataset, class_names, n_classes, map, err);
    else
        for (size_t k = 0; k < n_own; k++)
            map[k] = k;
    for (size_t i = 0; i < part->n && st == GF_OK; i++)
        part->labels[i] = map[gf_dataset_label_at(part->dataset, part->items[i])];
    gf__free(map);
    return st;
}

gf_status gf__part_init(gf__part *part, const gf_dataset *dataset, const size_t *items,
                        size_t n_items, const char *const *class_names, size_t n_classes,
                        gf_error *err)
{
    *part = (gf__part){.dataset = dataset};
    part->n = items != NULL ? n_items : gf_dataset_n_items(dataset);
    part->items = gf__calloc(part->n, sizeof *part->items);
    part->labels = gf__calloc(part->n, sizeof *part->labels);
    if (part->items == NULL || part->labels == NULL)
        return gf__error_nomem(err, "item numbers", part->n * sizeof *part->items);
    for (size_t i = 0; i < part->n; i++)
        part->items[i] = items != NULL ? items[i] : i;
    return fill_labels(part, class_names, n_classes, err);
}

/* Moves the readable items, their labels and rows together. Fewer rows stay in tensors of the old
 * size: n says how many count. */
static void drop_bad(gf__part *part, const bool *is_bad)
{
    size_t n = 0;
    for (size_t i = 0; i < part->n; i++) {
        if (is_bad[i])
            continue;
        part->items[n] = part->items[i];
        part->labels[n] = part->labels[i];
        for (size_t o = 0; o < part->n_outputs; o++) {
            const size_t row = gf_tensor_shape(part->features[o])[1] * sizeof(float);
            char *rows = gf_tensor_mutable_data(part->features[o]);
            memmove(rows + n * row, rows + i * row, row);
        }
        n++;
    }
    part->n_skipped = part->n - n;
    part->n = n;
}

static gf_status begin_plain(gf__part *part, const gf_extractor *extractor, gf_error *err)
{
    part->n_outputs = gf_extractor_n_outputs(extractor);
    part->n_views = 1;
    part->features = gf__calloc(part->n_outputs, sizeof *part->features);
    part->is_bad = gf__calloc(part->n > 0 ? part->n : 1, sizeof *part->is_bad);
    if (part->features == NULL || part->is_bad == NULL)
        return gf__error_nomem(err, "features", part->n_outputs * sizeof *part->features);
    return GF_OK;
}

static gf_status end_plain(gf__part *part, gf_error *err)
{
    drop_bad(part, part->is_bad);
    if (part->n == 0)
        return gf_error_set(err, GF_EFORMAT, "%s: none of the %zu pictures can be read",
                            gf_dataset_path(part->dataset), part->n_skipped);
    return GF_OK;
}

/* Parts of one data set. */
static gf_status extract_plain(gf__part *const *parts, size_t n_parts, gf_extractor *extractor,
                               const gf_observer *obs, gf_error *err)
{
    gf__extract_list lists[2];
    gf_status st = GF_OK;
    for (size_t i = 0; i < n_parts && st == GF_OK; i++) {
        gf__part *part = parts[i];
        st = begin_plain(part, extractor, err);
        lists[i] = (gf__extract_list){.request = {.items = part->items,
                                                  .n_items = part->n,
                                                  .is_bad = part->is_bad,
                                                  .n_cached = &part->n_cached},
                                      .out = part->features};
    }
    if (st == GF_OK)
        st = gf__extractor_lists(extractor, parts[0]->dataset, lists, n_parts, obs, err);
    for (size_t i = 0; i < n_parts && st == GF_OK; i++)
        st = end_plain(parts[i], err);
    return st;
}

/* Puts rows below the ones that are there, in a new tensor. */
static gf_status append_rows(gf_tensor **features, size_t n_old, const gf_tensor *more,
                             size_t n_more, gf_error *err)
{
    const size_t size = gf_tensor_shape(more)[1];
    const size_t shape[2] = {n_old + n_more, size};
    gf_tensor *both = NULL;
    const gf_status st = gf_tensor_new(GF_DTYPE_F32, shape, 2, &both, err);
    if (st != GF_OK)
        return st;
    float *rows = gf_tensor_mutable_data(both);
    memcpy(rows, gf_tensor_data(*features), n_old * size * sizeof *rows);
    memcpy(rows + n_old * size, gf_tensor_data(more), n_more * size * sizeof *rows);
    gf_tensor_free(*features);
    *features = both;
    return GF_OK;
}

static gf_status extract_view(gf__part *part, gf_extractor *extractor, const gf_view *view,
                              const gf_observer *obs, gf_error *err)
{
    gf_tensor **more = gf__calloc(part->n_outputs, sizeof *more);
    if (more == NULL)
        return gf__error_nomem(err, "features", part->n_outputs * sizeof *more);
    const gf_extract_request request = {.items = part->items, .n_items = part->n, .view = view};
    gf_status st = gf_extractor_dataset(extractor, part->dataset, &request, obs, more, err);
    for (size_t o = 0; o < part->n_outputs; o++) {
        if (st == GF_OK)
            st = append_rows(&part->features[o], part->n * part->n_views, more[o], part->n, err);
        gf_tensor_free(more[o]);
    }
    gf__free(more);
    if (st == GF_OK)
        part->n_views++;
    return st;
}

gf_status gf__part_extract(gf__part *part, gf_extractor *extractor, const gf_observer *obs,
                           gf_error *err)
{
    return extract_plain(&part, 1, extractor, obs, err);
}

gf_status gf__parts_extract(gf__part *train, gf__part *test, gf_extractor *extractor,
                            const gf_observer *obs, gf_error *err)
{
    gf__part *const parts[2] = {train, test};
    if (train->dataset == test->dataset)
        return extract_plain(parts, 2, extractor, obs, err);
    const gf_status st = extract_plain(&parts[0], 1, extractor, obs, err);
    return st == GF_OK ? extract_plain(&parts[1], 1, extractor, obs, err) : st;
}

gf_status gf__part_extract_views(gf__part *part, gf_extractor *extractor, size_t n_views,
                                 unsigned kinds, uint64_t seed, const gf_observer *obs,
                                 gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t v = 1; v <= n_views && st == GF_OK; v++) {
        const gf_view view = {.kinds = kinds, .seed = seed + v};
        st = extract_view(part, extractor, &view, obs, err);
    }
    return st;
}

gf_status gf__check_one_class(const gf_head *head, gf_error *err)
{
    const gf_head_layer last = gf_head_layer_at(head, gf_head_n_layers(head) - 1);
    if (last.activation != GF_HEAD_SIGMOID)
        return GF_OK;
    return gf_error_set(
        err, GF_EUNSUPPORTED,
        "layer \"%s\" is a sigmoid: its %zu scores are answers of their own, not one class of "
        "several; evaluate() of graft.keras measures such models",
        last.name, last.units);
}

gf_fit_data gf__part_fit_data(const gf__part *part, size_t output)
{
    return (gf_fit_data){.features = gf_tensor_f32(part->features[output]),
                         .labels = part->labels,
                         .n = part->n,
                         .n_views = part->n_views};
}

void gf__part_count(const gf__part *part, size_t *counts)
{
    for (size_t i = 0; i < part->n; i++)
        counts[part->labels[i]]++;
}

void gf__part_free(gf__part *part)
{
    if (part->features != NULL)
        for (size_t o = 0; o < part->n_outputs; o++)
            gf_tensor_free(part->features[o]);
    gf__free(part->features);
    gf__free(part->is_bad);
    gf__free(part->items);
    gf__free(part->labels);
    *part = (gf__part){0};
}

gf_status gf__part_metrics(const gf__part *part, size_t output, const gf_head *head,
                           gf_metrics **out, gf_error *err)
{
    const size_t n_classes = gf_head_n_classes(head);
    const size_t shape[2] = {part->n, n_classes};
    gf_tensor *scores = NULL;
    gf_status st = gf__check_one_class(head, err);
    if (st == GF_OK)
        st = gf_tensor_new(GF_DTYPE_F32, shape, 2, &scores, err);
    if (st == GF_OK)
        st = gf_head_predict(head, gf_tensor_f32(part->features[output]), part->n,
                             gf_tensor_mutable_data(scores), err);
    if (st == GF_OK)
        st = gf_metrics_new(gf_tensor_f32(scores), part->labels, part->n, n_classes, out, err);
    gf_tensor_free(scores);
    return st;
}
