/* cli/options.c: arguments into settings, by a command's option table. Long options only, "--name
 * VALUE" or "--name=VALUE"; "--" ends the options; what is no option is a word of the command,
 * wherever it stands. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define GLOBAL(m) offsetof(gf__cli, m)

const gf__option gf__global_options[] = {
    {"--json", NULL, NULL, "Print the result as one JSON document.", GF__OPTION_FLAG,
     GLOBAL(is_json), 0, 0},
    {"--quiet", NULL, NULL, "No progress, no notes; errors are still printed.", GF__OPTION_FLAG,
     GLOBAL(is_quiet), 0, 0},
    {"--home", "DIR", "$GRAFT_HOME, else $XDG_DATA_HOME/graft, else ~/.local/share/graft",
     "Where trunks, packed weights and the feature cache live.", GF__OPTION_TEXT, GLOBAL(home), 0,
     0},
    {"--threads", "N", "the CPUs this process may use (affinity, cgroup quota)",
     "Threads to compute with. Results do not depend on it.", GF__OPTION_INT, GLOBAL(n_threads), 1,
     1024},
    {"--max-pixels", "N", "67108864", "Refuse pictures of more pixels than this.", GF__OPTION_SIZE,
     GLOBAL(max_pixels), 1, 1e12},
};
const size_t gf__n_global_options = GF__N_OPTIONS(gf__global_options);

static const gf__option *find_option(const gf__option *table, size_t n, const char *name,
                                     size_t n_chars)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(table[i].name) == n_chars && strncmp(table[i].name, name, n_chars) == 0)
            return &table[i];
    return NULL;
}

/* Capitals stand for any text, and what follows them is the ending it must have: "NAME",
 * "F.npy". */
static bool fits_placeholder(const char *word, size_t n_word, const char *value)
{
    const size_t n_capitals = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (n_word == 0 || n_capitals == 0)
        return false;
    if (n_capitals >= n_word)
        return true;
    const size_t n_ending = n_word - n_capitals, n_value = strlen(value);
    return n_value > n_ending &&
           strncmp(value + n_value - n_ending, word + n_capitals, n_ending) == 0;
}

/* Whether value is one of the words in "adam|sgd|rmsprop". Without a bar in it, the argument is a
 * placeholder. */
static bool is_choice(const char *choices, const char *value)
{
    const size_t n_value = strlen(value);
    for (const char *word = choices; word != NULL; word = strchr(word, '|')) {
        if (*word == '|')
            word++;
        const size_t n_word = strcspn(word, "|");
        if (fits_placeholder(word, n_word, value))
            return true;
        if (n_word == n_value && strncmp(word, value, n_value) == 0)
            return true;
    }
    return false;
}

static gf_status out_of_range(const gf__option *option, const char *value, gf_error *err)
{
    if (option->kind == GF__OPTION_NUMBER)
        return gf_error_set(err, GF_EINVAL, "%s %s: expected a number from %g to %g", option->name,
                            value, option->low, option->high);
    return gf_error_set(err, GF_EINVAL, "%s %s: expected a whole number from %.0f to %.0f",
                        option->name, value, option->low, option->high);
}

static gf_status set_number(const gf__option *option, const char *value, char *member,
                            gf_error *err)
{
    char *end = NULL;
    errno = 0;
    const bool is_whole = option->kind != GF__OPTION_NUMBER;
    const double number = is_whole ? (double)strtoll(value, &end, 10) : strtod(value, &end);
    const bool is_bounded = option->low < option->high;
    if (end == value || *end != '\0' || errno == ERANGE || !(number - number == 0))
        return out_of_range(option, value, err);
    if (is_bounded && (number < option->low || number > option->high))
        return out_of_range(option, value, err);
    if (option->kind == GF__OPTION_INT)
        *(int *)(void *)member = (int)number;
    else if (option->kind == GF__OPTION_SIZE)
        *(uint64_t *)(void *)member = (uint64_t)number;
    else
        *(double *)(void *)member = number;
    return GF_OK;
}

static gf_status set_value(const gf__option *option, const char *value, void *settings,
                           gf_error *err)
{
    char *member = (char *)settings + option->offset;
    switch (option->kind) {
    case GF__OPTION_FLAG:
        *(bool *)(void *)member = true;
        return GF_OK;
    case GF__OPTION_TEXT:
        if (strchr(option->argument, '|') != NULL && !is_choice(option->argument, value))
            return gf_error_set(err, GF_EINVAL, "%s %s: expected %s", option->name, value,
                                option->argument);
        *(const char **)(void *)member = value;
        return GF_OK;
    case GF__OPTION_LIST: {
        gf__cli_list *list = (gf__cli_list *)(void *)member;
        if (list->n == GF__CLI_MAX_LIST)
            return gf_error_set(err, GF_ELIMIT, "%s: given more than %d times", option->name,
                                GF__CLI_MAX_LIST);
        list->items[list->n++] = value;
        return GF_OK;
    }
    case GF__OPTION_INT:
    case GF__OPTION_SIZE:
    case GF__OPTION_NUMBER:
        return set_number(option, value, member, err);
    }
    return GF_OK;
}

/* The three short options there are, as every compiler has them. */
static const char *long_name(const char *text)
{
    if (strcmp(text, "-o") == 0)
        return "--output";
    if (strcmp(text, "-r") == 0)
        return "--recursive";
    return strcmp(text, "-v") == 0 ? "--verbose" : text;
}

/* Reads the option at arguments[*i] and steps past what it used. */
static gf_status parse_option(const gf__command *command, int n, char **arguments, int *i,
                              gf__cli *cli, void *settings, gf_error *err)
{
    const char *text = long_name(arguments[*i]);
    const char *equals = strchr(text, '=');
    const size_t n_name = equals != NULL ? (size_t)(equals - text) : strlen(text);
    void *target = settings;
    const gf__option *option = find_option(command->options, command->n_options, text, n_name);
    if (option == NULL) {
        option = find_option(gf__global_options, gf__n_global_options, text, n_name);
        target = cli;
    }
    if (option == NULL)
        return gf_error_set(err, GF_EINVAL, "no option %.*s; see graft %s --help", (int)n_name,
                            text, command->name);
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (option->kind == GF__OPTION_FLAG) {
        if (value != NULL)
            return gf_error_set(err, GF_EINVAL, "%s takes no value", option->name);
    } else if (value == NULL) {
        if (*i + 1 >= n)
            return gf_error_set(err, GF_EINVAL, "%s: expected %s after it", text, option->argument);
        value = arguments[++*i];
    }
    return set_value(option, value, target, err);
}

gf_status gf__options_parse(const gf__command *command, int n_arguments, char **arguments,
                            gf__cli *cli, void *settings, gf_error *err)
{
    bool is_options = true;
    /* words are moved to the front: there are never more of them than were read */
    cli->words = arguments;
    cli->n_words = 0;
    cli->n_own_words = SIZE_MAX;
    for (int i = 0; i < n_arguments; i++) {
        char *argument = arguments[i];
        if (is_options && strcmp(argument, "--") == 0) {
            is_options = false;
            cli->n_own_words = cli->n_words;
            continue;
        }
        if (is_options && argument[0] == '-' && argument[1] != '\0') {
            const gf_status st = parse_option(command, n_arguments, arguments, &i, cli, settings,
                                              err);
            if (st != GF_OK)
                return st;
            continue;
        }
        cli->words[cli->n_words++] = argument;
    }
    if (cli->n_own_words > cli->n_words)
        cli->n_own_words = cli->n_words;
    if (cli->n_words < command->n_words_low)
        return gf_error_set(err, GF_EINVAL, "expected %s; see graft %s --help", command->words,
                            command->name);
    if (cli->n_words > command->n_words_high)
        return gf_error_set(err, GF_EINVAL, "%s is one argument too many; expected %s",
                            cli->words[command->n_words_high],
                            command->words[0] != '\0' ? command->words : "none");
    for (size_t i = 0; i < cli->n_own_words; i++)
        if (cli->words[i][0] == '\0') /* mostly a variable of the shell that is not set */
            return gf_error_set(err, GF_EINVAL, "an argument is empty; expected %s",
                                command->words);
    return GF_OK;
}
