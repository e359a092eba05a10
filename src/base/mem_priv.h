/* base/mem_priv.h: failure injection for allocators that are not ours (jansson). */
#ifndef GRAFT_BASE_MEM_PRIV_H
#define GRAFT_BASE_MEM_PRIV_H

#include <stdbool.h>

/* Counts as one allocation; true if a test wants this one to fail. */
bool gf__mem_refuses(void);

#endif
