/* hash.c: what identifies a picture, and a data set, by content. */
#include <stdio.h>
#include <string.h>

#include "data/dataset_priv.h"

gf_status gf__sample_hash(const gf_sample *sample, char *hex, gf_error *err)
{
    gf__hash *hash = NULL;
    gf_status st = gf__hash_new(GF__HASH_SHA256, &hash, err);

    hex[0] = '\0';
    if (st != GF_OK)
        return st;
    if (sample->kind == GF_SAMPLE_NUMBERS) {
        gf__hash_update(hash, "numbers\n", strlen("numbers\n"));
    } else if (sample->kind != GF_SAMPLE_ENCODED) {
        char shape[80];

        /* The same bytes in another shape, or as floats, are another picture. */
        snprintf(shape, sizeof shape, "%s %zu x %zu x 3\n",
                 sample->kind == GF_SAMPLE_PIXELS ? "uint8" : "float32", sample->height,
                 sample->width);
        gf__hash_update(hash, shape, strlen(shape));
    }
    gf__hash_update(hash, sample->data, sample->n_bytes);
    gf__hash_finish(hash, hex);
    if (hex[0] == '\0')
        return gf__error_nomem(err, "a hash", GF__SHA256_HEX);
    return GF_OK;
}

/* States of a kept hash. Whoever brings it from NONE to BEING_KEPT writes it; it is read once it is
 * KEPT. */
enum { NONE, BEING_KEPT, KEPT };

gf_status gf__dataset_keep_hashes(gf_dataset *set, gf_error *err)
{
    set->hashes = gf__calloc(set->n_items, sizeof *set->hashes);
    return set->hashes != NULL ? GF_OK
                               : gf__error_nomem(err, "hashes", set->n_items * sizeof *set->hashes);
}

static bool recall(gf__kept_hash *kept, char *hex)
{
    if (atomic_load_explicit(&kept->state, memory_order_acquire) != KEPT)
        return false;
    memcpy(hex, kept->hex, sizeof kept->hex);
    return true;
}

static void keep(gf__kept_hash *kept, const char *hex)
{
    int state = NONE;

    if (!atomic_compare_exchange_strong(&kept->state, &state, BEING_KEPT))
        return;
    memcpy(kept->hex, hex, sizeof kept->hex);
    atomic_store_explicit(&kept->state, KEPT, memory_order_release);
}

gf_status gf__dataset_item_hash(const gf_dataset *dataset, size_t i, char *hex, gf_error *err)
{
    gf_sample sample;
    gf_status st;

    if (dataset->hashes != NULL && recall(&dataset->hashes[i], hex))
        return GF_OK;
    hex[0] = '\0';
    st = gf_dataset_read(dataset, i, &sample, err);
    if (st != GF_OK)
        return st;
    st = gf__sample_hash(&sample, hex, err);
    gf_sample_release(&sample);
    if (st == GF_OK && dataset->hashes != NULL)
        keep(&dataset->hashes[i], hex);
    return st;
}

/* With its NUL, so that ("ab","c") and ("a","bc") differ. */
static void add_text(gf__hash *hash, const char *text)
{
    gf__hash_update(hash, text, strlen(text) + 1);
}

static gf_status hash_items(const gf_dataset *set, const gf_observer *obs, gf__hash *hash,
                            gf_error *err)
{
    for (size_t i = 0; i < set->n_items; i++) {
        char hex[GF__SHA256_HEX], label[24];
        gf_status st;

        st = gf__dataset_item_hash(set, i, hex, err);
        /* Pictures that cannot be read are skipped in training too: gone, refused, or (GF_EINVAL) a
         * folder that stands where a file should. */
        if (st == GF_ENOTFOUND || st == GF_EIO || st == GF_EINVAL)
            snprintf(hex, sizeof hex, "unreadable");
        else if (st != GF_OK)
            return st;
        snprintf(label, sizeof label, "%zu", set->items[i].label);
        add_text(hash, gf_dataset_item_at(set, i));
        add_text(hash, label);
        add_text(hash, hex);
        st = gf__observe_progress(obs, "hash", i + 1, set->n_items, gf_dataset_item_at(set, i),
                                  err);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

gf_status gf_dataset_hash(const gf_dataset *dataset, const gf_observer *obs, char *hex,
                          gf_error *err)
{
    gf_status st;
    gf__hash *hash = NULL;

    hex[0] = '\0';
    st = gf__hash_new(GF__HASH_SHA256, &hash, err);
    if (st != GF_OK)
        return st;
    for (size_t k = 0; k < dataset->classes.n; k++)
        add_text(hash, dataset->classes.at[k]);
    add_text(hash, "");
    for (size_t i = 0; i < dataset->columns.n; i++)
        add_text(hash, dataset->columns.at[i]);
    st = hash_items(dataset, obs, hash, err);
    gf__hash_finish(hash, st == GF_OK ? hex : NULL);
    return st;
}
