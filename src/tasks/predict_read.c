/* tasks/predict_read.c: from an input's number to its sample. */
#include <ctype.h>
#include <string.h>

#include "data/data.h"
#include "tasks/predict_priv.h"

/* A file that a range reaches into. */
typedef struct gf__opened {
    gf__mapping file;
    gf_dataset *dataset;
} gf__opened;

bool gf__line_has_text(const char *line, size_t n_chars)
{
    for (size_t i = 0; i < n_chars; i++)
        if (!isspace((unsigned char)line[i]))
            return true;
    return false;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

/* How many of a file's inputs come before the range, and how many are in it. */
typedef struct overlap {
    size_t n_skipped, n;
} overlap;

static overlap overlap_of(const gf__input_range *range, size_t file_first, size_t file_n)
{
    const size_t end = range->first + range->n, file_end = file_first + file_n;
    const size_t low = range->first > file_first ? range->first : file_first;
    const size_t high = end < file_end ? end : file_end;
    return (overlap){low - file_first, high > low ? high - low : 0};
}

/* A file that is shorter by now leaves inputs without text, which are errors then. */
static void fill_lines(const gf__mapping *mapping, const gf__input_file *file, overlap part,
                       gf__input *inputs)
{
    const char *at = (const char *)mapping->data, *end = at + mapping->size;
    size_t n_seen = 0, n = 0, number = 0;
    for (const char *line_end; mapping->size > 0 && at < end && n < part.n; at = line_end + 1) {
        line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end == NULL)
            line_end = end;
        size_t n_chars = (size_t)(line_end - at);
        number++;
        if (!gf__line_has_text(at, n_chars) || n_seen++ < part.n_skipped)
            continue;
        if (at[n_chars - 1] == '\r')
            n_chars--;
        inputs[n++] = (gf__input){.file = file, .number = number, .text = at, .n_chars = n_chars};
    }
    for (; n < part.n; n++)
        inputs[n] = (gf__input){.file = file, .number = number};
}

/* A file that is gone by now costs its own inputs, not the job. */
static gf_status fill(gf__opened *opened, const gf__input_file *file, overlap part,
                      size_t n_columns, gf__input *inputs, gf_error *err)
{
    gf_status st = GF_OK;
    switch (file->kind) {
    case GF__INPUT_PICTURE:
    case GF__INPUT_BROKEN:
        inputs[0] = (gf__input){.file = file};
        return GF_OK;
    case GF__INPUT_INSTANCES:
    case GF__INPUT_LIST:
        st = gf__map_file(file->path, &opened->file, err);
        fill_lines(&opened->file, file, part, inputs);
        break;
    case GF__INPUT_NPZ:
    case GF__INPUT_CSV:
        st = gf__dataset_open_rows(file->path, n_columns, &opened->dataset, err);
        for (size_t i = 0; i < part.n; i++)
            inputs[i] = (gf__input){
                .file = file, .number = part.n_skipped + i, .dataset = opened->dataset};
        break;
    }
    return st == GF_ENOMEM ? st : GF_OK;
}

gf_status gf__input_range_open(const gf__inputs *inputs, size_t first, size_t n,
                               const gf_model *model, gf__input_range *out, gf_error *err)
{
    *out = (gf__input_range){.first = first, .n = n};
    out->inputs = gf__calloc(n, sizeof *out->inputs);
    out->opened = gf__calloc(inputs->n_files, sizeof *out->opened);
    if (out->inputs == NULL || out->opened == NULL)
        return gf__error_nomem(err, "inputs", n * sizeof *out->inputs);
    out->n_opened = inputs->n_files;
    size_t file_first = 0, n_filled = 0;
    gf_status st = GF_OK;
    for (size_t i = 0; i < inputs->n_files && n_filled < n && st == GF_OK; i++) {
        const overlap part = overlap_of(out, file_first, inputs->files[i].n);
        if (part.n > 0)
            st = fill(&out->opened[i], &inputs->files[i], part, gf_model_n_inputs(model),
                      out->inputs + n_filled, err);
        n_filled += part.n;
        file_first += inputs->files[i].n;
    }
    return st;
}

void gf__input_range_close(gf__input_range *range)
{
    for (size_t i = 0; i < range->n_opened; i++) {
        gf__unmap(&range->opened[i].file);
        gf_dataset_free(range->opened[i].dataset);
    }
    gf__free(range->opened);
    gf__free(range->inputs);
    *range = (gf__input_range){0};
}

char *gf__input_name(const gf__input *input)
{
    if (input->dataset != NULL && input->number < gf_dataset_n_items(input->dataset))
        return gf__asprintf("%s %s", input->file->address,
                            gf_dataset_item_at(input->dataset, input->number));
    if (input->number > 0)
        return gf__asprintf("%s:%zu", input->file->address, input->number);
    return gf__strdup(input->file->address);
}

/* ---- one input ------------------------------------------------------------------------------- */

static gf_status read_picture(const char *path, gf__input_reading *out, gf_error *err)
{
    const gf_status st = gf__map_file(path, &out->file, err);
    out->sample = (gf_sample){
        .kind = GF_SAMPLE_ENCODED, .data = out->file.data, .n_bytes = out->file.size};
    return st;
}

/* The line as a list of one. The number in it, which nobody has asked for, is taken off a message.
 */
static gf_status read_instance(const gf__input *input, const gf_model *model,
                               gf__input_reading *out, gf_error *err)
{
    static const char prefix[] = "[0]: ";
    const gf__instances_form form = {.rows = "", .columns = "", .max_instances = 1};
    gf_error own = {.message = ""};
    out->text = gf__malloc(input->n_chars + 3);
    if (out->text == NULL)
        return gf__error_nomem(err, "a line", input->n_chars);
    out->text[0] = '[';
    memcpy(out->text + 1, input->text, input->n_chars);
    memcpy(out->text + 1 + input->n_chars, "]", 2);
    const gf_status st = gf__instances_parse(model, &form, out->text, input->n_chars + 2,
                                             &out->instances, &own);
    if (st != GF_OK) {
        const bool has_prefix = strncmp(own.message, prefix, sizeof prefix - 1) == 0;
        return gf_error_set(err, st, "%s", own.message + (has_prefix ? sizeof prefix - 1 : 0));
    }
    out->sample = out->instances.samples[0];
    out->key = out->instances.keys[0];
    return GF_OK;
}

/* A list in a bucket names what is in buckets, by gs:// or by a name beside itself: whoever may
 * write there may not therefore read this machine's files. */
static gf_status listed_address(const gf__input *input, char **out, gf_error *err)
{
    const char *list = input->file->address, *slash = strrchr(list, '/');
    const char *text = input->text;
    size_t n_chars = input->n_chars;
    while (n_chars > 0 && isspace((unsigned char)*text)) {
        text++;
        n_chars--;
    }
    while (n_chars > 0 && isspace((unsigned char)text[n_chars - 1]))
        n_chars--;
    const bool is_absolute = n_chars > 0 && text[0] == '/';
    const bool is_gs = n_chars > 5 && memcmp(text, "gs://", 5) == 0;
    if (is_absolute && strncmp(list, "gs://", 5) == 0)
        return gf_error_set(err, GF_EINVAL,
                            "%.*s: a list in a bucket may only name what is in buckets",
                            (int)(n_chars < 200 ? n_chars : 200), text);
    const size_t n_dir = is_absolute || is_gs || slash == NULL ? 0 : (size_t)(slash + 1 - list);
    *out = gf__asprintf("%.*s%.*s", (int)n_dir, list, (int)n_chars, text);
    return *out != NULL ? GF_OK : gf__error_nomem(err, "a path", n_chars);
}

/* Whether it lies in the folder of a project: "gs://BUCKET/PROJECT/...". */
static bool is_of_project(const char *address, const char *project, size_t n_chars)
{
    const char *object = strncmp(address, "gs://", 5) == 0 ? strchr(address + 5, '/') : NULL;
    return object != NULL && strncmp(object + 1, project, n_chars) == 0 &&
           object[1 + n_chars] == '/';
}

/* Who may write in a project's folders alone may not read those of others by a list there. */
static gf_status check_project(const gf__task *task, const gf__input *input, const char *address,
                               gf_error *err)
{
    const char *project = strchr(task->name, '/'); /* "projects/P/jobs/J" */
    project = project != NULL ? project + 1 : "";
    const size_t n_chars = strcspn(project, "/");
    if (!is_of_project(input->file->address, project, n_chars) ||
        is_of_project(address, project, n_chars))
        return GF_OK;
    return gf_error_set(err, GF_EINVAL,
                        "%.120s: a list in a folder of the project %.*s may only name what is in "
                        "such folders (gs://BUCKET/%.*s/...)",
                        address, (int)n_chars, project, (int)n_chars, project);
}

static gf_status read_listed(const gf__task *task, const gf__input *input, const gf_model *model,
                             gf__input_reading *out, gf_error *err)
{
    char *address = NULL, *path = NULL;
    size_t i = 0;
    while (i + 1 < input->n_chars && isspace((unsigned char)input->text[i]))
        i++;
    if (!gf__model_takes_pictures(model) || strchr("{[\"", input->text[i]) != NULL)
        return read_instance(input, model, out, err);
    gf_status st = listed_address(input, &address, err);
    if (st == GF_OK)
        st = check_project(task, input, address, err);
    if (st == GF_OK)
        st = gf__task_path(task, address, &path, err);
    if (st == GF_OK && !gf__is_file(path)) /* by the name that it has for who wrote the list */
        st = gf_error_set(err, GF_ENOTFOUND, "%.200s: no such file", address);
    if (st == GF_OK)
        st = read_picture(path, out, err);
    gf__free(path);
    gf__free(address);
    return st;
}

static gf_status changed(gf_error *err)
{
    return gf_error_set(err, GF_EMISMATCH,
                        "the file is gone, or has fewer inputs than when the job began");
}

gf_status gf__input_read(const gf__task *task, const gf__input *input, const gf_model *model,
                         gf__input_reading *out, gf_error *err)
{
    *out = (gf__input_reading){0};
    switch (input->file->kind) {
    case GF__INPUT_PICTURE:
        return read_picture(input->file->path, out, err);
    case GF__INPUT_BROKEN:
        return gf_error_set(err, GF_EFORMAT, "%s", input->file->error);
    case GF__INPUT_INSTANCES:
        return input->text != NULL ? read_instance(input, model, out, err) : changed(err);
    case GF__INPUT_LIST:
        return input->text != NULL ? read_listed(task, input, model, out, err) : changed(err);
    case GF__INPUT_NPZ:
    case GF__INPUT_CSV:
        return input->dataset != NULL && input->number < gf_dataset_n_items(input->dataset)
                   ? gf_dataset_read(input->dataset, input->number, &out->sample, err)
                   : changed(err);
    }
    return GF_OK;
}

void gf__input_reading_end(gf__input_reading *reading)
{
    gf_sample_release(&reading->sample);
    gf__instances_free(&reading->instances);
    gf__unmap(&reading->file);
    gf__free(reading->text);
    *reading = (gf__input_reading){0};
}
