/* graft-h5: INPUT.h5 OUTPUT.safetensors, and the other way with --write (h5_write.c). The one program that links libhdf5; zoo/keras/hdf5_child.c runs
 * it and hdf5.c says what it writes. It reads what Keras 2 wrote: groups of weights in the order of
 * the attributes layer_names and weight_names, of a weights file or of a whole model; and the
 * model.weights.h5 of a .keras archive, where layers have groups in no order (a model's layers in one
 * of its own) and weights numbers. It limits itself before it opens anything: the input is not to be trusted. */
#include <hdf5.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"
#include "tensor/tensor.h"
#include "zoo/keras/h5_write_priv.h"

#define MAX_NAMES    65536
#define MAX_DEPTH    16 /* of models in models */
#define MAX_NAME     512
#define MAX_TEXT     ((size_t)64 << 20) /* model_config */
#define MAX_VALUES   ((size_t)512 << 20)
#define MEMORY_LIMIT ((rlim_t)6 << 30)
#define CPU_LIMIT_S  100

/* Which reserves terabytes. gcc and clang say it in two ways. */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER 1
#endif
#endif

typedef struct names {
    char **items;
    size_t n;
} names;

typedef struct conversion {
    hid_t root; /* the group that holds the layers */
    gf_named_tensor *tensors;
    size_t n_tensors;
    size_t n_values; /* of all tensors so far */
    gf__json *layers;
    const char *root_name; /* of an archive's weights; NULL: Keras 2 */
    size_t n_groups;       /* of an archive's layers so far: links may go in circles */
    gf_error *err;
} conversion;

static void limit_self(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody waits for what a killed graft began */
    const struct rlimit none = {0, 0}, cpu = {CPU_LIMIT_S, CPU_LIMIT_S};
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_CPU, &cpu);
#ifndef HAS_ADDRESS_SANITIZER
    const struct rlimit memory = {MEMORY_LIMIT, MEMORY_LIMIT}, size = {MEMORY_LIMIT, MEMORY_LIMIT};
    setrlimit(RLIMIT_AS, &memory);
    setrlimit(RLIMIT_FSIZE, &size);
#endif
}

/* ---- attributes ---- */

static void names_free(names *list)
{
    for (size_t i = 0; i < list->n; i++)
        gf__free(list->items[i]);
    gf__free(list->items);
    *list = (names){0};
}

static gf_status add_name(names *list, const char *text, size_t length, gf_error *err)
{
    char **items = gf__realloc(list->items, (list->n + 1) * sizeof *items);
    if (items == NULL)
        return gf__error_nomem(err, "names", (list->n + 1) * sizeof *items);
    list->items = items;
    list->items[list->n] = gf__strndup(text, length);
    if (list->items[list->n] == NULL)
        return gf__error_nomem(err, "a name", length);
    list->n++;
    return GF_OK;
}

/* The strings of an attribute, one or many, of fixed or variable length. */
static gf_status read_strings(hid_t attribute, const char *key, size_t max_length, names *out,
                              gf_error *err)
{
    gf_status st = GF_OK;
    void *data = NULL;
    const hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    const hssize_t n = H5Sget_simple_extent_npoints(space);
    const bool is_variable = H5Tis_variable_str(type) > 0;
    const size_t width = H5Tget_size(type);
    hid_t memory_type = -1;
    if (n == 0) /* of whatever type: numpy makes an empty list one of numbers */
        goto done;
    if (type < 0 || space < 0 || H5Tget_class(type) != H5T_STRING || n < 0 || n > MAX_NAMES ||
        width == 0 || (!is_variable && width > max_length)) {
        st = gf_error_set(err, GF_EFORMAT, "the attribute %s is not a list of texts", key);
        goto done;
    }
    memory_type = H5Tcopy(type);
    data = gf__calloc((size_t)n + 1, is_variable ? sizeof(char *) : width);
    if (data == NULL) {
        st = gf__error_nomem(err, key, (size_t)n * width);
        goto done;
    }
    if (H5Aread(attribute, memory_type, data) < 0) {
        st = gf_error_set(err, GF_EFORMAT, "the attribute %s cannot be read", key);
        goto done;
    }
    for (hssize_t i = 0; i < n && st == GF_OK; i++) {
        const char *text = is_variable ? ((char **)data)[i] : (char *)data + (size_t)i * width;
        const size_t limit = is_variable ? max_length : width;
        st = add_name(out, text != NULL ? text : "", text != NULL ? strnlen(text, limit) : 0, err);
    }
    if (is_variable)
        H5Dvlen_reclaim(memory_type, space, H5P_DEFAULT, data);
done:
    gf__free(data);
    if (memory_type >= 0)
        H5Tclose(memory_type);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    return st;
}

static gf_status read_attribute(hid_t object, const char *key, size_t max_length, names *out,
                                gf_error *err)
{
    const hid_t attribute = H5Aopen(object, key, H5P_DEFAULT);
    if (attribute < 0)
        return gf_error_set(err, GF_EFORMAT, "the attribute %s cannot be opened", key);
    const gf_status st = read_strings(attribute, key, max_length, out, err);
    H5Aclose(attribute);
    return st;
}

/* A list too long for one attribute is cut by Keras into layer_names0, layer_names1 ... */
static gf_status read_list(hid_t object, const char *key, names *out, gf_error *err)
{
    char part[64];
    if (H5Aexists(object, key) > 0)
        return read_attribute(object, key, MAX_NAME, out, err);
    for (size_t i = 0;; i++) {
        snprintf(part, sizeof part, "%s%zu", key, i);
        if (H5Aexists(object, part) <= 0)
            break;
        const gf_status st = read_attribute(object, part, MAX_NAME, out, err);
        if (st != GF_OK || out->n > MAX_NAMES)
            return st;
    }
    if (out->n == 0)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "has neither the attribute %s nor a group layers: not weights that "
                            "Keras saved",
                            key);
    return GF_OK;
}

/* NULL where there is no such attribute. */
static gf_status read_text(hid_t object, const char *key, char **out, gf_error *err)
{
    names list = {0};
    *out = NULL;
    if (H5Aexists(object, key) <= 0)
        return GF_OK;
    const gf_status st = read_attribute(object, key, MAX_TEXT, &list, err);
    if (st == GF_OK && list.n == 1) {
        *out = list.items[0];
        list.n = 0;
    }
    names_free(&list);
    return st;
}

/* ---- weights ---- */

static gf_status check_dataset(conversion *c, hid_t dataset, const char *name, size_t *shape,
                               size_t *n_dims)
{
    hsize_t sides[H5S_MAX_RANK];
    const hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    const int n = H5Sget_simple_extent_ndims(space);
    const bool is_float = H5Tget_class(type) == H5T_FLOAT;
    size_t n_values = 1;
    bool is_good = n >= 0 && n <= GF_TENSOR_MAX_DIMS &&
                   H5Sget_simple_extent_dims(space, sides, NULL) == n;
    for (int i = 0; is_good && i < n; i++) {
        shape[i] = (size_t)sides[i];
        is_good = sides[i] > 0 && gf__mul_size(n_values, shape[i], &n_values);
    }
    H5Tclose(type);
    H5Sclose(space);
    if (!is_float)
        return gf_error_set(c->err, GF_EUNSUPPORTED,
                            "\"%s\" is not a dataset of floating-point numbers", name);
    if (!is_good || n_values > MAX_VALUES || (c->n_values += n_values) > MAX_VALUES)
        return gf_error_set(c->err, GF_ELIMIT, "\"%s\" has no usable shape, or is too large", name);
    *n_dims = (size_t)n;
    return GF_OK;
}

/* A dataset may say that its values lie in other files of this machine: those are none of the sender's
 * business. (Links to other files are off for the whole process.) */
static bool is_inside(hid_t dataset)
{
    const hid_t how = H5Dget_create_plist(dataset);
    const bool is_inside = how >= 0 && H5Pget_layout(how) != H5D_VIRTUAL &&
                           H5Pget_external_count(how) == 0;
    if (how >= 0)
        H5Pclose(how);
    return is_inside;
}

static gf_status read_dataset(conversion *c, hid_t group, const char *weight, const char *name,
                              gf_tensor **out)
{
    size_t shape[GF_TENSOR_MAX_DIMS], n_dims = 0;
    const hid_t dataset = H5Dopen2(group, weight, H5P_DEFAULT);
    if (dataset < 0)
        return gf_error_set(c->err, GF_EFORMAT, "the dataset \"%s\" cannot be opened", name);
    gf_status st = is_inside(dataset)
                       ? check_dataset(c, dataset, name, shape, &n_dims)
                       : gf_error_set(c->err, GF_EUNSUPPORTED,
                                      "the values of \"%s\" are in another file", name);
    if (st == GF_OK)
        st = gf_tensor_new(GF_DTYPE_F32, shape, n_dims, out, c->err);
    if (st == GF_OK && H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                               gf_tensor_mutable_data(*out)) < 0)
        st = gf_error_set(c->err, GF_EFORMAT, "the dataset \"%s\" cannot be read", name);
    H5Dclose(dataset);
    return st;
}

static gf_status read_weight(conversion *c, hid_t group, const char *layer, const char *weight)
{
    gf_tensor *tensor = NULL;
    char *name = gf__asprintf("%s/%s", layer, weight);
    gf_named_tensor *tensors = gf__realloc(c->tensors, (c->n_tensors + 1) * sizeof *tensors);
    if (tensors != NULL)
        c->tensors = tensors;
    if (name == NULL || tensors == NULL) {
        gf__free(name);
        return gf__error_nomem(c->err, "a weight", sizeof *tensors);
    }
    const gf_status st = read_dataset(c, group, weight, name, &tensor);
    if (st != GF_OK) {
        gf_tensor_free(tensor);
        gf__free(name);
        return st;
    }
    c->tensors[c->n_tensors++] = (gf_named_tensor){name, tensor};
    return GF_OK;
}

static gf_status read_layer(conversion *c, const char *layer)
{
    names weights = {0};
    const hid_t group = H5Gopen2(c->root, layer, H5P_DEFAULT);
    if (group < 0)
        return gf_error_set(c->err, GF_EFORMAT, "the group \"%s\" cannot be opened", layer);
    gf_status st = GF_OK;
    if (H5Aexists(group, "weight_names") > 0 || H5Aexists(group, "weight_names0") > 0)
        st = read_list(group, "weight_names", &weights, c->err);
    gf__json *list = gf__json_array();
    for (size_t i = 0; i < weights.n && st == GF_OK; i++) {
        st = read_weight(c, group, layer, weights.items[i]);
        gf__json_append(list, gf__json_new_string(weights.items[i]));
    }
    gf__json *entry = gf__json_array();
    gf__json_append(entry, gf__json_new_string(layer));
    gf__json_append(entry, list);
    gf__json_append(c->layers, entry);
    names_free(&weights);
    H5Gclose(group);
    return st;
}

static gf_status read_layers(conversion *c)
{
    names layers = {0};
    gf_status st = read_list(c->root, "layer_names", &layers, c->err);
    for (size_t i = 0; i < layers.n && st == GF_OK; i++)
        st = read_layer(c, layers.items[i]);
    names_free(&layers);
    return st;
}

/* ---- the weights of an archive ---- */

static herr_t add_link(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    (void)group;
    (void)info;
    names *list = user;
    return list->n < MAX_NAMES && add_name(list, name, strnlen(name, MAX_NAME), NULL) == GF_OK ? 0
                                                                                               : -1;
}

/* "vars/0", "vars/1" ... of one layer. */
static gf_status read_numbered(conversion *c, const char *layer)
{
    gf_status st = GF_OK;
    const hid_t group = H5Gopen2(c->root, layer, H5P_DEFAULT);
    gf__json *entry = gf__json_array(), *list = gf__json_array();
    for (size_t i = 0; group >= 0 && st == GF_OK && i < MAX_NAMES; i++) {
        char weight[32];
        snprintf(weight, sizeof weight, "vars/%zu", i);
        if (H5Lexists(group, "vars", H5P_DEFAULT) <= 0 ||
            H5Lexists(group, weight, H5P_DEFAULT) <= 0)
            break;
        st = read_weight(c, group, layer, weight);
        gf__json_append(list, gf__json_new_string(weight));
    }
    gf__json_append(entry, gf__json_new_string(layer));
    gf__json_append(entry, list);
    gf__json_append(c->layers, entry);
    if (group >= 0) /* what is no group has no weights */
        H5Gclose(group);
    return st;
}

static gf_status read_group(conversion *c, const char *path, size_t depth);

/* A layer's weights, and those of its own layers where it is a model: "functional/layers/conv2d". */
static gf_status read_member(conversion *c, const char *path, size_t depth)
{
    if (++c->n_groups > MAX_NAMES)
        return gf_error_set(c->err, GF_ELIMIT, "the group %s has more than %d layers in all",
                            c->root_name, MAX_NAMES);
    gf_status st = read_numbered(c, path);
    char *inner = gf__asprintf("%s/%s", path, c->root_name);
    if (inner == NULL)
        return gf__error_nomem(c->err, "a group's name", strlen(path));
    if (st == GF_OK && H5Lexists(c->root, inner, H5P_DEFAULT) > 0)
        st = read_group(c, inner, depth + 1);
    gf__free(inner);
    return st;
}

/* path: from the root, or "." for itself. */
static gf_status read_group(conversion *c, const char *path, size_t depth)
{
    names members = {0};
    gf_status st = GF_OK;
    if (depth > MAX_DEPTH)
        return gf_error_set(c->err, GF_ELIMIT, "models are more than %d deep in one another",
                            MAX_DEPTH);
    if (H5Literate_by_name(c->root, path, H5_INDEX_NAME, H5_ITER_INC, NULL, add_link, &members,
                           H5P_DEFAULT) < 0)
        st = gf_error_set(c->err, GF_EFORMAT, "the group %s cannot be read, or has more than %d",
                          c->root_name, MAX_NAMES);
    for (size_t i = 0; i < members.n && st == GF_OK; i++) {
        char *member = depth == 1 ? gf__strdup(members.items[i])
                                  : gf__asprintf("%s/%s", path, members.items[i]);
        st = member != NULL ? read_member(c, member, depth)
                            : gf__error_nomem(c->err, "a group's name", strlen(path));
        gf__free(member);
    }
    names_free(&members);
    return st;
}

/* ---- the whole ---- */

static gf_status write_output(conversion *c, hid_t file, const char *output)
{
    static const char *const keys[] = {"model_config", "backend", "keras_version",
                                       "graft_properties"};
    enum { N_KEYS = sizeof keys / sizeof *keys };
    gf_metadata metadata[2 + N_KEYS];
    char *texts[N_KEYS] = {NULL};
    size_t n = 0;
    gf__buffer layers = {0};
    gf_status st = gf__json_status(c->layers, c->err);
    gf__json_write(c->layers, false, &layers);
    if (st == GF_OK)
        st = gf__buffer_status(&layers, c->err);
    metadata[n++] = (gf_metadata){"layers", layers.data};
    if (c->root_name != NULL)
        metadata[n++] = (gf_metadata){"root", c->root_name};
    for (size_t i = 0; i < N_KEYS && st == GF_OK; i++) {
        st = read_text(H5Aexists(file, keys[i]) > 0 ? file : c->root, keys[i], &texts[i], c->err);
        if (texts[i] != NULL)
            metadata[n++] = (gf_metadata){keys[i], texts[i]};
    }
    if (st == GF_OK)
        st = gf_safetensors_save(output, c->tensors, c->n_tensors, metadata, n, c->err);
    for (size_t i = 0; i < N_KEYS; i++)
        gf__free(texts[i]);
    gf__buffer_free(&layers);
    return st;
}

/* The group that holds the layers, and whose way of writing it is. */
static void open_root(conversion *c, hid_t file)
{
    static const char *const archived[] = {"layers", "_layer_checkpoint_dependencies"};
    const char *name = H5Lexists(file, "model_weights", H5P_DEFAULT) > 0 ? "model_weights" : "/";
    const bool is_listed = name[0] != '/' || H5Aexists(file, "layer_names") > 0 ||
                           H5Aexists(file, "layer_names0") > 0;
    for (size_t i = 0; !is_listed && c->root_name == NULL && i < 2; i++)
        if (H5Lexists(file, archived[i], H5P_DEFAULT) > 0)
            c->root_name = archived[i];
    c->root = H5Gopen2(file, c->root_name != NULL ? c->root_name : name, H5P_DEFAULT);
}

static gf_status convert(const char *input, const char *output, gf_error *err)
{
    conversion c = {.root = -1, .err = err};
    const hid_t file = H5Fopen(input, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0)
        return gf_error_set(err, GF_EFORMAT, "is not an HDF5 file, or a damaged one");
    gf_status st = GF_OK;
    open_root(&c, file);
    c.layers = gf__json_array();
    if (c.root < 0)
        st = gf_error_set(err, GF_EFORMAT, "its groups cannot be opened");
    if (st == GF_OK)
        st = c.root_name != NULL ? read_group(&c, ".", 1) : read_layers(&c);
    if (st == GF_OK)
        st = write_output(&c, file, output);
    for (size_t i = 0; i < c.n_tensors; i++) {
        gf__free((void *)c.tensors[i].name);
        gf_tensor_free((gf_tensor *)c.tensors[i].tensor);
    }
    gf__free(c.tensors);
    gf__json_free(c.layers);
    if (c.root >= 0)
        H5Gclose(c.root);
    H5Fclose(file);
    return st;
}

int main(int argc, char **argv)
{
    gf_error err;
    const bool is_writing = argc == 4 && strcmp(argv[1], "--write") == 0;
    if (argc != 3 && !is_writing) {
        fprintf(stderr, "usage: graft-h5 INPUT.h5 OUTPUT.safetensors\n"
                        "       graft-h5 --write INPUT.safetensors OUTPUT.h5\n");
        return 2;
    }
    limit_self();
    signal(SIGXFSZ, SIG_IGN);              /* a write that fails is told as one */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* one message of ours instead of its stack */
    H5PLset_loading_state(0);              /* no code named by the file */
    H5Lunregister(H5L_TYPE_EXTERNAL);      /* and no other file */
    if ((is_writing ? gf__h5_write(argv[2], argv[3], &err) : convert(argv[1], argv[2], &err)) ==
        GF_OK)
        return 0;
    fprintf(stderr, "%s\n", err.message);
    if (is_writing)
        _exit(1); /* without the library's own end, which crashes where the disk is full */
    return 1;
}
