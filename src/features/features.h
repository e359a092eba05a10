/* features/features.h: the door of features for other folders. */
#ifndef GRAFT_SRC_FEATURES_H
#define GRAFT_SRC_FEATURES_H

#include "base/base.h"
#include "graft/features.h"

gf__json *gf__recipe_to_json(const gf_recipe *recipe);
gf_status gf__recipe_from_json(const gf__json *json, gf_recipe *out, gf_error *err);

#endif
