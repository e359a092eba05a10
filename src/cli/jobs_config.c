/* cli/jobs_config.c: the file of --config: a Job document, in gcloud's YAML or in JSON. */
#include <string.h>

#include "cli/jobs.h"

#define MAX_CONFIG ((size_t)4 << 20)

/* JSON is YAML, too, nearly; but who writes it wants to be told what is wrong with it as JSON. */
static bool is_json(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '{';
}

gf_status gf__job_config_read(const char *path, gf__json **job, gf_error *err)
{
    char *text = NULL;
    size_t n_bytes = 0;
    gf__json *document = NULL;
    *job = NULL;
    gf_status st = gf__read_file(path, MAX_CONFIG, &text, &n_bytes, err);
    if (st != GF_OK)
        return st;
    st = is_json(text) ? gf__json_parse(text, n_bytes, &document, err)
                       : gf__yaml_parse(text, n_bytes, &document, err);
    if (st == GF_OK && !gf__json_is_object(document))
        st = gf_error_set(err, GF_EFORMAT,
                          "expected a Job: trainingInput: or predictionInput:, and what is in it");
    if (st == GF_OK)
        *job = document;
    else
        gf__json_free(document);
    if (st != GF_OK)
        gf__error_prefix(err, "--config %s", path);
    gf__free(text);
    return st;
}
