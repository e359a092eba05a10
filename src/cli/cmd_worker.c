/* cli/cmd_worker.c: graft worker: what the server starts, not people. It is in no list of commands:
 * its only argument is a socket that nobody else has. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "worker/worker.h"

int gf__cli_worker(int argc, char **argv)
{
    struct stat info;
    char *end = NULL;
    const long fd = argc == 2 && strcmp(argv[0], "--fd") == 0 ? strtol(argv[1], &end, 10) : -1;
    if (end == NULL || *end != '\0' || fd < 3 || fd > 1 << 20 || fstat((int)fd, &info) != 0 ||
        !S_ISSOCK(info.st_mode)) {
        fprintf(stderr, "graft: worker: is started by graft serve, with --fd N for its socket\n");
        return 2;
    }
    return gf__worker_main((int)fd);
}
