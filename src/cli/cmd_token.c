/* cli/cmd_token.c: graft token create, list, revoke: works on the home itself, since the first token
 * must be made before a server can ask for one. A running server sees the change at once. */
#include <string.h>
#include <time.h>

#include "cli/remote.h"
#include "registry/registry.h"

typedef struct token_settings {
    const char *role, *project, *expires, *description;
} token_settings;

static void preset(void *settings)
{
    ((token_settings *)settings)->role = "predict";
}

static gf_status open_registry(const gf__cli *cli, gf_registry **out, gf_error *err)
{
    gf_registry_options options = gf_registry_options_default();
    options.home = cli->home;
    return gf_registry_open(&options, out, err);
}

/* "30d", "12h", "90m", "45s" from now on as RFC 3339; another text as it stands, for the registry to
 * judge. */
static gf_status expire_time(const char *text, char *out, size_t n_out, gf_error *err)
{
    static const struct {
        char letter;
        long seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    const size_t n_digits = strspn(text, "0123456789");
    long n = 0;
    if (n_digits == 0 || text[n_digits] == '\0' || text[n_digits + 1] != '\0') {
        snprintf(out, n_out, "%s", text);
        return GF_OK;
    }
    for (size_t i = 0; i < n_digits && n < 1000000; i++)
        n = n * 10 + (text[i] - '0');
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (units[i].letter != text[n_digits] || n == 0 || n > 36500L * 86400 / units[i].seconds)
            continue;
        const time_t then = time(NULL) + n * units[i].seconds;
        struct tm utc;
        gmtime_r(&then, &utc);
        strftime(out, n_out, "%Y-%m-%dT%H:%M:%SZ", &utc);
        return GF_OK;
    }
    return gf_error_set(err, GF_EINVAL,
                        "--expires %s: expected a time like 30d, 12h, 90m, or 2030-01-31T00:00:00Z",
                        text);
}

static const gf__option create_options[] = {
    GF__TEXT("--role", "admin|deploy|predict", "predict", token_settings, role,
             "predict may ask for predictions, deploy also manage models and buckets, admin also "
             "tokens."),
    GF__TEXT("--project", "P", "all", token_settings, project,
             "Only the models of this project, and of the buckets gs://BUCKET/P/... alone."),
    GF__TEXT("--expires", "30d|TIME", "never", token_settings, expires,
             "How long it is good: a number with s, m, h, d or w, or an RFC 3339 time."),
    GF__TEXT("--description", "TEXT", NULL, token_settings, description, "Who has it."),
};

static gf_status make_body(const token_settings *s, gf__json *body, gf_error *err)
{
    char expires[64] = "";
    gf_status st = s->expires != NULL ? expire_time(s->expires, expires, sizeof expires, err)
                                      : GF_OK;
    gf__json_set_string(body, "role", s->role);
    if (s->project != NULL)
        gf__json_set_string(body, "project", s->project);
    if (expires[0] != '\0')
        gf__json_set_string(body, "expireTime", expires);
    if (s->description != NULL)
        gf__json_set_string(body, "description", s->description);
    return st;
}

/* A text of the registry as a document; ends the text. */
static gf_status parse_text(char *text, gf__json **out, gf_error *err)
{
    const gf_status st = gf__json_parse(text, strlen(text), out, err);
    gf_registry_free_text(text);
    return st;
}

static gf_status run_create(gf__cli *cli, const void *settings, gf_error *err)
{
    gf_registry *registry = NULL;
    gf__json *body = gf__json_object(), *token = NULL;
    gf__buffer text = {0};
    char *made = NULL;
    gf_status st = make_body(settings, body, err);
    if (st == GF_OK) {
        gf__json_write(body, false, &text);
        st = gf__buffer_status(&text, err);
    }
    if (st == GF_OK)
        st = open_registry(cli, &registry, err);
    if (st == GF_OK)
        st = gf_registry_create_token(registry, text.data, &made, err);
    if (st == GF_OK)
        st = parse_text(made, &token, err);
    if (st == GF_OK && cli->is_json) {
        st = gf__cli_print_json(token, err);
        token = NULL;
    } else if (st == GF_OK) {
        printf("%s\n", gf__json_string(gf__json_find(token, "token"), ""));
        gf__cli_note(cli, "%s, role %s; the secret is shown this once",
                     gf__json_string(gf__json_find(token, "name"), ""),
                     gf__json_string(gf__json_find(token, "role"), ""));
    }
    gf__json_free(token);
    gf__json_free(body);
    gf__buffer_free(&text);
    gf_registry_close(registry);
    return st;
}

const gf__command gf__command_token_create = {
    .name = "token create",
    .words = "",
    .summary = "Make a token that a server on this home accepts.",
    .text =
        "Prints the secret on stdout, this once: only a hash of it is kept. Clients send it as "
        "Authorization: Bearer SECRET; graft's own commands take it from $GRAFT_TOKEN. Works on "
        "the home folder, with or without a server running on it.",
    .examples = "graft token create --role admin\n"
                "graft token create --role predict --project opera --expires 30d",
    .options = create_options,
    .n_options = GF__N_OPTIONS(create_options),
    .settings_size = sizeof(token_settings),
    .preset = preset,
    .run = run_create,
};

static void print_tokens(const gf__json *tokens, gf__table *table)
{
    for (size_t i = 0; i < gf__json_n_items(tokens); i++) {
        const gf__json *token = gf__json_at(tokens, i);
        const char *const cells[] = {
            gf__json_string(gf__json_find(token, "name"), ""),
            gf__json_string(gf__json_find(token, "role"), ""),
            gf__json_string(gf__json_find(token, "project"), "all"),
            gf__json_string(gf__json_find(token, "createTime"), ""),
            gf__json_string(gf__json_find(token, "expireTime"), "never"),
            gf__json_string(gf__json_find(token, "description"), ""),
        };
        gf__table_row(table, cells);
    }
}

static gf_status run_list(gf__cli *cli, const void *settings, gf_error *err)
{
    static const char *const headings[] = {"NAME",    "ROLE",    "PROJECT",
                                           "CREATED", "EXPIRES", "DESCRIPTION"};
    gf_registry *registry = NULL;
    gf__json *list = NULL;
    char *text = NULL;
    gf_status st = open_registry(cli, &registry, err);
    if (st == GF_OK)
        st = gf_registry_list_tokens(registry, &text, err);
    if (st == GF_OK)
        st = parse_text(text, &list, err);
    gf_registry_close(registry);
    if (st == GF_OK && cli->is_json)
        return gf__cli_print_json(list, err);
    if (st == GF_OK) {
        gf__table *table = gf__table_new(headings, 6);
        print_tokens(gf__json_find(list, "tokens"), table);
        st = gf__table_print(table, err);
    }
    gf__json_free(list);
    return st;
}

const gf__command gf__command_token_list = {
    .name = "token list",
    .words = "",
    .summary = "List the tokens of this home.",
    .text = "Without their secrets, which are not kept.",
    .examples = "graft token list",
    .run = run_list,
};

static gf_status run_revoke(gf__cli *cli, const void *settings, gf_error *err)
{
    gf_registry *registry = NULL;
    const char *name = cli->words[0];
    char *full = strncmp(name, "tokens/", 7) == 0 ? gf__strdup(name)
                                                  : gf__asprintf("tokens/%s", name);
    gf_status st = full != NULL ? open_registry(cli, &registry, err)
                                : gf__error_nomem(err, "a name", strlen(name));
    if (st == GF_OK)
        st = gf_registry_revoke_token(registry, full, err);
    if (st == GF_OK)
        gf__cli_note(cli, "revoked %s", full);
    gf_registry_close(registry);
    gf__free(full);
    return st;
}

const gf__command gf__command_token_revoke = {
    .name = "token revoke",
    .words = "TOKEN",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Take a token back.",
    .text = "TOKEN is its name, as `graft token list` shows it, not the secret. A running server "
            "refuses it from now on.",
    .examples = "graft token revoke tokens/3f2a9c",
    .run = run_revoke,
};
