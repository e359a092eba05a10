/* tasks/tasks_priv.h: what the kinds of work share: the task, its children, addresses.
 *
 *     task.c      spec.json -> the kind's function -> result.json; deadline, lock
 *     spec.c      spec.json read and checked; addresses
 *     left.c      what a task leaves: progress.json, result.json, shards/
 *     texts.c     lists of texts: arguments, environments
 *     child*.c    programs run with their output in the log
 *     descend.c   what those programs have started: found, killed
 *     package.c   a user's packages in their places
 *     build.c     those that must be built for that
 *     step.c      a program that must end well for the work to begin
 *     archive.c   one of them unpacked
 *     requirements.c  what they need, found and installed
 *     program.c   one program: graft train, or python3 -m MODULE
 *     train.c     that program, once
 *     search*.c   many trials of that program: hyperparameter search
 *     predict*.c  batch prediction, by shards
 *     features.c  feature extraction, by shards */
#ifndef GRAFT_TASKS_TASKS_PRIV_H
#define GRAFT_TASKS_TASKS_PRIV_H

#include <sys/types.h>

#include "base/base.h"
#include "jobs/jobs.h"
#include "tasks/tasks.h"

typedef struct gf__children gf__children;

typedef struct gf__task {
    const gf__task_options *options;
    gf__json *spec;   /* spec.json, checked */
    const char *name; /* "projects/P/jobs/J", in the spec */
    gf__job_log *log;
    double deadline_s;      /* gf__clock_s() when maxRunningS is over */
    int grace_ms;           /* from SIGTERM to SIGKILL */
    gf__lock *lock;         /* of the attempt, or of the shard */
    gf__children *children; /* child.c: the signals, too */
    char *python_path;      /* PYTHONPATH of the user's program, once it is prepared */
    char *failure;          /* says more than an err can; NULL: nothing does */
} gf__task;

/* task.c: a task that is ready to work: spec read and checked, lock held, log open, signals and
 * children this process' own. gf__task_run() opens, works, closes; for tests of one kind. Close kills
 * what is left of children and theirs. NULL is fine. */
gf_status gf__task_open(const gf__task_options *options, gf__task **out, gf_error *err);
void gf__task_close(gf__task *task);

/* How a kind's work came out. error_message is new, NULL: none; output is trainingOutput or
 * predictionOutput, new, may be NULL. A status other than GF_OK of the kind's function is a FAILED with
 * err's message; GF_ECANCELED is CANCELLED; GF_ETIMEOUT FAILED for its time limit. */
typedef struct gf__outcome {
    bool is_failed;
    char *error_message;
    gf__json *output;
} gf__outcome;
gf_status gf__task_train(gf__task *task, gf__outcome *out, gf_error *err); /* train.c */
gf_status gf__task_search(gf__task *task, gf__outcome *out,
                          gf_error *err); /* search.c: training with hyperparameters */
gf_status gf__task_predict(gf__task *task, gf__outcome *out, gf_error *err); /* predict.c */
gf_status gf__task_features(gf__task *task, gf__outcome *out,
                            gf_error *err); /* features.c: pythonModule "graft.features" */

/* task.c */

/* SIGTERM came, or the deadline: GF_ECANCELED, GF_ETIMEOUT; GF_OK otherwise. */
gf_status gf__task_check(const gf__task *task, gf_error *err);
/* Writes progress.json; output is borrowed, may be NULL. */
gf_status gf__task_progress(gf__task *task, bool is_running, const gf__json *output, gf_error *err);
/* A line of stream "graft". */
void gf__task_say(gf__task *task, const char *fmt, ...) GF_PRINTF(2, 3);
/* The path that an address of the spec means: gs:// below buckets (no "..", no links on the way out), else
 * itself. *path is new. GF_EINVAL. */
gf_status gf__task_path(const gf__task *task, const char *address, char **path, gf_error *err);

/* texts.c: start with gf__texts t = {0}; end with gf__texts_free(). A failed call is remembered. */
typedef struct gf__texts {
    char **items; /* NULL at the end; NULL itself while there are none */
    size_t n, capacity;
    bool failed;
} gf__texts;
void gf__texts_add(gf__texts *list, const char *text);
void gf__texts_take(gf__texts *list, char *text); /* the list's from now on; NULL fails it */
gf_status gf__texts_status(const gf__texts *list, gf_error *err);
char **gf__texts_move(gf__texts *list); /* the items: end them with gf__texts_free_items() */
void gf__texts_free(gf__texts *list);
void gf__texts_free_items(char **items); /* NULL is fine */

/* archive.c: unpacks into dir, which is made; what is in it stays after a failure. Cancelled with its
 * task; NULL: never. GF_EFORMAT: no archive, or one with names or kinds that are not taken; GF_ELIMIT. */
typedef struct gf__archive_limits {
    size_t max_entries;
    uint64_t max_bytes; /* unpacked */
} gf__archive_limits;
gf_status gf__archive_unpack(const gf__task *task, const char *path, const char *dir,
                             const gf__archive_limits *limits, gf_error *err);

/* requirements.c: what packages need beside themselves. */
typedef struct gf__unpacked { /* a package in its folder */
    const char *uri;          /* as the job names it, for messages */
    char *dir;                /* DIR/packages/N */
    char *root;               /* the sdist's NAME-VERSION in it; of a wheel dir itself */
    char *metadata;           /* a wheel's NAME.dist-info/METADATA; NULL: an sdist */
    bool is_built;            /* an sdist that was: dir and root are what was made of it */
} gf__unpacked;
/* build.c: whether an sdist's modules are elsewhere than its folder and src/ in it say, by what its setup files hold. */
gf_status gf__build_is_needed(const gf__unpacked *package, bool *is_needed, gf_error *err);
/* Makes of it what pip would install, in DIR/packages/N.built, and moves package there. */
gf_status gf__build(gf__task *task, gf__unpacked *package, gf_error *err);
/* step.c: runs a program to its end with PYTHONPATH=python_path. Where it fails the task's failure has its last words, and
 * err says: WHAT failed with status N. */
gf_status gf__task_step(gf__task *task, const char *what, gf__texts *argv, const char *dir,
                        const char *python_path, gf_error *err);
/* Adds "numpy>=1.20" ... of one package. May ask its setup.py. */
gf_status gf__requirements_find(gf__task *task, const gf__unpacked *package,
                                gf__texts *requirements, gf_error *err);
/* Has pip put into DIR/site-packages what cannot be imported already. */
gf_status gf__requirements_install(gf__task *task, const gf__texts *requirements, gf_error *err);

/* The program that the job's Python code is run with: the spec's, else the options', else "python3"
 * of the path. Borrowed. */
const char *gf__task_python(const gf__task *task);

/* spec.c: every field that jobs.h lists; GF_EFORMAT names the one that is missing or cannot be. */
gf_status gf__spec_read(const char *path, gf__json **out, gf_error *err);

/* left.c */

/* A full disk is given that many times that long to get some room. */
#define GF__DISK_TRIES   30
#define GF__DISK_WAIT_MS 1000

/* How it ended, as result.json says it: a shard's goes to shards/K.json. A full disk is waited for. */
typedef enum gf__end_state { GF__END_SUCCEEDED, GF__END_FAILED, GF__END_CANCELLED } gf__end_state;
gf_status gf__left_result(const gf__task_options *options, gf__end_state state,
                          const char *error_message, const gf__json *output, gf_error *err);
/* Whether a result is there already that stays. CANCELLED does not: who is started again is to work. */
bool gf__left_is_done(const gf__task_options *options);
/* Takes away what does not stay, so that a crash after it is seen as one. */
void gf__left_clear(const gf__task_options *options);
/* "DIR/log" of a shard is DIR/shards/K.log/log: one writer a log. */
char *gf__left_log_dir(const gf__task_options *options);
/* After the shards: their lines go into the job's log. */
void gf__left_gather_logs(gf__task *task);

/* child.c */

typedef struct gf__child gf__child;
typedef struct gf__child_options {
    char *const *argv; /* NULL at the end; argv[0] looked up in the path */
    char *const *env;  /* "NAME=value", added to this process' environment, NULL at the end */
    const char *dir;   /* working folder */
    const char *trial; /* for the log's trialId; NULL: none */
    void *user;        /* the caller's own, see gf__child_user() */
} gf__child_options;
/* Starts it: own process group within the job's session, killed with its parent, stdout and stderr
 * into the log line by line, whenever gf__child_wait_any() runs. GF_ENOTFOUND: no such program. */
gf_status gf__child_start(gf__task *task, const gf__child_options *options, gf__child **out,
                          gf_error *err);
/* Waits until one of the children has ended, timeout_ms is over (*ended NULL) or the task is to stop:
 * GF_ECANCELED, GF_ETIMEOUT, after all children were asked to end, given the grace, and killed. */
gf_status gf__child_wait_any(gf__task *task, int timeout_ms, gf__child **ended, gf_error *err);
void *gf__child_user(const gf__child *child);
/* Of one that has ended: 0 is success; below 0 a signal (-9). */
int gf__child_exit(const gf__child *child);
/* Asks a running child's group to end, kills it after the grace; gf__child_wait_any() then gives it. */
void gf__child_stop(gf__child *child);
/* The last lines it wrote, some 4 KB at most, without a newline at the end; "" for none. Borrowed. */
const char *gf__child_tail(const gf__child *child);
/* The same of the child of that trial (NULL: no trial) that ended last; also after its end. */
const char *gf__child_last_tail(const gf__task *task, const char *trial);
/* Ends the object of an ended child; kills one that runs. NULL is fine. */
void gf__child_free(gf__child *child);
/* Takes SIGTERM, SIGINT, SIGCHLD and the orphans of its children over for this process. */
gf_status gf__children_new(gf__children **out, gf_error *err);
/* SIGTERM or SIGINT came. Any thread. */
bool gf__children_is_stopped(const gf__children *children);
/* Kills every descendant of this process. */
void gf__children_kill_all(gf__children *children);
/* The same, and gives the signals back. NULL is fine. */
void gf__children_free(gf__children *children);

/* descend.c */

/* SIGKILL to every descendant of a process, not to itself: at once those that are there now. How
 * many. */
size_t gf__descendants_kill(pid_t root);

/* program.c: the program of a training job for one trial (trial NULL: the only one): arguments and
 * environment, made once the packages are in place. */
typedef struct gf__program {
    char **argv, **env; /* NULL at the end */
    char *dir;          /* working folder, made */
    char *metric_file;  /* JSON lines of metrics: CLOUD_ML_HP_METRIC_FILE in env */
} gf__program;
typedef struct gf__trial_arguments {
    const char *id; /* "3"; NULL: no trial */
    const char *const
        *names; /* of the hyperparameters: passed as --NAME=VALUE before... after args */
    const char *const *values;
    size_t n;
} gf__trial_arguments;
/* Unpacks and installs, once a task; then any number of programs. GF_EINVAL, GF_EFORMAT say what is wrong with a package. */
gf_status gf__program_prepare(gf__task *task, gf_error *err);
gf_status gf__program_new(gf__task *task, const gf__trial_arguments *trial, gf__program *out,
                          gf_error *err);
void gf__program_free(gf__program *program);
/* "The replica master 0 exited with a non-zero status of 1. ..." and the log's last lines. New. */
gf_status gf__program_failure(gf__task *task, const char *trial, int exit_status, char **out,
                              gf_error *err);

#endif
