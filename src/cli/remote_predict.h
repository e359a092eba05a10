/* cli/remote_predict.h: graft predict --model: a server's answers to pictures and instances. */
#ifndef GRAFT_CLI_REMOTE_PREDICT_H
#define GRAFT_CLI_REMOTE_PREDICT_H

#include "cli/remote.h"

typedef struct gf__remote_predict { /* a member of the settings of graft predict */
    const char *model, *version, *json_instances, *signature_name;
} gf__remote_predict;

/* Pictures (the command's words) to :classify, or the lines of a file to :predict. */
gf_status gf__predict_remotely(gf__cli *cli, const gf__remote_settings *where,
                               const gf__remote_predict *what, int n_top, bool is_verbose,
                               gf_error *err);

#endif
