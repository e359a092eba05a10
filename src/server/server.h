/* server/server.h: the door of server, for cli. */
#ifndef GRAFT_SRC_SERVER_H
#define GRAFT_SRC_SERVER_H

#include "graft/server.h"

#endif
