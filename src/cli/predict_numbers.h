/* cli/predict_numbers.h: graft predict MODEL-FILE --numbers ROWS. */
#ifndef GRAFT_CLI_PREDICT_NUMBERS_H
#define GRAFT_CLI_PREDICT_NUMBERS_H

#include "cli/cli.h"

/* rows: "5.1,3.5,1.4,0.2", a .csv of such lines (a header and a class in the last column are
 * allowed), or an .npz with features (N,D). */
gf_status gf__predict_numbers(gf__cli *cli, const char *model, const char *rows, int n_top,
                              gf_error *err);

#endif
