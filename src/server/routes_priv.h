/* server/routes_priv.h: what routes.c has of routes_match.c and respond.c. */
#ifndef GRAFT_SERVER_ROUTES_PRIV_H
#define GRAFT_SERVER_ROUTES_PRIV_H

#include "server/server_priv.h"

/* What the {..} of a pattern stood for, in the path's own memory. */
typedef struct gf__path_match {
    const char *values[GF__MAX_PARAMS];
    size_t n_chars[GF__MAX_PARAMS];
    const char *raw_rest; /* not NULL: the last value is all of this, decoded */
    size_t n_values;
} gf__path_match;

/* Calls each() for every route whose pattern takes the path, whatever its method, until it returns
 * false. GF_EFORMAT a path that cannot be. */
gf_status gf__routes_each(const gf_server *server, const char *path,
                          bool (*each)(void *user, const gf__route *route,
                                       const gf__path_match *found),
                          void *user, gf_error *err);
/* The values into request->params. GF_ENOMEM, GF_EFORMAT. */
gf_status gf__routes_keep_params(gf__request *request, const gf__path_match *found, gf_error *err);

/* gf__respond_error() with a code of its own. */
void gf__respond_error_code(gf_server *server, gf__family family, int code, gf_status st,
                            const char *message, gf__response *response);
void gf__say_when_to_come_again(gf__response *response); /* with 429 and 503 */

#endif
