/* tensor/name_index_priv.h: finds things by name in logarithmic time, and names that occur
 * twice. */
#ifndef GRAFT_SRC_NAME_INDEX_PRIV_H
#define GRAFT_SRC_NAME_INDEX_PRIV_H

#include "base/base.h"

typedef struct gf__name_slot {
    const char *name; /* borrowed */
    size_t position;  /* of the thing in its owner's array */
} gf__name_slot;

/* Zeroed at first; the owner fills n slots in any order, then sorts. */
typedef struct gf__name_index {
    gf__name_slot *slots;
    size_t n;
} gf__name_index;

#define GF__NAME_NONE SIZE_MAX

gf_status gf__name_index_new(size_t n, gf__name_index *out, gf_error *err);
void gf__name_index_free(gf__name_index *index);
/* After this the index may be searched. Returns a name that occurs twice, or NULL. */
const char *gf__name_index_sort(gf__name_index *index);
/* Position, or GF__NAME_NONE. */
size_t gf__name_index_find(const gf__name_index *index, const char *name);

#endif
