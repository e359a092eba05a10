/* base/yaml.h: people's configuration files, read as the JSON that they mean.
 *
 *     gf__json *doc = NULL;
 *     st = gf__yaml_parse(text, size, &doc, err);
 *     -> "YAML, line 3, column 5: mapping values are not allowed in this context"
 *     gf__json_free(doc);
 *
 * One document: mappings, sequences and scalars, in block and flow style. A plain scalar is null (null, ~, nothing), a boolean (true, True,
 * TRUE ...), a number where JSON would spell it so (0.01, 1e-4; also +1 and .5), or else a text; a quoted
 * one is a text. Anchors, aliases and tags are refused: no document is larger than its text. */
#ifndef GRAFT_BASE_YAML_H
#define GRAFT_BASE_YAML_H

#include "base/json.h"

/* GF_EFORMAT names line and column; depth is limited (64). An empty document is null. GF_EUNSUPPORTED: libyaml is
 * not installed. *out is ended with gf__json_free(). */
gf_status gf__yaml_parse(const char *text, size_t n_chars, gf__json **out, gf_error *err);

#endif
