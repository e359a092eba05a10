/* cli/remote.h: talking to a server: where it is, what it is asked, and its errors as ours.
 *
 *     gf__remote remote;
 *     gf__json *model = NULL;
 *     st = gf__remote_open(cli, &s->remote, &remote, err);
 *     if (st == GF_OK)
 *         st = gf__remote_call(&remote, "GET", "/v1/projects/p/models/m", NULL, &model, err);
 *     gf__json_free(model);
 *     gf__remote_close(&remote); */
#ifndef GRAFT_CLI_REMOTE_H
#define GRAFT_CLI_REMOTE_H

#include "cli/cli.h"

/* What every command that asks a server takes; a member "remote" of its settings. */
typedef struct gf__remote_settings {
    const char *server, *project, *token, *ca_file, *format;
} gf__remote_settings;

#define GF__REMOTE_OPTIONS(S)                                                                  \
    GF__TEXT("--server", "URL", "$GRAFT_SERVER, else http://127.0.0.1:8080", S, remote.server, \
             "The server to ask."),                                                            \
        GF__TEXT("--project", "P", "$GRAFT_PROJECT, else default", S, remote.project,          \
                 "The project that names belong to."),                                         \
        GF__TEXT("--token", "SECRET", "$GRAFT_TOKEN", S, remote.token,                         \
                 "Who asks. Others on the machine see arguments: the variable is safer."),     \
        GF__TEXT("--ca-file", "F.pem", "the system's", S, remote.ca_file,                      \
                 "Trust these authorities for https.")
/* For those that print what the API answers. */
#define GF__FORMAT_OPTION(S)                                      \
    GF__TEXT("--format", "table|json", "table", S, remote.format, \
             "A table for people, or the document of the API; json is also --json.")

typedef struct gf__remote {
    gf__http_client *client;
    char *server; /* without a slash at its end */
    const char *project;
} gf__remote;

/* --format json is --json. NULL is fine. */
void gf__format_apply(gf__cli *cli, const char *format);

/* Reads $GRAFT_SERVER, $GRAFT_PROJECT and $GRAFT_TOKEN where an option was not given. Applies
 * --format. End with gf__remote_close(), also after a failure. */
gf_status gf__remote_open(gf__cli *cli, const gf__remote_settings *settings, gf__remote *out,
                          gf_error *err);
void gf__remote_close(gf__remote *remote);

/* Sends a JSON body (NULL: none) to a path and gives the JSON document that comes back. path: as it
 * stands in the request line, its parts encoded. A refusal of the server becomes an error. *out may
 * be asked for with NULL. body stays the caller's. */
gf_status gf__remote_call(gf__remote *remote, const char *method, const char *path,
                          const gf__json *body, gf__json **out, gf_error *err);
/* The same for a request of any kind, whose url is a path; the answer has a code of 200 to 299. */
gf_status gf__remote_send(gf__remote *remote, const gf__http_request *request,
                          gf__http_answer *answer, gf_error *err);

/* All pages of a list: the items under key, in one new array. path NULL: out of memory. */
typedef struct gf__list_query {
    const char *key;          /* "models" */
    const char *name, *value; /* one query parameter ("filter"); value NULL: none */
    int limit;                /* no more than so many; 0: all */
    int page_size;            /* asked for at a time; 0: as many as the API gives */
} gf__list_query;
gf_status gf__remote_list(gf__remote *remote, const char *path, const gf__list_query *query,
                          gf__json **out, gf_error *err);

/* Percent-encodes what must be in a part of a path or a query; '/' stays with keeps_slashes. */
void gf__url_encode(gf__buffer *out, const char *text, bool keeps_slashes);
/* "/v1/projects/P/models/M", "/v1/projects/P/models/M/versions/V" with NULL for what is not asked
 * for; suffix (":predict", "/versions", NULL). A model or version may be given by its full name
 * ("projects/P/models/M"). New, gf__free(); NULL out of memory. */
char *gf__model_path(const gf__remote *remote, const char *model, const char *version,
                     const char *suffix);
char *gf__operation_path(const gf__remote *remote, const char *operation, const char *suffix);
char *gf__job_path(const gf__remote *remote, const char *job, const char *suffix);

/* Polls until the operation is done, saying so. *operation (in and out) is the document; its error
 * becomes an error of ours. Ctrl-C ends the waiting, not the operation. */
gf_status gf__remote_wait(gf__cli *cli, gf__remote *remote, gf__json **operation, gf_error *err);

/* Asks on a terminal; elsewhere, and with --quiet, the answer is yes. GF_ECANCELED for no. */
gf_status gf__confirm(gf__cli *cli, const char *fmt, ...) GF_PRINTF(2, 3);

/* ---- tables ---------------------------------------------------------------------------------- */

/* Rows of texts under headings, columns as wide as they need to be. */
typedef struct gf__table gf__table;
gf__table *gf__table_new(const char *const *headings, size_t n_columns); /* NULL: out of memory */
/* n_columns texts, copied; NULL is "". */
void gf__table_row(gf__table *table, const char *const *cells);
gf_status gf__table_print(gf__table *table, gf_error *err); /* frees it, NULL too */

/* "name: value" lines of a document, objects indented below their key. */
void gf__print_document(const gf__json *document);
/* The document for programs (--json), or people's lines; frees it. */
gf_status gf__print_answer(const gf__cli *cli, gf__json *document, gf_error *err);
/* What a command that changes something says once it has (st GF_OK): "deleted model", "M"; the
 * document with --json. Frees it, and returns st otherwise. */
gf_status gf__print_done(const gf__cli *cli, gf_status st, gf__json *document, const char *what,
                         const char *name, gf_error *err);

/* "k=v,k=v" into {"k":"v"}; several options add up. GF_EINVAL names what is not k=v. */
gf_status gf__labels_parse(const gf__cli_list *list, gf__json *labels, gf_error *err);
/* The last part of a full name. */
const char *gf__short_name(const gf__json *document, const char *key);

#endif
