/* cli/terminal_priv.h: what main.c alone needs of the terminal. */
#ifndef GRAFT_CLI_TERMINAL_PRIV_H
#define GRAFT_CLI_TERMINAL_PRIV_H

#include "cli/cli.h"

void gf__terminal_catch_signals(void);
/* Decides between bar and lines, and fills cli->observer. */
void gf__terminal_attach(gf__cli *cli);

#endif
