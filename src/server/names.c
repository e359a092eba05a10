/* server/names.c: "projects/P/models/M/versions/V", put together and taken apart. */
#include <string.h>

#include "server/server_priv.h"

char *gf__name_of(const char *project, const char *model, const char *version)
{
    if (model == NULL)
        return gf__asprintf("projects/%s", project);
    if (version == NULL)
        return gf__asprintf("projects/%s/models/%s", project, model);
    return gf__asprintf("projects/%s/models/%s/versions/%s", project, model, version);
}

/* What stands behind the collection's name, up to the next slash; "" where something else comes. */
static const char *take_part(char **rest, const char *collection)
{
    const size_t n_chars = strlen(collection);
    if (strncmp(*rest, collection, n_chars) != 0)
        return "";
    char *part = *rest + n_chars;
    **rest = '\0'; /* ends the one before */
    *rest = part + strcspn(part, "/");
    return part;
}

gf_status gf__name_split(const char *name, gf__name_parts *out, gf_error *err)
{
    *out = (gf__name_parts){.text = gf__strdup(name)};
    char *rest = out->text;
    if (rest == NULL)
        return gf__error_nomem(err, "a name", strlen(name));
    out->project = take_part(&rest, "projects/");
    out->model = take_part(&rest, "/models/");
    out->version = take_part(&rest, "/versions/");
    const bool is_whole = out->project[0] != '\0' && out->model[0] != '\0' && *rest == '\0';
    out->model_name = is_whole ? gf__name_of(out->project, out->model, NULL) : NULL;
    if (out->model_name != NULL)
        return GF_OK;
    gf__name_parts_free(out);
    return is_whole ? gf__error_nomem(err, "a name", strlen(name))
                    : gf_error_set(err, GF_EINVAL, "%s: expected projects/P/models/M[/versions/V]",
                                   name);
}

void gf__name_parts_free(gf__name_parts *parts)
{
    gf__free(parts->text);
    gf__free(parts->model_name);
    *parts = (gf__name_parts){0};
}

const char *gf__version_part(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash != NULL ? slash + 1 : name;
}

const char *gf__model_part(const char *name, size_t *n_chars)
{
    const char *models = strstr(name, "/models/");
    const char *model = models != NULL ? models + strlen("/models/") : name;
    *n_chars = strcspn(model, "/");
    return model;
}
