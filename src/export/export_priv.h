/* export/export_priv.h: what the formats share. */
#ifndef GRAFT_EXPORT_EXPORT_PRIV_H
#define GRAFT_EXPORT_EXPORT_PRIV_H

#include "export/export.h"

/* {"classes": [...], "preprocessing": {...} | "columns": [...], "trunk", "layer"}; new, with failures
 * inside. */
gf__json *gf__export_properties(const gf__export_source *source);

#endif
