/* cli/remote_predict.c: pictures go as they are, one request each on one connection; JSON instances
 * go together. */
#include "cli/remote_predict.h"

#include <errno.h>
#include <string.h>

#define MAX_INSTANCES_BYTES ((size_t)1 << 30)

/* ---- JSON instances -------------------------------------------------------------------------- */

/* All of stdin. */
static gf_status read_stdin(gf__buffer *out, gf_error *err)
{
    char bytes[65536];
    size_t n;
    while ((n = fread(bytes, 1, sizeof bytes, stdin)) > 0) {
        if (out->size + n > MAX_INSTANCES_BYTES)
            return gf_error_set(err, GF_ELIMIT, "stdin: more than %zu bytes", MAX_INSTANCES_BYTES);
        gf__buffer_append(out, bytes, n);
    }
    return ferror(stdin) != 0 ? gf_error_set(err, GF_EIO, "stdin: cannot be read")
                              : gf__buffer_status(out, err);
}

static gf_status read_lines(const char *path, gf__buffer *out, gf_error *err)
{
    char *text = NULL;
    size_t size = 0;
    if (strcmp(path, "-") == 0)
        return read_stdin(out, err);
    const gf_status st = gf__read_file(path, MAX_INSTANCES_BYTES, &text, &size, err);
    if (st == GF_OK)
        gf__buffer_append(out, text, size);
    gf__free(text);
    return st == GF_OK ? gf__buffer_status(out, err) : st;
}

/* Lines are joined as they stand: their numbers keep every digit. Each is parsed on its own before,
 * in brackets because a document is an object or array, so that the line is named. */
static gf_status check_line(const char *path, size_t number, const char *line, size_t n_chars,
                            gf_error *err)
{
    gf__json *document = NULL;
    gf__buffer text = {0};
    gf__buffer_puts(&text, "[");
    gf__buffer_append(&text, line, n_chars);
    gf__buffer_puts(&text, "]");
    gf_status st = gf__buffer_status(&text, err);
    if (st == GF_OK)
        st = gf__json_parse(text.data, text.size, &document, err);
    if (st == GF_OK && gf__json_n_items(document) != 1)
        st = gf_error_set(err, GF_EFORMAT, "expected one JSON value a line");
    if (st != GF_OK)
        gf__error_prefix(err, "%s:%zu", path, number);
    gf__json_free(document);
    gf__buffer_free(&text);
    return st;
}

static gf_status make_body(const gf__remote_predict *what, gf__buffer *body, gf_error *err)
{
    gf__buffer lines = {0};
    size_t n_instances = 0, number = 1;
    gf_status st = read_lines(what->json_instances, &lines, err);
    gf__buffer_puts(body, "{\"instances\":[");
    for (const char *line = lines.data; st == GF_OK && line != NULL && *line != '\0'; number++) {
        const size_t n_chars = strcspn(line, "\n");
        if (strspn(line, " \t\r") < n_chars) {
            st = check_line(what->json_instances, number, line, n_chars, err);
            gf__buffer_puts(body, n_instances++ > 0 ? "," : "");
            gf__buffer_append(body, line, n_chars);
        }
        line += n_chars + (line[n_chars] == '\n');
    }
    gf__buffer_puts(body, "]");
    if (what->signature_name != NULL) {
        gf__json *name = gf__json_array();
        gf__json_append(name, gf__json_new_string(what->signature_name));
        gf__buffer text = {0}; /* ["NAME"] without its brackets */
        gf__json_write(name, false, &text);
        if (gf__buffer_status(&text, NULL) == GF_OK)
            gf__buffer_printf(body, ",\"signature_name\":%.*s", (int)text.size - 2, text.data + 1);
        gf__buffer_free(&text);
        gf__json_free(name);
    }
    gf__buffer_puts(body, "}");
    gf__buffer_free(&lines);
    if (st == GF_OK && n_instances == 0)
        st = gf_error_set(err, GF_EFORMAT, "%s: no instances in it", what->json_instances);
    return st == GF_OK ? gf__buffer_status(body, err) : st;
}

/* One prediction a line, or the document. {"error":"..."} comes with a code of 200, too. */
static gf_status print_predictions(const gf__cli *cli, gf__json *answer, gf_error *err)
{
    const gf__json *predictions = gf__json_find(answer, "predictions");
    const char *error = gf__json_string(gf__json_find(answer, "error"), NULL);
    gf_status st = GF_OK;
    if (error != NULL)
        st = gf_error_set(err, GF_EFORMAT, "%s", error);
    if (st == GF_OK && cli->is_json)
        return gf__cli_print_json(answer, err);
    for (size_t i = 0; st == GF_OK && i < gf__json_n_items(predictions); i++) {
        gf__json *line = gf__json_array(); /* numbers and strings, too, can be written from one */
        gf__buffer text = {0};
        gf__json_append(line, gf__json_copy(gf__json_at(predictions, i)));
        gf__json_write(line, false, &text);
        st = gf__buffer_status(&text, err);
        if (st == GF_OK)
            printf("%.*s\n", (int)text.size - 2, text.data + 1);
        gf__buffer_free(&text);
        gf__json_free(line);
    }
    gf__json_free(answer);
    return st;
}

static gf_status predict_instances(gf__cli *cli, gf__remote *remote, const gf__remote_predict *what,
                                   gf_error *err)
{
    gf__buffer body = {0};
    gf__http_answer answer = {0};
    gf__json *document = NULL;
    char *path = gf__model_path(remote, what->model, what->version, ":predict");
    gf_status st = path != NULL ? make_body(what, &body, err)
                                : gf__error_nomem(err, "an address", 0);
    if (st == GF_OK)
        st = gf__remote_send(
            remote, &(gf__http_request){.url = path, .body = body.data, .n_body_bytes = body.size},
            &answer, err);
    if (st == GF_OK)
        st = gf__json_parse(answer.body.data, answer.body.size, &document, err);
    gf__http_answer_free(&answer);
    gf__buffer_free(&body);
    gf__free(path);
    return st == GF_OK ? print_predictions(cli, document, err) : st;
}

/* ---- pictures -------------------------------------------------------------------------------- */

/* "/graft/v1/projects/P/models/M[/versions/V]:classify?top=K" */
static char *classify_path(const gf__remote *remote, const gf__remote_predict *what, int n_top)
{
    char suffix[64];
    snprintf(suffix, sizeof suffix, ":classify?top=%d", n_top);
    char *path = gf__model_path(remote, what->model, what->version, suffix);
    char *out = path != NULL ? gf__asprintf("/graft%s", path) : NULL;
    gf__free(path);
    return out;
}

static void print_classes(const char *path, const gf__json *answer, bool is_verbose)
{
    const gf__json *prediction = gf__json_at(gf__json_find(answer, "predictions"), 0);
    const gf__json *top = gf__json_find(prediction, "top");
    const gf__json *timing = gf__json_find(answer, "timings");
    printf("%s\n", path);
    for (size_t i = 0; i < gf__json_n_items(top); i++) {
        const gf__json *entry = gf__json_at(top, i);
        printf("  %8.6f  %s\n", gf__json_number(gf__json_find(entry, "score"), 0),
               gf__json_string(gf__json_find(entry, "label"), ""));
    }
    if (is_verbose && timing != NULL)
        printf("  decode %.1f ms, network %.1f ms, head %.2f ms\n",
               gf__json_number(gf__json_find(timing, "decode_ms"), 0),
               gf__json_number(gf__json_find(timing, "network_ms"), 0),
               gf__json_number(gf__json_find(timing, "head_ms"), 0));
}

static gf_status classify_one(gf__remote *remote, const char *url, const char *path, gf__json **out,
                              gf_error *err)
{
    gf__mapping file;
    gf__http_answer answer = {0};
    gf_status st = gf__cli_read_picture(path, &file, err);
    if (st != GF_OK)
        return st;
    st = gf__remote_send(
        remote,
        &(gf__http_request){.url = url,
                            .content_type = "application/octet-stream",
                            .body = file.data != NULL ? file.data : (const uint8_t *)"",
                            .n_body_bytes = file.size},
        &answer, err);
    if (st == GF_OK)
        st = gf__json_parse(answer.body.data, answer.body.size, out, err);
    if (st == GF_EINVAL) /* of this picture: no wrong usage of the command */
        st = GF_EFORMAT;
    if (st != GF_OK && st != GF_ENETWORK && st != GF_ECANCELED)
        gf__error_prefix(err, "%s", path);
    gf__http_answer_free(&answer);
    gf__unmap(&file);
    return st;
}

/* Whether the next picture could fare better than one that failed so. */
static bool is_of_picture(gf_status st)
{
    return st == GF_EINVAL || st == GF_EFORMAT || st == GF_ELIMIT || st == GF_EIO ||
           st == GF_EUNSUPPORTED || st == GF_ENOTFOUND;
}

/* Every picture is tried; the command ends with the last failure. */
static gf_status classify_all(gf__cli *cli, gf__remote *remote, const gf__remote_predict *what,
                              int n_top, bool is_verbose, gf_error *err)
{
    gf__json *answers = cli->is_json ? gf__json_array() : NULL;
    char *url = classify_path(remote, what, n_top);
    gf_status result = url != NULL ? GF_OK : gf__error_nomem(err, "an address", 0);
    for (size_t i = 0; i < cli->n_words && (result == GF_OK || is_of_picture(result)); i++) {
        gf__json *answer = NULL;
        gf_error problem = {0};
        const gf_status st = classify_one(remote, url, cli->words[i], &answer, &problem);
        if (st != GF_OK) {
            if (result != GF_OK) /* main() prints the last one */
                fprintf(stderr, "graft: %s: %s\n", cli->command, err->message);
            *err = problem;
            result = st;
        } else if (cli->is_json) {
            gf__json_set_string(answer, "image", cli->words[i]);
            gf__json_append(answers, answer);
            answer = NULL;
        } else {
            print_classes(cli->words[i], answer, is_verbose);
        }
        gf__json_free(answer);
    }
    gf__free(url);
    if (cli->is_json) {
        const gf_status st = gf__cli_print_json(answers, result == GF_OK ? err : NULL);
        result = result == GF_OK ? st : result;
    }
    return result;
}

gf_status gf__predict_remotely(gf__cli *cli, const gf__remote_settings *where,
                               const gf__remote_predict *what, int n_top, bool is_verbose,
                               gf_error *err)
{
    gf__remote remote;
    if (what->model[0] == '\0' || (what->version != NULL && what->version[0] == '\0'))
        return gf_error_set(err, GF_EINVAL, "--%s: expected its name, found nothing",
                            what->model[0] == '\0' ? "model" : "version");
    if (what->json_instances != NULL && cli->n_words > 0)
        return gf_error_set(err, GF_EINVAL,
                            "%s: pictures or --json-instances, not both in one call",
                            cli->words[0]);
    if (what->json_instances == NULL && cli->n_words == 0)
        return gf_error_set(
            err, GF_EINVAL,
            "expected IMAGE..., or --json-instances FILE; see graft predict --help");
    gf_status st = gf__remote_open(cli, where, &remote, err);
    if (st == GF_OK && what->json_instances != NULL)
        st = predict_instances(cli, &remote, what, err);
    else if (st == GF_OK)
        st = classify_all(cli, &remote, what, n_top, is_verbose, err);
    gf__remote_close(&remote);
    return st;
}
