/* export/output.c: what the formats share on the way to the disk: being asked to stop, and errors about the
 * name that was asked for. */
#include <stdio.h>
#include <string.h>

#include "export/export_priv.h"

gf_status gf__export_progress(const gf__export_source *source, size_t n_done, gf_error *err)
{
    return gf__observe_progress(source->observer, "export", n_done,
                                gf_graph_n_layers(source->graph) + 1, NULL, err);
}

gf_status gf__export_is_wanted(const gf__export_source *source, gf_error *err)
{
    return gf__export_progress(source, gf_graph_n_layers(source->graph), err);
}

gf_status gf__export_end(const gf__export_source *source, gf_error *err)
{
    return gf__export_progress(source, gf_graph_n_layers(source->graph) + 1, err);
}

void gf__export_blame(gf_error *err, const char *temporary, const char *path)
{
    const size_t n = strlen(temporary);
    if (err == NULL || strncmp(err->message, temporary, n) != 0)
        return;
    const char *rest = strchr(err->message + n, ':'); /* behind a name in it, or beside it */
    gf_error found = *err;
    if (rest != NULL)
        gf_error_set(err, found.code, "%s%s", path, found.message + (rest - err->message));
}
