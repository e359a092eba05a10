/* cli/cli.h: what every command of the program is made of: a table row, a table of options, and the
 * terminal.
 *
 * A command fills one struct of settings from its option table (which is also its --help and its
 * chapter of docs/cli.md), calls one function of the library and prints what came back: people's
 * text, or with --json one document. Results go to stdout, progress and errors to stderr. */
#ifndef GRAFT_SRC_CLI_H
#define GRAFT_SRC_CLI_H

#include <stdio.h>

#include "base/base.h"
#include "graft/graft.h"

/* ---- options --------------------------------------------------------------------------------- */

#define GF__CLI_MAX_LIST 64

typedef struct gf__cli_list { /* an option that may be given several times */
    const char *items[GF__CLI_MAX_LIST];
    size_t n;
} gf__cli_list;

typedef enum gf__option_kind {
    GF__OPTION_FLAG,   /* bool, no argument */
    GF__OPTION_TEXT,   /* const char * */
    GF__OPTION_INT,    /* int within [low, high] */
    GF__OPTION_SIZE,   /* uint64_t within [low, high] */
    GF__OPTION_NUMBER, /* double within [low, high] */
    GF__OPTION_LIST    /* gf__cli_list */
} gf__option_kind;

typedef struct gf__option {
    const char *name; /* "--epochs" */
    /* "N"; for choices "adam|sgd|rmsprop", which are then checked; NULL for a flag */
    const char *argument;
    const char *preset; /* what --help says the default is; NULL: none worth saying */
    const char *help;   /* one or two sentences */
    gf__option_kind kind;
    size_t offset;    /* of the member in the settings struct */
    double low, high; /* INT, SIZE, NUMBER; both 0: any value */
} gf__option;

/* Table rows. S is the settings struct, m its member. */
#define GF__FLAG(name, S, m, help)                                    \
    {                                                                 \
        name, NULL, NULL, help, GF__OPTION_FLAG, offsetof(S, m), 0, 0 \
    }
#define GF__TEXT(name, arg, preset, S, m, help)                        \
    {                                                                  \
        name, arg, preset, help, GF__OPTION_TEXT, offsetof(S, m), 0, 0 \
    }
#define GF__INT(name, arg, preset, S, m, low, high, help)                  \
    {                                                                      \
        name, arg, preset, help, GF__OPTION_INT, offsetof(S, m), low, high \
    }
#define GF__SIZE(name, arg, preset, S, m, low, high, help)                  \
    {                                                                       \
        name, arg, preset, help, GF__OPTION_SIZE, offsetof(S, m), low, high \
    }
#define GF__NUMBER(name, arg, preset, S, m, low, high, help)                  \
    {                                                                         \
        name, arg, preset, help, GF__OPTION_NUMBER, offsetof(S, m), low, high \
    }
#define GF__LIST(name, arg, preset, S, m, help)                        \
    {                                                                  \
        name, arg, preset, help, GF__OPTION_LIST, offsetof(S, m), 0, 0 \
    }

/* ---- the terminal ---------------------------------------------------------------------------- */

typedef struct gf__progress_bar {
    bool is_terminal, is_shown, is_quiet;
    double started_s, drawn_s;
    char stage[32];
    uint64_t n_done;
    uint64_t n_started; /* n_done when the stage was first seen: a resumed download is not fast */
} gf__progress_bar;

/* One run of the program. */
typedef struct gf__cli {
    const char *command; /* "train", "dataset check" */
    bool is_json, is_quiet;
    const char *home;
    int n_threads; /* 0: gf_threads_available() */
    uint64_t max_pixels;
    gf_observer observer; /* draws the bar, prints warnings, stops on Ctrl-C */
    gf__progress_bar bar;
    gf__buffer command_line; /* as it was typed, quoted for a shell */
    char **words;            /* what is no option, in order */
    size_t n_words;
    size_t n_own_words; /* those before "--": n_words where there is none */
} gf__cli;

gf_context gf__cli_context(const gf__cli *cli);

/* Ctrl-C or SIGTERM came; the second one ends the process as usual. */
bool gf__cli_is_interrupted(void);

/* Ends the bar's line, so that text can follow. */
void gf__bar_end(gf__progress_bar *bar);
/* A line on stderr unless --quiet, after ending the bar. */
void gf__cli_note(gf__cli *cli, const char *fmt, ...) GF_PRINTF(2, 3);

/* Prints the document on stdout, indented, and frees it. */
gf_status gf__cli_print_json(gf__json *document, gf_error *err);
/* A whole file into memory, at most 1 GiB. The message names the path. */
gf_status gf__cli_read_picture(const char *path, gf__mapping *out, gf_error *err);

/* ---- commands -------------------------------------------------------------------------------- */

typedef struct gf__command {
    const char *name;  /* "train", or "dataset check" */
    const char *words; /* "DATASET", "IMAGE..." as the usage line shows them */
    size_t n_words_low, n_words_high;
    const char *summary; /* one line for `graft --help` */
    const char *text; /* what it does, for its own --help; paragraphs separated by an empty line */
    const char *examples; /* lines, each a shell command */
    const gf__option *options;
    size_t n_options;
    size_t settings_size;           /* of the settings struct, zeroed before presets are made */
    void (*preset)(void *settings); /* may be NULL */
    gf_status (*run)(gf__cli *cli, const void *settings, gf_error *err);
} gf__command;

#define GF__N_OPTIONS(table) (sizeof(table) / sizeof((table)[0]))

extern const gf__command gf__command_pull, gf__command_import, gf__command_layers,
    gf__command_classify, gf__command_features, gf__command_dataset_make, gf__command_dataset_check,
    gf__command_train, gf__command_evaluate, gf__command_export, gf__command_predict,
    gf__command_info, gf__command_verify, gf__command_serve, gf__command_models_create,
    gf__command_models_list, gf__command_models_describe, gf__command_models_update,
    gf__command_models_delete, gf__command_versions_create, gf__command_versions_list,
    gf__command_versions_describe, gf__command_versions_update, gf__command_versions_set_default,
    gf__command_versions_delete, gf__command_operations_list, gf__command_operations_describe,
    gf__command_operations_wait, gf__command_operations_cancel, gf__command_bucket_cp,
    gf__command_bucket_ls, gf__command_bucket_rm, gf__command_token_create, gf__command_token_list,
    gf__command_token_revoke, gf__command_pools, gf__command_jobs_submit_training,
    gf__command_jobs_submit_prediction, gf__command_jobs_list, gf__command_jobs_describe,
    gf__command_jobs_cancel, gf__command_jobs_stream_logs;

/* `graft worker`, which only the server starts. Returns the exit status. */
int gf__cli_worker(int argc, char **argv);
/* `graft job`, which only a runner of jobs starts. */
int gf__cli_job(int argc, char **argv);

/* Options every command takes: --json, --home DIR, --threads N, --quiet, --max-pixels N. */
extern const gf__option gf__global_options[];
extern const size_t gf__n_global_options;

/* Fills settings and *cli from the arguments after the command's name. GF_EINVAL names the
 * argument, what was expected, and --help. */
gf_status gf__options_parse(const gf__command *command, int n_arguments, char **arguments,
                            gf__cli *cli, void *settings, gf_error *err);
/* `graft COMMAND --help`, and the same as a chapter of docs/cli.md. */
void gf__help_command(const gf__command *command, FILE *out);
/* The commands of "models". */
void gf__help_group(const gf__command *const *commands, size_t n_commands, const char *group,
                    FILE *out);
void gf__help_program(const gf__command *const *commands, size_t n_commands, FILE *out);
void gf__help_markdown(const gf__command *const *commands, size_t n_commands, FILE *out);

#endif
