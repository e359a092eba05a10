/* server/routes_match.c: which routes take a path. Patterns are compared segment by segment, decoded:
 * a slash that was percent-encoded belongs to its segment. */
#include <string.h>

#include "server/http_priv.h"
#include "server/routes_priv.h"

#define MAX_SEGMENTS 48

/* Vertex first: its routes are the operator's wish and may be spelled like another family's. */
static const gf__route *const tables[] = {gf__routes_vertex,    gf__routes_health,
                                          gf__routes_discovery, gf__routes_openapi,
                                          gf__routes_ml_v1,     gf__routes_ml_v1_predict,
                                          gf__routes_graft_v1,  gf__routes_graft_v1_classify,
                                          gf__routes_tfserving, gf__routes_kserve_v2};
#define N_TABLES (sizeof tables / sizeof *tables)

/* A path's segments, decoded. */
typedef struct path_parts {
    char *text;
    const char *raw[MAX_SEGMENTS]; /* where the segment begins in the path as it came */
    char *segments[MAX_SEGMENTS];
    size_t n_segments;
    bool is_cut; /* there are more: only {rest*} can take them */
} path_parts;

static gf_status split_path(const char *path, path_parts *parts, gf_error *err)
{
    memset(parts, 0, sizeof *parts);
    parts->text = gf__strdup(path);
    if (parts->text == NULL)
        return gf__error_nomem(err, "a path", strlen(path));
    char *at = parts->text[0] == '/' ? parts->text + 1 : parts->text;
    while (at != NULL && parts->n_segments < MAX_SEGMENTS) {
        parts->raw[parts->n_segments] = path + (at - parts->text);
        parts->segments[parts->n_segments++] = at;
        at = strchr(at, '/');
        if (at != NULL)
            *at++ = '\0';
    }
    parts->is_cut = at != NULL;
    gf_status st = GF_OK;
    for (size_t i = 0; i < parts->n_segments && st == GF_OK; i++)
        st = gf__unescape(parts->segments[i], false, err);
    return st;
}

/* One decoded segment against one of a pattern (n chars): a literal, {name} or {name}:verb. What
 * stands for the name is *n_value characters of it; 0 for a literal. */
static bool match_segment(const char *pattern, size_t n, bool is_last, const char *segment,
                          size_t *n_value)
{
    const size_t length = strlen(segment);
    *n_value = 0;
    if (pattern[0] != '{')
        return length == n && memcmp(pattern, segment, n) == 0;
    const char *close = memchr(pattern, '}', n);
    const char *verb = close + 1;
    const size_t n_verb = n - (size_t)(verb - pattern);
    if (length <= n_verb || memcmp(segment + length - n_verb, verb, n_verb) != 0)
        return false;
    *n_value = length - n_verb;
    return n_verb > 0 || !is_last || strchr(segment, ':') == NULL;
}

static bool match_pattern(const char *pattern, const path_parts *parts, gf__path_match *found)
{
    *found = (gf__path_match){0};
    for (size_t i = 0; *pattern == '/'; i++) {
        pattern++;
        const size_t n = strcspn(pattern, "/");
        const bool is_last = pattern[n] == '\0';
        if (i >= parts->n_segments)
            return false;
        if (is_last && n > 3 && pattern[0] == '{' && pattern[n - 2] == '*') {
            found->raw_rest = parts->raw[i];
            return parts->segments[i][0] != '\0' || parts->is_cut || i + 1 < parts->n_segments;
        }
        size_t n_value;
        if (!match_segment(pattern, n, is_last, parts->segments[i], &n_value))
            return false;
        if (n_value > 0) {
            found->values[found->n_values] = parts->segments[i];
            found->n_chars[found->n_values++] = n_value;
        }
        pattern += n;
        if (is_last)
            return i + 1 == parts->n_segments && !parts->is_cut;
    }
    return false;
}

static bool match_route(const gf_server *server, const gf__route *route, const char *path,
                        const path_parts *parts, gf__path_match *found)
{
    if (route->pattern[0] != '$')
        return match_pattern(route->pattern, parts, found);
    const char *wanted = strcmp(route->pattern, "$health") == 0 ? server->options.health_route
                                                                : server->options.predict_route;
    *found = (gf__path_match){0};
    return wanted != NULL && strcmp(wanted, path) == 0;
}

gf_status gf__routes_keep_params(gf__request *request, const gf__path_match *found, gf_error *err)
{
    size_t n = 0;
    for (; n < found->n_values; n++) {
        request->params[n] = gf__strndup(found->values[n], found->n_chars[n]);
        if (request->params[n] == NULL)
            return gf__error_nomem(err, "a path", found->n_chars[n]);
    }
    if (found->raw_rest == NULL)
        return GF_OK;
    request->params[n] = gf__strdup(found->raw_rest);
    if (request->params[n] == NULL)
        return gf__error_nomem(err, "a path", strlen(found->raw_rest));
    return gf__unescape(request->params[n], false, err);
}

gf_status gf__routes_each(const gf_server *server, const char *path,
                          bool (*each)(void *user, const gf__route *route,
                                       const gf__path_match *found),
                          void *user, gf_error *err)
{
    path_parts parts;
    gf__path_match found;
    gf_status st = split_path(path, &parts, err);
    for (size_t t = 0; t < N_TABLES && st == GF_OK; t++) {
        for (const gf__route *route = tables[t]; route->method != NULL; route++) {
            if (match_route(server, route, path, &parts, &found) && !each(user, route, &found))
                goto done;
        }
    }
done:
    gf__free(parts.text);
    return st;
}
