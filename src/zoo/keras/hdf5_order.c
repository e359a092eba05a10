/* hdf5_order.c: whose the weights of one group of an HDF5 file are. A plain layer's are in its own order. A
 * model that is a layer has all of its layers' weights in one list: those that are trained first, then
 * all others. What is trained is not the same in every Keras where a model is frozen and a layer of it is
 * not, so the names are asked first ("conv2d/kernel:0", with scopes before); they say nothing where
 * layers were called otherwise after they were made, and then the order is followed, if it is known and
 * the kinds of weights agree with it. */
#include <string.h>

#include "zoo/keras/keras_priv.h"

typedef struct slot {
    gf__weight_place place;
    const char *layer;  /* as the document calls it */
    const char *weight; /* "kernel" */
    bool is_trained;
    bool is_used;
} slot;

typedef struct slots {
    slot *items;
    size_t n;
} slots;

/* ---- the weights of an entry ----------------------------------------------------------------- */

static const gf_layer *layer_at(const gf_graph *graph, const gf__config_entry *entry)
{
    return entry->layer == SIZE_MAX ? NULL : gf_graph_layer_at(graph, (ptrdiff_t)entry->layer);
}

size_t gf__hdf5_n_weights(const gf_graph *graph, const gf__config_notes *notes, size_t i)
{
    size_t n = 0;
    for (size_t k = i; k <= i + notes->entries[i].n_inner; k++) {
        const gf_layer *layer = layer_at(graph, &notes->entries[k]);
        n += layer != NULL ? gf__layer_n_weights(layer) : 0;
    }
    return n;
}

static void add_slots(const gf_layer *layer, const gf__config_entry *entry, slots *out)
{
    for (size_t k = 0; k < gf__layer_n_weights(layer); k++) {
        const char *weight = gf__layer_weight_name(layer, k);
        out->items[out->n++] = (slot){.place = {entry->layer, k},
                                      .layer = entry->name,
                                      .weight = weight,
                                      .is_trained = gf_layer_is_trainable(layer) &&
                                                    strncmp(weight, "moving_", 7) != 0};
    }
}

static gf_status list_slots(const gf_graph *graph, const gf__config_notes *notes, size_t i,
                            slots *out, gf_error *err)
{
    const size_t n = gf__hdf5_n_weights(graph, notes, i);
    out->items = gf__calloc(n, sizeof *out->items);
    if (out->items == NULL)
        return gf__error_nomem(err, "weights", n * sizeof *out->items);
    for (size_t k = i; k <= i + notes->entries[i].n_inner; k++) {
        const gf_layer *layer = layer_at(graph, &notes->entries[k]);
        if (layer != NULL)
            add_slots(layer, &notes->entries[k], out);
    }
    return GF_OK;
}

/* ---- by name --------------------------------------------------------------------------------- */

/* A name taken apart: "scope/conv2d/depthwise_kernel:0" is "conv2d" and "kernel". */
typedef struct parts {
    const char *layer, *weight;
    size_t n_layer, n_weight;
} parts;

static parts take_apart(const char *name)
{
    static const char depthwise[] = "depthwise_";
    const char *slash = strrchr(name, '/');
    const char *end = slash != NULL ? slash : name;
    parts p = {.layer = end, .weight = slash != NULL ? slash + 1 : name};
    while (p.layer > name && p.layer[-1] != '/')
        p.layer--;
    p.n_layer = (size_t)(end - p.layer);
    if (strncmp(p.weight, depthwise, sizeof depthwise - 1) == 0)
        p.weight += sizeof depthwise - 1;
    p.n_weight = strcspn(p.weight, ":");
    return p;
}

static bool is_text(const char *text, const char *bytes, size_t n)
{
    return strlen(text) == n && memcmp(text, bytes, n) == 0;
}

/* False where a name is nobody's or more than one's. */
static bool find_by_names(slots *all, const gf__json *names, gf__weight_place *places)
{
    for (size_t k = 0; k < all->n; k++) {
        const parts p = take_apart(gf__json_string(gf__json_at(names, k), ""));
        slot *found = NULL;
        for (size_t i = 0; i < all->n; i++) {
            slot *s = &all->items[i];
            if (!is_text(s->weight, p.weight, p.n_weight) || !is_text(s->layer, p.layer, p.n_layer))
                continue;
            if (found != NULL || s->is_used)
                return false;
            found = s;
        }
        if (found == NULL)
            return false;
        found->is_used = true;
        places[k] = found->place;
    }
    return true;
}

/* ---- by order -------------------------------------------------------------------------------- */

static bool is_kind(const slot *s, const char *name)
{
    const parts p = take_apart(name);
    return is_text(s->weight, p.weight, p.n_weight);
}

/* A frozen model with a layer that is trained: Keras 2 puts that one's weights first, Keras 3 does not. */
static bool is_order_known(const gf__config_notes *notes, size_t i, const slots *all)
{
    bool is_frozen = false, is_trained = false;
    for (size_t k = i; k <= i + notes->entries[i].n_inner; k++) {
        const gf__config_entry *entry = &notes->entries[k];
        const gf__json *settings = gf__json_find(entry->json, "config");
        if (entry->n_inner > 0 && !gf__json_bool(gf__json_find(settings, "trainable"), true))
            is_frozen = true;
    }
    for (size_t k = 0; k < all->n; k++)
        is_trained = is_trained || all->items[k].is_trained;
    return !is_frozen || !is_trained;
}

static bool find_by_order(const slots *all, const gf__json *names, gf__weight_place *places)
{
    size_t n = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < all->n; i++) {
            const slot *s = &all->items[i];
            if (s->is_trained != (pass == 0))
                continue;
            if (!is_kind(s, gf__json_string(gf__json_at(names, n), "")))
                return false;
            places[n++] = s->place;
        }
    }
    return true;
}

/* ---- both ------------------------------------------------------------------------------------ */

gf_status gf__hdf5_order(const gf_graph *graph, const gf__config_notes *notes, size_t i,
                         const gf__json *names, gf__weight_place **out, gf_error *err)
{
    slots all = {0};
    gf__weight_place *places = NULL;
    const gf__config_entry *entry = &notes->entries[i];
    gf_status st = list_slots(graph, notes, i, &all, err);
    if (st != GF_OK)
        goto done;
    places = gf__calloc(all.n, sizeof *places);
    if (places == NULL) {
        st = gf__error_nomem(err, "weights", all.n * sizeof *places);
        goto done;
    }
    for (size_t k = 0; k < all.n && entry->n_inner == 0; k++)
        places[k] = all.items[k].place;
    if (entry->n_inner > 0 && !find_by_names(&all, names, places) &&
        !(is_order_known(notes, i, &all) && find_by_order(&all, names, places))) {
        st = gf_error_set(
            err, GF_EMISMATCH,
            "model \"%.128s\": its weights in the file have neither the names nor the "
            "order of its layers",
            entry->name);
        goto done;
    }
    *out = places;
    places = NULL; /* moved to the caller */
done:
    gf__free(places);
    gf__free(all.items);
    return st;
}
