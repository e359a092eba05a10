/* server/graft_v1_priv.h: the handlers of /graft/v1 that have a file of their own. */
#ifndef GRAFT_SERVER_GRAFT_V1_PRIV_H
#define GRAFT_SERVER_GRAFT_V1_PRIV_H

#include "server/server_priv.h"

/* buckets.c, objects.c */
gf_status gf__handle_list_buckets(gf_server *server, gf__request *request, gf__response *response,
                                  gf_error *err);
gf_status gf__handle_list_objects(gf_server *server, gf__request *request, gf__response *response,
                                  gf_error *err);
gf_status gf__handle_put_object(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err);
gf_status gf__handle_get_object(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err);
gf_status gf__handle_delete_object(gf_server *server, gf__request *request, gf__response *response,
                                   gf_error *err);

/* {"name","bucket","size","updated"}: size as a string, as int64 is in Google's JSON. New; NULL out
 * of memory. */
struct stat;
gf__json *gf__object_document(const char *bucket, const char *name, const struct stat *info);

#endif
