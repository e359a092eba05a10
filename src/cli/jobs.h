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

/* The Job document in the file of --config, YAML or JSON; gf__json_free(). */
gf_status gf__job_config_read(const char *path, gf__json **job, gf_error *err);

/* A source distribution of a Python package: the folder, the setup.py and its companions beside it (a
 * made one where there is none), PKG-INFO. The bytes depend on names and contents only. */
typedef struct gf__sdist {
    char *name;       /* "trainer-0.0.0.tar.gz" */
    gf__buffer bytes; /* the file */
} gf__sdist;
/* package_path: a folder with __init__.py. End with gf__sdist_free(), also after a failure. */
gf_status gf__sdist_build(const char *package_path, gf__sdist *out, gf_error *err);
void gf__sdist_free(gf__sdist *sdist);

/* What a training job's packages are made of, and where they are put. */
typedef struct gf__packages {
    const char *package_path;   /* a folder for gf__sdist_build(); NULL: none */
    const gf__cli_list *files;  /* "F,F" each: files of this machine, or gs:// addresses */
    const char *staging_bucket; /* gs://BUCKET...; NULL: below job_dir */
    const char *job_dir;        /* or NULL */
} gf__packages;
/* Puts them there, at STAGING/JOB/HASH/NAME (JOB is the command's first word), and sets input's
 * packageUris: behind those that it has, as gcloud does it, the program first. GF_EEXISTS before
 * anything is sent where there is such a job. *own (also after a failure): the addresses of what was
 * not there before, gf__json_free(); NULL where nothing was sent. */
gf_status gf__packages_stage(gf__cli *cli, gf__remote *remote, const gf__packages *packages,
                             gf__json *input, gf__json **own, gf_error *err);
/* Takes them away again, as far as it can be: of a job that did not come to be. */
void gf__packages_unstage(gf__remote *remote, const gf__json *own);

/* "F,F" of each option, one after the other; a call for each that is not empty. */
gf_status gf__each_item(const gf__cli_list *list,
                        gf_status (*each)(void *user, const char *item, gf_error *err), void *user,
                        gf_error *err);

#endif
