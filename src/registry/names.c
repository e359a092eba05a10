/* registry/names.c: resource names, times and etags: the small texts that documents are full of. */
#include "registry/registry.h"
#include "registry/registry_priv.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

gf_status gf__name_check(const char *what, const char *name, gf_error *err)
{
    bool is_good = is_letter(name[0]);
    size_t n = 0;
    for (; is_good && name[n] != '\0'; n++)
        is_good = (is_letter(name[n]) || is_digit(name[n]) || name[n] == '_') && n < 128;
    if (is_good)
        return GF_OK;
    return gf_error_set(
        err, GF_EINVAL,
        "%s name \"%s\": must begin with a letter and have only letters, digits and "
        "underscores, at most 128",
        what, name);
}

/* Project ids are somebody else's: dashes, dots, a domain and a colon before them are all found. */
static gf_status check_project(const char *name, gf_error *err)
{
    bool is_good = is_letter(name[0]) || is_digit(name[0]);
    for (size_t n = 0; is_good && name[n] != '\0'; n++)
        is_good = is_letter(name[n]) || is_digit(name[n]) || strchr("-_.:", name[n]) != NULL;
    if (is_good)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL,
                        "project \"%s\": must begin with a letter or digit and have only letters, "
                        "digits and - _ . :, at most 128",
                        name);
}

static gf_status check_operation(const char *name, gf_error *err)
{
    bool is_good = name[0] != '\0';
    for (size_t n = 0; is_good && name[n] != '\0'; n++)
        is_good = is_letter(name[n]) || is_digit(name[n]) || name[n] == '_' || name[n] == '-';
    return is_good ? GF_OK : gf_error_set(err, GF_EINVAL, "operation \"%s\": no such name", name);
}

static const char *const forms[] = {
    [GF__KIND_PROJECT] = "projects/PROJECT",
    [GF__KIND_MODEL] = "projects/PROJECT/models/MODEL",
    [GF__KIND_VERSION] = "projects/PROJECT/models/MODEL/versions/VERSION",
    [GF__KIND_OPERATION] = "projects/PROJECT/operations/OPERATION",
    [GF__KIND_JOB] = "projects/PROJECT/jobs/JOB",
};

/* "COLLECTION/NAME" at *text, and a slash before it unless it is the first. false: not that, or
 * the name too long. */
static bool take_part(const char **text, const char *collection, char *name, size_t size)
{
    const size_t n_collection = strlen(collection);
    if (strncmp(*text, collection, n_collection) != 0)
        return false;
    *text += n_collection;
    const size_t n_name = strcspn(*text, "/");
    if (n_name == 0 || n_name >= size)
        return false;
    memcpy(name, *text, n_name);
    name[n_name] = '\0';
    *text += n_name;
    return true;
}

gf_status gf__name_parse(const char *text, gf__kind kind, gf__name *out, gf_error *err)
{
    const char *rest = text;
    *out = (gf__name){0};
    bool fits = take_part(&rest, "projects/", out->project, sizeof out->project);
    if (kind == GF__KIND_MODEL || kind == GF__KIND_VERSION)
        fits = fits && take_part(&rest, "/models/", out->model, sizeof out->model);
    if (kind == GF__KIND_VERSION)
        fits = fits && take_part(&rest, "/versions/", out->version, sizeof out->version);
    if (kind == GF__KIND_OPERATION)
        fits = fits && take_part(&rest, "/operations/", out->operation, sizeof out->operation);
    if (kind == GF__KIND_JOB)
        fits = fits && take_part(&rest, "/jobs/", out->job, sizeof out->job);
    if (!fits || rest[0] != '\0')
        return gf_error_set(err, GF_EINVAL, "\"%s\": expected %s", text, forms[kind]);
    gf_status st = check_project(out->project, err);
    if (st == GF_OK && out->model[0] != '\0')
        st = gf__name_check("model", out->model, err);
    if (st == GF_OK && out->version[0] != '\0')
        st = gf__name_check("version", out->version, err);
    if (st == GF_OK && out->job[0] != '\0')
        st = gf__name_check("job", out->job, err);
    if (st == GF_OK && out->operation[0] != '\0')
        st = check_operation(out->operation, err);
    return st;
}

gf_status gf__registry_check_project(const char *project, gf_error *err)
{
    gf__name parts;
    char *name = gf__asprintf("projects/%s", project);
    const gf_status st = name != NULL ? gf__name_parse(name, GF__KIND_PROJECT, &parts, err)
                                      : gf__error_nomem(err, "a name", strlen(project));
    gf__free(name);
    return st;
}

char *gf__name_text(const gf__name *name)
{
    if (name->operation[0] != '\0')
        return gf__asprintf("projects/%s/operations/%s", name->project, name->operation);
    if (name->job[0] != '\0')
        return gf__asprintf("projects/%s/jobs/%s", name->project, name->job);
    if (name->version[0] != '\0')
        return gf__asprintf("projects/%s/models/%s/versions/%s", name->project, name->model,
                            name->version);
    if (name->model[0] != '\0')
        return gf__asprintf("projects/%s/models/%s", name->project, name->model);
    return gf__asprintf("projects/%s", name->project);
}

int64_t gf__now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void gf__set_time(gf__json *object, const char *key, int64_t unix_ms)
{
    char text[32];
    struct tm utc;
    const time_t seconds = (time_t)(unix_ms / 1000);
    if (gmtime_r(&seconds, &utc) == NULL || utc.tm_year > 9999 - 1900)
        return; /* RFC 3339 has four digits for the year */
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    gf__json_set_string(object, key, text);
}

/* As many characters as the pattern has, 0 standing for any digit. */
static bool looks_like(const char *text, const char *pattern)
{
    for (; *pattern != '\0'; text++, pattern++) {
        if (*pattern == '0' ? !is_digit(*text) : *text != *pattern)
            return false;
    }
    return true;
}

static int two_digits(const char *text)
{
    return (text[0] - '0') * 10 + text[1] - '0';
}

bool gf__time_parse(const char *text, int64_t *unix_ms)
{
    if (!looks_like(text, "0000-00-00T00:00:00"))
        return false;
    const char *rest = text + 19;
    int offset_minutes = 0;
    if (looks_like(rest, ".0"))
        rest += 1 + strspn(rest + 1, "0123456789");
    if ((looks_like(rest, "+00:00") || looks_like(rest, "-00:00")) && rest[6] == '\0')
        offset_minutes = (60 * two_digits(rest + 1) + two_digits(rest + 4)) *
                         (rest[0] == '-' ? -1 : 1);
    else if (strcmp(rest, "Z") != 0)
        return false;
    const struct tm asked = {.tm_year = 100 * two_digits(text) + two_digits(text + 2) - 1900,
                             .tm_mon = two_digits(text + 5) - 1,
                             .tm_mday = two_digits(text + 8),
                             .tm_hour = two_digits(text + 11),
                             .tm_min = two_digits(text + 14),
                             .tm_sec = two_digits(text + 17)};
    struct tm utc = asked;
    const time_t seconds = timegm(&utc); /* makes the 31st of February one of March */
    if (utc.tm_mon != asked.tm_mon || utc.tm_mday != asked.tm_mday || asked.tm_hour > 23 ||
        asked.tm_min > 59 || asked.tm_sec > 59)
        return false;
    *unix_ms = ((int64_t)seconds - 60 * (int64_t)offset_minutes) * 1000;
    return true;
}

void gf__set_etag(gf__json *object, const char *table, int64_t id, int64_t revision)
{
    char identity[80], hex[GF__SHA256_HEX] = "";
    uint8_t bytes[8];
    const int n = snprintf(identity, sizeof identity, "%s %lld %lld", table, (long long)id,
                           (long long)revision);
    gf__sha256_hex(identity, (size_t)n, hex);
    for (size_t i = 0; i < sizeof bytes; i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        bytes[i] = (uint8_t)byte;
    }
    gf__buffer base64 = {0};
    gf__buffer_base64(&base64, bytes, sizeof bytes);
    char *text = gf__buffer_take(&base64, NULL);
    gf__json_set(object, "etag", text != NULL ? gf__json_new_string(text) : NULL);
    gf__free(text);
}

gf_status gf__check_etag(const gf__json *body, const gf__json *document, gf_error *err)
{
    const char *wanted = gf__json_string(gf__json_find(body, "etag"), "");
    const char *present = gf__json_string(gf__json_find(document, "etag"), "");
    const char *name = gf__json_string(gf__json_find(document, "name"),
                                       gf__json_string(gf__json_find(document, "jobId"), "it"));
    if (wanted[0] == '\0' || strcmp(wanted, present) == 0)
        return GF_OK;
    return gf_error_set(err, GF_EBUSY,
                        "%s: changed by somebody else: etag is \"%s\" now, the request has \"%s\"; "
                        "get it again and repeat the change",
                        name, present, wanted);
}
