/* zoo/tfjs/tfjs_priv.h: a TensorFlow.js model in parts. tfjs.c has the document, tfjs_weights.c the
 * weights, js_literal.c what npm packages wrap both in. */
#ifndef GRAFT_ZOO_TFJS_PRIV_H
#define GRAFT_ZOO_TFJS_PRIV_H

#include "zoo/tfjs/tfjs.h"

/* Gives the graph its weights from the manifest and the shards beside the document. `origin` gets
 * the storage types. */
gf_status gf__tfjs_read_weights(const gf__source *source, const gf__json *manifest, gf_graph *graph,
                                const gf_observer *obs, gf__buffer *storage, gf_error *err);

/* ---- JavaScript literals, as minifiers write them ---- */

/* Offset of the literal in "KEY = literal", the first place where one follows. GF_EFORMAT without
 * one. */
gf_status gf__js_find(const char *text, size_t n_chars, const char *key, size_t *offset,
                      gf_error *err);
/* The literal at the start of text as JSON, appended to out. *n_used (may be NULL) gets its length
 * in text. */
gf_status gf__js_to_json(const char *text, size_t n_chars, gf__buffer *out, size_t *n_used,
                         gf_error *err);
/* The text of a string literal at the start of text, appended to out as it stands (no quotes,
 * escapes resolved). */
gf_status gf__js_string(const char *text, size_t n_chars, gf__buffer *out, size_t *n_used,
                        gf_error *err);

#endif
