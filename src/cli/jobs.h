/* cli/jobs.h: what the commands of graft jobs share. */
#ifndef GRAFT_CLI_JOBS_H
#define GRAFT_CLI_JOBS_H

#include "cli/remote.h"

/* Prints a job's log from its beginning and as it comes, until the job ends; asks again, from where it
 * was, when the connection breaks. *end is the Job then, gf__json_free(). Ctrl-C: GF_ECANCELED, and
 * the job goes on. allows_multiline: a message of several lines stays one. */
gf_status gf__job_follow(gf__cli *cli, gf__remote *remote, const char *job, bool allows_multiline,
                         gf__json **end, gf_error *err);
/* GF_OK for a job that SUCCEEDED; its errorMessage otherwise, whole on stderr. */
gf_status gf__job_judge(gf__cli *cli, const gf__json *job, gf_error *err);

/* A source distribution of a Python package: the folder, the setup.py and its companions beside it (a
 * made one where there is none), PKG-INFO. The bytes depend on names and contents only. */
typedef struct gf__sdist {
    char *name;       /* "trainer-0.0.0.tar.gz" */
    gf__buffer bytes; /* the file */
} gf__sdist;
/* package_path: a folder with __init__.py. End with gf__sdist_free(), also after a failure. */
gf_status gf__sdist_build(const char *package_path, gf__sdist *out, gf_error *err);
void gf__sdist_free(gf__sdist *sdist);

#endif
