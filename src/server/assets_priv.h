/* server/assets_priv.h: the files of assets/ that are inside the program; embed_file.py makes C of
 * them at build time. */
#ifndef GRAFT_SERVER_ASSETS_PRIV_H
#define GRAFT_SERVER_ASSETS_PRIV_H

#include <stddef.h>

extern const char gf__ml_v1_document[]; /* NUL behind */
extern const size_t gf__ml_v1_document_size;
extern const char gf__openapi_document[];
extern const size_t gf__openapi_document_size;

#endif
