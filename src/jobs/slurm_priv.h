/* jobs/slurm_priv.h: Slurm's commands, called and read. Its C library changes with each release and may not be linked into everything; its
 * commands and their formats have stayed what they are.
 *
 *     slurm.c        the runner: what attempts do in Slurm, and their end
 *     slurm_submit.c their beginning: submissions, and finding them again
 *     slurm_call.c   one command run to its end, with limits on its time and its words
 *     slurm_parse.c  answers read; texts for Slurm written. Nothing but text in and out */
#ifndef GRAFT_JOBS_SLURM_PRIV_H
#define GRAFT_JOBS_SLURM_PRIV_H

#include "base/base.h"
#include "jobs/runner_priv.h"

/* ---- slurm_call.c ---- */

typedef struct gf__slurm_command {
    const char *const *argv; /* NULL at the end; argv[0] is looked up in the path */
    const char *input;       /* for its standard input; NULL: nothing */
    int timeout_ms;
    size_t max_bytes; /* of its standard output */
    int kept_fd;      /* stays open in it (a lock that it is to hold); below 0: none */
} gf__slurm_command;
typedef struct gf__slurm_answer {
    char *out; /* new; NULL after a failure */
    size_t n_out;
    int exit_status; /* below 0: a signal (-9) */
    char words[256]; /* the last line of its standard error, printable, without "sbatch: error: " */
} gf__slurm_answer;
/* GF_OK whatever its exit status. GF_EUNAVAILABLE: there is no such command, or it was not done in time and
 * killed. GF_ELIMIT: it said more than max_bytes, and was killed. */
gf_status gf__slurm_run(const gf__slurm_command *command, gf__slurm_answer *out, gf_error *err);

/* ---- slurm_parse.c ---- */

/* One line of gf__slurm_queue_format: a job, or a task of an array. */
#define GF__SLURM_QUEUE_FORMAT "%F|%K|%T|%j|%r"
typedef struct gf__slurm_job {
    uint64_t id;  /* of the array, for its tasks */
    int64_t task; /* below 0: none */
    gf__attempt_state state;
    char word[24]; /* Slurm's word for it: "OUT_OF_MEMORY" */
    char name[96]; /* cut, where it is longer: then it is none of ours */
    char reason[96];
} gf__slurm_job;
typedef struct gf__slurm_queue {
    gf__slurm_job *jobs;
    size_t n_jobs;
} gf__slurm_queue;
/* Those whose names begin with prefix; other lines are skipped, whatever they hold. GF_EFORMAT: one
 * of ours cannot be read. End with gf__slurm_queue_free(), also after a failure. */
gf_status gf__slurm_queue_parse(const char *text, const char *prefix, gf__slurm_queue *out,
                                gf_error *err);
void gf__slurm_queue_free(gf__slurm_queue *queue);

/* Where an attempt is: a job, or an array of shards and the job that merges what they left. */
typedef struct gf__slurm_place {
    uint64_t id;
    uint64_t merge_id; /* 0: none */
} gf__slurm_place;
/* "7", "7+8". New; NULL out of memory. */
char *gf__slurm_place_write(const gf__slurm_place *place);
gf_status gf__slurm_place_parse(const char *text, gf__slurm_place *out, gf_error *err);
/* The attempt as a whole. *is_known: false where the queue has nothing of it (out is then ENDED). */
void gf__slurm_place_look(const gf__slurm_queue *queue, const gf__slurm_place *place,
                          gf__attempt_look *out, bool *is_known);

/* "123\n" or "123;cluster\n" of sbatch --parsable. */
gf_status gf__slurm_id_parse(const char *text, uint64_t *out, gf_error *err);
gf__attempt_state gf__slurm_state_parse(const char *word);
/* SubmitTime of scontrol show job, seconds since 1970: of a job that runs again, when it was queued again.
 * False where there is none that can be read. */
bool gf__slurm_submit_time(const char *text, int64_t *unix_s);
/* Lines of scontrol show job --oneliner. ENDED where all of them have; reason then: "exited with
 * status 3", "killed by signal 9", or the state's words; "" else. warning_s: how long before its
 * end Slurm signals a job, so that one that has ended by itself since then is known for one whose
 * time was over. */
void gf__slurm_shown_parse(const char *text, uint64_t warning_s, gf__attempt_look *out);
#define GF__SLURM_FAILED     "failed" /* the reason of an attempt of which squeue says no more */
#define GF__SLURM_TIME_LIMIT "ran into Slurm's time limit"
/* From the signal that announces the end of the time to that end, as sbatch is asked for it. */
uint64_t gf__slurm_warning_s(const gf__attempt *attempt);
/* A partition ("": the default one) in lines of sinfo --Node -h -o "%P|%l|%c|%m". GF_EINVAL: no such one. */
#define GF__SLURM_PARTITION_FORMAT "%P|%l|%c|%m"
typedef struct gf__slurm_partition {
    uint64_t limit_minutes; /* 0: none */
    size_t n_cpus;          /* of its largest node; 0: not told */
    uint64_t n_mib;         /* memory of the one that has most; 0: not told */
} gf__slurm_partition;
gf_status gf__slurm_partition_parse(const char *text, const char *partition,
                                    gf__slurm_partition *out, gf_error *err);
/* Whether a submission that was refused with these words may be taken later. */
bool gf__slurm_is_temporary(const char *words);
/* Slurm gave up on starting it on a node and waits for an administrator. */
bool gf__slurm_is_launch_failure(const gf__slurm_job *job);

/* Appends 'text' as one word of sh. */
void gf__slurm_quote(gf__buffer *out, const char *text);

/* ---- slurm.c ---- */

#define GF__SLURM_TAG      16
#define GF__SLURM_GIVEN_UP 64
typedef struct gf__slurm {
    char tag[GF__SLURM_TAG + 1]; /* of the home */
    char *program;
    char *partition; /* "": the default one */
    char user[24];   /* our number */
    gf_observer observer;
    uint64_t
        given_up[GF__SLURM_GIVEN_UP]; /* the last ones that we cancelled for a reason of ours */
    size_t n_given_up;
    gf__slurm_queue queue;
    int64_t queue_ms;          /* when it was read; 0: it is not to be used */
    gf__slurm_partition nodes; /* of the partition */
    int64_t nodes_ms;          /* when they were asked for; 0: never */
    gf_status nodes_status;    /* of asking */
    gf_error nodes_err;
} gf__slurm;
/* A call with the time that all of them get. input NULL: none; kept_fd below 0: none. */
gf_status gf__slurm_call(const char *const *argv, const char *input, int kept_fd,
                         gf__slurm_answer *out, gf_error *err);
/* One that has to succeed: what it says is new. GF_EUNAVAILABLE with its words. */
gf_status gf__slurm_ask(const char *const *argv, char **out, gf_error *err);
/* self->queue, not older than a round of looks. */
gf_status gf__slurm_read_queue(gf__slurm *self, gf_error *err);
/* What was asked before something was changed says nothing of it. */
void gf__slurm_forget_queue(gf__slurm *self);

/* ---- slurm_submit.c ---- */

gf_status gf__slurm_start(gf__slurm *self, const gf__attempt *attempt, char **place, gf_error *err);
/* self->nodes, not older than a minute; after a failure that is told again for a moment. */
gf_status gf__slurm_read_nodes(gf__slurm *self, gf_error *err);
gf_status gf__slurm_find(gf__slurm *self, const gf__attempt *attempt, char **place, gf_error *err);

#endif
