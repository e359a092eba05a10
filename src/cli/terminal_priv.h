/* cli/terminal_priv.h: what main.c alone needs of the terminal. */
#ifndef GRAFT_CLI_TERMINAL_PRIV_H
#define GRAFT_CLI_TERMINAL_PRIV_H

#include "cli/cli.h"

void gf__terminal_catch_signals(void);
/* Puts /dev/null where standard input, output or error is closed: the next file opened would take its number, and be
 * printed into. It is opened for reading, so that a result nobody gets is still an error. */
void gf__terminal_hold_descriptors(void);
/* Writes out what was printed. False: some of it was lost. */
bool gf__terminal_flush(void);
/* Decides between bar and lines, and fills cli->observer. */
void gf__terminal_attach(gf__cli *cli);

#endif
