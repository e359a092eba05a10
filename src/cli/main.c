/* cli/main.c: finds the command, reads its options, runs it, and turns what came back into an exit
 * status and one line on stderr. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/terminal_priv.h"

static const gf__command *const commands[] = {
    &gf__command_pull,
    &gf__command_import,
    &gf__command_layers,
    &gf__command_classify,
    &gf__command_features,
    &gf__command_dataset_make,
    &gf__command_dataset_check,
    &gf__command_train,
    &gf__command_evaluate,
    &gf__command_predict,
    &gf__command_info,
    &gf__command_verify,
    &gf__command_export,
    &gf__command_serve,
    &gf__command_models_create,
    &gf__command_models_list,
    &gf__command_models_describe,
    &gf__command_models_update,
    &gf__command_models_delete,
    &gf__command_versions_create,
    &gf__command_versions_list,
    &gf__command_versions_describe,
    &gf__command_versions_update,
    &gf__command_versions_set_default,
    &gf__command_versions_delete,
    &gf__command_operations_list,
    &gf__command_operations_describe,
    &gf__command_operations_wait,
    &gf__command_operations_cancel,
    &gf__command_bucket_cp,
    &gf__command_bucket_ls,
    &gf__command_bucket_rm,
    &gf__command_token_create,
    &gf__command_token_list,
    &gf__command_token_revoke,
    &gf__command_pools,
    &gf__command_jobs_submit_training,
    &gf__command_jobs_submit_prediction,
    &gf__command_jobs_list,
    &gf__command_jobs_describe,
    &gf__command_jobs_cancel,
    &gf__command_jobs_stream_logs,
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_FOUND = 3, EXIT_CANCELED = 4 };

/* No default: a new status does not compile until its exit code is decided. */
static int exit_code(gf_status status)
{
    switch (status) {
    case GF_OK:
        return EXIT_SUCCESS;
    case GF_EINVAL:
        return EXIT_USAGE;
    case GF_ENOTFOUND:
        return EXIT_NOT_FOUND;
    case GF_ECANCELED:
        return EXIT_CANCELED;
    case GF_ENOMEM:
    case GF_EIO:
    case GF_EFORMAT:
    case GF_ESHAPE:
    case GF_EUNSUPPORTED:
    case GF_ELIMIT:
    case GF_EMISMATCH:
    case GF_EBUSY:
    case GF_EEXISTS:
    case GF_EPRECONDITION:
    case GF_ENETWORK:
    case GF_EAUTH:
    case GF_EDENIED:
    case GF_EOVERLOAD:
    case GF_EUNAVAILABLE:
    case GF_ETIMEOUT:
        return EXIT_FAILED;
    }
    return EXIT_FAILED;
}

/* How many arguments the command's name is ("jobs submit training": 3), if they are those of argv; 0. */
static int match_name(const char *name, int argc, char **argv)
{
    int n = 0;
    for (; *name != '\0'; n++) {
        const size_t n_chars = strcspn(name, " ");
        if (n == argc || strlen(argv[n]) != n_chars || strncmp(argv[n], name, n_chars) != 0)
            return 0;
        name += n_chars + (name[n_chars] == ' ');
    }
    return n;
}

/* Commands of two words ("dataset check") use up two arguments. NULL where there is none of that
 * name. */
static const gf__command *find_command(int argc, char **argv, int *n_used)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        *n_used = match_name(commands[i]->name, argc, argv);
        if (*n_used > 0)
            return commands[i];
    }
    return NULL;
}

/* Whether name is word, or begins with it and a space. */
static bool is_of_group(const char *name, const char *word, size_t n_chars)
{
    return strncmp(name, word, n_chars) == 0 && (name[n_chars] == ' ' || name[n_chars] == '\0');
}

static bool is_group(const char *word)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (is_of_group(commands[i]->name, word, strlen(word)) &&
            commands[i]->name[strlen(word)] == ' ')
            return true;
    return false;
}

/* "models" has: create, list ...; otherwise each first word once. */
static int report_unknown(int argc, char **argv)
{
    const bool has_group = is_group(argv[0]);
    const char *separator = " ";
    if (has_group && argc > 1)
        fprintf(stderr, "graft: no command %s %s; graft %s has", argv[0], argv[1], argv[0]);
    else if (has_group)
        fprintf(stderr, "graft: %s: expected one of its commands after it:", argv[0]);
    else
        fprintf(stderr, "graft: no command %s; the commands are", argv[0]);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const char *name = commands[i]->name;
        const size_t n_first = strcspn(name, " ");
        if (has_group && !is_of_group(name, argv[0], strlen(argv[0])))
            continue;
        if (!has_group && i > 0 && is_of_group(commands[i - 1]->name, name, n_first))
            continue;
        if (has_group)
            fprintf(stderr, "%s%s", separator, name + n_first + 1);
        else
            fprintf(stderr, "%s%.*s", separator, (int)n_first, name);
        separator = ", ";
    }
    fprintf(stderr, "; see graft --help\n");
    return EXIT_USAGE;
}

/* $GRAFT_HOME, else $XDG_DATA_HOME/graft, else ~/.local/share/graft. New; NULL where none of the
 * three is set. */
static char *default_home(void)
{
    const char *home = getenv("GRAFT_HOME");
    if (home != NULL && home[0] != '\0')
        return gf__strdup(home);
    home = getenv("XDG_DATA_HOME");
    if (home != NULL && home[0] != '\0')
        return gf__path_join(home, "graft");
    home = getenv("HOME");
    return home != NULL && home[0] != '\0' ? gf__path_join(home, ".local/share/graft") : NULL;
}

static bool is_plain(const char *text)
{
    return text[0] != '\0' &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789-_./=,:+@%")] == '\0';
}

/* The command as it was typed, quoted so that a shell reads it back: it goes into reports. */
static void quote_command(int argc, char **argv, gf__buffer *out)
{
    gf__buffer_puts(out, "graft");
    for (int i = 0; i < argc; i++) {
        if (is_plain(argv[i])) {
            gf__buffer_printf(out, " %s", argv[i]);
            continue;
        }
        gf__buffer_puts(out, " '");
        for (const char *c = argv[i]; *c != '\0'; c++)
            gf__buffer_puts(out, *c == '\'' ? "'\\''" : (char[2]){*c, '\0'});
        gf__buffer_puts(out, "'");
    }
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

gf_context gf__cli_context(const gf__cli *cli)
{
    return (gf_context){
        .home = cli->home, .n_threads = cli->n_threads, .max_pixels = cli->max_pixels};
}

static gf_status run_command(const gf__command *command, int argc, char **argv, gf__cli *cli,
                             gf_error *err)
{
    void *settings = gf__calloc(1, command->settings_size > 0 ? command->settings_size : 1);
    char *home = NULL;
    gf_status st = GF_OK;

    if (settings == NULL) {
        st = gf__error_nomem(err, "settings", command->settings_size);
        goto done;
    }
    if (command->preset != NULL)
        command->preset(settings);
    quote_command(argc, argv, &cli->command_line);
    const int n_name = match_name(command->name, argc, argv);
    st = gf__options_parse(command, argc - n_name, argv + n_name, cli, settings, err);
    if (st != GF_OK)
        goto done;
    if (cli->home == NULL)
        cli->home = home = default_home();
    if (cli->home == NULL) {
        st = gf_error_set(err, GF_EINVAL, "no home folder: set --home, $GRAFT_HOME or $HOME");
        goto done;
    }
    gf__terminal_attach(cli);
    st = command->run(cli, settings, err);
    gf__bar_end(&cli->bar);
    if (st == GF_OK && !gf__terminal_flush())
        st = gf_error_set(err, GF_EIO, "the result could not be written to stdout");
done:
    gf__free(settings);
    gf__free(home);
    return st;
}

/* The status of a text that was printed. */
static int end_of_text(void)
{
    if (gf__terminal_flush())
        return EXIT_SUCCESS;
    fprintf(stderr, "graft: the text could not be written to stdout\n");
    return EXIT_FAILED;
}

/* The words that are answered without a command. -1: it is none of them. */
static int run_word(int argc, char **argv)
{
    if (argc == 0) {
        gf__help_program(commands, N_COMMANDS, stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[0], "help") == 0 && argc > 1) {
        int n_used = 0;
        const gf__command *command = find_command(argc - 1, argv + 1, &n_used);
        if (command == NULL && argc == 2 && is_group(argv[1])) {
            gf__help_group(commands, N_COMMANDS, argv[1], stdout);
            return end_of_text();
        }
        if (command == NULL)
            return report_unknown(argc - 1, argv + 1);
        gf__help_command(command, stdout);
        return end_of_text();
    }
    if (is_group(argv[0]) && argc == 2 && wants_help(argc, argv)) {
        gf__help_group(commands, N_COMMANDS, argv[0], stdout);
        return end_of_text();
    }
    if (strcmp(argv[0], "help") == 0 || strcmp(argv[0], "--help") == 0 ||
        strcmp(argv[0], "-h") == 0) {
        gf__help_program(commands, N_COMMANDS, stdout);
        return end_of_text();
    }
    if (strcmp(argv[0], "version") == 0 || strcmp(argv[0], "--version") == 0) {
        printf("graft %s (%s, %s)\n", gf_version(), gf_engine_library(), gf_engine_isa());
        return end_of_text();
    }
    if (strcmp(argv[0], "--markdown-help") == 0) { /* for tools/make-cli-docs.sh */
        gf__help_markdown(commands, N_COMMANDS, stdout);
        return end_of_text();
    }
    return -1;
}

/* Starts this program again with GOMP_SPINCOUNT set, which libgomp reads once, when it is loaded.
 * Its preset is to spin for ages at the end of every layer: with a neighbour on one core a picture
 * then takes 2.5 s instead of 0.3. A thousand turns keep the idle speed. Starting again costs 5 ms.
 * Somebody who has chosen is left alone. */
static void tame_spinning(char **argv)
{
    char path[4096];
    if (getenv("GOMP_SPINCOUNT") != NULL || getenv("OMP_WAIT_POLICY") != NULL)
        return;
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0 || setenv("GOMP_SPINCOUNT", "1000", 1) != 0)
        return;
    path[n] = '\0';
    execv(path, argv); /* where that fails, this process goes on as it is */
}

int main(int argc, char **argv)
{
    char **whole = argv;
    gf__terminal_hold_descriptors();
    argc--;
    argv++;
    if (argc > 0 && strcmp(argv[0], "worker") == 0)
        return gf__cli_worker(argc - 1, argv + 1); /* who starts it has set its environment */
    if (argc > 0 && strcmp(argv[0], "job") == 0)
        return gf__cli_job(argc - 1, argv + 1);
    const int answered = run_word(argc, argv);
    if (answered >= 0)
        return answered;
    int n_used = 0;
    const gf__command *command = find_command(argc, argv, &n_used);
    if (command == NULL)
        return report_unknown(argc, argv);
    if (wants_help(argc - n_used, argv + n_used)) {
        gf__help_command(command, stdout);
        return end_of_text();
    }
    tame_spinning(whole);
    gf__cli cli = {.command = command->name};
    gf_error err = {0};
    gf__terminal_catch_signals();
    const gf_status st = run_command(command, argc, argv, &cli, &err);
    if (st != GF_OK)
        fprintf(stderr, "graft: %s: %s\n", command->name, err.message);
    gf__buffer_free(&cli.command_line);
    return exit_code(st);
}
