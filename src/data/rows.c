/* rows.c: what a list of pictures says, row by row: paths and labels that are fit to use, and from
 * what a file calls its labels to classes 0 .. K-1 with names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset_priv.h"

#define MAX_PATH_BYTES  4096
#define MAX_LABEL_BYTES 256

gf_status gf__row_check_path(const char *path, gf_error *err)
{
    if (path[0] == '\0')
        return gf_error_set(err, GF_EFORMAT, "no path");
    if (strncmp(path, "http://", 7) == 0 || strncmp(path, "https://", 8) == 0)
        return gf_error_set(
            err, GF_EFORMAT,
            "%.200s is an address, expected a file; `graft dataset make` downloads pictures", path);
    if (strlen(path) > MAX_PATH_BYTES)
        return gf_error_set(err, GF_EFORMAT, "a path of %zu bytes, expected at most %d",
                            strlen(path), MAX_PATH_BYTES);
    return GF_OK;
}

gf_status gf__row_check_label(const char *label, gf_error *err)
{
    size_t n_left = strlen(label);

    if (n_left == 0)
        return gf_error_set(err, GF_EFORMAT, "no label");
    if (n_left > MAX_LABEL_BYTES)
        return gf_error_set(err, GF_EFORMAT, "a label of %zu bytes, expected at most %d", n_left,
                            MAX_LABEL_BYTES);
    for (const char *at = label; n_left > 0;) {
        const size_t n = gf__utf8_length(at, n_left);

        if (n == 0)
            return gf_error_set(err, GF_EFORMAT,
                                "the label '%s' is not UTF-8; save the list as UTF-8", label);
        at += n;
        n_left -= n;
    }
    return GF_OK;
}

gf_status gf__row_add(gf_dataset *set, gf__names *labels, const char *dir, const char *path,
                      const char *label, gf_error *err)
{
    gf_status st;
    const char *root = path[0] == '/' ? "" : dir;
    char *text = gf__asprintf("%s%s", root, path);

    if (text == NULL)
        return gf__error_nomem(err, "a path", strlen(root) + strlen(path) + 1);
    st = gf__dataset_add(set, text, strlen(root), 0, err);
    gf__free(text);
    if (st != GF_OK)
        return st;
    return gf__names_add(labels, label, err);
}

/* A label as it is sorted: by number where all are numbers, else by bytes. */
typedef struct named_label {
    const char *name;
    int64_t number; /* 0 for names */
    size_t item;
} named_label;

static int compare_labels(const void *left, const void *right)
{
    const named_label *a = left, *b = right;

    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* "7" or "07", at most nine digits. */
static bool parse_number(const char *text, int64_t *number)
{
    const size_t n = strspn(text, "0123456789");

    if (n == 0 || n > 9 || text[n] != '\0')
        return false;
    *number = strtol(text, NULL, 10);
    return true;
}

gf_status gf__labels_from_numbers(gf_dataset *set, const int64_t *numbers,
                                  const char *const *class_names, size_t n_class_names,
                                  gf_error *err)
{
    gf_status st = GF_OK;
    int64_t largest = 0;
    const int64_t limit = n_class_names > 0 ? (int64_t)n_class_names : GF__MAX_CLASSES;

    for (size_t i = 0; i < set->n_items; i++) {
        if (numbers[i] < 0 || numbers[i] >= limit)
            return gf_error_set(err, GF_EFORMAT, "label of %s is %lld, expected 0 to %lld%s",
                                gf_dataset_item_at(set, i), (long long)numbers[i],
                                (long long)limit - 1,
                                n_class_names > 0 ? " (the classes named)" : "");
        set->items[i].label = (size_t)numbers[i];
        largest = numbers[i] > largest ? numbers[i] : largest;
    }
    for (int64_t k = 0; k < (n_class_names > 0 ? limit : largest + 1) && st == GF_OK; k++) {
        char digits[24];

        snprintf(digits, sizeof digits, "%lld", (long long)k);
        st = gf__names_add(&set->classes, n_class_names > 0 ? class_names[k] : digits, err);
    }
    return st;
}

/* Numbers of all labels; false at the first that is none. */
static bool parse_numbers(const gf__names *labels, int64_t *numbers)
{
    for (size_t i = 0; i < labels->n; i++) {
        if (!parse_number(labels->at[i], &numbers[i]))
            return false;
    }
    return true;
}

/* Every different label becomes a class. numbers may be NULL. */
static gf_status classes_from_names(gf_dataset *set, const gf__names *labels,
                                    const int64_t *numbers, gf_error *err)
{
    gf_status st = GF_OK;
    named_label *sorted = gf__calloc(labels->n, sizeof *sorted);

    if (sorted == NULL)
        return gf__error_nomem(err, "labels", labels->n * sizeof *sorted);
    for (size_t i = 0; i < labels->n; i++)
        sorted[i] = (named_label){labels->at[i], numbers != NULL ? numbers[i] : 0, i};
    qsort(sorted, labels->n, sizeof *sorted, compare_labels);
    for (size_t i = 0; i < labels->n && st == GF_OK; i++) {
        const bool is_new = i == 0 || compare_labels(&sorted[i - 1], &sorted[i]) != 0;

        if (is_new && set->classes.n == GF__MAX_CLASSES)
            st = gf_error_set(err, GF_ELIMIT, "more than %d different labels, such as '%s'",
                              GF__MAX_CLASSES, sorted[i].name);
        else if (is_new)
            st = gf__names_add(&set->classes, sorted[i].name, err);
        if (st == GF_OK)
            set->items[sorted[i].item].label = set->classes.n - 1;
    }
    gf__free(sorted);
    return st;
}

gf_status gf__labels_resolve(gf_dataset *set, const gf__names *labels,
                             const gf_dataset_options *options, gf_error *err)
{
    gf_status st;
    bool are_numbers;
    int64_t *numbers = gf__calloc(labels->n, sizeof *numbers);

    if (numbers == NULL)
        return gf__error_nomem(err, "labels", labels->n * sizeof *numbers);
    are_numbers = parse_numbers(labels, numbers);
    if (are_numbers && options->n_class_names > 0)
        st = gf__labels_from_numbers(set, numbers, options->class_names, options->n_class_names,
                                     err);
    else
        st = classes_from_names(set, labels, are_numbers ? numbers : NULL, err);
    gf__free(numbers);
    return st;
}
