/* cli/help.c: the option tables as text: `graft --help`, `graft COMMAND --help`, and
 * docs/cli.md. */
#include <string.h>

#include "cli/cli.h"

#define WIDTH 96

/* Writes text wrapped at WIDTH, every line after indent spaces; the first line starts at column. */
static void print_wrapped(FILE *out, const char *text, int indent, int column)
{
    while (*text != '\0') {
        if (*text == '\n') {
            fputc('\n', out);
            column = 0;
            text++;
            continue;
        }
        const int n_word = (int)strcspn(text, " \n");
        if (column > indent && column + 1 + n_word > WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        if (column > indent) {
            fputc(' ', out);
            column++;
        }
        for (; column < indent; column++)
            fputc(' ', out);
        fprintf(out, "%.*s", n_word, text);
        column += n_word;
        text += n_word;
        while (*text == ' ')
            text++;
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const gf__option *option)
{
    const bool is_output = strcmp(option->name, "--output") == 0;
    fprintf(out, "  %s%s%s%s\n", is_output ? "-o, " : "", option->name,
            option->argument != NULL ? " " : "", option->argument != NULL ? option->argument : "");
    print_wrapped(out, option->help, 8, 0);
    if (option->preset != NULL)
        fprintf(out, "        Default: %s.\n", option->preset);
}

static void print_examples(FILE *out, const char *examples, const char *prefix)
{
    while (*examples != '\0') {
        const int n = (int)strcspn(examples, "\n");
        fprintf(out, "%s%.*s\n", prefix, n, examples);
        examples += n + (examples[n] == '\n');
    }
}

void gf__help_command(const gf__command *command, FILE *out)
{
    fprintf(out, "NAME\n  graft %s: %s\n\nUSAGE\n  graft %s %s%s[options]\n\nDESCRIPTION\n",
            command->name, command->summary, command->name, command->words,
            command->words[0] != '\0' ? " " : "");
    print_wrapped(out, command->text, 2, 0);
    if (command->n_options > 0)
        fprintf(out, "\nOPTIONS\n");
    for (size_t i = 0; i < command->n_options; i++)
        print_option(out, &command->options[i]);
    fprintf(out, "\nOPTIONS OF EVERY COMMAND\n");
    for (size_t i = 0; i < gf__n_global_options; i++)
        print_option(out, &gf__global_options[i]);
    fprintf(out, "\nEXIT STATUS\n  0 done; 1 failed; 2 wrong usage; 3 not found; 4 cancelled.\n"
                 "\nEXAMPLES\n");
    print_examples(out, command->examples, "  ");
}

void gf__help_group(const gf__command *const *commands, size_t n_commands, const char *group,
                    FILE *out)
{
    const size_t n_group = strlen(group);
    fprintf(out, "COMMANDS\n");
    for (size_t i = 0; i < n_commands; i++)
        if (strncmp(commands[i]->name, group, n_group) == 0 && commands[i]->name[n_group] == ' ')
            fprintf(out, "  graft %-22s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\n`graft COMMAND --help` has the details.\n");
}

void gf__help_program(const gf__command *const *commands, size_t n_commands, FILE *out)
{
    fprintf(out,
            "graft %s: transfer learning and serving of image classifiers\n\n"
            "USAGE\n  graft COMMAND [arguments] [options]\n\nCOMMANDS\n",
            gf_version());
    for (size_t i = 0; i < n_commands; i++)
        fprintf(out, "  %-22s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "  %-22s %s\n", "help", "This text, or that of a command.");
    fprintf(out, "  %-22s %s\n", "version", "The version of graft and of its engine.");
    fprintf(out, "\nOPTIONS OF EVERY COMMAND\n");
    for (size_t i = 0; i < gf__n_global_options; i++)
        print_option(out, &gf__global_options[i]);
    fprintf(out,
            "\nEXIT STATUS\n  0 done; 1 failed; 2 wrong usage; 3 not found; 4 cancelled.\n"
            "\nFIRST STEPS\n"
            "  graft pull inception_v3              the pretrained network, once\n"
            "  graft dataset check flowers/         flowers/rose/1.jpg, flowers/tulip/7.png ...\n"
            "  graft train flowers/ -o flowers.safetensors --report flowers.html\n"
            "  graft predict flowers.safetensors photo.jpg\n"
            "  graft serve                          the same over HTTP; then, elsewhere:\n"
            "  graft models create flowers\n"
            "  graft versions create v1 --model flowers --origin flowers.safetensors\n"
            "  graft predict --model flowers photo.jpg\n\n"
            "`graft COMMAND --help` has the details.\n");
}

static void print_markdown_options(FILE *out, const gf__option *options, size_t n)
{
    fprintf(out, "| option | default | meaning |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "| `%s", options[i].name);
        for (const char *c = options[i].argument; c != NULL && *c != '\0'; c++)
            fprintf(out, "%s%s", c == options[i].argument ? " " : "",
                    *c == '|' ? "\\|" : (char[2]){*c, '\0'});
        fprintf(out, "` | %s | %s |\n", options[i].preset != NULL ? options[i].preset : "",
                options[i].help);
    }
    fputc('\n', out);
}

void gf__help_markdown(const gf__command *const *commands, size_t n_commands, FILE *out)
{
    fprintf(out, "# The commands of graft\n\n"
                 "Made from the program's own option tables (`tools/make-cli-docs.sh`); "
                 "do not edit.\n\n"
                 "Results go to stdout, progress and errors to stderr. "
                 "Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 cancelled.\n\n"
                 "Options of every command:\n\n");
    print_markdown_options(out, gf__global_options, gf__n_global_options);
    for (size_t i = 0; i < n_commands; i++) {
        const gf__command *command = commands[i];
        fprintf(out, "## graft %s %s\n\n%s\n\n%s\n\n", command->name, command->words,
                command->summary, command->text);
        if (command->n_options > 0)
            print_markdown_options(out, command->options, command->n_options);
        fprintf(out, "```\n");
        print_examples(out, command->examples, "");
        fprintf(out, "```\n%s", i + 1 < n_commands ? "\n" : "");
    }
}
