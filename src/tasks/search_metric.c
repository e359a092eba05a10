/* tasks/search_metric.c: the file in which a trial's program notes its metrics, as
 * cloudml-hypertune writes it:
 *
 *     {"timestamp": 1537300000.5, "trial": "3", "training/hptuning/metric": "0.98",
 *      "global_step": "1000"}
 *
 * That package writes the whole file anew at every report, in place, and keeps the last hundred
 * lines; other programs append. So the file is read whole whenever it changed, what it does not
 * say any more is kept, and half of a file is taken for nothing new. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tasks/search_priv.h"

#define MAX_FILE_BYTES ((size_t)64 << 20)

gf_status gf__measures_add(gf__measures *seen, const gf__measure *measure, double time_s,
                           gf_error *err)
{
    if (seen->n == seen->capacity) {
        const size_t capacity = seen->capacity > 0 ? 2 * seen->capacity : 32;
        gf__measure *measures = gf__realloc(seen->measures, capacity * sizeof *measures);
        if (measures != NULL)
            seen->measures = measures;
        double *times = gf__realloc(seen->times, capacity * sizeof *times);
        if (times != NULL)
            seen->times = times;
        if (measures == NULL || times == NULL)
            return gf__error_nomem(err, "metrics", capacity * sizeof *measures);
        seen->capacity = capacity;
    }
    seen->measures[seen->n] = *measure;
    seen->times[seen->n++] = time_s;
    return GF_OK;
}

void gf__measures_free(gf__measures *seen)
{
    gf__free(seen->measures);
    gf__free(seen->times);
    gf__free(seen->other_tags);
    *seen = (gf__measures){0};
}

/* A number, or one in a string. NAN: neither. */
static double number_of(const gf__json *value)
{
    const char *text = gf__json_string(value, NULL);
    if (text == NULL)
        return gf__json_number(value, NAN);
    char *end = NULL;
    const double number = strtod(text, &end);
    return end != text && *end == '\0' ? number : NAN;
}

static const gf__json *find_tag(const gf__json *line, const char *tag)
{
    const gf__json *found = gf__json_find(line, tag);
    if (found != NULL || strcmp(tag, GF__DEFAULT_METRIC_TAG) != 0)
        return found;
    /* Nobody asked for a certain one: what Keras calls the accuracy on what was held out. */
    static const char *const usual[] = {"val_accuracy", "val_acc"};
    for (size_t i = 0; i < sizeof usual / sizeof usual[0] && found == NULL; i++)
        found = gf__json_find(line, usual[i]);
    return found;
}

static void keep_other_tags(gf__measures *seen, const gf__json *line)
{
    static const char *const known[] = {"timestamp", "trial", "global_step", "checkpoint_path"};
    gf__buffer names = {0};
    const gf__json *value = NULL;
    if (seen->other_tags != NULL)
        return;
    for (const char *name = gf__json_next(line, NULL, &value); name != NULL;
         name = gf__json_next(line, name, &value)) {
        bool is_known = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            is_known = is_known || strcmp(name, known[i]) == 0;
        if (!is_known)
            gf__buffer_printf(&names, "%s%.60s", names.size > 0 ? ", " : "", name);
    }
    if (names.size > 0)
        seen->other_tags = gf__buffer_take(&names, NULL);
    gf__buffer_free(&names);
}

/* A line that is none of ours is no reason to lose the others. */
static gf_status take_line(gf__measures *found, const char *text, size_t n_chars, const char *tag,
                           gf_error *err)
{
    gf__json *line = NULL;
    gf_status st = gf__json_parse(text, n_chars, &line, NULL);
    if (st != GF_OK)
        return st == GF_ENOMEM ? gf__error_nomem(err, "metrics", n_chars) : GF_OK;
    const gf__json *value = find_tag(line, tag);
    const double step = number_of(gf__json_find(line, "global_step"));
    const double time_s = number_of(gf__json_find(line, "timestamp"));
    const gf__measure measure = {.step = fabs(step) < 0x1p62 ? (int64_t)step
                                                             : (int64_t)found->n + 1,
                                 .value = number_of(value)};
    st = GF_OK;
    if (value == NULL)
        keep_other_tags(found, line);
    else
        st = gf__measures_add(found, &measure, time_s > 0 ? time_s : 0, err);
    gf__json_free(line);
    return st;
}

static gf_status read_lines(gf__measures *found, const char *path, const char *tag, gf_error *err)
{
    char *text = NULL;
    size_t size = 0;
    gf_status st = gf__read_file(path, MAX_FILE_BYTES, &text, &size, err);
    for (char *at = text, *end; st == GF_OK; at = end + 1) {
        end = memchr(at, '\n', size - (size_t)(at - text));
        if (end == NULL)
            break;
        st = take_line(found, at, (size_t)(end - at), tag, err);
    }
    gf__free(text);
    return st;
}

/* Measures from before the file's first one are still true, though the file has forgotten them. */
static gf_status merge(gf__measures *seen, gf__measures *found, bool *is_new, gf_error *err)
{
    gf_status st = GF_OK;
    if (seen->other_tags == NULL) {
        seen->other_tags = found->other_tags;
        found->other_tags = NULL;
    }
    size_t n_kept = 0;
    while (found->n > 0 && n_kept < seen->n && seen->times[n_kept] < found->times[0])
        n_kept++;
    if (found->n == 0 || n_kept + found->n <= seen->n)
        return GF_OK; /* half of it, or nothing new */
    seen->n = n_kept;
    for (size_t i = 0; i < found->n && st == GF_OK; i++)
        st = gf__measures_add(seen, &found->measures[i], found->times[i], err);
    *is_new = true;
    return st;
}

gf_status gf__measures_read(gf__measures *seen, const char *path, const char *tag, bool *is_new,
                            gf_error *err)
{
    struct stat info;
    *is_new = false;
    if (stat(path, &info) != 0)
        return errno == ENOENT ? GF_OK : gf__error_errno(err, errno, "%s", path);
    const int64_t time_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    if (info.st_size == seen->file_size && time_ns == seen->file_time_ns)
        return GF_OK;
    gf__measures found = {0};
    gf_status st = read_lines(&found, path, tag, err);
    if (st == GF_OK)
        st = merge(seen, &found, is_new, err);
    if (st == GF_OK) {
        seen->file_size = info.st_size;
        seen->file_time_ns = time_ns;
    }
    gf__measures_free(&found);
    return st;
}
