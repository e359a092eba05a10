/* tensor/name_index.c: an array of (name, position) sorted by name. Archives come from anywhere:
 * one with a million names must not cost a million squared. */
#include <stdlib.h>
#include <string.h>

#include "tensor/name_index_priv.h"

gf_status gf__name_index_new(size_t n, gf__name_index *out, gf_error *err)
{
    out->slots = gf__calloc(n, sizeof *out->slots);
    out->n = out->slots != NULL ? n : 0;
    return out->slots != NULL ? GF_OK : gf__error_nomem(err, "names", n);
}

void gf__name_index_free(gf__name_index *index)
{
    gf__free(index->slots);
    *index = (gf__name_index){0};
}

static int compare_slots(const void *a, const void *b)
{
    return strcmp(((const gf__name_slot *)a)->name, ((const gf__name_slot *)b)->name);
}

const char *gf__name_index_sort(gf__name_index *index)
{
    qsort(index->slots, index->n, sizeof *index->slots, compare_slots);
    for (size_t i = 1; i < index->n; i++) {
        if (strcmp(index->slots[i - 1].name, index->slots[i].name) == 0)
            return index->slots[i].name;
    }
    return NULL;
}

size_t gf__name_index_find(const gf__name_index *index, const char *name)
{
    if (index->n == 0)
        return GF__NAME_NONE;
    const gf__name_slot wanted = {.name = name};
    const gf__name_slot *found = bsearch(&wanted, index->slots, index->n, sizeof *index->slots,
                                         compare_slots);
    return found != NULL ? found->position : GF__NAME_NONE;
}
