/* folder.c: a folder of class folders as a data set. Hidden files and folders are passed over; what
 * is a picture is told by the ending, and only where that says nothing by the content, so that a
 * million files are listed and not read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/dataset_priv.h"

#define MAX_DEPTH 32

/* The walk through one class folder. */
typedef struct class_walk {
    gf_dataset *set;
    size_t n_root_chars; /* of "DIR/", where names start */
    size_t label;
    /* The folders we are in: a link back to one of them would be a loop. */
    struct {
        dev_t device;
        ino_t inode;
    } open[MAX_DEPTH];
    size_t depth;
    size_t n_foreign; /* pictures of formats graft does not read */
    const char *foreign;
} class_walk;

/* Files without a telling ending: pictures of the web and of caches often have none. */
static bool is_picture_inside(const char *path)
{
    gf__mapping file;
    gf_image_info info = {0};
    bool is_picture;

    if (gf__map_file(path, &file, NULL) != GF_OK)
        return false;
    is_picture = file.size > 0 && (gf_image_read_info(file.data, file.size, &info, NULL) == GF_OK ||
                                   info.format != GF_IMAGE_UNKNOWN);
    gf__unmap(&file);
    return is_picture;
}

static gf_status add_file(class_walk *walk, const char *path, gf_error *err)
{
    const char *foreign = NULL;

    if (gf__ending_format(path, &foreign) == GF_IMAGE_UNKNOWN && !is_picture_inside(path)) {
        if (foreign != NULL) {
            walk->n_foreign++;
            walk->foreign = foreign;
        }
        return gf__names_add(&walk->set->strangers, path, err);
    }
    return gf__dataset_add(walk->set, path, walk->n_root_chars, walk->label, err);
}

/* False where the folder is one of those we are in already, or too deep. */
static bool enter(class_walk *walk, const struct stat *info)
{
    for (size_t i = 0; i < walk->depth; i++) {
        if (walk->open[i].device == info->st_dev && walk->open[i].inode == info->st_ino)
            return false;
    }
    if (walk->depth == MAX_DEPTH)
        return false;
    walk->open[walk->depth].device = info->st_dev;
    walk->open[walk->depth].inode = info->st_ino;
    walk->depth++;
    return true;
}

static gf_status walk_folder(class_walk *walk, const char *path, gf_error *err);

static gf_status walk_entry(class_walk *walk, const char *folder, const char *name, gf_error *err)
{
    gf_status st = GF_OK;
    struct stat info;
    char *path;

    if (name[0] == '.')
        return GF_OK;
    path = gf__path_join(folder, name);
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(folder) + strlen(name) + 2);
    if (stat(path, &info) != 0)
        st = gf__names_add(&walk->set->strangers, path, err); /* a link to nowhere */
    else if (S_ISREG(info.st_mode))
        st = add_file(walk, path, err);
    else if (S_ISDIR(info.st_mode) && enter(walk, &info)) {
        st = walk_folder(walk, path, err);
        walk->depth--;
    }
    gf__free(path);
    return st;
}

static gf_status walk_folder(class_walk *walk, const char *path, gf_error *err)
{
    gf__dir_list list;
    gf_status st = gf__list_dir(path, &list, err);

    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < list.n_names && st == GF_OK; i++)
        st = walk_entry(walk, path, list.names[i], err);
    gf__dir_list_free(&list);
    return st;
}

static int compare_items(const void *left, const void *right)
{
    const gf__item *a = left, *b = right;
    return strcmp(a->text, b->text);
}

/* The pictures of one class folder; a class if there are any. Sorted as a whole, since "a/1" comes
 * after "a-1" but the walk meets the folder first. */
static gf_status read_class(gf_dataset *set, const char *name, const char *path,
                            const struct stat *info, const gf_observer *obs, gf_error *err)
{
    class_walk walk = {.set = set, .label = set->classes.n};
    const size_t first = set->n_items;
    gf_status st;

    walk.n_root_chars = (size_t)(gf__path_base(path) - path);
    enter(&walk, info);
    st = walk_folder(&walk, path, err);
    if (st != GF_OK)
        return st;
    if (walk.n_foreign > 0)
        gf__observe_log(
            obs, GF_LOG_WARNING,
            "%s: %zu picture%s of a format graft does not read (%s); convert to JPEG or PNG", path,
            walk.n_foreign, walk.n_foreign == 1 ? "" : "s", walk.foreign);
    if (set->n_items == first) {
        gf__observe_log(obs, GF_LOG_WARNING, "%s: no pictures found (%s); not a class", path,
                        GF__PICTURES_EXPECTED);
        return gf__names_add(&set->empty, name, err);
    }
    qsort(set->items + first, set->n_items - first, sizeof *set->items, compare_items);
    return gf__names_add(&set->classes, name, err);
}

/* Nothing to learn from: say what was found, and how it should look. */
static gf_status fail_empty(const gf_dataset *set, size_t n_loose, gf_error *err)
{
    if (set->empty.n == 1)
        return gf_error_set(err, GF_EINVAL, "%s: no pictures found in its folder '%s' (%s)",
                            set->path, set->empty.at[0], GF__PICTURES_EXPECTED);
    if (set->empty.n > 1)
        return gf_error_set(err, GF_EINVAL,
                            "%s: no pictures found in any of its %zu class folders (%s)", set->path,
                            set->empty.n, GF__PICTURES_EXPECTED);
    if (n_loose > 0)
        return gf_error_set(
            err, GF_EINVAL,
            "%s: %zu picture%s but no class folders; expected a folder for each class, named as "
            "the class: %s/CLASS/%s",
            set->path, n_loose, n_loose == 1 ? "" : "s", set->path, "1.jpg");
    return gf_error_set(
        err, GF_EINVAL,
        "%s: no class folders; expected a folder for each class with its pictures in it: "
        "%s/CLASS/1.jpg",
        set->path, set->path);
}

static bool is_part_name(const char *name)
{
    static const char *const parts[] = {"train", "training", "test",       "testing",
                                        "val",   "valid",    "validation", NULL};

    for (size_t i = 0; parts[i] != NULL; i++) {
        if (strcmp(name, parts[i]) == 0)
            return true;
    }
    return false;
}

static gf_status fail_parts(const gf_dataset *set, gf_error *err)
{
    gf__buffer names = {0};
    const char *train = set->classes.at[0];
    gf_status st;

    for (size_t k = 0; k < set->classes.n; k++) {
        gf__buffer_printf(&names, "%s%s", k > 0 ? ", " : "", set->classes.at[k]);
        if (strncmp(set->classes.at[k], "train", 5) == 0)
            train = set->classes.at[k];
    }
    st = gf__buffer_status(&names, err);
    if (st == GF_OK)
        st = gf_error_set(
            err, GF_EINVAL,
            "%s: has the folders of a divided data set (%s), not class folders; give one of "
            "them, as %s/%s",
            set->path, names.data, set->path, train);
    gf__buffer_free(&names);
    return st;
}

/* DIR/train/rose, DIR/test/rose: two data sets, which would otherwise be taken for the classes
 * "train" and "test". */
static gf_status check_no_parts(const gf_dataset *set, gf_error *err)
{
    for (size_t k = 0; k < set->classes.n; k++) {
        if (!is_part_name(set->classes.at[k]))
            return GF_OK;
    }
    for (size_t i = 0; i < set->n_items; i++) {
        const char *name = gf_dataset_item_at(set, i);

        if (strchr(strchr(name, '/') + 1, '/') == NULL)
            return GF_OK; /* a picture right in DIR/train: then these are classes after all */
    }
    return fail_parts(set, err);
}

static gf_status read_entry(gf_dataset *set, const char *name, const gf_observer *obs,
                            size_t *n_loose, gf_error *err)
{
    gf_status st = GF_OK;
    struct stat info;
    char *path;

    if (name[0] == '.')
        return GF_OK;
    path = gf__path_join(set->path, name);
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(set->path) + strlen(name) + 2);
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        st = read_class(set, name, path, &info, obs, err);
    else if (gf__ending_format(name, NULL) != GF_IMAGE_UNKNOWN)
        ++*n_loose;
    gf__free(path);
    return st;
}

gf_status gf__folder_read(gf_dataset *set, const gf_observer *obs, gf_error *err)
{
    gf_status st;
    gf__dir_list list;
    size_t n_loose = 0;

    set->kind = "folder";
    st = gf__list_dir(set->path, &list, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < list.n_names && st == GF_OK; i++)
        st = read_entry(set, list.names[i], obs, &n_loose, err);
    gf__dir_list_free(&list);
    if (st != GF_OK)
        return st;
    if (set->n_items == 0)
        return fail_empty(set, n_loose, err);
    if (n_loose > 0)
        gf__observe_log(obs, GF_LOG_WARNING,
                        "%s: %zu picture%s outside of the class folders left out", set->path,
                        n_loose, n_loose == 1 ? "" : "s");
    return check_no_parts(set, err);
}
