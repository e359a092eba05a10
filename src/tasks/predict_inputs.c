/* tasks/predict_inputs.c: which inputs a batch prediction has. Decided once, by whoever comes
 * first, and kept in DIR/inputs.json: shards on several machines and attempts after a crash must
 * agree on the numbers of inputs, whatever is put into the folders meanwhile. */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/data.h"
#include "tasks/predict_priv.h"

#define MAX_INPUTS_BYTES ((size_t)2 << 30)
#define MAX_DEPTH        64

static const char *const kind_names[] = {
    [GF__INPUT_PICTURE] = "picture",     [GF__INPUT_NPZ] = "npz",   [GF__INPUT_CSV] = "csv",
    [GF__INPUT_INSTANCES] = "instances", [GF__INPUT_LIST] = "list", [GF__INPUT_BROKEN] = "broken",
};

void gf__inputs_free(gf__inputs *inputs)
{
    for (size_t i = 0; i < inputs->n_files; i++) {
        gf__free(inputs->files[i].address);
        gf__free(inputs->files[i].path);
        gf__free(inputs->files[i].error);
    }
    gf__free(inputs->files);
    *inputs = (gf__inputs){0};
}

/* *file is taken over, also on failure. */
static gf_status add_file(gf__inputs *inputs, const gf__input_file *file, gf_error *err)
{
    gf_status st = file->address != NULL && file->path != NULL ? GF_OK
                                                               : gf__error_nomem(err, "a path", 0);
    if (st == GF_OK && inputs->n_files == inputs->capacity) {
        const size_t capacity = inputs->capacity > 0 ? 2 * inputs->capacity : 64;
        gf__input_file *files = gf__realloc(inputs->files, capacity * sizeof *files);
        st = files != NULL ? GF_OK : gf__error_nomem(err, "inputs", capacity * sizeof *files);
        if (files != NULL) {
            inputs->files = files;
            inputs->capacity = capacity;
        }
    }
    if (st != GF_OK) {
        gf__free(file->address);
        gf__free(file->path);
        gf__free(file->error);
        return st;
    }
    inputs->files[inputs->n_files++] = *file;
    inputs->n += file->n;
    return GF_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

static gf_status read_file(gf__inputs *inputs, const gf__json *entry, gf_error *err)
{
    const char *kind = gf__json_string(gf__json_find(entry, "kind"), "");
    const char *error = gf__json_string(gf__json_find(entry, "error"), NULL);
    gf__input_file file = {0};
    size_t k = 0;
    while (k < sizeof kind_names / sizeof kind_names[0] && strcmp(kind_names[k], kind) != 0)
        k++;
    if (k == sizeof kind_names / sizeof kind_names[0])
        return gf_error_set(err, GF_EFORMAT, "kind: found %.40s", kind);
    const gf_status st = gf__json_get_size(entry, "n", &file.n, err);
    if (st != GF_OK)
        return st;
    file.kind = (gf__input_kind)k;
    file.address = gf__strdup(gf__json_string(gf__json_find(entry, "address"), ""));
    file.path = gf__strdup(gf__json_string(gf__json_find(entry, "path"), ""));
    file.error = error != NULL ? gf__strdup(error) : NULL;
    return add_file(inputs, &file, err);
}

static gf_status read_inputs(gf__inputs *inputs, const char *path, gf_error *err)
{
    char *text = NULL;
    size_t size = 0;
    gf__json *document = NULL;
    const gf__json *files = NULL;
    gf_status st = gf__read_file(path, MAX_INPUTS_BYTES, &text, &size, err);
    if (st == GF_OK)
        st = gf__json_parse(text, size, &document, err);
    if (st == GF_OK)
        st = gf__json_get_array(document, "files", &files, err);
    for (size_t i = 0; st == GF_OK && i < gf__json_n_items(files); i++)
        st = read_file(inputs, gf__json_at(files, i), err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    gf__json_free(document);
    gf__free(text);
    return st;
}

static gf_status write_inputs(const gf__inputs *inputs, const char *path, gf_error *err)
{
    gf__json *document = gf__json_object(), *files = gf__json_array();
    gf__buffer text = {0};
    for (size_t i = 0; i < inputs->n_files; i++) {
        const gf__input_file *file = &inputs->files[i];
        gf__json *entry = gf__json_object();
        gf__json_set_string(entry, "address", file->address);
        gf__json_set_string(entry, "path", file->path);
        gf__json_set_string(entry, "kind", kind_names[file->kind]);
        gf__json_set_int(entry, "n", (int64_t)file->n);
        if (file->error != NULL)
            gf__json_set_string(entry, "error", file->error);
        gf__json_append(files, entry);
    }
    gf__json_set_int(document, "format", 1);
    gf__json_set_int(document, "nInputs", (int64_t)inputs->n);
    gf__json_set(document, "files", files);
    gf__json_write(document, false, &text);
    gf__buffer_puts(&text, "\n");
    gf_status st = gf__buffer_status(&text, err);
    if (st == GF_OK)
        st = gf__write_file(path, text.data, text.size, err);
    gf__buffer_free(&text);
    gf__json_free(document);
    return st;
}

/* ---- what a file holds ----------------------------------------------------------------------- */

/* What all files are looked at with. */
typedef struct finding {
    const gf__task *task;
    gf__inputs *inputs;
    gf__input_kind text_kind; /* of files that do not tell by their names what they are */
    size_t n_columns;         /* of the model */
    size_t n_left_out;
} finding;

static size_t count_lines(const gf__mapping *file)
{
    size_t n = 0;
    const char *at = (const char *)file->data, *end = at + file->size;
    for (const char *line_end; file->size > 0 && at < end; at = line_end + 1) {
        line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end == NULL)
            line_end = end;
        n += gf__line_has_text(at, (size_t)(line_end - at));
    }
    return n;
}

static gf_status count_inputs(const finding *f, gf__input_file *file, gf_error *err)
{
    gf__mapping mapping = {0};
    gf_dataset *dataset = NULL;
    gf_status st = GF_OK;
    switch (file->kind) {
    case GF__INPUT_PICTURE:
    case GF__INPUT_BROKEN:
        file->n = 1;
        break;
    case GF__INPUT_NPZ:
    case GF__INPUT_CSV:
        st = gf__dataset_open_rows(file->path, f->n_columns, &dataset, err);
        file->n = st == GF_OK ? gf_dataset_n_items(dataset) : 0;
        break;
    case GF__INPUT_INSTANCES:
    case GF__INPUT_LIST:
        st = gf__map_file(file->path, &mapping, err);
        file->n = st == GF_OK ? count_lines(&mapping) : 0;
        break;
    }
    gf_dataset_free(dataset);
    gf__unmap(&mapping);
    return st;
}

static gf__input_kind kind_of(const finding *f, const char *path)
{
    const char *ending = gf__path_extension(path);
    if (gf__is_picture_name(path))
        return GF__INPUT_PICTURE;
    if (strcmp(ending, ".npz") == 0)
        return GF__INPUT_NPZ;
    return strcmp(ending, ".csv") == 0 ? GF__INPUT_CSV : f->text_kind;
}

/* One that cannot be opened is an input too, and an error: nothing that was found gets lost. */
static gf_status take_file(finding *f, const char *address, const char *path, gf_error *err)
{
    gf_error own = {.message = ""};
    gf__input_file file = {
        .address = gf__strdup(address), .path = gf__strdup(path), .kind = kind_of(f, path)};
    if (file.address != NULL && file.path != NULL) {
        const gf_status st = count_inputs(f, &file, &own);
        if (st != GF_OK) {
            file.kind = GF__INPUT_BROKEN;
            file.n = 1;
            file.error = gf__strdup(own.message);
        }
    }
    return add_file(f->inputs, &file, err);
}

/* ---- folders and patterns -------------------------------------------------------------------- */

/* In a folder there are files of other use: those whose names say nothing are not asked. */
static bool is_for_us(const char *path)
{
    static const char *const endings[] = {".npz", ".csv", ".json", ".jsonl", ".ndjson", ".txt"};
    if (gf__is_picture_name(path))
        return true;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (strcmp(gf__path_extension(path), endings[i]) == 0)
            return true;
    return false;
}

/* A folder that is gone through: pattern NULL takes all that is for us. */
typedef struct walk {
    finding *f;
    const char *pattern; /* of names below the folder */
    int flags;
    bool is_bucket; /* links are not followed: they may lead out of it */
} walk;

static gf_status walk_dir(const walk *w, const char *address, const char *path, const char *below,
                          int depth, gf_error *err);

static gf_status walk_entry(const walk *w, const char *address, const char *path, const char *below,
                            int depth, gf_error *err)
{
    struct stat info;
    if ((w->is_bucket ? lstat(path, &info) : stat(path, &info)) != 0)
        return GF_OK; /* gone, or a link to nowhere */
    if (S_ISDIR(info.st_mode))
        return depth < MAX_DEPTH
                   ? walk_dir(w, address, path, below, depth + 1, err)
                   : gf_error_set(err, GF_ELIMIT, "%s: more than %d folders in one another", path,
                                  MAX_DEPTH);
    if (!S_ISREG(info.st_mode))
        return GF_OK;
    if (w->pattern != NULL)
        return fnmatch(w->pattern, below, w->flags) == 0 ? take_file(w->f, address, path, err)
                                                         : GF_OK;
    if (is_for_us(path))
        return take_file(w->f, address, path, err);
    w->f->n_left_out++;
    return GF_OK;
}

/* below: the folder's name as the pattern sees it, "" at the top. */
static gf_status walk_dir(const walk *w, const char *address, const char *path, const char *below,
                          int depth, gf_error *err)
{
    gf__dir_list list = {0};
    gf_status st = gf__list_dir(path, &list, err);
    for (size_t i = 0; st == GF_OK && i < list.n_names; i++) {
        if (list.names[i][0] == '.')
            continue;
        char *entry = gf__path_join(path, list.names[i]);
        char *entry_address = gf__path_join(address, list.names[i]);
        char *entry_below = below[0] != '\0' ? gf__path_join(below, list.names[i])
                                             : gf__strdup(list.names[i]);
        st = entry != NULL && entry_address != NULL && entry_below != NULL
                 ? walk_entry(w, entry_address, entry, entry_below, depth, err)
                 : gf__error_nomem(err, "a path", 0);
        gf__free(entry);
        gf__free(entry_address);
        gf__free(entry_below);
    }
    gf__dir_list_free(&list);
    return st;
}

static bool is_bucket_address(const char *address)
{
    return strncmp(address, "gs://", 5) == 0;
}

/* "gs://b/photos/cat*": the folder before the first part with a wildcard is gone through, names
 * below it are matched. A '*' at the end takes whole folders, too: what Google calls a prefix. */
static gf_status find_pattern(finding *f, const char *address, gf_error *err)
{
    const size_t n_plain = strcspn(address, "*?[");
    size_t n_dir = n_plain;
    while (n_dir > 0 && address[n_dir - 1] != '/')
        n_dir--;
    walk w = {.f = f,
              .pattern = address + n_dir,
              .flags = FNM_PATHNAME,
              .is_bucket = is_bucket_address(address)};
    if (address[strlen(address) - 1] == '*')
        w.flags |= FNM_LEADING_DIR;
    char *path = NULL;
    char *dir = n_dir > 0 ? gf__strndup(address, n_dir) : gf__strdup(".");
    gf_status st = dir != NULL ? gf__task_path(f->task, dir, &path, err)
                               : gf__error_nomem(err, "a path", 0);
    if (st == GF_OK && gf__is_dir(path))
        st = walk_dir(&w, dir, path, "", 0, err);
    gf__free(dir);
    gf__free(path);
    return st;
}

static gf_status find_address(finding *f, const char *address, gf_error *err)
{
    const size_t n_before = f->inputs->n_files;
    char *path = NULL;
    gf_status st = GF_OK;
    if (strpbrk(address, "*?[") != NULL) {
        st = find_pattern(f, address, err);
    } else {
        st = gf__task_path(f->task, address, &path, err);
        const walk w = {.f = f, .is_bucket = is_bucket_address(address)};
        if (st == GF_OK && gf__is_dir(path))
            st = walk_dir(&w, address, path, "", 0, err);
        else if (st == GF_OK && gf__is_file(path))
            st = take_file(f, address, path, err);
    }
    gf__free(path);
    if (st == GF_OK && f->inputs->n_files == n_before)
        return gf_error_set(err, GF_ENOTFOUND, "there is nothing to predict at %s", address);
    return st;
}

/* ---- all ------------------------------------------------------------------------------------- */

static gf_status read_format(const gf__json *prediction, finding *f, gf_error *err)
{
    static const struct {
        const char *name;
        gf__input_kind kind;
    } formats[] = {{"JSON", GF__INPUT_INSTANCES},
                   {"DATA_FORMAT_UNSPECIFIED", GF__INPUT_INSTANCES},
                   {"TEXT", GF__INPUT_LIST},
                   {"CSV", GF__INPUT_CSV}};
    const char *format = gf__json_string(gf__json_find(prediction, "dataFormat"), "JSON");
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(formats[i].name, format) == 0) {
            f->text_kind = formats[i].kind;
            return GF_OK;
        }
    }
    return gf_error_set(
        err, GF_EUNSUPPORTED,
        "dataFormat: found %.40s, graft reads JSON (an instance a line), TEXT (a "
        "picture's address a line), CSV, and files of pictures and .npz whatever it "
        "says",
        format);
}

static gf_status find_inputs(gf__task *task, gf__inputs *inputs, gf_error *err)
{
    const gf__json *prediction = gf__json_find(task->spec, "prediction");
    const gf__json *addresses = gf__json_find(prediction, "inputPaths");
    finding f = {.task = task, .inputs = inputs};
    gf_model *model = NULL;
    gf_status st = read_format(prediction, &f, err);
    if (st == GF_OK)
        st = gf__model_load_document(gf__json_string(gf__json_find(prediction, "model"), ""),
                                     &model, err);
    f.n_columns = st == GF_OK ? gf_model_n_inputs(model) : 0;
    for (size_t i = 0; st == GF_OK && i < gf__json_n_items(addresses); i++) {
        st = find_address(&f, gf__json_string(gf__json_at(addresses, i), ""), err);
        if (st != GF_OK)
            gf__error_prefix(err, "inputPaths[%zu]", i);
    }
    if (st == GF_OK && f.n_left_out > 0)
        gf__task_say(task, "%zu files of other kinds in the folders are left alone", f.n_left_out);
    gf_model_unref(model);
    return st;
}

gf_status gf__inputs_open(gf__task *task, gf__inputs *out, gf_error *err)
{
    gf__lock *lock = NULL;
    char *path = gf__path_join(task->options->dir, "inputs.json");
    char *lock_path = gf__path_join(task->options->dir, "inputs.lock");
    *out = (gf__inputs){0};
    gf_status st = path != NULL && lock_path != NULL ? GF_OK : gf__error_nomem(err, "a path", 0);
    if (st == GF_OK)
        st = gf__lock_acquire(lock_path, true, &lock, err);
    if (st == GF_OK && gf__is_file(path)) {
        st = read_inputs(out, path, err);
    } else if (st == GF_OK) {
        st = find_inputs(task, out, err);
        if (st == GF_OK)
            st = write_inputs(out, path, err);
        if (st == GF_OK)
            gf__task_say(task, "%zu inputs in %zu files", out->n, out->n_files);
    }
    gf__lock_release(lock);
    gf__free(lock_path);
    gf__free(path);
    return st;
}
